// A recurrent layer that PyTorch has no module for, as a Python class that is called as one, with the same names of tensors.

import type { Architecture } from "unroll-types";

/** What a timestep does: lines that need `a`, the input part [T, B, blocks · H], and make `h` of `h` at `t`. */
interface Cell {
  name: string;
  blocks: number;
  /** False where there is no W_hh. */
  isRecurrent: boolean;
  /** Before the loop over time. */
  prepare: readonly string[];
  /** The new state. */
  step: string;
}

const LINEAR: Cell = {
  name: "LinearRNN",
  blocks: 1,
  isRecurrent: true,
  prepare: [],
  step: 'a[t] + F.linear(h, part("weight_hh"), part("bias_hh"))',
};

/** Python for what the equations of the cells are written with; `g` is the function that its choice names. */
const FUNCTIONS: Record<string, (x: string) => string> = {
  "\\sigma": (x) => `torch.sigmoid(${x})`,
  "\\tanh": (x) => `torch.tanh(${x})`,
  g: (x) => `torch.where(${x} >= 0, ${x} + 0.5, torch.sigmoid(${x}))`,
  identity: (x) => x,
};

/**
 * A cell whose gates read the input alone, from its equations: each names something at time t, the last one h_t, of functions of
 * W x_t + b and of what was named before. Null where they have another form.
 */
function cellOf({ title, equations, gates }: Architecture, nonlinearity: string | null): Cell | null {
  const python = (latex: string, at: string): string =>
    latex
      .replace(/(\\?[a-z]+)\(W_(\w) x_t \+ b_\w\)/g, (whole, f: string, gate: string) => {
        const known = FUNCTIONS[f === "g" ? (nonlinearity ?? f) : f];
        return known === undefined || !gates.includes(gate) ? whole : known(`a_${gate}`);
      })
      .replaceAll("\\odot", "*")
      .replaceAll("h_{t-1}", "h")
      .replace(/([a-z])('?)_t\b/g, (_, name: string, prime: string) => `${name}${prime && "_share"}${at}`);
  const named = equations
    .flatMap((line) => line.split(", \\quad "))
    .flatMap((line) => {
      const [, name, value] = /^(\w'?_t) = (.+)$/.exec(line) ?? [];
      return name === undefined || value === undefined ? [] : [{ name, value }];
    });
  const last = named.pop();
  if (last?.name !== "h_t") return null;
  const lines = [
    `${gates.map((gate) => `a_${gate}`).join(", ")} = a.chunk(${String(gates.length)}, dim=-1)`,
    ...named.map(({ name, value }) => `${python(name, "")} = ${python(value, "")}`),
  ];
  const step = python(last.value, "[t]");
  if ([...lines, step].some((line) => /[\\{}^]|\bW_/.test(line))) return null;
  const name = title.charAt(0).toUpperCase() + title.slice(1);
  return { name, blocks: gates.length, isRecurrent: false, prepare: lines, step };
}

/** The name of the class and its lines, or null for an architecture that has none here. */
export function recurrentClass(
  architecture: Architecture | null,
  nonlinearity: string | null,
): { name: string; lines: string[] } | null {
  if (architecture === null || architecture.residual) return null;
  const linear = architecture.id === "elman" ? LINEAR : null;
  const cell = architecture.recurrent ? linear : cellOf(architecture, nonlinearity);
  if (cell === null) return null;
  const rows = `${String(cell.blocks)} * hidden`;
  return {
    name: cell.name,
    lines: [
      "",
      "",
      `class ${cell.name}(torch.nn.Module):`,
      '    """Called as torch.nn.RNN, with its names of tensors."""',
      "",
      "    def __init__(self, inputs, hidden, num_layers=1, bidirectional=False):",
      "        super().__init__()",
      "        self.hidden, self.layers = hidden, num_layers",
      '        self.directions = ["", "_reverse"] if bidirectional else [""]',
      "        for k in range(num_layers):",
      "            for end in self.directions:",
      "                sizes = inputs if k == 0 else len(self.directions) * hidden",
      `                self.register_parameter(f"weight_ih_l{k}{end}", torch.nn.Parameter(torch.zeros(${rows}, sizes)))`,
      `                self.register_parameter(f"bias_ih_l{k}{end}", torch.nn.Parameter(torch.zeros(${rows})))`,
      ...(cell.isRecurrent
        ? [
            `                self.register_parameter(f"weight_hh_l{k}{end}", torch.nn.Parameter(torch.zeros(${rows}, hidden)))`,
            `                self.register_parameter(f"bias_hh_l{k}{end}", torch.nn.Parameter(torch.zeros(${rows})))`,
          ]
        : []),
      "",
      "    def forward(self, x, state=None):",
      '        """x: [T, B, I]. Returns h of the last layer at every timestep, and the last h of each."""',
      "        last = []",
      "        for k in range(self.layers):",
      "            read = []",
      "            for end in self.directions:",
      '                part = lambda name: getattr(self, f"{name}_l{k}{end}")',
      '                a = F.linear(x.flip(0) if end else x, part("weight_ih"), part("bias_ih"))',
      ...cell.prepare.map((line) => `                ${line}`),
      "                h = torch.zeros(x.shape[1], self.hidden) if state is None else state[len(last)]",
      "                steps = []",
      "                for t in range(len(x)):",
      `                    h = ${cell.step}`,
      "                    steps.append(h)",
      "                last.append(h)",
      "                read.append(torch.stack(steps[::-1] if end else steps))",
      "            x = torch.cat(read, dim=-1)",
      "        return x, torch.stack(last)",
    ],
  };
}
