/** The truncation window: where the bracket ends, what is cut, and what is said of it, with frames of the package. */

import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import init, { Session } from "../../pkg/unroll.js";
import * as draw from "../src/draw/index.js";
import { installOffscreenCanvas, recorder } from "./support/recorder.js";
import { sound } from "./support/sound.js";

beforeAll(async () => {
  installOffscreenCanvas();
  await init({ module_or_path: readFileSync(new URL("../../pkg/unroll_bg.wasm", import.meta.url)) });
});

async function frameOf(
  task: string,
  length: number,
  window: number | null,
  id = "elman",
  bidirectional = false,
): Promise<draw.FrameView> {
  const model = { id, hidden: 5, layers: bidirectional ? 1 : 2, bidirectional };
  const session = await Session.create({ task: { id: task, length }, model, batch: 4 });
  await session.edit({ window });
  const frame = draw.viewFrame(await session.frame());
  session.free();
  return frame;
}

const first = (frame: draw.FrameView): draw.RibbonView => {
  const ribbon = frame.rows[0]?.ribbons[0];
  if (ribbon === undefined) throw new Error("no ribbon");
  return ribbon;
};
const box: draw.Box = { x: 0, y: 0, width: 900, height: 160 };

describe("the window", () => {
  it("cuts every W timesteps before the end", () => {
    expect(draw.cutsOf(25, 8)).toEqual([17, 9, 1]);
    expect(draw.cutsOf(25, 25)).toEqual([]);
    expect(draw.cutsOf(25, null)).toEqual([]);
    expect(draw.cutsOf(3, 1)).toEqual([2, 1]);
    expect(draw.cutsOf(25, 8, true)).toEqual([8, 16, 24]);
  });

  it("is found under the pointer, and its end is where it was put", () => {
    for (const window of [1, 7, 24]) {
      expect(draw.windowAt(25, box, draw.handleAt(25, box, window))).toBe(window);
      expect(draw.windowAt(25, box, draw.handleAt(25, box, window) + 5)).toBe(window);
    }
    expect(draw.windowAt(25, box, draw.handleAt(25, box, null))).toBeNull();
    expect(draw.windowAt(25, box, -50)).toBeNull();
    expect(draw.windowAt(25, box, 5000)).toBe(1);
  });
});

describe.each(["elman", "lstm", "gru"])("a frame of %s", (id) => {
  it("says what is cut, where the loss counts at the end alone", async () => {
    const frame = await frameOf("adding", 20, 6, id);
    const ribbon = first(frame);
    expect(frame.header.window).toBe(6);
    expect([ribbon.window, ribbon.cut]).toEqual([6, 14]);
    expect([...ribbon.median].map((value) => value > 0)).toEqual(Array.from({ length: 20 }, (_, t) => t >= 14));
    const { short, verdict } = draw.sentence(ribbon, frame.floor);
    expect(verdict).toBe("cut");
    expect(short).toContain("steps 1–14 are cut off by the window.");
    const [low] = draw.ribbonDomain([frame], null);
    expect(low).toBeGreaterThan(-30);
  });

  it("says of a row that reads backwards that its window lies at the start, and marks the cuts there", async () => {
    const frame = await frameOf("adding", 20, 6, id, true);
    const [forward, backward] = frame.rows;
    const ribbon = backward?.ribbons[0];
    if (forward === undefined || backward === undefined || ribbon === undefined) throw new Error("two rows");
    expect([backward.reverse, ribbon.reference, ribbon.cut, forward.ribbons[0]?.cut]).toEqual([true, 0, 14, 14]);
    expect([...ribbon.median].map((value) => value > 0)).toEqual(Array.from({ length: 20 }, (_, t) => t < 6));
    expect(draw.sentence(ribbon, frame.floor).short).toContain("steps 7–20 are cut off by the window.");
    const options = { domain: [-8, 1] as const, window: 6, lane: 0 };
    const axis = draw.timeAxis(20, box);
    for (const [row, at, hatched] of [
      [forward, 14, [axis.x0, axis.left(14)]],
      [backward, 6, [axis.left(6), axis.x1]],
    ] as const) {
      const made = recorder();
      draw.drawRibbon(made.ctx, box, row, frame.floor, draw.palettes.light, options);
      sound(made, row.title);
      expect(made.texts().some((text) => text.startsWith("cut"))).toBe(true);
      const lines = made.calls.filter(({ name, args }) => name === "moveTo" && args[0] === axis.left(at));
      expect(lines.length, `${row.title} is cut at ${String(at)}`).toBeGreaterThan(0);
      const clips = made.calls.filter(({ name }) => name === "rect").map(({ args }) => args);
      expect(
        clips.some(([x, , width]) => x === hatched[0] && Math.abs(Number(width) - (hatched[1] - hatched[0])) < 1e-9),
      ).toBe(true);
    }
    // Two strokes in the graph for each row, where the bands would cross.
    const strokes = recorder();
    draw.drawGraph(strokes.ctx, box, frame, draw.palettes.light, { domain: [-8, 1], window: 6 }, null);
    sound(strokes, "graph");
    const starts = strokes.calls.filter(({ name }) => name === "moveTo").map(({ args }) => Number(args[0]));
    for (const at of [14, 6])
      for (const by of [-4, 0]) expect(starts.some((x) => Math.abs(x - (axis.left(at) + by)) < 1e-9)).toBe(true);
  });

  it("says that nothing crosses, where losses count all over", async () => {
    const frame = await frameOf("parity", 20, 6, id);
    const ribbon = first(frame);
    expect([ribbon.window, ribbon.cut]).toEqual([6, 0]);
    expect(draw.sentence(ribbon, frame.floor).short).toContain("The window cuts the way back every 6 steps");
  });

  it("has no window where that holds all timesteps", async () => {
    for (const window of [null, 20, 50]) {
      const ribbon = first(await frameOf("adding", 20, window, id));
      expect(ribbon.window).toBeUndefined();
      expect(draw.sentence(ribbon, 1e-38).verdict).not.toBe("cut");
    }
  });

  it("is drawn soundly at any width, with the word where there is room", async () => {
    for (const window of [1, 6, null]) {
      const frame = await frameOf("adding", 20, window, id);
      for (const width of [340, 900]) {
        const made = recorder();
        const area = { ...box, width };
        const [row] = frame.rows;
        if (row === undefined) throw new Error("no row");
        const options = { domain: [-8, 1] as const, window };
        draw.drawGraph(made.ctx, area, frame, draw.palettes.light, options, null);
        draw.drawRibbon(made.ctx, area, row, frame.floor, draw.palettes.dark, { ...options, lane: 0 });
        sound(made, `window ${String(window)}, ${String(width)} px`);
        expect(made.texts().some((text) => text.startsWith("cut"))).toBe(window !== null);
        expect(made.texts().includes(`window ${String(window)}`)).toBe(window !== null);
      }
    }
  });
});
