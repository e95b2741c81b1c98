/** What the bench asks of an engine. A new peer is a module that exports one, and a line in engines/index.ts. */

import type { Batch, Weights, Workload } from "./workload.js";

export interface Engine {
  /** Loads the library, builds the network and puts in the weights. */
  create(workload: Workload, weights: Weights): Promise<Trainer>;
}

/** What an engine says of a dispatch of its own. */
export interface Dispatch {
  label: string;
  workgroups: readonly number[];
  bytes: number;
}

/** How an engine spends a training step, by its own clock. */
export interface Profile {
  /** What products and sums in registers alone reach, in GFLOP/s. */
  limit: number;
  calls: readonly { label: string; writes: string; ms: number; flop: number }[];
}

export interface Trainer {
  /** Of the library, and which of its binaries runs. */
  version: string;
  /** Milliseconds that creating the network took, without loading the library, where the engine tells. */
  createdMs?: number;
  /** One training step on a batch: resolves to the loss before the update, read back into JavaScript. */
  step(batch: Batch): Promise<number>;
  /**
   * What is timed: `count` training steps, each with its loss read back. Resolves to the last loss. The batches may repeat;
   * an engine that draws its own batches does so here, and pays for it.
   */
  train(batches: readonly Batch[], count: number): Promise<number>;
  /** The dispatches of a training step, where the engine can tell. */
  dispatches?(): Promise<readonly Dispatch[]>;
  /** Where the time of a training step goes, over some steps, where the engine can tell. */
  profile?(steps: number): Promise<Profile>;
}

/** A trainer for a library that is fed by its caller. `prepare` turns a batch into arrays of the library's form, untimed. */
export function fed<Arrays>(
  version: string,
  prepare: (batch: Batch) => Arrays,
  step: (arrays: Arrays) => Promise<number>,
): Trainer {
  const prepared = new Map<Batch, Arrays>();
  const arraysOf = (batch: Batch): Arrays => {
    const arrays = prepared.get(batch) ?? prepare(batch);
    prepared.set(batch, arrays);
    return arrays;
  };
  return {
    version,
    step: (batch) => step(arraysOf(batch)),
    async train(batches, count) {
      let loss = Number.NaN;
      for (let k = 0; k < count; k++) {
        const batch = batches[k % batches.length];
        if (batch) loss = await step(arraysOf(batch));
      }
      return loss;
    },
  };
}
