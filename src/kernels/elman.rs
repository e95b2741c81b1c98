//! The whole time loop of an Elman layer.
//!
//! h_t = φ(a_t + b_hh + W_hh h_{t−1}) with φ = tanh, ReLU or the identity; backwards δ_t = ∂L/∂h_t + W_hhᵀ d_{t+1}, d_t = δ_t ⊙ φ′(a_t).
//!
//! `a` is `[T, B, H]` (input part with b_ih), `weight_hh` `[H, H]`, `bias_hh` `[H]`, `state0` `[1, B, H]`, `y` `[T, B, H]`.
//! Elman 1990 (doi:10.1207/s15516709cog1402_1), in the form of `torch.nn.RNN`; ReLU with an identity matrix is the IRNN of
//! Le, Jaitly and Hinton 2015 (arXiv:1504.00941). Twin: `shaders/elman.wgsl`.

use super::recurrence::{
    Body, Cell, Channel, Layer, Params, ROWS, Role, Slope, Source, StepProduct, d_state, d_y, dot, flush_rows, initial,
    parts, split, weight_gradients,
};
use super::simd::{Curves, Strided, Target, each, flush, take};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance};
use crate::options::{Kind, OptionSpec};
use wide::f32x4;

/// The nonlinearities, by number.
pub static NONLINEARITIES: &[(&str, &str)] = &[("tanh", "tanh"), ("relu", "ReLU"), ("identity", "identity")];

/// The cell.
pub static CELL: Cell = Cell {
    id: "elman",
    title: "Elman",
    summary: "The plain recurrent network: the new state is a nonlinear function of the input and the old state. Its gradient \
              is multiplied by the same matrix at every step back.",
    equations: &[r"h_t = \varphi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})"],
    sources: &["Elman 1990, doi:10.1207/s15516709cog1402_1"],
    options: &[OptionSpec {
        name: "nonlinearity",
        title: "Nonlinearity",
        help: "The function φ. Its slope multiplies the gradient at every step: at most 1 for tanh, 0 or 1 for ReLU, 1 for the \
               identity.",
        kind: Kind::Choice { among: NONLINEARITIES, default: "tanh" },
    }],
    blocks: &["h"],
    gated: false,
    states: 1,
    keep: None,
    shares: None,
    overwrites: false,
    admit: None,
    emit: None,
    recurrent: &[0],
    // ∂h_t/∂h_{t−1} = diag(φ′) W_hh.
    slope: |unit| Slope { direct: 0.0, blocks: [slope(unit.state, unit.nonlinearity), 0.0, 0.0, 0.0], source: 1.0 },
    width: 1,
    saved: &[],
    channels: &[Channel {
        id: "h",
        title: "hidden state h",
        role: Role::State,
        range: Some([-1.0, 1.0]),
        source: Source::Output,
        state: Some(0),
    }],
    body: Body::Recurrent(forward),
    attention: None,
    absent: &[],
};

fn forward(layer: &Layer) -> Call {
    let operands = [Some(layer.gates), layer.weight_hh, layer.bias_hh, layer.state0, Some(layer.y)];
    Call::new(&FORWARD, layer.params, &operands)
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "elman.forward",
    operands: &[
        Operand::read("a"),
        Operand::read("weight_hh"),
        Operand::read("bias_hh"),
        Operand::read("state0").optional(),
        Operand::write("y"),
    ],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch,
    grid: |call| [call.params::<Params>().batch.div_ceil(ROWS), 1, 1],
    flop: |call| call.params::<Params>().flop(1),
    parts: Some(parts),
    gradient: Some(|tape, call| {
        let params: Params = call.params();
        let [a, weight_hh, bias_hh, y] = [0, 1, 2, 4].map(|at| call.tensor(at));
        let state0 = call.operands[3];
        let Some((d_y, params)) = d_y(tape, &params, y) else { return };
        let d_a = tape.temporary("d_a", a.shape);
        let (d_state, params) = d_state(tape, &params, 1, &[]);
        let totals = tape.totals(y);
        let operands = [Some(d_y), Some(y), Some(weight_hh), Some(d_state), Some(d_a), totals];
        tape.record(Call::new(&BACKWARD, params, &operands));
        weight_gradients(tape, &params, [weight_hh, bias_hh], &[d_a], y, state0);
        tape.provide(a, d_a);
        if let Some(state0) = state0
            && let Some((d_state0, accumulate)) = tape.contribute(state0)
        {
            tape.record(super::copy::forward(d_state, d_state0, accumulate));
        }
    }),
};

/// The backward entry. `d_state` enters as the adjoint of the last state and leaves as that of the initial one; `totals`
/// `[1, T, B, H]` keeps ∂L/∂h_t.
pub static BACKWARD: Entry = Entry {
    label: "elman.backward",
    operands: &[
        Operand::read("d_y"),
        Operand::read("y"),
        Operand::read("weight_hh"),
        Operand::update("d_state"),
        Operand::write("d_a"),
        Operand::write("totals").optional(),
    ],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch,
    grid: |call| [call.params::<Params>().batch.div_ceil(ROWS), 1, 1],
    flop: |call| call.params::<Params>().flop(1),
    parts: Some(parts),
    gradient: None,
};

fn scratch(call: &Call) -> usize {
    let params: Params = call.params();
    let hidden = params.hidden as usize;
    StepProduct::scratch(params.batch as usize, hidden, [hidden]) + 2 * hidden
}

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (a, weight, bias, state0) = (args.read(0), args.read(1), args.read(2), args.read_optional(3));
    let mut y = args.write(4);
    let batch = params.batch as usize;
    for step in params.steps() {
        let t = params.time(step);
        for b in 0..batch {
            let a = a.row(t * batch + b);
            for j in 0..params.hidden as usize {
                let mut sum = a[j] + bias.data[j];
                if step > 0 {
                    sum += dot(weight.row(j), y.get(params.time(step - 1) * batch + b));
                } else if let Some(h0) = initial(&state0, b) {
                    sum += dot(weight.row(j), h0);
                }
                y.row(t * batch + b)[j] = match params.nonlinearity {
                    0 => sum.tanh(),
                    // Not `sum > 0`: a NaN must stay one.
                    1 if sum < F::ZERO => F::ZERO,
                    _ => sum,
                };
            }
        }
    }
}

fn slope<F: Real>(h: F, nonlinearity: u32) -> F {
    match nonlinearity {
        0 => F::ONE - h * h,
        1 if h > F::ZERO => F::ONE,
        1 => F::ZERO,
        _ => F::ONE,
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, y, weight) = (args.read(0), args.read(1), args.read(2));
    let (mut d_state, mut d_a, mut totals) = (args.write(3), args.write(4), args.write_optional(5));
    params.start(&mut d_state);
    let batch = params.batch as usize;
    for step in params.steps().rev() {
        for b in 0..batch {
            let row = params.time(step) * batch + b;
            for j in 0..params.hidden as usize {
                let delta = (params.reads(&d_y, row).map_or(F::ZERO, |d_y| d_y[j]) + d_state.row(b)[j]).flush();
                if let Some(totals) = &mut totals {
                    totals.row(row)[j] = delta;
                }
                d_a.row(row)[j] = (delta * slope(y.row(row)[j], params.nonlinearity)).flush();
            }
            for k in 0..params.hidden as usize {
                let mut sum = F::ZERO;
                for (j, &d_a) in d_a.get(row).iter().enumerate() {
                    sum += d_a * weight.row(j)[k];
                }
                d_state.row(b)[k] = if params.is_cut(step) { F::ZERO } else { sum.flush() };
            }
        }
    }
}

fn cpu_forward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (a, weight, bias, state0) = (args.read(0), args.read(1), args.read(2), args.read_optional(3));
    let mut y = args.write(4);
    let (curves, zero) = (Curves::get(), f32x4::splat(0.0));
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let weight = Strided { data: weight.data, rows: 1, columns: weight.stride };
    let mut product = StepProduct::new(weight, batch, hidden, [hidden], &mut args.scratch);
    let stride = y.stride;
    for step in params.steps() {
        let t = params.time(step);
        let (before, now) = split(&mut y, &params, step);
        let to = Target { data: &mut *now, stride, accumulate: false };
        match (before, &state0) {
            (Some(before), _) => product.run(batch, before, stride, to),
            (None, Some(h0)) => product.run(batch, h0.data, h0.stride, to),
            (None, None) => (0..batch).for_each(|b| to.data[b * stride..][..hidden].fill(0.0)),
        }
        for b in 0..batch {
            let h = &mut now[b * stride..][..hidden];
            each([a.row(t * batch + b), bias.data], [h], [], |[a, bias], [h]| {
                let sum = h + (a + bias);
                let h = match params.nonlinearity {
                    0 => curves.tanh(sum),
                    1 => sum.simd_lt(zero).select(zero, sum),
                    _ => sum,
                };
                ([h], [])
            });
        }
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, y, weight) = (args.read(0), args.read(1), args.read(2));
    let (mut d_state, mut d_a, mut totals) = (args.write(3), args.write(4), args.write_optional(5));
    params.start(&mut d_state);
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let [zeros, unkept] = [(); 2].map(|()| take(&mut args.scratch, hidden));
    zeros.fill(0.0);
    let weight = Strided { data: weight.data, rows: weight.stride, columns: 1 };
    let mut product = StepProduct::new(weight, batch, hidden, [hidden], &mut args.scratch);
    let (zero, one) = (f32x4::splat(0.0), f32x4::splat(1.0));
    for step in params.steps().rev() {
        let first = params.time(step) * batch;
        for b in 0..batch {
            let row = first + b;
            let total = match &mut totals {
                Some(totals) => totals.row(row),
                None => &mut *unkept,
            };
            let d_y = params.reads(&d_y, row).unwrap_or(zeros);
            each([d_y, y.row(row), d_state.get(b)], [], [total, d_a.row(row)], |[d_y, h, d_h], []| {
                let delta = flush(d_y + flush(d_h));
                let slope = match params.nonlinearity {
                    0 => one - h * h,
                    1 => h.simd_gt(zero).select(one, zero),
                    _ => one,
                };
                ([], [delta, flush(delta * slope)])
            });
        }
        if params.is_cut(step) {
            (0..batch).for_each(|b| d_state.row(b).fill(0.0));
        } else {
            let to = Target { data: &mut *d_state.data, stride: d_state.stride, accumulate: false };
            product.run(batch, &d_a.data[first * d_a.stride..], d_a.stride, to);
        }
    }
    flush_rows(&mut d_state, batch);
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "elman",
    summary: "the time loop of an Elman layer",
    shader: shader!(
        "../../shaders/elman.wgsl",
        "../../shaders/helpers/recurrence.wgsl",
        "../../shaders/helpers/time_loop.wgsl",
        "../../shaders/helpers/floor.wgsl"
    ),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance {
        relative: 3e-6,
        reason: "tanh within 8 units in the last place, carried through the recurrence",
    },
    on_gpu: Tolerance {
        relative: 1e-5,
        reason: "sums in another order, products and sums fused or not, carried through the recurrence",
    },
};
