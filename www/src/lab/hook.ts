// `window.unroll`: lets a test, or a curious reader at the console, check the page against the numbers it draws from.

import type { Frame } from "unroll-types";
import type { PanelId } from "../settings";
import type { Lab } from "./lab.svelte";

export interface Hook {
  /** The last drawn frame of a lane (0 is A), or null. */
  frame(lane: number): Frame | null;
  /** The numbers that an open panel shows of a lane, by series, or null. */
  panel(id: PanelId, lane: number): { step: number; names: readonly string[]; series: Record<string, number[]> } | null;
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
    panel: (id, lane) => {
      const view = lab.lanes[lane]?.inspections.get(id);
      if (view === undefined) return null;
      const series = Object.fromEntries([...view.series].map(([name, { values }]) => [name, [...values]]));
      return { step: view.step, names: view.names, series };
    },
    steps: () => lab.lanes.map((lane) => lane.step),
    isRunning: () => lab.isRunning,
  };
}
