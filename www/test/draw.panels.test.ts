/** Drawings of panels, from numbers of the package: sound at every size, and what the pointer finds is what was computed. */

import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import init, { Session, cliff } from "../../pkg/unroll.js";
import type { InspectionQuery } from "../../pkg/unroll.js";
import * as draw from "../src/draw/index.js";
import { PANELS } from "./support/panels.js";
import { installOffscreenCanvas, recorder, type Recorder } from "./support/recorder.js";
import { sound } from "./support/sound.js";

beforeAll(async () => {
  installOffscreenCanvas();
  await init({ module_or_path: readFileSync(new URL("../../pkg/unroll_bg.wasm", import.meta.url)) });
});

async function look(
  panel: InspectionQuery["panel"],
  id: string,
  length: number,
  layers = 1,
): Promise<draw.InspectionView> {
  const session = await Session.create({ task: { id: "adding", length }, model: { id, hidden: 6, layers }, batch: 4 });
  const view = draw.viewInspection(await session.inspect({ panel, row: layers - 1, step: 1 }));
  session.free();
  return view;
}

const box = (width: number, height: number): draw.Box => ({ x: 0, y: 0, width, height });
const cursors = { hover: 1, pins: [0, 5000] };

function drawn(
  view: draw.InspectionView,
  panel: InspectionQuery["panel"],
  width: number,
  palette: draw.Palette,
): Recorder {
  const made = recorder();
  const options = { cursors, ticks: true, lane: 1 };
  const area = box(width, 200);
  switch (panel) {
    case "factors":
      draw.drawFactors(made.ctx, area, view, palette, { ...options, domain: draw.factorDomain([view], null) });
      break;
    case "pipe":
      draw.drawPipe(made.ctx, area, view, palette, options);
      break;
    case "spectrum":
      draw.drawSpectrum(made.ctx, area, view, palette, { lane: 1, reach: draw.spectrumReach([view], null) });
      break;
    case "ledger": {
      draw.drawLedger(made.ctx, area, view, palette, { ...options, reach: draw.ledgerReach([view], null) });
      const product = view.series.get("product");
      if (product === undefined) throw new Error("no product");
      draw.drawProduct(made.ctx, area, product, draw.symmetricRange([product], null), palette, null);
      break;
    }
    case "poke-input":
    case "poke-state":
      draw.drawRipple(made.ctx, area, view, palette, { ...options, domain: draw.rippleDomain([view], null) });
      break;
    case "portrait":
    case "portrait-of-memory": {
      const portrait = draw.portraitOf(view);
      if (portrait === null) throw new Error("no portrait");
      const ghosts = [draw.onAxes(view, new Float32Array(6 * view.nSteps), 6)];
      const reach = draw.portraitReach(portrait, null);
      draw.drawPortrait(made.ctx, area, portrait, palette, { lane: 1, reach, cursors, ghosts });
      break;
    }
    case "credit":
    case "credit-of-loss":
    case "attention": {
      const matrix = draw.matrixOf(view);
      if (matrix === null) throw new Error("no matrix");
      const domain = draw.creditDomain([matrix], null);
      draw.drawCredit(made.ctx, area, matrix, palette, { ...options, domain, title: "credit" }, null);
      break;
    }
    case "update":
      draw.drawBars(made.ctx, area, draw.moveBars(view), palette, { progress: 1, colour: palette.ink });
      break;
    case "pace":
    case "proof":
      throw new Error("a table, not a picture");
    default:
      panel satisfies never;
  }
  return made;
}

describe.each(["elman", "lstm", "gru"])("panels of %s", (id) => {
  it.each([2, 25, 100, 700])("are sound at T = %i", async (length) => {
    for (const panel of PANELS.filter((id) => id !== "proof" && id !== "pace")) {
      const view = await look(panel, id, length, length < 50 ? 2 : 1);
      expect(view.absent === null).toBe(panel !== "attention");
      if (view.absent !== null) continue;
      for (const width of [340, 900]) {
        const palette = width === 340 ? draw.palettes.dark : draw.palettes.contrast;
        const made = drawn(view, panel, width, palette);
        sound(made, `${panel}, T ${String(length)}, ${String(width)} px`);
        expect(made.calls.length).toBeGreaterThan(5);
      }
    }
  });
});

describe("the credit matrix", () => {
  it("gives the entry under the pointer", async () => {
    const matrix = draw.matrixOf(await look("credit", "elman", 10));
    if (matrix === null) throw new Error("no matrix");
    const options = { domain: [-6, 0] as const, title: "" };
    const axis = draw.timeAxis(10, box(400, 200));
    const hit = draw.creditHit(box(400, 200), matrix, options, axis.centre(3), 175);
    expect(hit).toEqual({ t: 8, k: 3, value: matrix.values[8 * 10 + 3] });
    expect(draw.creditHit(box(400, 200), matrix, options, axis.x0 - 5, 175)).toBeNull();
  });

  it("has a domain of whole decades that covers it, moves in jumps, and spans ten at most", () => {
    const of = (...values: number[]): draw.Matrix => ({
      nSteps: values.length,
      nRows: 1,
      values: Float32Array.from(values),
      times: Float32Array.of(0),
    });
    expect(draw.creditDomain([of(0, 2e-5, 0.3)], null)).toEqual([-5, 0]);
    expect(draw.creditDomain([of(1e-30, 0.3)], null)).toEqual([-10, 0]);
    expect(draw.creditDomain([of(2e-4, 0.03)], [-5, 0])).toEqual([-5, 0]);
    expect(draw.creditDomain([of(2e-7, 30)], [-5, 0])).toEqual([-7, 2]);
    expect(draw.creditDomain([of(0)], null)).toEqual([-6, 0]);
  });
});

describe("the factor chain", () => {
  it("has a domain around 1 that grows at once", async () => {
    const view = await look("factors", "elman", 12);
    const domain = draw.factorDomain([view], null);
    expect(domain[0]).toBeLessThanOrEqual(-1);
    expect(domain[1]).toBeGreaterThan(0);
    for (const { values } of draw.timed(view)) {
      for (const value of values.slice(1)) expect(Math.log10(value)).toBeGreaterThanOrEqual(domain[0]);
    }
    expect(draw.factorDomain([], domain)).toEqual(domain[0] < -1 ? draw.factorDomain([], domain) : domain);
  });
});

describe("the spectrum", () => {
  it("gives the radius under the pointer, and a reach that does not creep", async () => {
    const view = await look("spectrum", "elman", 12);
    const reach = draw.spectrumReach([view], null);
    expect(reach).toBeGreaterThanOrEqual(1.25);
    expect(draw.spectrumReach([view], reach + 0.25)).toBe(reach + 0.25);
    expect(draw.spectrumReach([view], reach + 1)).toBe(reach);
    const options = { lane: 0, reach };
    // The middle of the plane is 0; the same way off it in any direction is the same radius.
    const half = 200 / 2 - 4;
    const centre = { x: half + 4, y: 100 };
    expect(draw.radiusAt(box(400, 200), options, centre.x, centre.y)).toBeCloseTo(0, 6);
    const right = draw.radiusAt(box(400, 200), options, centre.x + 40, centre.y);
    expect(right).toBeCloseTo((40 / half) * reach, 6);
    expect(draw.radiusAt(box(400, 200), options, centre.x, centre.y - 40)).toBeCloseTo(right ?? Number.NaN, 6);
    expect(draw.radiusAt(box(400, 200), options, 390, 100)).toBeNull();
  });

  it("bounds the ribbon of a loss at the last step alone", async () => {
    const session = await Session.create({
      task: { id: "adding", length: 20 },
      model: { id: "elman", hidden: 6 },
      batch: 4,
    });
    const frame = draw.viewFrame(await session.frame());
    const view = draw.viewInspection(await session.inspect({ panel: "spectrum" }));
    const [ribbon] = frame.rows[0]?.ribbons ?? [];
    if (ribbon === undefined) throw new Error("no ribbon");
    const bound = draw.boundOver(ribbon, frame.probe.scored, view);
    expect(bound?.median[19]).toBeCloseTo(ribbon.median[19] ?? Number.NaN, 6);
    ribbon.median.forEach((value, t) => {
      expect(bound?.median[t]).toBeGreaterThanOrEqual(value * (1 - 1e-5));
    });
    expect(draw.boundOver(ribbon, [3, 19], view)).toBeNull();
    session.free();
  });
});

describe("the portrait", () => {
  const portrait = async (id: string, hidden: number, changes: object = {}): Promise<draw.InspectionView> => {
    const session = await Session.create({ task: { id: "adding", length: 12 }, model: { id, hidden }, batch: 4 });
    const view = draw.viewInspection(await session.inspect({ panel: "portrait", ...changes }));
    session.free();
    return view;
  };
  const plain = (view: draw.InspectionView): draw.Portrait => {
    const found = draw.portraitOf(view);
    if (found === null) throw new Error("no portrait");
    return found;
  };

  it("is sound for one, two and more units, with a flow where the layer has one", async () => {
    for (const id of ["elman", "lstm", "gru"]) {
      for (const hidden of [1, 2, 3]) {
        const view = plain(await portrait(id, hidden));
        expect(view.flow !== null).toBe(hidden === 2 && id !== "lstm");
        expect(view.share !== null).toBe(hidden > 2);
        for (const width of [340, 900]) {
          const made = recorder();
          const reach = draw.portraitReach(view, null);
          draw.drawPortrait(made.ctx, box(width, 300), view, draw.palettes.light, { lane: 0, reach });
          sound(made, `${id}, ${String(hidden)} units`);
          expect(made.texts()).toContain("t 12");
        }
      }
    }
  });

  it("finds the state under the pointer", async () => {
    const view = plain(await portrait("elman", 2));
    const [x = 0, y = 0] = [view.way.x[7], view.way.y[7]];
    // A square plane of 254 pixels from (50, 8), from −2 to 2 in both directions.
    const at = { x: 50 + 127 + (x * 127) / 2, y: 8 + 127 - (y * 127) / 2 };
    const hit = draw.portraitHit(box(600, 300), view, 2, at.x, at.y) ?? -1;
    const away = (t: number): number => Math.hypot((view.way.x[t] ?? 9) - x, (view.way.y[t] ?? 9) - y);
    expect(away(hit)).toBeLessThan(1e-6);
    expect(draw.portraitHit(box(600, 300), view, 2, 580, 290)).toBeNull();
  });

  it("keeps signs and order of its components, and every number with them", async () => {
    const view = await portrait("elman", 6);
    const of = (id: string): Float32Array => view.series.get(id)?.values ?? new Float32Array();
    const turned = (change: Record<string, (values: Float32Array) => Float32Array>): draw.InspectionView => ({
      ...view,
      series: new Map(
        [...view.series].map(([id, one]) => [id, { ...one, values: (change[id] ?? ((v) => v))(one.values) }]),
      ),
    });
    const negate = (values: Float32Array): Float32Array => values.map((value) => -value);
    const halves = (values: Float32Array, part: number): Float32Array =>
      values.map((_, n) => values[n + (Math.floor(n / part) % 2 === 0 ? part : -part)] ?? Number.NaN);
    const numbers = (one: draw.InspectionView): unknown =>
      ["x", "y", "others", "axes", "share"].map((id) =>
        [...(one.series.get(id)?.values ?? [])].map((value) => value + 0),
      );
    // Against itself, and turned round against itself, it is what it was.
    expect(numbers(draw.aligned(view, view))).toEqual(numbers(view));
    expect(numbers(draw.aligned(view, undefined))).toEqual(numbers(view));
    const round = turned({ x: negate, y: negate, others: negate, axes: negate });
    expect(numbers(draw.aligned(round, view))).toEqual(numbers(view));
    // Components that are about as large may trade places.
    const even = turned({ share: () => Float32Array.of(0.4, 0.4) });
    const traded = {
      ...even,
      series: new Map(
        [...even.series].map(([id, one]) => {
          if (id === "axes") return [id, { ...one, values: halves(one.values, 6) }];
          if (id === "others") return [id, { ...one, values: halves(one.values, 12) }];
          if (id === "x") return [id, { ...one, values: of("y") }];
          return [id, id === "y" ? { ...one, values: of("x") } : one];
        }),
      ),
    };
    expect(numbers(draw.aligned(traded, even))).toEqual(numbers(even));
    // One that is much larger keeps the first axis.
    const uneven = {
      ...traded,
      series: new Map([
        ...traded.series,
        ["share", { id: "share", title: "", shape: [1, 2], values: Float32Array.of(0.8, 0.1) }],
      ]),
    };
    expect(draw.aligned(uneven, even).series.get("x")?.values.map(Math.abs)).toEqual(of("y").map(Math.abs));
  });

  it("puts states on its axes as the package does", async () => {
    const session = await Session.create({
      task: { id: "adding", length: 12 },
      model: { id: "gru", hidden: 5 },
      batch: 4,
    });
    const row = draw.viewFrame(await session.frame()).rows[0];
    const view = draw.viewInspection(await session.inspect({ panel: "portrait" }));
    session.free();
    const states = row === undefined ? null : draw.channelOf(row, "h");
    const way = draw.onAxes(view, states?.values ?? [], 5);
    for (const axis of ["x", "y"] as const) {
      expect(way[axis]).toHaveLength(12);
      view.series.get(axis)?.values.forEach((value, t) => {
        expect(way[axis][t]).toBeCloseTo(value, 5);
      });
    }
  });

  it("has a reach that does not creep", async () => {
    const view = plain(await portrait("elman", 6));
    const reach = draw.portraitReach(view, null);
    expect(reach).toBeGreaterThanOrEqual(view.reach);
    expect(draw.portraitReach({ ...view, reach: 0.9 * view.reach }, reach)).toBe(reach);
    expect(draw.portraitReach({ ...view, reach: 0.3 * view.reach }, reach)).toBeLessThan(0.5 * reach);
    expect(draw.portraitReach({ ...view, reach: 2 * view.reach }, reach)).toBeGreaterThan(reach);
  });
});

describe("the cliff", () => {
  const way = (...points: [number, number][]): draw.CliffPoint[] =>
    points.map(([w, b]) => ({ w, b, loss: 0, norm: 0 }));

  it("is sound at every size, for starts anywhere and with ways that leave the picture", () => {
    for (const query of [{}, { w: 4, b: -4 }, { w: 7, b: -1.5 }, { w: 5, b: -2, rate: 100 }]) {
      const view = draw.viewCliff(cliff(query));
      for (const width of [340, 900]) {
        for (const show of ["loss", "gradient"] as const) {
          const made = recorder();
          draw.drawCliff(made.ctx, box(width, 300), view, draw.palettes.dark, { show }, null);
          sound(made, `surface of ${show}, ${JSON.stringify(query)}, ${String(width)} px`);
        }
        const made = recorder();
        draw.drawSection(made.ctx, box(width, 300), view, draw.palettes.contrast);
        sound(made, `section, ${JSON.stringify(query)}, ${String(width)} px`);
        expect(made.texts().some((text) => text.startsWith("wall"))).toBe(query.w !== 4);
      }
    }
  });

  it("has its folds and its wall where they are known", () => {
    const view = draw.viewCliff(cliff({ w: 5 }));
    expect(view.folds.map(({ b }) => draw.decimal(b, 5))).toEqual(["−2.65561", "−2.34439"]);
    expect(view.wall).toBeCloseTo(-2.612, 3);
    expect(view.loss).toHaveLength(view.rows * view.columns);
    expect(view.plain[0]).toEqual(view.clipped[0]);
    // On the curve, stability changes at the folds alone.
    const changes = view.fixed.filter(({ isStable }, n) => n > 0 && isStable !== view.fixed[n - 1]?.isStable);
    expect(changes.map(({ b }) => b.toFixed(2))).toEqual(["-2.34", "-2.66"]);
  });

  it("finds the parameters under the pointer and the longest step", () => {
    const view = draw.viewCliff(cliff({}));
    const at = (x: number, y: number): ReturnType<typeof draw.parametersAt> =>
      draw.parametersAt(box(508, 250), view, x, y);
    expect(at(46, 216)).toEqual({ w: 4, b: -4 });
    expect(at(446, 16)).toEqual({ w: 7, b: -1.5 });
    expect(at(246, 116)).toEqual({ w: 5.5, b: -2.75 });
    expect(at(20, 116)).toBeNull();
    expect(draw.longestStep(way([0, 0], [3, 4], [3, 5]))).toEqual({ from: 0, length: 5 });
    expect(draw.longestStep(way([1, 1]))).toBeNull();
  });
});

describe("an inspection", () => {
  it("that points outside of its data is refused with what is wrong", () => {
    const series = [{ id: "step", title: "step", shape: [4], offset: 1 }];
    const header = { step: 0, nSteps: 4, row: "l0", state: "h", sequences: 1, series };
    expect(() => draw.viewInspection({ header, data: new ArrayBuffer(16) })).toThrow(
      "inspection: step is [4] at 1, expected within 4 floats",
    );
  });
});
