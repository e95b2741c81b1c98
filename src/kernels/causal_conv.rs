//! Depthwise convolution over time that reads no later input: y_t = b + Σ_j w_j ⊙ x_{t−K+1+j}, j = 0 … K − 1, with x = 0 before the start.
//!
//! `x` and `y` are `[T, B, E]`, `weight` `[E, K]` in whatever extents (the last tap is that of now), `bias` `[E]`:
//! `torch.nn.Conv1d(E, E, K, groups=E, padding=K−1)` without its last K − 1 outputs. One tap is y = w ⊙ x. ∂L/∂x is the same sum with
//! time turned round, and ∂L/∂w_j = Σ_t ∂L/∂y_t ⊙ x_{t−K+1+j}.
//!
//! The token shift of RWKV, y_t = μ ⊙ x_t + (1 − μ) ⊙ x_{t−1}, has two taps, 1 − μ and μ, and a `weight` μ `[E]`;
//! ∂L/∂μ = Σ_t ∂L/∂y_t ⊙ (x_t − x_{t−1}). Peng et al. 2023 (arXiv:2305.13048). Twin: `shaders/causal_conv.wgsl`.

use super::simd::{each, take};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, row_sum};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    /// T.
    n_steps: u32,
    /// B.
    batch: u32,
    /// E.
    channels: u32,
    /// K.
    taps: u32,
    /// 1: reads later inputs instead of earlier ones, as the adjoint does.
    later: u32,
    /// 1: add to what is there, without a bias; 0: overwrite.
    accumulate: u32,
    /// 1: two taps, 1 − w and w; 0: each tap has its own weight.
    shift: u32,
}

impl Params {
    /// The row that tap `tap` reads for row `row`, if it is there.
    fn source(&self, row: usize, tap: usize) -> Option<usize> {
        let apart = (self.taps as usize - 1 - tap) * self.batch as usize;
        match self.later {
            0 => row.checked_sub(apart),
            _ => Some(row + apart).filter(|&row| row < self.rows()),
        }
    }

    fn rows(&self) -> usize {
        self.n_steps as usize * self.batch as usize
    }

    /// Weights of a channel.
    fn weights(&self) -> usize {
        if self.shift == 1 { 1 } else { self.taps as usize }
    }

    /// The weight of a channel's tap.
    fn weight<F: Real>(&self, weight: &[F], e: usize, tap: usize) -> F {
        match (self.shift, tap) {
            (0, _) => weight[e * self.taps as usize + tap],
            (_, 0) => F::ONE - weight[e],
            _ => weight[e],
        }
    }

    /// Which of a channel's weights the gradient of a tap is added to, and with which sign.
    fn slope(&self, tap: usize) -> (usize, f32) {
        match (self.shift, tap) {
            (0, _) => (tap, 1.0),
            (_, 0) => (0, -1.0),
            _ => (0, 1.0),
        }
    }
}

/// Columns and strands of rows of a workgroup of the backward shader.
const COLUMNS: u32 = 16;

/// y = b + w ∗ x. Debug builds check the shapes.
pub fn forward(x: Tensor, weight: Tensor, bias: Option<Tensor>, y: Tensor) -> Call {
    debug_assert_eq!(x.shape, y.shape, "causal_conv: x is {}, y is {}", x.shape, y.shape);
    let [n_steps, batch, channels] = [0, 1, 2].map(|axis| x.shape.extent(axis) as u32);
    let taps = (weight.shape.len() / x.shape.columns()) as u32;
    debug_assert_eq!(
        weight.shape.len() as u32,
        channels * taps,
        "causal_conv: weight is {}, x is {}",
        weight.shape,
        x.shape
    );
    let params = Params { n_steps, batch, channels, taps, later: 0, accumulate: 0, shift: 0 };
    Call::new(&FORWARD, params, &[Some(x), Some(weight), bias, Some(y)])
}

/// y_t = μ ⊙ x_t + (1 − μ) ⊙ x_{t−1}.
pub fn token_shift(x: Tensor, mu: Tensor, y: Tensor) -> Call {
    let call = forward(x, mu, None, y);
    let params: Params = call.params();
    assert_eq!(params.taps, 1, "token_shift: mu is {}, x is {}", mu.shape, x.shape);
    call.with(Params { taps: 2, shift: 1, ..params })
}

/// The forward entry; also that of ∂L/∂x.
pub static FORWARD: Entry = Entry {
    label: "causal_conv.forward",
    operands: &[Operand::read("x"), Operand::read("weight"), Operand::read("bias").optional(), Operand::update("y")],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch,
    grid: |call| {
        let params: Params = call.params();
        [(params.rows() as u32 * params.channels).div_ceil(256), 1, 1]
    },
    flop: |_| 0,
    parts: None,
    gradient: Some(|tape, call| {
        let (x, weight, y) = (call.tensor(0), call.tensor(1), call.tensor(3));
        let Some(d_y) = tape.adjoint(y) else { return };
        if let Some(bias) = call.operands[2]
            && let Some((d_bias, accumulate)) = tape.contribute(bias)
        {
            tape.record(row_sum::forward(d_y, d_bias, accumulate));
        }
        let with = |later, accumulate| Params { later, accumulate: u32::from(accumulate), ..call.params() };
        if let Some((d_x, accumulate)) = tape.contribute(x) {
            tape.record(Call::new(&FORWARD, with(1, accumulate), &[Some(d_y), Some(weight), None, Some(d_x)]));
        }
        if let Some((d_weight, accumulate)) = tape.contribute(weight) {
            tape.record(Call::new(&BACKWARD, with(0, accumulate), &[Some(d_y), Some(x), Some(d_weight)]));
        }
    }),
};

/// The gradient of the weight.
pub static BACKWARD: Entry = Entry {
    label: "causal_conv.backward",
    operands: &[Operand::read("d_y"), Operand::read("x"), Operand::update("d_weight")],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch,
    grid: |call| {
        let params: Params = call.params();
        [params.channels.div_ceil(COLUMNS), params.weights() as u32, 1]
    },
    flop: |_| 0,
    parts: None,
    gradient: None,
};

fn scratch(call: &Call) -> usize {
    let params: Params = call.params();
    params.channels as usize * params.taps as usize
}

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (x, weight, bias, mut y) = (args.read(0), args.read(1), args.read_optional(2), args.write(3));
    for row in 0..params.rows() {
        for e in 0..params.channels as usize {
            let mut sum = bias.as_ref().map_or(F::ZERO, |bias| bias.data[e]);
            for tap in 0..params.taps as usize {
                if let Some(source) = params.source(row, tap) {
                    sum += params.weight(weight.data, e, tap) * x.row(source)[e];
                }
            }
            let y = &mut y.row(row)[e];
            *y = if params.accumulate == 0 { sum } else { *y + sum };
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, x, d_weight) = (args.read(0), args.read(1), args.write(2));
    for (e, d) in d_weight.data.chunks_exact_mut(params.weights()).enumerate() {
        if params.accumulate == 0 {
            d.fill(F::ZERO);
        }
        for tap in 0..params.taps as usize {
            let (at, sign) = params.slope(tap);
            let mut sum = F::ZERO;
            for row in 0..params.rows() {
                if let Some(source) = params.source(row, tap) {
                    sum += d_y.row(row)[e] * x.row(source)[e];
                }
            }
            d[at] += F::of(f64::from(sign)) * sum;
        }
    }
}

/// The weight is packed tap by tap, so that channels lie side by side.
fn cpu_forward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (x, weight, bias, mut y) = (args.read(0), args.read(1), args.read_optional(2), args.write(3));
    let channels = params.channels as usize;
    let packed = take(&mut args.scratch, channels * params.taps as usize);
    for (tap, row) in packed.chunks_exact_mut(channels).enumerate() {
        row.iter_mut().enumerate().for_each(|(e, to)| *to = params.weight(weight.data, e, tap));
    }
    for row in 0..params.rows() {
        let y = y.row(row);
        match &bias {
            Some(bias) => y.copy_from_slice(&bias.data[..channels]),
            None if params.accumulate == 0 => y.fill(0.0),
            None => {}
        }
        for (tap, weight) in packed.chunks_exact(channels).enumerate() {
            if let Some(source) = params.source(row, tap) {
                each([weight, x.row(source)], [&mut *y], [], |[w, x], [y]| ([y + w * x], []));
            }
        }
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, x, d_weight) = (args.read(0), args.read(1), args.write(2));
    let channels = params.channels as usize;
    let sums = take(&mut args.scratch, channels * params.weights());
    sums.fill(0.0);
    for row in 0..params.rows() {
        for tap in 0..params.taps as usize {
            if let Some(source) = params.source(row, tap) {
                let (at, sign) = params.slope(tap);
                let (sum, sign) = (&mut sums[at * channels..][..channels], f32x4::splat(sign));
                each([d_y.row(row), x.row(source)], [sum], [], |[d_y, x], [sum]| ([sum + sign * d_y * x], []));
            }
        }
    }
    for (at, sums) in sums.chunks_exact(channels).enumerate() {
        for (e, sum) in sums.iter().enumerate() {
            let d = &mut d_weight.data[e * params.weights() + at];
            *d = if params.accumulate == 0 { *sum } else { *d + sum };
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "causal_conv",
    summary: "a causal depthwise convolution over time, and the token shift",
    shader: shader!("../../shaders/causal_conv.wgsl"),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance { relative: 2e-6, reason: "the same products, what is there already added first" },
    on_gpu: Tolerance { relative: 1e-5, reason: "sums in strands, products and sums fused or not" },
};
