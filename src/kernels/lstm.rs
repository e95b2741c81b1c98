//! The whole time loop of a long short-term memory layer.
//!
//! With a_t = (input part with b_ih) + b_hh + W_hh h_{t−1} in blocks i, f, g, o: c_t = σ(f) ⊙ c_{t−1} + σ(i) ⊙ tanh(g),
//! h_t = σ(o) ⊙ tanh(c_t). Backwards, with δ = ∂L/∂h_t and γ = ∂L/∂c_t, both total: γ += δ ⊙ o ⊙ (1 − tanh² c), d_i = γ g i(1 − i),
//! d_f = γ c_{t−1} f(1 − f), d_g = γ i (1 − g²), d_o = δ tanh(c) o(1 − o), ∂c_{t−1} = γ f, ∂h_{t−1} = W_hhᵀ d. The fast version
//! takes h / o for tanh(c): σ never gives 0 there.
//!
//! `gates` `[T, B, 4H]` enters as the input part and leaves as the gates after their nonlinearities; the backward pass turns it into the
//! adjoint of the input part. `weight_hh` is `[4H, H]`, `bias_hh` `[4H]`, `state0` `[2, B, H]` (h₀, c₀), `y` and `c` `[T, B, H]`. h lies in
//! (−1, 1); c is unbounded.
//! Hochreiter and Schmidhuber 1997 (doi:10.1162/neco.1997.9.8.1735) with the forget gate of Gers et al. 2000
//! (doi:10.1162/089976600300015015); no peepholes, two biases, as `torch.nn.LSTM`. Twin: `shaders/lstm.wgsl`.

use super::recurrence::{
    Body, Cell, Channel, Layer, Params, ROWS, Role, Slope, Source, StepProduct, d_state, d_y, dot, flush_rows, initial,
    parts, split, weight_gradients,
};
use super::simd::{Curves, Strided, Target, each, flush, take};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance};
use wide::f32x4;

/// Number of blocks.
const G: usize = 4;

const fn gate(id: &'static str, title: &'static str, block: usize) -> Channel {
    Channel { id, title, role: Role::Gate, range: Some([0.0, 1.0]), source: Source::Gates { block }, state: None }
}

/// The cell.
pub static CELL: Cell = Cell {
    id: "lstm",
    title: "LSTM",
    summary: "Long short-term memory: a cell state that is only multiplied by the forget gate, so that an open gate lets the \
              gradient through unharmed. With PyTorch's default biases the gate stands half open and the gradient still vanishes.",
    equations: &[
        r"i_t = \sigma(W_{ii} x_t + b_{ii} + W_{hi} h_{t-1} + b_{hi})",
        r"f_t = \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf})",
        r"g_t = \tanh(W_{ig} x_t + b_{ig} + W_{hg} h_{t-1} + b_{hg})",
        r"o_t = \sigma(W_{io} x_t + b_{io} + W_{ho} h_{t-1} + b_{ho})",
        r"c_t = f_t \odot c_{t-1} + i_t \odot g_t",
        r"h_t = o_t \odot \tanh(c_t)",
    ],
    sources: &[
        "Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
        "Gers, Schmidhuber and Cummins 2000, doi:10.1162/089976600300015015",
    ],
    options: &[],
    blocks: &["i", "f", "g", "o"],
    gated: true,
    states: 2,
    keep: Some(1),
    shares: None,
    overwrites: false,
    admit: Some(0),
    emit: Some(3),
    recurrent: &[0, 1, 2, 3],
    slope: |unit| {
        // ∂c_t/∂c_{t−1} = diag(f) + (diag(g i′) W_i + diag(c_{t−1} f′) W_f + diag(i g′) W_g) diag(o_{t−1} (1 − tanh² c_{t−1})).
        let [i, f, g, _] = unit.gates;
        let tanh_c = libm::tanh(unit.before);
        Slope {
            direct: f,
            blocks: [g * i * (1.0 - i), unit.before * f * (1.0 - f), i * (1.0 - g * g), 0.0],
            source: unit.gates_before[3] * (1.0 - tanh_c * tanh_c),
        }
    },
    width: G,
    saved: &["c"],
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
            id: "c",
            title: "cell state c",
            role: Role::State,
            range: None,
            source: Source::Saved { tensor: 0 },
            state: Some(1),
        },
        gate("i", "input gate i", 0),
        gate("f", "forget gate f (1 keeps)", 1),
        Channel {
            id: "g",
            title: "candidate g",
            role: Role::Candidate,
            range: Some([-1.0, 1.0]),
            source: Source::Gates { block: 2 },
            state: None,
        },
        gate("o", "output gate o", 3),
    ],
    body: Body::Recurrent(forward),
    attention: None,
    absent: &[],
};

fn forward(layer: &Layer) -> Call {
    let [gates, y, c] = [layer.gates, layer.y, layer.saved[0]].map(Some);
    let operands = [gates, layer.weight_hh, layer.bias_hh, layer.state0, y, c];
    Call::new(&FORWARD, layer.params, &operands)
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "lstm.forward",
    operands: &[
        Operand::update("gates"),
        Operand::read("weight_hh"),
        Operand::read("bias_hh"),
        Operand::read("state0").optional(),
        Operand::write("y"),
        Operand::write("c"),
    ],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch: |call| {
        let params: Params = call.params();
        let hidden = params.hidden as usize;
        StepProduct::scratch(params.batch as usize, hidden, [G * hidden]) + hidden
    },
    grid: |call| [call.params::<Params>().batch.div_ceil(ROWS), 1, 1],
    flop: |call| call.params::<Params>().flop(G),
    parts: Some(parts),
    gradient: Some(|tape, call| {
        let params: Params = call.params();
        let [gates, weight_hh, bias_hh, y, c] = [0, 1, 2, 4, 5].map(|at| call.tensor(at));
        let state0 = call.operands[3];
        let Some((d_y, params)) = d_y(tape, &params, y) else { return };
        let (d_state, params) = d_state(tape, &params, 2, &[c]);
        let totals = tape.totals(y);
        let operands = [Some(d_y), Some(c), Some(weight_hh), state0, Some(d_state), Some(gates), totals, Some(y)];
        tape.record(Call::new(&BACKWARD, params, &operands));
        weight_gradients(tape, &params, [weight_hh, bias_hh], &[gates], y, state0.map(|state| state.outer(0, 1)));
        tape.provide(gates, gates);
        if let Some(state0) = state0
            && let Some((d_state0, accumulate)) = tape.contribute(state0)
        {
            tape.record(super::copy::forward(d_state, d_state0, accumulate));
        }
    }),
};

/// The backward entry. `gates` leaves as d; `d_state` enters as the adjoint of the last states and leaves as that of the initial ones;
/// `totals` `[2, T, B, H]` keeps ∂L/∂h_t (c_t held) and ∂L/∂c_t (with the path through h_t).
pub static BACKWARD: Entry = Entry {
    label: "lstm.backward",
    operands: &[
        Operand::read("d_y"),
        Operand::read("c"),
        Operand::read("weight_hh"),
        Operand::read("state0").optional(),
        Operand::update("d_state"),
        Operand::update("gates"),
        Operand::write("totals").optional(),
        Operand::read("y"),
    ],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch: |call| {
        let params: Params = call.params();
        let hidden = params.hidden as usize;
        StepProduct::scratch(params.batch as usize, G * hidden, [hidden]) + 3 * hidden
    },
    grid: |call| [call.params::<Params>().batch.div_ceil(ROWS), 1, 1],
    flop: |call| call.params::<Params>().flop(G),
    parts: Some(parts),
    gradient: None,
};

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (mut gates, weight, bias, state0) = (args.write(0), args.read(1), args.read(2), args.read_optional(3));
    let (mut y, mut c) = (args.write(4), args.write(5));
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    for step in params.steps() {
        for b in 0..batch {
            let row = params.time(step) * batch + b;
            let before = (step > 0).then(|| params.time(step - 1) * batch + b);
            for n in 0..G * hidden {
                let mut sum = gates.row(row)[n] + bias.data[n];
                if let Some(before) = before {
                    sum += dot(weight.row(n), y.get(before));
                } else if let Some(h0) = initial(&state0, b) {
                    sum += dot(weight.row(n), h0);
                }
                gates.row(row)[n] = if n / hidden == 2 { sum.tanh() } else { sum.sigmoid() };
            }
            for j in 0..hidden {
                let c_prev = match before {
                    Some(before) => c.get(before)[j],
                    None => initial(&state0, batch + b).map_or(F::ZERO, |c0| c0[j]),
                };
                let [i, f, g, o] = [0, 1, 2, 3].map(|block| gates.get(row)[block * hidden + j]);
                let c_next = f * c_prev + i * g;
                c.row(row)[j] = c_next;
                y.row(row)[j] = o * c_next.tanh();
            }
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, c, weight, state0) = (args.read(0), args.read(1), args.read(2), args.read_optional(3));
    let (mut d_state, mut gates, mut totals) = (args.write(4), args.write(5), args.write_optional(6));
    params.start(&mut d_state);
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let positions = params.n_steps as usize * batch;
    for step in params.steps().rev() {
        for b in 0..batch {
            let row = params.time(step) * batch + b;
            for j in 0..hidden {
                let c_prev = match step {
                    0 => initial(&state0, batch + b).map_or(F::ZERO, |c0| c0[j]),
                    _ => c.row(params.time(step - 1) * batch + b)[j],
                };
                let [i, f, g, o] = [0, 1, 2, 3].map(|block| gates.row(row)[block * hidden + j]);
                let tanh_c = c.row(row)[j].tanh();
                let d_h = (params.reads(&d_y, row).map_or(F::ZERO, |d_y| d_y[j]) + d_state.row(b)[j]).flush();
                let d_c = (d_state.row(batch + b)[j] + d_h * o * (F::ONE - tanh_c * tanh_c)).flush();
                if let Some(totals) = &mut totals {
                    totals.row(row)[j] = d_h;
                    totals.row(positions + row)[j] = d_c;
                }
                let d_a = gates.row(row);
                d_a[j] = (d_c * g * i * (F::ONE - i)).flush();
                d_a[hidden + j] = (d_c * c_prev * f * (F::ONE - f)).flush();
                d_a[2 * hidden + j] = (d_c * i * (F::ONE - g * g)).flush();
                d_a[3 * hidden + j] = (d_h * tanh_c * o * (F::ONE - o)).flush();
                d_state.row(batch + b)[j] = if params.is_cut(step) { F::ZERO } else { (d_c * f).flush() };
            }
            for k in 0..hidden {
                let mut sum = F::ZERO;
                for (n, &d_a) in gates.get(row).iter().enumerate() {
                    sum += d_a * weight.row(n)[k];
                }
                d_state.row(b)[k] = if params.is_cut(step) { F::ZERO } else { sum.flush() };
            }
        }
    }
}

/// The four blocks of a row, writable.
fn blocks_mut(row: &mut [f32], hidden: usize) -> [&mut [f32]; G] {
    let (i, rest) = row.split_at_mut(hidden);
    let (f, rest) = rest.split_at_mut(hidden);
    let (g, o) = rest.split_at_mut(hidden);
    [i, f, g, o]
}

fn cpu_forward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (gates, weight, bias, state0) = (args.write(0), args.read(1), args.read(2), args.read_optional(3));
    let (mut y, mut c) = (args.write(4), args.write(5));
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let curves = Curves::get();
    let zeros = take(&mut args.scratch, hidden);
    zeros.fill(0.0);
    let zeros = &*zeros;
    let (bias_opened, bias) = bias.data.split_at(2 * hidden);
    let (bias_g, bias_o) = bias.split_at(hidden);
    let weight = Strided { data: weight.data, rows: 1, columns: weight.stride };
    let mut product = StepProduct::new(weight, batch, hidden, [G * hidden], &mut args.scratch);
    let (y_stride, c_stride, gates_stride) = (y.stride, c.stride, gates.stride);
    for step in params.steps() {
        let first = params.time(step) * batch;
        let (h_prev, h) = split(&mut y, &params, step);
        let (c_prev, c) = split(&mut c, &params, step);
        let sums = &mut gates.data[first * gates_stride..];
        if let Some(h_prev) = h_prev {
            product.run(batch, h_prev, y_stride, Target { data: sums, stride: gates_stride, accumulate: true });
        } else if let Some(h0) = &state0 {
            product.run(batch, h0.data, h0.stride, Target { data: sums, stride: gates_stride, accumulate: true });
        }
        for b in 0..batch {
            let (opened, rest) = sums[b * gates_stride..][..G * hidden].split_at_mut(2 * hidden);
            let (g, o) = rest.split_at_mut(hidden);
            let (h, c) = (&mut h[b * y_stride..][..hidden], &mut c[b * c_stride..][..hidden]);
            let c_prev = c_prev.map(|c| &c[b * c_stride..][..hidden]);
            let c_prev = c_prev.or_else(|| initial(&state0, batch + b)).unwrap_or(zeros);
            // Curve by curve: short loops, of which the processor has several rounds in flight.
            for (gate, bias) in [(&mut *opened, bias_opened), (&mut *o, bias_o)] {
                each([bias], [gate], [], |[bias], [x]| ([curves.sigmoid(x + bias)], []));
            }
            each([bias_g], [&mut *g], [], |[bias], [x]| ([curves.tanh(x + bias)], []));
            let (i, f) = opened.split_at(hidden);
            each([c_prev, i, f, g, o], [], [c, h], |[c_prev, i, f, g, o], []| {
                let c = f * c_prev + i * g;
                ([], [c, o * curves.tanh(c)])
            });
        }
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, c, weight, state0) = (args.read(0), args.read(1), args.read(2), args.read_optional(3));
    let (mut d_state, mut gates, mut totals, y) = (args.write(4), args.write(5), args.write_optional(6), args.read(7));
    params.start(&mut d_state);
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let positions = params.n_steps as usize * batch;
    let [zeros, unkept_h, unkept_c] = [(); 3].map(|()| take(&mut args.scratch, hidden));
    zeros.fill(0.0);
    let weight = Strided { data: weight.data, rows: weight.stride, columns: 1 };
    let mut product = StepProduct::new(weight, batch, G * hidden, [hidden], &mut args.scratch);
    let (zero, one) = (f32x4::splat(0.0), f32x4::splat(1.0));
    for step in params.steps().rev() {
        let first = params.time(step) * batch;
        let cut = params.is_cut(step);
        for b in 0..batch {
            let row = first + b;
            let c_prev = match step {
                0 => initial(&state0, batch + b).unwrap_or(zeros),
                _ => c.row(params.time(step - 1) * batch + b),
            };
            let d_y = params.reads(&d_y, row).unwrap_or(zeros);
            let [i, f, g, o] = blocks_mut(gates.row(row), hidden);
            let (d_hs, d_cs) = d_state.data.split_at_mut(batch * d_state.stride);
            let [d_h, d_c] = [d_hs, d_cs].map(|rows| &mut rows[b * d_state.stride..][..hidden]);
            let [total_h, total_c] = match &mut totals {
                Some(totals) => {
                    let (h, c) = totals.data.split_at_mut(positions * totals.stride);
                    [h, c].map(|rows| &mut rows[row * totals.stride..][..hidden])
                }
                None => [&mut *unkept_h, &mut *unkept_c],
            };
            let reads = [d_y, d_h, y.row(row), c_prev];
            each(reads, [d_c, i, f, g, o], [total_h, total_c], |[d_y, d_h, h, c_prev], [d_c, i, f, g, o]| {
                let tanh_c = h / o;
                let d_h = flush(d_y + flush(d_h));
                let d_c = flush(d_c + d_h * o * (one - tanh_c * tanh_c));
                let d_i = flush(d_c * g * i * (one - i));
                let d_f = flush(d_c * c_prev * f * (one - f));
                let d_g = flush(d_c * i * (one - g * g));
                let d_o = flush(d_h * tanh_c * o * (one - o));
                ([if cut { zero } else { flush(d_c * f) }, d_i, d_f, d_g, d_o], [d_h, d_c])
            });
        }
        if cut {
            (0..batch).for_each(|b| d_state.row(b).fill(0.0));
        } else {
            let to = Target { data: &mut *d_state.data, stride: d_state.stride, accumulate: false };
            product.run(batch, &gates.data[first * gates.stride..], gates.stride, to);
        }
    }
    flush_rows(&mut d_state, batch);
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "lstm",
    summary: "the time loop of a long short-term memory layer",
    shader: shader!(
        "../../shaders/lstm.wgsl",
        "../../shaders/helpers/recurrence.wgsl",
        "../../shaders/helpers/time_loop.wgsl",
        "../../shaders/helpers/floor.wgsl"
    ),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance {
        relative: 4e-6,
        reason: "tanh within 8 and σ within 4 units in the last place, carried through the recurrence",
    },
    on_gpu: Tolerance {
        relative: 1e-5,
        reason: "exp within a few units in the last place, products and sums fused or not, carried through the recurrence",
    },
};
