//! y = b in every row: the start of a linear layer, to which products are added. ∂L/∂b is the sum of the rows of ∂L/∂y.
//!
//! `b` is `[n]`, `y` is `[rows, n]`. Twin: `shaders/bias.wgsl`.

use super::simd::each;
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Rectangle, Tolerance, no_scratch};
use crate::shape::Tensor;

/// y = b in every row, or y += b.
pub fn forward(b: Tensor, y: Tensor, accumulate: bool) -> Call {
    assert_eq!(b.shape.len(), y.shape.columns(), "bias: b is {}, y is {}", b.shape, y.shape);
    Call::new(&FORWARD, Rectangle::of(y, accumulate), &[Some(b), Some(y)])
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "bias.forward",
    operands: &[Operand::read("b"), Operand::update("y")],
    reference_f32: spread,
    reference_f64: spread,
    cpu: spread,
    scratch: no_scratch,
    grid: |call| [(call.tensor(1).shape.len() as u32).div_ceil(256), 1, 1],
    gradient: Some(|tape, call| {
        let (b, y) = (call.tensor(0), call.tensor(1));
        if let Some(d_y) = tape.adjoint(y)
            && let Some((d_b, accumulate)) = tape.contribute(b)
        {
            tape.record(backward(d_y, d_b, accumulate));
        }
    }),
};

/// d_b = Σ rows of d_y, or d_b += ….
pub fn backward(d_y: Tensor, d_b: Tensor, accumulate: bool) -> Call {
    Call::new(&BACKWARD, Rectangle::of(d_y, accumulate), &[Some(d_y.flat()), Some(d_b)])
}

/// True for a sum over rows that does not add to anything.
pub fn is_fresh_sum(call: &Call) -> bool {
    std::ptr::eq(call.entry, &BACKWARD) && call.params::<Rectangle>().accumulate == 0
}

/// The backward entry.
pub static BACKWARD: Entry = Entry {
    label: "bias.backward",
    operands: &[Operand::read("d_y"), Operand::update("d_b")],
    reference_f32: sum,
    reference_f64: sum,
    cpu: sum_simd,
    scratch: no_scratch,
    grid: |call| [(call.tensor(1).shape.len() as u32).div_ceil(64), 1, 1],
    gradient: None,
};

fn spread<F: Real>(mut args: Arguments<F>) {
    let params: Rectangle = args.params();
    let (b, mut y) = (args.read(0), args.write(1));
    for row in 0..params.rows as usize {
        let y = y.row(row);
        if params.accumulate == 0 {
            y.copy_from_slice(b.data);
        } else {
            for (y, &b) in y.iter_mut().zip(b.data) {
                *y += b;
            }
        }
    }
}

fn sum<F: Real>(mut args: Arguments<F>) {
    let params: Rectangle = args.params();
    let (d_y, d_b) = (args.read(0), args.write(1));
    let d_b = &mut d_b.data[..params.columns as usize];
    if params.accumulate == 0 {
        d_b.fill(F::ZERO);
    }
    for row in 0..params.rows as usize {
        for (d_b, &d_y) in d_b.iter_mut().zip(d_y.row(row)) {
            *d_b += d_y;
        }
    }
}

/// Four rows a pass, in their order: the sums travel to memory and back a quarter as often.
fn sum_simd(mut args: Arguments<f32>) {
    let params: Rectangle = args.params();
    let (d_y, d_b) = (args.read(0), args.write(1));
    let d_b = &mut d_b.data[..params.columns as usize];
    if params.accumulate == 0 {
        d_b.fill(0.0);
    }
    let rows = params.rows as usize;
    let body = rows / 4 * 4;
    for first in (0..body).step_by(4) {
        let four = std::array::from_fn(|next| d_y.row(first + next));
        each(four, [&mut *d_b], [], |[r0, r1, r2, r3], [sum]| ([sum + r0 + r1 + r2 + r3], []));
    }
    for row in body..rows {
        each([d_y.row(row)], [&mut *d_b], [], |[row], [sum]| ([sum + row], []));
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "bias",
    summary: "a bias in every row",
    shader: include_str!("../../shaders/bias.wgsl"),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance { relative: 0.0, reason: "the same additions in the same order" },
    on_gpu: Tolerance { relative: 1e-6, reason: "the same additions in the same order, denormals flushed" },
};
