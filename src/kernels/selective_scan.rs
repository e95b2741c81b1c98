//! The time loop of a selective state space layer (S6): each channel e keeps N numbers, and the input says how fast.
//!
//! Δ_t = ln(1 + e^{δ_t}), A = −e^{A_log}, k_t = e^{Δ_t A}, h_t = k_t ⊙ h_{t−1} + g_t B_t x_t, y_t += Σ_n C_t h_t, where g = Δ (Euler's
//! step, as in the code of the paper) or g = (k − 1) / A (exact for an input that is held constant over the step). With
//! λ_t = ∂L/∂y_t C_t + k_{t+1} ⊙ λ_{t+1} = ∂L/∂h_t: ∂C_t = Σ_e ∂y h, ∂B_t = Σ_e λ g x, ∂x = Σ_n λ g B,
//! ∂Δ = Σ_n λ (A k h_{t−1} + g′ B x) with g′ = 1 or k, and, the last term
//! for the exact step, ∂A_log = Σ_t λ (Δ A k h_{t−1} + B x (Δ k − g)).
//!
//! `inputs` is `[T, B, 2E]`: x, and δ, which leaves as Δ. `projected` is `[T, B, R + 2N]`: B_t and C_t behind R columns that are not read.
//! `a_log` is `[E, N]`, `y` `[T, B, E]`, `states` and `kept` `[T, B, N·E]`, state n of all channels side by side. The backward pass turns
//! states into their adjoints λ, or a copy of them, where somebody wants to see both. Gu and Dao 2023 (arXiv:2312.00752).
//! Twin: `shaders/selective_scan.wgsl`.

use super::simd::{Curves, each, flush, take};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, copy, row_sum};
use crate::shape::{Shape, Tensor};
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

/// Most states of a channel: what a workgroup of the shader has room for.
pub const MOST_STATES: usize = 16;

/// Channels that one workgroup of the shaders computes at a time.
const WIDTH: u32 = 64;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    /// T.
    n_steps: u32,
    /// B.
    batch: u32,
    /// E.
    channels: u32,
    /// N.
    states_of: u32,
    /// R.
    skipped: u32,
    /// 1: the exact step; 0: Euler's.
    exact: u32,
    /// First step of the part of the loop that is computed.
    first: u32,
    /// The step after its last one.
    end: u32,
}

/// What the loop reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    /// x and δ.
    pub inputs: Tensor,
    /// B and C, behind R other columns.
    pub projected: Tensor,
    /// ln(−A).
    pub a_log: Tensor,
    /// h.
    pub states: Tensor,
    /// e^{ΔA}.
    pub kept: Tensor,
    /// Added to.
    pub y: Tensor,
}

/// The loop over all timesteps from zero states. Debug builds check the shapes.
pub fn forward(operands: Operands, exact: bool) -> Call {
    let Operands { inputs, projected, a_log, states, kept, y } = operands;
    let [n_steps, batch, channels] = [0, 1, 2].map(|axis| y.shape.extent(axis));
    let n = a_log.shape.columns();
    debug_assert!(n <= MOST_STATES, "selective_scan: {n} states, at most {MOST_STATES}");
    debug_assert_eq!(inputs.shape.columns(), 2 * channels, "selective_scan: inputs is {}", inputs.shape);
    debug_assert_eq!(states.shape.columns(), n * channels, "selective_scan: states is {}", states.shape);
    let skipped = projected.shape.columns() - 2 * n;
    let [n_steps, batch, channels, states_of, skipped] = [n_steps, batch, channels, n, skipped].map(|n| n as u32);
    let params =
        Params { n_steps, batch, channels, states_of, skipped, exact: u32::from(exact), first: 0, end: n_steps };
    let operands = [inputs, projected, a_log, states, kept, y].map(Some);
    Call::new(&FORWARD, params, &operands)
}

/// The same from timestep `first` on: row `first` − 1 of the states holds those before it, and no other row before it is read.
pub fn from(call: Call, first: usize) -> Call {
    let params: Params = call.params();
    call.with(Params { first: first as u32, ..params })
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "selective_scan.forward",
    operands: &[
        Operand::update("inputs"),
        Operand::read("projected"),
        Operand::read("a_log"),
        Operand::write("states"),
        Operand::write("kept"),
        Operand::update("y"),
    ],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch: |call| scratch(call, 1),
    grid: |call| {
        let params: Params = call.params();
        [params.channels.div_ceil(WIDTH), params.batch, 1]
    },
    flop: |_| 0,
    parts: Some(parts),
    gradient: Some(|tape, call| {
        let params: Params = call.params();
        let [inputs, projected, a_log, states, _, y] = [0, 1, 2, 3, 4, 5].map(|at| call.tensor(at));
        let Some(d_y) = tape.adjoint(y) else { return };
        let adjoints = match tape.totals(states) {
            Some(totals) => {
                tape.record(copy::forward(states, totals, false));
                totals
            }
            None => states,
        };
        let d_inputs = tape.temporary("d_inputs", inputs.shape);
        let d_projected = tape.temporary("d_projected", projected.shape);
        let d_a = tape.temporary("d_a", Shape::new(&[params.batch as usize, a_log.shape.len()]));
        let operands = [d_y, inputs, projected, a_log, adjoints, d_inputs, d_projected, d_a].map(Some);
        tape.record(Call::new(&BACKWARD, params, &operands));
        tape.provide(inputs, d_inputs);
        tape.provide(projected, d_projected);
        if let Some((d_a_log, accumulate)) = tape.contribute(a_log) {
            tape.record(row_sum::forward(d_a, d_a_log, accumulate));
        }
    }),
};

/// The backward entry. `d_a` `[B, E·N]` has the share of each sequence in ∂L/∂A_log; `d_inputs` the adjoints of x and δ.
pub static BACKWARD: Entry = Entry {
    label: "selective_scan.backward",
    operands: &[
        Operand::read("d_y"),
        Operand::read("inputs"),
        Operand::read("projected"),
        Operand::read("a_log"),
        Operand::update("states"),
        Operand::write("d_inputs"),
        Operand::write("d_projected"),
        Operand::update("d_a"),
    ],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch: |call| scratch(call, 3),
    grid: |call| [1, call.params::<Params>().batch, 1],
    flop: |_| 0,
    parts: Some(parts),
    gradient: None,
};

/// Room for so many numbers a state, and one row of zeros.
fn scratch(call: &Call, each_state: usize) -> usize {
    let params: Params = call.params();
    (each_state * params.states_of as usize + 1) * params.channels as usize
}

/// The parts of the loop, each of at most `steps` steps, in the order in which they run.
fn parts(call: &Call, steps: u32) -> Vec<Call> {
    let params: Params = call.params();
    let firsts = (params.first..params.end).step_by(steps.max(1) as usize);
    let mut parts: Vec<Call> =
        firsts.map(|first| call.with(Params { first, end: (first + steps).min(params.end), ..params })).collect();
    if std::ptr::eq(call.entry, &BACKWARD) {
        parts.reverse();
    }
    parts
}

/// e^z and (e^z − 1) / z.
fn rates<F: Real>(z: F) -> [F; 2] {
    let kept = z.exp();
    [kept, kept - remainder(z, kept)]
}

/// e^z − (e^z − 1) / z = Σ_{i ≥ 1} i zⁱ / (i + 1)!, by the sum where the difference would lose digits.
fn remainder<F: Real>(z: F, kept: F) -> F {
    if z.abs() > F::of(SERIES) {
        return kept - (kept - F::ONE) / z;
    }
    let mut sum = F::ZERO;
    // Twice as many terms as f32 needs.
    for i in (1..=2 * TERMS.len()).rev() {
        let factorial: f64 = (1..=i + 1).map(|k| k as f64).product();
        sum = (sum + F::of(i as f64 / factorial)) * z;
    }
    sum
}

/// The sum is taken below this.
const SERIES: f64 = 0.5;

/// i / (i + 1)!, the last first.
const TERMS: [f32; 7] = [7.0 / 40320.0, 6.0 / 5040.0, 5.0 / 720.0, 4.0 / 120.0, 3.0 / 24.0, 2.0 / 6.0, 1.0 / 2.0];

/// As [`remainder`].
#[inline(never)]
fn remainder_lanes(z: f32x4, kept: f32x4) -> f32x4 {
    let sum = TERMS.iter().fold(f32x4::splat(0.0), |sum, &term| (sum + f32x4::splat(term)) * z);
    let near = z.abs().simd_le(f32x4::splat(SERIES as f32));
    near.select(sum, kept - (kept - f32x4::splat(1.0)) / z)
}

/// ln(1 + eˣ), without overflow.
fn softplus<F: Real>(x: F) -> F {
    let e = (-x.abs()).exp();
    let sum = F::ONE + e;
    // ln(1 + e) with the digits that 1 + e has lost.
    let log = if sum == F::ONE { e } else { sum.ln() * e / (sum - F::ONE) };
    if x > F::ZERO { x + log } else { log }
}

/// As [`softplus`]: ln(1 + e) = 2 artanh(e / (2 + e)).
#[inline(never)]
fn softplus_lanes(curves: &Curves, x: f32x4) -> f32x4 {
    let e = curves.exp(-x.abs());
    let s = e / (e + f32x4::splat(2.0));
    let s2 = s * s;
    let odd = [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0];
    let sum = odd.iter().fold(f32x4::splat(1.0 / 15.0), |sum, &of| sum * s2 + f32x4::splat(1.0 / of));
    x.simd_gt(f32x4::splat(0.0)).select(x, f32x4::splat(0.0)) + (s + s) * sum
}

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (mut inputs, projected, a_log) = (args.write(0), args.read(1), args.read(2));
    let (mut states, mut kept, mut y) = (args.write(3), args.write(4), args.write(5));
    let [batch, channels, n_states, skipped] =
        [params.batch, params.channels, params.states_of, params.skipped].map(|n| n as usize);
    for step in params.first as usize..params.end as usize {
        for b in 0..batch {
            let row = step * batch + b;
            let bc = &projected.row(row)[skipped..];
            for e in 0..channels {
                let x = inputs.get(row)[e];
                let delta = softplus(inputs.get(row)[channels + e]);
                inputs.row(row)[channels + e] = delta;
                let mut sum = F::ZERO;
                for n in 0..n_states {
                    let at = n * channels + e;
                    let h_prev = if step == 0 { F::ZERO } else { states.get(row - batch)[at] };
                    let [keep, rate] = rates(-(delta * a_log.row(e)[n].exp()));
                    let g = if params.exact == 1 { delta * rate } else { delta };
                    let h = keep * h_prev + g * bc[n] * x;
                    kept.row(row)[at] = keep;
                    states.row(row)[at] = h;
                    sum += bc[n_states + n] * h;
                }
                y.row(row)[e] += sum;
            }
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, inputs, projected, a_log) = (args.read(0), args.read(1), args.read(2), args.read(3));
    let (mut states, mut d_inputs) = (args.write(4), args.write(5));
    let (mut d_projected, mut d_a) = (args.write(6), args.write(7));
    let [batch, channels, n_states, skipped] =
        [params.batch, params.channels, params.states_of, params.skipped].map(|n| n as usize);
    if params.end == params.n_steps {
        d_a.data.fill(F::ZERO);
    }
    for step in (params.first as usize..params.end as usize).rev() {
        for b in 0..batch {
            let row = step * batch + b;
            let bc = &projected.row(row)[skipped..];
            d_projected.row(row).fill(F::ZERO);
            for e in 0..channels {
                let (x, delta, d_y) = (inputs.row(row)[e], inputs.row(row)[channels + e], d_y.row(row)[e]);
                let (mut d_x, mut d_delta) = (F::ZERO, F::ZERO);
                for n in 0..n_states {
                    let at = n * channels + e;
                    let a = -a_log.row(e)[n].exp();
                    let z = delta * a;
                    let [keep, rate] = rates(z);
                    let [g, slope, bend] = match params.exact {
                        1 => [delta * rate, keep, delta * remainder(z, keep)],
                        _ => [delta, F::ONE, F::ZERO],
                    };
                    let h_prev = if step == 0 { F::ZERO } else { states.get(row - batch)[at] };
                    let mut total = d_y * bc[n_states + n];
                    if step + 1 < params.n_steps as usize {
                        let kept = (inputs.row(row + batch)[channels + e] * a).exp();
                        total += kept * states.get(row + batch)[at];
                    }
                    let total = total.flush();
                    d_projected.row(row)[skipped + n] += total * g * x;
                    d_projected.row(row)[skipped + n_states + n] += d_y * states.get(row)[at];
                    states.row(row)[at] = total;
                    d_x += total * g * bc[n];
                    d_delta += total * (a * keep * h_prev + slope * bc[n] * x);
                    d_a.row(b)[e * n_states + n] += total * (z * keep * h_prev + bend * bc[n] * x);
                }
                d_inputs.row(row)[e] = d_x;
                // dΔ/dδ = σ(δ) = 1 − e^{−Δ}.
                d_inputs.row(row)[channels + e] = d_delta * delta * rates(-delta)[1];
            }
        }
    }
}

/// A, state by state.
fn unpack(a_log: &super::Rows<f32>, to: &mut [f32], channels: usize) {
    for (n, row) in to.chunks_exact_mut(channels).enumerate() {
        row.iter_mut().enumerate().for_each(|(e, to)| *to = -libm::expf(a_log.row(e)[n]));
    }
}

fn cpu_forward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (mut inputs, projected, a_log) = (args.write(0), args.read(1), args.read(2));
    let (states, mut kept, mut y) = (args.write(3), args.write(4), args.write(5));
    let [batch, channels, n_states, skipped] =
        [params.batch, params.channels, params.states_of, params.skipped].map(|n| n as usize);
    let (a, zeros) = (take(&mut args.scratch, n_states * channels), take(&mut args.scratch, channels));
    unpack(&a_log, a, channels);
    zeros.fill(0.0);
    let curves = Curves::get();
    for step in params.first as usize..params.end as usize {
        for row in step * batch..(step + 1) * batch {
            let (x, delta) = inputs.row(row).split_at_mut(channels);
            each([], [&mut *delta], [], |[], [delta]| ([softplus_lanes(curves, delta)], []));
            let (x, delta, bc) = (&*x, &*delta, &projected.row(row)[skipped..]);
            for (n, a) in a.chunks_exact(channels).enumerate() {
                let at = n * channels..(n + 1) * channels;
                let now = row * states.stride;
                let (before, now) = states.data.split_at_mut(now);
                let h_prev = match step {
                    0 => &*zeros,
                    _ => &before[(row - batch) * states.stride..][at.clone()],
                };
                let (b, c) = (f32x4::splat(bc[n]), f32x4::splat(bc[n_states + n]));
                let writes = [&mut now[at.clone()], &mut kept.row(row)[at]];
                each([x, delta, a, h_prev], [y.row(row)], writes, |[x, delta, a, h_prev], [y]| {
                    let z = delta * a;
                    let keep = curves.exp(z);
                    let g = if params.exact == 1 { delta * (keep - remainder_lanes(z, keep)) } else { delta };
                    let h = keep * h_prev + g * b * x;
                    ([y + c * h], [h, keep])
                });
            }
        }
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, inputs, projected, a_log) = (args.read(0), args.read(1), args.read(2), args.read(3));
    let (states, mut d_inputs) = (args.write(4), args.write(5));
    let (mut d_projected, mut d_a) = (args.write(6), args.write(7));
    let [batch, channels, n_states, skipped] =
        [params.batch, params.channels, params.states_of, params.skipped].map(|n| n as usize);
    let len = n_states * channels;
    let [a, later, d_a_log] = [(); 3].map(|()| take(&mut args.scratch, len));
    let zeros = take(&mut args.scratch, channels);
    unpack(&a_log, a, channels);
    zeros.fill(0.0);
    let curves = Curves::get();
    if params.end == params.n_steps {
        d_a.data.fill(0.0);
    }
    for b in 0..batch {
        // k_{t+1} ⊙ λ_{t+1}.
        later.fill(0.0);
        d_a_log.fill(0.0);
        if params.end < params.n_steps {
            let row = params.end as usize * batch + b;
            let rows = later.chunks_exact_mut(channels).zip(a.chunks_exact(channels));
            for ((later, a), total) in rows.zip(states.get(row).chunks_exact(channels)) {
                let delta = &inputs.row(row)[channels..];
                each([delta, a, total], [], [later], |[delta, a, total], []| ([], [curves.exp(delta * a) * total]));
            }
        }
        for step in (params.first as usize..params.end as usize).rev() {
            let row = step * batch + b;
            let (x, delta) = inputs.row(row).split_at(channels);
            let bc = &projected.row(row)[skipped..];
            let d_projected = d_projected.row(row);
            d_projected[..skipped].fill(0.0);
            let (d_x, d_delta) = d_inputs.row(row).split_at_mut(channels);
            d_x.fill(0.0);
            d_delta.fill(0.0);
            for n in 0..n_states {
                let at = n * channels..(n + 1) * channels;
                let stride = states.stride;
                let (before, now) = states.data.split_at_mut(row * stride);
                let h_prev = match step {
                    0 => &*zeros,
                    _ => &before[(row - batch) * stride..][at.clone()],
                };
                let (b, c) = (f32x4::splat(bc[n]), f32x4::splat(bc[n_states + n]));
                let [mut d_b, mut d_c] = [f32x4::splat(0.0); 2];
                let reads = [x, delta, &a[at.clone()], h_prev, d_y.row(row)];
                let (later, d_a_log) = (&mut later[at.clone()], &mut d_a_log[at.clone()]);
                let updates = [&mut now[at], later, &mut *d_x, &mut *d_delta, d_a_log];
                each(reads, updates, [], |[x, delta, a, h_prev, d_y], [h, later, d_x, d_delta, d_a]| {
                    let z = delta * a;
                    let keep = curves.exp(z);
                    let bend = if params.exact == 1 { remainder_lanes(z, keep) } else { keep - f32x4::splat(1.0) };
                    // Euler's rate is 1 and does not bend.
                    let (g, slope) = (delta * (keep - bend), if params.exact == 1 { keep } else { f32x4::splat(1.0) });
                    let bend = if params.exact == 1 { delta * bend } else { f32x4::splat(0.0) };
                    let total = flush(d_y * c + later);
                    d_b += total * g * x;
                    d_c += d_y * h;
                    let kept = keep * h_prev;
                    let (of_x, of_delta) = (total * g * b, total * (a * kept + slope * b * x));
                    ([total, keep * total, d_x + of_x, d_delta + of_delta, d_a + total * (z * kept + bend * b * x)], [])
                });
                d_projected[skipped + n] = d_b.reduce_add();
                d_projected[skipped + n_states + n] = d_c.reduce_add();
            }
            // dΔ/dδ = σ(δ) = 1 − e^{−Δ}.
            each([delta], [d_delta], [], |[delta], [d_delta]| {
                let e = curves.exp(-delta);
                ([d_delta * delta * (e - remainder_lanes(-delta, e))], [])
            });
        }
        for (n, of_state) in d_a_log.chunks_exact(channels).enumerate() {
            of_state.iter().enumerate().for_each(|(e, d)| d_a.row(b)[e * n_states + n] += d);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "selective_scan",
    summary: "the time loop of a selective state space layer",
    shader: shader!("../../shaders/selective_scan.wgsl", "../../shaders/helpers/floor.wgsl"),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance {
        relative: 1e-5,
        reason: "exp within 2 units in the last place, carried through the recurrence; sums of lanes in another order",
    },
    on_gpu: Tolerance {
        relative: 2e-5,
        reason: "exp within a few units in the last place, sums in another order, carried through the recurrence",
    },
};
