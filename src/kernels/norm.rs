//! The global norm of the gradient and the coefficient that clips it:
//! n = ‖g‖₂, c = min(1, max / (n + 10⁻⁶)), as `torch.nn.utils.clip_grad_norm_` (Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063,
//! without the ε).
//!
//! `gradient` is the flat `[P]`, `hyper` the hyperparameters of [`super::update`], `norm` the result: n before clipping, c, the largest
//! |g|, and no parts. A c of −1 holds the update: optimisers then change nothing. It is set when n is not finite or above its bound in
//! `hyper`, and stays until somebody writes another, so that the steps that a GPU has already been given change nothing either.
//! Squares are added in f64, because an exploding gradient of 10²⁰ is a finite number whose square is none in f32.
//! Twin: `shaders/norm.wgsl`.

use super::update::{HYPER, N_PARTS, NORM, judge};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    n: u32,
}

/// Measures `gradient`.
pub fn forward(gradient: Tensor, hyper: Tensor, result: Tensor) -> Call {
    assert_eq!([hyper.shape.len(), result.shape.len()], [HYPER, NORM], "norm: hyper, result");
    Call::new(&FORWARD, Params { n: gradient.shape.len() as u32 }, &[gradient, hyper, result].map(Some))
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "norm.forward",
    operands: &[Operand::read("gradient"), Operand::read("hyper"), Operand::update("norm")],
    reference: reference!(reference),
    cpu,
    scratch: no_scratch,
    grid: |_| [1, 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: None,
};

fn finish<F: Real>(sum: f64, largest: F, hyper: &[F], result: &mut [F]) {
    judge(F::of(sum.sqrt()), largest, hyper, result);
    result[N_PARTS] = F::ZERO;
}

fn reference<F: Real>(mut args: Arguments<F>) {
    let (gradient, hyper, result) = (args.read(0), args.read(1), args.write(2));
    let (mut sum, mut largest) = (0.0, F::ZERO);
    for &g in gradient.data {
        sum += g.wide() * g.wide();
        largest = if g.abs() > largest { g.abs() } else { largest };
    }
    finish(sum, largest, hyper.data, result.data);
}

/// Four sums side by side, added in a fixed order.
fn cpu(mut args: Arguments<f32>) {
    let (gradient, hyper, result) = (args.read(0), args.read(1), args.write(2));
    let mut sums = [0.0_f64; 4];
    let mut largest = [0.0_f32; 4];
    for chunk in gradient.data.chunks(4) {
        for ((sum, largest), &g) in sums.iter_mut().zip(&mut largest).zip(chunk) {
            *sum += f64::from(g) * f64::from(g);
            *largest = if g.abs() > *largest { g.abs() } else { *largest };
        }
    }
    let largest = largest.into_iter().fold(0.0, f32::max);
    finish((sums[0] + sums[1]) + (sums[2] + sums[3]), largest, hyper.data, result.data);
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "norm",
    summary: "the global norm of the gradient and its clip coefficient",
    shader: shader!("../../shaders/norm.wgsl", "../../shaders/helpers/update.wgsl"),
    entries: &[&FORWARD],
    tolerance: Tolerance { relative: 2e-7, reason: "f64 sums in another order, rounded once to f32" },
    on_gpu: Tolerance { relative: 1e-6, reason: "sums in f32, relative to the largest element, as a tree" },
};
