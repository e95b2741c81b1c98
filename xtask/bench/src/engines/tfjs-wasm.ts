/** TensorFlow.js on its WebAssembly backend, one thread with SIMD. */

import { setWasmPaths, version_wasm } from "@tensorflow/tfjs-backend-wasm";
import { env } from "@tensorflow/tfjs-core";
import { engineOn } from "./tfjs.js";

setWasmPaths("./tfjs/");

/** Which of the library's binaries its backend has chosen. */
async function binary(): Promise<string> {
  const [simd, threads] = await Promise.all([
    env().getAsync("WASM_HAS_SIMD_SUPPORT"),
    env().getAsync("WASM_HAS_MULTITHREAD_SUPPORT"),
  ]);
  return `wasm ${version_wasm}${simd ? " simd" : ""}${threads ? " threads" : ""}`;
}

export const engine = engineOn("wasm", binary);
