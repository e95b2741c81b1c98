//! Mamba: a selective state space layer in each residual block, in the form of the code of its paper.
//!
//! Layer by layer y = x + Mamba(RMSNorm(x)), with an RMS norm behind the last. Parameters have the names of `mamba_ssm.Mamba`.

use crate::kernels::activation::{self, Phi};
use crate::kernels::recurrence::{Cell, Channel, Role, Source};
use crate::kernels::residual::{self, Block, STREAM, Scribe, Sizes, Spec, Start};
use crate::kernels::selective_scan::{self, MOST_STATES};
use crate::kernels::{causal_conv, copy, fill, layer_norm, product};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::shape::Tensor;

/// What stands where a picture needs a recurrent weight.
const NO_WEIGHT: &str = "No weight stands between h_{t−1} and h_t: each number of the state is multiplied by its own kept share e^{ΔA}, \
                         between 0 and 1. The heatmap has the kept shares as a channel, and the ribbon has the gradient of the state.";

/// What stands where a picture splits the gradient of W_hh, for blocks with a state of their own.
pub(super) const NO_LEDGER: &str = "There is no W_hh whose gradient could be split over the timesteps. The ribbon shows how much the \
                                    state of each contributes.";

/// What stands where a picture changes a state by hand, for blocks with a state of their own.
pub(super) const NO_POKE: &str = "The state of a block lies beside the stream, and a change of the stream by hand would not reach it. \
                                  Change an input instead, and follow it through the state.";

/// The architecture.
pub static CELL: Cell = Cell {
    id: "mamba",
    title: "Mamba",
    summary: "A selective state space model: every channel keeps a few numbers that decay, and the input says at every step how fast they \
              decay, what is written and what is read.",
    equations: &[
        r"[x_t\, z_t] = W_{in}\, \mathrm{RMSNorm}(u_t), \quad x_t \leftarrow \mathrm{SiLU}(\mathrm{conv}(x)_t)",
        r"[\delta_t\, B_t\, C_t] = W_x x_t, \quad \Delta_t = \ln(1 + e^{W_\Delta \delta_t + b_\Delta}), \quad A = -e^{A_{\log}}",
        r"h_t = e^{\Delta_t A} \odot h_{t-1} + g_t\, B_t x_t, \quad g = \Delta \text{ or } (e^{\Delta A} - 1) / A",
        r"y_t = C_t h_t + D \odot x_t",
        r"u_t \leftarrow u_t + W_{out}(y_t \odot \mathrm{SiLU}(z_t))",
    ],
    sources: &[
        "Gu and Dao 2023, arXiv:2312.00752",
        "Ali, Zimerman and Wolf 2024, arXiv:2403.01590 (implied attention)",
    ],
    options: &[
        OptionSpec {
            name: "stateSize",
            title: "States a channel",
            help: "N: how many numbers each channel keeps, each with a rate of its own.",
            kind: Kind::Integer { min: 1, max: MOST_STATES as u32, default: 4 },
        },
        OptionSpec {
            name: "expansion",
            title: "Expansion",
            help: "How many times more channels the state space has than the stream has features.",
            kind: Kind::Integer { min: 1, max: 4, default: 2 },
        },
        OptionSpec {
            name: "convolution",
            title: "Convolution width",
            help: "How many of the latest timesteps a channel mixes before the scan.",
            kind: Kind::Integer { min: 1, max: 8, default: 4 },
        },
        OptionSpec {
            name: "discretisation",
            title: "Discretisation",
            help: "How much of the input a step of length Δ lets in: Δ itself (Euler, as in the paper's code), or what a constant input \
                   adds over the step (exact).",
            kind: Kind::Choice { among: &[("euler", "Euler"), ("exact", "exact")], default: "euler" },
        },
        OptionSpec {
            name: "selective",
            title: "Selective",
            help: "On: the input chooses Δ, B and C at every step. Off: they are the same at all steps, and nothing can be skipped.",
            kind: Kind::Switch { default: true },
        },
    ],
    states: 2,
    saved: &["h", "delta", "kept", "projected"],
    channels: &[
        STREAM,
        Channel {
            id: "s",
            title: "state, one band of channels for each rate",
            role: Role::State,
            range: None,
            source: Source::Saved { tensor: 0 },
            state: Some(1),
        },
        Channel {
            id: "k",
            title: "kept share e^{ΔA} of each number of the state",
            role: Role::Gate,
            range: Some([0.0, 1.0]),
            source: Source::Saved { tensor: 2 },
            state: None,
        },
        Channel {
            id: "d",
            title: "step size Δ",
            role: Role::Candidate,
            range: None,
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
            "There is no W_hh. The step is a diagonal matrix, so that its eigenvalues are the kept shares e^{ΔA} themselves, all between 0 \
             and 1; the input chooses them at every step. The heatmap shows them.",
        ),
        ("ledger", NO_LEDGER),
        ("poke-state", NO_POKE),
    ],
    ..residual::cell(Block {
        parameters,
        record,
        embedding: Start::Normal(1.0),
        around: |sizes| vec![Spec::new("norm.weight", &[sizes.width], Start::Ones)],
        enter: None,
        leave: |scribe, _, x, y| normalise(scribe, x, y),
        check: |_| None,
    })
};

/// E, N, R and K.
fn extents(sizes: &Sizes) -> [usize; 4] {
    let option = |name| sizes.options.integer(name);
    [sizes.width * option("expansion"), option("stateSize"), sizes.width.div_ceil(16), option("convolution")]
}

/// U(−1/√n, 1/√n) for n inputs, as `torch.nn.Linear`.
fn uniform(inputs: usize) -> Start {
    Start::Uniform(1.0 / (inputs as f64).sqrt())
}

/// softplus⁻¹ of a step size between 0.001 and 0.1, uniform in its logarithm.
fn step_size(_: &Sizes, _: usize, drawn: f64) -> f64 {
    let delta = libm::exp(libm::log(0.001) + drawn * libm::log(100.0));
    delta + libm::log(1.0 - libm::exp(-delta))
}

fn parameters(sizes: &Sizes) -> Vec<Spec> {
    let [channels, states, rank, taps] = extents(sizes);
    let mut specs = vec![
        Spec::new("norm.weight", &[sizes.width], Start::Ones),
        Spec::new("mixer.in_proj.weight", &[2 * channels, sizes.width], uniform(sizes.width)),
        Spec::new("mixer.conv1d.weight", &[channels, 1, taps], uniform(taps)),
        Spec::new("mixer.conv1d.bias", &[channels], uniform(taps)),
    ];
    if sizes.options.switch("selective") {
        specs.extend([
            Spec::new("mixer.x_proj.weight", &[rank + 2 * states, channels], uniform(channels)),
            Spec::new("mixer.dt_proj.weight", &[channels, rank], uniform(rank)),
            Spec::new("mixer.dt_proj.bias", &[channels], Start::Of(step_size)),
        ]);
    } else {
        specs.extend([
            Spec::new("mixer.BC", &[1, 2 * states], Start::Normal(1.0)),
            Spec::new("mixer.dt", &[1, channels], Start::Of(step_size)),
        ]);
    }
    let rate = Start::Of(|sizes, at, _| libm::log((at % extents(sizes)[1] + 1) as f64));
    specs.extend([
        Spec::new("mixer.A_log", &[channels, states], rate),
        Spec::new("mixer.D", &[channels], Start::Ones),
        // As many blocks add to the stream.
        Spec::new("mixer.out_proj.weight", &[sizes.width, channels], uniform(channels * sizes.layers)),
    ]);
    specs
}

fn normalise(scribe: &mut dyn Scribe, x: Tensor, y: Tensor) {
    let weight = scribe.parameter("norm.weight");
    scribe.record(layer_norm::forward(x, weight, None, y, false));
}

fn record(scribe: &mut dyn Scribe, sizes: &Sizes, x: Tensor, y: Tensor) -> Vec<Tensor> {
    let normed = scribe.activation("norm", &[sizes.n_steps, sizes.batch, sizes.width]);
    normalise(scribe, x, normed);
    let saved = mix(scribe, sizes, normed, y);
    scribe.record(copy::forward(x, y, true));
    saved
}

/// Records what a block adds to the stream, y = Mamba(u), and returns what it keeps.
pub fn mix(scribe: &mut dyn Scribe, sizes: &Sizes, u: Tensor, y: Tensor) -> Vec<Tensor> {
    let [channels, states, rank, taps] = extents(sizes);
    let selective = sizes.options.switch("selective");
    let n_steps = sizes.n_steps;
    // In a stream, what the scan works on has a row for the states before.
    let first = usize::from(sizes.read.is_some());
    let mut memory = |name: &str, rows: usize, columns: usize| scribe.activation(name, &[rows, sizes.batch, columns]);
    let both = memory("in_proj", n_steps, 2 * channels);
    let gated = memory("gated", n_steps, channels);
    let whole = [
        ("inputs", 2 * channels),
        ("x_proj", 2 * states + if selective { rank } else { 0 }),
        ("h", states * channels),
        ("kept", states * channels),
        ("read", channels),
    ]
    .map(|(name, columns)| memory(name, first + n_steps, columns));
    let scanned = |a_log| {
        let [inputs, projected, states, kept, y] = whole;
        selective_scan::Operands { inputs, projected, a_log, states, kept, y }
    };
    let [inputs, projected, h, kept, read] = whole.map(|whole| whole.outer(first, n_steps));
    let linear = |scribe: &mut dyn Scribe, x: Tensor, name: &str, y: Tensor| {
        let weight = product::transposed(scribe.parameter(name));
        scribe.record(product::forward(product::plain(x.flat()), weight, y.flat(), false));
    };

    linear(scribe, u, "mixer.in_proj.weight", both);
    let (weight, bias) = (scribe.parameter("mixer.conv1d.weight"), scribe.parameter("mixer.conv1d.bias"));
    let seen = residual::behind(scribe, sizes, both.columns(0, channels), taps - 1, taps - 1);
    let convolved = scribe.activation("conv1d", &seen.shape.extents());
    scribe.record(causal_conv::forward(seen, weight, Some(bias), convolved));
    let convolved = convolved.outer(seen.shape.extent(0) - n_steps, n_steps);
    let [x, delta] = [0, channels].map(|first| inputs.columns(first, channels));
    scribe.record(activation::forward(Phi::Silu, convolved, None, x));
    if selective {
        linear(scribe, x, "mixer.x_proj.weight", projected);
        let weight = product::transposed(scribe.parameter("mixer.dt_proj.weight"));
        let bias = scribe.parameter("mixer.dt_proj.bias");
        let low_rank = projected.columns(0, rank).flat();
        scribe.record(product::linear(product::plain(low_rank), weight, bias, delta.flat()));
    } else {
        // The same at every step: a column of ones times a row.
        let ones = scribe.activation("ones", &[n_steps * sizes.batch, 1]);
        scribe.record(fill::forward(ones, 1.0));
        for (name, to) in [("mixer.BC", projected), ("mixer.dt", delta)] {
            let row = product::plain(scribe.parameter(name));
            scribe.record(product::forward(product::plain(ones), row, to.flat(), false));
        }
    }
    // D ⊙ x first: the scan adds to it.
    let skip = scribe.parameter("mixer.D");
    scribe.record(causal_conv::forward(x, skip, None, read));
    let operands = scanned(scribe.parameter("mixer.A_log"));
    let exact = sizes.options.choice("discretisation") == "exact";
    scribe.record(selective_scan::from(selective_scan::forward(operands, exact), first));
    if first > 0 {
        scribe.hand_on(operands.states.outer(0, 1), operands.states.outer(n_steps, 1));
    }
    scribe.record(activation::forward(Phi::Silu, both.columns(channels, channels), Some(read), gated));
    linear(scribe, gated, "mixer.out_proj.weight", y);
    vec![h, delta, kept, projected]
}

/// The weight with which y_t reads x_s through the state, |Σ_n C_t k_t ⋯ k_{s+1} g_s B_s|, averaged over the channels.
fn implied(saved: &[Vec<f64>], n_steps: usize, options: &Chosen) -> Vec<Vec<f64>> {
    let [_, delta, kept, projected] = [0, 1, 2, 3].map(|at| &saved[at]);
    let (channels, width, n_states) = (delta.len() / n_steps, projected.len() / n_steps, options.integer("stateSize"));
    let exact = options.choice("discretisation") == "exact";
    let mut weights = vec![0.0; n_steps * n_steps];
    let mut products = vec![0.0; n_states * channels];
    for t in 0..n_steps {
        products.fill(1.0);
        for s in (0..=t).rev() {
            let row = |of: usize| &projected[of * width..][width - 2 * n_states..width];
            let mut sum = 0.0;
            for e in 0..channels {
                let delta = delta[s * channels + e];
                let mut weight = 0.0;
                for n in 0..n_states {
                    let at = n * channels + e;
                    let keep = kept[s * n_states * channels + at];
                    let g = if exact { delta * (keep - 1.0) / libm::log(keep).min(-f64::MIN_POSITIVE) } else { delta };
                    weight += row(t)[n_states + n] * products[at] * g * row(s)[n];
                    products[at] *= keep;
                }
                sum += weight.abs();
            }
            weights[t * n_steps + s] = sum / channels as f64;
        }
    }
    vec![weights]
}
