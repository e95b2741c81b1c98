//! Adam and AdamW, as `torch.optim`: with g ← clip(g) (+ λp for Adam; AdamW scales p ← p·(1 − ηλ) first),
//! m ← m + (1 − β₁)(g − m);  v ← β₂v + (1 − β₂)g²;  p ← p − η/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε).
//!
//! ε is added after the correction of √v. All operands are flat, `[P]`; the corrections of step t come through `hyper`.
//! Kingma and Ba 2015 (arXiv:1412.6980); Loshchilov and Hutter 2019 (arXiv:1711.05101). Twin: `shaders/adam.wgsl`.

use super::simd::{clamp, each};
use super::update::{
    EPSILON, LEARNING_RATE, MAX_VALUE, MOMENTUM, PER_WORKGROUP, ROOT_CORRECTION, SQUARES, STEP_SIZE, WEIGHT_DECAY,
    clip, coefficient,
};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    n: u32,
    decoupled: u32,
}

/// One update; `decoupled` makes it AdamW. `norm` is the result of the norm kernel.
pub fn forward(
    parameters: Tensor,
    gradient: Tensor,
    [m, v]: [Tensor; 2],
    hyper: Tensor,
    norm: Tensor,
    decoupled: bool,
) -> Call {
    let params = Params { n: parameters.shape.len() as u32, decoupled: u32::from(decoupled) };
    Call::new(&FORWARD, params, &[parameters, gradient, m, v, hyper, norm].map(Some))
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "adam.forward",
    operands: &[
        Operand::update("parameters"),
        Operand::read("gradient"),
        Operand::update("m"),
        Operand::update("v"),
        Operand::read("hyper"),
        Operand::update("norm"),
    ],
    reference: reference!(run),
    cpu,
    scratch: no_scratch,
    grid: |call| [(call.tensor(0).shape.len() as u32).div_ceil(PER_WORKGROUP), 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: None,
};

fn run<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (parameters, gradient, m, v) = (args.write(0), args.read(1), args.write(2), args.write(3));
    let (hyper, norm) = (args.read(4).data, args.write(5).data);
    let (rate, decay, epsilon) = (hyper[LEARNING_RATE], hyper[WEIGHT_DECAY], hyper[EPSILON]);
    let (beta1, beta2) = (hyper[MOMENTUM], hyper[SQUARES]);
    let (step_size, root) = (hyper[STEP_SIZE], hyper[ROOT_CORRECTION]);
    let (coefficient, max_value) = (coefficient(norm, hyper), hyper[MAX_VALUE]);
    if coefficient < F::ZERO {
        return;
    }
    let (shrink, penalty) = if params.decoupled == 0 { (F::ONE, decay) } else { (F::ONE - rate * decay, F::ZERO) };
    for (((p, &g), m), v) in parameters.data.iter_mut().zip(gradient.data).zip(m.data).zip(v.data) {
        let weight = *p * shrink;
        let g = clip(g, coefficient, max_value) + penalty * weight;
        *m = *m + (F::ONE - beta1) * (g - *m);
        *v = beta2 * *v + (F::ONE - beta2) * g * g;
        *p = weight - step_size * *m / (v.sqrt() / root + epsilon);
    }
}

/// The same operations, four parameters at a time.
fn cpu(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (parameters, gradient, m, v) = (args.write(0), args.read(1), args.write(2), args.write(3));
    let (hyper, norm) = (args.read(4).data, args.write(5).data);
    let coefficient = coefficient(norm, hyper);
    if coefficient < 0.0 {
        return;
    }
    let (rate, decay) = (hyper[LEARNING_RATE], hyper[WEIGHT_DECAY]);
    let (shrink, penalty) = if params.decoupled == 0 { (1.0, decay) } else { (1.0 - rate * decay, 0.0) };
    let [shrink, penalty, coefficient, new, beta2, new2, step_size, root, epsilon] = [
        shrink,
        penalty,
        coefficient,
        1.0 - hyper[MOMENTUM],
        hyper[SQUARES],
        1.0 - hyper[SQUARES],
        hyper[STEP_SIZE],
        hyper[ROOT_CORRECTION],
        hyper[EPSILON],
    ]
    .map(f32x4::splat);
    let bounds = [-hyper[MAX_VALUE], hyper[MAX_VALUE]].map(f32x4::splat);
    each([gradient.data], [parameters.data, m.data, v.data], [], |[g], [p, m, v]| {
        let weight = p * shrink;
        let g = clamp(g * coefficient, bounds) + penalty * weight;
        let m = m + new * (g - m);
        let v = beta2 * v + new2 * g * g;
        ([weight - step_size * m / (v.sqrt() / root + epsilon), m, v], [])
    });
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "adam",
    summary: "Adam and AdamW",
    shader: shader!(
        "../../shaders/adam.wgsl",
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
