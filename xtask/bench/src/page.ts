/** The page that trains one engine. The driver calls `bench` from outside. */

import type { Dispatch, Profile, Trainer } from "./engine.js";
import { ENGINES } from "./engines/index.js";
import { countWebgpuCalls } from "./webgpu-calls.js";
import type { WebgpuCalls } from "./webgpu-calls.js";
import { batch, initialWeights } from "./workload.js";
import type { Batch, Workload } from "./workload.js";

/** Batches that are cycled through; the first ones are those of the compared steps. */
const N_BATCHES = 16;

let trainer: Trainer | null = null;
let batches: Batch[] = [];
let counted: WebgpuCalls | null = null;

function running(): Trainer {
  if (!trainer) throw new Error("create an engine first");
  return trainer;
}

const bench = {
  engines: ENGINES.map(({ id, peer, webgpu, own }) => ({ id, peer, webgpu, own: own ?? null })),

  /** Loads an engine for a workload; resolves to its version. */
  async create(engineId: string, workload: Workload): Promise<string> {
    const entry = ENGINES.find(({ id }) => id === engineId);
    if (!entry) throw new Error(`no engine ${engineId}`);
    if (entry.webgpu) counted = countWebgpuCalls();
    batches = Array.from({ length: N_BATCHES }, (_, k) => batch(workload, k));
    trainer = await (await entry.load()).create(workload, initialWeights(workload));
    return trainer.version;
  },

  /** Milliseconds that creating the network took, without loading; null where the engine does not tell. */
  createdMs: (): number | null => running().createdMs ?? null,

  /** Training step number k on batch k. Milliseconds of one step tell slow from quick; only a first step needs no more. */
  async step(k: number): Promise<{ loss: number; ms: number }> {
    const start = performance.now();
    const loss = await running().step(batches[k % N_BATCHES] as Batch);
    return { loss, ms: performance.now() - start };
  },

  /** `count` steps; resolves to milliseconds for all of them. The browser rounds its clock, so let them be many. */
  async train(count: number): Promise<number> {
    const start = performance.now();
    const loss = await running().train(batches, count);
    const ms = performance.now() - start;
    if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss} while it was timed`);
    return ms;
  },

  /** The dispatches of a training step; null where the engine computes elsewhere or cannot tell. */
  dispatches: async (): Promise<readonly Dispatch[] | null> => (counted && (await running().dispatches?.())) ?? null,

  /** Where the time of a training step goes; null where the engine cannot tell. */
  profile: async (steps: number): Promise<Profile | null> => (await running().profile?.(steps)) ?? null,

  /** What the engine has asked of WebGPU so far; null where it computes elsewhere. */
  webgpu: (): WebgpuCalls | null => counted,
};

export type Bench = typeof bench;

declare global {
  var bench: Bench;
}

globalThis.bench = bench;
