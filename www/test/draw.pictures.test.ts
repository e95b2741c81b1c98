/** Every drawing, at every size: finite numbers, inside its box, a context left as it was, and the texts that must be there. */

import { beforeAll, describe, expect, it } from "vitest";
import * as draw from "../src/draw/index.js";
import { installOffscreenCanvas, recorder, type Recorder } from "./support/recorder.js";
import { sound } from "./support/sound.js";
import { adding, firstSymbol, fit as fitOf, frameOf, network, parity, sine, type Task } from "./support/tiny.js";

beforeAll(installOffscreenCanvas);

const box = (width: number, height: number): draw.Box => ({ x: 0, y: 0, width, height });
const cursors = { hover: 1, pins: [0, 5000] };

function drawAll(frame: draw.FrameView, width: number, palette: draw.Palette): Map<string, Recorder> {
  const made = new Map<string, Recorder>();
  const on = (name: string, paint: (ctx: CanvasRenderingContext2D) => void): void => {
    const r = recorder();
    paint(r.ctx);
    made.set(name, r);
  };
  const domain = draw.ribbonDomain([frame], null);
  const panel = { heading: "heading", ticks: true, cursors };
  for (const show of ["units", 0] as const) {
    const options = { ...panel, domain: draw.edgeDomain(domain), show };
    on(`graph ${String(show)}`, (ctx) =>
      draw.drawGraph(ctx, box(width, draw.graphHeight(frame, width, panel)), frame, palette, options, null),
    );
  }
  for (const row of frame.rows) {
    on(`ribbon ${row.id}`, (ctx) => {
      const ghost = row.ribbons[0];
      const ghosts = ghost === undefined ? [] : [{ ribbon: ghost, label: "before" }];
      draw.drawRibbon(ctx, box(width, 180), row, frame.floor, palette, { ...panel, domain, lane: 2, ghosts });
    });
    for (const channel of row.channels) {
      const order = draw.orderUnits(channel, "peak");
      const options = {
        ...panel,
        order,
        orderedBy: "peak",
        range: draw.symmetricRange([channel], null),
        unit: 0,
      } as const;
      on(`heatmap ${row.id} ${channel.id}`, (ctx) =>
        draw.drawHeatmap(ctx, box(width, 110), channel, palette, options, null),
      );
    }
  }
  on("thumbnail", (ctx) => {
    draw.drawThumbnail(ctx, box(240, draw.thumbnailHeight(frame.probe)), frame.probe, palette);
  });
  on("predictions", (ctx) => {
    draw.drawPredictions(ctx, box(width, draw.predictionsHeight(frame.probe)), frame, palette, { ...panel, lane: 1 });
  });
  on("legend", (ctx) => {
    const scales = [
      draw.channelScale(palette, "state", [-1, 1], "state"),
      draw.gradientScale(palette, domain, "gradient"),
    ];
    draw.drawLegend(ctx, box(width, draw.legendHeight(2)), scales, palette);
  });
  return made;
}

const TASKS: [string, (nSteps: number) => Task][] = [
  ["first symbol", (n) => firstSymbol(n, 4)],
  ["parity", parity],
  ["sine", sine],
  ["adding", adding],
];

describe.each(TASKS)("pictures of %s", (_, task) => {
  it.each([2, 8, 25, 100, 700])("are sound at T = %i", (nSteps) => {
    const kind = nSteps % 2 === 0 ? "lstm" : "elman";
    const frame = draw.viewFrame(frameOf(network(task(nSteps), kind, 3, 1, nSteps < 50 ? 2 : 1, nSteps < 50), 1, 2, 0));
    for (const width of [340, 900]) {
      for (const [name, made] of drawAll(frame, width, width === 340 ? draw.palettes.dark : draw.palettes.light)) {
        sound(made, `${name}, T ${String(nSteps)}, ${String(width)} px`);
        expect(made.calls.length, name).toBeGreaterThan(5);
      }
    }
  });
});

describe("pictures", () => {
  it("are sound at T = 4096, in a number of calls that does not grow with it", () => {
    const frame = draw.viewFrame(frameOf(network(firstSymbol(4096, 4), "elman", 2, 1), 1, 1, 0));
    const made = drawAll(frame, 900, draw.palettes.contrast);
    for (const [name, one] of made) sound(one, name);
    expect(made.get("ribbon l0")?.calls.length).toBeLessThan(6000);
    expect(made.get("heatmap l0 h")?.texts()).toContain("6 timesteps a column");
  });

  it("are sound at one timestep", () => {
    const frame = draw.viewFrame(frameOf(network(firstSymbol(1, 2), "elman", 1, 1), 1, 1, 0));
    for (const [name, made] of drawAll(frame, 340, draw.palettes.light)) sound(made, name);
  });

  it("are sound when the numbers are not", () => {
    const packed = frameOf(network(sine(12), "lstm", 3, 1), 1, 2, 0);
    for (const broken of [Number.NaN, Number.POSITIVE_INFINITY, 0]) {
      const data = new Float32Array(packed.data.slice(0));
      data.fill(broken, 0, packed.header.probe.input.offset);
      data.fill(broken, packed.header.probe.outputOffset, packed.header.probe.maskOffset);
      const frame = draw.viewFrame({ header: packed.header, data: data.buffer });
      for (const [name, made] of drawAll(frame, 900, draw.palettes.light)) sound(made, `${name} of ${String(broken)}`);
    }
  });

  it("print the absolute range of every colour", () => {
    const frame = draw.viewFrame(frameOf(network(firstSymbol(10, 3), "lstm", 4, 1), 1, 2, 0));
    const made = drawAll(frame, 900, draw.palettes.light);
    expect(made.get("heatmap l0 f")?.texts()).toEqual(expect.arrayContaining(["heading"]));
    const cell = frame.rows[0]?.channels.find(({ id }) => id === "c");
    if (cell === undefined) throw new Error("no cell state");
    const [, high] = draw.symmetricRange([cell], null);
    expect(made.get("heatmap l0 c")?.texts()).toEqual(expect.arrayContaining([`+${String(high)}`, `−${String(high)}`]));
    const [low, top] = draw.edgeDomain(draw.ribbonDomain([frame], null));
    expect(made.get("graph units")?.texts()).toEqual(
      expect.arrayContaining([draw.numbers.powerOfTen(top), `≤ ${draw.numbers.powerOfTen(low)}`]),
    );
  });

  it("label zones, the fit and the floor directly", () => {
    const net = network(firstSymbol(60, 3), "elman", 4, 1);
    for (const l of net.layers.flat()) l.wHh.data.forEach((v, i) => (l.wHh.data[i] = v * 0.2));
    const frame = draw.viewFrame(frameOf(net, 1, 3, 0));
    const texts = drawAll(frame, 900, draw.palettes.light).get("ribbon l0")?.texts() ?? [];
    const fit = frame.rows[0]?.ribbons[0]?.fit;
    expect(texts).toEqual(expect.arrayContaining(["dead", "before", "floor of f32, 10⁻³⁸"]));
    expect(texts).toContain(`${draw.numbers.factor(fit?.factor ?? Number.NaN)} a step back`);
  });

  it("draw each column of the heatmap under its node and its point of the ribbon", () => {
    const frame = draw.viewFrame(frameOf(network(firstSymbol(12, 3), "elman", 4, 1), 1, 2, 0));
    const made = drawAll(frame, 900, draw.palettes.light);
    const axis = draw.timeAxis(12, box(900, 1));
    const nodes = made
      .get("graph units")
      ?.calls.filter(({ name }) => name === "arc")
      .map(({ args }) => args[0]);
    const points = made
      .get("ribbon l0")
      ?.calls.filter(({ name }) => name === "lineTo")
      .map(({ args }) => args[0]);
    for (let t = 0; t < 12; t += 1) {
      expect(nodes).toContain(axis.centre(t));
      expect(points).toContain(axis.centre(t));
    }
  });
});

describe("graphHit", () => {
  it("finds node, input and output", () => {
    const frame = draw.viewFrame(frameOf(network(firstSymbol(10, 3), "elman", 4, 1, 2), 1, 2, 0));
    const options = { heading: null, ticks: false };
    const b = { x: 20, y: 40, width: 900, height: draw.graphHeight(frame, 900, options) };
    const layout = draw.graphLayout(frame, b, options);
    const x = layout.axis.centre(6);
    layout.rows.forEach((y, row) => {
      expect(draw.graphHit(frame, b, options, x, y)).toEqual({ step: 6, row, part: "node" });
    });
    expect(layout.rows[0]).toBeGreaterThan(layout.rows[1] ?? Number.POSITIVE_INFINITY);
    expect(draw.graphHit(frame, b, options, x, layout.inputs.y + 3)).toEqual({ step: 6, row: null, part: "input" });
    expect(draw.graphHit(frame, b, options, x, layout.outputs.y + 3)).toEqual({ step: 6, row: null, part: "output" });
    expect(draw.graphHit(frame, b, options, 21, layout.rows[0] ?? 0)).toBeNull();
    expect(draw.graphHit(frame, b, options, x, 39)).toBeNull();
  });

  it("becomes marks and a strip as timesteps grow", () => {
    const modes = [8, 25, 100, 400].map((nSteps) => {
      const frame = draw.viewFrame(frameOf(network(firstSymbol(nSteps, 3), "elman", 2, 1), 1, 1, 0));
      return draw.graphLayout(frame, box(900, 120), {}).mode;
    });
    expect(modes).toEqual(["nodes", "nodes", "marks", "strip"]);
  });
});

describe("drawCurves", () => {
  it("is sound, empty and full, and names the lanes with their last values", () => {
    const values = Array.from({ length: 300 }, (_, i) => 1 / (1 + i));
    const series = [0, 1].map((lane) => ({
      lane,
      label: "AB".charAt(lane),
      n: 300,
      steps: Array.from(values.keys()),
      values,
    }));
    for (const scale of ["log", "linear"] as const) {
      for (const n of [0, 1, 300]) {
        const all = series.map((one) => ({ ...one, n }));
        const references = [{ value: 0.17, label: "without memory" }];
        const range = draw.curveRange(all, references, scale, null);
        const made = recorder();
        const options = { heading: "Loss", scale, range, steps: [0, 300], references, alpha: 0.1, cursor: 12 } as const;
        draw.drawCurves(made.ctx, box(300, 170), all, draw.palettes.light, options);
        sound(made, `curves ${scale} ${String(n)}`);
        expect(made.texts()).toEqual(expect.arrayContaining(["Loss", "without memory"]));
        if (n === 300) expect(made.texts().some((text) => text.startsWith("A 0.0769"))).toBe(true);
      }
    }
  });
});

describe("the names of lines in a ribbon", () => {
  it("never stand on the label of the fit, however narrow the picture is", () => {
    const nSteps = 25;
    const measured = fitOf(
      Array.from({ length: nSteps }, (_, t) => 2 ** t),
      false,
    );
    if (measured === null) throw new Error("a straight line has a fit");
    const ribbon = (id: string, factor: number): draw.RibbonView => {
      const line = Float32Array.from({ length: nSteps }, (_, t) => 0.2 * factor ** (nSteps - 1 - t));
      const fit = { ...measured, factor, atTo: 0.2, from: 0, to: nSteps - 1 };
      return { id, title: id, reverse: false, reference: nSteps - 1, median: line, lower: line, upper: line, fit };
    };
    const [main, ghost] = [ribbon("h", 0.5), ribbon("bound", 0.98)];
    const row = { id: "l0", layer: 0, reverse: false, channels: [], ribbons: [main] } as unknown as draw.RowView;
    // The upper line leaves no room above itself, as a bound does.
    for (let width = 300; width <= 800; width += 10) {
      for (const [height, high] of [
        [90, 0],
        [110, 0],
        [110, 1],
        [130, 0],
        [130, 1],
      ] as const) {
        const made = recorder();
        const options = {
          domain: [-10, high],
          lane: 0,
          fit: true,
          ghosts: [{ ribbon: ghost, label: "bound" }],
        } as const;
        draw.drawRibbon(made.ctx, box(width, height), row, 1e-38, draw.palettes.light, options);
        const at = (text: string): draw.Box => {
          const call = made.calls.find(({ name, args }) => name === "fillText" && String(args[0]).endsWith(text));
          if (call === undefined) throw new Error(`${text} is not drawn`);
          const length = made.ctx.measureText(String(call.args[0])).width;
          return { x: Number(call.args[1]), y: Number(call.args[2]) - 11, width: length, height: 13 };
        };
        const [fit, name] = [at("a step back"), at("bound")];
        const apart =
          name.x >= fit.x + fit.width ||
          name.x + name.width <= fit.x ||
          name.y >= fit.y + fit.height ||
          name.y + name.height <= fit.y;
        expect(apart, `${String(width)} × ${String(height)} px: ${JSON.stringify([fit, name])}`).toBe(true);
      }
    }
  });

  it("never stand on the line between a source and its answer, nor does the label of the fit", () => {
    const nSteps = 20;
    const median = Float32Array.from({ length: nSteps }, (_, t) => 0.9 ** Math.abs(t - 10));
    const fit = { ...fitOf([...median], false), factor: 1.02, atTo: 1, from: 0, to: nSteps - 1 } as draw.Fit;
    const of = (id: string, by: number): draw.RibbonView => {
      const line = median.map((value) => by * value);
      return { id, title: id, reverse: false, reference: nSteps - 1, median: line, lower: line, upper: line, fit };
    };
    const ribbons = [of("h", 1), of("c", 0.1)];
    const row = { id: "l0", layer: 0, reverse: false, channels: [], ribbons } as unknown as draw.RowView;
    const said = new Set<boolean>();
    for (let width = 240; width <= 800; width += 10) {
      const made = recorder();
      const cursors = { hover: null, pins: [], answer: 10 };
      const options = { domain: [-8, 1], lane: 0, fit: true, cursors } as const;
      draw.drawRibbon(made.ctx, box(width, 130), row, 1e-38, draw.palettes.light, options);
      const divider = draw.timeAxis(nSteps, box(width, 130)).left(10);
      for (const { name, args } of made.calls) {
        const text = String(args[0]);
        if (name !== "fillText" || !/^(×|h$|c$)/.test(text)) continue;
        if (text.startsWith("×")) said.add(text.endsWith("a step back"));
        const [left, right] = [Number(args[1]), Number(args[1]) + made.ctx.measureText(text).width];
        expect(right < divider || left > divider, `${text} at ${String(width)} px`).toBe(true);
      }
    }
    // In full where it fits, the number alone where it does not.
    expect(said).toEqual(new Set([true, false]));
  });
});
