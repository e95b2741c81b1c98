/** This project's engines, through its package as any page would use it. */

import type {
  Batch as CallersBatch,
  CallTime,
  Dispatch,
  Progress,
  SessionConfig,
} from "../../../../src/web/types.d.ts";
import type { Engine } from "../engine.js";
import { encode } from "../safetensors.js";
import { GATES } from "../workload.js";
import type { Weights, Workload } from "../workload.js";

type Backend = "cpu" | "webgpu";

/** What is used of the package. */
interface Package {
  default(): Promise<unknown>;
  simdLimit(): number;
  Session: { create(config: SessionConfig): Promise<Session> };
}

interface Session {
  readonly backend: string;
  setWeights(bytes: Uint8Array): Promise<void>;
  trainOn(batch: CallersBatch): Promise<Progress>;
  advance(steps: number): Promise<Progress>;
  dispatches(): Promise<Dispatch[]>;
  profile(steps: number): Promise<CallTime[]>;
}

/** Only the form of the task counts for the compared steps: their batches are the bench's. */
function configOf({ cell, H, T, B, I, form, learningRate }: Workload, backend: Backend): SessionConfig {
  return {
    task: form === "adding" ? { id: "adding", length: T } : { id: "copy", length: T, items: 10, alphabet: I - 2 },
    model: { id: cell, hidden: H },
    optimiser: { id: "adam", lr: learningRate },
    clip: null,
    batch: B,
    seed: 1,
    backend,
  };
}

function stateDict(weights: Weights, { cell, H, I, O }: Workload): Uint8Array {
  const rows = GATES[cell] * H;
  return encode([
    { name: "rnn.weight_ih_l0", shape: [rows, I], values: weights.weightIh },
    { name: "rnn.weight_hh_l0", shape: [rows, H], values: weights.weightHh },
    { name: "rnn.bias_ih_l0", shape: [rows], values: weights.biasIh },
    { name: "rnn.bias_hh_l0", shape: [rows], values: weights.biasHh },
    { name: "head.weight", shape: [O, H], values: weights.headWeight },
    { name: "head.bias", shape: [O], values: weights.headBias },
  ]);
}

export const engineOn = (backend: Backend): Engine => ({
  async create(workload, weights) {
    // Served beside the bench, never bundled: what is measured is the package as it is built.
    const path = "./pkg/unroll.js";
    const unroll = (await import(path)) as Package;
    await unroll.default();
    const start = performance.now();
    const session = await unroll.Session.create(configOf(workload, backend));
    const createdMs = performance.now() - start;
    await session.setWeights(stateDict(weights, workload));
    const { version } = (await (await fetch("./pkg/package.json")).json()) as { version: string };
    return {
      version: `${version}, ${session.backend}`,
      createdMs,
      dispatches: () => session.dispatches(),
      async profile(steps) {
        const calls = await session.profile(steps);
        return { limit: Math.max(...Array.from({ length: 40 }, () => unroll.simdLimit())), calls };
      },
      step: async ({ x, y }) => (await session.trainOn({ x, y, T: workload.T, B: workload.B })).loss,
      async train(_, count) {
        let loss = Number.NaN;
        for (let k = 0; k < count; k++) loss = (await session.advance(1)).loss;
        return loss;
      },
    };
  },
});
