//! The whole time loop of a minGRU layer.
//!
//! z = σ(a_z), v = g(a_h) or a_h, h_t = (1 − z) ⊙ h_{t−1} + z ⊙ v, where a is the input part with its bias and z = 1 means *overwrite*
//! (z of the GRU, in PyTorch's form, is the other way round). Kept is k = 1 − z = σ(−a_z); ∂L/∂a_z = −∂L/∂k ⊙ k(1 − k).
//!
//! `gates` `[T, B, 2H]` enters with the pre-activations and leaves as k and v; the backward pass turns it into the adjoints of the
//! pre-activations. `state0` is `[1, B, H]`, `y` `[T, B, H]`. There is no recurrent weight. Time loop, adjoint and reading of time:
//! [`super::scan`]. Feng et al. 2024 (arXiv:2410.01201), in the form of its Algorithm 6. Twin: `shaders/mingru.wgsl`.

use super::Real;
use super::recurrence::{Body, Cell, Channel, Role, Slope, Source};
use super::scan::{Gates, positive, positive_lanes, positive_slope, positive_slope_lanes, time_loop};
use super::simd::Curves;
use crate::options::{Kind, OptionSpec};
use wide::f32x4;

/// Number of blocks.
const G: usize = 2;

/// The cell.
pub static CELL: Cell = Cell {
    id: "mingru",
    title: "minGRU",
    summary: "The GRU reduced to what a scan can compute: the gate sees the input alone, so that all steps can be computed at once, and no \
              weight multiplies the gradient on its way back.",
    equations: &[
        r"z_t = \sigma(W_z x_t + b_z)",
        r"v_t = g(W_h x_t + b_h), \quad g(x) = x + \tfrac12 \ (x \ge 0), \ \sigma(x) \ (x < 0)",
        r"h_t = (1 - z_t) \odot h_{t-1} + z_t \odot v_t",
    ],
    sources: &["Feng et al. 2024, arXiv:2410.01201"],
    options: &[OptionSpec {
        name: "nonlinearity",
        title: "Candidate",
        help: "g keeps the candidate positive, as the form in logarithms needs it; the identity lets it be negative too.",
        kind: Kind::Choice { among: &[("g", "g, positive"), ("identity", "identity")], default: "g" },
    }],
    blocks: &["z", "h"],
    gated: true,
    states: 1,
    keep: Some(0),
    shares: Some(["1 − z", "z"]),
    overwrites: true,
    admit: None,
    emit: None,
    recurrent: &[],
    // ∂h_t/∂h_{t−1} = diag(k): no weight stands on the way.
    slope: |unit| Slope { direct: unit.gates[0], blocks: [0.0; 4], source: 1.0 },
    width: G,
    saved: &[],
    channels: &[
        Channel {
            id: "h",
            title: "hidden state h",
            role: Role::State,
            range: None,
            source: Source::Output,
            state: Some(0),
        },
        Channel {
            id: "k",
            title: "kept share 1 − z",
            role: Role::Gate,
            range: Some([0.0, 1.0]),
            source: Source::Gates { block: 0 },
            state: None,
        },
        Channel {
            id: "n",
            title: "candidate",
            role: Role::Candidate,
            range: None,
            source: Source::Gates { block: G - 1 },
            state: None,
        },
    ],
    body: Body::Recurrent(forward),
    attention: None,
    absent: &[],
};

/// How its gates open.
struct MinGru;

impl Gates<G> for MinGru {
    fn open<F: Real>([z, v]: [F; G], nonlinearity: u32) -> [F; G] {
        [(-z).sigmoid(), if nonlinearity == 0 { positive(v) } else { v }]
    }

    #[inline(always)]
    fn open_lanes(curves: &Curves, [z, v]: [f32x4; G], nonlinearity: u32) -> [f32x4; G] {
        [curves.sigmoid(-z), if nonlinearity == 0 { positive_lanes(curves, v) } else { v }]
    }

    fn adjoint<F: Real>([k, v]: [F; G], d_k: F, d_v: F, nonlinearity: u32) -> [F; G] {
        [-(d_k * k * (F::ONE - k)), if nonlinearity == 0 { d_v * positive_slope(v) } else { d_v }]
    }

    #[inline(always)]
    fn adjoint_lanes([k, v]: [f32x4; G], d_k: f32x4, d_v: f32x4, nonlinearity: u32) -> [f32x4; G] {
        let d_z = -(d_k * k * (f32x4::splat(1.0) - k));
        [d_z, if nonlinearity == 0 { d_v * positive_slope_lanes(v) } else { d_v }]
    }
}

time_loop!("mingru", "../../shaders/mingru.wgsl", "minGRU", MinGru, G, 3e-6, "σ within 4 units in the last place");
