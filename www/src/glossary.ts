// What each number on the page is: its name, its formula, where it comes from. The only place that defines them.
//
// Formulas are text; what follows an underscore stands lower, as in the lessons.

export interface Definition {
  name: string;
  formula: string;
  /** One to three sentences, with the unit or range where that is not plain. */
  text: string;
  source?: string;
}

const PASCANU = "Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063";
const HOCHREITER = "Hochreiter, Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735";

export const GLOSSARY = {
  step: {
    name: "Training step",
    formula: "θ ← θ − update(∂L/∂θ)",
    text: "How many updates of the weights are done. Each takes one batch; all lanes get the same batches.",
  },
  speed: {
    name: "Steps per second",
    formula: "updates / time",
    text: "Of the slowest lane, waiting for others included; in the proof, of each lane. Pictures and evaluations count.",
  },
  loss: {
    name: "Training loss L",
    formula: "L = mean of −ln p(right class), or of (y − target)²",
    text: "Mean over the batch and over the timesteps where the task scores: cross-entropy in nats for classes, squared error for values.",
  },
  accuracy: {
    name: "Right answers",
    formula: "right / asked",
    text: "Share on held-out data that no training step sees; in slow motion, on the training batch. A value counts as right when its error is below the task's limit.",
  },
  solved: {
    name: "Solved at step",
    formula: "first evaluation that meets the criterion",
    text: "The criterion is the task's own. It is looked at every so many steps only, so the number is an upper bound.",
  },
  gradient: {
    name: "Gradient at a timestep",
    formula: "B·‖∂L/∂h_t‖_2",
    text: "How much the loss would change with the state at timestep t (c_t of an LSTM, with the way through h_t). The norm is over the units; B takes the mean over the batch back, so each sequence counts for itself. Shown is the median over the probe sequences, in slow motion over those of the training batch.",
    source: PASCANU,
  },
  factor: {
    name: "Factor a step back, κ",
    formula: "ln ‖∂L/∂h_{T−n}‖ ≈ ln a + n·ln κ",
    text: "The slope of a straight line through the logarithms of the ribbon, least squares over all timesteps above the floor of 32-bit numbers. Below 1 the gradient vanishes, above 1 it explodes.",
    source: PASCANU,
  },
  share: {
    name: "Share of the signal",
    formula: "‖∂L/∂h_1‖ / ‖∂L/∂h_{T}‖",
    text: "What the far end of the sequence receives, over what the timestep receives where the last loss enters. Below 10⁻³ it drowns in nearer gradients; below 10⁻⁷ it is lost to rounding.",
  },
  gain: {
    name: "Gain of a step",
    formula: "‖∂m_t/∂m_{t−1}‖_{F} / √H",
    text: "By how much a gradient of random direction grows or shrinks in one step back; m is the state that carries the memory, H its size. Means over steps are geometric.",
    source: PASCANU,
  },
  weight: {
    name: "Weight factor",
    formula: "‖W_hh‖_{F} / √H",
    text: "The part of the gain that comes from the recurrent weights. Gain = weight factor × saturation factor.",
  },
  saturation: {
    name: "Saturation factor",
    formula: "√(Σ_i φ′(a_i)² ‖w_i‖² / Σ_i ‖w_i‖²)",
    text: "The part of the gain that comes from the slopes φ′ of the nonlinearity, root mean square with each unit weighted by its row w_i of W_hh.",
  },
  slope: {
    name: "Mean slope",
    formula: "mean |φ′(a_i)|",
    text: "1 where a tanh unit is at 0; near 0 where it is saturated.",
  },
  gate: {
    name: "Keep gate's part",
    formula: "‖f_t‖_2 / √H",
    text: "The part of the gain that the keep gate hands on past all weights: f of an LSTM, z of a GRU.",
    source: HOCHREITER,
  },
  rest: {
    name: "The rest",
    formula: "‖∂m_t/∂m_{t−1} − diag(f_t)‖_{F} / √H",
    text: "What goes back through the weights. The gain lies between the difference and the sum of the two parts.",
  },
  radius: {
    name: "Spectral radius ρ",
    formula: "ρ = max |λ_i|, W_hh v_i = λ_i v_i",
    text: "The largest modulus of an eigenvalue. Over many steps a linear network's gradient is multiplied by ρ at each.",
    source: PASCANU,
  },
  sigma: {
    name: "Largest singular value σ_max",
    formula: "σ_max = max ‖W_hh x‖ / ‖x‖",
    text: "Bounds a single step: ‖∂h_{T}/∂h_t‖ ≤ (γσ_max)^(T−t), with γ = 1 the largest slope of tanh, ReLU and the identity.",
    source: PASCANU,
  },
  width: {
    name: "Width of the pipe",
    formula: "mean over units of Π_{s>t} f_s",
    text: "The share of the memory at t that reaches the last step past all weights, and of the gradient that comes back that way. From 0 to 1; without a keep gate it is the product of the gains.",
    source: HOCHREITER,
  },
  segment: {
    name: "Share of a timestep",
    formula: "⟨G_t, G⟩ / ‖G‖, Σ_t G_t = G = ∂L/∂W_hh",
    text: "How much of ‖G‖ timestep t pays; negative against G. The shares add up to ‖G‖. G_t is the outer product of the gradient at t with the state before it.",
  },
  norm: {
    name: "Norm of the gradient",
    formula: "‖G‖_{F} = √(Σ G_ij²)",
    text: "Of the gradient of the recurrent weights (W_ih where there are none), on the probe sequences, before clipping.",
  },
  "total-norm": {
    name: "Norm of all gradients ‖g‖",
    formula: "‖g‖_2 = √(Σ (∂L/∂p)²)",
    text: "Over the elements of all parameters p, on one training batch, before clipping.",
    source: PASCANU,
  },
  coefficient: {
    name: "Clip factor",
    formula: "min(1, limit / ‖g‖)",
    text: "What clipping by norm multiplies the whole gradient by: the direction stays. 1 where nothing is clipped.",
    source: PASCANU,
  },
  move: {
    name: "Update ‖Δ‖",
    formula: "‖Δ‖_2 = √(Σ (p_new − p_old)²)",
    text: "How far one step moves the weights, over the elements of all parameters p.",
  },
  saturated: {
    name: "Saturated units",
    formula: "mean over t of 1 − h_t², or of 4g_t(1 − g_t), below 0.1",
    text: "Units of a tanh network, or gates g, that stand near the ends of their range, where the slope is small and hands little gradient back.",
  },
  dead: {
    name: "Dead units",
    formula: "max h_t − min h_t < 10⁻⁴ over t",
    text: "Units that keep one value over the whole sequence shown.",
  },
  baseline: {
    name: "Loss without memory",
    formula: "min L over answers that ignore what was read before",
    text: "What the best predictor without memory reaches. It is the task's own number, in the unit of its loss.",
  },
  credit: {
    name: "Credit",
    formula: "‖∂y_t/∂m_k‖_{F}, or ‖∂L_t/∂m_k‖_2",
    text: "How much the outputs before softmax, or the loss at t alone, would change with the memory at k. Median over the probe sequences.",
  },
  attention: {
    name: "Attention weight",
    formula: "a_tk = softmax_k(q_t · k_k / √d)",
    text: "With which weight timestep t reads timestep k; over k they add up to 1. Bahdanau’s score is v · tanh(q_t + k_k). A recurrence that is linear in its state has weights too: those that its gates imply, which can be negative and add up to anything.",
    source: "Vaswani et al. 2017, arXiv:1706.03762",
  },
  ripple: {
    name: "Ripple",
    formula: "‖m_t(changed) − m_t‖_2",
    text: "How far the run with the change by hand is from the run without it, at timestep t.",
  },
  "output-ripple": {
    name: "Ripple of the answer",
    formula: "‖y_t(changed) − y_t‖_2",
    text: "How far the outputs before softmax are from those of the run without the change by hand, at timestep t.",
  },
  variance: {
    name: "Share of the variance",
    formula: "(s_1² + s_2²) / Σ s_i²",
    text: "What the first two principal components hold of the states of all probe sequences; s are singular values of the centred states.",
  },
  fixed: {
    name: "Fixed point and |λ|",
    formula: "h = F(h), |λ| = max |eigenvalue of ∂F/∂h|",
    text: "A state that one more step with the same input leaves alone. Below 1 it attracts, above 1 it repels in some direction.",
  },
  cliff: {
    name: "Gradient on the cliff",
    formula: "‖∇L‖ = √((∂L/∂w)² + (∂L/∂b)²)",
    text: "By backpropagation through 50 steps of one unit; L = (σ(h_50) − 0.7)². A clipped update is at most threshold × learning rate long.",
    source: PASCANU,
  },
  parameters: {
    name: "Parameters",
    formula: "Σ of the sizes of all tensors",
    text: "Weights and biases that training changes, the output layer included.",
  },
  "handed-on": {
    name: "Numbers handed on",
    formula: "L · S · H of states; 2·L·H·n of keys and values",
    text: "What a network carries from one timestep to the next. A recurrent one has S states of H units in each of its L layers, which do not grow with the stream; attention keeps a key and a value for each of n timesteps. Mamba keeps N numbers and the last K − 1 inputs for each of E channels, RetNet a matrix for each head, RWKV five numbers for each feature.",
  },
  forms: {
    name: "Distance of two forms",
    formula: "max |y′ − y| / max |y|",
    text: "Over all outputs of one sequence, logits or values: y from all timesteps at once, y′ in chunks, each from what the chunk before has handed on. Rounding alone stays below 10⁻⁵.",
  },
  engines: {
    name: "Distance of two gradients",
    formula: "‖g − g′‖_2 / ‖g‖_2",
    text: "Of one parameter, g by the CPU and g′ by WebGPU, for the same training step.",
  },
  seed: {
    name: "Seed",
    formula: "random number = f(seed, purpose, step)",
    text: "Where all random numbers begin. The same seed and settings give the same weights and the same batches.",
  },
  fingerprint: {
    name: "Fingerprint",
    formula: "hash of all weights' bits",
    text: "Equal runs have equal fingerprints, on every machine that trains on the CPU.",
  },
  check: {
    name: "Gradient check",
    formula: "(L(θ + εd) − L(θ − εd)) / 2ε against ⟨∂L/∂θ, d⟩",
    text: "The relative difference of backpropagation and finite differences along a direction d, tensor by tensor, and what rounding allows.",
  },
} as const satisfies Record<string, Definition>;

export type TermId = keyof typeof GLOSSARY;

/** A piece of a sentence: a number with the definition that belongs to it, or plain text. */
export interface Defined {
  text: string;
  term: TermId | null;
}

/** Takes a sentence apart where numbers are marked, as in `L = [0.70](loss)`. */
export function definedParts(sentence: string): Defined[] {
  return sentence.split(/(\[[^\]]+\]\([a-z-]+\))/).flatMap((part): Defined[] => {
    const [, text = part, id = ""] = /^\[([^\]]+)\]\(([a-z-]+)\)$/.exec(part) ?? [];
    return text === "" ? [] : [{ text, term: id in GLOSSARY ? (id as TermId) : null }];
  });
}
