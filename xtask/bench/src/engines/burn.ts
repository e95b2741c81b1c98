/** Burn on its flex backend: a WebAssembly module built from the registry's crate, in `xtask/bench/burn/`. */

import type { Engine } from "../engine.js";
import { fed } from "../engine.js";
import { GATES } from "../workload.js";

interface Peer {
  stepOnValues(x: Float32Array, y: Float32Array): number;
  stepOnSymbols(x: Int32Array, y: Int32Array): number;
}

/** What is used of the module. */
interface Module {
  default(): Promise<unknown>;
  Peer: new (cell: string, sizes: Uint32Array, weights: Float32Array, rate: number) => Peer;
  /** Of Burn. */
  version(): string;
}

export const engine: Engine = {
  async create(workload, { weightIh, weightHh, biasIh, biasHh, headWeight, headBias }) {
    const path = "./burn/burn_peer.js";
    const burn = (await import(path)) as Module;
    await burn.default();
    const { cell, H, T, B, I, O, form, learningRate } = workload;
    const tensors = [weightIh, weightHh, biasIh, biasHh, headWeight, headBias];
    const weights = new Float32Array(GATES[cell] * H * (I + H + 2) + O * (H + 1));
    let at = 0;
    for (const tensor of tensors) {
      weights.set(tensor, at);
      at += tensor.length;
    }
    const peer = new burn.Peer(cell, Uint32Array.of(H, T, B, I, O), weights, learningRate);
    return form === "adding"
      ? fed(
          burn.version(),
          ({ x, y }) => ({ x: x as Float32Array, y: y as Float32Array }),
          ({ x, y }) => Promise.resolve(peer.stepOnValues(x, y)),
        )
      : fed(
          burn.version(),
          ({ x, y }) => ({ x: Int32Array.from(x), y: Int32Array.from(y) }),
          ({ x, y }) => Promise.resolve(peer.stepOnSymbols(x, y)),
        );
  },
};
