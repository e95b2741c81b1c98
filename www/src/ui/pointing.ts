// The pointer on a picture with a time axis: hover shows a timestep in every picture, a click pins it.

import { timeAxis } from "../draw/axis.js";
import type { Box } from "../draw/canvas.js";
import type { Lab } from "../lab/lab.svelte";

type Point = { x: number; box: Box };

/** Handlers for a `Picture`; `nSteps` is null while there is nothing to point at. */
export function pointing(
  lab: Lab,
  nSteps: () => number | null,
): { onpoint: (at: Point | null) => void; onpick: (at: Point) => void } {
  const stepAt = (at: Point | null): number | null => {
    const n = nSteps();
    return at === null || n === null ? null : timeAxis(n, at.box).stepAt(at.x);
  };
  return {
    onpoint: (at) => {
      lab.hover = stepAt(at);
    },
    onpick: (at) => {
      const step = stepAt(at);
      if (step !== null) lab.togglePin(step);
    },
  };
}
