/** Links, tables and files: what is saved is what was computed. */

import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe as group, expect, test } from "vitest";
import init, { catalog as packaged } from "../../../pkg/unroll.js";
import * as draw from "../../src/draw/index.js";
import { describe, fromHash, HIDEABLE } from "../../src/settings";
import { hideOf, iframeOf, linkOf } from "../../src/share/link";
import { pytorchScript, shapesOf } from "../../src/share/pytorch";
import { fileName, toSvg } from "../../src/share/save";
import {
  channelSheet,
  curveSheet,
  graphSheet,
  panelSheet,
  probeSheet,
  ribbonSheet,
  toCsv,
} from "../../src/share/sheets";
import { SvgContext } from "../../src/share/svg";
import { installOffscreenCanvas } from "../support/recorder.js";
import { firstSymbol, frameOf, network, sine } from "../support/tiny.js";
import { catalog } from "./catalog";

beforeAll(installOffscreenCanvas);

const frame = draw.viewFrame(frameOf(network(firstSymbol(8, 4), "lstm", 3, 1, 2, false), 1, 2, 0));
const host = {
  measure: (text: string, font: string) => text.length * 0.55 * Number(/([\d.]+)px/.exec(font)?.[1] ?? 10),
  encode: () => "data:image/png;base64,",
};
const size = { width: 600, height: 180 };

/** Rows of a file, numbers as numbers. */
function read(csv: string): (string | number)[][] {
  return csv
    .trimEnd()
    .split("\r\n")
    .map((line) => line.split(",").map((cell) => (cell !== "" && Number.isFinite(Number(cell)) ? Number(cell) : cell)));
}

/** Throws where tags do not match; gives the texts. */
function parsed(svg: string): string[] {
  const open: string[] = [];
  const texts: string[] = [];
  for (const [, close, name = "", attributes = "", inside = ""] of svg.matchAll(/<(\/?)([a-zA-Z]+)([^<>]*)>([^<]*)/g)) {
    expect(
      attributes
        .replace(/ [\w-]+="[^"<]*"/g, "")
        .replace("/", "")
        .trim(),
      attributes,
    ).toBe("");
    if (close === "/") expect(open.pop()).toBe(name);
    else if (!attributes.endsWith("/")) open.push(name);
    if (name === "text" && close === "" && !attributes.includes("aria-hidden")) texts.push(inside);
  }
  expect(open).toEqual([]);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  return texts;
}

group("links", () => {
  const place = { origin: "https://example.org", pathname: "/unroll/", search: "" };
  const { values } = describe(catalog, { seed: 7 });

  test("share_link_goes_to_the_same_settings_with_parts_hidden", () => {
    const hide = hideOf(new Set(["charts", "task"]));
    expect(hide).toBe("task,charts");
    const link = linkOf(catalog, values, place, { hide, embed: true });
    expect(link).toBe("https://example.org/unroll/#v=1&seed=7&hide=task,charts&embed=on");
    const back = fromHash(catalog, new URL(link).hash);
    expect(back.notes).toEqual([]);
    expect(back.values).toEqual({ ...values, hide, embed: true });
  });

  test("share_every_part_alone_and_all_together_go_through_the_address", () => {
    const ids = HIDEABLE.map(({ id }) => id);
    for (const parts of [...ids.map((id) => [id]), ids]) {
      const link = linkOf(catalog, values, place, { hide: hideOf(new Set<string>(parts)), embed: false });
      expect(fromHash(catalog, new URL(link).hash)).toEqual({
        values: { ...values, hide: parts.join(",") },
        notes: [],
      });
    }
  });

  test("share_frame_escapes_the_address", () => {
    expect(iframeOf('https://a/#v=1&b="', { width: 960, height: 540 })).toContain(
      'src="https://a/#v=1&amp;b=&quot;" width="960" height="540"',
    );
  });
});

group("tables", () => {
  test("share_csv_of_a_ribbon_has_the_numbers_of_the_frame_lane_step_and_units", () => {
    const [row] = frame.rows;
    if (row === undefined) throw new Error("no row");
    const [head, ...rows] = read(toCsv(ribbonSheet(row), { lane: "B", step: 12 }));
    expect(head?.slice(0, 4)).toEqual([
      "lane [letter]",
      "training step [index]",
      "timestep [index]",
      `‖∂L/∂${row.ribbons[0]?.id ?? ""}‖ median [1]`,
    ]);
    expect(rows).toHaveLength(8);
    rows.forEach((cells, t) => {
      const numbers = row.ribbons.flatMap(({ median, lower, upper }) => [median[t], lower[t], upper[t]]);
      expect(cells).toEqual(["B", 12, t + 1, ...numbers]);
    });
  });

  test("share_csv_of_states_and_graph_have_every_unit", () => {
    const [row] = frame.rows;
    const channel = row === undefined ? null : draw.stateOf(row);
    if (channel === null) throw new Error("no channel");
    const states = read(toCsv(channelSheet(channel), { lane: "A", step: 0 }));
    expect(states[3]?.slice(3)).toEqual([...channel.values.subarray(2 * 3, 3 * 3)]);
    const graph = read(toCsv(graphSheet(frame, draw.stateOf), { lane: "A", step: 0 }));
    expect(graph[0]).toHaveLength(3 + frame.rows.reduce((n, { ribbons, units }) => n + ribbons.length + units, 0));
  });

  test("share_csv_of_answers_names_symbols_and_has_the_probabilities", () => {
    const rows = read(toCsv(probeSheet(frame.probe, true), { lane: "A", step: 0 }));
    const n = frame.probe.target.names.length;
    expect(rows.at(-1)?.slice(-n)).toEqual([...frame.probe.outputs.subarray(7 * n)]);
    expect(rows.at(-1)?.[4]).toBe(frame.probe.target.names[frame.probe.target.values[7] ?? -1]);
    expect(rows[1]?.[4]).toBe("");
    const values = draw.viewFrame(frameOf(network(sine(9), "elman", 3, 1), 1, 2, 0));
    expect(read(toCsv(probeSheet(values.probe, false), { lane: "A", step: 0 }))).toHaveLength(10);
  });

  test("share_csv_of_curves_has_a_row_for_each_point_of_each_lane", () => {
    const curve = { steps: Float64Array.of(1, 2), values: Float64Array.of(0.5, Number.NaN) };
    const sheet = curveSheet(
      ["A", "B"].map((letter) => ({ letter, curve })),
      "loss",
      "nat",
    );
    expect(toCsv(sheet, { lane: null, step: null })).toBe(
      "lane [letter],training step [index],loss [nat]\r\nA,1,0.5\r\nA,2,\r\nB,1,0.5\r\nB,2,\r\n",
    );
  });

  test("share_csv_of_a_panel_without_series_over_time_has_all_its_numbers", () => {
    const series = { id: "eigenvalues", title: "", shape: [2, 2], values: Float32Array.of(1, 0.5, 1, -0.5) };
    const view = {
      step: 3,
      nSteps: 9,
      row: "0",
      state: "h",
      sequences: 1,
      names: [],
      absent: null,
      series: new Map([["eigenvalues", series]]),
    };
    expect(read(toCsv(panelSheet(view), { lane: "A", step: 3 })).slice(1)).toEqual([
      ["A", 3, "eigenvalues", 1, 1, 1],
      ["A", 3, "eigenvalues", 1, 2, 0.5],
      ["A", 3, "eigenvalues", 2, 1, 1],
      ["A", 3, "eigenvalues", 2, 2, -0.5],
    ]);
  });

  test("share_csv_quotes_what_would_break_it", () => {
    const sheet = { nRows: 1, columns: [{ title: 'a "b", c', unit: "1", cells: ["x,y"] }] };
    expect(toCsv(sheet, { lane: null, step: null })).toBe('"a ""b"", c [1]"\r\n"x,y"\r\n');
  });
});

group("pictures", () => {
  test("share_svg_of_every_kind_of_drawing_parses_and_has_the_texts", () => {
    const palette = draw.palettes.light;
    const domain = draw.ribbonDomain([frame], null);
    const [row] = frame.rows;
    const channel = row === undefined ? null : draw.stateOf(row);
    if (row === undefined || channel === null) throw new Error("no row");
    const range = draw.symmetricRange([channel], null);
    const cursors = { hover: 1, pins: [2] };
    const panel = { ticks: true, cursors, heading: "<heading> & more" };
    const scales = [draw.gradientScale(palette, domain, "gradient")];
    const drawings: [string, (ctx: draw.Canvas2D, box: draw.Box) => void, RegExp][] = [
      [
        "ribbon",
        (ctx, box) => draw.drawRibbon(ctx, box, row, frame.floor, palette, { ...panel, domain, lane: 0 }),
        /usable/,
      ],
      ["states", (ctx, box) => draw.drawHeatmap(ctx, box, channel, palette, { ...panel, range }, null), /unit/],
      [
        "graph",
        (ctx, box) => draw.drawGraph(ctx, box, frame, palette, { ...panel, domain: draw.edgeDomain(domain) }, null),
        /input/,
      ],
      ["legend", (ctx, box) => draw.drawLegend(ctx, box, scales, palette), /gradient/],
      ["answers", (ctx, box) => draw.drawPredictions(ctx, box, frame, palette, { ...panel, lane: 0 }), /%/],
      ["task", (ctx, box) => draw.drawThumbnail(ctx, box, frame.probe, palette), /8/],
    ];
    for (const [title, paint, expected] of drawings) {
      const svg = toSvg(paint, size, palette, { title, about: "A LSTM · step 1,200" }, host);
      const texts = parsed(svg);
      expect(texts[0], title).toBe(title);
      // A number is one piece of text, whatever the widths of digits.
      expect(texts[1], title).toBe("A LSTM · step 1,200");
      expect(texts.slice(2).join(" "), title).toMatch(expected);
    }
  });

  test("share_svg_writer_has_everything_that_the_drawings_call", () => {
    const folder = new URL("../../src/draw/", import.meta.url);
    const used = new Set<string>();
    for (const file of readdirSync(folder)) {
      for (const [, name = ""] of readFileSync(new URL(file, folder), "utf8").matchAll(/(?<![.\w])ctx\??\.(\w+)/g))
        used.add(name);
    }
    // Sizing of the page's canvas, and making of offscreen pictures.
    for (const own of ["setTransform", "createImageData"]) used.delete(own);
    expect(used.size).toBeGreaterThan(20);
    const svg = new SvgContext(1, 1, host);
    expect([...used].filter((name) => !(name in svg))).toEqual([]);
  });

  test("share_svg_clips_end_where_the_state_is_restored", () => {
    const svg = new SvgContext(10, 10, host);
    svg.save();
    svg.rect(0, 0, 5, 5);
    svg.clip();
    svg.fillRect(0, 0, 9, 9);
    svg.restore();
    svg.fillStyle = "rgba(1, 2, 3, 0.5)";
    svg.fillRect(1, 1, 2, 2);
    const file = svg.toSvg("a < b");
    parsed(file);
    expect(file).toContain("<title>a &lt; b</title>");
    expect(file.indexOf("</g>")).toBeLessThan(file.indexOf('fill="rgb(1,2,3)" fill-opacity="0.5"'));
  });

  test("share_names_of_files_are_plain", () => {
    expect(fileName(["first-symbol", "A", "Gradient, layer 1", "step 1200"], "svg")).toBe(
      "unroll-first-symbol-a-gradient-layer-1-step-1200.svg",
    );
    expect(fileName(["sine", "", "Training loss"], "csv")).toBe("unroll-sine-training-loss.csv");
  });
});

group("networks", () => {
  /** The head of a safetensors file. */
  function file(shapes: Record<string, number[]>): Uint8Array {
    const entries = Object.entries(shapes).map(([name, shape]) => [
      name,
      { dtype: "F32", shape, data_offsets: [0, 0] },
    ]);
    const json = new TextEncoder().encode(JSON.stringify({ __metadata__: {}, ...Object.fromEntries(entries) }));
    const bytes = new Uint8Array(8 + json.length);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
    bytes.set(json, 8);
    return bytes;
  }
  const shapes = shapesOf(file({ "rnn.weight_ih_l0": [64, 18], "rnn.weight_hh_l0": [64, 16], "head.weight": [2, 16] }));
  const common = {
    architecture: null,
    nonlinearity: null,
    exact: false,
    decay: 3,
    hidden: 16,
    layers: 2,
    heads: 1,
    asksAtEnd: true,
    source: null,
    file: "a.safetensors",
    about: "a test",
  };

  test("share_program_has_the_sizes_of_the_file", () => {
    const text = pytorchScript({ ...common, model: "lstm" }, shapes);
    expect(text).toContain("torch.nn.LSTM(18, 16, num_layers=2)");
    expect(text).toContain("torch.nn.Linear(16, 2)");
    expect(text).toContain('load_file("a.safetensors")');
    expect(pytorchScript({ ...common, model: "elman", nonlinearity: "relu" }, shapes)).toContain(
      'torch.nn.RNN(18, 16, num_layers=2, nonlinearity="relu")',
    );
  });

  test("share_program_reads_both_directions_as_the_page_does", () => {
    const both = new Map([...shapes, ["rnn.weight_ih_l0_reverse", [64, 18]]]);
    const text = pytorchScript({ ...common, model: "lstm" }, both);
    expect(text).toContain("bidirectional=True");
    expect(text).toContain("torch.cat([h[-1, :, :16], h[0, :, 16:]], dim=-1)");
    expect(pytorchScript({ ...common, model: "lstm", asksAtEnd: false }, both)).toContain("return self.head(h)\n");
  });

  test("share_program_of_a_transformer_has_its_names_and_sizes", () => {
    const of = shapesOf(
      file({
        "embed.weight": [16, 18],
        "position.weight": [3, 16],
        "blocks.0.mlp.c_fc.weight": [64, 16],
        "head.weight": [2, 16],
      }),
    );
    const text = pytorchScript({ ...common, model: "transformer", heads: 4 }, of);
    for (const line of [
      "self.c_attn = torch.nn.Linear(16, 48)",
      "self.c_fc = torch.nn.Linear(16, 64)",
      "self.position = torch.nn.Embedding(3, 16)",
      "for _ in range(2)",
      "unflatten(-1, (4, -1))",
      "self.head = torch.nn.Linear(16, 2)",
      "network(torch.zeros(3, 1, 18))",
    ])
      expect(text).toContain(line);
  });

  test("share_program_decodes_from_the_encoders_state_and_attends_to_its_outputs", () => {
    const two = new Map([...shapes, ["decoder.weight_ih_l0", [64, 18]]]);
    const network = { ...common, model: "lstm", source: 5 };
    const plain = pytorchScript(network, two);
    expect(plain).toContain("self.decoder = torch.nn.LSTM(18, 16, num_layers=2)");
    expect(plain).toContain("def forward(self, x, source=5):");
    expect(plain).toContain("h, _ = self.decoder(x[source:], state)");
    expect(plain).not.toContain("attention");
    const luong = [
      ["attention.score.weight", [16, 16]],
      ["attention.combine.weight", [16, 32]],
    ] as const;
    const attends = pytorchScript(network, new Map([...two, ...luong].map(([name, shape]) => [name, [...shape]])));
    expect(attends).toContain('"combine": torch.nn.Linear(32, 16, bias=False)');
    expect(attends).toContain("torch.cat([context, h], dim=-1)");
    const bahdanau = pytorchScript(
      network,
      new Map([...shapes, ["decoder.weight_ih_l0", [64, 34]], ["attention.energy.weight", [1, 16]]]),
    );
    expect(bahdanau).toContain("self.decoder = torch.nn.LSTM(34, 16, num_layers=2)");
    expect(bahdanau).toContain('"energy": torch.nn.Linear(16, 1, bias=False)');
    expect(bahdanau).toContain("self.decoder(torch.cat([step, context], dim=-1)[None], state)");
    expect(bahdanau).not.toContain("combine");
  });

  test("share_program_has_the_equations_of_mamba", () => {
    const mamba = new Map([
      ["embed.weight", [16, 18]],
      ["blocks.0.mixer.x_proj.weight", [9, 32]],
      ["head.weight", [2, 16]],
    ]);
    const text = pytorchScript({ ...common, model: "mamba" }, mamba);
    expect(text).toContain("import torch.nn.functional as F\n");
    expect(text).toContain("for k in range(2)");
    expect(text).toContain("gain = delta\n");
    expect(text).toContain("x: [T, B, 18], symbols as one-hot rows. Returns [T, B, 2]");
    mamba.delete("blocks.0.mixer.x_proj.weight");
    const fixed = pytorchScript({ ...common, model: "mamba", exact: true }, mamba);
    expect(fixed).toContain('w["mixer.BC"]');
    expect(fixed).not.toContain("x_proj");
    expect(fixed).toContain("gain = (keep - 1) / a\n");
    expect(pytorchScript({ ...common, model: "retnet", decay: 5 }, mamba)).toContain("gamma = 1 - 2.0 ** -(5 + ");
  });

  test("share_program_has_the_equations_of_rwkv", () => {
    const rwkv = new Map([
      ["embed.weight", [16, 18]],
      ["ln_out.weight", [16]],
      ["head.weight", [2, 16]],
    ]);
    const text = pytorchScript({ ...common, model: "rwkv" }, rwkv);
    for (const line of ["def norm(u, w, name):", 'norm(u, weights, "ln_out")', "torch.logaddexp(level, k[t])"])
      expect(text).toContain(line);
    expect(text).not.toContain("rsqrt");
  });

  const architectureOf = (id: string) => packaged().architectures.find((one) => one.id === id) ?? null;

  beforeAll(async () => {
    await init({ module_or_path: readFileSync(new URL("../../../pkg/unroll_bg.wasm", import.meta.url)) });
  });

  test("share_program_writes_the_equations_of_every_cell_without_recurrent_weights_in_python", () => {
    const cells = packaged().architectures.filter(({ recurrent, residual }) => !recurrent && !residual);
    expect(cells.length).toBeGreaterThan(1);
    for (const architecture of cells) {
      const { id: model, gates } = architecture;
      const text = pytorchScript({ ...common, model, architecture }, shapes);
      expect(text).toContain(`.chunk(${String(gates.length)}, dim=-1)`);
      expect(text).toMatch(/\n {20}h = .*\[t\]\)? \* h \+ .*\[t\]\n/);
      expect(text).toContain("network.load_state_dict(weights)");
      // A function that it does not know is not guessed.
      const equations = architecture.equations.map((line) => line.replaceAll("\\sigma", "\\arctan"));
      const unknown = { ...architecture, equations };
      expect(pytorchScript({ ...common, model, architecture: unknown }, shapes)).toContain("PyTorch has no module");
    }
  });

  test.each([
    ["mingru", null, "class MinGRU", "v = torch.where(a_h >= 0, a_h + 0.5, torch.sigmoid(a_h))\n"],
    ["mingru", "identity", "class MinGRU", "v = a_h\n"],
    ["mingru", "g", "class MinGRU", "h = (1 - z[t]) * h + z[t] * v[t]\n"],
    ["minlstm", "g", "class MinLSTM", "f_share = f / (f + i)\n"],
    ["elman", "identity", "class LinearRNN", 'a[t] + F.linear(h, part("weight_hh"), part("bias_hh"))'],
  ])("share_program_has_a_class_where_pytorch_has_no_module_%s_%s", (model, nonlinearity, name, line) => {
    const network = { ...common, model, architecture: architectureOf(model), nonlinearity };
    const text = pytorchScript(network, shapes);
    expect(text).toContain("import torch.nn.functional as F\n");
    expect(text).toContain(`${name}(torch.nn.Module):`);
    expect(text).toContain(line);
    expect(text).toContain("(18, 16, num_layers=2)");
    const decodes = new Map([...shapes, ["decoder.weight_ih_l0", [64, 18]]]);
    expect(pytorchScript({ ...network, source: 5 }, decodes)).toContain(
      `self.decoder = ${name.slice(6)}(18, 16, num_layers=2)`,
    );
  });

  test("share_program_of_an_architecture_that_it_does_not_know_lists_the_tensors", () => {
    const text = pytorchScript({ ...common, model: "other" }, shapes);
    expect(text).toContain("PyTorch has no module");
    expect(text).not.toContain("load_state_dict");
  });
});
