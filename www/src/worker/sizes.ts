// How large the networks of the lanes are, in numbers of parameters; and which number of units brings one closest to another. Parameters are
// counted by whoever calls, that is by the package.

import type { SessionConfig } from "unroll-types";

/** The size of a network: null where the package refuses it. */
export interface Size {
  hidden: number;
  parameters: number | null;
}

export interface SizesAsked {
  /** One a lane, lane A first. */
  configs: readonly SessionConfig[];
  /** All lanes but the first get the number of units that comes closest to the first one's parameters. */
  matches: boolean;
  /** The largest number of units. */
  most: number;
}

/** Throws when the package refuses the configuration. */
type Count = (config: SessionConfig) => number;

/** Of so many sizes in a row at least one fits, if any does: heads must divide the units, and nobody has as many heads. */
const GAP = 64;

/** The size of each lane. */
export function sizesOf(count: Count, { configs, matches, most }: SizesAsked): Size[] {
  const [first] = configs;
  if (first === undefined) return [];
  const target = matches ? counted(count, first) : null;
  return configs.map((config, lane) => {
    const own = { hidden: config.model.hidden ?? 1, parameters: counted(count, config) };
    if (lane === 0 || target === null) return own;
    const resized = (hidden: number): SessionConfig => ({ ...config, model: { ...config.model, hidden } });
    return closest((hidden) => counted(count, resized(hidden)), target, most) ?? own;
  });
}

function counted(count: Count, config: SessionConfig): number | null {
  try {
    return count(config);
  } catch (error) {
    // What breaks the package is not a refusal.
    if (error instanceof WebAssembly.RuntimeError) throw error;
    return null;
  }
}

/**
 * The number of units from 1 to `most` whose parameters come closest to `target`, the smaller one of two; null when none fits. More units
 * are more parameters; sizes that do not fit, null, lie between others.
 */
export function closest(
  count: (hidden: number) => number | null,
  target: number,
  most: number,
): { hidden: number; parameters: number } | null {
  let best: { hidden: number; parameters: number } | null = null;
  for (let low = 1, high = most; low <= high;) {
    const middle = Math.floor((low + high) / 2);
    const end = Math.min(high, middle + GAP);
    let hidden = middle;
    let parameters = count(hidden);
    while (parameters === null && hidden < end) parameters = count(++hidden);
    if (parameters === null) {
      high = middle - 1;
      if (end - middle === GAP) return null;
      continue;
    }
    const distance = Math.abs(parameters - target);
    const least = best === null ? Number.POSITIVE_INFINITY : Math.abs(best.parameters - target);
    if (distance < least || (distance === least && best !== null && hidden < best.hidden))
      best = { hidden, parameters };
    if (parameters <= target) low = hidden + 1;
    else high = middle - 1;
  }
  return best;
}
