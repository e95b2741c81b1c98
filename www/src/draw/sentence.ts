/**
 * The sentence about a ribbon: on the page beside it, and in the live region for those who do not see the picture.
 *
 * Every number in it comes from the frame's fit. Timesteps are counted from 1.
 */

import type { Fit, RibbonView } from "./frame.js";
import { ZONE_SHARES } from "./ribbon.js";
import { count, factor, powerOfTen, share, significant, steps } from "./numbers.js";

export interface Sentence {
  /** "×0.42 a step back; step 1 receives 1/2,000,000 of the signal." */
  short: string;
  /** For the live region: words in place of signs, and the half-life. */
  spoken: string;
  /** What the sentence says, for a colour or a mark. */
  verdict: "none" | "vanishing" | "fading" | "steady" | "growing" | "exploding" | "broken" | "cut";
}

/** The factor for machines, at full precision: `Number(factorText(fit))` is `fit.factor`. Empty when there is no fit. */
export function factorText(fit: Fit | null): string {
  return fit === null ? "" : String(fit.factor);
}

/** "half-life 3.7 steps", "doubles every 2.4 steps", or empty when the factor is 1. */
export function halfLifeText(fit: Fit): string {
  if (fit.halfLife === null || !Number.isFinite(fit.halfLife)) return "";
  return fit.factor > 1 ? `doubles every ${steps(fit.halfLife)}` : `half-life ${steps(fit.halfLife)}`;
}

/** "horizon 5.4 steps": where 1/e is left. Empty when nothing vanishes. */
export function horizonText(fit: Fit): string {
  return fit.horizon === null || !Number.isFinite(fit.horizon) ? "" : `horizon ${steps(fit.horizon)}`;
}

/** Steps that receive nothing, as "steps 1–12" or "step 1"; null when there are none. */
function silentSteps(ribbon: RibbonView, floor: number): string | null {
  const { median, reverse, reference } = ribbon;
  const below = (t: number): boolean => (median[t] ?? 0) < floor;
  if (reference < 0) return null;
  if (reverse) {
    let t = median.length - 1;
    while (t > reference && below(t)) t -= 1;
    if (t === median.length - 1) return null;
    return t + 2 === median.length ? `step ${count(median.length)}` : `steps ${count(t + 2)}–${count(median.length)}`;
  }
  let t = 0;
  while (t < reference && below(t)) t += 1;
  if (t === 0) return null;
  return t === 1 ? "step 1" : `steps 1–${count(t)}`;
}

/** A share as part of a sentence. */
function shareOfSignal(ratio: number): string {
  return ratio >= 1.995 ? `${count(Number(ratio.toPrecision(2)))} times the signal` : `${share(ratio)} of the signal`;
}

/** As {@link shareOfSignal}, with a power of ten where commas would run on. */
function shareInWords(ratio: number): string {
  if (!Number.isFinite(ratio)) return "more than f32 can hold";
  return ratio >= 1e9 ? `${significant(ratio, 2)} times the signal` : shareOfSignal(ratio);
}

/** The verdict on what the far end receives: within a factor of two steady, and beyond it by the zones of the ribbon. */
function verdictOf(ratio: number): Sentence["verdict"] {
  if (ratio > ZONE_SHARES.exploding) return "exploding";
  if (ratio > 2) return "growing";
  if (ratio >= 0.5) return "steady";
  return ratio >= ZONE_SHARES.fading ? "fading" : "vanishing";
}

/**
 * The sentence for a ribbon. `floor` is the frame's; a ribbon that is one of many is named by its state.
 *
 * Cases: no gradient at all; not finite; one timestep in reach; no fit; vanishing or fading, with or without steps below
 * the floor; steady; growing; exploding.
 */
export function sentence(ribbon: RibbonView, floor: number, isOneOfMany = false): Sentence {
  const { fit, median, reference, reverse, window, cut = 0 } = ribbon;
  const farthest = reverse ? median.length : 1;
  const entry = count(reference + 1);
  if (reference < 0) {
    return {
      short: "No gradient: the loss does not depend on any state here.",
      spoken: "No gradient arrives at any step.",
      verdict: "none",
    };
  }
  if (median.some((value) => !Number.isFinite(value)) || (fit !== null && !Number.isFinite(fit.factor))) {
    return {
      short: "The gradient is no longer a finite number.",
      spoken: "The gradient is no longer a finite number: it has exploded.",
      verdict: "broken",
    };
  }
  const inReach = reverse ? median.length - reference : reference + 1;
  if (inReach === 1) {
    return {
      short: `The loss enters at step ${entry}: there is no step to go back.`,
      spoken: `The loss enters at step ${entry}. There is no step to go back.`,
      verdict: "none",
    };
  }
  if (window !== undefined && cut < median.length - window) {
    const whole = `The window cuts the way back every ${steps(window)}: no gradient crosses the dashed lines.`;
    return { short: whole, spoken: whole, verdict: "cut" };
  }
  const ends = reverse ? [median.length - cut + 1, median.length] : [1, cut];
  const lost =
    cut === 1
      ? `step ${count(farthest)} is cut off by the window`
      : `steps ${ends.map(count).join("–")} are cut off by the window`;
  if (cut > 0 && fit === null) {
    const only =
      cut === (reverse ? median.length - 1 - reference : reference)
        ? `Only step ${entry} receives a gradient`
        : "Too few timesteps to fit a factor";
    return { short: `${only}; ${lost}.`, spoken: `${only}; ${lost}.`, verdict: "cut" };
  }
  const silent = cut > 0 ? null : silentSteps(ribbon, floor);
  if (fit === null || fit.factor <= 0) {
    const what =
      silent === null
        ? "too few timesteps to fit a factor"
        : `${silent} receive${silent.startsWith("step ") ? "s" : ""} nothing`;
    return {
      short: `Only step ${entry} is above the floor of f32; ${what}.`,
      spoken: `Only step ${entry} receives a gradient that f32 can hold. ${what.charAt(0).toUpperCase()}${what.slice(1)}.`,
      verdict: silent === null ? "none" : "vanishing",
    };
  }

  const rate = `${factor(fit.factor)} a step back${isOneOfMany ? ` through ${ribbon.id}` : ""}`;
  const nothing =
    silent === null ? null : `${silent} receive${silent.startsWith("step ") ? "s" : ""} nothing that f32 can hold`;
  const arrives = cut > 0 ? lost : (nothing ?? `step ${count(farthest)} receives ${shareInWords(fit.ratio)}`);
  const half = halfLifeText(fit);
  const change = Math.abs(fit.factor - 1) * 100;
  const percent = change < 0.95 ? significant(change, 1) : String(Math.round(change));
  const verdict = cut > 0 ? "cut" : silent === null ? verdictOf(fit.ratio) : "vanishing";
  const words = verdict === "steady" || verdict === "growing" || verdict === "exploding" ? `: ${verdict}` : "";
  const short = `${rate}${words}; ${arrives}.`;
  const changes =
    fit.factor >= 2
      ? `grows ${significant(fit.factor, 2)} times a step back`
      : fit.factor > 1
        ? `grows ${percent} % a step back`
        : fit.factor < 0.01
          ? `falls to ${share(fit.factor)} at each step back`
          : `falls ${percent} % a step back`;
  const spoken =
    verdict === "steady"
      ? `Gradient holds steady; ${arrives}.`
      : `Gradient ${changes}${half === "" ? "" : `, ${half}`}; ${arrives}.`;
  return { short, spoken, verdict };
}

/** The fit in one line for a label: "×0.83 per step back · half-life 3.7 steps · step 1 receives 1/3,100". */
export function fitLine(fit: Fit, reverse: boolean, nSteps: number): string {
  const half = halfLifeText(fit);
  const far = `step ${count(reverse ? nSteps : 1)} receives ${fit.ratio > 0 ? shareInWords(fit.ratio) : `less than ${powerOfTen(-38)}`}`;
  return [`${factor(fit.factor)} per step back`, half, far].filter((part) => part !== "").join(" · ");
}
