//! The whole time loop of a QRNN layer with f-pooling and a window of one input.
//!
//! f = σ(a_f), v = tanh(a_z), h_t = f ⊙ h_{t−1} + (1 − f) ⊙ v, where a is the input part with its bias. The paper calls the candidate z:
//! it is no gate. ∂L/∂a_f = ∂L/∂f ⊙ f(1 − f), ∂L/∂a_z = ∂L/∂v ⊙ (1 − v²).
//!
//! `gates` `[T, B, 2H]` enters with the pre-activations and leaves as f and v; the backward pass turns it into the adjoints of the
//! pre-activations. `state0` is `[1, B, H]`, `y` `[T, B, H]`. There is no recurrent weight. Time loop, adjoint and reading of time:
//! [`super::scan`]. Bradbury et al. 2016 (arXiv:1611.01576), Section 2.1; biases are ours, a wider window is a convolution that is left
//! out. Twin: `shaders/qrnn.wgsl`.

use super::Real;
use super::recurrence::{Body, Cell, Channel, Role, Slope, Source};
use super::scan::{Gates, time_loop};
use super::simd::Curves;
use wide::f32x4;

/// Number of blocks.
const G: usize = 2;

/// The cell.
pub static CELL: Cell = Cell {
    id: "qrnn",
    title: "QRNN",
    summary: "The quasi-recurrent network of 2016, the first of the cells whose gates do not see the state: one forget gate, and a \
              candidate within ±1.",
    equations: &[
        r"f_t = \sigma(W_f x_t + b_f), \quad z_t = \tanh(W_z x_t + b_z)",
        r"h_t = f_t \odot h_{t-1} + (1 - f_t) \odot z_t",
    ],
    sources: &["Bradbury et al. 2016, arXiv:1611.01576"],
    options: &[],
    blocks: &["f", "z"],
    gated: true,
    states: 1,
    keep: Some(0),
    shares: Some(["f", "1 − f"]),
    overwrites: false,
    admit: None,
    emit: None,
    recurrent: &[],
    // ∂h_t/∂h_{t−1} = diag(f): no weight stands on the way.
    slope: |unit| Slope { direct: unit.gates[0], blocks: [0.0; 4], source: 1.0 },
    width: G,
    saved: &[],
    channels: &[
        Channel {
            id: "h",
            title: "hidden state h",
            role: Role::State,
            range: Some([-1.0, 1.0]),
            source: Source::Output,
            state: Some(0),
        },
        Channel {
            id: "f",
            title: "forget gate f",
            role: Role::Gate,
            range: Some([0.0, 1.0]),
            source: Source::Gates { block: 0 },
            state: None,
        },
        Channel {
            id: "z",
            title: "candidate z",
            role: Role::Candidate,
            range: Some([-1.0, 1.0]),
            source: Source::Gates { block: G - 1 },
            state: None,
        },
    ],
    body: Body::Recurrent(forward),
    attention: None,
    absent: &[],
};

/// How its gates open.
struct Qrnn;

impl Gates<G> for Qrnn {
    fn open<F: Real>([f, z]: [F; G], _: u32) -> [F; G] {
        [f.sigmoid(), z.tanh()]
    }

    #[inline(always)]
    fn open_lanes(curves: &Curves, [f, z]: [f32x4; G], _: u32) -> [f32x4; G] {
        [curves.sigmoid(f), curves.tanh(z)]
    }

    fn adjoint<F: Real>([f, v]: [F; G], d_f: F, d_v: F, _: u32) -> [F; G] {
        [d_f * f * (F::ONE - f), d_v * (F::ONE - v * v)]
    }

    #[inline(always)]
    fn adjoint_lanes([f, v]: [f32x4; G], d_f: f32x4, d_v: f32x4, _: u32) -> [f32x4; G] {
        let one = f32x4::splat(1.0);
        [d_f * f * (one - f), d_v * (one - v * v)]
    }
}

time_loop!(
    "qrnn",
    "../../shaders/qrnn.wgsl",
    "QRNN",
    Qrnn,
    G,
    4e-6,
    "tanh within 8 and σ within 4 units in the last place"
);
