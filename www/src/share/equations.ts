// The Python programs of networks that PyTorch has no module for: they have the equations themselves.

export interface Blocks {
  /** Shapes of the tensors in the file. */
  shapes: ReadonlyMap<string, number[]>;
  layers: number;
  /** Mamba: the exact step instead of Euler's. */
  exact: boolean;
  /** RetNet: g of γ = 1 − 2^{−g−h}. */
  decay: number;
}

/** What a block does, of each architecture. */
const BLOCKS: Record<string, (blocks: Blocks) => string[]> = { mamba, retnet, rwkv };

/** Lines behind those that load the weights, or null for an architecture that has none here. */
export function equationsOf(model: string, blocks: Blocks): string[] | null {
  const block = BLOCKS[model];
  if (block === undefined) return null;
  const inputs = String(blocks.shapes.get("embed.weight")?.[1] ?? 0);
  const outputs = String(blocks.shapes.get("head.weight")?.[0] ?? 0);
  const centred = blocks.shapes.has("ln_out.weight");
  return [
    "",
    "",
    ...(centred
      ? ["def norm(u, w, name):", '    return F.layer_norm(u, u.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])']
      : ["def norm(u, weight):", "    return u * torch.rsqrt(u.pow(2).mean(-1, keepdim=True) + 1e-5) * weight"]),
    "",
    "",
    "def block(u, w):",
    '    """The stream u [T, B, H] behind a block; w: its tensors by name."""',
    ...block(blocks),
    "",
    "",
    "def network(x):",
    `    """x: [T, B, ${inputs}], symbols as one-hot rows. Returns [T, B, ${outputs}], before any softmax."""`,
    '    u = F.linear(x, weights["embed.weight"], weights["embed.bias"])',
    `    for k in range(${String(blocks.layers)}):`,
    '        prefix = f"blocks.{k}."',
    "        u = block(u, {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)})",
    `    u = norm(u, ${centred ? 'weights, "ln_out"' : 'weights["norm.weight"]'})`,
    '    return F.linear(u, weights["head.weight"], weights["head.bias"])',
    "",
    "",
    `print(network(torch.zeros(5, 1, ${inputs})).shape)`,
    "",
  ];
}

function mamba({ shapes, exact }: Blocks): string[] {
  const selective = shapes.has("blocks.0.mixer.x_proj.weight");
  return [
    '    x, z = F.linear(norm(u, w["norm.weight"]), w["mixer.in_proj.weight"]).chunk(2, dim=-1)',
    '    conv, a_log = w["mixer.conv1d.weight"], w["mixer.A_log"]',
    "    channels, n = a_log.shape",
    '    x = F.conv1d(x.permute(1, 2, 0), conv, w["mixer.conv1d.bias"], padding=conv.shape[-1] - 1, groups=channels)',
    "    x = F.silu(x[..., : len(u)].permute(2, 0, 1))",
    ...(selective
      ? [
          '    rank = w["mixer.dt_proj.weight"].shape[1]',
          '    low, b, c = F.linear(x, w["mixer.x_proj.weight"]).split([rank, n, n], dim=-1)',
          '    delta = F.softplus(F.linear(low, w["mixer.dt_proj.weight"], w["mixer.dt_proj.bias"])).unsqueeze(-1)',
        ]
      : [
          '    b, c = w["mixer.BC"].expand(*x.shape[:2], -1).chunk(2, dim=-1)',
          '    delta = F.softplus(w["mixer.dt"]).expand_as(x).unsqueeze(-1)',
        ]),
    "    a = -torch.exp(a_log)",
    "    keep = torch.exp(delta * a)",
    `    gain = ${exact ? "(keep - 1) / a" : "delta"}`,
    "    h, y = 0, []",
    "    for t in range(len(u)):",
    "        h = keep[t] * h + gain[t] * b[t].unsqueeze(1) * x[t].unsqueeze(-1)",
    '        y.append((h * c[t].unsqueeze(1)).sum(-1) + w["mixer.D"] * x[t])',
    '    return u + F.linear(torch.stack(y) * F.silu(z), w["mixer.out_proj.weight"])',
  ];
}

function retnet({ decay }: Blocks): string[] {
  return [
    '    v, width = norm(u, w["norm_1.weight"]), len(w["retention.norm.weight"])',
    "    # [T, B, heads, width]",
    '    q, k, v_ = (p.unflatten(-1, (-1, width)) for p in F.linear(v, w["retention.qkv.weight"]).chunk(3, dim=-1))',
    `    gamma = 1 - 2.0 ** -(${String(decay)} + torch.arange(q.shape[2], dtype=u.dtype))`,
    "    state, read = 0, []",
    "    for t in range(len(u)):",
    "        state = gamma.view(-1, 1, 1) * state + k[t].unsqueeze(-1) * v_[t].unsqueeze(-2)",
    "        read.append((q[t].unsqueeze(-2) @ state).squeeze(-2) / width**0.5)",
    '    read = norm(torch.stack(read), w["retention.norm.weight"]).flatten(-2)',
    '    u = u + F.linear(F.silu(F.linear(v, w["retention.gate.weight"])) * read, w["retention.out.weight"])',
    '    hidden = F.gelu(F.linear(norm(u, w["norm_2.weight"]), w["mlp.fc1.weight"]))',
    '    return u + F.linear(hidden, w["mlp.fc2.weight"])',
  ];
}

function rwkv(): string[] {
  return [
    "    def shifted(part, mu, name):",
    "        before = torch.cat([torch.zeros_like(n[:1]), n[:-1]])",
    '        mu = w[f"{part}.time_mix_{mu}"]',
    '        return F.linear(mu * n + (1 - mu) * before, w[f"{part}.{name}.weight"])',
    "",
    '    u = norm(u, w, "ln0") if "ln0.weight" in w else u',
    '    n = norm(u, w, "ln1")',
    '    k, v, r = shifted("att", "k", "key"), shifted("att", "v", "value"), shifted("att", "r", "receptance")',
    "    # The logarithm of the sum of the weights so far, and the mean of the values.",
    "    level, mean, read = torch.full_like(k[0], -1e30), torch.zeros_like(k[0]), []",
    "    for t in range(len(u)):",
    '        own = torch.sigmoid(w["att.time_first"] + k[t] - level)',
    "        read.append(mean + own * (v[t] - mean))",
    '        level = level - torch.exp(w["att.time_decay"])',
    "        mean = mean + torch.sigmoid(k[t] - level) * (v[t] - mean)",
    "        level = torch.logaddexp(level, k[t])",
    '    u = u + F.linear(torch.sigmoid(r) * torch.stack(read), w["att.output.weight"])',
    '    n = norm(u, w, "ln2")',
    '    hidden = F.linear(shifted("ffn", "k", "key").relu() ** 2, w["ffn.value.weight"])',
    '    return u + torch.sigmoid(shifted("ffn", "r", "receptance")) * hidden',
  ];
}
