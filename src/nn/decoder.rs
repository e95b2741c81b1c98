//! Encoder and decoder: two stacks of one cell, one after the other on one time axis.
//!
//! The encoder (`rnn.*`) reads the source, timesteps 0..S; the decoder (`decoder.*`) reads timesteps S..T from the states that each layer
//! of the encoder ended with, and the gradient flows back through this hand-over (Sutskever, Vinyals and Le 2014, arXiv:1409.3215).
//!
//! Luong attention, general (Luong, Pham and Manning 2015, arXiv:1508.04025): with h̄_s the outputs of the encoder and h_t that of the
//! decoder, α_ts = softmax_s(h_tᵀ W_a h̄_s), c_t = Σ_s α_ts h̄_s, h̃_t = tanh(W_c [c_t; h_t]), and the head reads h̃_t. W_a is
//! `attention.score.weight` `[H, H]`, W_c `attention.combine.weight` `[H, 2H]`: those of `torch.nn.Linear` without a bias.

use super::{Bound, Inputs, Model, Pass, Recorded};
use crate::graph::Graph;
use crate::kernels::activation::{self, Phi};
use crate::kernels::attention::{self, Heads};
use crate::kernels::recurrence::Layer;
use crate::kernels::{Call, copy, product};
use crate::shape::Tensor;

/// How a decoder reads the source again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Not at all: the state handed over is all that it knows.
    None,
    /// Luong, general.
    Luong,
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
pub const DECODERS: &[(&str, &str)] =
    &[("same", "the same network"), ("own", "weights of its own"), ("luong", "attention (Luong)")];

impl Decoder {
    /// Of a choice among [`DECODERS`]; `None` for a network that reads on.
    pub fn new(id: &str, source: usize) -> Option<Self> {
        let attention = match id {
            "own" => Attention::None,
            "luong" => Attention::Luong,
            _ => return None,
        };
        Some(Self { source, attention })
    }

    /// Names and shapes of the parameters beside those of the two stacks.
    pub(super) fn parameters(&self, h: usize) -> Vec<(&'static str, [usize; 2])> {
        match self.attention {
            Attention::None => Vec::new(),
            Attention::Luong => vec![("attention.score.weight", [h, h]), ("attention.combine.weight", [h, 2 * h])],
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
        let mut rows = model.recur(time_loop, graph, bound, "rnn", part(0, source), [source, batch], &[]);
        let mut hand_over = |row: &Recorded| {
            let states = model.cell.states;
            let state0 = graph.activation("state handed over", &[states, batch, h]);
            for index in 0..states {
                graph.record(copy::forward(row.state(index).outer(source - 1, 1), state0.outer(index, 1), false));
            }
            state0
        };
        let state0: Vec<Tensor> = rows.iter().map(&mut hand_over).collect();
        let encoded = rows.last().expect("a model has a layer").y;
        let later = part(source, answer);
        let decoder = model.recur(time_loop, graph, bound, "decoder", later, [answer, batch], &state0);
        rows.extend(decoder.into_iter().map(|row| Recorded { first: source, ..row }));
        let decoded = rows.last().expect("a model has a layer").y;

        let read = graph.activation("what the head reads", &[n_steps, batch, h]);
        graph.record(copy::forward(encoded, read.outer(0, source), false));
        let to = read.outer(source, answer);
        let alignment = match self.attention {
            Attention::None => {
                graph.record(copy::forward(decoded, to, false));
                None
            }
            Attention::Luong => {
                let weights = ["attention.score.weight", "attention.combine.weight"].map(|name| bound.get(name));
                Some(luong(graph, weights, encoded, decoded, to))
            }
        };
        Pass { rows, read, alignment, handed_on: Vec::new() }
    }
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
