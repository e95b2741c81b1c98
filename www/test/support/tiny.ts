/**
 * A small recurrent network in plain loops, for tests of the drawings: real numbers through real backpropagation through
 * time, so that no test draws an invented curve.
 *
 * Elman (tanh) and LSTM layers, any depth, either direction, a linear head, softmax cross-entropy or squared error, plain
 * descent with a norm clip. All arithmetic is f64; only the frame is f32, as the package's is. Shapes stand where data is
 * declared; T timesteps, I inputs, H units, O outputs.
 */

import type { Channel, Fit, Frame, Probe, Ribbon, Row } from "unroll-types";

/** Numbers from 0 to 1 that a seed fixes (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
}

export interface Tensor {
  data: Float64Array;
  grad: Float64Array;
}

function uniform(n: number, bound: number, next: () => number): Tensor {
  return { data: Float64Array.from({ length: n }, () => (2 * next() - 1) * bound), grad: new Float64Array(n) };
}

const at = (a: Float64Array | Float32Array, i: number): number => a[i] ?? 0;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** One direction of one layer. */
export interface Layer {
  kind: "elman" | "lstm";
  inputs: number;
  units: number;
  reverse: boolean;
  /** [G·H, I], [G·H, H], [G·H]; blocks i, f, g, o for the LSTM. */
  wIh: Tensor;
  wHh: Tensor;
  b: Tensor;
}

/** What a layer remembers of a sequence; every array is [T, H]. */
interface Trace {
  x: Float64Array;
  channels: Record<string, Float64Array>;
  /** Total gradients of the states. */
  dH: Float64Array;
  dC: Float64Array;
}

export function layer(kind: Layer["kind"], inputs: number, units: number, next: () => number, reverse = false): Layer {
  const gates = kind === "lstm" ? 4 : 1;
  const bound = 1 / Math.sqrt(units);
  return {
    kind,
    inputs,
    units,
    reverse,
    wIh: uniform(gates * units * inputs, bound, next),
    wHh: uniform(gates * units * units, bound, next),
    b: uniform(gates * units, bound, next),
  };
}

/** a = W_ih x_t + W_hh h_{t−1} + b, [G·H]. */
function preActivation(l: Layer, x: Float64Array, t: number, h: Float64Array, before: number): Float64Array {
  const n = l.b.data.length;
  const a = new Float64Array(n);
  for (let j = 0; j < n; j += 1) {
    let sum = at(l.b.data, j);
    for (let i = 0; i < l.inputs; i += 1) sum += at(l.wIh.data, j * l.inputs + i) * at(x, t * l.inputs + i);
    if (before >= 0)
      for (let k = 0; k < l.units; k += 1) sum += at(l.wHh.data, j * l.units + k) * at(h, before * l.units + k);
    a[j] = sum;
  }
  return a;
}

function order(l: Layer, nSteps: number): number[] {
  const steps = Array.from({ length: nSteps }, (_, t) => t);
  return l.reverse ? steps.reverse() : steps;
}

function forward(l: Layer, x: Float64Array, nSteps: number): Trace {
  const size = nSteps * l.units;
  const ids = l.kind === "lstm" ? ["h", "c", "i", "f", "g", "o"] : ["h"];
  const channels: Record<string, Float64Array> = Object.fromEntries(ids.map((id) => [id, new Float64Array(size)]));
  const of = (id: string): Float64Array => channels[id] ?? new Float64Array(size);
  const [h, c, i, f, g, o] = ["h", "c", "i", "f", "g", "o"].map(of) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let before = -1;
  for (const t of order(l, nSteps)) {
    const a = preActivation(l, x, t, h, before);
    for (let k = 0; k < l.units; k += 1) {
      const here = t * l.units + k;
      if (l.kind === "elman") {
        h[here] = Math.tanh(at(a, k));
        continue;
      }
      i[here] = sigmoid(at(a, k));
      f[here] = sigmoid(at(a, l.units + k));
      g[here] = Math.tanh(at(a, 2 * l.units + k));
      o[here] = sigmoid(at(a, 3 * l.units + k));
      const kept = before < 0 ? 0 : at(f, here) * at(c, before * l.units + k);
      c[here] = kept + at(i, here) * at(g, here);
      h[here] = at(o, here) * Math.tanh(at(c, here));
    }
    before = t;
  }
  return { x, channels, dH: new Float64Array(size), dC: new Float64Array(size) };
}

/** Adds weight gradients, fills dH and dC of the trace (totals), and returns ∂L/∂x, [T, I]. `dOut` is [T, H]. */
function backward(l: Layer, trace: Trace, dOut: Float64Array, nSteps: number): Float64Array {
  const { units, inputs } = l;
  const { x, channels, dH, dC } = trace;
  const empty = new Float64Array(nSteps * units);
  const of = (id: string): Float64Array => channels[id] ?? empty;
  const dX = new Float64Array(nSteps * inputs);
  const carryH = new Float64Array(units);
  const carryC = new Float64Array(units);
  const steps = order(l, nSteps);
  for (let n = nSteps - 1; n >= 0; n -= 1) {
    const t = steps[n] ?? 0;
    const before = n > 0 ? (steps[n - 1] ?? -1) : -1;
    const dA = new Float64Array(l.b.data.length);
    for (let k = 0; k < units; k += 1) {
      const here = t * units + k;
      const dh = at(dOut, here) + at(carryH, k);
      dH[here] = dh;
      if (l.kind === "elman") {
        dA[k] = dh * (1 - at(of("h"), here) ** 2);
        continue;
      }
      const [i, f, g, o] = [at(of("i"), here), at(of("f"), here), at(of("g"), here), at(of("o"), here)];
      const bent = Math.tanh(at(of("c"), here));
      const dc = at(carryC, k) + dh * o * (1 - bent * bent);
      dC[here] = dc;
      dA[k] = dc * g * i * (1 - i);
      dA[units + k] = before < 0 ? 0 : dc * at(of("c"), before * units + k) * f * (1 - f);
      dA[2 * units + k] = dc * i * (1 - g * g);
      dA[3 * units + k] = dh * bent * o * (1 - o);
      carryC[k] = dc * f;
    }
    carryH.fill(0);
    for (let j = 0; j < dA.length; j += 1) {
      const d = at(dA, j);
      l.b.grad[j] = at(l.b.grad, j) + d;
      for (let i = 0; i < inputs; i += 1) {
        const w = j * inputs + i;
        l.wIh.grad[w] = at(l.wIh.grad, w) + d * at(x, t * inputs + i);
        dX[t * inputs + i] = at(dX, t * inputs + i) + d * at(l.wIh.data, w);
      }
      if (before < 0) continue;
      for (let k = 0; k < units; k += 1) {
        const w = j * units + k;
        l.wHh.grad[w] = at(l.wHh.grad, w) + d * at(of("h"), before * units + k);
        carryH[k] = at(carryH, k) + d * at(l.wHh.data, w);
      }
    }
  }
  return dX;
}

/** One sequence of a task. */
export interface Sample {
  /** [T, I]; for symbols one-hot. */
  x: Float64Array;
  /** [T] classes (−1 where none is asked) or [T, O] values. */
  y: Float64Array;
  /** [T]. */
  mask: Float64Array;
}

export interface Task {
  nSteps: number;
  input: { kind: "symbols" | "features"; names: string[] };
  target: { kind: "class" | "value"; names: string[] };
  sample: (next: () => number) => Sample;
}

export interface Net {
  task: Task;
  layers: Layer[][];
  wOut: Tensor;
  bOut: Tensor;
}

/** A network for a task: `depth` layers, forward only or both directions. */
export function network(
  task: Task,
  kind: Layer["kind"],
  units: number,
  seed: number,
  depth = 1,
  bidirectional = false,
): Net {
  const next = random(seed);
  const directions = bidirectional ? [false, true] : [false];
  let inputs = task.input.names.length;
  const layers: Layer[][] = [];
  for (let l = 0; l < depth; l += 1) {
    const width = inputs;
    layers.push(directions.map((reverse) => layer(kind, width, units, next, reverse)));
    inputs = units * directions.length;
  }
  const outputs = task.target.names.length;
  const bound = 1 / Math.sqrt(inputs);
  return { task, layers, wOut: uniform(outputs * inputs, bound, next), bOut: uniform(outputs, bound, next) };
}

export function tensorsOf(net: Net): Tensor[] {
  return [...net.layers.flat().flatMap((l) => [l.wIh, l.wHh, l.b]), net.wOut, net.bOut];
}

/** [T, a] and [T, b] side by side. */
function beside(parts: Float64Array[], widths: number[], nSteps: number): Float64Array {
  const total = widths.reduce((sum, n) => sum + n, 0);
  const out = new Float64Array(nSteps * total);
  let from = 0;
  parts.forEach((part, p) => {
    const width = widths[p] ?? 0;
    for (let t = 0; t < nSteps; t += 1)
      for (let k = 0; k < width; k += 1) out[t * total + from + k] = at(part, t * width + k);
    from += width;
  });
  return out;
}

export interface Pass {
  loss: number;
  /** [T, O]: probabilities or values. */
  outputs: Float64Array;
  /** [T]. */
  losses: Float64Array;
  /** One for each layer and direction. */
  traces: Trace[][];
}

/** Forward and backward on one sequence, adding to the weight gradients; the loss is the mean over the mask. */
export function pass(net: Net, sample: Sample): Pass {
  const { nSteps, target } = net.task;
  const traces: Trace[][] = [];
  let x = sample.x;
  for (const directions of net.layers) {
    const made = directions.map((l) => forward(l, x, nSteps));
    traces.push(made);
    x = beside(
      made.map((trace) => trace.channels["h"] ?? new Float64Array(0)),
      directions.map((l) => l.units),
      nSteps,
    );
  }
  const width = x.length / nSteps;
  const nOut = target.names.length;
  const outputs = new Float64Array(nSteps * nOut);
  const losses = new Float64Array(nSteps);
  const dX = new Float64Array(x.length);
  const counted = sample.mask.reduce((sum, m) => sum + m, 0);
  let loss = 0;
  for (let t = 0; t < nSteps; t += 1) {
    const z = Float64Array.from({ length: nOut }, (_, o) => {
      let sum = at(net.bOut.data, o);
      for (let k = 0; k < width; k += 1) sum += at(net.wOut.data, o * width + k) * at(x, t * width + k);
      return sum;
    });
    const d = new Float64Array(nOut);
    if (target.kind === "class") {
      const most = Math.max(...z);
      const e = z.map((v) => Math.exp(v - most));
      const sum = e.reduce((s, v) => s + v, 0);
      const wanted = at(sample.y, t);
      for (let o = 0; o < nOut; o += 1) {
        outputs[t * nOut + o] = at(e, o) / sum;
        d[o] = at(e, o) / sum - (o === wanted ? 1 : 0);
      }
      losses[t] = wanted < 0 ? Number.NaN : -Math.log(at(e, wanted) / sum);
    } else {
      for (let o = 0; o < nOut; o += 1) {
        const error = at(z, o) - at(sample.y, t * nOut + o);
        outputs[t * nOut + o] = at(z, o);
        losses[t] = at(losses, t) + (error * error) / nOut;
        d[o] = (2 * error) / nOut;
      }
    }
    const weight = at(sample.mask, t) / counted;
    if (weight === 0) continue;
    loss += weight * at(losses, t);
    for (let o = 0; o < nOut; o += 1) {
      const scaled = weight * at(d, o);
      net.bOut.grad[o] = at(net.bOut.grad, o) + scaled;
      for (let k = 0; k < width; k += 1) {
        net.wOut.grad[o * width + k] = at(net.wOut.grad, o * width + k) + scaled * at(x, t * width + k);
        dX[t * width + k] = at(dX, t * width + k) + scaled * at(net.wOut.data, o * width + k);
      }
    }
  }
  let above: Float64Array = dX;
  for (let depth = net.layers.length - 1; depth >= 0; depth -= 1) {
    const directions = net.layers[depth] ?? [];
    let below: Float64Array = new Float64Array(0);
    let from = 0;
    const total = above.length / nSteps;
    directions.forEach((l, i) => {
      const own = new Float64Array(nSteps * l.units);
      for (let t = 0; t < nSteps; t += 1)
        for (let k = 0; k < l.units; k += 1) own[t * l.units + k] = at(above, t * total + from + k);
      from += l.units;
      const trace = traces[depth]?.[i];
      if (trace === undefined) return;
      const dIn = backward(l, trace, own, nSteps);
      below = below.length === 0 ? dIn : below.map((v, n) => v + at(dIn, n));
    });
    above = below;
  }
  return { loss, outputs, losses, traces };
}

/** One step of Adam (β 0.9, 0.999) on a batch, its norm clipped at 1. Returns the loss. */
export function trainer(net: Net, seed: number, batch: number, rate: number): () => number {
  const next = random(seed);
  const tensors = tensorsOf(net);
  const moments = tensors.map(
    (tensor) => [new Float64Array(tensor.data.length), new Float64Array(tensor.data.length)] as const,
  );
  let step = 0;
  return () => {
    for (const tensor of tensors) tensor.grad.fill(0);
    let loss = 0;
    for (let b = 0; b < batch; b += 1) loss += pass(net, net.task.sample(next)).loss / batch;
    const norm = Math.sqrt(tensors.reduce((sum, { grad }) => sum + grad.reduce((s, g) => s + (g / batch) ** 2, 0), 0));
    const scale = Math.min(1, 1 / (norm + 1e-6)) / batch;
    step += 1;
    tensors.forEach((tensor, n) => {
      const [m, v] = moments[n] ?? [new Float64Array(0), new Float64Array(0)];
      for (let i = 0; i < tensor.data.length; i += 1) {
        const g = at(tensor.grad, i) * scale;
        m[i] = 0.9 * at(m, i) + 0.1 * g;
        v[i] = 0.999 * at(v, i) + 0.001 * g * g;
        const mean = at(m, i) / (1 - 0.9 ** step);
        const spread = Math.sqrt(at(v, i) / (1 - 0.999 ** step));
        tensor.data[i] = at(tensor.data, i) - (rate * mean) / (spread + 1e-8);
      }
    });
    return loss;
  };
}

/** Smallest normal f32. */
export const FLOOR = 2 ** -126;

function quantile(sorted: number[], q: number): number {
  const place = (sorted.length - 1) * q;
  const low = Math.floor(place);
  return (sorted[low] ?? 0) + ((sorted[low + 1] ?? sorted[low] ?? 0) - (sorted[low] ?? 0)) * (place - low);
}

/** Least squares of ln median over the steps back from the reference, as `Fit` states it. */
export function fit(median: ArrayLike<number>, reverse: boolean): Fit | null {
  const n = median.length;
  const points: [number, number, number][] = [];
  for (let t = 0; t < n; t += 1) {
    const value = median[t] ?? 0;
    if (value >= FLOOR) points.push([reverse ? t : n - 1 - t, Math.log(value), t]);
  }
  const first = points[0];
  const last = points.at(-1);
  if (points.length < 2 || first === undefined || last === undefined) return null;
  const meanX = points.reduce((s, [x]) => s + x, 0) / points.length;
  const meanY = points.reduce((s, [, y]) => s + y, 0) / points.length;
  const slope =
    points.reduce((s, [x, y]) => s + (x - meanX) * (y - meanY), 0) / points.reduce((s, [x]) => s + (x - meanX) ** 2, 0);
  const factor = Math.exp(slope);
  const [near, far] = reverse ? [first, n - 1] : [last, 0];
  const whole = median[near[2]] ?? 0;
  const distant = median[far] ?? 0;
  return {
    factor,
    halfLife: slope === 0 ? null : Math.LN2 / Math.abs(slope),
    horizon: slope < 0 ? -1 / slope : null,
    ratio: distant >= FLOOR ? distant / whole : 0,
    from: first[2],
    to: last[2],
    atTo: Math.exp(meanY + slope * (near[0] - meanX)),
  };
}

const TITLES: Record<string, string> = {
  h: "hidden state h",
  c: "cell state c",
  i: "input gate i",
  f: "forget gate f",
  g: "candidate g",
  o: "output gate o",
};

/** A frame over `nSequences` probe sequences, as the package packs it. */
export function frameOf(net: Net, seed: number, nSequences: number, step: number): Frame {
  const next = random(seed);
  const { task } = net;
  const { nSteps } = task;
  const samples = Array.from({ length: nSequences }, () => task.sample(next));
  const passes = samples.map((sample) => pass(net, sample));
  const first = passes[0];
  const sample = samples[0];
  if (first === undefined || sample === undefined) throw new Error("frameOf: nSequences is 0, expected at least 1");
  const floats: number[] = [];
  const put = (values: ArrayLike<number>): number => {
    const offset = floats.length;
    for (const v of Array.from(values)) floats.push(Math.abs(v) < FLOOR ? 0 : v);
    return offset;
  };
  const rows: Row[] = net.layers.flatMap((directions, depth) =>
    directions.map((l, direction) => {
      const trace = first.traces[depth]?.[direction];
      if (trace === undefined) throw new Error("frameOf: a layer left no trace");
      const shape: [number, number] = [nSteps, l.units];
      const channels: Channel[] = Object.entries(trace.channels).map(([id, values]) => ({
        id,
        title: TITLES[id] ?? id,
        role: id === "h" || id === "c" ? "state" : id === "g" ? "candidate" : "gate",
        range: id === "c" ? null : id === "h" || id === "g" ? [-1, 1] : [0, 1],
        shape,
        offset: put(values),
        gradientOffset: id === "h" ? put(trace.dH) : id === "c" ? put(trace.dC) : null,
      }));
      const ribbon = (id: string, key: "dH" | "dC"): Ribbon => {
        const norms = Array.from({ length: nSteps }, (_, t) =>
          passes
            .map((p) => {
              const d = p.traces[depth]?.[direction]?.[key] ?? new Float64Array(0);
              let sum = 0;
              for (let k = 0; k < l.units; k += 1) sum += at(d, t * l.units + k) ** 2;
              return Math.sqrt(sum);
            })
            .sort((a, b) => a - b),
        );
        const median = norms.map((n) => quantile(n, 0.5));
        const offset = put(median);
        put(norms.map((n) => quantile(n, 0.1)));
        put(norms.map((n) => quantile(n, 0.9)));
        return { id, title: TITLES[id] ?? id, offset, fit: fit(median, l.reverse) };
      };
      const ribbons = [ribbon("h", "dH"), ...(l.kind === "lstm" ? [ribbon("c", "dC")] : [])];
      return {
        id: `l${String(depth)}${l.reverse ? "_reverse" : ""}`,
        title: `layer ${String(depth + 1)}${l.reverse ? " ←" : ""}`,
        layer: depth,
        reverse: l.reverse,
        units: l.units,
        channels,
        ribbons,
      };
    }),
  );
  const width = task.input.names.length;
  const input =
    task.input.kind === "features"
      ? sample.x
      : Float64Array.from({ length: nSteps }, (_, t) => sample.x.subarray(t * width, (t + 1) * width).indexOf(1));
  const probe: Probe = {
    input: { ...task.input, offset: put(input) },
    target: { ...task.target, offset: put(sample.y) },
    outputOffset: put(first.outputs),
    maskOffset: put(sample.mask),
    lossOffset: put(first.losses),
  };
  return {
    header: {
      step,
      nSteps,
      nSequences,
      sequence: 0,
      lossAt: "task",
      rows,
      probe,
      gradientNorm: Math.sqrt(tensorsOf(net).reduce((s, { grad }) => s + grad.reduce((q, g) => q + g * g, 0), 0)),
      clipCoefficient: 1,
      floor: FLOOR,
    },
    data: Float32Array.from(floats).buffer,
  };
}

/** Name the first symbol after T steps. */
export function firstSymbol(nSteps: number, nSymbols: number): Task {
  const names = Array.from({ length: nSymbols }, (_, k) => String.fromCharCode(65 + k));
  return {
    nSteps,
    input: { kind: "symbols", names },
    target: { kind: "class", names },
    sample: (next) => {
      const symbols = Array.from({ length: nSteps }, () => Math.floor(next() * nSymbols));
      const x = new Float64Array(nSteps * nSymbols);
      symbols.forEach((s, t) => {
        x[t * nSymbols + s] = 1;
      });
      const y = new Float64Array(nSteps).fill(-1);
      y[nSteps - 1] = symbols[0] ?? 0;
      const mask = new Float64Array(nSteps);
      mask[nSteps - 1] = 1;
      return { x, y, mask };
    },
  };
}

/** Parity of the bits so far, asked at every step. */
export function parity(nSteps: number): Task {
  return {
    nSteps,
    input: { kind: "symbols", names: ["0", "1"] },
    target: { kind: "class", names: ["even", "odd"] },
    sample: (next) => {
      const x = new Float64Array(nSteps * 2);
      const y = new Float64Array(nSteps);
      let sum = 0;
      for (let t = 0; t < nSteps; t += 1) {
        const bit = next() < 0.5 ? 0 : 1;
        sum ^= bit;
        x[t * 2 + bit] = 1;
        y[t] = sum;
      }
      return { x, y, mask: new Float64Array(nSteps).fill(1) };
    },
  };
}

/** Next value of a noisy sine of random frequency and phase. */
export function sine(nSteps: number): Task {
  return {
    nSteps,
    input: { kind: "features", names: ["x"] },
    target: { kind: "value", names: ["next x"] },
    sample: (next) => {
      const rate = 0.25 + 0.35 * next();
      const phase = 2 * Math.PI * next();
      const wave = Float64Array.from(
        { length: nSteps + 1 },
        (_, t) => Math.sin(phase + rate * t) + 0.05 * (next() - 0.5),
      );
      return { x: wave.slice(0, nSteps), y: wave.slice(1), mask: new Float64Array(nSteps).fill(1) };
    },
  };
}

/** The adding problem: the sum of the two marked numbers, asked at the end. */
export function adding(nSteps: number): Task {
  return {
    nSteps,
    input: { kind: "features", names: ["value", "mark"] },
    target: { kind: "value", names: ["sum"] },
    sample: (next) => {
      const x = new Float64Array(nSteps * 2);
      const half = Math.floor(nSteps / 2);
      const one = Math.floor(next() * half);
      const two = half + Math.floor(next() * (nSteps - half));
      for (let t = 0; t < nSteps; t += 1) {
        x[t * 2] = next();
        x[t * 2 + 1] = t === one || t === two ? 1 : 0;
      }
      const y = new Float64Array(nSteps).fill(Number.NaN);
      y[nSteps - 1] = at(x, one * 2) + at(x, two * 2);
      const mask = new Float64Array(nSteps);
      mask[nSteps - 1] = 1;
      return { x, y, mask };
    },
  };
}
