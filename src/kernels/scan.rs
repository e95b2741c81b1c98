//! What the diagonal recurrences share: h_t = k_t ⊙ h_{t−1} + (1 − k_t) ⊙ v_t, where the kept share k and the candidate v depend on the
//! input alone.
//!
//! No product stands between two steps, so a step costs O(H) where a cell with recurrent weights pays O(H²). Backwards, with
//! δ_t = ∂L/∂h_t total: ∂L/∂k_t = δ_t ⊙ (h_{t−1} − v_t), ∂L/∂v_t = δ_t ⊙ (1 − k_t), and δ_t ⊙ k_t goes on to h_{t−1}. A cell supplies how
//! its G gates come from their pre-activations: k first, v last. Twin of the time loop: `shaders/helpers/scan.wgsl`.
//! Martin and Cundy 2018 (arXiv:1709.04057); Feng et al. 2024 (arXiv:2410.01201).

use super::recurrence::{Layer, Params, d_state, d_y, initial, split};
use super::simd::{Curves, each, flush, take};
use super::{Arguments, Call, Entry, Operand, Real, Tape};
use wide::f32x4;

/// How the gates of one unit come from its pre-activations, and the adjoints of these from those of k and v; once for plain numbers,
/// once for four lanes.
pub trait Gates<const G: usize> {
    /// k, …, v.
    fn open<F: Real>(a: [F; G], nonlinearity: u32) -> [F; G];
    /// The same for four units.
    fn open_lanes(curves: &Curves, a: [f32x4; G], nonlinearity: u32) -> [f32x4; G];
    /// The adjoints of the pre-activations.
    fn adjoint<F: Real>(gates: [F; G], d_k: F, d_v: F, nonlinearity: u32) -> [F; G];
    /// The same for four units.
    fn adjoint_lanes(gates: [f32x4; G], d_k: f32x4, d_v: f32x4, nonlinearity: u32) -> [f32x4; G];
}

/// Units of a row that one workgroup of the shaders owns, for the whole time loop, parts of which it computes side by side.
pub const UNITS: u32 = 32;

/// g(x) = x + ½ from 0 on and σ(x) below: positive, continuous, and no bound above.
pub fn positive<F: Real>(x: F) -> F {
    if x < F::ZERO { x.sigmoid() } else { x + F::of(0.5) }
}

/// As [`positive`].
#[inline(always)]
pub fn positive_lanes(curves: &Curves, x: f32x4) -> f32x4 {
    x.simd_lt(f32x4::splat(0.0)).select(curves.sigmoid(x), x + f32x4::splat(0.5))
}

/// g′ from g.
pub fn positive_slope<F: Real>(g: F) -> F {
    if g < F::of(0.5) { g * (F::ONE - g) } else { F::ONE }
}

/// As [`positive_slope`].
#[inline(always)]
pub fn positive_slope_lanes(g: f32x4) -> f32x4 {
    let one = f32x4::splat(1.0);
    g.simd_lt(f32x4::splat(0.5)).select(g * (one - g), one)
}

/// The entries and the kernel of a cell with this time loop: its stem, its shader, its title, its gates and their number, what its curves
/// may be off, and why.
macro_rules! time_loop {
    ($stem:literal, $shader:literal, $title:literal, $gates:ty, $n:expr, $relative:literal, $reason:literal) => {
        /// The forward entry.
        pub static FORWARD: super::Entry = super::Entry {
            label: concat!($stem, ".forward"),
            operands: super::scan::FORWARD,
            reference: reference!(reference_forward),
            cpu: super::scan::cpu_forward::<$gates, { $n }>,
            scratch: super::scan::scratch,
            grid: super::scan::grid,
            flop: |_| 0,
            parts: Some(super::recurrence::parts),
            gradient: Some(|tape, call| super::scan::gradient(tape, call, &BACKWARD)),
        };

        /// The backward entry.
        pub static BACKWARD: super::Entry = super::Entry {
            label: concat!($stem, ".backward"),
            operands: super::scan::BACKWARD,
            reference: reference!(reference_backward),
            cpu: super::scan::cpu_backward::<$gates, { $n }>,
            scratch: super::scan::scratch,
            grid: super::scan::grid,
            flop: |_| 0,
            parts: Some(super::recurrence::parts),
            gradient: None,
        };

        fn forward(layer: &super::recurrence::Layer) -> super::Call {
            super::scan::forward(&FORWARD, layer)
        }

        fn reference_forward<F: super::Real>(args: super::Arguments<F>) {
            super::scan::reference_forward::<$gates, F, { $n }>(args);
        }

        fn reference_backward<F: super::Real>(args: super::Arguments<F>) {
            super::scan::reference_backward::<$gates, F, { $n }>(args);
        }

        /// The kernel.
        pub static KERNEL: super::Kernel = super::Kernel {
            stem: $stem,
            summary: concat!("the time loop of a ", $title, " layer"),
            shader: shader!(
                $shader,
                "../../shaders/helpers/scan.wgsl",
                "../../shaders/helpers/time_loop.wgsl",
                "../../shaders/helpers/floor.wgsl"
            ),
            entries: &[&FORWARD, &BACKWARD],
            tolerance: super::Tolerance {
                relative: $relative,
                reason: concat!($reason, ", carried through the recurrence"),
            },
            on_gpu: super::Tolerance {
                relative: 1e-5,
                reason: "exp within a few units in the last place, products and sums fused or not, carried through the recurrence",
            },
        };
    };
}

pub(super) use time_loop;

/// Operands of a forward entry.
pub static FORWARD: &[Operand] = &[Operand::update("gates"), Operand::read("state0").optional(), Operand::write("y")];

/// Operands of a backward entry. `gates` leaves as the adjoints of the pre-activations; `d_state` enters as the adjoint of the last state
/// and leaves as that of the initial one; `totals` `[1, T, B, H]` keeps ∂L/∂h_t.
pub static BACKWARD: &[Operand] = &[
    Operand::read("d_y"),
    Operand::read("y"),
    Operand::read("state0").optional(),
    Operand::update("d_state"),
    Operand::update("gates"),
    Operand::write("totals").optional(),
];

/// The forward call.
pub fn forward(entry: &'static Entry, layer: &Layer) -> Call {
    Call::new(entry, layer.params, &[Some(layer.gates), layer.state0, Some(layer.y)])
}

/// Workgroups: one for [`UNITS`] units of a row of the batch.
pub fn grid(call: &Call) -> [u32; 3] {
    let params: Params = call.params();
    [params.hidden.div_ceil(UNITS), 1, params.batch]
}

/// Elements of scratch memory.
pub fn scratch(call: &Call) -> usize {
    2 * call.params::<Params>().hidden as usize
}

/// Records the backward call of a forward call.
pub fn gradient(tape: &mut dyn Tape, call: &Call, backward: &'static Entry) {
    let params: Params = call.params();
    let [gates, y] = [0, 2].map(|at| call.tensor(at));
    let state0 = call.operands[1];
    let Some((d_y, params)) = d_y(tape, &params, y) else { return };
    let (d_state, params) = d_state(tape, &params, 1, &[]);
    let totals = tape.totals(y);
    tape.record(Call::new(backward, params, &[Some(d_y), Some(y), state0, Some(d_state), Some(gates), totals]));
    tape.provide(gates, gates);
    if let Some(state0) = state0
        && let Some((d_state0, accumulate)) = tape.contribute(state0)
    {
        tape.record(super::copy::forward(d_state, d_state0, accumulate));
    }
}

/// The plain forward loop.
pub fn reference_forward<S: Gates<G>, F: Real, const G: usize>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (mut gates, state0, mut y) = (args.write(0), args.read_optional(1), args.write(2));
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    for step in params.steps() {
        for b in 0..batch {
            let row = params.time(step) * batch + b;
            for j in 0..hidden {
                let h_prev = match step {
                    0 => initial(&state0, b).map_or(F::ZERO, |h0| h0[j]),
                    _ => y.get(params.time(step - 1) * batch + b)[j],
                };
                let a = std::array::from_fn(|block| gates.get(row)[block * hidden + j]);
                let opened = S::open(a, params.nonlinearity);
                opened.iter().enumerate().for_each(|(block, &gate)| gates.row(row)[block * hidden + j] = gate);
                let (k, v) = (opened[0], opened[G - 1]);
                y.row(row)[j] = k * h_prev + (F::ONE - k) * v;
            }
        }
    }
}

/// The plain backward loop.
pub fn reference_backward<S: Gates<G>, F: Real, const G: usize>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, y, state0) = (args.read(0), args.read(1), args.read_optional(2));
    let (mut d_state, mut gates, mut totals) = (args.write(3), args.write(4), args.write_optional(5));
    params.start(&mut d_state);
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    for step in params.steps().rev() {
        for b in 0..batch {
            let row = params.time(step) * batch + b;
            for j in 0..hidden {
                let h_prev = match step {
                    0 => initial(&state0, b).map_or(F::ZERO, |h0| h0[j]),
                    _ => y.row(params.time(step - 1) * batch + b)[j],
                };
                let delta = (params.reads(&d_y, row).map_or(F::ZERO, |d_y| d_y[j]) + d_state.row(b)[j]).flush();
                if let Some(totals) = &mut totals {
                    totals.row(row)[j] = delta;
                }
                let opened: [F; G] = std::array::from_fn(|block| gates.get(row)[block * hidden + j]);
                let (k, v) = (opened[0], opened[G - 1]);
                let d_a = S::adjoint(opened, delta * (h_prev - v), delta * (F::ONE - k), params.nonlinearity);
                d_a.iter().enumerate().for_each(|(block, d)| gates.row(row)[block * hidden + j] = d.flush());
                d_state.row(b)[j] = if params.is_cut(step) { F::ZERO } else { (delta * k).flush() };
            }
        }
    }
}

/// The blocks of a row, writable.
fn blocks<const G: usize>(row: &mut [f32], hidden: usize) -> [&mut [f32]; G] {
    let mut blocks = row[..G * hidden].chunks_exact_mut(hidden);
    std::array::from_fn(|_| blocks.next().expect("G blocks"))
}

/// The forward loop in SIMD.
pub fn cpu_forward<S: Gates<G>, const G: usize>(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (mut gates, state0, mut y) = (args.write(0), args.read_optional(1), args.write(2));
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let (curves, one) = (Curves::get(), f32x4::splat(1.0));
    let zeros = take(&mut args.scratch, hidden);
    zeros.fill(0.0);
    let zeros = &*zeros;
    let stride = y.stride;
    for step in params.steps() {
        let first = params.time(step) * batch;
        let (before, now) = split(&mut y, &params, step);
        for b in 0..batch {
            let h_prev = match before {
                Some(before) => &before[b * stride..][..hidden],
                None => initial(&state0, b).unwrap_or(zeros),
            };
            let h = &mut now[b * stride..][..hidden];
            each([h_prev], blocks::<G>(gates.row(first + b), hidden), [h], |[h_prev], a| {
                let opened = S::open_lanes(curves, a, params.nonlinearity);
                let (k, v) = (opened[0], opened[G - 1]);
                (opened, [k * h_prev + (one - k) * v])
            });
        }
    }
}

/// The backward loop in SIMD.
pub fn cpu_backward<S: Gates<G>, const G: usize>(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, y, state0) = (args.read(0), args.read(1), args.read_optional(2));
    let (mut d_state, mut gates, mut totals) = (args.write(3), args.write(4), args.write_optional(5));
    params.start(&mut d_state);
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let [zeros, unkept] = [(); 2].map(|()| take(&mut args.scratch, hidden));
    zeros.fill(0.0);
    let one = f32x4::splat(1.0);
    for step in params.steps().rev() {
        let first = params.time(step) * batch;
        for b in 0..batch {
            let row = first + b;
            let h_prev = match step {
                0 => initial(&state0, b).unwrap_or(zeros),
                _ => y.row(params.time(step - 1) * batch + b),
            };
            let total = match &mut totals {
                Some(totals) => totals.row(row),
                None => &mut *unkept,
            };
            let d_y = params.reads(&d_y, row).unwrap_or(zeros);
            each([d_y, d_state.get(b)], [], [&mut *total], |[d_y, d_h], []| ([], [flush(d_y + d_h)]));
            let gates = blocks::<G>(gates.row(row), hidden);
            each([&*total, h_prev], gates, [d_state.row(b)], |[delta, h_prev], opened| {
                let (k, v) = (opened[0], opened[G - 1]);
                let d_a = S::adjoint_lanes(opened, delta * (h_prev - v), delta * (one - k), params.nonlinearity);
                (d_a.map(flush), [flush(delta * k)])
            });
            if params.is_cut(step) {
                d_state.row(b).fill(0.0);
            }
        }
    }
}
