// Sizes of the lanes of a race: what is asked of the package about them, and what the page says. Pure functions of the settings.

import type { Catalog } from "unroll-types";
import { count } from "../draw/numbers.js";
import { describe, isMatched, letterOf, sessionConfig, type Value, type Values } from "../settings";
import type { Size, SizesAsked } from "../worker/sizes";

/** Numbers of parameters further apart than this share of lane A's are not called the same. */
export const TOLERANCE = 0.1;

/** What the sizes of all lanes hang on, and what tells whether that is the same as before: units that follow from it are no part of it. */
export function sizesAsked(catalog: Catalog, given: Values): { asked: SizesAsked; key: string } {
  const { values } = describe(catalog, given);
  const configs = Array.from({ length: Number(values["lanes"]) }, (_, lane) => {
    const { task, model } = sessionConfig(catalog, values, lane);
    return { task, model };
  });
  const matches = isMatched(values);
  const [first, ...others] = configs;
  const fixed = matches ? others.map(({ task, model }) => ({ task, model: { ...model, hidden: 0 } })) : others;
  return { asked: { configs, matches, most: catalog.limits.hidden }, key: JSON.stringify([matches, first, fixed]) };
}

/** The settings with the units that were found for the lanes beside A. */
export function withSizes(values: Values, sizes: readonly Size[]): Values {
  if (!isMatched(values)) return values;
  const found: Record<string, Value> = {};
  sizes.forEach(({ hidden }, lane) => {
    if (lane > 0) found[`${letterOf(lane)}.hidden`] = hidden;
  });
  return { ...values, ...found };
}

export const inUnits = (units: number): string => `${count(units)} ${units === 1 ? "unit" : "units"}`;
export const inParameters = (n: number): string => `${count(n)} ${n === 1 ? "parameter" : "parameters"}`;

/** The size of a lane in words: "30 units, 4,193 parameters, A has 4,162"; `target` is lane A's number where the lane follows it. */
export function sizeInWords(units: number, parameters: number | null, target: number | null): string {
  const parts = [inUnits(units)];
  if (parameters !== null) parts.push(inParameters(parameters));
  if (parameters !== null && target !== null) parts.push(`A has ${count(target)}`);
  return parts.join(", ");
}

/** Says that no size of a lane comes near lane A's; null where one does. */
export function misfit(letter: string, model: string, { hidden, parameters }: Size, target: number): string | null {
  if (parameters === null || Math.abs(parameters - target) <= TOLERANCE * target) return null;
  return `No size of lane ${letter}'s ${model} comes within ${count(100 * TOLERANCE)} % of lane A's ${inParameters(target)}: the closest is ${inUnits(hidden)} with ${count(parameters)}.`;
}
