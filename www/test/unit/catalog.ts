// A catalogue for tests: small, but with every kind of option. The real one comes from the package.

import type { Catalog } from "unroll-types";

const entry = (id: string) => ({ id, title: id, summary: "", equations: [], sources: [] });

export const catalog: Catalog = {
  tasks: [
    {
      ...entry("first-symbol"),
      options: [
        { name: "length", title: "Length", help: "", kind: "integer", min: 2, max: 4096, default: 20 },
        { name: "symbols", title: "Symbols", help: "", kind: "integer", min: 2, max: 64, default: 4 },
      ],
      streams: false,
      ahead: false,
      source: false,
      baseline: { loss: 1.386, what: "guesses" },
      recipe: null,
    },
    {
      ...entry("sine"),
      options: [
        { name: "length", title: "Length", help: "", kind: "integer", min: 2, max: 4096, default: 64 },
        { name: "noise", title: "Noise", help: "", kind: "number", min: 0, max: 1, default: 0.05, log: false },
        {
          name: "wave",
          title: "Wave",
          help: "",
          kind: "choice",
          among: [
            { id: "plain", title: "plain" },
            { id: "mixed", title: "mixed" },
          ],
          default: "plain",
        },
        { name: "shuffled", title: "Shuffled", help: "", kind: "switch", default: false },
      ],
      streams: true,
      ahead: true,
      source: false,
      baseline: { loss: 0.5, what: "predicts 0" },
      recipe: null,
    },
  ],
  architectures: [
    {
      ...entry("elman"),
      gates: [],
      recurrent: true,
      residual: false,
      handsOn: true,
      options: [
        {
          name: "nonlinearity",
          title: "Nonlinearity",
          help: "",
          kind: "choice",
          among: [
            { id: "tanh", title: "tanh" },
            { id: "relu", title: "ReLU" },
          ],
          default: "tanh",
        },
      ],
    },
    { ...entry("lstm"), gates: ["i", "f", "g", "o"], recurrent: true, residual: false, handsOn: true, options: [] },
    { ...entry("gru"), gates: ["r", "z", "n"], recurrent: true, residual: false, handsOn: true, options: [] },
  ],
  decoders: [
    { id: "same", title: "reads on" },
    { id: "own", title: "own" },
  ],
  optimisers: [
    {
      ...entry("adam"),
      options: [
        { name: "lr", title: "Learning rate", help: "", kind: "number", min: 1e-6, max: 10, default: 0.001, log: true },
        { name: "amsgrad", title: "AMSGrad", help: "", kind: "switch", default: false },
      ],
    },
    {
      ...entry("sgd"),
      options: [
        { name: "lr", title: "Learning rate", help: "", kind: "number", min: 1e-6, max: 10, default: 0.01, log: true },
        { name: "momentum", title: "Momentum", help: "", kind: "number", min: 0, max: 1, default: 0, log: false },
      ],
    },
  ],
  inits: [
    { ...entry("pytorch"), options: [], architectures: ["elman", "lstm", "gru"] },
    {
      ...entry("forget-bias"),
      options: [
        {
          name: "forgetBias",
          title: "Forget bias",
          help: "",
          kind: "number",
          min: -10,
          max: 10,
          default: 2,
          log: false,
        },
      ],
      architectures: ["lstm"],
    },
    {
      ...entry("orthogonal"),
      options: [{ name: "gain", title: "Gain", help: "", kind: "number", min: 0.01, max: 10, default: 1, log: true }],
      architectures: ["elman", "gru"],
    },
    {
      ...entry("chrono"),
      options: [{ name: "tMax", title: "Longest lag", help: "", kind: "maybe", min: 2, max: 4096, default: null }],
      architectures: ["lstm", "gru"],
    },
  ],
  limits: { hidden: 1024, length: 4096, batch: 512, layers: 8, bytes: 2 ** 30 },
};
