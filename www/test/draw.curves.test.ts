import { describe, expect, it } from "vitest";
import { curveRange, curvesHit, decimate, indexAt, niceTicks, type Series, smooth } from "../src/draw/index.js";
import { firstSymbol, network, trainer } from "./support/tiny.js";

const train = trainer(network(firstSymbol(4, 3), "elman", 6, 1), 2, 4, 0.01);
const losses = Float64Array.from({ length: 500 }, () => train());
const series: Series = { lane: 0, label: "A", n: 500, steps: Array.from(losses.keys()), values: losses };

describe("decimate", () => {
  it("keeps the extremes and the last value", () => {
    const thin = decimate(series, 0, 499, 37);
    expect(thin.n).toBe(37);
    expect(Math.min(...thin.low.subarray(0, thin.n))).toBe(Math.min(...losses));
    expect(Math.max(...thin.high.subarray(0, thin.n))).toBe(Math.max(...losses));
    expect(thin.last[thin.n - 1]).toBe(losses[499]);
  });

  it("keeps a spike of one step, and leaves gaps empty", () => {
    const values = Array.from({ length: 1000 }, (_, i) => (i === 333 ? 99 : i > 500 && i < 700 ? Number.NaN : 1));
    const thin = decimate({ ...series, n: 1000, steps: Array.from(values.keys()), values }, 0, 999, 50);
    expect(Math.max(...thin.high.subarray(0, thin.n))).toBe(99);
    expect(thin.n).toBe(41);
  });

  it("does not touch short series", () => {
    const thin = decimate({ ...series, n: 5 }, 0, 4, 400);
    expect([...thin.last.subarray(0, thin.n)]).toEqual([...losses.subarray(0, 5)]);
    expect(decimate({ ...series, n: 0 }, 0, 10, 10).n).toBe(0);
  });
});

describe("smooth", () => {
  it("is exact for a constant from the first value on", () => {
    for (const value of smooth(new Float64Array(20).fill(3), 20, 0.1)) expect(value).toBeCloseTo(3, 12);
  });

  it("is the weighted mean it says", () => {
    const [, second] = smooth([1, 5], 2, 0.25);
    expect(second).toBeCloseTo((0.25 * 5 + 0.75 * 0.25 * 1) / (0.25 + 0.75 * 0.25), 12);
  });

  it("skips what is not finite", () => {
    const out = smooth([1, Number.NaN, 1], 3, 0.5);
    expect(out[1]).toBeNaN();
    expect(out[2]).toBeCloseTo(1, 12);
  });
});

describe("curveRange", () => {
  it("covers series and references on a ladder of 1, 2, 5 when logarithmic", () => {
    const [low, high] = curveRange([series], [{ value: 7, label: "" }], "log", null);
    expect(low).toBeLessThanOrEqual(Math.min(...losses));
    expect(high).toBe(10);
    expect(String(low)).toMatch(/^0?\.?0*[125]$/);
  });

  it("is steady", () => {
    const flat = (value: number): Series => ({ ...series, values: losses.map(() => value) });
    expect(curveRange([flat(0.3)], [], "log", [0.02, 5])).toEqual([0.02, 5]);
    expect(curveRange([flat(0.01)], [], "log", [0.02, 5])).toEqual([0.01, 0.1]);
    expect(curveRange([flat(0.3)], [], "log", [0.02, 50])).toEqual([0.02, 0.5]);
    expect(curveRange([flat(7)], [], "log", [0.02, 5])).toEqual([5, 50]);
    const linear = curveRange([series], [], "linear", null);
    expect(curveRange([{ ...series, n: 50 }], [], "linear", linear)).toEqual(linear);
    expect(linear[0]).toBe(0);
  });

  it("has a range when there is nothing yet", () => {
    expect(curveRange([], [], "log", null)).toEqual([0.01, 1]);
    expect(curveRange([{ ...series, n: 0 }], [], "linear", null)).toEqual([0, 1]);
  });
});

describe("curvesHit", () => {
  const box = { x: 0, y: 0, width: 300, height: 160 };
  const options = { heading: "Loss", scale: "log", range: [0.01, 10], steps: [0, 499] } as const;

  it("gives the training step and every lane's value at it", () => {
    const short: Series = { ...series, lane: 1, n: 100 };
    const hit = curvesHit(box, [series, short], options, 150, 80);
    if (hit === null) throw new Error("missed");
    expect(hit.step).toBeGreaterThan(150);
    expect(hit.step).toBeLessThan(300);
    expect(hit.values).toEqual([losses[hit.step], losses[99]]);
    expect(curvesHit(box, [series], options, 10, 80)).toBeNull();
    expect(curvesHit(box, [series], options, 150, 20)).toBeNull();
  });

  it("finds the entry at or before a step", () => {
    const sparse: Series = { ...series, n: 3, steps: [10, 20, 30], values: [1, 2, 3] };
    expect([9, 10, 19, 20, 99].map((step) => indexAt(sparse, step))).toEqual([-1, 0, 0, 1, 2]);
  });
});

describe("niceTicks", () => {
  it("are round, inside, and few", () => {
    expect(niceTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(niceTicks(-1.1, 1.1, 4)).toEqual([-1, 0, 1]);
    expect(niceTicks(0, 60, 3)).toEqual([0, 20, 40, 60]);
    expect(niceTicks(1, 1, 4)).toEqual([]);
  });
});
