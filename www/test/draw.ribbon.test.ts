import { describe, expect, it } from "vitest";
import {
  type FrameView,
  fitAt,
  logOf,
  ribbonDomain,
  ribbonHit,
  timeAxis,
  viewFrame,
  zoneOf,
} from "../src/draw/index.js";
import { FLOOR, firstSymbol, frameOf, network } from "./support/tiny.js";

function frame(kind: "elman" | "lstm", nSteps: number, gain = 1): FrameView {
  const net = network(firstSymbol(nSteps, 3), kind, 8, 5);
  for (const l of net.layers.flat()) l.wHh.data.forEach((v, i) => (l.wHh.data[i] = v * gain));
  return viewFrame(frameOf(net, 2, 4, 0));
}

describe("ribbonDomain", () => {
  it("covers the bands of all lanes in whole decades", () => {
    const lanes = [frame("elman", 25), frame("lstm", 25)];
    const [low, high] = ribbonDomain(lanes, null);
    expect(Number.isInteger(low) && Number.isInteger(high)).toBe(true);
    for (const lane of lanes) {
      for (const ribbon of lane.rows[0]?.ribbons ?? []) {
        for (const value of ribbon.lower) expect(Math.log10(value)).toBeGreaterThan(low);
        for (const value of ribbon.upper) expect(Math.log10(value)).toBeLessThan(high);
      }
    }
    expect(high - low).toBeGreaterThanOrEqual(6);
  });

  it("grows at once, and shrinks only when more than three decades are empty", () => {
    const lanes = [frame("elman", 25)];
    const [low, high] = ribbonDomain(lanes, null);
    expect(ribbonDomain(lanes, [low + 1, high - 1])).toEqual([low, high]);
    expect(ribbonDomain(lanes, [low - 3, high + 2])).toEqual([low - 3, high + 2]);
    expect(ribbonDomain(lanes, [low - 4, high])).toEqual([low, high]);
    expect(ribbonDomain(lanes, [low, high + 4])).toEqual([low, high]);
  });

  it("does not jitter: the second look at the same data changes nothing", () => {
    const lanes = [frame("elman", 100), frame("lstm", 100)];
    const once = ribbonDomain(lanes, null);
    expect(ribbonDomain(lanes, once)).toEqual(once);
  });

  it("reaches the floor of f32 and no further", () => {
    const [low] = ribbonDomain([frame("elman", 200, 0.3)], null);
    expect(low).toBe(-38);
  });

  it("does not count timesteps that no gradient reaches at all", () => {
    const view = frame("elman", 25);
    const row = view.rows[0];
    const ribbon = row?.ribbons[0];
    if (row === undefined || ribbon === undefined) throw new Error("no ribbon");
    const none = (values: Float32Array): Float32Array => values.map((value, t) => (t < 24 ? 0 : value));
    const last = { ...ribbon, lower: none(ribbon.lower), upper: none(ribbon.upper) };
    const [low, high] = ribbonDomain([{ ...view, rows: [{ ...row, ribbons: [last] }] }], null);
    expect(high - low).toBe(6);
  });

  it("does not count timesteps after the last loss", () => {
    const view = frame("elman", 25);
    const row = view.rows[0];
    const ribbon = row?.ribbons[0];
    if (row === undefined || ribbon === undefined) throw new Error("no ribbon");
    const cut = { ...ribbon, reference: 20, lower: Float32Array.from(ribbon.lower, (v, t) => (t > 20 ? 0 : v)) };
    const [low] = ribbonDomain([{ ...view, rows: [{ ...row, ribbons: [cut] }] }], null);
    expect(low).toBeGreaterThan(-30);
  });

  it("keeps what it had when there is nothing to show", () => {
    expect(ribbonDomain([], [-9, 2])).toEqual([-9, 2]);
    expect(ribbonDomain([], null)).toEqual([-8, 1]);
  });
});

describe("zones", () => {
  it("begin at the stated shares of the reference", () => {
    expect(zoneOf(1)).toBe("usable");
    expect(zoneOf(1e3)).toBe("usable");
    expect(zoneOf(1.01e3)).toBe("exploding");
    expect(zoneOf(1e-3)).toBe("usable");
    expect(zoneOf(0.99e-3)).toBe("fading");
    expect(zoneOf(1e-7)).toBe("fading");
    expect(zoneOf(0.99e-7)).toBe("dead");
    expect(zoneOf(0)).toBe("dead");
  });

  it("puts zeros on the floor and what is not finite above every number of f32", () => {
    expect(logOf(0, FLOOR)).toBeCloseTo(-37.93, 2);
    expect(logOf(Number.POSITIVE_INFINITY, FLOOR)).toBeGreaterThan(Math.log10(3.4e38));
    expect(logOf(Number.NaN, FLOOR)).toBe(39);
    expect(logOf(0.01, FLOOR)).toBeCloseTo(-2, 12);
  });
});

describe("the fitted line", () => {
  it("passes through atTo, and falls by the factor a step, in both directions", () => {
    const fit = { factor: 0.5, halfLife: 1, horizon: 1.44, ratio: 2 ** -10, from: 0, to: 10, atTo: 0.25 };
    expect(10 ** fitAt(fit, 10, false)).toBeCloseTo(0.25, 12);
    expect(10 ** fitAt(fit, 8, false)).toBeCloseTo(0.0625, 12);
    expect(10 ** fitAt(fit, 0, true)).toBeCloseTo(0.25, 12);
    expect(10 ** fitAt(fit, 3, true)).toBeCloseTo(0.03125, 12);
  });

  it("follows the median of a real network", () => {
    const ribbon = frame("elman", 40).rows[0]?.ribbons[0];
    if (ribbon === undefined || ribbon.fit === null) throw new Error("no fit");
    for (let t = 0; t < 40; t += 1)
      expect(Math.abs(fitAt(ribbon.fit, t, false) - Math.log10(ribbon.median[t] ?? 0))).toBeLessThan(1.5);
  });
});

describe("ribbonHit", () => {
  const box = { x: 5, y: 20, width: 700, height: 180 };
  const options = { domain: [-20, 1] as const, lane: 0, heading: "gradient", ticks: true };

  it("gives step, medians, share and zone under the pointer", () => {
    const row = frame("lstm", 25).rows[0];
    if (row === undefined) throw new Error("no row");
    const axis = timeAxis(25, box);
    const hit = ribbonHit(box, row, options, axis.centre(4), 100);
    expect(hit?.step).toBe(4);
    expect(hit?.medians).toEqual(row.ribbons.map((ribbon) => ribbon.median[4]));
    expect(hit?.share).toBeCloseTo((row.ribbons[0]?.median[4] ?? 0) / (row.ribbons[0]?.median[24] ?? 1), 12);
    expect(hit?.zone).toBe(zoneOf(hit?.share ?? Number.NaN));
    expect(ribbonHit(box, row, options, axis.x0 - 1, 100)).toBeNull();
    expect(ribbonHit(box, row, options, axis.centre(4), 25)).toBeNull();
    expect(ribbonHit(box, row, options, axis.centre(4), 195)).toBeNull();
  });
});
