import { describe as group, expect, test } from "vitest";
import { viewFrame, type FrameView } from "../../src/draw/frame.js";
import {
  diagnose,
  lastGood,
  LIMITS,
  median,
  PATIENCE,
  Watch,
  type Finding,
  type Symptoms,
} from "../../src/lab/diagnosis";
import { definedParts } from "../../src/glossary";
import { fromHash, type Values } from "../../src/settings";
import { firstSymbol, frameOf, network } from "../support/tiny";
import { catalog } from "./catalog";

/** A real network of one layer on a real task, its weights scaled. */
function picture(kind: "elman" | "lstm", scale: number, inputScale = 1, nSteps = 25): FrameView {
  const net = network(firstSymbol(nSteps, 4), kind, 12, 5);
  for (const layer of net.layers.flat()) {
    layer.wHh.data.forEach((value, at) => (layer.wHh.data[at] = scale * value));
    for (const { data } of [layer.wIh, layer.b]) data.forEach((value, at) => (data[at] = inputScale * value));
  }
  return viewFrame(frameOf(net, 7, 8, 1000));
}

const SOUND: Symptoms = {
  frame: null,
  diverged: null,
  isSolved: false,
  evaluations: [],
  baseline: { loss: 0.7, what: "guesses" },
  norms: [],
  clipCoefficients: [],
  snapshots: [],
  lossAt: () => 0.7,
};

/** The evidence as it is read; what is marked has a definition. */
const said = (finding: Finding | null): string => {
  const parts = definedParts(finding?.evidence ?? "");
  const text = parts.map((part) => part.text).join("");
  expect(text).not.toMatch(/[[\]]/);
  // A name alone has no number.
  if (finding?.kind !== "not-finite") expect(parts.some(({ term }) => term !== null)).toBe(true);
  return text;
};
const values = (hash = ""): Values => fromHash(catalog, hash).values;
const of = (symptoms: Partial<Symptoms>, hash = "", before: Finding["kind"] | null = null): Finding | null =>
  diagnose({ ...SOUND, ...symptoms }, catalog, values(hash), 0, before);

group("diagnosis", () => {
  test("diagnosis_names_a_vanishing_gradient_with_the_fit_of_the_ribbon", () => {
    const frame = picture("elman", 0.3);
    const fit = frame.rows[0]?.ribbons[0]?.fit;
    expect(fit?.ratio).toBeLessThan(LIMITS.vanishingRatio);
    const finding = of({ frame });
    expect(finding?.kind).toBe("vanishing");
    expect(said(finding)).toContain(`×${(fit?.factor ?? 0).toPrecision(2)}`);
    expect(said(finding)).toContain("24 steps from there");
    expect(finding?.remedies.map(({ label, restarts }) => [label, restarts])).toEqual([
      ["Use an LSTM", true],
      ["Orthogonal weights", true],
    ]);
    // Nobody needs to hear of it when the task is solved, or before training.
    expect(of({ frame, isSolved: true })).toBe(null);
    expect(of({ frame: { ...frame, header: { ...frame.header, step: 10 } } })).toBe(null);
    const lstm = of({ frame: picture("lstm", 0.3) }, "#v=1&a.model=lstm&a.init=pytorch");
    expect(lstm?.remedies.map(({ label }) => label)).toEqual(["Forget bias 1", "Chrono biases"]);
  });

  test("diagnosis_names_an_exploding_gradient_by_ribbon_clipping_or_norm", () => {
    const frame = picture("elman", 4, 1e-14);
    expect(frame.rows[0]?.ribbons[0]?.fit?.ratio).toBeGreaterThan(LIMITS.explodingRatio);
    const finding = of({ frame }, "#v=1&clip=off");
    expect(finding?.kind).toBe("exploding");
    expect(finding?.remedies[0]).toEqual({
      label: "Clip at 1",
      restarts: false,
      values: { clip: "norm", "clip.at": 1 },
      rewind: null,
    });
    expect(finding?.remedies[1]?.values["optimiser.lr"]).toBe(0.00005);
    expect(of({ frame })?.remedies[0]?.label).toBe("Learning rate ÷ 10");
    const calm = picture("elman", 2);
    expect(said(of({ frame: calm, clipCoefficients: Array<number>(20).fill(0.001) }))).toContain("1/1,000");
    const norms = [...Array<number>(20).fill(1), 500, 500, 500];
    expect(said(of({ frame: calm, norms }))).toContain("500 times its median of 1.0");
  });

  test("diagnosis_names_units_that_are_dead_or_saturated", () => {
    const dead = picture("elman", 0, 0);
    expect(said(of({ frame: dead }))).toContain("12 of 12 units");
    const saturated = picture("elman", 1, 200);
    expect(of({ frame: saturated })?.kind).toBe("saturated");
    expect(of({ frame: saturated }, "#v=1&a.init=orthogonal")?.remedies.map(({ label }) => label)).toEqual([
      "Learning rate ÷ 10",
      "Smaller weights: PyTorch default",
    ]);
    expect(said(of({ frame: picture("lstm", 1, 500) }))).toMatch(/of 36 gates stand at 0 or 1/);
  });

  test("diagnosis_names_a_plateau_at_the_loss_of_a_predictor_without_memory", () => {
    const frame = picture("elman", 2);
    const stands = (n: number): { step: number; loss: number }[] =>
      [{ step: 0, loss: 2 }].concat(Array.from({ length: n }, (_, at) => ({ step: 500 * (at + 1), loss: 0.71 })));
    expect(of({ frame, evaluations: stands(6) })).toBe(null);
    expect(said(of({ frame, evaluations: stands(7) }))).toContain("for 3,000 steps");
    expect(of({ frame, evaluations: [...stands(7), { step: 4000, loss: 0.3 }] })).toBe(null);
  });

  test("diagnosis_of_what_is_not_finite_rewinds_to_the_last_good_snapshot", () => {
    const lossAt = (step: number): number => (step > 250 ? 90 : 0.7);
    const symptoms = { ...SOUND, diverged: "h is NaN at step 410", snapshots: [0, 100, 200, 300, 400], lossAt };
    expect(lastGood(symptoms)).toBe(200);
    const finding = of(symptoms, "#v=1&clip=off");
    expect(said(finding)).toBe("h is NaN at step 410");
    expect(finding?.remedies.map(({ label, rewind }) => [label, rewind])).toEqual([
      ["Rewind to step 200, clip at 1", 200],
      ["Rewind to step 200, learning rate ÷ 10", 200],
    ]);
    expect(of({ ...symptoms, snapshots: [] })?.remedies).toEqual([]);
  });

  test("diagnosis_does_not_come_and_go_around_a_limit", () => {
    const frame = picture("elman", 0.3);
    const ratio = (value: number): FrameView => ({
      ...frame,
      rows: frame.rows.map((row) => ({
        ...row,
        ribbons: row.ribbons.map((one) => ({ ...one, fit: one.fit === null ? null : { ...one.fit, ratio: value } })),
      })),
    });
    expect(of({ frame: ratio(2e-3) })).toBe(null);
    expect(of({ frame: ratio(2e-3) }, "", "vanishing")?.kind).toBe("vanishing");
    expect(of({ frame: ratio(4e-3) }, "", "vanishing")).toBe(null);

    const watch = new Watch();
    const vanishing = of({ frame });
    for (let at = 1; at < PATIENCE.come; at++) expect(watch.look(vanishing)).toBe(null);
    expect(watch.look(vanishing)).toBe(vanishing);
    for (let at = 1; at < PATIENCE.go; at++) expect(watch.look(null)).toBe(vanishing);
    expect(watch.look(null)).toBe(null);
    const broken = of({ diverged: "NaN" });
    expect(watch.look(broken)).toBe(broken);
  });

  test("diagnosis_median_is_the_middle_one", () => {
    expect(median([3, 100, 1])).toBe(3);
    expect(median([])).toBeNaN();
  });
});
