/** Lessons: their settings exist, their operations can be done, and what they claim happens with the real networks. */

import { readFileSync } from "node:fs";
import type { Catalog } from "unroll-types";
import { beforeAll, describe as group, expect, test } from "vitest";
import init, { catalog as realCatalog, Session } from "../../../pkg/unroll.js";
import { viewFrame, type FrameView } from "../../src/draw/frame.js";
import { viewInspection } from "../../src/draw/inspection.js";
import { sentence } from "../../src/draw/sentence.js";
import { LESSONS } from "../../src/lessons";
import { allows, between, decadesOff, handles, pieces, shares, type Lesson } from "../../src/lessons/lesson";
import {
  describe,
  fromHash,
  lessonValues,
  parse,
  print,
  restartValues,
  sessionConfig,
  letterOf,
  toHash,
  type Values,
} from "../../src/settings";
import { shapesOf } from "../../src/share/pytorch";
import { evaluationInterval } from "../../src/worker/schedule";

let catalog: Catalog;
beforeAll(async () => {
  await init({ module_or_path: readFileSync(new URL("../../../pkg/unroll_bg.wasm", import.meta.url)) });
  catalog = realCatalog();
});

const lesson = (id: string): Lesson => {
  const found = LESSONS.find((one) => one.id === id);
  if (found === undefined) throw new Error(`there is no lesson ${id}`);
  return found;
};
const paragraphs = (one: Lesson): string[] => [...one.before, ...one.after, one.challenge.text];
const valuesOf = (id: string, changes: Values = {}): Values =>
  describe(catalog, { ...lessonValues(id), ...changes }).values;

/** The evaluations of a lane as the page makes them, until `until` holds or the steps are done; null where training stopped. */
async function train(
  values: Values,
  lane: number,
  steps: number,
  until: (accuracy: number, isSolved: boolean) => boolean,
): Promise<number | null> {
  const config = sessionConfig(catalog, values, lane);
  const session = await Session.create({ ...config, backend: "cpu" });
  const every = evaluationInterval((await session.evaluate()).nSequences, config.batch ?? 1);
  try {
    for (let step = every; step <= steps; step += every) {
      if ((await session.advance(every)).diverged !== null) return null;
      const { accuracy, solved } = await session.evaluate();
      if (until(accuracy, solved)) return step;
    }
    return null;
  } finally {
    session.free();
  }
}

/** A lane's frame before any training. */
async function firstFrame(values: Values, lane: number): Promise<FrameView> {
  const session = await Session.create({ ...sessionConfig(catalog, values, lane), backend: "cpu" });
  const frame = viewFrame(await session.frame({ sequence: 0, lossAt: "task" }));
  session.free();
  return frame;
}

/** The first ribbon before any training. */
async function ribbonOf(values: Values) {
  const { rows, floor } = await firstFrame(values, 0);
  const ribbon = rows[0]?.ribbons[0];
  if (ribbon === undefined) throw new Error("no ribbon");
  return { ribbon, floor };
}

/** The weights with which timesteps read others, after some training. */
async function attention(values: Values, lane: number, steps: number, row: number) {
  const session = await Session.create({ ...sessionConfig(catalog, values, lane), backend: "cpu" });
  await session.advance(steps);
  const view = viewInspection(await session.inspect({ panel: "attention", row, sequence: 0 }));
  session.free();
  const matrix = view.series.get("matrix");
  const [, nRows = 0, nSteps = 0] = matrix?.shape ?? [];
  const rows = Array.from({ length: nRows }, (_, t) => [
    ...(matrix?.values.subarray(t * nSteps, (t + 1) * nSteps) ?? []),
  ]);
  return { rows, shape: matrix?.shape };
}

group("lessons as data", () => {
  test("lessons_have_settings_that_exist_and_go_through_the_address", () => {
    expect(new Set(LESSONS.map(({ id }) => id)).size).toBe(LESSONS.length);
    for (const { id, settings } of LESSONS) {
      const values = valuesOf(id);
      for (const [name, value] of Object.entries(settings)) expect(values[name], `${id}: ${name}`).toBe(value);
      expect(toHash(catalog, values)).toBe(`#v=1&lesson=${id}`);
      expect(fromHash(catalog, `#v=1&lesson=${id}`)).toEqual({ values, notes: [] });
    }
  });

  test("lessons_with_changed_settings_go_through_the_address_also_back_to_the_defaults_of_the_page", () => {
    const changed = valuesOf("vanishing", { lanes: 2, "task.length": 60, reached: 150 });
    expect(toHash(catalog, changed)).toBe("#v=1&task.length=60&lanes=2&lesson=vanishing&reached=150");
    expect(fromHash(catalog, toHash(catalog, changed))).toEqual({ values: changed, notes: [] });
    const other = valuesOf("lstm", { "a.model": "gru" });
    expect(fromHash(catalog, toHash(catalog, other))).toEqual({ values: other, notes: [] });
    expect(fromHash(catalog, "#v=1&lesson=nonsense").notes[0]).toContain("lesson: expected one of none, recurrence");
    expect(fromHash(catalog, "#v=1&reached=5").notes).toHaveLength(1);
  });

  test.each(LESSONS.map((one) => [one.id, one] as const))(
    "lesson_%s_has_an_operation_and_all_can_be_done",
    (id, one) => {
      const words = [...paragraphs(one), one.prediction.question].join(" ").split(/\s+/).length;
      expect(words).toBeGreaterThan(110);
      expect(words).toBeLessThan(251);
      const operations = paragraphs(one).flatMap((text) => pieces(text).filter((piece) => piece.kind === "operation"));
      expect(operations.length).toBeGreaterThan(0);
      const operate = (from: Values, settings: readonly (readonly [string, string])[]): Values => {
        let values = from;
        for (const [name, text] of settings) {
          const setting = describe(catalog, values).settings.find((each) => each.name === name);
          const value = setting === undefined ? undefined : parse(setting.kind, text);
          expect(value, `${name}=${text}`).toBeDefined();
          values = { ...values, [name]: value ?? null };
        }
        const done = describe(catalog, values).values;
        for (const [name, text] of settings) expect(print(done[name] ?? null), name).toBe(text);
        return done;
      };
      // Each at the beginning, and behind any other: a visitor clicks in any order.
      const all = operations.flatMap((operation) => (operation.kind === "operation" ? [operation.settings] : []));
      for (const first of all) {
        const values = operate(valuesOf(id), first);
        for (const second of all) operate(values, second);
      }
    },
  );

  test("lessons_split_text_into_words_subscripts_and_operations", () => {
    expect(pieces("h_{t−1} and W_hhᵀ: [do it](a.hidden=4&lanes=1).")).toEqual([
      { kind: "text", text: "h" },
      { kind: "subscript", text: "t−1" },
      { kind: "text", text: " and W" },
      { kind: "subscript", text: "hh" },
      { kind: "text", text: "ᵀ: " },
      {
        kind: "operation",
        text: "do it",
        settings: [
          ["a.hidden", "4"],
          ["lanes", "1"],
        ],
      },
      { kind: "text", text: "." },
    ]);
  });

  test("lessons_measure_how_far_off_a_drawn_ribbon_is", () => {
    expect(handles(25)).toEqual([0, 6, 12, 18, 24]);
    const flat = between([0, 0, 0, 0, 0], 25);
    const steep = between([-24, -18, -12, -6, 0], 25);
    steep.forEach((exponent, t) => {
      expect(exponent).toBeCloseTo(t - 24, 9);
    });
    expect(decadesOff(flat, flat)).toBe(0);
    expect(
      decadesOff(
        flat,
        flat.map(() => -2),
      ),
    ).toBe(2);
    expect(shares(Float32Array.of(0, 0.01, 1), 2).map(Math.round)).toEqual([-12, -2, 0]);
  });
});

group("what lessons claim", { timeout: 60_000 }, () => {
  test.each([
    ["recurrence", "a"],
    ["bptt", "a"],
    ["lstm", "b"],
    ["directions", "b"],
    ["attention", "b"],
    ["scans", "b"],
  ])("lesson_%s_asks_which_lanes_solve_the_task_and_it_is_%s", async (id, expected) => {
    const { prediction } = lesson(id);
    if (prediction.kind !== "choice" || prediction.judge.kind !== "solved") throw new Error("another question");
    const { by } = prediction.judge;
    let found = "";
    for (const lane of [0, 1])
      if ((await train(valuesOf(id), lane, by, (_, isSolved) => isSolved)) !== null) found += "ab".charAt(lane);
    expect(found).toBe(expected);
    expect(prediction.choices.map((choice) => choice.id)).toContain(expected);
  });

  test("lesson_unrolling_counts_the_parameters_that_the_file_has", async () => {
    const session = await Session.create({ ...sessionConfig(catalog, valuesOf("unrolling"), 0), backend: "cpu" });
    const sizes = [...shapesOf(await session.weights()).values()].map((shape) => shape.reduce((all, n) => all * n, 1));
    session.free();
    expect(sizes.reduce((sum, n) => sum + n, 0)).toBe(610);
  });

  test.each([
    ["vanishing", 0.555, 1 / 1_400_000],
    ["initialisation", 0.912, 0.127],
    ["gru", 0.8, 1 / 230],
  ])("lesson_%s_names_the_factor_of_the_ribbon", async (id, factor, share) => {
    const { ribbon } = await ribbonOf(valuesOf(id));
    expect(Math.abs((ribbon.fit?.factor ?? 0) - factor)).toBeLessThan(0.01);
    const first = (ribbon.median[0] ?? 0) / (ribbon.median[ribbon.reference] ?? 0);
    expect(first / share).toBeGreaterThan(0.9);
    expect(first / share).toBeLessThan(1.1);
  });

  test("lesson_exploding_explodes_stops_and_trains_when_clipped", async () => {
    const { ribbon, floor } = await ribbonOf(valuesOf("exploding"));
    expect(sentence(ribbon, floor, false).verdict).toBe("exploding");
    expect((ribbon.median[0] ?? 0) / (ribbon.median[ribbon.reference] ?? 0) / 1.2 ** 44).toBeCloseTo(1, 2);
    const session = await Session.create({ ...sessionConfig(catalog, valuesOf("exploding"), 0), backend: "cpu" });
    expect((await session.advance(150)).diverged?.step).toBeLessThan(10);
    session.free();
  });

  test.each([
    ["recurrence", 0, { "task.length": 10 }],
    ["unrolling", 0, { "a.layers": 2 }],
    ["bptt", 0, { "a.window": 12 }],
    ["vanishing", 0, { "task.length": 15 }],
    ["exploding", 0, { clip: "norm", "clip.at": 1 }],
    ["initialisation", 0, { "task.length": 60, "a.init": "identity" }],
    ["lstm", 1, { "task.length": 60, "b.init.forgetBias": 3 }],
    ["gru", 0, { "task.length": 60, "a.init.forgetBias": 3 }],
    ["directions", 1, { task: "temporal-order", "task.length": 50 }],
    ["attention", 1, { "task.length": 40 }],
    ["transformers", 0, { task: "induction-heads", "task.length": 16, "task.symbols": 8 }],
    ["scans", 1, { "task.items": 3, "task.length": 30, "b.layers": 2 }],
  ] as const)("lesson_%s_has_a_challenge_that_can_be_met", async (id, lane, changes) => {
    const { challenge } = lesson(id);
    const values = valuesOf(id, changes);
    const applied = restartValues(catalog, values, lane);
    const live = (name: string) => values[name.startsWith(".") ? letterOf(lane) + name : name];
    expect(allows(challenge, (name) => applied.get(name)?.value ?? live(name))).toBe(true);
    const step = await train(values, lane, challenge.within, (accuracy) => accuracy >= challenge.accuracy);
    expect(step).not.toBeNull();
  });

  test.each([
    ["bptt", 0, { "a.window": 8 }],
    ["vanishing", 0, {}],
    ["initialisation", 0, { "task.length": 60 }],
    ["lstm", 1, { "task.length": 60 }],
    ["gru", 0, { "a.init": "pytorch" }],
    ["directions", 0, { task: "temporal-order", "task.length": 50, "a.layers": 4 }],
    ["transformers", 0, { task: "induction-heads", "task.length": 16, "task.symbols": 8, "a.layers": 1 }],
    ["scans", 0, { task: "parity", "task.length": 20, "a.selective": true }],
    ["scans", 0, { task: "induction-heads", "task.length": 16, "task.symbols": 4, "a.model": "mingru" }],
  ] as const)("lesson_%s_fails_where_its_text_says_so", async (id, lane, changes) => {
    const { challenge } = lesson(id);
    const step = await train(valuesOf(id, changes), lane, challenge.within, (_, isSolved) => isSolved);
    expect(step).toBeNull();
  });

  test("lesson_directions_has_two_ribbons_that_fall_apart", async () => {
    const { rows, floor } = await firstFrame(valuesOf("directions"), 1);
    const found = rows.map(({ ribbons: [ribbon] }) => ribbon);
    expect(found.map((ribbon) => ribbon?.reference)).toEqual([59, 0]);
    for (const ribbon of found) {
      if (ribbon === undefined) throw new Error("no ribbon");
      expect(sentence(ribbon, floor, false).verdict).toBe("vanishing");
      expect(Math.abs((ribbon.fit?.factor ?? 0) - 0.55)).toBeLessThan(0.02);
    }
  });

  test.each([
    [20, 0.75],
    [30, 0.55],
  ])("lesson_attention_says_what_a_decoder_without_it_has_right_at_length_%i", async (length, share) => {
    let last = Number.NaN;
    await train(valuesOf("attention", { "task.length": length }), 0, 600, (accuracy) => {
      last = accuracy;
      return false;
    });
    expect(Math.abs(last - share)).toBeLessThan(0.03);
  });

  test("lesson_attention_looks_at_the_source_from_its_end", async () => {
    const { rows, shape } = await attention(valuesOf("attention"), 1, 600, 0);
    expect(shape).toEqual([1, 10, 20]);
    // Where each step of the answer looks most, from the first to the last.
    const looks = rows.map((row) => row.indexOf(Math.max(...row)));
    looks.forEach((at, t) => {
      expect(Math.abs(at - (9 - t))).toBeLessThanOrEqual(1);
    });
    expect(looks[0]).toBe(9);
  });

  test("lesson_transformers_has_a_ribbon_that_falls_once_and_is_level", async () => {
    const { ribbon } = await ribbonOf(valuesOf("transformers"));
    const drawn = shares(ribbon.median, ribbon.reference);
    const before = drawn.slice(0, -1);
    for (const share of before) {
      expect(share).toBeLessThan(-2.5);
      expect(share).toBeGreaterThan(-3);
    }
    expect(Math.abs((before[0] ?? 0) - (before.at(-1) ?? 0))).toBeLessThan(0.15);
  });

  test("lesson_transformers_solves_at_step_150_by_reading_step_1_and_parity_is_for_the_lstm", async () => {
    const solved = (_: number, isSolved: boolean): boolean => isSolved;
    expect(await train(valuesOf("transformers"), 0, 600, solved)).toBe(150);
    const { rows } = await attention(valuesOf("transformers"), 0, 150, 0);
    expect(rows.at(-1)?.[0]).toBeGreaterThan(0.95);
    const parity = { task: "parity", "task.length": 20, lanes: 2, "b.model": "lstm" };
    expect(await train(valuesOf("transformers", parity), 1, 600, solved)).toBe(300);
    let most = 0;
    await train(valuesOf("transformers", parity), 0, 300, (accuracy) => (most = Math.max(most, accuracy)) > 1);
    expect(most).toBeLessThan(0.6);
  });

  test("lesson_scans_needs_a_second_layer_or_a_state_that_acts_on_itself", async () => {
    const solved = (_: number, isSolved: boolean): boolean => isSolved;
    const star = {
      task: "induction-heads",
      "task.length": 16,
      "task.symbols": 4,
      "b.model": "mingru",
      "b.layers": 2,
    };
    expect(await train(valuesOf("scans", star), 1, 1500, solved)).not.toBeNull();
    expect(
      await train(valuesOf("scans", { task: "parity", "task.length": 20, "b.model": "lstm" }), 1, 600, solved),
    ).toBe(300);
  });

  test("lesson_scans_recalls_eight_values_with_many_states_only", async () => {
    const recall = { task: "associative-recall", "task.length": 32, "optimiser.lr": 0.005 };
    const mamba = { ...recall, "a.selective": true, "a.layers": 1, "a.hidden": 32 };
    expect(await train(valuesOf("scans", mamba), 0, 1200, (accuracy) => accuracy >= 0.95)).not.toBeNull();
    let most = 0;
    const lstm = { ...recall, "b.model": "lstm", "b.layers": 1, "b.hidden": 32 };
    await train(valuesOf("scans", lstm), 1, 1200, (accuracy) => (most = Math.max(most, accuracy)) > 1);
    expect(most).toBeGreaterThan(0.3);
    expect(most).toBeLessThan(0.36);
  });
});
