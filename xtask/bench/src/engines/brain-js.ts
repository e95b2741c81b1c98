/**
 * brain.js. It knows no batches: a step is one call of `trainPattern` for each of the B sequences, with an update after each.
 *
 * Weights, loss and optimiser are its own. Symbols train `RNN`, `GRU` and `LSTM`, which predict the next symbol between a
 * start and an end of their own; values train the `TimeStep` classes, which predict the next input at every step, for they
 * know no loss at the end alone. Its plain network is rectified, not tanh. So its times are those of the same
 * sizes, and its losses are not compared.
 */

import manifest from "../../node_modules/brain.js/package.json";
import GRUTimeStep from "brain.js/dist/recurrent/gru-time-step.js";
import GRU from "brain.js/dist/recurrent/gru.js";
import LSTMTimeStep from "brain.js/dist/recurrent/lstm-time-step.js";
import LSTM from "brain.js/dist/recurrent/lstm.js";
import RNNTimeStep from "brain.js/dist/recurrent/rnn-time-step.js";
import RNN from "brain.js/dist/recurrent/rnn.js";
import type { Engine } from "../engine.js";
import { fed } from "../engine.js";

/** What is used of a network; the library declares no types for it. */
interface Network {
  verifyIsInitialized(sequences: readonly Sequence[]): void;
  /** Forward, backward, update. */
  trainPattern(sequence: Sequence, returnsError: true): number;
}

/** Symbols, or rows of values. */
type Sequence = number[] | number[][];

const OF_SYMBOLS = { elman: RNN, gru: GRU, lstm: LSTM };
const OF_VALUES = { elman: RNNTimeStep, gru: GRUTimeStep, lstm: LSTMTimeStep };

export const engine: Engine = {
  create({ cell, H, T, B, I, form, learningRate }) {
    const sizes = { inputSize: I, inputRange: I, outputSize: I, hiddenLayers: [H], learningRate };
    const { default: Cell } = (form === "symbols" ? OF_SYMBOLS : OF_VALUES)[cell];
    const network = new Cell(sizes) as Network;
    return Promise.resolve(
      fed(
        manifest.version,
        ({ x }) =>
          Array.from({ length: B }, (_, b): Sequence => {
            const rows = Array.from({ length: T }, (_, t) => t * B + b);
            return form === "adding"
              ? rows.map((row) => [...x.subarray(2 * row, 2 * row + 2)])
              : rows.map((row) => x[row] ?? 0);
          }),
        (sequences) => {
          network.verifyIsInitialized(sequences);
          let sum = 0;
          for (const sequence of sequences) sum += network.trainPattern(sequence, true);
          return Promise.resolve(sum / B);
        },
      ),
    );
  },
};
