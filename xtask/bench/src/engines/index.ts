/** Every engine, ours first: the table's ratios are to the first row. Loaded one to a page. */

import type { Engine } from "../engine.js";

interface Entry {
  id: string;
  /** Not ours. */
  peer: boolean;
  /** Computes on WebGPU. */
  webgpu: boolean;
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
  { id: "tfjs-wasm", peer: true, webgpu: false, load: async () => (await import("./tfjs-wasm.js")).engine },
  { id: "jax-js-wasm", peer: true, webgpu: false, load: async () => (await import("./jax-js.js")).engineOn("wasm") },
  { id: "tfjs-webgpu", peer: true, webgpu: true, load: async () => (await import("./tfjs-webgpu.js")).engine },
  { id: "jax-js-webgpu", peer: true, webgpu: true, load: async () => (await import("./jax-js.js")).engineOn("webgpu") },
];
