/** Lessons: their settings exist, their operations can be done, and what they claim happens with the real networks. */

import { readFileSync } from "node:fs";
import type { Catalog } from "unroll-types";
import { beforeAll, describe as group, expect, test } from "vitest";
import init, { catalog as realCatalog, Session } from "../../../pkg/unroll.js";
import { viewFrame } from "../../src/draw/frame.js";
import { sentence } from "../../src/draw/sentence.js";
import { LESSONS } from "../../src/lessons";
import { allows, between, decadesOff, handles, pieces, shares, type Lesson } from "../../src/lessons/lesson";
import {
  describe,
  fromHash,
  lessonValues,
  parse,
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

/** The first ribbon before any training. */
async function ribbonOf(values: Values) {
  const session = await Session.create({ ...sessionConfig(catalog, values, 0), backend: "cpu" });
  const frame = viewFrame(await session.frame({ sequence: 0, lossAt: "task" }));
  session.free();
  const ribbon = frame.rows[0]?.ribbons[0];
  if (ribbon === undefined) throw new Error("no ribbon");
  return { ribbon, floor: frame.floor };
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
      for (const operation of operations) {
        let values = valuesOf(id);
        if (operation.kind !== "operation") continue;
        for (const [name, text] of operation.settings) {
          const setting = describe(catalog, values).settings.find((each) => each.name === name);
          const value = setting === undefined ? undefined : parse(setting.kind, text);
          expect(value, `${name}=${text}`).toBeDefined();
          values = { ...values, [name]: value ?? null };
        }
        const done = describe(catalog, values).values;
        for (const [name, text] of operation.settings) expect(String(done[name]), name).toBe(text);
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
  ] as const)("lesson_%s_fails_where_its_text_says_so", async (id, lane, changes) => {
    const { challenge } = lesson(id);
    const step = await train(valuesOf(id, changes), lane, challenge.within, (_, isSolved) => isSolved);
    expect(step).toBeNull();
  });
});
