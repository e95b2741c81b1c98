import { readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import init, { Session } from "../../../pkg/unroll.js";
import * as draw from "../../src/draw/index.js";
import { Ribbons } from "../../src/lab/ribbons";
import { historySheet, toCsv } from "../../src/share/sheets";
import { installOffscreenCanvas, recorder } from "../support/recorder.js";
import { sound } from "../support/sound.js";

beforeAll(async () => {
  installOffscreenCanvas();
  await init({ module_or_path: readFileSync(new URL("../../../pkg/unroll_bg.wasm", import.meta.url)) });
});

const make = (layers = 1, bidirectional = false): Promise<Session> =>
  Session.create({
    task: { id: "adding", length: 12 },
    model: { id: "gru", hidden: 4, layers, bidirectional },
    batch: 4,
  });
const view = async (session: Session): Promise<draw.FrameView> => draw.viewFrame(await session.frame());
/** The same picture at another training step. */
const at = (frame: draw.FrameView, step: number): draw.FrameView => ({ ...frame, header: { ...frame.header, step } });

test("ribbons_keep_the_medians_of_every_row_at_every_step", async () => {
  const session = await make(1, true);
  const ribbons = new Ribbons();
  const expected: number[][][] = [[], []];
  let frame = await view(session);
  for (let step = 0; step < 5; step++) {
    frame = await view(session);
    expect(ribbons.take(frame)).toBe(true);
    expected.forEach((row, n) => row.push([...(frame.rows[n]?.ribbons[0]?.median ?? [])]));
    await session.advance(1);
  }
  session.free();
  for (const row of [0, 1]) {
    const history = ribbons.of(frame, row);
    expect(history?.steps).toEqual([0, 1, 2, 3, 4]);
    expect(history?.medians.map((median) => [...median])).toEqual(expected[row]);
  }
  expect(ribbons.of(frame, 2)).toBeNull();
});

test("ribbons_thin_out_as_they_grow_and_span_all_of_training", async () => {
  const session = await make();
  const frame = await view(session);
  session.free();
  const ribbons = new Ribbons(32, 1e9);
  for (let step = 0; step <= 10_000; step += 3) {
    ribbons.take(at(frame, step));
    const steps = ribbons.of(frame, 0)?.steps ?? [];
    expect(steps.length).toBeLessThanOrEqual(33);
    if (step > 300) expect(steps.length).toBeGreaterThan(12);
  }
  const { steps = [] } = ribbons.of(frame, 0) ?? {};
  expect(steps[0]).toBe(0);
  const gaps = steps.slice(1).map((step, n) => step - (steps[n] ?? 0));
  // The last two may be closer: the newest moment always stays when others go.
  expect(Math.max(...gaps) / Math.min(...gaps.slice(0, -2))).toBeLessThan(2.1);
  expect(10_000 - (steps.at(-1) ?? 0)).toBeLessThan(2 * Math.max(...gaps));
  // Not more numbers than allowed, however long the sequence: twelve for each moment.
  const small = new Ribbons(512, 240);
  for (let step = 0; step < 1000; step++) small.take(at(frame, step));
  expect(small.of(frame, 0)?.steps.length).toBeLessThanOrEqual(20);
});

test("ribbons_forget_what_is_trained_again_and_ignore_the_past", async () => {
  const session = await make();
  const frame = await view(session);
  session.free();
  const ribbons = new Ribbons();
  for (const step of [0, 10, 20, 30]) ribbons.take(at(frame, step));
  expect(ribbons.take(at(frame, 10))).toBe(false);
  const steps = (of: Ribbons): readonly number[] => of.of(frame, 0)?.steps ?? [];
  const copy = ribbons.until(20);
  ribbons.rewind(10);
  expect([steps(ribbons), steps(copy)]).toEqual([
    [0, 10],
    [0, 10, 20],
  ]);
  // A change by hand at the same step takes its place.
  const changed = at(frame, 10);
  changed.rows[0]?.ribbons[0]?.median.fill(0.5);
  expect(ribbons.take(changed)).toBe(true);
  expect(steps(ribbons)).toEqual([0, 10]);
  expect(ribbons.of(frame, 0)?.medians[1]?.[3]).toBe(0.5);
  // Another loss begins anew.
  ribbons.take({ ...frame, header: { ...frame.header, step: 40, lossAt: "all" } });
  expect(steps(ribbons)).toEqual([40]);
});

test("history_is_drawn_soundly_and_says_what_lies_under_the_pointer", async () => {
  const session = await make();
  const ribbons = new Ribbons();
  for (let step = 0; step < 40; step++) {
    ribbons.take(await view(session));
    await session.advance(5);
  }
  const history = ribbons.of(await view(session), 0);
  session.free();
  if (history === null) throw new Error("nothing was kept");
  for (const palette of [draw.palettes.light, draw.palettes.dark]) {
    for (const [width, height] of [
      [300, 280],
      [900, 1120],
    ] as const) {
      const box = { x: 0, y: 0, width, height };
      const options = {
        domain: draw.creditDomain(
          history.medians.map((values) => ({ values })),
          null,
        ),
        ticks: true,
        title: "‖∂L/∂h‖",
        lastStep: 200,
        now: 200,
        marks: [120, 5000],
        cursors: { hover: 3, pins: [5000] },
      };
      const made = recorder();
      const scratch = draw.drawHistory(made.ctx, box, history, palette, options, null);
      sound(made, `${String(width)} px`);
      expect(made.texts()).toContain("200");
      // A pixel of the picture has the colour of its number.
      const plot = draw.plotBox(box, draw.timeAxis(12, box), options);
      const row = Math.floor(plot.height * 0.61);
      const hit = draw.historyHit(box, history, options, draw.timeAxis(12, box).centre(7), plot.y + row + 1);
      if (hit === null || scratch === null) throw new Error("nothing is there");
      expect(hit.t).toBe(7);
      expect(Math.abs(hit.trainingStep - 122)).toBeLessThanOrEqual(1);
      const { steps } = history;
      expect(steps[hit.moment]).toBe(120);
      const value = history.medians[hit.moment]?.[7] ?? Number.NaN;
      const [low, high] = options.domain;
      const colour = palette.gradient.pixels[draw.rampIndex(Math.log10(value), low, high) ?? -1];
      expect(scratch.pixels[row * 12 + 7]).toBe(colour);
    }
  }
  const sheet = historySheet(history);
  const [head = "", first = ""] = toCsv(sheet, { lane: "A", step: 9 }).split("\r\n");
  expect(head.startsWith("lane [letter],training step [index],‖∂L/∂h‖ t 1 [1],")).toBe(true);
  expect(first.split(",").slice(0, 3)).toEqual(["A", "0", String(history.medians[0]?.[0])]);
});
