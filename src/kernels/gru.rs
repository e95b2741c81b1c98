//! The whole time loop of a gated recurrent unit layer.
//!
//! r = σ(a_r + W_hr h + b_hr), z = σ(a_z + W_hz h + b_hz), q = W_hn h + b_hn, n = tanh(a_n + r ⊙ q), h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}, where
//! a is the input part with b_ih and h is h_{t−1}. z = 1 means *keep*, as in PyTorch (in Cho et al. 2014 it means overwrite), and the
//! reset gate is applied after the product, so that b_hn lies inside it. Backwards, with δ = ∂L/∂h_t total: d_n = δ(1 − z)(1 − n²),
//! d_z = δ(h_{t−1} − n)z(1 − z), d_r = d_n q r(1 − r), d_q = d_n r; ∂h_{t−1} = δ z + W_hhᵀ (d_r, d_z, d_q).
//!
//! `gates` `[T, B, 4H]` enters with the input part in its first three blocks and leaves as r, z, n and q; the backward pass turns it into
//! their adjoints. `weight_hh` is `[3H, H]`, `bias_hh` `[3H]`, `state0` `[1, B, H]`, `y` `[T, B, H]`.
//! Cho et al. 2014 (arXiv:1406.1078), in the form of `torch.nn.GRU`. Twin: `shaders/gru.wgsl`.

use super::recurrence::{
    Body, Cell, Channel, Layer, Params, ROWS, Role, Slope, Source, StepProduct, d_state, d_y, dot, flush_rows, initial,
    parts, split, weight_gradients,
};
use super::simd::{Curves, Strided, Target, each, flush, take};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance};
use wide::f32x4;

/// Number of blocks.
const G: usize = 3;

const fn gate(id: &'static str, title: &'static str, block: usize) -> Channel {
    Channel { id, title, role: Role::Gate, range: Some([0.0, 1.0]), source: Source::Gates { block }, state: None }
}

/// The cell.
pub static CELL: Cell = Cell {
    id: "gru",
    title: "GRU",
    summary: "The gated recurrent unit: one gate decides how much of the old state is kept, another how much of it the new \
              content sees. In PyTorch's form z = 1 keeps; other texts use z the other way round.",
    equations: &[
        r"r_t = \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr})",
        r"z_t = \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz})",
        r"n_t = \tanh(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn}))",
        r"h_t = (1 - z_t) \odot n_t + z_t \odot h_{t-1}",
    ],
    sources: &["Cho et al. 2014, arXiv:1406.1078"],
    options: &[],
    blocks: &["r", "z", "n"],
    gated: true,
    states: 1,
    keep: Some(1),
    shares: Some(["z", "1 − z"]),
    overwrites: false,
    admit: None,
    emit: None,
    recurrent: &[0, 1, G],
    slope: |unit| {
        // ∂h_t/∂h_{t−1} = diag(z) + diag((h_{t−1} − n) z′) W_z + diag((1 − z) n′) (diag(q r′) W_r + diag(r) W_n).
        let [r, z, n, q] = unit.gates;
        let inner = (1.0 - z) * (1.0 - n * n);
        let blocks = [inner * q * r * (1.0 - r), (unit.before - n) * z * (1.0 - z), inner * r, 0.0];
        Slope { direct: z, blocks, source: 1.0 }
    },
    width: G + 1,
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
        gate("r", "reset gate r", 0),
        gate("z", "update gate z (1 keeps)", 1),
        Channel {
            id: "n",
            title: "candidate n",
            role: Role::Candidate,
            range: Some([-1.0, 1.0]),
            source: Source::Gates { block: 2 },
            state: None,
        },
    ],
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
    label: "gru.forward",
    operands: &[
        Operand::update("gates"),
        Operand::read("weight_hh"),
        Operand::read("bias_hh"),
        Operand::read("state0").optional(),
        Operand::write("y"),
    ],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch: |call| {
        let params: Params = call.params();
        let hidden = params.hidden as usize;
        let batch = params.batch as usize;
        StepProduct::scratch(batch, hidden, [2 * hidden, hidden]) + hidden
    },
    grid: |call| [call.params::<Params>().batch.div_ceil(ROWS), 1, 1],
    flop: |call| call.params::<Params>().flop(G),
    parts: Some(parts),
    gradient: Some(|tape, call| {
        let params: Params = call.params();
        let [gates, weight_hh, bias_hh, y] = [0, 1, 2, 4].map(|at| call.tensor(at));
        let (state0, hidden) = (call.operands[3], params.hidden as usize);
        let Some((d_y, params)) = d_y(tape, &params, y) else { return };
        let (d_state, params) = d_state(tape, &params, 1, &[]);
        let totals = tape.totals(y);
        let operands = [Some(d_y), Some(y), Some(weight_hh), state0, Some(d_state), Some(gates), totals];
        tape.record(Call::new(&BACKWARD, params, &operands));
        // Blocks r, z, n, q: the input part sees r, z, n, the recurrent part r, z, q.
        let parts = [gates.columns(0, 2 * hidden), gates.columns(G * hidden, hidden)];
        weight_gradients(tape, &params, [weight_hh, bias_hh], &parts, y, state0);
        tape.provide(gates, gates);
        if let Some(state0) = state0
            && let Some((d_state0, accumulate)) = tape.contribute(state0)
        {
            tape.record(super::copy::forward(d_state, d_state0, accumulate));
        }
    }),
};

/// The backward entry. `gates` leaves as d in blocks r, z, n, q; `d_state` enters as the adjoint of the last state and leaves as that of
/// the initial one; `totals` `[1, T, B, H]` keeps ∂L/∂h_t.
pub static BACKWARD: Entry = Entry {
    label: "gru.backward",
    operands: &[
        Operand::read("d_y"),
        Operand::read("y"),
        Operand::read("weight_hh"),
        Operand::read("state0").optional(),
        Operand::update("d_state"),
        Operand::update("gates"),
        Operand::write("totals").optional(),
    ],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch: |call| {
        let params: Params = call.params();
        let hidden = params.hidden as usize;
        let batch = params.batch as usize;
        StepProduct::scratch(batch, G * hidden, [hidden]) + 2 * hidden
    },
    grid: |call| [call.params::<Params>().batch.div_ceil(ROWS), 1, 1],
    flop: |call| call.params::<Params>().flop(G),
    parts: Some(parts),
    gradient: None,
};

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (mut gates, weight, bias, state0) = (args.write(0), args.read(1), args.read(2), args.read_optional(3));
    let mut y = args.write(4);
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    for step in params.steps() {
        for b in 0..batch {
            let row = params.time(step) * batch + b;
            let before = (step > 0).then(|| params.time(step - 1) * batch + b);
            for j in 0..hidden {
                let recurrent = |block: usize, y: &super::RowsMut<F>| {
                    let n = block * hidden + j;
                    let product = match before {
                        Some(before) => dot(weight.row(n), y.get(before)),
                        None => initial(&state0, b).map_or(F::ZERO, |h0| dot(weight.row(n), h0)),
                    };
                    bias.data[n] + product
                };
                let input = gates.get(row);
                let r = (input[j] + recurrent(0, &y)).sigmoid();
                let z = (input[hidden + j] + recurrent(1, &y)).sigmoid();
                let q = recurrent(2, &y);
                let n = (input[2 * hidden + j] + r * q).tanh();
                let h_prev = match before {
                    Some(before) => y.get(before)[j],
                    None => initial(&state0, b).map_or(F::ZERO, |h0| h0[j]),
                };
                for (block, value) in [r, z, n, q].into_iter().enumerate() {
                    gates.row(row)[block * hidden + j] = value;
                }
                y.row(row)[j] = (F::ONE - z) * n + z * h_prev;
            }
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, y, weight, state0) = (args.read(0), args.read(1), args.read(2), args.read_optional(3));
    let (mut d_state, mut gates, mut totals) = (args.write(4), args.write(5), args.write_optional(6));
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
                let [r, z, n, q] = [0, 1, 2, 3].map(|block| gates.row(row)[block * hidden + j]);
                let delta = (params.reads(&d_y, row).map_or(F::ZERO, |d_y| d_y[j]) + d_state.row(b)[j]).flush();
                if let Some(totals) = &mut totals {
                    totals.row(row)[j] = delta;
                }
                let d_n = delta * (F::ONE - z) * (F::ONE - n * n);
                let d_a = gates.row(row);
                d_a[j] = (d_n * q * r * (F::ONE - r)).flush();
                d_a[hidden + j] = (delta * (h_prev - n) * z * (F::ONE - z)).flush();
                d_a[2 * hidden + j] = d_n.flush();
                d_a[3 * hidden + j] = (d_n * r).flush();
                d_state.row(b)[j] = delta * z;
            }
            for k in 0..hidden {
                let mut sum = d_state.row(b)[k];
                let d_a = gates.get(row);
                for n in 0..G * hidden {
                    // Row n of the weight belongs to block r, z or n; the n block of the recurrent part is q.
                    let at = if n < 2 * hidden { n } else { n + hidden };
                    sum += d_a[at] * weight.row(n)[k];
                }
                d_state.row(b)[k] = if params.is_cut(step) { F::ZERO } else { sum.flush() };
            }
        }
    }
}

/// Blocks r, z, n, q of a row, writable.
fn blocks_mut(row: &mut [f32], hidden: usize) -> [&mut [f32]; G + 1] {
    let (r, rest) = row.split_at_mut(hidden);
    let (z, rest) = rest.split_at_mut(hidden);
    let (n, q) = rest.split_at_mut(hidden);
    [r, z, n, q]
}

fn cpu_forward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (gates, weight, bias, state0) = (args.write(0), args.read(1), args.read(2), args.read_optional(3));
    let mut y = args.write(4);
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let curves = Curves::get();
    let zeros = take(&mut args.scratch, hidden);
    zeros.fill(0.0);
    let (zeros, one) = (&*zeros, f32x4::splat(1.0));
    let (bias, bias_q) = bias.data.split_at(2 * hidden);
    let weight = Strided { data: weight.data, rows: 1, columns: weight.stride };
    // The recurrent parts of r and z are added where their input parts lie, that of n is q.
    let mut product = StepProduct::new(weight, batch, hidden, [2 * hidden, hidden], &mut args.scratch);
    let (y_stride, stride) = (y.stride, gates.stride);
    for step in params.steps() {
        let first = params.time(step) * batch;
        let (h_prev, h) = split(&mut y, &params, step);
        let rows = &mut gates.data[first * stride..];
        let left = h_prev.map(|h| (h, y_stride)).or_else(|| state0.as_ref().map(|h0| (h0.data, h0.stride)));
        if let Some((left, left_stride)) = left {
            product.read(batch, left, left_stride, &[[0, hidden]]);
            product.write(0, batch, Target { data: &mut *rows, stride, accumulate: true });
            product.write(1, batch, Target { data: &mut rows[G * hidden..], stride, accumulate: false });
        } else {
            (0..batch).for_each(|b| rows[b * stride + G * hidden..][..hidden].fill(0.0));
        }
        for b in 0..batch {
            let h = &mut h[b * y_stride..][..hidden];
            let h_prev = h_prev.map(|h| &h[b * y_stride..][..hidden]);
            let h_prev = h_prev.or_else(|| initial(&state0, b)).unwrap_or(zeros);
            // Curve by curve: short loops, of which the processor has several rounds in flight.
            let (opened, candidate) = rows[b * stride..][..(G + 1) * hidden].split_at_mut(2 * hidden);
            each([bias], [&mut *opened], [], |[bias], [x]| ([curves.sigmoid(x + bias)], []));
            let ((r, z), (n, q)) = (opened.split_at(hidden), candidate.split_at_mut(hidden));
            each([h_prev, r, z, bias_q], [n, q], [h], |[h_prev, r, z, bias], [n, q]| {
                let q = q + bias;
                let n = curves.tanh(n + r * q);
                ([n, q], [(one - z) * n + z * h_prev])
            });
        }
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, y, weight, state0) = (args.read(0), args.read(1), args.read(2), args.read_optional(3));
    let (mut d_state, mut gates, mut totals) = (args.write(4), args.write(5), args.write_optional(6));
    params.start(&mut d_state);
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let [zeros, unkept] = [(); 2].map(|()| take(&mut args.scratch, hidden));
    zeros.fill(0.0);
    let weight = Strided { data: weight.data, rows: weight.stride, columns: 1 };
    let mut product = StepProduct::new(weight, batch, G * hidden, [hidden], &mut args.scratch);
    let one = f32x4::splat(1.0);
    for step in params.steps().rev() {
        let first = params.time(step) * batch;
        for b in 0..batch {
            let row = first + b;
            let h_prev = match step {
                0 => initial(&state0, b).unwrap_or(zeros),
                _ => y.row(params.time(step - 1) * batch + b),
            };
            let d_y = params.reads(&d_y, row).unwrap_or(zeros);
            let [r, z, n, q] = blocks_mut(gates.row(row), hidden);
            let total = match &mut totals {
                Some(totals) => totals.row(row),
                None => &mut *unkept,
            };
            each([d_y, h_prev], [d_state.row(b), r, z, n, q], [total], |[d_y, h_prev], [d_h, r, z, n, q]| {
                let delta = flush(d_y + flush(d_h));
                let d_n = delta * (one - z) * (one - n * n);
                let d_r = flush(d_n * q * r * (one - r));
                let d_z = flush(delta * (h_prev - n) * z * (one - z));
                ([delta * z, d_r, d_z, flush(d_n), flush(d_n * r)], [delta])
            });
        }
        if params.is_cut(step) {
            for b in 0..batch {
                d_state.row(b).fill(0.0);
            }
        } else {
            // The adjoints of the recurrent parts: r, z, q.
            let spans = [[0, 2 * hidden], [G * hidden, hidden]];
            product.read(batch, &gates.data[first * gates.stride..], gates.stride, &spans);
            let to = Target { data: &mut *d_state.data, stride: d_state.stride, accumulate: true };
            product.write(0, batch, to);
        }
    }
    flush_rows(&mut d_state, batch);
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "gru",
    summary: "the time loop of a gated recurrent unit layer",
    shader: shader!(
        "../../shaders/gru.wgsl",
        "../../shaders/helpers/recurrence.wgsl",
        "../../shaders/helpers/time_loop.wgsl",
        "../../shaders/helpers/floor.wgsl"
    ),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance {
        relative: 6e-6,
        reason: "tanh within 8 and σ within 4 units in the last place, carried through the recurrence",
    },
    on_gpu: Tolerance {
        relative: 1e-5,
        reason: "exp within a few units in the last place, products and sums fused or not, carried through the recurrence",
    },
};
