/**
 * What every engine trains on: shapes, initial weights and batches.
 *
 * All of it comes from one integer hash (the one of tests/golden/formulas.py), so every engine sees the same numbers.
 * Letters: B batch, T timesteps, I input features or symbols, H hidden units, O outputs.
 */

export type CellId = "elman" | "gru" | "lstm";

/** Blocks of H rows in the weights of a cell. */
export const GATES: Readonly<Record<CellId, number>> = { elman: 1, gru: 3, lstm: 4 };

export interface Shape {
  id: string;
  H: number;
  T: number;
  B: number;
  I: number;
  O: number;
  /** Values in and squared error of the last step, or symbols in and the cross-entropy of a class at every step. */
  form: "adding" | "symbols";
}

export interface Workload extends Shape {
  /** What it is, for the heading of its table. */
  title: string;
  cell: CellId;
  learningRate: number;
}

export function adding(H: number, T: number, B: number): Shape {
  return { id: `h${H}-t${T}-b${B}`, H, T, B, I: 2, O: 1, form: "adding" };
}

/** What a browser's first page may train: what is measured unless something else is asked for. */
export const FIRST_SHAPE = adding(64, 100, 32);

export const W0: Shape = { id: "w0", H: 128, T: 32, B: 32, I: 64, O: 63, form: "symbols" };

/** The shapes of the table in the README. */
export const TABLE_SHAPES: readonly Shape[] = [
  adding(16, 32, 4),
  adding(64, 64, 16),
  W0,
  adding(128, 128, 32),
  adding(256, 100, 64),
  adding(512, 100, 64),
];

export function workloadOf(cell: CellId, shape: Shape): Workload {
  const { id, H, T, B, I, O, form } = shape;
  const task = form === "adding" ? "adding problem" : `${id.toUpperCase()}: ${I} symbols, one-hot`;
  const loss = form === "adding" ? "squared error of the last step" : `cross-entropy of ${O} classes at every step`;
  const title = `${task}; ${cell}, H ${H}, T ${T}, B ${B}; ${loss}, full BPTT, Adam`;
  return { ...shape, id: `${cell}-${id}`, title, cell, learningRate: 1e-3 };
}

/** Time-major, as `Session.gradients` takes it. */
export interface Batch {
  /** [T, B, 2] values and markers, or [T, B] symbols below I. */
  x: Float32Array | Uint32Array;
  /** [B] sums, or [T, B] classes below O. */
  y: Float32Array | Uint32Array;
}

/** PyTorch's names, layouts and order of the G gates (LSTM i, f, g, o; GRU r, z, n). */
export interface Weights {
  /** [G·H, I] */
  weightIh: Float32Array;
  /** [G·H, H] */
  weightHh: Float32Array;
  /** [G·H] */
  biasIh: Float32Array;
  /** [G·H] */
  biasHh: Float32Array;
  /** [O, H] */
  headWeight: Float32Array;
  /** [O] */
  headBias: Float32Array;
}

function mix(word: number): number {
  let h = word ^ (word >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hash(k: number, n: number): number {
  return mix((mix(k + 1) + Math.imul(n, 0x9e3779b9)) >>> 0);
}

/** In [0, 1), exact in 32 bits. */
function uniform(k: number, n: number): number {
  return (hash(k, n) >>> 8) / 2 ** 24;
}

/** PyTorch's default start: every parameter uniform in ±1/√H. */
export function initialWeights({ cell, H, I, O }: Workload): Weights {
  const rows = GATES[cell] * H;
  const bound = 1 / Math.sqrt(H);
  const draw = (k: number, count: number) =>
    Float32Array.from({ length: count }, (_, n) => bound * (2 * uniform(k, n) - 1));
  return {
    weightIh: draw(0, rows * I),
    weightHh: draw(1, rows * H),
    biasIh: draw(2, rows),
    biasHh: draw(3, rows),
    headWeight: draw(4, O * H),
    headBias: draw(5, O),
  };
}

/** Batch number `index`. */
export function batch(workload: Workload, index: number): Batch {
  const { T, B, O } = workload;
  const stream = 1000 + 2 * index;
  if (workload.form === "adding") {
    const x = new Float32Array(T * B * 2);
    const y = new Float32Array(B);
    const half = Math.floor(T / 2);
    for (let n = 0; n < T * B; n++) x[2 * n] = uniform(stream, n);
    for (let b = 0; b < B; b++) {
      let sum = 0;
      for (const t of [hash(stream + 1, b) % half, half + (hash(stream + 1, B + b) % (T - half))]) {
        const at = 2 * (t * B + b);
        x[at + 1] = 1;
        sum += x[at] ?? 0;
      }
      y[b] = sum;
    }
    return { x, y };
  }
  // A chain in which a symbol leaves four followers open, so that there is something to learn.
  const x = new Uint32Array(T * B);
  const y = new Uint32Array(T * B);
  for (let b = 0; b < B; b++) {
    let symbol = hash(stream, b) % O;
    for (let t = 0; t < T; t++) {
      const next = (5 * symbol + (hash(stream + 1, t * B + b) % 4)) % O;
      x[t * B + b] = symbol;
      y[t * B + b] = next;
      symbol = next;
    }
  }
  return { x, y };
}

/** [T·B, V] of zeros and ones. */
export function oneHot(symbols: Uint32Array | Float32Array, size: number): Float32Array {
  const out = new Float32Array(symbols.length * size);
  symbols.forEach((symbol, n) => (out[n * size + symbol] = 1));
  return out;
}

/** [rows, columns] → [columns, rows]. */
export function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(matrix.length);
  matrix.forEach((value, n) => (out[(n % columns) * rows + Math.floor(n / columns)] = value));
  return out;
}
