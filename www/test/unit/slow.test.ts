import type { Frame, Inspection, InspectionQuery } from "unroll-types";
import { expect, test } from "vitest";
import { drawBars, drawCover, clipBars, moveBars, SENTENCES } from "../../src/draw/update.js";
import { palettes } from "../../src/draw/palette.js";
import { viewInspection } from "../../src/draw/inspection.js";
import { definedParts } from "../../src/glossary";
import { Lane } from "../../src/lab/lane.svelte";
import { SlowMotion, STAGES, type Stagehand } from "../../src/lab/slow.svelte";
import { CallFailed } from "../../src/worker/protocol";
import type { LaneClient } from "../../src/worker/client";
import { recorder } from "../support/recorder";

const NUMBERS: Record<string, number[]> = {
  loss: [0.7, 0.6],
  accuracy: [0.5, 0.75],
  norm: [4],
  coefficient: [0.25],
  clipped: [1],
  gradients: [3, 1],
  changes: [0.03, 0.04],
  lengths: [3, 0],
  segments: [0.5, -0.25, 1.75],
};

function inspection(step: number, ids: string[], names: string[] = []): Inspection {
  const all = ids.map((id) => ({ id, values: NUMBERS[id] ?? [] }));
  const data = Float32Array.from(all.flatMap(({ values }) => values));
  let offset = 0;
  const series = all.map(({ id, values }) => {
    offset += values.length;
    return { id, title: id, shape: [values.length], offset: offset - values.length };
  });
  return { header: { step, nSteps: 3, row: "l0", state: "h", sequences: 4, names, series }, data: data.buffer };
}

const update = (step = 7): Inspection =>
  inspection(
    step,
    ["loss", "accuracy", "norm", "coefficient", "clipped", "gradients", "changes", "lengths"],
    ["rnn.weight_hh_l0", "head.bias"],
  );

/** A page with one lane of two rows, which says what it was asked. */
function page(refuses = false): { hand: Stagehand; lane: Lane; asked: InspectionQuery[]; done: string[] } {
  const lane = new Lane(1, 0);
  const asked: InspectionQuery[] = [];
  const done: string[] = [];
  lane.status = "ready";
  lane.frame = { rows: [{}, {}], header: {} as Frame["header"] } as unknown as Lane["frame"];
  lane.client = {
    call: (_: string, { query }: { query: InspectionQuery }) => {
      asked.push(query);
      if (refuses) return Promise.reject(new CallFailed({ kind: "refused", message: "a number is not finite" }));
      return Promise.resolve(
        query.panel === "update" ? update(lane.step) : inspection(lane.step, ["segments", "norm"]),
      );
    },
  } as unknown as LaneClient;
  const hand: Stagehand = {
    lanes: [lane],
    refresh: () => done.push("refresh"),
    stepEach: () => {
      done.push("step");
      lane.step += 1;
      return Promise.resolve();
    },
  };
  return { hand, lane, asked, done };
}

test("slow_motion_goes_through_six_stages_and_the_last_one_makes_the_update", async () => {
  const { hand, lane, asked, done } = page();
  const slow = new SlowMotion(hand);
  await slow.next();
  expect(slow.at).toBe(0);
  await slow.begin();
  expect(asked).toEqual([
    { panel: "update" },
    { panel: "ledger", row: 0, batch: "next" },
    { panel: "ledger", row: 1, batch: "next" },
  ]);
  const seen = [slow.stage];
  for (let n = 1; n < STAGES.length; n++) {
    expect(slow.isHeld).toBe(false);
    expect(done).toEqual(["refresh"]);
    await slow.next();
    seen.push(slow.stage);
  }
  expect(seen).toEqual(["forward", "loss", "backward", "ledger", "clip", "weights"]);
  expect(slow.isHeld).toBe(true);
  expect(done).toEqual(["refresh", "step"]);
  expect(lane.step).toBe(1);
  // The next update begins with numbers of its own.
  await slow.next();
  expect([slow.stage, slow.at, slow.progress]).toEqual(["forward", 0, 0]);
  expect(done).toEqual(["refresh", "step", "refresh"]);
  const view = slow.views.get(lane.key);
  expect(view !== undefined && "update" in view ? view.update.step : null).toBe(1);
  slow.end();
  await slow.next();
  expect(slow.at).toBe(0);
});

test("slow_motion_reveals_states_from_the_left_and_gradients_from_the_right", async () => {
  const slow = new SlowMotion(page().hand);
  await slow.begin();
  slow.progress = 0.25;
  expect(slow.reveal(20)).toEqual({ forward: 5, backward: 20, hasLoss: false });
  await slow.next();
  expect(slow.reveal(20)).toEqual({ forward: 20, backward: 20, hasLoss: true });
  await slow.next();
  slow.progress = 0.25;
  expect(slow.reveal(20)).toEqual({ forward: 20, backward: 15, hasLoss: true });
  await slow.next();
  expect(slow.reveal(20)).toEqual({ forward: 20, backward: 0, hasLoss: true });
});

test("slow_motion_says_why_a_lane_has_no_update", async () => {
  const { hand, lane } = page(true);
  const slow = new SlowMotion(hand);
  await slow.begin();
  expect(slow.views.get(lane.key)).toEqual({ failure: "a number is not finite" });
  lane.status = "diverged";
  lane.message = "Step 3 stopped.";
  await slow.begin();
  expect(slow.views.get(lane.key)).toEqual({ failure: "Step 3 stopped." });
});

test("slow_motion_sentences_carry_the_numbers_of_the_step", () => {
  const told = {
    update: viewInspection(update()),
    ledger: viewInspection(inspection(7, ["segments", "norm"])),
    nSteps: 3,
    sequence: 0,
    gradient: { state: "h", from: 2, first: 1e-7, last: 0.5 },
    clip: { kind: "norm", at: 1 } as const,
    optimiser: "Adam",
  };
  const terms = new Set<string>();
  /** The text alone; what is marked has a definition. */
  const said = (sentence: string): string => {
    const parts = definedParts(sentence);
    for (const { term } of parts) if (term !== null) terms.add(term);
    const text = parts.map((part) => part.text).join("");
    expect(text).not.toMatch(/[[\]]/);
    return text;
  };
  expect(said(SENTENCES.forward(told))).toBe(
    "4 sequences of batch 8 run through 3 timesteps with the same weights; pictures show sequence 1.",
  );
  expect(said(SENTENCES.loss(told))).toBe("Answers are compared with targets: L = 0.7000, 50 % right.");
  expect(said(SENTENCES.backward(told))).toBe("∂L/∂h runs back: 0.50 at t 3, 1.0·10⁻⁷ left at t 1.");
  expect(said(SENTENCES.ledger(told))).toBe("Every timestep adds its share: norm = 4.00, of which t 3 pays 44 %.");
  expect(said(SENTENCES.clip(told))).toBe(
    "The norm of all gradients, 4.00, is above 1.00: all are multiplied by 0.250.",
  );
  expect(said(SENTENCES.clip({ ...told, clip: { kind: "value", at: 2 } }))).toContain("elements beyond it are cut");
  expect(said(SENTENCES.clip({ ...told, clip: null }))).toBe("The norm of all gradients is 4.00; clipping is off.");
  expect(said(SENTENCES.weights(told))).toBe(
    "Adam moves all weights by ‖Δ‖ = 0.050; on the same batch L goes from 0.7000 to 0.6000. Step 8 is done.",
  );
  expect([...terms].sort()).toEqual([
    "accuracy",
    "coefficient",
    "gradient",
    "loss",
    "move",
    "norm",
    "segment",
    "total-norm",
  ]);
  expect(clipBars(told.update).map(({ value }) => value)).toEqual([4, 1]);
  expect(moveBars(told.update).map(({ text }) => text)).toEqual(["0.030, 1.0 %", "0.040"]);
});

test("slow_motion_covers_what_is_not_there_yet_and_bars_have_one_scale", () => {
  const box = { x: 0, y: 0, width: 500, height: 100 };
  const { ctx, calls } = recorder();
  drawCover(ctx, box, 10, [10, 10], palettes.light);
  expect(calls).toEqual([]);
  drawCover(ctx, box, 10, [4, 10], palettes.light);
  expect(calls.length).toBeGreaterThan(0);
  const bars = recorder();
  const shown = clipBars(viewInspection(update()));
  drawBars(bars.ctx, box, shown, palettes.dark, {
    progress: 1,
    colour: "#ffffff",
    limit: { value: 1, name: "clip at 1" },
  });
  expect(bars.texts()).toEqual(["before", "4.00", "after", "1.00", "clip at 1"]);
});
