//! The Transformer: causal, pre-norm, in the form of nanoGPT.
//!
//! Layer by layer x ← x + c_proj(attention(c_attn(LN(x)))), x ← x + MLP(LN(x)), with learnt positions ahead and a layer norm behind.

use crate::kernels::activation::{self, Phi};
use crate::kernels::recurrence::{Cell, Channel, Role, Source};
use crate::kernels::residual::{self, Block, STREAM, Scribe, Sizes, Spec, Start, check_heads};
use crate::kernels::{attention, copy, layer_norm, position, product};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::shape::Tensor;

/// The longest sequence: the weights of attention take memory that grows with T².
const MAX_LENGTH: usize = 1024;

/// What stands where there is no step from one state to the next.
const NO_STEP: &str = "A Transformer has no step from h_{t−1} to h_t. Every position reads all earlier ones at once, so that the gradient \
                       between two of them passes one block, however far apart they are. The credit panel shows with which weights.";

/// The architecture.
pub static CELL: Cell = Cell {
    id: "transformer",
    title: "Transformer",
    summary: "No recurrence: in every block, each position reads all earlier ones by attention, then passes through a small network of \
              its own. All positions are computed at once, and any two are one block apart.",
    equations: &[
        r"x_t = W_e u_t + b_e + p_t",
        r"[q_t\, k_t\, v_t] = W_{qkv}\, \mathrm{LN}(x_t) + b_{qkv}",
        r"a_{ts} = \mathrm{softmax}_{s \le t}\big(q_t \cdot k_s / \sqrt{d}\big)",
        r"x_t \leftarrow x_t + W_o \textstyle\sum_s a_{ts} v_s + b_o",
        r"x_t \leftarrow x_t + W_2\, \mathrm{GELU}(W_1\, \mathrm{LN}(x_t) + b_1) + b_2",
    ],
    sources: &[
        "Vaswani et al. 2017, arXiv:1706.03762",
        "Xiong et al. 2020, arXiv:2002.04745 (norms ahead of each part)",
        "nanoGPT (names, GELU, initialisation)",
    ],
    options: &[
        OptionSpec {
            name: "heads",
            title: "Heads",
            help: "How many patterns of attention each block has; they share the features among them.",
            kind: Kind::Integer { min: 1, max: 16, default: 1 },
        },
        OptionSpec {
            name: "mlpFactor",
            title: "MLP factor",
            help: "How many times wider than the stream the network of each position is.",
            kind: Kind::Integer { min: 1, max: 8, default: 4 },
        },
        OptionSpec {
            name: "context",
            title: "Context",
            help: "How many positions it has a vector for; 0 for as many as the task has timesteps. It cannot read longer sequences.",
            kind: Kind::Integer { min: 0, max: MAX_LENGTH as u32, default: 0 },
        },
    ],
    saved: &["attention", "read", "hidden"],
    channels: &[
        STREAM,
        Channel {
            id: "r",
            title: "read by attention",
            role: Role::Candidate,
            range: None,
            source: Source::Saved { tensor: 1 },
            state: None,
        },
        Channel {
            id: "m",
            title: "hidden layer of the MLP",
            role: Role::Candidate,
            range: None,
            source: Source::Saved { tensor: 2 },
            state: None,
        },
    ],
    attention: Some(weights),
    absent: &[
        ("factors", NO_STEP),
        ("pipe", NO_STEP),
        ("spectrum", NO_STEP),
        (
            "ledger",
            "No weight is used step after step: each acts once on every position, and the gradients of all positions are added up. The \
             ribbon shows how much each position's stream contributes.",
        ),
        (
            "poke-state",
            "There is no state that is handed on. Change an input instead, and see which positions read it.",
        ),
    ],
    ..residual::cell(Block {
        parameters,
        record,
        embedding: Start::Normal(SIGMA),
        around: |sizes| {
            let mut specs = vec![Spec::new("position.weight", &[positions(sizes), sizes.width], Start::Normal(SIGMA))];
            specs.extend(norm("norm.weight", "norm.bias", sizes.width));
            specs
        },
        enter: Some(|scribe, sizes, x| {
            let weight = scribe.parameter("position.weight");
            let first = sizes.read.unwrap_or(0);
            scribe.record(position::forward(weight.outer(first, weight.shape.rows() - first), x));
        }),
        leave: |scribe, _, x, y| normalise(scribe, ["norm.weight", "norm.bias"], x, y),
        check,
    })
};

/// Standard deviation of the weights at the start.
const SIGMA: f64 = 0.02;

fn heads(options: &Chosen) -> usize {
    options.integer("heads")
}

/// Rows of `position.weight`.
fn positions(sizes: &Sizes) -> usize {
    match sizes.options.integer("context") {
        0 => sizes.length,
        context => context,
    }
}

fn check(sizes: &Sizes) -> Option<[String; 3]> {
    let positions = positions(sizes);
    let refuse = |field: &str, expected: String, got: usize| Some([field.to_owned(), expected, got.to_string()]);
    if let Some(misfit) = check_heads(sizes) {
        return Some(misfit);
    }
    if sizes.length > MAX_LENGTH {
        let expected = format!("at most {MAX_LENGTH} for a Transformer, whose memory grows with the square");
        return refuse("task.length", expected, sizes.length);
    }
    if positions < sizes.length {
        return refuse("model.context", format!("0, or at least the task's length, {}", sizes.length), positions);
    }
    if positions < sizes.n_steps {
        return refuse("batch.T", format!("at most {positions} timesteps, the positions that it has"), sizes.n_steps);
    }
    None
}

pub(super) fn norm(weight: &'static str, bias: &'static str, width: usize) -> [Spec; 2] {
    [Spec::new(weight, &[width], Start::Ones), Spec::new(bias, &[width], Start::Zeros)]
}

fn parameters(sizes: &Sizes) -> Vec<Spec> {
    let (width, inner) = (sizes.width, sizes.width * sizes.options.integer("mlpFactor"));
    // Two parts of every block add to the stream.
    let residual = Start::Normal(SIGMA / (2.0 * sizes.layers as f64).sqrt());
    let mut specs = Vec::new();
    let mut linear = |names: [&'static str; 2], [outputs, inputs]: [usize; 2], start| {
        specs.push(Spec::new(names[0], &[outputs, inputs], start));
        specs.push(Spec::new(names[1], &[outputs], Start::Zeros));
    };
    linear(["attn.c_attn.weight", "attn.c_attn.bias"], [3 * width, width], Start::Normal(SIGMA));
    linear(["attn.c_proj.weight", "attn.c_proj.bias"], [width, width], residual);
    linear(["mlp.c_fc.weight", "mlp.c_fc.bias"], [inner, width], Start::Normal(SIGMA));
    linear(["mlp.c_proj.weight", "mlp.c_proj.bias"], [width, inner], residual);
    specs.splice(4..4, norm("ln_2.weight", "ln_2.bias", width));
    specs.splice(0..0, norm("ln_1.weight", "ln_1.bias", width));
    specs
}

pub(super) fn normalise(scribe: &mut dyn Scribe, [weight, bias]: [&str; 2], x: Tensor, y: Tensor) {
    let (weight, bias) = (scribe.parameter(weight), scribe.parameter(bias));
    scribe.record(layer_norm::forward(x, weight, Some(bias), y, true));
}

fn linear(scribe: &mut dyn Scribe, [weight, bias]: [&str; 2], x: Tensor, y: Tensor) {
    let (weight, bias) = (scribe.parameter(weight), scribe.parameter(bias));
    scribe.record(product::linear(product::plain(x.flat()), product::transposed(weight), bias, y.flat()));
}

fn record(scribe: &mut dyn Scribe, sizes: &Sizes, x: Tensor, y: Tensor) -> Vec<Tensor> {
    let (width, heads) = (sizes.width, heads(sizes.options));
    let inner = width * sizes.options.integer("mlpFactor");
    let mut memory = |name: &str, columns: usize| scribe.activation(name, &[sizes.n_steps, sizes.batch, columns]);
    let [normed, packed, read] = [("ln_1", width), ("c_attn", 3 * width), ("read", width)].map(|(n, w)| memory(n, w));
    // A stream keeps the keys and values of all timesteps: a cache that grows.
    let earlier = sizes.read.unwrap_or(0);
    let keys = earlier + sizes.n_steps;
    let (weights, between) = (memory("attention", heads * keys), memory("between", width));
    let [normed_again, before, hidden] =
        [("ln_2", width), ("c_fc", inner), ("hidden", inner)].map(|(n, w)| memory(n, w));

    normalise(scribe, ["ln_1.weight", "ln_1.bias"], x, normed);
    linear(scribe, ["attn.c_attn.weight", "attn.c_attn.bias"], normed, packed);
    let how = attention::Heads { count: heads, variance: width / heads, causal: true };
    let cache = residual::behind(scribe, sizes, packed.columns(width, 2 * width), earlier, keys);
    let (queries, cache) = match sizes.read {
        Some(_) => (packed.columns(0, width), Some(cache)),
        None => (packed, None),
    };
    scribe.record(attention::forward(how, queries, cache, weights, read));
    linear(scribe, ["attn.c_proj.weight", "attn.c_proj.bias"], read, between);
    scribe.record(copy::forward(x, between, true));

    normalise(scribe, ["ln_2.weight", "ln_2.bias"], between, normed_again);
    linear(scribe, ["mlp.c_fc.weight", "mlp.c_fc.bias"], normed_again, before);
    scribe.record(activation::forward(Phi::Gelu, before, None, hidden));
    linear(scribe, ["mlp.c_proj.weight", "mlp.c_proj.bias"], hidden, y);
    scribe.record(copy::forward(between, y, true));
    vec![weights, read, hidden]
}

/// The matrices of all heads, from rows that hold one head after the other.
pub(super) fn weights(saved: &[Vec<f64>], n_steps: usize, options: &Chosen) -> Vec<Vec<f64>> {
    let heads = heads(options);
    let of =
        |head: usize| saved[0].chunks_exact(heads * n_steps).flat_map(move |row| &row[head * n_steps..][..n_steps]);
    (0..heads).map(|head| of(head).copied().collect()).collect()
}
