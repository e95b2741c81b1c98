//! RMSprop, as `torch.optim.RMSprop`: g ← clip(g) + λp;  v ← αv + (1 − α)g²;  b ← μb + g/(√v + ε);  p ← p − η·b.
//!
//! v starts at 0 without correction, so the first step is about η/√(1 − α) in every coordinate: ten times η with α = 0.99.
//! All operands are flat, `[P]`. Tieleman and Hinton 2012 (Coursera, Neural Networks for Machine Learning, lecture 6.5).
//! Twin: `shaders/rmsprop.wgsl`.

use super::update::{
    EPSILON, LEARNING_RATE, MAX_VALUE, MOMENTUM, PER_WORKGROUP, SQUARES, WEIGHT_DECAY, clip, coefficient,
};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    n: u32,
}

/// One update. `norm` is the result of the norm kernel.
pub fn forward(parameters: Tensor, gradient: Tensor, [v, b]: [Tensor; 2], hyper: Tensor, norm: Tensor) -> Call {
    let params = Params { n: parameters.shape.len() as u32 };
    Call::new(&FORWARD, params, &[parameters, gradient, v, b, hyper, norm].map(Some))
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "rmsprop.forward",
    operands: &[
        Operand::update("parameters"),
        Operand::read("gradient"),
        Operand::update("v"),
        Operand::update("b"),
        Operand::read("hyper"),
        Operand::update("norm"),
    ],
    reference: reference!(run),
    cpu: run,
    scratch: no_scratch,
    grid: |call| [(call.tensor(0).shape.len() as u32).div_ceil(PER_WORKGROUP), 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: None,
};

fn run<F: Real>(mut args: Arguments<F>) {
    let (parameters, gradient, v, b) = (args.write(0), args.read(1), args.write(2), args.write(3));
    let (hyper, norm) = (args.read(4).data, args.write(5).data);
    let (rate, decay, momentum) = (hyper[LEARNING_RATE], hyper[WEIGHT_DECAY], hyper[MOMENTUM]);
    let (alpha, epsilon) = (hyper[SQUARES], hyper[EPSILON]);
    let (coefficient, max_value) = (coefficient(norm, hyper), hyper[MAX_VALUE]);
    if coefficient < F::ZERO {
        return;
    }
    for (((p, &g), v), b) in parameters.data.iter_mut().zip(gradient.data).zip(v.data).zip(b.data) {
        let g = clip(g, coefficient, max_value) + decay * *p;
        *v = alpha * *v + (F::ONE - alpha) * g * g;
        *b = momentum * *b + g / (v.sqrt() + epsilon);
        *p = *p - rate * *b;
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "rmsprop",
    summary: "RMSprop",
    shader: shader!(
        "../../shaders/rmsprop.wgsl",
        "../../shaders/helpers/update.wgsl",
        "../../shaders/helpers/parts.wgsl",
        "../../shaders/helpers/clip.wgsl"
    ),
    entries: &[&FORWARD],
    tolerance: Tolerance { relative: 0.0, reason: "the same operations in the same order" },
    on_gpu: Tolerance {
        relative: 1e-6,
        reason: "quotients and roots within 3 units in the last place, products and sums fused or not",
    },
};
