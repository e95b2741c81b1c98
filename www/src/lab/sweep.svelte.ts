// The horizon sweep: one worker of its own that trains network after network in spare time, each for a fixed number of steps.
//
// While the lanes run it rests as long as it works, so that it takes at most half a core from them. It must not know elements.

import { SvelteMap } from "svelte/reactivity";
import type { Evaluation, SessionConfig } from "unroll-types";
import { LaneClient, type WorkerLike } from "../worker/client";
import type { HorizonGrid } from "./horizon";

/** What the sweep needs of the browser. */
export interface SweepHost {
  makeWorker(): WorkerLike;
  later(callback: () => void, ms: number): () => void;
  /** Milliseconds. */
  now(): number;
}

export type SweepCell =
  | { state: "training"; step: number }
  /** `solvedAt`: the step of the evaluation that met the task's criterion, at which training ended; null when the budget ran out. */
  | { state: "done"; evaluation: Evaluation; solvedAt: number | null }
  | { state: "failed"; message: string };

/** A piece of training lasts about this long. */
const PIECE_MS = 40;

export class Sweep {
  isRunning = $state(false);
  /** By `cellKey`. */
  readonly cells = new SvelteMap<string, SweepCell>();
  /** What the cells are of: a sweep over another grid begins anew. */
  private key = $state("");
  private client: LaneClient | null = null;
  private run = 0;

  constructor(
    private readonly host: SweepHost,
    private readonly isBusy: () => boolean,
  ) {}

  static cellKey(row: number, length: number): string {
    return `${String(row)} ${String(length)}`;
  }

  /** True when the cells are those of a grid. */
  isOf(key: string): boolean {
    return this.key === key;
  }

  /** Trains what is missing of a grid, the shortest lag first. */
  async start(grid: HorizonGrid, key: string, steps: number): Promise<void> {
    this.stop();
    if (!this.isOf(key)) this.cells.clear();
    this.key = key;
    const run = ++this.run;
    this.isRunning = true;
    for (const length of grid.lengths) {
      for (const [at, row] of grid.rows.entries()) {
        const cell = Sweep.cellKey(at, length);
        if (this.cells.has(cell)) continue;
        try {
          const done = await this.train(grid.config(row, length), cell, steps, run);
          if (run !== this.run) return;
          this.cells.set(cell, done);
        } catch (error) {
          if (run !== this.run) return;
          this.cells.set(cell, { state: "failed", message: error instanceof Error ? error.message : String(error) });
          this.client?.close();
          this.client = null;
        }
      }
    }
    this.stop();
  }

  /** What is done stays. */
  stop(): void {
    this.run += 1;
    this.isRunning = false;
    this.client?.close();
    this.client = null;
    for (const [key, { state }] of this.cells) if (state === "training") this.cells.delete(key);
  }

  private async train(config: SessionConfig, cell: string, steps: number, run: number): Promise<SweepCell> {
    let solvedAt: number | null = null;
    let diverged: string | null = null;
    // Each network has a worker of its own, so that nothing of the last one is left.
    this.client?.close();
    const client = new LaneClient(this.host.makeWorker(), (report) => {
      if (report.type === "evaluation" && report.evaluation.solved) solvedAt ??= report.evaluation.step;
      if (report.type === "diverged") diverged = report.diverged.message;
    });
    this.client = client;
    this.cells.set(cell, { state: "training", step: 0 });
    await client.call("create", { config });
    let piece = 8;
    for (let step = 0; step < steps && solvedAt === null;) {
      const start = this.host.now();
      step = (await client.call("trainTo", { step: Math.min(steps, step + piece) })).step;
      if (run !== this.run) throw new Error("stopped");
      if (diverged !== null) return { state: "failed", message: diverged };
      const took = this.host.now() - start;
      this.cells.set(cell, { state: "training", step });
      piece = Math.max(1, Math.round(piece * Math.min(2, Math.max(0.5, PIECE_MS / Math.max(1, took)))));
      if (this.isBusy()) await new Promise<void>((resolve) => this.host.later(resolve, took));
    }
    return { state: "done", evaluation: await client.call("evaluate", {}), solvedAt };
  }
}
