// `window.unroll`: lets a test, or a curious reader at the console, check the page against the numbers it draws from.

import type { Frame } from "unroll-types";
import type { Lab } from "./lab.svelte";

export interface Hook {
  /** The last drawn frame of a lane (0 is A), or null. */
  frame(lane: number): Frame | null;
  /** Steps done, lane by lane. */
  steps(): number[];
  /** Whether training runs. */
  isRunning(): boolean;
}

declare global {
  interface Window {
    unroll?: Hook;
  }
}

export function exposeForTests(lab: Lab): void {
  window.unroll = {
    frame: (lane) => lab.lanes[lane]?.rawFrame ?? null,
    steps: () => lab.lanes.map((lane) => lane.step),
    isRunning: () => lab.isRunning,
  };
}
