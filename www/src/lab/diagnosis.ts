// What is wrong with a running network, with the numbers that say so, and what can be done about it.
//
// Pure functions of what a lane has told. Knows neither the page nor the worker; ids of the catalogue are used only where the catalogue offers them.

import type { Catalog } from "unroll-types";
import type { FrameView, RowView } from "../draw/frame.js";
import { count, factor, share, significant } from "../draw/numbers.js";
import { letterOf, type Values } from "../settings";

/** Most serious first. */
export const KINDS = ["not-finite", "exploding", "saturated", "dead", "vanishing", "plateau"] as const;
export type FindingKind = (typeof KINDS)[number];

/** Where a finding begins. It ends only where a value is beyond its limit by `slack`, so that it does not come and go. */
export const LIMITS = {
  /** Nothing but a number that is not finite is named before this step: a network that has not trained yet is not ill. */
  firstStep: 200,
  slack: 3,
  /** ‖∂L/∂h‖ at the far end over that at the near end: the zones of the ribbon, 10³ and 10⁻³. */
  explodingRatio: 1e3,
  vanishingRatio: 1e-3,
  /** The clip coefficient, by median: less than 1/100 of the gradient is left, and the direction of a few sequences rules. */
  clipCoefficient: 0.01,
  /** The gradient norm over its own median: far beyond the spread that batches cause. */
  normOverMedian: 100,
  /** A unit is dead when its state moves less than this over the whole sequence. */
  deadRange: 1e-4,
  /** A unit is saturated when the mean of its slope, as a share of the largest one, is below this: 1 − h² for tanh, 4g(1 − g) for gates. */
  slope: 0.1,
  /** From this share of units on, the network rather than some unit is dead or saturated. */
  units: 0.5,
  /** The same of gates: the chrono initialisation holds two of an LSTM's three near 0 and 1 on purpose. */
  gates: 0.75,
  /** The slack of such shares. */
  shareSlack: 1.5,
  /** A plateau: the held-out loss stays within this share of the loss of a predictor without memory … */
  plateauShare: 0.05,
  /** … for so many steps. */
  plateauSteps: 3000,
  /** A snapshot is good when the loss there was at most so many times that of a predictor without memory. */
  goodLoss: 3,
} as const;

/** One change at one click. `rewind` goes to a snapshot first. */
export interface Remedy {
  label: string;
  /** Whether the lane begins anew. */
  restarts: boolean;
  values: Values;
  rewind: number | null;
}

export interface Finding {
  kind: FindingKind;
  title: string;
  /** One or two sentences with numbers of the running network, marked with their definitions: `[×0.42](factor) a step back`. */
  evidence: string;
  remedies: readonly Remedy[];
}

/** What a lane has told. */
export interface Symptoms {
  frame: FrameView | null;
  /** The package's sentence on the first number that is not finite. */
  diverged: string | null;
  isSolved: boolean;
  /** Held-out losses, oldest first. */
  evaluations: readonly { step: number; loss: number }[];
  baseline: { loss: number; what: string } | null;
  /** Of the last reports, oldest first. */
  norms: readonly number[];
  clipCoefficients: readonly number[];
  snapshots: readonly number[];
  /** Training loss at a step, or NaN. */
  lossAt: (step: number) => number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/** The share of a row's units that `test` holds for, and how many they are. */
function unitsThat(row: RowView, id: string, test: (values: number[]) => boolean): number {
  const channel = row.channels.find((one) => one.id === id);
  if (channel === undefined) return 0;
  let found = 0;
  for (let unit = 0; unit < channel.units; unit += 1) {
    const values = Array.from({ length: channel.nSteps }, (_, t) => channel.values[t * channel.units + unit] ?? 0);
    if (test(values)) found += 1;
  }
  return found;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Units of all rows whose first state does not move. */
function deadUnits(frame: FrameView): { units: number; of: number } {
  let units = 0;
  for (const row of frame.rows) {
    const [state] = row.channels.filter((channel) => channel.role === "state");
    if (state === undefined) continue;
    units += unitsThat(row, state.id, (values) => Math.max(...values) - Math.min(...values) < LIMITS.deadRange);
  }
  return { units, of: frame.rows.reduce((sum, row) => sum + row.units, 0) };
}

/** Gates that stand at 0 or 1, and where there are none, tanh units that stand at −1 or 1. */
function saturatedUnits(frame: FrameView): { units: number; of: number; what: string; limit: number } {
  const isGated = frame.rows.some((row) => row.channels.some((channel) => channel.role === "gate"));
  let units = 0;
  let of = 0;
  for (const row of frame.rows) {
    for (const channel of row.channels) {
      if (isGated ? channel.role !== "gate" : channel.role !== "state" || channel.range === null) continue;
      of += channel.units;
      units += unitsThat(
        row,
        channel.id,
        (values) => mean(values.map((value) => (isGated ? 4 * value * (1 - value) : 1 - value * value))) < LIMITS.slope,
      );
    }
  }
  return { units, of, ...(isGated ? { what: "gates", limit: LIMITS.gates } : { what: "units", limit: LIMITS.units }) };
}

/** Since which step the held-out loss has stood at the baseline; null when it does not. */
function plateauSince({ evaluations, baseline }: Symptoms): number | null {
  if (baseline === null) return null;
  let since: number | null = null;
  for (let at = evaluations.length - 1; at >= 0; at -= 1) {
    const { step, loss } = evaluations[at] ?? { step: 0, loss: Number.NaN };
    if (!(Math.abs(loss - baseline.loss) <= LIMITS.plateauShare * baseline.loss)) break;
    since = step;
  }
  return since;
}

/** The last snapshot before training went wrong; null without one. */
export function lastGood({ snapshots, lossAt, baseline }: Symptoms): number | null {
  const limit = LIMITS.goodLoss * (baseline?.loss ?? 1);
  return snapshots.findLast((step) => step === 0 || lossAt(step) <= limit) ?? null;
}

type Seen = Omit<Finding, "remedies">;

/** What is seen, most serious first. `before` is what was named last: it goes on until it is clearly over. */
function see(symptoms: Symptoms, before: FindingKind | null): Seen | null {
  const { frame, diverged, norms, clipCoefficients, baseline } = symptoms;
  if (diverged !== null) return { kind: "not-finite", title: "Not finite", evidence: diverged };
  if (frame === null || symptoms.isSolved || frame.header.step < LIMITS.firstStep) return null;
  /** Makes room around a limit for what was named before. */
  const slack = (kind: FindingKind): number => (before === kind ? LIMITS.slack : 1);
  const shareSlack = (kind: FindingKind): number => (before === kind ? LIMITS.shareSlack : 1);

  const fits = frame.rows.flatMap((row) => {
    const fit = row.ribbons[0]?.fit ?? null;
    return fit === null ? [] : [{ row, fit, ribbon: row.ribbons[0] }];
  });
  const largest = fits.reduce<(typeof fits)[number] | null>(
    (best, one) => (best === null || one.fit.ratio > best.fit.ratio ? one : best),
    null,
  );
  if (largest !== null && largest.fit.ratio > LIMITS.explodingRatio / slack("exploding")) {
    const far = largest.row.reverse ? frame.nSteps : 1;
    const times = significant(largest.fit.ratio);
    const evidence = `The gradient grows [${factor(largest.fit.factor)}](factor) a step back: step ${count(far)} receives [${times} times](share) the signal.`;
    return { kind: "exploding", title: "Exploding gradient", evidence };
  }
  const coefficient = median(clipCoefficients);
  if (clipCoefficients.length >= 10 && coefficient < LIMITS.clipCoefficient * slack("exploding")) {
    const evidence = `Clipping leaves [${share(coefficient)}](coefficient) of the gradient, by the median of the last ${clipCoefficients.length} reports: its norm is [${significant(median(norms))}](total-norm).`;
    return { kind: "exploding", title: "Exploding gradient", evidence };
  }
  const usual = median(norms);
  const now = median(norms.slice(-3));
  if (norms.length >= 10 && usual > 0 && now > (LIMITS.normOverMedian * usual) / slack("exploding")) {
    const evidence = `The gradient's norm is [${significant(now)}](total-norm), ${count(now / usual)} times its median of [${significant(usual)}](total-norm).`;
    return { kind: "exploding", title: "Exploding gradient", evidence };
  }
  const isLong = frame.nSteps >= 3;
  const saturated = saturatedUnits(frame);
  if (isLong && saturated.of > 0 && saturated.units / saturated.of >= saturated.limit / shareSlack("saturated")) {
    const ends = saturated.what === "gates" ? "0 or 1" : "−1 or 1";
    const evidence = `[${saturated.units} of ${saturated.of}](saturated) ${saturated.what} stand at ${ends}, where the slope is less than ${LIMITS.slope * 100} % of the largest one.`;
    return { kind: "saturated", title: "Saturated", evidence };
  }
  const dead = deadUnits(frame);
  if (isLong && dead.of > 0 && dead.units / dead.of >= LIMITS.units / shareSlack("dead")) {
    const evidence = `[${dead.units} of ${dead.of}](dead) units keep one value over the whole sequence shown: they answer nothing.`;
    return { kind: "dead", title: "Dead units", evidence };
  }
  const smallest = fits.reduce<(typeof fits)[number] | null>(
    (best, one) => (best === null || one.fit.ratio < best.fit.ratio ? one : best),
    null,
  );
  if (smallest !== null && smallest.fit.ratio < LIMITS.vanishingRatio * slack("vanishing")) {
    const { row, fit, ribbon } = smallest;
    const far = row.reverse ? frame.nSteps : 1;
    const back = Math.abs((ribbon?.reference ?? 0) + 1 - far);
    const arrives = fit.ratio > 0 ? `[${share(fit.ratio)}](share)` : "nothing that f32 can hold";
    const evidence = `[${factor(fit.factor)}](factor) a step back: step ${count(far)} receives ${arrives}${fit.ratio > 0 ? " of the signal" : ""}, and the loss lies ${count(back)} steps from there.`;
    return { kind: "vanishing", title: "Vanishing gradient", evidence };
  }
  const since = plateauSince(symptoms);
  const last = symptoms.evaluations.at(-1);
  if (since !== null && baseline !== null && last !== undefined && last.step - since >= LIMITS.plateauSteps) {
    const evidence = `The held-out loss, [${significant(last.loss)}](loss), has stood for ${count(last.step - since)} steps where a predictor without memory stands (${baseline.what}: [${significant(baseline.loss)}](baseline)).`;
    return { kind: "plateau", title: "Plateau", evidence };
  }
  return null;
}

/** What the lane's settings allow to be done about a kind of finding. */
function remediesOf(kind: FindingKind, symptoms: Symptoms, catalog: Catalog, values: Values, lane: number): Remedy[] {
  const letter = letterOf(lane);
  const model = String(values[`${letter}.model`]);
  const init = String(values[`${letter}.init`]);
  const rate = Number(values["optimiser.lr"]);
  const hasRate = typeof values["optimiser.lr"] === "number";
  const isClipped = values["clip"] === "norm" && Number(values["clip.at"]) <= 1;
  const remedies: Remedy[] = [];
  const add = (label: string, restarts: boolean, changes: Values, rewind: number | null = null): void => {
    remedies.push({ label, restarts, values: changes, rewind });
  };
  const clip: Values = { clip: "norm", "clip.at": 1 };
  const scaled = (by: number): Values => ({ "optimiser.lr": Number((rate * by).toPrecision(6)) });
  const useInit = (id: string, label: string, options: Values = {}): void => {
    if (init !== id && catalog.inits.some((one) => one.id === id && one.architectures.includes(model)))
      add(label, true, { [`${letter}.init`]: id, ...options });
  };
  const useLstm = (): void => {
    if (model !== "lstm" && catalog.architectures.some((one) => one.id === "lstm"))
      add("Use an LSTM", true, {
        [`${letter}.model`]: "lstm",
        [`${letter}.init`]: "forget-bias",
        [`${letter}.init.forgetBias`]: 1,
      });
  };

  switch (kind) {
    case "not-finite": {
      const good = lastGood(symptoms);
      if (good === null) break;
      if (!isClipped) add(`Rewind to step ${count(good)}, clip at 1`, false, clip, good);
      if (hasRate) add(`Rewind to step ${count(good)}, learning rate ÷ 10`, false, scaled(0.1), good);
      break;
    }
    case "exploding":
      if (!isClipped) add("Clip at 1", false, clip);
      if (hasRate) add("Learning rate ÷ 10", false, scaled(0.1));
      useInit("orthogonal", "Orthogonal weights");
      break;
    case "dead":
      if (values[`${letter}.nonlinearity`] === "relu") add("Use tanh", true, { [`${letter}.nonlinearity`]: "tanh" });
      if (hasRate) add("Learning rate ÷ 10", false, scaled(0.1));
      useLstm();
      break;
    case "saturated":
      if (hasRate) add("Learning rate ÷ 10", false, scaled(0.1));
      useInit("pytorch", "Smaller weights: PyTorch default");
      break;
    case "vanishing":
      useLstm();
      useInit("orthogonal", "Orthogonal weights");
      if (init !== "chrono") useInit("forget-bias", "Forget bias 1", { [`${letter}.init.forgetBias`]: 1 });
      useInit("chrono", "Chrono biases");
      break;
    case "plateau":
      if (hasRate) add("Learning rate × 3", false, scaled(3));
      useLstm();
      break;
    default:
      kind satisfies never;
  }
  return remedies.slice(0, 3);
}

/** The most serious thing that is seen, or null. `before` is the kind that was named last. */
export function diagnose(
  symptoms: Symptoms,
  catalog: Catalog,
  values: Values,
  lane: number,
  before: FindingKind | null = null,
): Finding | null {
  const seen = see(symptoms, before);
  return seen === null ? null : { ...seen, remedies: remediesOf(seen.kind, symptoms, catalog, values, lane) };
}

/** Looks after which a finding is named, after which it is taken back, and between two changes of its numbers. */
export const PATIENCE = { come: 4, go: 12, refresh: 4 } as const;

/** Keeps what is named steady: a finding comes when it was seen some times in a row and goes when it was not for longer. */
export class Watch {
  named: Finding | null = null;
  private candidate: FindingKind | null = null;
  private times = 0;
  private age = 0;

  /** Takes in one look; gives what to show. What is certain, `not-finite`, comes at once. `isFinal`: training stands still, numbers are the last. */
  look(finding: Finding | null, isFinal = false): Finding | null {
    const kind = finding?.kind ?? null;
    this.age += 1;
    if (kind === (this.named?.kind ?? null)) {
      this.times = 0;
      if (isFinal || this.age >= PATIENCE.refresh) this.name(finding);
      return this.named;
    }
    this.times = kind === this.candidate ? this.times + 1 : 1;
    this.candidate = kind;
    const patience = kind === "not-finite" ? 1 : kind === null ? PATIENCE.go : PATIENCE.come;
    if (this.times >= patience) this.name(finding);
    return this.named;
  }

  private name(finding: Finding | null): void {
    this.named = finding;
    this.times = 0;
    this.age = 0;
  }
}
