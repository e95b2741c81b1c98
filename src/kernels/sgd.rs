//! Stochastic gradient descent with momentum, as `torch.optim.SGD`:
//! g ← clip(g) + λp;  b ← μb + g;  p ← p − η·(g + μb) with Nesterov, else p ← p − η·b.
//!
//! All operands are flat, `[P]`; `b` starts at 0, so the first step has b = g. Sutskever et al. 2013 (PMLR 28(3):1139) for Nesterov.
//! Twin: `shaders/sgd.wgsl`.

use super::update::{LEARNING_RATE, MAX_VALUE, MOMENTUM, NESTEROV, PER_WORKGROUP, WEIGHT_DECAY, clip, coefficient};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    n: u32,
}

/// One update. `norm` is the result of the norm kernel.
pub fn forward(parameters: Tensor, gradient: Tensor, velocity: Tensor, hyper: Tensor, norm: Tensor) -> Call {
    let params = Params { n: parameters.shape.len() as u32 };
    Call::new(&FORWARD, params, &[parameters, gradient, velocity, hyper, norm].map(Some))
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "sgd.forward",
    operands: &[
        Operand::update("parameters"),
        Operand::read("gradient"),
        Operand::update("velocity"),
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
    let (parameters, gradient, velocity) = (args.write(0), args.read(1), args.write(2));
    let (hyper, norm) = (args.read(3).data, args.write(4).data);
    let (rate, decay, momentum) = (hyper[LEARNING_RATE], hyper[WEIGHT_DECAY], hyper[MOMENTUM]);
    let nesterov = hyper[NESTEROV] != F::ZERO;
    let (coefficient, max_value) = (coefficient(norm, hyper), hyper[MAX_VALUE]);
    if coefficient < F::ZERO {
        return;
    }
    for ((p, &g), b) in parameters.data.iter_mut().zip(gradient.data).zip(velocity.data) {
        let g = clip(g, coefficient, max_value) + decay * *p;
        *b = momentum * *b + g;
        *p = *p - rate * if nesterov { g + momentum * *b } else { *b };
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "sgd",
    summary: "stochastic gradient descent with momentum",
    shader: shader!(
        "../../shaders/sgd.wgsl",
        "../../shaders/helpers/update.wgsl",
        "../../shaders/helpers/parts.wgsl",
        "../../shaders/helpers/clip.wgsl"
    ),
    entries: &[&FORWARD],
    tolerance: Tolerance { relative: 0.0, reason: "the same operations in the same order" },
    on_gpu: Tolerance { relative: 1e-6, reason: "products and sums fused or not" },
};
