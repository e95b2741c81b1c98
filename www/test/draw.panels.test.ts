/** Drawings of panels, from numbers of the package: sound at every size, and what the pointer finds is what was computed. */

import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import init, { Session } from "../../pkg/unroll.js";
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
    case "credit":
    case "credit-of-loss": {
      const matrix = draw.matrixOf(view);
      if (matrix === null) throw new Error("no matrix");
      const domain = draw.creditDomain([matrix], null);
      draw.drawCredit(made.ctx, area, matrix, palette, { ...options, domain, title: "credit" }, null);
      break;
    }
    case "update":
      draw.drawBars(made.ctx, area, draw.moveBars(view), palette, { progress: 1, colour: palette.ink });
      break;
    case "proof":
      throw new Error("a table, not a picture");
    default:
      panel satisfies never;
  }
  return made;
}

describe.each(["elman", "lstm", "gru"])("panels of %s", (id) => {
  it.each([2, 25, 100, 700])("are sound at T = %i", async (length) => {
    for (const panel of PANELS.filter((id) => id !== "proof")) {
      const view = await look(panel, id, length, length < 50 ? 2 : 1);
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

describe("an inspection", () => {
  it("that points outside of its data is refused with what is wrong", () => {
    const series = [{ id: "step", title: "step", shape: [4], offset: 1 }];
    const header = { step: 0, nSteps: 4, row: "l0", state: "h", sequences: 1, series };
    expect(() => draw.viewInspection({ header, data: new ArrayBuffer(16) })).toThrow(
      "inspection: step is [4] at 1, expected within 4 floats",
    );
  });
});
