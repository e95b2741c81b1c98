// The modules of a Transformer in a Python program, under the names of its file.

/** Lines of the classes; sizes come from the file, but for the number of heads, which no shape tells. */
export function transformerModules(shapes: ReadonlyMap<string, number[]>, layers: number, heads: number): string[] {
  const [width = 0, inputs = 0] = shapes.get("embed.weight") ?? [];
  const [positions = 0] = shapes.get("position.weight") ?? [];
  const [inner = 0] = shapes.get("blocks.0.mlp.c_fc.weight") ?? [];
  const [outputs = 0] = shapes.get("head.weight") ?? [];
  const linear = (from: number, to: number): string => `torch.nn.Linear(${String(from)}, ${String(to)})`;
  const norm = `torch.nn.LayerNorm(${String(width)})`;
  return [
    "class Attention(torch.nn.Module):",
    "    def __init__(self):",
    "        super().__init__()",
    `        self.c_attn = ${linear(width, 3 * width)}`,
    `        self.c_proj = ${linear(width, width)}`,
    "",
    "    def forward(self, x):",
    `        """x: [T, B, ${String(width)}]. Each timestep reads itself and those before it."""`,
    "        parts = self.c_attn(x).chunk(3, dim=-1)",
    `        q, k, v = (part.unflatten(-1, (${String(heads)}, -1)).permute(1, 2, 0, 3) for part in parts)  # [B, heads, T, d]`,
    "        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)",
    "        return self.c_proj(y.permute(2, 0, 1, 3).flatten(-2))",
    "",
    "",
    "class Mlp(torch.nn.Module):",
    "    def __init__(self):",
    "        super().__init__()",
    `        self.c_fc = ${linear(width, inner)}`,
    `        self.c_proj = ${linear(inner, width)}`,
    "",
    "    def forward(self, x):",
    "        return self.c_proj(torch.nn.functional.gelu(self.c_fc(x)))",
    "",
    "",
    "class Block(torch.nn.Module):",
    "    def __init__(self):",
    "        super().__init__()",
    `        self.ln_1 = ${norm}`,
    "        self.attn = Attention()",
    `        self.ln_2 = ${norm}`,
    "        self.mlp = Mlp()",
    "",
    "    def forward(self, x):",
    "        x = x + self.attn(self.ln_1(x))",
    "        return x + self.mlp(self.ln_2(x))",
    "",
    "",
    "class Network(torch.nn.Module):",
    "    def __init__(self):",
    "        super().__init__()",
    `        self.embed = ${linear(inputs, width)}`,
    `        self.position = torch.nn.Embedding(${String(positions)}, ${String(width)})`,
    `        self.blocks = torch.nn.ModuleList(Block() for _ in range(${String(layers)}))`,
    `        self.norm = ${norm}`,
    `        self.head = ${linear(width, outputs)}`,
    "",
    "    def forward(self, x):",
    `        """x: [T, B, ${String(inputs)}], T at most ${String(positions)}, symbols as one-hot rows. Returns [T, B, ${String(outputs)}], before any softmax."""`,
    "        x = self.embed(x) + self.position.weight[: len(x), None]",
    "        for block in self.blocks:",
    "            x = block(x)",
    "        return self.head(self.norm(x))",
  ];
}
