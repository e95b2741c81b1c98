//! The whole time loop of a minLSTM layer.
//!
//! f = σ(a_f), i = σ(a_i), k = f / (f + i), v = g(a_h) or a_h, h_t = k ⊙ h_{t−1} + (1 − k) ⊙ v, where a is the input part with its bias.
//! k is σ of ln f − ln i, so ∂L/∂a_f = ∂L/∂k ⊙ k(1 − k)(1 − f) and ∂L/∂a_i = −∂L/∂k ⊙ k(1 − k)(1 − i), with f = i k / (1 − k).
//!
//! `gates` `[T, B, 3H]` enters with the pre-activations and leaves as k, i and v; the backward pass turns it into the adjoints of the
//! pre-activations. `state0` is `[1, B, H]`, `y` `[T, B, H]`. There is no recurrent weight. Time loop, adjoint and reading of time:
//! [`super::scan`]. Feng et al. 2024 (arXiv:2410.01201), in the form of its Algorithm 8. Twin: `shaders/minlstm.wgsl`.

use super::Real;
use super::recurrence::{Body, Cell, Channel, Role, Slope, Source};
use super::scan::{Gates, positive, positive_lanes, positive_slope, positive_slope_lanes, time_loop};
use super::simd::Curves;
use crate::options::{Kind, OptionSpec};
use wide::f32x4;

/// Number of blocks.
const G: usize = 3;

/// The cell.
pub static CELL: Cell = Cell {
    id: "minlstm",
    title: "minLSTM",
    summary: "The LSTM reduced to what a scan can compute: forget and input gate see the input alone and share one whole between them, \
              and the cell state is the output.",
    equations: &[
        r"f_t = \sigma(W_f x_t + b_f), \quad i_t = \sigma(W_i x_t + b_i)",
        r"v_t = g(W_h x_t + b_h), \quad g(x) = x + \tfrac12 \ (x \ge 0), \ \sigma(x) \ (x < 0)",
        r"f'_t = f_t / (f_t + i_t), \quad i'_t = i_t / (f_t + i_t)",
        r"h_t = f'_t \odot h_{t-1} + i'_t \odot v_t",
    ],
    sources: &["Feng et al. 2024, arXiv:2410.01201"],
    options: &[OptionSpec {
        name: "nonlinearity",
        title: "Candidate",
        help: "g keeps the candidate positive, as the form in logarithms needs it; the identity lets it be negative too.",
        kind: Kind::Choice { among: &[("g", "g, positive"), ("identity", "identity")], default: "g" },
    }],
    blocks: &["f", "i", "h"],
    gated: true,
    states: 1,
    keep: Some(0),
    shares: Some(["f′", "i′"]),
    overwrites: false,
    admit: Some(1),
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
            title: "kept share f′ = f / (f + i)",
            role: Role::Gate,
            range: Some([0.0, 1.0]),
            source: Source::Gates { block: 0 },
            state: None,
        },
        Channel {
            id: "i",
            title: "input gate i",
            role: Role::Gate,
            range: Some([0.0, 1.0]),
            source: Source::Gates { block: 1 },
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

/// Stands for 1 − k where that is 0 and its product with the adjoint is too.
const LEAST: f64 = 1e-30;

fn larger<F: Real>(a: F, b: F) -> F {
    if a < b { b } else { a }
}

/// How its gates open.
struct MinLstm;

impl Gates<G> for MinLstm {
    fn open<F: Real>([f, i, v]: [F; G], nonlinearity: u32) -> [F; G] {
        let (f, i) = (f.sigmoid(), i.sigmoid());
        [f / (f + i), i, if nonlinearity == 0 { positive(v) } else { v }]
    }

    #[inline(always)]
    fn open_lanes(curves: &Curves, [f, i, v]: [f32x4; G], nonlinearity: u32) -> [f32x4; G] {
        let (f, i) = (curves.sigmoid(f), curves.sigmoid(i));
        [f / (f + i), i, if nonlinearity == 0 { positive_lanes(curves, v) } else { v }]
    }

    fn adjoint<F: Real>([k, i, v]: [F; G], d_k: F, d_v: F, nonlinearity: u32) -> [F; G] {
        let (d_u, f) = (d_k * k * (F::ONE - k), i * k / larger(F::ONE - k, F::of(LEAST)));
        let d_v = if nonlinearity == 0 { d_v * positive_slope(v) } else { d_v };
        [d_u * (F::ONE - f), -(d_u * (F::ONE - i)), d_v]
    }

    #[inline(always)]
    fn adjoint_lanes([k, i, v]: [f32x4; G], d_k: f32x4, d_v: f32x4, nonlinearity: u32) -> [f32x4; G] {
        let one = f32x4::splat(1.0);
        let rest = one - k;
        let least = f32x4::splat(LEAST as f32);
        let (d_u, f) = (d_k * k * rest, i * k / rest.simd_lt(least).select(least, rest));
        let d_v = if nonlinearity == 0 { d_v * positive_slope_lanes(v) } else { d_v };
        [d_u * (one - f), -(d_u * (one - i)), d_v]
    }
}

time_loop!("minlstm", "../../shaders/minlstm.wgsl", "minLSTM", MinLstm, G, 3e-6, "σ within 4 units in the last place");
