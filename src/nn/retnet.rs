//! RetNet: retention in place of attention, in residual blocks.
//!
//! Layer by layer x ← x + W_o(SiLU(W_g n) ⊙ RMSNorm(retention(n))) with n = RMSNorm(x), then x ← x + W_2 GELU(W_1 RMSNorm(x)). Queries and
//! keys are not rotated, and the norm of the heads has a weight, which they share.

use super::transformer;
use crate::kernels::activation::{self, Phi};
use crate::kernels::attention::{self, Heads};
use crate::kernels::recurrence::{Cell, Channel, Role, Source};
use crate::kernels::residual::{self, Block, STREAM, Scribe, Sizes, Spec, Start, check_heads};
use crate::kernels::{causal_conv, copy, fill, layer_norm, product};
use crate::options::{Kind, OptionSpec};
use crate::shape::{Shape, Tensor};

/// What stands where a picture needs a recurrent weight.
const NO_WEIGHT: &str = "No weight stands between two steps: each head multiplies its state by its own γ = 1 − 2^{−g−h} at every step, \
                         whatever the input. The credit panel shows how the weights of earlier steps decay.";

/// The architecture.
pub static CELL: Cell = Cell {
    id: "retnet",
    title: "RetNet",
    summary: "Attention without a softmax, whose weights decay with distance: the same numbers come from all positions at once or from a \
              state that is handed on and shrinks by γ at every step.",
    equations: &[
        r"[q_t\, k_t\, v_t] = W_{qkv}\, \mathrm{RMSNorm}(x_t), \quad \gamma_h = 1 - 2^{-g-h}",
        r"S_t = \gamma S_{t-1} + k_t^\top v_t, \quad o_t = q_t S_t / \sqrt{d}",
        r"o_t = \textstyle\sum_{s \le t} \gamma^{t-s}\, (q_t \cdot k_s) v_s / \sqrt{d}",
        r"x_t \leftarrow x_t + W_o(\mathrm{SiLU}(W_g\, \mathrm{RMSNorm}(x_t)) \odot \mathrm{RMSNorm}(o_t))",
        r"x_t \leftarrow x_t + W_2\, \mathrm{GELU}(W_1\, \mathrm{RMSNorm}(x_t))",
    ],
    sources: &["Sun et al. 2023, arXiv:2307.08621"],
    options: &[
        OptionSpec {
            name: "heads",
            title: "Heads",
            help: "How many retentions each block has; they share the features, and each decays more slowly than the one before.",
            kind: Kind::Integer { min: 1, max: 16, default: 1 },
        },
        OptionSpec {
            name: "decay",
            title: "Decay g",
            help: "The first head keeps γ = 1 − 2^{−g} of its state at every step: 2^g steps of memory, twice that for each further one.",
            kind: Kind::Integer { min: 1, max: 12, default: 3 },
        },
    ],
    saved: &["retention", "read", "gated"],
    channels: &[
        STREAM,
        Channel {
            id: "r",
            title: "read by retention",
            role: Role::Candidate,
            range: None,
            source: Source::Saved { tensor: 1 },
            state: None,
        },
        Channel {
            id: "g",
            title: "read, normed and gated",
            role: Role::Candidate,
            range: None,
            source: Source::Saved { tensor: 2 },
            state: None,
        },
    ],
    attention: Some(transformer::weights),
    absent: &[
        ("factors", NO_WEIGHT),
        ("pipe", NO_WEIGHT),
        (
            "spectrum",
            "There is no W_hh. The step multiplies the whole state of a head by one number, γ, which never changes.",
        ),
        (
            "ledger",
            "No weight is used step after step: each acts once on every position. The ribbon shows the share of each position.",
        ),
        (
            "poke-state",
            "The state of a head is never written down when all positions are computed at once. Change an input instead, and see which \
             positions read it.",
        ),
    ],
    ..residual::cell(Block {
        parameters,
        record,
        embedding: Start::Normal(1.0),
        around: |sizes| vec![Spec::new("norm.weight", &[sizes.width], Start::Ones)],
        enter: None,
        leave: |scribe, _, x, y| normalise(scribe, "norm.weight", x, y),
        check: check_heads,
    })
};

fn parameters(sizes: &Sizes) -> Vec<Spec> {
    let width = sizes.width;
    // U(−√(3/n), √(3/n)) keeps the size of what it multiplies; two parts of every block add to the stream.
    let keeping = |inputs: usize| Start::Uniform((3.0 / inputs as f64).sqrt());
    let adding = |inputs: usize| keeping(2 * sizes.layers * inputs);
    vec![
        Spec::new("norm_1.weight", &[width], Start::Ones),
        Spec::new("retention.qkv.weight", &[3 * width, width], keeping(width)),
        Spec::new("retention.gate.weight", &[width, width], keeping(width)),
        Spec::new("retention.norm.weight", &[width / sizes.options.integer("heads")], Start::Ones),
        Spec::new("retention.out.weight", &[width, width], adding(width)),
        Spec::new("norm_2.weight", &[width], Start::Ones),
        Spec::new("mlp.fc1.weight", &[2 * width, width], keeping(width)),
        Spec::new("mlp.fc2.weight", &[width, 2 * width], adding(2 * width)),
    ]
}

fn normalise(scribe: &mut dyn Scribe, weight: &str, x: Tensor, y: Tensor) {
    let weight = scribe.parameter(weight);
    scribe.record(layer_norm::forward(x, weight, None, y, false));
}

pub(super) fn linear(scribe: &mut dyn Scribe, x: Tensor, weight: &str, y: Tensor) {
    let weight = product::transposed(scribe.parameter(weight));
    scribe.record(product::forward(product::plain(x.flat()), weight, y.flat(), false));
}

fn record(scribe: &mut dyn Scribe, sizes: &Sizes, x: Tensor, y: Tensor) -> Vec<Tensor> {
    let (width, heads) = (sizes.width, sizes.options.integer("heads"));
    let mut memory = |name: &str, columns: usize| scribe.activation(name, &[sizes.n_steps, sizes.batch, columns]);
    let [normed, gate, read, normed_read] = ["norm_1", "gate", "read", "norm of heads"].map(|name| memory(name, width));
    let [gated, between, normed_again] = ["gated", "between", "norm_2"].map(|name| memory(name, width));
    let (packed, weights) = (memory("qkv", 3 * width), memory("retention", heads * sizes.n_steps));
    let [before, hidden] = ["fc1", "hidden"].map(|name| memory(name, 2 * width));

    normalise(scribe, "norm_1.weight", x, normed);
    linear(scribe, normed, "retention.qkv.weight", packed);
    linear(scribe, normed, "retention.gate.weight", gate);
    let decay = sizes.options.integer("decay");
    let how = Heads { count: heads, variance: width / heads, causal: true };
    scribe.record(attention::retention(how, decay, packed, weights, read));
    if sizes.read.is_some() {
        carry(scribe, packed, read, heads, decay);
    }
    // Each head is a row.
    let rows = |tensor: Tensor| {
        let size = [sizes.n_steps * sizes.batch * heads, width / heads];
        Tensor { shape: Shape::new(&size), stride: size[1] as u32, ..tensor }
    };
    normalise(scribe, "retention.norm.weight", rows(read), rows(normed_read));
    scribe.record(activation::forward(Phi::Silu, gate, Some(normed_read), gated));
    linear(scribe, gated, "retention.out.weight", between);
    scribe.record(copy::forward(x, between, true));

    normalise(scribe, "norm_2.weight", between, normed_again);
    linear(scribe, normed_again, "mlp.fc1.weight", before);
    scribe.record(activation::forward(Phi::Gelu, before, None, hidden));
    linear(scribe, hidden, "mlp.fc2.weight", y);
    scribe.record(copy::forward(between, y, true));
    vec![weights, read, gated]
}

/// What the retention of a chunk of C timesteps of one sequence misses, and what it hands on: the state S of each head,
///
/// o_t += γ^t q_t S / √d with t = 1 … C,   S ← γ^C S + Σ_t γ^{C−t} k_tᵀ v_t.
///
/// Chunks of one timestep are the recurrent form, a chunk of all of them the parallel one.
fn carry(scribe: &mut dyn Scribe, packed: Tensor, read: Tensor, heads: usize, decay: usize) {
    let (n_steps, width) = (read.shape.extent(0), read.shape.columns());
    let size = width / heads;
    // y = w ⊙ x, the same w at every step, is a convolution with one tap.
    let scaled = |scribe: &mut dyn Scribe, x: Tensor, by: Tensor, y: Tensor| {
        scribe.record(causal_conv::forward(x, by.flat(), None, y));
    };
    let [gamma, scale] = ["γ", "1/√d"].map(|name| scribe.activation(name, &[1, width]));
    let of_head = |of: Tensor, head: usize| of.columns(head * size, size);
    for head in 0..heads {
        let value = 1.0 - libm::ldexp(1.0, -((decay + head) as i32));
        scribe.record(fill::forward(of_head(gamma, head), value as f32));
    }
    scribe.record(fill::forward(scale, (1.0 / libm::sqrt(size as f64)) as f32));
    // γ^0 … γ^C.
    let powers = scribe.activation("powers of γ", &[n_steps + 1, 1, width]);
    let [keys, queries, scaled_queries] =
        ["keys", "queries", "queries / √d"].map(|name| scribe.activation(name, &[n_steps, 1, width]));
    scribe.record(fill::forward(powers.outer(0, 1), 1.0));
    for t in 0..n_steps {
        scaled(scribe, powers.outer(t, 1), gamma, powers.outer(t + 1, 1));
    }
    let weighted = |scribe: &mut dyn Scribe, x: Tensor, by: Tensor, y: Tensor| {
        scribe.record(activation::forward(Phi::Identity, x, Some(by), y));
    };
    for t in 0..n_steps {
        let key = packed.columns(width, width).outer(t, 1);
        weighted(scribe, key, powers.outer(n_steps - 1 - t, 1), keys.outer(t, 1));
    }
    scaled(scribe, packed.columns(0, width), scale, scaled_queries);
    weighted(scribe, scaled_queries, powers.outer(1, n_steps), queries);
    for head in 0..heads {
        let [before, after] = ["S", "S after"].map(|name| scribe.activation(name, &[size, 1, size]));
        let part = |of: Tensor| product::plain(of_head(of, head).flat());
        scribe.record(product::forward(part(queries), product::plain(before.flat()), of_head(read, head).flat(), true));
        scaled(scribe, before, of_head(powers.outer(n_steps, 1), head), after);
        let key = product::transposed(of_head(keys, head).flat());
        scribe.record(product::forward(key, part(packed.columns(2 * width, width)), after.flat(), true));
        scribe.hand_on(before, after);
    }
}
