// `window.unroll`: lets a test, or a curious reader at the console, check the page against the numbers it draws from.

import type { Frame } from "unroll-types";
import type { InspectionView } from "../draw/inspection.js";
import type { PanelId } from "../settings";
import type { Lab } from "./lab.svelte";

export interface Hook {
  /** The last drawn frame of a lane (0 is A), or null. */
  frame(lane: number): Frame | null;
  /** The numbers that an open panel shows of a lane, by series, or null. */
  panel(id: PanelId, lane: number): { step: number; names: readonly string[]; series: Record<string, number[]> } | null;
  /** The remembered ribbons of a lane's row, moment by moment, or null. */
  history(lane: number, row: number): { steps: readonly number[]; medians: number[][] } | null;
  /** Steps done, lane by lane. */
  steps(): number[];
  /** What slow motion knows of a lane's update, by series; null outside it and before that is there. */
  update(
    lane: number,
  ): { stage: string; step: number; names: readonly string[]; series: Record<string, number[]> } | null;
  /** Whether training runs. */
  isRunning(): boolean;
}

declare global {
  interface Window {
    unroll?: Hook;
  }
}

const plain = (view: InspectionView): Record<string, number[]> =>
  Object.fromEntries([...view.series].map(([name, { values }]) => [name, [...values]]));

export function exposeForTests(lab: Lab): void {
  window.unroll = {
    frame: (lane) => lab.lanes[lane]?.rawFrame ?? null,
    panel: (id, lane) => {
      const view = lab.lanes[lane]?.inspections.get(id);
      if (view === undefined) return null;
      return { step: view.step, names: view.names, series: plain(view) };
    },
    history: (lane, row) => {
      const of = lab.lanes[lane];
      const history = of === undefined || of.frame === null ? null : of.ribbons.of(of.frame, row);
      return history && { steps: history.steps, medians: history.medians.map((median) => [...median]) };
    },
    update: (lane) => {
      const view = lab.lanes[lane] === undefined ? undefined : lab.slow?.views.get(lab.lanes[lane].key);
      if (lab.slow === null || view === undefined || "failure" in view) return null;
      const { step, names } = view.update;
      return { stage: lab.slow.stage, step, names, series: plain(view.update) };
    },
    steps: () => lab.lanes.map((lane) => lane.step),
    isRunning: () => lab.isRunning,
  };
}
