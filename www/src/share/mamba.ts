// The Python program of a Mamba network: PyTorch has no module for it, so the program has its equations.

/** Lines behind those that load the weights. `exact`: the exact step instead of Euler's. */
export function mambaLines(shapes: ReadonlyMap<string, number[]>, layers: number, exact: boolean): string[] {
  const inputs = shapes.get("embed.weight")?.[1] ?? 0;
  const outputs = shapes.get("head.weight")?.[0] ?? 0;
  const selective = shapes.has("blocks.0.mixer.x_proj.weight");
  return [
    "",
    "",
    "def norm(u, weight):",
    "    return u * torch.rsqrt(u.pow(2).mean(-1, keepdim=True) + 1e-5) * weight",
    "",
    "",
    "def block(u, w):",
    '    """What a block adds to the stream u [T, B, H]; w: its tensors by name."""',
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
    '    return F.linear(torch.stack(y) * F.silu(z), w["mixer.out_proj.weight"])',
    "",
    "",
    "def network(x):",
    `    """x: [T, B, ${String(inputs)}], symbols as one-hot rows. Returns [T, B, ${String(outputs)}], before any softmax."""`,
    '    u = F.linear(x, weights["embed.weight"], weights["embed.bias"])',
    `    for k in range(${String(layers)}):`,
    '        prefix = f"blocks.{k}."',
    "        u = u + block(u, {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)})",
    '    return F.linear(norm(u, weights["norm.weight"]), weights["head.weight"], weights["head.bias"])',
    "",
    "",
    `print(network(torch.zeros(5, 1, ${String(inputs)})).shape)`,
    "",
  ];
}
