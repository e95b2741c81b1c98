/**
 * TensorFlow.js, on the backend that its caller has registered. What is said here of times was measured on WebAssembly.
 *
 * The cell is written by hand: it took 0.8 to 0.9 of the processor time of the library's own LSTM and dense layers (with
 * `recurrentActivation: "sigmoid"`) under the same optimiser. The input product stays inside the time loop: one product
 * over all timesteps, cut by `unstack`, took 1.2 to 2 times as long, because of the gradient of the cut.
 * Kernels are transposed. Both of PyTorch's biases are kept, and added once a step where they meet: Adam moves each, so one
 * bias with the sum of both would train otherwise.
 * One-hot symbols are fed as float32: fed `oneHot().toFloat()`, the WebGPU backend trains with a loss of 0.
 */

import * as tf from "@tensorflow/tfjs-core";
// Without it no kernel has a gradient.
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import type { Engine } from "../engine.js";
import { fed } from "../engine.js";
import { GATES, oneHot, transposed } from "../workload.js";

/** [B, H] or [B, G·H]. */
type Matrix = tf.Tensor2D;

/** `binary` says what runs on the backend, for the version. */
export const engineOn = (backend: "wasm" | "webgpu", binary: () => Promise<string>): Engine => ({
  async create(workload, weights) {
    const { cell, T, B, I, H, O, form, learningRate } = workload;
    const G = GATES[cell];
    if (!(await tf.setBackend(backend))) throw new Error(`the ${backend} backend did not start`);
    await tf.ready();

    const matrix = (values: Float32Array, rows: number, columns: number) =>
      tf.variable(tf.tensor2d(values, [rows, columns]));
    const kernel = matrix(transposed(weights.weightIh, G * H, I), I, G * H);
    const recurrent = matrix(transposed(weights.weightHh, G * H, H), H, G * H);
    const biasIh = tf.variable(tf.tensor1d(weights.biasIh));
    const biasHh = tf.variable(tf.tensor1d(weights.biasHh));
    const headKernel = matrix(transposed(weights.headWeight, O, H), H, O);
    const headBias = tf.variable(tf.tensor1d(weights.headBias));
    const zeros: Matrix = tf.zeros([B, H]);
    const adam = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);

    const lossOf = (x: tf.Tensor2D, y: tf.Tensor2D): tf.Scalar => {
      const bias = cell === "gru" ? biasIh : tf.add(biasIh, biasHh);
      let [h, c] = [zeros, zeros];
      const gatesOf = (a: Matrix) => tf.split(a, G, 1) as [Matrix, Matrix, Matrix, Matrix];
      const states: Matrix[] = [];
      for (const x_t of tf.split(x, T)) {
        const fromInput: Matrix = tf.matMul(x_t, kernel);
        const fromState: Matrix = tf.matMul(h, recurrent);
        if (cell === "gru") {
          const [r, z, n] = gatesOf(tf.add(fromInput, bias));
          const [rState, zState, nState] = gatesOf(tf.add(fromState, biasHh));
          const fresh: Matrix = tf.tanh(tf.add(n, tf.mul(tf.sigmoid(tf.add(r, rState)), nState)));
          h = tf.add(fresh, tf.mul(tf.sigmoid(tf.add(z, zState)), tf.sub(h, fresh)));
        } else {
          const a: Matrix = tf.add(tf.add(fromInput, fromState), bias);
          if (cell === "lstm") {
            const [i, f, g, o] = gatesOf(a);
            c = tf.add(tf.mul(tf.sigmoid(f), c), tf.mul(tf.sigmoid(i), tf.tanh(g)));
            h = tf.mul(tf.sigmoid(o), tf.tanh(c));
          } else h = tf.tanh(a);
        }
        states.push(h);
      }
      const top = form === "adding" ? h : tf.concat(states);
      const outputs = tf.add(tf.matMul(top, headKernel), headBias);
      return form === "adding" ? tf.losses.meanSquaredError(y, outputs) : tf.losses.softmaxCrossEntropy(y, outputs);
    };

    return fed(
      `${tf.version_core}, ${await binary()}`,
      ({ x, y }) =>
        form === "adding" ? { x: x as Float32Array, y: y as Float32Array } : { x: oneHot(x, I), y: oneHot(y, O) },
      async (arrays) => {
        const x = tf.tensor2d(arrays.x, [T * B, I]);
        const y = tf.tensor2d(arrays.y, [form === "adding" ? B : T * B, O]);
        const loss = adam.minimize(() => lossOf(x, y), true);
        if (!loss) throw new Error("minimize returned no loss");
        const [value] = await loss.data();
        tf.dispose([x, y, loss]);
        return value ?? Number.NaN;
      },
    );
  },
});
