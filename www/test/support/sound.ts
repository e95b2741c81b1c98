/** What must hold for every drawing, whatever it shows. */

import { expect } from "vitest";
import type { Call, Recorder } from "./recorder.js";

const GEOMETRY = [
  "moveTo",
  "lineTo",
  "fillRect",
  "strokeRect",
  "rect",
  "arc",
  "quadraticCurveTo",
  "roundRect",
  "fillText",
  "strokeText",
  "drawImage",
];

export function geometry(calls: readonly Call[]): { name: string; numbers: number[] }[] {
  return calls
    .filter(({ name }) => GEOMETRY.includes(name))
    .map(({ name, args }) => ({ name, numbers: args.filter((arg): arg is number => typeof arg === "number") }));
}

/** Finite numbers, inside the box, a context left as it was, text that can be read. */
export function sound(made: Recorder, what: string): void {
  for (const { name, numbers } of geometry(made.calls)) {
    for (const n of numbers) if (!Number.isFinite(n)) throw new Error(`${what}: ${name}(${numbers.join(", ")})`);
    const last = numbers.at(-1) ?? 0;
    if (["fillRect", "drawImage", "roundRect"].includes(name) && last < 0)
      throw new Error(`${what}: ${name} of negative height`);
  }
  expect(made.depth(), what).toBe(0);
  for (const { name, args } of made.calls) {
    if (name === "set font") expect(Number(/([0-9.]+)px/.exec(String(args[0]))?.[1])).toBeGreaterThanOrEqual(11);
  }
  // Nothing may stand far outside of the box, to the left or right.
  for (const { args, name } of made.calls) {
    if (name !== "fillText") continue;
    expect(args[1], `${what}: "${String(args[0])}"`).toBeGreaterThanOrEqual(0);
    expect(args[1], `${what}: "${String(args[0])}"`).toBeLessThanOrEqual(900);
  }
}
