/** Every engine, ours first: the table's ratios are to the first row. Loaded one to a page. */

import type { Engine } from "../engine.js";

interface Entry {
  id: string;
  load(): Promise<Engine>;
}

export const ENGINES: readonly Entry[] = [
  { id: "unroll", load: async () => (await import("./unroll.js")).engine },
  { id: "tfjs-wasm", load: async () => (await import("./tfjs-wasm.js")).engine },
  { id: "jax-js-wasm", load: async () => (await import("./jax-js.js")).engineOn("wasm") },
];
