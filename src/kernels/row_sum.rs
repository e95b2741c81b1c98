//! y = Σ rows of x, or y += …: the gradient of a bias, which every row has seen.
//!
//! `x` is `[rows, n]`, `y` is `[n]`. Twin: `shaders/row_sum.wgsl`.

use super::simd::each;
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Rectangle, Tolerance, no_scratch};
use crate::shape::Tensor;

/// y = Σ rows of x, or y += ….
pub fn forward(x: Tensor, y: Tensor, accumulate: bool) -> Call {
    assert_eq!(x.shape.columns(), y.shape.len(), "row_sum: x is {}, y is {}", x.shape, y.shape);
    Call::new(&FORWARD, Rectangle::of(x, accumulate), &[Some(x.flat()), Some(y)])
}

/// True for a sum that does not add to anything.
pub fn is_fresh(call: &Call) -> bool {
    std::ptr::eq(call.entry, &FORWARD) && call.params::<Rectangle>().accumulate == 0
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "row_sum.forward",
    operands: &[Operand::read("x"), Operand::update("y")],
    reference: reference!(reference),
    cpu,
    scratch: no_scratch,
    grid: |call| [(call.tensor(1).shape.len() as u32).div_ceil(64), 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: None,
};

fn reference<F: Real>(mut args: Arguments<F>) {
    let params: Rectangle = args.params();
    let (x, y) = (args.read(0), args.write(1));
    let y = &mut y.data[..params.columns as usize];
    if params.accumulate == 0 {
        y.fill(F::ZERO);
    }
    for row in 0..params.rows as usize {
        for (y, &x) in y.iter_mut().zip(x.row(row)) {
            *y += x;
        }
    }
}

/// Four rows a pass, in their order: the sums travel to memory and back a quarter as often.
fn cpu(mut args: Arguments<f32>) {
    let params: Rectangle = args.params();
    let (x, y) = (args.read(0), args.write(1));
    let y = &mut y.data[..params.columns as usize];
    if params.accumulate == 0 {
        y.fill(0.0);
    }
    let rows = params.rows as usize;
    let body = rows / 4 * 4;
    for first in (0..body).step_by(4) {
        let four = std::array::from_fn(|next| x.row(first + next));
        each(four, [&mut *y], [], |[r0, r1, r2, r3], [sum]| ([sum + r0 + r1 + r2 + r3], []));
    }
    for row in body..rows {
        each([x.row(row)], [&mut *y], [], |[row], [sum]| ([sum + row], []));
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "row_sum",
    summary: "the sum of all rows",
    shader: shader!("../../shaders/row_sum.wgsl"),
    entries: &[&FORWARD],
    tolerance: Tolerance { relative: 0.0, reason: "the same additions in the same order" },
    on_gpu: Tolerance { relative: 1e-6, reason: "the same additions in the same order, denormals flushed" },
};
