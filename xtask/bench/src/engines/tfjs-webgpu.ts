/** TensorFlow.js on its WebGPU backend. */

import "@tensorflow/tfjs-backend-webgpu";
import { engineOn } from "./tfjs.js";

export const engine = engineOn("webgpu", () => Promise.resolve("webgpu"));
