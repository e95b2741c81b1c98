//! Layer normalisation, row by row: y = w ⊙ x̂ + b with x̂ = (x − μ) / √(σ² + ε), or without centring, y = w ⊙ x / √(mean(x²) + ε).
//!
//! μ and σ² are mean and biased variance of a row, ε = 10⁻⁵: `torch.nn.LayerNorm` (Ba et al. 2016, arXiv:1607.06450), and uncentred
//! `torch.nn.RMSNorm` with eps = 1e-5 (Zhang and Sennrich 2019, arXiv:1910.07467). `x` and `y` are `[rows, n]`, `weight` and `bias` `[n]`.
//! With g = ∂L/∂y ⊙ w and s = 1 / √(σ² + ε): ∂L/∂x = s (g − mean(g) − x̂ mean(g ⊙ x̂)), without mean(g) when uncentred; the gradients of
//! weight and bias are the sums of the rows of ∂L/∂y ⊙ x̂ and ∂L/∂y. Twin: `shaders/layer_norm.wgsl`.

use super::simd::{self, each};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch, row_sum};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

/// ε.
pub const EPSILON: f64 = 1e-5;

/// Rows of a workgroup of the shader.
pub const ROWS: u32 = 8;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    /// Rows.
    rows: u32,
    /// n.
    columns: u32,
    /// 1: subtract the mean; 0: root mean square.
    centred: u32,
    /// Backwards: 1 adds to `d_x`.
    accumulate: u32,
}

/// Normalises the rows of `x` into `y`; uncentred when `centred` is false.
pub fn forward(x: Tensor, weight: Tensor, bias: Option<Tensor>, y: Tensor, centred: bool) -> Call {
    let columns = x.shape.columns();
    assert_eq!(x.shape.len(), y.shape.len(), "layer_norm: x is {}, y is {}", x.shape, y.shape);
    assert_eq!(weight.shape.len(), columns, "layer_norm: weight is {}, x is {}", weight.shape, x.shape);
    let params =
        Params { rows: x.shape.rows() as u32, columns: columns as u32, centred: u32::from(centred), accumulate: 0 };
    Call::new(&FORWARD, params, &[Some(x.flat()), Some(weight), bias, Some(y.flat())])
}

fn grid(call: &Call) -> [u32; 3] {
    [call.params::<Params>().rows.div_ceil(ROWS), 1, 1]
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "layer_norm.forward",
    operands: &[Operand::read("x"), Operand::read("weight"), Operand::read("bias").optional(), Operand::write("y")],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch: no_scratch,
    grid,
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
        let d_weighted = tape.wants(weight).then(|| tape.temporary("d_weighted", d_y.flat().shape));
        let d_x = tape.contribute(x);
        let accumulate = u32::from(d_x.is_some_and(|(_, accumulate)| accumulate));
        let params = Params { accumulate, ..call.params() };
        let d_x = d_x.map(|(d_x, _)| d_x.flat());
        tape.record(Call::new(&BACKWARD, params, &[Some(d_y.flat()), Some(x), Some(weight), d_x, d_weighted]));
        if let Some(d_weighted) = d_weighted
            && let Some((d_weight, accumulate)) = tape.contribute(weight)
        {
            tape.record(row_sum::forward(d_weighted, d_weight, accumulate));
        }
    }),
};

/// The backward entry. `d_weighted` is ∂L/∂y ⊙ x̂.
pub static BACKWARD: Entry = Entry {
    label: "layer_norm.backward",
    operands: &[
        Operand::read("d_y"),
        Operand::read("x"),
        Operand::read("weight"),
        Operand::update("d_x").optional(),
        Operand::write("d_weighted").optional(),
    ],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch: |call| call.params::<Params>().columns as usize,
    grid,
    flop: |_| 0,
    parts: None,
    gradient: None,
};

/// μ (0 when uncentred) and s of a row.
fn statistics<F: Real>(x: &[F], centred: bool) -> [F; 2] {
    let n = F::of(x.len() as f64);
    let (mut sum, mut squares) = (F::ZERO, F::ZERO);
    if centred {
        x.iter().for_each(|&x| sum += x);
    }
    let mean = sum / n;
    for &x in x {
        squares += (x - mean) * (x - mean);
    }
    [mean, F::ONE / (squares / n + F::of(EPSILON)).sqrt()]
}

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (x, weight, bias, mut y) = (args.read(0), args.read(1), args.read_optional(2), args.write(3));
    for row in 0..params.rows as usize {
        let [mean, scale] = statistics(x.row(row), params.centred == 1);
        for (j, (y, &x)) in y.row(row).iter_mut().zip(x.row(row)).enumerate() {
            *y = (x - mean) * scale * weight.data[j] + bias.as_ref().map_or(F::ZERO, |bias| bias.data[j]);
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, x, weight) = (args.read(0), args.read(1), args.read(2));
    let (mut d_x, mut d_weighted) = (args.write_optional(3), args.write_optional(4));
    let n = F::of(f64::from(params.columns));
    for row in 0..params.rows as usize {
        let [mean, scale] = statistics(x.row(row), params.centred == 1);
        let unit = |j: usize| (x.row(row)[j] - mean) * scale;
        let (mut sum, mut along) = (F::ZERO, F::ZERO);
        for (j, (&d_y, &w)) in d_y.row(row).iter().zip(weight.data).enumerate() {
            sum += d_y * w;
            along += d_y * w * unit(j);
        }
        let sum = if params.centred == 1 { sum / n } else { F::ZERO };
        let along = along / n;
        for (j, (&d_y, &w)) in d_y.row(row).iter().zip(weight.data).enumerate() {
            if let Some(d_x) = &mut d_x {
                let d = scale * (d_y * w - sum - unit(j) * along);
                let d_x = &mut d_x.row(row)[j];
                *d_x = if params.accumulate == 0 { d } else { *d_x + d };
            }
            if let Some(d_weighted) = &mut d_weighted {
                d_weighted.row(row)[j] = d_y * unit(j);
            }
        }
    }
}

/// Writes x̂, and returns s.
fn normalise(x: &[f32], centred: bool, to: &mut [f32]) -> f32 {
    let n = x.len() as f32;
    let (mut sum, mut squares) = (f32x4::splat(0.0), f32x4::splat(0.0));
    if centred {
        each([x], [], [], |[x], []| {
            sum += x;
            ([], [])
        });
    }
    let mean = f32x4::splat(simd::total(sum) / n);
    each([x], [], [&mut *to], |[x], []| ([], [x - mean]));
    each([&*to], [], [], |[x], []| {
        squares += x * x;
        ([], [])
    });
    let scale = 1.0 / (simd::total(squares) / n + EPSILON as f32).sqrt();
    each([], [to], [], |[], [x]| ([x * f32x4::splat(scale)], []));
    scale
}

fn cpu_forward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (x, weight, bias, mut y) = (args.read(0), args.read(1), args.read_optional(2), args.write(3));
    for row in 0..params.rows as usize {
        let y = y.row(row);
        normalise(x.row(row), params.centred == 1, y);
        match &bias {
            Some(bias) => each([weight.data, bias.data], [y], [], |[w, b], [y]| ([y * w + b], [])),
            None => each([weight.data], [y], [], |[w], [y]| ([y * w], [])),
        }
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, x, weight) = (args.read(0), args.read(1), args.read(2));
    let (mut d_x, mut d_weighted) = (args.write_optional(3), args.write_optional(4));
    let n = params.columns as f32;
    let unit = &mut args.scratch[..params.columns as usize];
    for row in 0..params.rows as usize {
        let d_y = d_y.row(row);
        let scale = f32x4::splat(normalise(x.row(row), params.centred == 1, unit));
        if let Some(d_weighted) = &mut d_weighted {
            each([d_y, unit], [], [d_weighted.row(row)], |[d_y, unit], []| ([], [d_y * unit]));
        }
        let Some(d_x) = &mut d_x else { continue };
        let (mut sum, mut along) = (f32x4::splat(0.0), f32x4::splat(0.0));
        each([d_y, weight.data, unit], [], [], |[d_y, w, unit], []| {
            sum += d_y * w;
            along += d_y * w * unit;
            ([], [])
        });
        let sum = f32x4::splat(if params.centred == 1 { simd::total(sum) / n } else { 0.0 });
        let along = f32x4::splat(simd::total(along) / n);
        each([d_y, weight.data, unit], [d_x.row(row)], [], |[d_y, w, unit], [before]| {
            let d = scale * (d_y * w - sum - unit * along);
            ([if params.accumulate == 0 { d } else { before + d }], [])
        });
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "layer_norm",
    summary: "layer normalisation, with or without centring",
    shader: shader!("../../shaders/layer_norm.wgsl"),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance { relative: 4e-6, reason: "sums of a row in four lanes instead of one" },
    on_gpu: Tolerance { relative: 1e-5, reason: "sums of a row in eight parts, products and sums fused or not" },
};
