/** Everything that can be asked for. Menus, limits and defaults come from here. */
export interface Catalog {
  architectures: Architecture[];
  tasks: TaskInfo[];
  optimisers: Entry[];
  inits: Init[];
  /** The first is the default. */
  decoders: DecoderInfo[];
  limits: Limits;
}

/** The largest sizes a session accepts. */
export interface Limits {
  hidden: number;
  length: number;
  batch: number;
  layers: number;
  bytes: number;
}

/** What every table entry carries. */
export interface Entry {
  id: string;
  title: string;
  summary: string;
  /** LaTeX, one equation each. */
  equations: string[];
  /** Papers, with DOI or arXiv number. */
  sources: string[];
  options: OptionInfo[];
}

/** One of the choices for `ModelConfig.decoder`. */
export interface DecoderInfo {
  id: NonNullable<ModelConfig["decoder"]>;
  title: string;
}

export interface Architecture extends Entry {
  /** Names of the gates in PyTorch's block order, such as i, f, g, o. */
  gates: string[];
  /** False where the gates read the input alone: there is no W_hh, and a step is diagonal. */
  recurrent: boolean;
  /** True for residual blocks: one direction, no window, no state from batch to batch. */
  residual: boolean;
  /** False where no state is handed from a timestep to the next: each reads all before it. */
  handsOn: boolean;
}

export interface Init extends Entry {
  /** Ids of the architectures it is defined for. */
  architectures: string[];
}

export interface TaskInfo extends Entry {
  /** True when consecutive batches continue the same sequences, so that state may be carried. */
  streams: boolean;
  /** True when targets are inputs of later timesteps: networks in both directions are refused. */
  ahead: boolean;
  /** True when the first timesteps are a source and the others its answer: a decoder may have weights of its own. */
  source: boolean;
  /** What the best predictor without memory does, with the default options. */
  baseline: Baseline;
  /** Null when no configuration here solves it. */
  recipe: Recipe | null;
}

/** One option of an entry. */
export type OptionInfo = { name: string; title: string; help: string } & (
  | { kind: "integer"; min: number; max: number; default: number }
  | { kind: "number"; min: number; max: number; default: number; log: boolean }
  | { kind: "maybe"; min: number; max: number; default: number | null }
  | { kind: "choice"; among: { id: string; title: string }[]; default: string }
  | { kind: "switch"; default: boolean }
);

export interface Baseline {
  loss: number;
  what: string;
}

/** A configuration that solves a task. */
export interface Recipe {
  config: SessionConfig;
  steps: number;
}

/** Everything but `task.id` and `model.id` has a default. */
export interface SessionConfig {
  /** `length` is T; further options are those of the task. */
  task: { id: string; [option: string]: number | string | boolean | null };
  model: ModelConfig;
  optimiser?: {
    id?: string;
    [option: string]: number | string | boolean | null | undefined;
  };
  /** `at` is the largest global norm, or the largest absolute value of an element. */
  clip?: Clip | null;
  /** B. */
  batch?: number;
  /** A whole number from 0 to 2^53 − 1. */
  seed?: number;
  backend?: "auto" | "cpu" | "webgpu";
}

export interface ModelConfig {
  id: string;
  /** H. */
  hidden?: number;
  /** L. */
  layers?: number;
  /** A second row of each layer reads the sequence from its end; not for tasks whose targets lie ahead, and not with `carry`. */
  bidirectional?: boolean;
  /** For a task with a source: the same network reads on, or a decoder with weights of its own answers, without or with attention. */
  decoder?: "same" | "own" | "luong" | "bahdanau";
  /** Elman only. */
  nonlinearity?: "tanh" | "relu" | "identity";
  init?: {
    id?: string;
    [option: string]: number | string | boolean | null | undefined;
  };
  /** W: the state adjoint is cut every W steps; null for none. */
  window?: number | null;
  /** Hand the last state to the next batch; streaming tasks only. */
  carry?: boolean;
}

export interface Clip {
  kind: "norm" | "value";
  at: number;
}

/**
 * What may change while a session runs; fields that are absent or undefined stay as they are. Optimiser options carry their own
 * names: lr, momentum, beta1 …
 */
export interface Hyper {
  clip?: Clip | null | undefined;
  [option: string]: number | boolean | Clip | null | undefined;
}

export interface Progress {
  /** Updates done since the session began. */
  step: number;
  /** Mean over the steps of this call, in the task's unit (nats or squared error); NaN when not one step was done, as `diverged` or
   * `ended` then says. */
  loss: number;
  /** Share of right answers over the steps of this call, 0 to 1; NaN when not one step was done. */
  accuracy: number;
  /** Global norm of the last gradient before clipping. */
  gradientNorm: number;
  /** Factor that the last gradient was multiplied by; 1 when clipping did not act. */
  clipCoefficient: number;
  /** True when the last gradient was clipped, by norm or by value. */
  clipped: boolean;
  stepsPerSecond: number;
  /** The loss of every step of this call (the last 4096). */
  losses: Float32Array;
  /** Set when a number stopped being finite; the parameters are those before that step. */
  diverged: Diverged | null;
  /** True when the session was freed before all steps were done. */
  ended: boolean;
}

/** Where a number stopped being finite. */
export interface Diverged {
  /** Updates done before. */
  step: number;
  /** The first tensor with a NaN or an infinity, in order of computation. */
  tensor: string;
  /** One sentence for the page. */
  message: string;
}

export interface FrameOptions {
  /** Which sequence of the probe batch the channels show; 0 by default. */
  sequence?: number;
  /** Where losses count: as the task says, at the last timestep, at all, or at one. */
  lossAt?: "task" | "last" | "all" | number;
  /** The probe sequences, or those of the next training batch, with states that start at zero; "probe" by default. */
  batch?: "probe" | "next";
}

/** A scene: columns are timesteps, rows are layers, rows have channels. */
export interface Frame {
  header: FrameHeader;
  /** 32-bit floats; every offset in the header counts floats. */
  data: ArrayBuffer;
}

export interface FrameHeader {
  /** Updates done when the frame was taken. */
  step: number;
  /** T. */
  nSteps: number;
  /** Number of probe sequences behind the ribbons. */
  nSequences: number;
  /** Which of them the channels and the probe show. */
  sequence: number;
  lossAt: "task" | "last" | "all" | number;
  /** W: the state adjoint is cut every W timesteps, counted from the end; absent when it is cut nowhere. */
  window?: number;
  /** Lowest layer first. */
  rows: Row[];
  probe: Probe;
  /** Global norm of the last training gradient before clipping, and the factor it was multiplied by. */
  gradientNorm: number;
  clipCoefficient: number;
  /** Below this, f32 has no normal number: the floor of every gradient curve. */
  floor: number;
  /** Set when a number of the scene is not finite. */
  diverged?: Diverged;
}

export interface Row {
  /** `l0`, `l0_reverse`, `l1` … */
  id: string;
  title: string;
  layer: number;
  reverse: boolean;
  /** H. */
  units: number;
  channels: Channel[];
  /** One per state; the one that carries the memory first: c of an LSTM, else h. */
  ribbons: Ribbon[];
}

/** One quantity per timestep and unit. */
export interface Channel {
  /** h, c, i, f, g, o, r, z, n … */
  id: string;
  title: string;
  /** `state` is signed, `gate` lies in 0 to 1, `candidate` in −1 to 1 (or is unbounded for ReLU). */
  role: "state" | "gate" | "candidate";
  /** The range that the colours span, or null when the channel has no bound. */
  range: [number, number] | null;
  /** [T, units]. */
  shape: [number, number];
  offset: number;
  /** Where the gradient of the loss with respect to this channel begins, same shape; null when it is not taken. */
  gradientOffset: number | null;
}

/** B·‖∂L/∂s_t‖₂ over the probe sequences, for one state s. */
export interface Ribbon {
  /** The channel: h or c. */
  id: string;
  title: string;
  /** Three arrays of T: median, 10 % and 90 % quantile over the sequences. */
  offset: number;
  fit: Fit | null;
}

/**
 * ln median_t = ln a + n·ln factor, least squares over the timesteps where the median is above the floor. n are the steps back from where
 * the loss enters: to − t, or t − from in a row that reads backwards.
 */
export interface Fit {
  /** Per step back; below 1 vanishes, above 1 explodes. */
  factor: number;
  /** Timesteps until half (or, above 1, double) is left; null when the factor is 1. */
  halfLife: number | null;
  /** −1 / ln factor, in timesteps; null when the factor is not below 1. */
  horizon: number | null;
  /** Median at the far end, where reading begins, over that where n is 0; 0 when it is below the floor. */
  ratio: number;
  /** First and last timestep of the fit. */
  from: number;
  to: number;
  /** The fitted line's value where n is 0, to draw it. */
  atTo: number;
}

/** The probe sequence itself. */
export interface Probe {
  input: {
    kind: "symbols" | "features";
    names: string[];
    /** [T] symbols or [T, I] features. */ offset: number;
  };
  target: {
    kind: "class" | "value";
    names: string[];
    /** [T] classes (−1 where none is asked) or [T, O] values. */ offset: number;
  };
  /** [T, O]: probabilities for classes, values otherwise. */
  outputOffset: number;
  /** [T]: 1 where the loss counts. */
  maskOffset: number;
  /** S: the first S timesteps are a source, the others its answer; absent where there is none. */
  source?: number;
  /** [T − S]: what the network answers when it reads its own likeliest classes; beside `source`. */
  saidOffset?: number;
  /** [T]: the loss at each timestep, whether it counts or not; NaN where there is no target. */
  lossOffset: number;
}

/** How long a call of a training step takes on the CPU. */
export interface CallTime {
  /** Kernel and entry, such as `lstm.forward`. */
  label: string;
  /** The name of the first tensor that it writes. */
  writes: string;
  /** Milliseconds a step. */
  ms: number;
  /** Floating-point operations of its products, a step. */
  flop: number;
}

/** One compute dispatch of a training step on WebGPU. */
export interface Dispatch {
  /** Kernel and entry, such as `lstm.forward`. */
  label: string;
  /** In x, y and z. */
  workgroups: [number, number, number];
  /** Of its operands, once for reading and once for writing: the least that must move. */
  bytes: number;
}

/** What one timestep of a stream says. */
export interface StreamStep {
  /** Timesteps read since the stream began, this one among them. */
  read: number;
  /** [O]: probabilities of the classes, or values. */
  output: Float32Array;
  /** h of each row, [H]. */
  hidden: Float32Array[];
  /**
   * Numbers that are handed on to the next timestep: states, the latest inputs of a convolution, or the keys and values of all timesteps that
   * were read; only these grow, until the context is full.
   */
  handedOn: number;
  /** The most timesteps that the stream can read; null where it has no end. */
  longest: number | null;
}

/** What a panel asks for. */
export interface InspectionQuery {
  panel:
    | "factors"
    | "pipe"
    | "credit"
    | "credit-of-loss"
    | "attention"
    | "spectrum"
    | "ledger"
    | "poke-input"
    | "poke-state"
    | "portrait"
    | "portrait-of-memory"
    | "proof"
    | "update"
    | "pace";
  /** Place among the rows of a frame, 0 by default; the last one when there are fewer. */
  row?: number;
  /** Which sequence of the probe batch, 0 by default. */
  sequence?: number;
  /** Which block of W_hh a spectrum is of; by default the one that makes new content. */
  block?: number;
  /**
   * The timestep whose outer product a ledger shows, where a poke is (the first one by default), and whose input the flow of a portrait meets
   * (the last one by default).
   */
  step?: number;
  /** The unit or feature that a poke changes by `by` (1 by default), or the symbol that it puts in. */
  unit?: number;
  by?: number;
  /** As in `FrameOptions`. */
  batch?: "probe" | "next";
}

/**
 * Named series about one layer and direction; which ones depends on the cell. m is the state that carries the memory: c of an LSTM,
 * else h. Numbers that are not defined are NaN.
 *
 * `factors`: `step` [T] is ‖∂m_t/∂m_t₋₁‖_F / √H. Without a keep gate, step = `weight` · `saturation`, and `slope` is the mean of |φ′|.
 * With one, |`gate` − `rest`| ≤ step ≤ gate + rest. `means` [n] holds the geometric mean of each of these series over the steps.
 *
 * `pipe`: `width` [3, T] is Π over the later steps of the keep gate, mean over the units, 10 % and 90 % quantile; `keep`, `admit`,
 * `emit` [T] are means of gates, `bias` [1] the mean bias of the keep gate. Without such a gate, `step` [T] in its place.
 *
 * `credit`: `matrix` [R, T] is ‖∂y_t/∂m_k‖_F, column k; `rows` [R] holds t. `credit-of-loss` takes the loss at t alone for y_t. Medians
 * over `header.sequences` probe sequences.
 *
 * `attention`: `matrix` [heads, R, T], for one probe sequence the weight with which timestep t (row) reads timestep k (column); `rows` [R]
 * holds t: all timesteps, or those of a decoder's answer.
 *
 * `spectrum`: `eigenvalues` [H, 2] (real, imaginary) and `singular` [H] (the largest first) of one block of W_hh; `radius` [1], `block`
 * [1]; without a keep gate `bound` [T], (γ σ_max)^(T−t). Networks of more than 256 units are refused.
 *
 * `ledger`: `segments` [T] are ⟨G_t, G⟩/‖G‖ for the share G_t of each timestep in G = ∂L/∂W_hh; their sum is `norm` [1]. With a `step` also
 * `product`, G_t itself (pooled above 64 units), its `size` [1] and `step` [1].
 *
 * `poke-input`, `poke-state`: `ripple` [T] is ‖Δm_t‖, `output` [T] is ‖Δy_t‖, from the change at `at` [1] on; a state poke leaves the other
 * states of its timestep.
 *
 * `portrait` traces h, `portrait-of-memory` m: `x` and `y` [T] are the state on two axes, `others` [S, 2, T] that of other probe sequences,
 * `reach` [1] the largest coordinate. The axes are the units where H is 1 or 2, else the first two principal components of all probe states:
 * `axes` [2, H] around `mean` [1, H], with `share` [1, 2] of the variance. For H = 2 and a cell with one state, with F(h) what the layer makes of
 * h at timestep `at` [1]: `flow` [n, 4], h and F(h) on a grid; `fixed` [n, 3], the fixed points and the largest modulus of an eigenvalue of
 * ∂F/∂h, below 1 where they attract.
 *
 * `proof`: for each parameter p of `header.names`, `backpropagation` [P] is ⟨∂L/∂p, v⟩ along a direction v that mixes the gradient with
 * random numbers, `differences` the same from finite differences of the loss alone, `relative` their distance over the larger one,
 * `tolerance` what it may be in 32-bit floats, `verdict` 1 where they agree, 0 where that cannot be told, −1 where they differ; `sizes` [P]
 * elements; `fingerprint` [4] the four 16-bit words of a hash of all parameters, the highest first. L is the loss of 8 sequences that no
 * training step sees, and the gradient is that without truncation. Refused where it would take seconds.
 *
 * `compareEngines`, on the next training step: `loss` [2] by the CPU and by WebGPU, whose adapter its title names; for each parameter of
 * `header.names`, `differences` [P] ‖g − g′‖₂ / ‖g‖₂, g by the CPU and g′ by WebGPU.
 *
 * `update`: the next training step, taken back. `loss` [2], `accuracy` [2] on its batch before and after, `norm` [1] of the gradient before
 * clipping, `coefficient` [1] that it is multiplied by, `clipped` [1]; for each parameter of `header.names`, `gradients` [P] ‖∂L/∂p‖
 * before clipping, `changes` [P] ‖Δp‖, `lengths` [P] ‖p‖ before.
 *
 * `pace`: at n `lengths` T [n], a quarter of the task's, half of it and all (as far as they are longer than a decoder's source): `depth` [n],
 * the longest chain of kernel calls of a pass forward of which each waits for the one before, a loop over time as long as its timesteps;
 * `tree` [n], the same with every loop that is linear in its state in ⌈log₂ T⌉ rounds; `apart` [n], steps in time from the first position to
 * the last, T − 1 through a state, 1 by attention; `work` [n], operations of products a timestep; `memory` [n], numbers that a stream hands
 * on after T timesteps; `time` [n], milliseconds of a pass over one sequence on the CPU, measured now.
 */
export interface Inspection {
  header: InspectionHeader;
  /** 32-bit floats; every offset in the header counts floats. */
  data: ArrayBuffer;
}

export interface InspectionHeader {
  /** Updates done when it was made. */
  step: number;
  /** T. */
  nSteps: number;
  /** Id of the row, as in a frame. */
  row: string;
  /** The state that carries the memory. */
  state: string;
  /** Number of probe sequences behind the numbers. */
  sequences: number;
  /** Names of the parameters, where series have a number for each. */
  names?: string[];
  /** Where the picture has no meaning for the architecture, one sentence: what there is in its place. Then there are no series. */
  absent?: string;
  series: Series[];
}

export interface Series {
  id: string;
  title: string;
  shape: number[];
  offset: number;
}

/** Where a descent on the loss cliff begins, and how it goes on. By default w = 5.9, b = −2.6, rate 0.5 and threshold 0.1. */
export interface CliffQuery {
  w?: number;
  b?: number;
  /** The learning rate. */
  rate?: number;
  /** The largest norm of a gradient that clipped descent leaves alone. */
  threshold?: number;
}

/**
 * The loss L(w, b) = (σ(h_50) − 0.7)² of a network of one unit, h_t = w σ(h_t₋₁) + b with h_0 = 0.5 (Pascanu, Mikolov and Bengio 2013,
 * arXiv:1211.5063). Its gradient comes from backpropagation through the 50 steps.
 */
export interface Cliff {
  /** Lowest and highest w, lowest and highest b of the surface. */
  window: Float64Array;
  /** Rows and columns of the surface: b grows with the rows, w with the columns. Numbers are those of the middle of each cell. */
  grid: Float64Array;
  /** [rows, columns]: L. */
  loss: Float64Array;
  /** [rows, columns]: ‖(∂L/∂w, ∂L/∂b)‖. */
  norm: Float64Array;
  /** [n, 3]: b, h_50 and L at the w of the query. */
  section: Float64Array;
  /** [n, 3]: b, h and w σ′(h) of the fixed points h = w σ(h) + b at that w; stable where the last is below 1. */
  fixed: Float64Array;
  /**
   * b and h of the fold with the higher state, b and h of the fold with the lower one, and the b where h_50 jumps, at that w; empty at
   * w = 4, where there are none.
   */
  marks: Float64Array;
  /** [updates + 1, 4]: w, b, L and the gradient's norm from the start on, without clipping; shorter where a number is not finite. */
  plain: Float64Array;
  /** As `plain`, with the norm clipped. */
  clipped: Float64Array;
}

/** A change of the running network by hand. */
export type Change =
  /** The mean over the units of the bias of the gate that keeps the state (b_ih + b_hh), in every layer. */
  | { keepBias: number }
  /** One block of W_hh of one row is rescaled to this spectral radius; by default the block that makes new content, of the first row. */
  | { spectralRadius: number; row?: number; block?: number }
  /** W: from the next step on, the state adjoint is cut every W timesteps, counted from the end; null for nowhere. */
  | { window: number | null };

export interface Evaluation {
  step: number;
  /** On held-out data that no training step sees. */
  loss: number;
  accuracy: number;
  /** For a task with a source: share of sequences whose whole answer is right when the network reads its own likeliest answers. */
  exact?: number;
  nSequences: number;
  baseline: Baseline;
  solved: boolean;
  /** The criterion in words, such as "held-out loss below 0.01". */
  criterion: string;
  /** Set when the loss is not finite. */
  diverged?: Diverged;
}

/** The caller's own data, time-major. */
export interface Batch {
  /** [T, B, I] features or [T, B] symbols. */
  x: Float32Array | Uint32Array;
  /** [B] when only the last step is scored, [T, B] for a class per step, [T, B, O] for values per step. 0xFFFFFFFF is ignored. */
  y: Float32Array | Uint32Array;
  /** [T, B]: weights of the mean; by default 1 wherever there is a target. */
  mask?: Float32Array;
  T: number;
  B: number;
}

export interface Gradients {
  loss: number;
  /** [B, O] when only the last step is scored, else [T, B, O]: logits or values. */
  outputs: Float32Array;
  /** safetensors of ∂L/∂p under the parameters' names. */
  weights: Uint8Array;
  /** [L·D, T]: Frobenius norm of ∂L/∂h_t over [B, H]. */
  hidden: Float32Array;
  /** Set when one of these numbers is not finite. */
  diverged?: Diverged;
}

/** The object that a failed call throws or rejects with. */
export interface UnrollError extends Error {
  /** Path of the value, such as `model.hidden`; absent when no value is at fault. */
  field?: string;
  expected?: string;
  got?: string;
}
