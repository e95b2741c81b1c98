/** Every engine, ours first: the table's ratios are to the first row. Loaded one to a page. */

import type { Engine } from "../engine.js";

interface Entry {
  id: string;
  /** Not ours. */
  peer: boolean;
  /** Computes on WebGPU. */
  webgpu: boolean;
  /** Why its losses cannot be compared, where it cannot be given the weights, the batches or the optimiser of the others. */
  own?: string;
  load(): Promise<Engine>;
}

export const ENGINES: readonly Entry[] = [
  {
    id: "unroll-webgpu",
    peer: false,
    webgpu: true,
    load: async () => (await import("./unroll.js")).engineOn("webgpu"),
  },
  { id: "unroll", peer: false, webgpu: false, load: async () => (await import("./unroll.js")).engineOn("cpu") },
  { id: "burn-flex", peer: true, webgpu: false, load: async () => (await import("./burn.js")).engine },
  { id: "jax-js-wasm", peer: true, webgpu: false, load: async () => (await import("./jax-js.js")).engineOn("wasm") },
  { id: "tfjs-wasm", peer: true, webgpu: false, load: async () => (await import("./tfjs-wasm.js")).engine },
  {
    id: "brain-js",
    peer: true,
    webgpu: false,
    own: "one sequence at a time, its own start, loss and RMSprop",
    load: async () => (await import("./brain-js.js")).engine,
  },
  { id: "tfjs-webgpu", peer: true, webgpu: true, load: async () => (await import("./tfjs-webgpu.js")).engine },
  { id: "jax-js-webgpu", peer: true, webgpu: true, load: async () => (await import("./jax-js.js")).engineOn("webgpu") },
];
