//! Encoder and decoder: two stacks of one cell, one after the other on one time axis.
//!
//! The encoder (`rnn.*`) reads the source, timesteps 0..S; the decoder (`decoder.*`) reads timesteps S..T from the states that each layer
//! of the encoder ended with, and the gradient flows back through this hand-over (Sutskever, Vinyals and Le 2014, arXiv:1409.3215).
//!
//! Luong attention, general (Luong, Pham and Manning 2015, arXiv:1508.04025): with h̄_s the outputs of the encoder and h_t that of the
//! decoder, α_ts = softmax_s(h_tᵀ W_a h̄_s), c_t = Σ_s α_ts h̄_s, h̃_t = tanh(W_c [c_t; h_t]), and the head reads h̃_t. W_a is
//! `attention.score.weight` `[H, H]`, W_c `attention.combine.weight` `[H, 2H]`: those of `torch.nn.Linear` without a bias.
//!
//! Bahdanau attention (Bahdanau, Cho and Bengio 2015, arXiv:1409.0473) asks before the step, with the state of the last layer one step
//! before, s_{i−1}, that which is handed over at first: e_ij = vᵀ tanh(W_a s_{i−1} + U_a h_j), α_ij = softmax_j(e_ij), c_i = Σ_j α_ij h_j,
//! and c_i is an input of the decoder's first layer, behind what it reads anyway: `decoder.weight_ih_l0` is `[G·H, I + H]`. W_a is
//! `attention.query.weight` and U_a `attention.key.weight`, both `[H, H]`, v `attention.energy.weight` `[1, H]`. Other than in the paper,
//! the encoder reads in one direction, its last states are handed over as they are, and the head reads s_i alone. What a step reads
//! depends on the one before, so that the time loop of the decoder is recorded step by step: on a GPU, several dispatches for each.

use super::{Bound, Inputs, Model, Pass, Recorded};
use crate::graph::Graph;
use crate::kernels::activation::{self, Phi};
use crate::kernels::attention::{self, Heads};
use crate::kernels::recurrence::Layer;
use crate::kernels::{Call, additive_attention, copy, product};
use crate::shape::Tensor;

/// How a decoder reads the source again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Not at all: the state handed over is all that it knows.
    None,
    /// Luong, general.
    Luong,
    /// Bahdanau.
    Bahdanau,
}

/// The second half of an encoder-decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder {
    /// S.
    pub source: usize,
    /// How it reads the source again.
    pub attention: Attention,
}

/// The choices of a configuration, with titles; the first is a network that reads on.
pub const DECODERS: &[(&str, &str)] = &[
    ("same", "the same network"),
    ("own", "weights of its own"),
    ("luong", "attention (Luong)"),
    ("bahdanau", "attention (Bahdanau)"),
];

impl Decoder {
    /// Of a choice among [`DECODERS`]; `None` for a network that reads on.
    pub fn new(id: &str, source: usize) -> Option<Self> {
        let attention = match id {
            "own" => Attention::None,
            "luong" => Attention::Luong,
            "bahdanau" => Attention::Bahdanau,
            _ => return None,
        };
        Some(Self { source, attention })
    }

    /// Names and shapes of the parameters beside those of the two stacks.
    pub(super) fn parameters(&self, h: usize) -> Vec<(&'static str, [usize; 2])> {
        match self.attention {
            Attention::None => Vec::new(),
            Attention::Luong => vec![("attention.score.weight", [h, h]), ("attention.combine.weight", [h, 2 * h])],
            Attention::Bahdanau => vec![
                ("attention.query.weight", [h, h]),
                ("attention.key.weight", [h, h]),
                ("attention.energy.weight", [1, h]),
            ],
        }
    }

    /// Records both halves.
    pub(super) fn record(
        &self,
        model: &Model,
        time_loop: fn(&Layer) -> Call,
        graph: &mut Graph,
        bound: &Bound,
        x: Inputs,
        [n_steps, batch]: [usize; 2],
    ) -> Pass {
        let (source, h) = (self.source.min(n_steps), model.hidden);
        let answer = n_steps - source;
        let part = |first, count| match x {
            Inputs::Features(x) => Inputs::Features(x.outer(first, count)),
            Inputs::Symbols(x) => Inputs::Symbols(x.outer(first, count)),
        };
        let mut rows = model.recur(time_loop, graph, bound, "rnn", part(0, source), [source, batch], &[], None);
        let last = |rows: &[Recorded]| rows.last().expect("a model has a layer").y;
        let encoded = last(&rows);
        let read = graph.activation("what the head reads", &[n_steps, batch, h]);
        graph.record(copy::forward(encoded, read.outer(0, source), false));
        // Of Bahdanau: what is read, and with which weights.
        let reading = (self.attention == Attention::Bahdanau).then(|| {
            let memory = bahdanau_memory(graph, bound.get("attention.key.weight"), encoded);
            (memory, graph.activation("alignment", &[answer, batch, source]))
        });
        let mut alignment = reading.map(|(_, weights)| weights);
        let count = if reading.is_some() { 1 } else { answer };
        let (mut before, mut at) = (rows.clone(), source - 1);
        for first in (source..n_steps).step_by(count.max(1)) {
            let context = reading.map(|(memory, weights)| {
                let of = ["attention.query.weight", "attention.energy.weight"].map(|name| bound.get(name));
                bahdanau(graph, of, last(&before).outer(at, 1), memory, weights.outer(first - source, 1))
            });
            let states = model.cell.states;
            let hand_over = |row: &Recorded| {
                let state0 = graph.activation("state handed over", &[states, batch, h]);
                for index in 0..states {
                    graph.record(copy::forward(row.state(index).outer(at, 1), state0.outer(index, 1), false));
                }
                state0
            };
            let state0: Vec<Tensor> = before.iter().map(hand_over).collect();
            let x = part(first, count);
            before = model.recur(time_loop, graph, bound, "decoder", x, [count, batch], &state0, context);
            at = 0;
            rows.extend(before.iter().map(|row| Recorded { first, ..row.clone() }));
            let (decoded, to) = (last(&before), read.outer(first, count));
            if self.attention == Attention::Luong {
                let weights = ["attention.score.weight", "attention.combine.weight"].map(|name| bound.get(name));
                alignment = Some(luong(graph, weights, encoded, decoded, to));
            } else {
                graph.record(copy::forward(decoded, to, false));
            }
        }
        Pass { rows, read, alignment, handed_on: Vec::new() }
    }
}

/// Records what Bahdanau attention reads: for h `[S, B, H]` and U_a `[A, H]`, U_a h and h side by side, `[S, B, A + H]`.
pub fn bahdanau_memory(graph: &mut Graph, key: Tensor, encoded: Tensor) -> Tensor {
    let [n, batch, h] = [0, 1, 2].map(|axis| encoded.shape.extent(axis));
    let width = key.shape.rows();
    let memory = graph.activation("keys and values", &[n, batch, width + h]);
    let keys = memory.columns(0, width).flat();
    graph.record(product::forward(product::plain(encoded.flat()), product::transposed(key), keys, false));
    graph.record(copy::forward(encoded, memory.columns(width, h), false));
    memory
}

/// Records Bahdanau attention, with W_a and v, of `state` `[U, B, ·]` to a [`bahdanau_memory`]; α goes to `weights` `[U, B, S]`. Returns c,
/// `[U, B, H]`.
pub fn bahdanau(
    graph: &mut Graph,
    [query, energy]: [Tensor; 2],
    state: Tensor,
    memory: Tensor,
    weights: Tensor,
) -> Tensor {
    let ([n, batch], width) = ([0, 1].map(|axis| state.shape.extent(axis)), query.shape.rows());
    let queries = graph.activation("queries", &[n, batch, width]);
    graph.record(product::forward(product::plain(state.flat()), product::transposed(query), queries.flat(), false));
    let context = graph.activation("context", &[n, batch, memory.shape.columns() - width]);
    graph.record(additive_attention::forward(queries, memory, energy, weights, context));
    context
}

/// Records Luong attention, with W_a and W_c, of `decoded` `[U, B, H]` to `encoded` `[S, B, H]`; h̃ goes to `to` `[U, B, H]`. Returns α,
/// `[U, B, S]`.
pub fn luong(graph: &mut Graph, [score, combine]: [Tensor; 2], encoded: Tensor, decoded: Tensor, to: Tensor) -> Tensor {
    let [n, batch, h] = [0, 1, 2].map(|axis| decoded.shape.extent(axis));
    let queries = graph.activation("queries", &[n, batch, encoded.shape.columns()]);
    graph.record(product::forward(product::plain(decoded.flat()), product::plain(score), queries.flat(), false));
    let weights = graph.activation("alignment", &[n, batch, encoded.shape.extent(0)]);
    let context = graph.activation("context", &[n, batch, encoded.shape.columns()]);
    let heads = Heads { count: 1, variance: 1, causal: false };
    graph.record(attention::forward(heads, queries, Some(encoded), weights, context));
    let sum = graph.activation("context and state", &[n, batch, to.shape.columns()]);
    let wide = context.shape.columns();
    for (from, first, count) in [(context, 0, wide), (decoded, wide, h)] {
        let weight = product::transposed(combine.columns(first, count));
        graph.record(product::forward(product::plain(from.flat()), weight, sum.flat(), first > 0));
    }
    graph.record(activation::forward(Phi::Tanh, sum, None, to));
    weights
}
