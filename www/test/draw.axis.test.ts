import { describe, expect, it } from "vitest";
import { timeAxis } from "../src/draw/index.js";

const LENGTHS = [2, 3, 8, 25, 100, 333, 400, 784, 1000, 4096];
const WIDTHS = [340, 519, 520, 900, 1600];

describe("timeAxis", () => {
  it("gives the same columns to every panel of one x and width", () => {
    const one = timeAxis(25, { x: 10, y: 0, width: 900, height: 60 });
    const other = timeAxis(25, { x: 10, y: 300, width: 900, height: 190 });
    for (let t = 0; t < 25; t += 1) expect(other.left(t)).toBe(one.left(t));
  });

  it("fills the plot exactly, and stepAt is the inverse of centre", () => {
    for (const nSteps of LENGTHS) {
      for (const width of WIDTHS) {
        const axis = timeAxis(nSteps, { x: 7, y: 0, width, height: 50 });
        expect(axis.left(0)).toBe(axis.x0);
        expect(axis.left(nSteps)).toBeCloseTo(axis.x1, 6);
        for (let t = 0; t < nSteps; t += 1) expect(axis.stepAt(axis.centre(t))).toBe(t);
        expect(axis.stepAt(axis.x0 - 0.1)).toBeNull();
        expect(axis.stepAt(axis.x1)).toBeNull();
      }
    }
  });

  it("bins only when there are more timesteps than pixels, and says so", () => {
    const wide = timeAxis(400, { x: 0, y: 0, width: 900, height: 50 });
    expect(wide.perColumn).toBe(1);
    expect(wide.note).toBeNull();
    const narrow = timeAxis(4096, { x: 0, y: 0, width: 900, height: 50 });
    expect(narrow.perColumn).toBe(6);
    expect(narrow.note).toBe("6 timesteps a column");
    for (const nSteps of LENGTHS) {
      for (const width of WIDTHS) {
        const axis = timeAxis(nSteps, { x: 0, y: 0, width, height: 50 });
        expect(axis.columnWidth).toBeGreaterThanOrEqual(1 - 1e-9);
        expect(axis.nColumns * axis.perColumn).toBeGreaterThanOrEqual(nSteps);
        expect((axis.nColumns - 1) * axis.perColumn).toBeLessThan(nSteps);
      }
    }
  });

  it("labels from 1, with the first and last timestep and nothing that touches", () => {
    for (const nSteps of LENGTHS) {
      for (const width of WIDTHS) {
        const { ticks } = timeAxis(nSteps, { x: 0, y: 0, width, height: 50 });
        expect(ticks[0]?.label).toBe("1");
        expect(ticks.at(-1)?.label).toBe(String(nSteps));
        ticks.slice(1).forEach((tick, i) => {
          expect(tick.x - (ticks[i]?.x ?? 0)).toBeGreaterThan(7 * tick.label.length);
        });
      }
    }
    expect(timeAxis(25, { x: 0, y: 0, width: 900, height: 50 }).ticks.map(({ label }) => label)).toEqual([
      "1",
      "5",
      "10",
      "15",
      "20",
      "25",
    ]);
  });

  it("has one timestep too", () => {
    const axis = timeAxis(1, { x: 0, y: 0, width: 340, height: 50 });
    expect(axis.ticks.length).toBe(1);
    expect(axis.stepAt(axis.centre(0))).toBe(0);
  });
});
