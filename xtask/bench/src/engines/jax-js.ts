/**
 * jax-js, on its WebAssembly or its WebGPU device. What is said here of times was measured on WebAssembly.
 *
 * The whole training step is one `jit`: loss, gradient and Adam in one trace, unrolled over time (the library has no scan).
 * Compiling only the cell took 3 to 20 times as long, compiling nothing 30 times and more. Weights keep PyTorch's layout
 * and are transposed where they are used, so that the product reads both sides along their rows: 0.7 to 1 of the time.
 * The input product stays inside the time loop: one product over all timesteps took 1.2 to 1.7 times as long.
 *
 * Arrays are reference counted: a function consumes its arguments, and `.ref` keeps one for another use.
 */

import { type Array, defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import manifest from "../../node_modules/@jax-js/jax/package.json";
import type { Engine } from "../engine.js";
import { fed } from "../engine.js";
import { GATES, oneHot } from "../workload.js";

/** A type alias, because the library's trees reject interfaces. */
type Parameters = {
  weightIh: Array;
  weightHh: Array;
  biasIh: Array;
  biasHh: Array;
  headWeight: Array;
  headBias: Array;
};

const [BETA_1, BETA_2, EPSILON] = [0.9, 0.999, 1e-8];

/** Parameters and the moments of Adam. */
type State = { parameters: Parameters; first: Parameters; second: Parameters };

export const engineOn = (device: "wasm" | "webgpu"): Engine => ({
  async create(workload, weights) {
    const { cell, T, B, I, H, O, form, learningRate } = workload;
    const G = GATES[cell];
    if (!(await init(device)).includes(device)) throw new Error(`the ${device} device did not start`);
    defaultDevice(device);
    const binary = device === "wasm" && typeof SharedArrayBuffer !== "undefined" ? "wasm threads" : device;

    const lossOf = (p: Parameters, x: Array, y: Array): Array => {
      // Both of PyTorch's biases are kept: Adam moves each, so one bias with the sum of both would train otherwise.
      const bias = cell === "gru" ? p.biasIh : p.biasIh.add(p.biasHh.ref);
      let [h, c] = [np.zeros([B, H]), np.zeros([B, H])];
      const states: Array[] = [];
      for (const x_t of np.split(x, T)) {
        const fromInput = np.matmul(x_t, p.weightIh.ref.transpose());
        const fromState = np.matmul(cell === "gru" ? h.ref : h, p.weightHh.ref.transpose());
        if (cell === "gru") {
          const [r, z, n] = np.split(fromInput.add(bias.ref), 3, 1) as [Array, Array, Array];
          const [rState, zState, nState] = np.split(fromState.add(p.biasHh.ref), 3, 1) as [Array, Array, Array];
          const fresh = np.tanh(n.add(nn.sigmoid(r.add(rState)).mul(nState)));
          h = fresh.ref.add(nn.sigmoid(z.add(zState)).mul(h.sub(fresh)));
        } else {
          const a = fromInput.add(fromState).add(bias.ref);
          if (cell === "lstm") {
            const [i, f, g, o] = np.split(a, 4, 1) as [Array, Array, Array, Array];
            c = nn
              .sigmoid(f)
              .mul(c)
              .add(nn.sigmoid(i).mul(np.tanh(g)));
            h = nn.sigmoid(o).mul(np.tanh(c.ref));
          } else h = np.tanh(a);
        }
        if (form === "symbols") states.push(h.ref);
      }
      tree.dispose([c, p.weightIh, p.weightHh, p.biasHh, bias]);
      let top = h;
      if (form === "symbols") {
        h.dispose();
        top = np.concatenate(states);
      }
      const outputs = np.matmul(top, p.headWeight.transpose()).add(p.headBias);
      return form === "adding"
        ? np.mean(np.square(outputs.sub(y)))
        : nn
            .logSoftmax(outputs)
            .mul(y)
            .sum()
            .mul(-1 / (T * B));
    };

    /** `rate` is the learning rate over 1 − β₁ᵗ, `unbias` is 1 / (1 − β₂ᵗ); both change every step, so they are arrays. */
    const update = (state: State, rate: Array, unbias: Array, x: Array, y: Array): [Array, State] => {
      const [loss, gradients] = valueAndGrad(lossOf)(tree.ref(state.parameters), x, y) as [Array, Parameters];
      const next: State = { parameters: { ...gradients }, first: { ...gradients }, second: { ...gradients } };
      for (const name of Object.keys(gradients) as (keyof Parameters)[]) {
        const gradient = gradients[name];
        const first = state.first[name].mul(BETA_1).add(gradient.ref.mul(1 - BETA_1));
        const second = state.second[name].mul(BETA_2).add(np.square(gradient).mul(1 - BETA_2));
        const scale = np.sqrt(second.ref.mul(unbias.ref)).add(EPSILON);
        next.parameters[name] = state.parameters[name].sub(first.ref.mul(rate.ref).div(scale));
        next.first[name] = first;
        next.second[name] = second;
      }
      tree.dispose([rate, unbias]);
      return [loss, next];
    };
    const compiled = jit(update);

    const array = (values: Float32Array, ...shape: number[]) => np.array(values.slice()).reshape(shape);
    const parameters = {
      weightIh: array(weights.weightIh, G * H, I),
      weightHh: array(weights.weightHh, G * H, H),
      biasIh: array(weights.biasIh, G * H),
      biasHh: array(weights.biasHh, G * H),
      headWeight: array(weights.headWeight, O, H),
      headBias: array(weights.headBias, O),
    };
    const zeros = () => tree.map((p: Array) => np.zerosLike(p.ref), parameters) as Parameters;
    let state: State = { parameters, first: zeros(), second: zeros() };
    let steps = 0;

    return fed(
      `${manifest.version}, ${binary}`,
      ({ x, y }) =>
        form === "adding" ? { x: x as Float32Array, y: y as Float32Array } : { x: oneHot(x, I), y: oneHot(y, O) },
      async (arrays) => {
        steps += 1;
        const [loss, next] = compiled(
          state,
          array(Float32Array.of(learningRate / (1 - BETA_1 ** steps)), 1),
          array(Float32Array.of(1 / (1 - BETA_2 ** steps)), 1),
          array(arrays.x, T * B, I),
          array(arrays.y, form === "adding" ? B : T * B, O),
        ) as [Array, State];
        state = next;
        const [value] = await loss.data();
        return value ?? Number.NaN;
      },
    );
  },
});
