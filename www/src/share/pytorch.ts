// A Python program that reads a saved network with PyTorch. Sizes come from the file itself, so that they fit.

import type { Architecture } from "unroll-types";
import { equationsOf } from "./equations";
import { recurrentClass } from "./pytorch.recurrent";
import { transformerModules } from "./pytorch.transformer";

/** Shapes of the tensors in a safetensors file: eight bytes with the header's length, then the header as JSON. */
export function shapesOf(weights: Uint8Array): Map<string, number[]> {
  const view = new DataView(weights.buffer, weights.byteOffset, weights.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(weights.subarray(8, 8 + length))) as Record<
    string,
    { shape?: number[] }
  >;
  return new Map(
    Object.entries(header).flatMap(([name, { shape }]) => (shape === undefined ? [] : [[name, shape] as const])),
  );
}

export interface Network {
  /** Id of the architecture in the catalogue. */
  model: string;
  /** Its entry there, if it has one. */
  architecture: Architecture | null;
  /** Of an Elman network, or of a candidate that offers a choice; else null. */
  nonlinearity: string | null;
  /** Of a Mamba network: the exact step instead of Euler's. */
  exact: boolean;
  /** Of a RetNet: g, the slowness of the first head. */
  decay: number;
  hidden: number;
  layers: number;
  /** Heads of a Transformer's attention, else 1. */
  heads: number;
  /** The task asks at the last timestep alone. */
  asksAtEnd: boolean;
  /** S, where the first S timesteps are a source; else null. */
  source: number | null;
  /** Name of the file with the weights. */
  file: string;
  /** Task, seed and training step, in words. */
  about: string;
}

/** A recurrent layer in Python. */
interface Layer {
  /** What it is called by. */
  name: string;
  /** Further arguments. */
  extra: string;
  /** Its class, where PyTorch has none. */
  lines: readonly string[];
}

/** The layer of an architecture, or null where there is none. */
function layerOf({ model, architecture, nonlinearity }: Network): Layer | null {
  if (model === "lstm" || model === "gru") return { name: `torch.nn.${model.toUpperCase()}`, extra: "", lines: [] };
  if (model === "elman" && nonlinearity !== "identity")
    return { name: "torch.nn.RNN", extra: `, nonlinearity="${nonlinearity ?? "tanh"}"`, lines: [] };
  const own = recurrentClass(architecture, nonlinearity);
  return own === null ? null : { ...own, extra: "" };
}

/** An encoder and a decoder, with attention or without: its linear layers and its place in the pass follow from what is in the file. */
function encoderDecoder(
  { hidden, layers, source }: Network,
  { name, extra }: Layer,
  [inputs, outputs]: [number, number],
  shapes: ReadonlyMap<string, number[]>,
): string[] {
  const [h, i, o, s] = [hidden, inputs, outputs, source ?? 1].map(String);
  const stack = (from: number): string => `${name}(${String(from)}, ${h ?? ""}, num_layers=${String(layers)}${extra})`;
  const linear = (of: string): string[] => {
    const [to = 0, from = 0] = shapes.get(`attention.${of}.weight`) ?? [];
    return to === 0 ? [] : [`            "${of}": torch.nn.Linear(${String(from)}, ${String(to)}, bias=False),`];
  };
  const attention = ["score", "combine", "query", "key", "energy"].flatMap(linear);
  return [
    "",
    "",
    "class Network(torch.nn.Module):",
    "    def __init__(self):",
    "        super().__init__()",
    `        self.rnn = ${stack(inputs)}  # the encoder`,
    `        self.decoder = ${stack(shapes.get("decoder.weight_ih_l0")?.[1] ?? inputs)}`,
    ...(attention.length > 0 ? ["        self.attention = torch.nn.ModuleDict({", ...attention, "        })"] : []),
    `        self.head = torch.nn.Linear(${h ?? ""}, ${o ?? ""})`,
    "",
    `    def forward(self, x, source=${s ?? ""}):`,
    `        """x: [T, B, ${i ?? ""}], symbols as one-hot rows: the source, then the answer, one step late. Returns [T - source, B, ${o ?? ""}]."""`,
    "        encoded, state = self.rnn(x[:source])",
    ...(shapes.has("attention.energy.weight")
      ? [
          "        h, outputs = encoded[-1:], []",
          "        for step in x[source:]:",
          '            scores = self.attention["query"](h) + self.attention["key"](encoded)',
          '            weights = self.attention["energy"](torch.tanh(scores)).softmax(dim=0)',
          "            context = (weights * encoded).sum(dim=0)",
          "            h, state = self.decoder(torch.cat([step, context], dim=-1)[None], state)",
          "            outputs.append(h)",
          "        h = torch.cat(outputs)",
        ]
      : ["        h, _ = self.decoder(x[source:], state)"]),
    ...(shapes.has("attention.score.weight")
      ? [
          '        scores = torch.einsum("tbh,sbh->tbs", h, self.attention["score"](encoded))',
          '        context = torch.einsum("tbs,sbh->tbh", scores.softmax(dim=-1), encoded)',
          '        h = torch.tanh(self.attention["combine"](torch.cat([context, h], dim=-1)))',
        ]
      : []),
    "        return self.head(h)",
    "",
    "",
    "network = Network()",
    "network.load_state_dict(weights)",
    "network.eval()",
    "",
    "with torch.no_grad():",
    `    print(network(torch.zeros(${String((source ?? 1) + 1)}, 1, ${i ?? ""})).shape)`,
    "",
  ];
}

/** The program. */
export function pytorchScript(network: Network, shapes: ReadonlyMap<string, number[]>): string {
  const layer = layerOf(network);
  const inputs = shapes.get("rnn.weight_ih_l0")?.[1] ?? 0;
  const [outputs = 0, width = 0] = shapes.get("head.weight") ?? [];
  const head = [
    `"""Reads a network that was trained with Unroll: ${network.about}."""`,
    "",
    "# pip install torch safetensors numpy",
    "import torch",
    "from safetensors.torch import load_file",
    "",
    `weights = load_file("${network.file}")`,
  ];
  const load = (inputs: number): string[] => [
    "",
    "",
    "network = Network()",
    "network.load_state_dict(weights)",
    "network.eval()",
    "",
    "with torch.no_grad():",
    `    print(network(torch.zeros(${String(Math.min(5, shapes.get("position.weight")?.[0] ?? 5))}, 1, ${String(inputs)})).shape)`,
    "",
  ];
  if (network.model === "transformer") {
    const modules = transformerModules(shapes, network.layers, network.heads);
    return [...head, "", "", ...modules, ...load(shapes.get("embed.weight")?.[1] ?? 0)].join("\n");
  }
  const equations = equationsOf(network.model, { ...network, shapes });
  const functional = head.toSpliced(head.indexOf("import torch") + 1, 0, "import torch.nn.functional as F");
  if (equations !== null) return [...functional, ...equations].join("\n");
  if (layer === null) {
    return [
      ...head,
      "",
      "# PyTorch has no module for this architecture: these are its tensors, in the layout of torch.nn.RNN where the names agree.",
      "for name, tensor in weights.items():",
      "    print(name, tuple(tensor.shape))",
      "",
    ].join("\n");
  }
  const begin = layer.lines.length > 0 ? [...functional, ...layer.lines] : head;
  if (shapes.has("decoder.weight_ih_l0")) {
    return [...begin, ...encoderDecoder(network, layer, [inputs, outputs], shapes)].join("\n");
  }
  const both = shapes.has("rnn.weight_ih_l0_reverse");
  const sizes = `${String(inputs)}, ${String(network.hidden)}, num_layers=${String(network.layers)}`;
  return [
    ...begin,
    "",
    "",
    "class Network(torch.nn.Module):",
    "    def __init__(self):",
    "        super().__init__()",
    `        self.rnn = ${layer.name}(${sizes}${layer.extra}${both ? ", bidirectional=True" : ""})`,
    `        self.head = torch.nn.Linear(${String(width)}, ${String(outputs)})`,
    "",
    "    def forward(self, x):",
    `        """x: [T, B, ${String(inputs)}], symbols as one-hot rows. Returns [${both && network.asksAtEnd ? "" : "T, "}B, ${String(outputs)}], before any softmax."""`,
    "        h, _ = self.rnn(x)",
    ...(both && network.asksAtEnd
      ? [
          "        # The question is asked at the end: the final state of each direction answers it.",
          `        return self.head(torch.cat([h[-1, :, :${String(network.hidden)}], h[0, :, ${String(network.hidden)}:]], dim=-1))`,
        ]
      : ["        return self.head(h)"]),
    ...load(inputs),
  ].join("\n");
}
