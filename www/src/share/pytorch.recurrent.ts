// A recurrent layer that PyTorch has no module for, as a Python class that is called as one, with the same names of tensors.

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

const POSITIVE = "torch.where(v >= 0, v + 0.5, torch.sigmoid(v))";

function cellOf(model: string, nonlinearity: string | null): Cell | null {
  const v = nonlinearity === "identity" ? "v" : POSITIVE;
  const scan = { isRecurrent: false, step: "keep[t] * h + (1 - keep[t]) * v[t]" };
  switch (model) {
    case "elman":
      return {
        name: "LinearRNN",
        blocks: 1,
        isRecurrent: true,
        prepare: [],
        step: 'a[t] + F.linear(h, part("weight_hh"), part("bias_hh"))',
      };
    case "mingru":
      return {
        ...scan,
        name: "MinGRU",
        blocks: 2,
        prepare: ["z, v = a.chunk(2, dim=-1)", `keep, v = torch.sigmoid(-z), ${v}`],
      };
    case "minlstm":
      return {
        ...scan,
        name: "MinLSTM",
        blocks: 3,
        prepare: [
          "f, i, v = a.chunk(3, dim=-1)",
          `keep, v = torch.sigmoid(F.logsigmoid(f) - F.logsigmoid(i)), ${v}  # f / (f + i)`,
        ],
      };
    default:
      return null;
  }
}

/** The name of the class and its lines, or null for an architecture that is not known here. */
export function recurrentClass(model: string, nonlinearity: string | null): { name: string; lines: string[] } | null {
  const cell = cellOf(model, nonlinearity);
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
