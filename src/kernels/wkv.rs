//! The time loop of RWKV-4: each channel reads a weighted mean of its values so far, whose weights e^k fade with distance.
//!
//! y_t = (Σ_{i<t} e^{k_i − (t−1−i)r} v_i + e^{u+k_t} v_t) / (Σ_{i<t} e^{k_i − (t−1−i)r} + e^{u+k_t}) with the rate r = e^w, channel by
//! channel. The state is the mean s of the values so far and the sum b e^p of their weights, whose largest term is e^p:
//!
//! * q_t = e^{u+k_t} / (b e^p + e^{u+k_t}), y_t = s_{t−1} + q_t (v_t − s_{t−1}),
//! * p_t = max(p_{t−1} − r, k_t), b_t = e^{p_{t−1}−r−p_t} b_{t−1} + e^{k_t−p_t},
//! * z_t = e^{k_t−p_t} / b_t, s_t = s_{t−1} + z_t (v_t − s_{t−1}).
//!
//! No exponent is positive. The published code keeps `aa` = b s, `bb` = b and `pp` = p. Backwards, with λ_t = ∂L/∂s_t and ρ_t the
//! derivative by the logarithm of the sum, g = ∂L/∂y (v − s) q (1 − q) and h = λ (v − s) z (1 − z), where s is s_{t−1}:
//!
//! * ∂v_t = ∂L/∂y q + λ z, ∂k_t = g + h + ρ z, ∂u = Σ_t g, ∂w = −r Σ_t (ρ (1 − z) − h),
//! * λ_{t−1} = ∂L/∂y (1 − q) + λ (1 − z), ρ_{t−1} = ρ (1 − z) − h − g.
//!
//! `w` and `u` are `[C]`, `k`, `v`, `means` (s) and `y` `[T, B, C]`, `shares` `[T, B, 4C]`: z, q, b and p. The backward pass turns means
//! into their adjoints λ, or a copy of them, where somebody wants to see both. Peng et al. 2023 (arXiv:2305.13048).
//! Twin: `shaders/wkv.wgsl`.

use super::simd::{Curves, each, flush, take};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, copy, row_sum};
use crate::shape::{Shape, Tensor};
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

/// Channels that one workgroup of the shaders computes.
const WIDTH: u32 = 64;

/// The largest exponent of a sum without terms.
const NOTHING: f64 = -1e30;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    /// T.
    n_steps: u32,
    /// B.
    batch: u32,
    /// C.
    channels: u32,
    /// Where the loop begins.
    first: u32,
}

impl Params {
    /// The timestep that holds the state before the first one.
    fn before(&self) -> Option<usize> {
        self.first.checked_sub(1).map(|step| step as usize)
    }

    /// The rows of a sequence in the order of the loop.
    fn rows(&self, b: usize) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let batch = self.batch as usize;
        (self.first as usize..self.n_steps as usize).map(move |step| step * batch + b)
    }
}

/// What the loop reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    /// ln r.
    pub w: Tensor,
    /// What is added to the key of the value that is read at once.
    pub u: Tensor,
    /// Keys.
    pub k: Tensor,
    /// Values.
    pub v: Tensor,
    /// s.
    pub means: Tensor,
    /// z, q, b and p.
    pub shares: Tensor,
    /// What is read.
    pub y: Tensor,
}

/// The loop over all timesteps from nothing. Debug builds check the shapes.
pub fn forward(operands: Operands) -> Call {
    let Operands { w, u, k, v, means, shares, y } = operands;
    let [n_steps, batch, channels] = [0, 1, 2].map(|axis| y.shape.extent(axis) as u32);
    debug_assert_eq!(shares.shape.len(), 4 * y.shape.len(), "wkv: shares is {}, y is {}", shares.shape, y.shape);
    debug_assert!([k, v, means].iter().all(|of| of.shape == y.shape), "wkv: k is {}, y is {}", k.shape, y.shape);
    debug_assert!(
        [w, u].iter().all(|of| of.shape.len() == channels as usize),
        "wkv: w is {}, y is {}",
        w.shape,
        y.shape
    );
    Call::new(&FORWARD, Params { n_steps, batch, channels, first: 0 }, &[w, u, k, v, means, shares, y].map(Some))
}

/// The same from timestep `first` on: row `first` − 1 of means and shares holds the state before it, and no other row before it is read.
pub fn from(call: Call, first: usize) -> Call {
    let params: Params = call.params();
    call.with(Params { first: first as u32, ..params })
}

fn grid(call: &Call) -> [u32; 3] {
    let params: Params = call.params();
    [params.channels.div_ceil(WIDTH), params.batch, 1]
}

/// Four rows.
fn scratch(call: &Call) -> usize {
    4 * call.params::<Params>().channels as usize
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "wkv.forward",
    operands: &[
        Operand::read("w"),
        Operand::read("u"),
        Operand::read("k"),
        Operand::read("v"),
        Operand::write("means"),
        Operand::write("shares"),
        Operand::write("y"),
    ],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch,
    grid,
    flop: |_| 0,
    // A step of one channel is a few operations.
    parts: None,
    gradient: Some(|tape, call| {
        let params: Params = call.params();
        let [w, u, k, v, means, shares, y] = [0, 1, 2, 3, 4, 5, 6].map(|at| call.tensor(at));
        let Some(d_y) = tape.adjoint(y) else { return };
        let adjoints = match tape.totals(means) {
            Some(totals) => {
                tape.record(copy::forward(means, totals, false));
                totals
            }
            None => means,
        };
        let [d_k, d_v] = [k, v].map(|of| tape.temporary("d_k, d_v", of.shape));
        let channels = params.channels as usize;
        let d_rates = tape.temporary("d_rates", Shape::new(&[params.batch as usize, 2 * channels]));
        tape.record(Call::new(&BACKWARD, params, &[d_y, w, v, adjoints, shares, d_k, d_v, d_rates].map(Some)));
        tape.provide(k, d_k);
        tape.provide(v, d_v);
        for (of, first) in [(w, 0), (u, channels)] {
            if let Some((d, accumulate)) = tape.contribute(of) {
                tape.record(row_sum::forward(d_rates.columns(first, channels), d, accumulate));
            }
        }
    }),
};

/// The backward entry. `d_rates` `[B, 2C]` has the share of each sequence in ∂L/∂w, then in ∂L/∂u.
pub static BACKWARD: Entry = Entry {
    label: "wkv.backward",
    operands: &[
        Operand::read("d_y"),
        Operand::read("w"),
        Operand::read("v"),
        Operand::update("means"),
        Operand::read("shares"),
        Operand::write("d_k"),
        Operand::write("d_v"),
        Operand::write("d_rates"),
    ],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch,
    grid,
    flop: |_| 0,
    parts: None,
    gradient: None,
};

/// The share of a further term e^k in the sum b e^p with it, and that sum, as b and p again.
fn join<F: Real>(b: F, p: F, k: F) -> [F; 3] {
    let e = (-(k - p).abs()).exp();
    let [old, new, p] = if k > p { [b * e, F::ONE, k] } else { [b, e, p] };
    let sum = old + new;
    [new / sum, sum, p]
}

/// As [`join`].
#[inline(never)]
fn join_lanes(curves: &Curves, [b, p, k]: [f32x4; 3]) -> [f32x4; 3] {
    let (e, one, above) = (curves.exp(-(k - p).abs()), f32x4::splat(1.0), k.simd_gt(p));
    let new = above.select(one, e);
    let sum = above.select(b * e, b) + new;
    [new / sum, sum, above.select(k, p)]
}

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (w, u, k, v) = (args.read(0), args.read(1), args.read(2), args.read(3));
    let (mut means, mut shares, mut y) = (args.write(4), args.write(5), args.write(6));
    let [batch, channels] = [params.batch, params.channels].map(|n| n as usize);
    for (b, c) in (0..batch).flat_map(|b| (0..channels).map(move |c| (b, c))) {
        let rate = w.data[c].exp();
        let [mut mean, mut sum, mut top] = [F::ZERO, F::ZERO, F::of(NOTHING)];
        if let Some(step) = params.before() {
            let (row, state) = (step * batch + b, 2 * channels + c);
            [mean, sum] = [means.row(row)[c], shares.row(row)[state]];
            top = if sum > F::ZERO { shares.row(row)[state + channels] } else { top };
        }
        for row in params.rows(b) {
            let (k, v) = (k.row(row)[c], v.row(row)[c]);
            let own = join(sum, top, u.data[c] + k)[0];
            y.row(row)[c] = mean + own * (v - mean);
            let share;
            [share, sum, top] = join(sum, top - rate, k);
            mean += share * (v - mean);
            means.row(row)[c] = mean;
            shares.row(row)[c] = share;
            shares.row(row)[channels + c] = own;
            shares.row(row)[2 * channels + c] = sum;
            shares.row(row)[3 * channels + c] = top;
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, w, v, mut means, shares) = (args.read(0), args.read(1), args.read(2), args.write(3), args.read(4));
    let (mut d_k, mut d_v, mut d_rates) = (args.write(5), args.write(6), args.write(7));
    let [batch, channels] = [params.batch, params.channels].map(|n| n as usize);
    for (b, c) in (0..batch).flat_map(|b| (0..channels).map(move |c| (b, c))) {
        let [mut total, mut of_sum, mut d_w, mut d_u] = [F::ZERO; 4];
        for row in params.rows(b).rev() {
            let mean = if row < batch { F::ZERO } else { means.get(row - batch)[c] };
            let (share, own, d_y) = (shares.row(row)[c], shares.row(row)[channels + c], d_y.row(row)[c]);
            let (kept, away) = (F::ONE - share, v.row(row)[c] - mean);
            let now = d_y * away * own * (F::ONE - own);
            let later = total * away * share * kept;
            let of_kept = of_sum * kept - later;
            means.row(row)[c] = total;
            d_v.row(row)[c] = d_y * own + total * share;
            d_k.row(row)[c] = now + later + of_sum * share;
            d_u += now;
            d_w += of_kept;
            total = (d_y * (F::ONE - own) + total * kept).flush();
            of_sum = (of_kept - now).flush();
        }
        d_rates.row(b)[c] = -(w.data[c].exp() * d_w);
        d_rates.row(b)[channels + c] = d_u;
    }
}

/// The means before a step, or zeros, and those of the step.
fn around<'a>(
    means: &'a mut super::RowsMut<f32>,
    row: usize,
    batch: usize,
    zeros: &'a [f32],
) -> (&'a [f32], &'a mut [f32]) {
    let (stride, columns) = (means.stride, means.columns);
    let (before, now) = means.data.split_at_mut(row * stride);
    (row.checked_sub(batch).map_or(zeros, |row| &before[row * stride..][..columns]), &mut now[..columns])
}

fn cpu_forward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (w, u, k, v) = (args.read(0), args.read(1), args.read(2), args.read(3));
    let (mut means, mut shares, mut y) = (args.write(4), args.write(5), args.write(6));
    let [batch, channels] = [params.batch, params.channels].map(|n| n as usize);
    let [rate, sum, top, zeros] = [(); 4].map(|()| take(&mut args.scratch, channels));
    let curves = Curves::get();
    rate.iter_mut().zip(w.data).for_each(|(rate, &w)| *rate = libm::expf(w));
    zeros.fill(0.0);
    for b in 0..batch {
        sum.fill(0.0);
        top.fill(NOTHING as f32);
        if let Some(step) = params.before() {
            let (_, state) = shares.row(step * batch + b).split_at(2 * channels);
            for (c, &before) in state[..channels].iter().enumerate().filter(|(_, before)| **before > 0.0) {
                [sum[c], top[c]] = [before, state[channels + c]];
            }
        }
        for row in params.rows(b) {
            let (before, now) = around(&mut means, row, batch, zeros);
            let (share, others) = shares.row(row).split_at_mut(channels);
            let (own, state) = others.split_at_mut(channels);
            let reads = [&*rate, u.data, k.row(row), v.row(row), before];
            let writes = [now, share, own, y.row(row)];
            each(reads, [&mut *sum, &mut *top], writes, |[rate, u, k, v, mean], [sum, top]| {
                let away = v - mean;
                let own = join_lanes(curves, [sum, top, u + k])[0];
                let [share, sum, top] = join_lanes(curves, [sum, top - rate, k]);
                ([sum, top], [mean + share * away, share, own, mean + own * away])
            });
            let (sums, tops) = state.split_at_mut(channels);
            sums.copy_from_slice(sum);
            tops[..channels].copy_from_slice(top);
        }
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, w, v, mut means, shares) = (args.read(0), args.read(1), args.read(2), args.write(3), args.read(4));
    let (mut d_k, mut d_v, mut d_rates) = (args.write(5), args.write(6), args.write(7));
    let [batch, channels] = [params.batch, params.channels].map(|n| n as usize);
    let [total, of_sum, zeros] = [(); 3].map(|()| take(&mut args.scratch, channels));
    let one = f32x4::splat(1.0);
    zeros.fill(0.0);
    for b in 0..batch {
        let (d_w, d_u) = d_rates.row(b).split_at_mut(channels);
        [&mut *total, &mut *of_sum, &mut *d_w, &mut *d_u].into_iter().for_each(|row| row.fill(0.0));
        for row in params.rows(b).rev() {
            let (before, now) = around(&mut means, row, batch, zeros);
            let (share, own) = shares.row(row)[..2 * channels].split_at(channels);
            let reads = [d_y.row(row), v.row(row), before, share, own];
            let updates = [&mut *total, &mut *of_sum, &mut *d_w, &mut *d_u];
            let writes = [now, d_k.row(row), d_v.row(row)];
            each(reads, updates, writes, |[d_y, v, mean, share, own], [total, of_sum, d_w, d_u]| {
                let (kept, away) = (one - share, v - mean);
                let now = d_y * away * own * (one - own);
                let later = total * away * share * kept;
                let of_kept = of_sum * kept - later;
                let before = flush(d_y * (one - own) + total * kept);
                let writes = [total, now + later + of_sum * share, d_y * own + total * share];
                ([before, flush(of_kept - now), d_w + of_kept, d_u + now], writes)
            });
        }
        d_w.iter_mut().zip(w.data).for_each(|(d_w, &w)| *d_w *= -libm::expf(w));
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "wkv",
    summary: "the time loop of RWKV-4: means of values whose weights fade",
    shader: shader!("../../shaders/wkv.wgsl", "../../shaders/helpers/floor.wgsl"),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance {
        relative: 1e-5,
        reason: "exp within 2 units in the last place, carried through the recurrence",
    },
    on_gpu: Tolerance {
        relative: 2e-5,
        reason: "exp within a few units in the last place, products and sums fused or not, carried through the recurrence",
    },
};
