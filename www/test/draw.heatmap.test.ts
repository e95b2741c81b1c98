import { describe, expect, it } from "vitest";
import {
  type ChannelView,
  heatmapHit,
  MISSING_PIXEL,
  orderUnits,
  paintUnits,
  palettes,
  plotBox,
  rampIndex,
  stateOf,
  symmetricRange,
  timeAxis,
  viewFrame,
} from "../src/draw/index.js";
import { firstSymbol, frameOf, network, sine } from "./support/tiny.js";

function channel(id: string): ChannelView {
  const row = viewFrame(frameOf(network(firstSymbol(20, 3), "lstm", 7, 4), 1, 2, 0)).rows[0];
  const found = row?.channels.find((c) => c.id === id);
  if (found === undefined) throw new Error(`no channel ${id}`);
  return found;
}

function made(nSteps: number, units: number, value: (t: number, j: number) => number): ChannelView {
  const values = Float32Array.from({ length: nSteps * units }, (_, i) => value(Math.floor(i / units), i % units));
  return { id: "s", title: "s", role: "state", range: null, nSteps, units, values, gradients: null };
}

describe("orderUnits", () => {
  it("is a permutation, whatever the order", () => {
    for (const by of ["index", "peak", "similarity"] as const) {
      expect([...orderUnits(channel("h"), by)].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    }
  });

  it("puts early peaks on top", () => {
    const peaks = [5, 1, 8, 3];
    const view = made(10, 4, (t, j) => (t === peaks[j] ? (j % 2 === 0 ? 1 : -1) : 0));
    expect([...orderUnits(view, "peak")]).toEqual([1, 3, 0, 2]);
  });

  it("puts units that move together, or in mirror image, side by side", () => {
    const view = made(40, 4, (t, j) =>
      j === 0 ? Math.sin(t) : j === 1 ? Math.cos(3 * t) : j === 2 ? -2 * Math.sin(t) : 0.3 * Math.cos(3 * t),
    );
    const order = [...orderUnits(view, "similarity")];
    expect(Math.abs(order.indexOf(0) - order.indexOf(2))).toBe(1);
    expect(Math.abs(order.indexOf(1) - order.indexOf(3))).toBe(1);
  });

  it("takes constant units and one timestep", () => {
    expect(
      [
        ...orderUnits(
          made(5, 3, () => 0.5),
          "similarity",
        ),
      ].sort(),
    ).toEqual([0, 1, 2]);
    expect(
      [
        ...orderUnits(
          made(1, 2, (_, j) => j),
          "peak",
        ),
      ].sort(),
    ).toEqual([0, 1]);
  });
});

describe("symmetricRange", () => {
  it("covers the largest magnitude with a round number", () => {
    expect(symmetricRange([made(2, 2, () => -0.42)], null)).toEqual([-0.5, 0.5]);
    expect(symmetricRange([made(2, 2, () => 12)], null)).toEqual([-15, 15]);
    expect(symmetricRange([made(2, 2, () => 1)], null)).toEqual([-1, 1]);
    expect(symmetricRange([made(2, 2, () => 0)], null)).toEqual([-1, 1]);
    expect(symmetricRange([made(2, 2, (t) => (t === 0 ? Number.POSITIVE_INFINITY : 3))], null)).toEqual([-3, 3]);
  });

  it("is shared by lanes and steady", () => {
    const small = made(2, 2, () => 0.4);
    const large = made(2, 2, () => 2.6);
    expect(symmetricRange([small, large], null)).toEqual([-3, 3]);
    expect(symmetricRange([small], [-1, 1])).toEqual([-1, 1]);
    expect(symmetricRange([small], [-3, 3])).toEqual([-0.5, 0.5]);
    expect(symmetricRange([large], [-1, 1])).toEqual([-3, 3]);
  });
});

describe("paintUnits", () => {
  const ramp = palettes.light.signed.pixels;

  it("has a pixel for each value, in the order asked for", () => {
    const view = channel("h");
    const order = orderUnits(view, "peak");
    const pixels = new Uint32Array(20 * 7);
    paintUnits(pixels, 20, 7, view, 1, ramp, [-1, 1], order, MISSING_PIXEL);
    for (let row = 0; row < 7; row += 1) {
      for (let t = 0; t < 20; t += 1) {
        const value = view.values[t * 7 + (order[row] ?? 0)] ?? Number.NaN;
        expect(pixels[row * 20 + t]).toBe(ramp[rampIndex(value, -1, 1) ?? 0]);
      }
    }
  });

  it("shows the value of largest magnitude where pixels are few, with its sign", () => {
    const view = made(4, 2, (t, j) => (t === 2 && j === 1 ? -0.9 : 0.1));
    const pixels = new Uint32Array(2);
    paintUnits(pixels, 2, 1, view, 2, ramp, [-1, 1], null, MISSING_PIXEL);
    expect(pixels[0]).toBe(ramp[rampIndex(0.1, -1, 1) ?? 0]);
    expect(pixels[1]).toBe(ramp[rampIndex(-0.9, -1, 1) ?? 0]);
  });

  it("marks what is not a number, wherever it stands", () => {
    for (const at of [0, 1]) {
      const view = made(2, 1, (t) => (t === at ? Number.NaN : 0.5));
      const pixels = new Uint32Array(1);
      paintUnits(pixels, 1, 1, view, 2, ramp, [-1, 1], null, MISSING_PIXEL);
      expect(pixels[0]).toBe(MISSING_PIXEL);
    }
  });
});

describe("heatmapHit", () => {
  it("finds the unit drawn there, and its value", () => {
    const view = stateOf(
      viewFrame(frameOf(network(sine(30), "elman", 9, 1), 1, 2, 0)).rows[0] ?? {
        id: "",
        title: "",
        layer: 0,
        reverse: false,
        units: 0,
        channels: [],
        ribbons: [],
      },
    );
    if (view === null) throw new Error("no state");
    const box = { x: 0, y: 50, width: 600, height: 120 };
    const options = { heading: "h", ticks: true, order: orderUnits(view, "similarity") };
    const axis = timeAxis(30, box);
    const plot = plotBox(box, axis, options);
    for (let row = 0; row < 9; row += 1) {
      const hit = heatmapHit(box, view, options, axis.centre(11), plot.y + ((row + 0.5) * plot.height) / 9);
      expect(hit).toEqual({
        step: 11,
        unit: options.order[row],
        value: view.values[11 * 9 + (options.order[row] ?? 0)],
      });
    }
    expect(heatmapHit(box, view, options, axis.centre(11), plot.y - 1)).toBeNull();
    expect(heatmapHit(box, view, options, axis.x1 + 1, plot.y + 5)).toBeNull();
  });
});
