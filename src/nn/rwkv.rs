//! RWKV-4: a fading mean of values in place of attention, in residual blocks, with the names of the published code.
//!
//! Layer by layer x ← x + W_o(σ(r) ⊙ wkv(k, v)) with k, v and r linear in token shifts of LN(x), then
//! x ← x + σ(W_r s_r) ⊙ W_v max(W_k s_k, 0)² with token shifts s of LN(x). Another layer norm stands before the first block, and one behind
//! the last. Where the published code draws orthogonal matrices, these are uniform with the same variance; where it begins the embedding at
//! 10⁻⁴, this one has variance 1: the norm behind it would make gradients of 10⁴ that no finite difference resolves.

use super::mamba::{NO_LEDGER, NO_POKE};
use super::retnet::linear;
use super::transformer::{norm, normalise};
use crate::kernels::activation::{self, Phi};
use crate::kernels::recurrence::{Cell, Channel, Role, Source};
use crate::kernels::residual::{self, Block, STREAM, Scribe, Sizes, Spec, Start};
use crate::kernels::{causal_conv, copy, wkv};
use crate::options::Chosen;
use crate::shape::Tensor;

/// What stands where a picture needs a recurrent weight.
const NO_WEIGHT: &str = "No weight stands between two steps: each channel keeps a mean of its values so far, and a new value takes the \
                         share z of it. The heatmap has z as a channel, and the ribbon has the gradient of the mean.";

/// The architecture.
pub static CELL: Cell = Cell {
    id: "rwkv",
    title: "RWKV",
    summary: "RWKV-4: each channel reads a weighted mean of all earlier values, whose weights fade at a learnt rate, and a gate, the \
              receptance, says how much of it passes. The mean is a state that is handed on, as in a recurrent network.",
    equations: &[
        r"k_t = W_k(\mu_k \odot n_t + (1 - \mu_k) \odot n_{t-1}), \text{ so too } v_t, r_t; \quad n_t = \mathrm{LN}(x_t)",
        r"wkv_t = \frac{\sum_{i<t} e^{-(t-1-i) e^w + k_i} v_i + e^{u + k_t} v_t}{\sum_{i<t} e^{-(t-1-i) e^w + k_i} + e^{u + k_t}}",
        r"x_t \leftarrow x_t + W_o(\sigma(r_t) \odot wkv_t)",
        r"x_t \leftarrow x_t + \sigma(r_t') \odot W_v' \max(k_t', 0)^2, \quad k_t', r_t' \text{ as above, with weights of their own}",
    ],
    sources: &["Peng et al. 2023, arXiv:2305.13048", "BlinkDL/RWKV-LM, RWKV-v4 (names, initialisation)"],
    states: 2,
    saved: &["mean", "share", "own share", "wkv", "receptance"],
    channels: &[
        STREAM,
        Channel {
            id: "s",
            title: "state: mean of the values so far",
            role: Role::State,
            range: None,
            source: Source::Saved { tensor: 0 },
            state: Some(1),
        },
        Channel {
            id: "w",
            title: "wkv: the mean with the value of now",
            role: Role::Candidate,
            range: None,
            source: Source::Saved { tensor: 3 },
            state: None,
        },
        Channel {
            id: "r",
            title: "receptance σ(r)",
            role: Role::Gate,
            range: Some([0.0, 1.0]),
            source: Source::Saved { tensor: 4 },
            state: None,
        },
        Channel {
            id: "z",
            title: "share z of the new value in the mean",
            role: Role::Gate,
            range: Some([0.0, 1.0]),
            source: Source::Saved { tensor: 1 },
            state: None,
        },
    ],
    attention: Some(implied),
    absent: &[
        ("factors", NO_WEIGHT),
        ("pipe", NO_WEIGHT),
        (
            "spectrum",
            "There is no W_hh. What a channel keeps is multiplied by 1 − z, a number between 0 and 1 that its keys choose at every step. \
             The heatmap shows z.",
        ),
        ("ledger", NO_LEDGER),
        ("poke-state", NO_POKE),
    ],
    ..residual::cell(Block {
        parameters,
        record,
        embedding: Start::Normal(1.0),
        around: |sizes| norm("ln_out.weight", "ln_out.bias", sizes.width).into(),
        enter: None,
        leave: |scribe, _, x, y| normalise(scribe, ["ln_out.weight", "ln_out.bias"], x, y),
        check: |_| None,
    })
};

/// n / (of − 1): from 0 to 1, and 0 where there is one alone.
fn along(n: usize, of: usize) -> f64 {
    n as f64 / (of.max(2) - 1) as f64
}

/// The power of i/C of a μ: the later the layer, the more of now.
fn mu(sizes: &Sizes, at: usize, power: f64) -> f64 {
    libm::pow(at as f64 / sizes.width as f64, power * (1.0 - sizes.layer as f64 / sizes.layers as f64))
}

fn parameters(sizes: &Sizes) -> Vec<Spec> {
    let width = sizes.width;
    let keeping = Start::Uniform((3.0 / width as f64).sqrt());
    let half = Start::Of(|sizes, at, _| mu(sizes, at, 1.0));
    let mut specs = Vec::new();
    if sizes.layer == 0 {
        specs.extend(norm("ln0.weight", "ln0.bias", width));
    }
    specs.extend(norm("ln1.weight", "ln1.bias", width));
    specs.extend(norm("ln2.weight", "ln2.bias", width));
    let rates = |sizes: &Sizes, at: usize, _: f64| {
        let power = 0.7 + 1.3 * along(sizes.layer, sizes.layers);
        8.0 * libm::pow(along(at, sizes.width), power) - 5.0
    };
    let bonus = |_: &Sizes, at: usize, _: f64| libm::log(0.3) + 0.5 * ((at as f64 + 1.0) % 3.0 - 1.0);
    let of_values = |sizes: &Sizes, at: usize, _: f64| mu(sizes, at, 1.0) + 0.3 * along(sizes.layer, sizes.layers);
    specs.extend([
        Spec::new("att.time_decay", &[width], Start::Of(rates)),
        Spec::new("att.time_first", &[width], Start::Of(bonus)),
        Spec::new("att.time_mix_k", &[1, 1, width], half),
        Spec::new("att.time_mix_v", &[1, 1, width], Start::Of(of_values)),
        Spec::new("att.time_mix_r", &[1, 1, width], Start::Of(|sizes, at, _| mu(sizes, at, 0.5))),
        Spec::new("att.key.weight", &[width, width], Start::Zeros),
        Spec::new("att.value.weight", &[width, width], keeping),
        Spec::new("att.receptance.weight", &[width, width], Start::Zeros),
        Spec::new("att.output.weight", &[width, width], Start::Zeros),
        Spec::new("ffn.time_mix_k", &[1, 1, width], half),
        Spec::new("ffn.time_mix_r", &[1, 1, width], half),
        Spec::new("ffn.key.weight", &[4 * width, width], keeping),
        Spec::new("ffn.receptance.weight", &[width, width], Start::Zeros),
        Spec::new("ffn.value.weight", &[width, 4 * width], Start::Zeros),
    ]);
    specs
}

fn record(scribe: &mut dyn Scribe, sizes: &Sizes, x: Tensor, y: Tensor) -> Vec<Tensor> {
    let width = sizes.width;
    let memory = |scribe: &mut dyn Scribe, name: &str, columns: usize| {
        scribe.activation(name, &[sizes.n_steps, sizes.batch, columns])
    };
    let normed = |scribe: &mut dyn Scribe, names: [&str; 2], x: Tensor| {
        let y = memory(scribe, names[0], width);
        normalise(scribe, names, x, y);
        y
    };
    // A linear layer of a token shift; in a stream, x stands behind the timestep before.
    let shifted = |scribe: &mut dyn Scribe, x: Tensor, mu: &str, weight: &str, y: Tensor| {
        let mixed = scribe.activation(mu, &x.shape.extents());
        let mu = scribe.parameter(mu);
        scribe.record(causal_conv::token_shift(x, mu, mixed));
        linear(scribe, mixed.outer(x.shape.extent(0) - sizes.n_steps, sizes.n_steps), weight, y);
    };
    // In a stream, the loop has a row for the state before.
    let first = usize::from(sizes.read.is_some());

    let x = if sizes.layer == 0 { normed(scribe, ["ln0.weight", "ln0.bias"], x) } else { x };
    let n = normed(scribe, ["ln1.weight", "ln1.bias"], x);
    let n = residual::behind(scribe, sizes, n, 1, 1);
    let [r, receptance, gated, between] =
        ["r", "receptance", "gated", "between"].map(|name| memory(scribe, name, width));
    let whole = [("keys", 1), ("values", 1), ("means", 1), ("shares", 4), ("wkv", 1)];
    let whole =
        whole.map(|(name, parts)| scribe.activation(name, &[first + sizes.n_steps, sizes.batch, parts * width]));
    let [k, v, means, shares, read] = whole.map(|whole| whole.outer(first, sizes.n_steps));
    shifted(scribe, n, "att.time_mix_k", "att.key.weight", k);
    shifted(scribe, n, "att.time_mix_v", "att.value.weight", v);
    shifted(scribe, n, "att.time_mix_r", "att.receptance.weight", r);
    let [w, u] = ["att.time_decay", "att.time_first"].map(|name| scribe.parameter(name));
    let [k, v, all_means, all_shares, y_of_all] = whole;
    let operands = wkv::Operands { w, u, k, v, means: all_means, shares: all_shares, y: y_of_all };
    scribe.record(wkv::from(wkv::forward(operands), first));
    if first > 0 {
        for state in [all_means, all_shares.columns(2 * width, 2 * width)] {
            scribe.hand_on(state.outer(0, 1), state.outer(sizes.n_steps, 1));
        }
    }
    scribe.record(activation::forward(Phi::Sigmoid, r, None, receptance));
    scribe.record(activation::forward(Phi::Identity, receptance, Some(read), gated));
    linear(scribe, gated, "att.output.weight", between);
    scribe.record(copy::forward(x, between, true));

    let n = normed(scribe, ["ln2.weight", "ln2.bias"], between);
    let n = residual::behind(scribe, sizes, n, 1, 1);
    let [before, hidden] = ["before", "hidden"].map(|name| memory(scribe, name, 4 * width));
    let [r, value] = ["r of channels", "value"].map(|name| memory(scribe, name, width));
    shifted(scribe, n, "ffn.time_mix_k", "ffn.key.weight", before);
    shifted(scribe, n, "ffn.time_mix_r", "ffn.receptance.weight", r);
    scribe.record(activation::forward(Phi::SquaredRelu, before, None, hidden));
    linear(scribe, hidden, "ffn.value.weight", value);
    scribe.record(activation::forward(Phi::Sigmoid, r, Some(value), y));
    scribe.record(copy::forward(between, y, true));
    vec![means, shares.columns(0, width), shares.columns(width, width), read, receptance]
}

/// The weight with which wkv_t reads v_s, q_t for s = t and (1 − q_t)(1 − z_{t−1}) ⋯ (1 − z_{s+1}) z_s before: the mean over the channels,
/// whose weights add up to 1 each.
fn implied(saved: &[Vec<f64>], n_steps: usize, _: &Chosen) -> Vec<Vec<f64>> {
    let (share, own) = (&saved[1], &saved[2]);
    let channels = own.len() / n_steps;
    let mut weights = vec![0.0; n_steps * n_steps];
    for (t, row) in weights.chunks_exact_mut(n_steps).enumerate() {
        for c in 0..channels {
            let mut left = 1.0 / channels as f64;
            for s in (0..=t).rev() {
                let share = if s == t { own } else { share }[s * channels + c];
                row[s] += left * share;
                left *= 1.0 - share;
            }
        }
    }
    vec![weights]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_implied_weights_are_those_of_the_equation() {
        let keys = [[0.3, -2.0, 1.5, 0.0, 4.0], [1.0, 1.0, -3.0, 2.0, 0.5]];
        let (rates, bonus, n) = ([0.2_f64, 1.7], [-1.0, 0.5], 5);
        // The exponent of value s at step t, and the sum of some of a row.
        let exponent = |c: usize, t: usize, s: usize| keys[c][s] - rates[c] * (t - 1 - s) as f64;
        let before = |c: usize, t: usize| (0..t).map(|s| libm::exp(exponent(c, t, s))).sum::<f64>();
        let own = |c: usize, t: usize| libm::exp(bonus[c] + keys[c][t]);
        let places = || (0..n).flat_map(|t| [(0, t), (1, t)]);
        // The sum that is handed on has not faded yet at the next step.
        let share = places().map(|(c, t)| libm::exp(keys[c][t]) / before(c, t + 1)).collect();
        let owns = places().map(|(c, t)| own(c, t) / (before(c, t) + own(c, t))).collect();
        let found = implied(&[Vec::new(), share, owns], n, &Chosen::defaults(&[])).concat();
        for (t, s) in (0..n).flat_map(|t| (0..n).map(move |s| (t, s))) {
            let weight = |c: usize| match s {
                s if s > t => 0.0,
                s if s == t => own(c, t) / (before(c, t) + own(c, t)),
                s => libm::exp(exponent(c, t, s)) / (before(c, t) + own(c, t)),
            };
            let expected = (weight(0) + weight(1)) / 2.0;
            assert!((found[t * n + s] - expected).abs() < 1e-14, "{t} {s}: {} {expected}", found[t * n + s]);
        }
    }
}
