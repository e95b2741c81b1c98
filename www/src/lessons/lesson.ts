// What a lesson is: plain data. Text, settings, a question with its judge, a challenge with its criterion.
//
// Text may hold operations: `[set the forget bias to 3](b.init.forgetBias=3)` is a button that sets what the address would set.
// Knows no elements and no running network.

import type { Value } from "../settings";

export interface Lesson {
  id: string;
  title: string;
  /** What differs from the page's defaults when the lesson begins, by the names of the address. */
  settings: Readonly<Record<string, Value>>;
  /** Paragraphs before the question. */
  before: readonly string[];
  prediction: Prediction;
  /** Paragraphs after it. */
  after: readonly string[];
  challenge: Challenge;
}

export type Prediction =
  | {
      /** The student draws how much of the gradient arrives at each timestep before any training. */
      kind: "ribbon";
      question: string;
      /** The lane whose ribbon judges, from 0. */
      lane: number;
    }
  | {
      kind: "choice";
      question: string;
      choices: readonly { id: string; text: string }[];
      judge: Judge;
    };

/** How the running page decides which choice was right. */
export type Judge =
  /** Ids are the letters of the lanes that have solved the task by then, such as `a`, `ab`, or `none`. */
  | { kind: "solved"; by: number }
  /** Ids are numbers: how many parameters the network of a lane has. */
  | { kind: "parameters"; lane: number }
  /** Ids are verdicts on a lane's ribbon before any training. */
  | { kind: "verdict"; lane: number };

/** Reached when a lane with these settings answers well enough on held-out data. */
export interface Challenge {
  text: string;
  /** Share of right answers. */
  accuracy: number;
  /** Training steps. */
  within: number;
  /** What the lane must have, by the name of a setting without its letter; numbers are the least that counts. */
  where: Readonly<Record<string, Value>>;
}

/** A piece of a paragraph. */
export type Piece =
  | { kind: "text"; text: string }
  | { kind: "subscript"; text: string }
  | { kind: "operation"; text: string; settings: [string, string][] };

/** Splits a paragraph into text and operations. */
export function pieces(paragraph: string): Piece[] {
  return paragraph.split(/(\[[^\]]+\]\([^)]+\))/).flatMap((part): Piece[] => {
    const operation = /^\[([^\]]+)\]\(([^)]+)\)$/.exec(part);
    if (operation === null) return subscripts(part);
    const [, text = "", target = ""] = operation;
    const settings = target.split("&").map((one): [string, string] => {
      const at = one.indexOf("=");
      return [one.slice(0, at), one.slice(at + 1)];
    });
    return [{ kind: "operation", text, settings }];
  });
}

/** `h_t` and `h_{t−1}`: letters and digits after an underscore, or what braces hold, stand lower. */
function subscripts(text: string): Piece[] {
  return text.split(/(_[a-z0-9]+|_\{[^}]+\})/).flatMap((part): Piece[] => {
    if (part === "") return [];
    const lowered = /^_\{?([^}]+)\}?$/.exec(part)?.[1];
    return [lowered === undefined ? { kind: "text", text: part } : { kind: "subscript", text: lowered }];
  });
}

/** Timesteps at which a ribbon is drawn by hand, from 0: the ends and three between. */
export function handles(nSteps: number): number[] {
  const wanted = Array.from({ length: 5 }, (_, at) => Math.round((at * (nSteps - 1)) / 4));
  return [...new Set(wanted)];
}

/** Exponents of shares that can be drawn. */
export const LEAST_EXPONENT = -12;
export const MOST_EXPONENT = 6;

/** log₁₀ of the share of the last timestep's gradient that arrives at each timestep, cut to what can be drawn. */
export function shares(median: ArrayLike<number>, reference: number): number[] {
  const whole = median[reference] ?? 0;
  return Array.from(median, (value) => {
    const log = whole > 0 && value > 0 ? Math.log10(value / whole) : LEAST_EXPONENT;
    return Math.min(MOST_EXPONENT, Math.max(LEAST_EXPONENT, log));
  });
}

/** Exponents at all timesteps from those at the handles: straight lines between. */
export function between(exponents: readonly number[], nSteps: number): number[] {
  const at = handles(nSteps);
  return Array.from({ length: nSteps }, (_, t) => {
    const next = Math.max(
      1,
      at.findIndex((handle) => handle >= t),
    );
    const [from = 0, to = 1] = [at[next - 1], at[next]];
    const share = to === from ? 0 : (t - from) / (to - from);
    return (exponents[next - 1] ?? 0) * (1 - share) + (exponents[next] ?? 0) * share;
  });
}

/** Mean distance of two ribbons in decades, over all timesteps. */
export function decadesOff(predicted: readonly number[], truth: readonly number[]): number {
  return truth.reduce((sum, log, t) => sum + Math.abs(log - (predicted[t] ?? 0)), 0) / Math.max(1, truth.length);
}

/** Whether a lane's settings are what a challenge asks for; `value` finds one by its name without the letter. */
export function allows(challenge: Challenge, value: (name: string) => Value | undefined): boolean {
  return Object.entries(challenge.where).every(([name, wanted]) => {
    const found = value(name);
    return typeof wanted === "number" ? typeof found === "number" && found >= wanted : found === wanted;
  });
}
