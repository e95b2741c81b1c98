import { describe, expect, it } from "vitest";
import { argmax, channelOf, ribbonOf, stateOf, viewFrame } from "../src/draw/index.js";
import { firstSymbol, frameOf, network, sine } from "./support/tiny.js";

const frame = () => frameOf(network(firstSymbol(9, 4), "lstm", 5, 1, 2), 2, 3, 7);

describe("viewFrame", () => {
  it("gives every channel, ribbon and probe array at its shape", () => {
    const view = viewFrame(frame());
    expect(view.nSteps).toBe(9);
    expect(view.rows.map((row) => row.id)).toEqual(["l0", "l1"]);
    const [row] = view.rows;
    if (row === undefined) throw new Error("no row");
    expect(row.channels.map((channel) => channel.id)).toEqual(["h", "c", "i", "f", "g", "o"]);
    for (const channel of row.channels) expect(channel.values.length).toBe(9 * 5);
    expect(channelOf(row, "h")?.gradients?.length).toBe(45);
    expect(channelOf(row, "f")?.gradients).toBeNull();
    expect(channelOf(row, "q")).toBeNull();
    expect(stateOf(row)?.id).toBe("h");
    expect(ribbonOf(row, "c")?.median.length).toBe(9);
    expect(view.probe.outputs.length).toBe(9 * 4);
    expect(view.probe.scored).toEqual([8]);
    let sum = 0;
    for (const p of view.probe.outputs.subarray(32)) sum += p;
    expect(sum).toBeCloseTo(1, 5);
  });

  it("copies nothing", () => {
    const packed = frame();
    const view = viewFrame(packed);
    expect(view.rows[0]?.channels[0]?.values.buffer).toBe(packed.data);
  });

  it("keeps the order median, 10 %, 90 %", () => {
    const view = viewFrame(frame());
    const ribbon = view.rows[1]?.ribbons[0];
    for (let t = 0; t < 9; t += 1) {
      expect(ribbon?.lower[t]).toBeLessThanOrEqual(ribbon?.median[t] ?? Number.NaN);
      expect(ribbon?.upper[t]).toBeGreaterThanOrEqual(ribbon?.median[t] ?? Number.NaN);
    }
  });

  it("finds where the last loss enters, in the row's reading order", () => {
    const forward = viewFrame(frame()).rows[0]?.ribbons[0];
    expect(forward?.reference).toBe(8);
    const both = viewFrame(frameOf(network(sine(6), "elman", 3, 1, 1, true), 1, 2, 0));
    expect(both.rows[1]?.reverse).toBe(true);
    expect(both.rows[1]?.ribbons[0]?.reference).toBe(0);
  });

  it("says what, expected and got when an offset runs over", () => {
    const packed = frame();
    const channel = packed.header.rows[0]?.channels[1];
    if (channel !== undefined) channel.offset = 1e6;
    expect(() => viewFrame(packed)).toThrow(/l0\.c is \[9, 5\] at 1000000, expected within \d+ floats/);
  });

  it("refuses offsets that are not whole, shapes that are not the row's, and data cut short", () => {
    const half = frame();
    half.header.probe.maskOffset = 0.5;
    expect(() => viewFrame(half)).toThrow("probe.mask");
    const wide = frame();
    const channel = wide.header.rows[0]?.channels[0];
    if (channel !== undefined) channel.shape = [9, 6];
    expect(() => viewFrame(wide)).toThrow("l0.h is [9, 6], expected [9, 5]");
    const cut = frame();
    cut.data = cut.data.slice(0, 400);
    expect(() => viewFrame(cut)).toThrow("expected within 100 floats");
    const ragged = frame();
    ragged.data = ragged.data.slice(0, 401);
    expect(() => viewFrame(ragged)).toThrow("multiple of 4");
  });
});

describe("argmax", () => {
  it("finds the largest of a row, ignores NaN, and has none in an empty row", () => {
    expect(argmax(Float32Array.of(0, 1, 5, 2, Number.NaN, 1), 1, 3)).toBe(0);
    expect(argmax(new Float32Array(0), 0, 0)).toBe(-1);
  });
});
