//! y = x, or y += x.
//!
//! Twin: `shaders/copy.wgsl`.

use super::{Arguments, Call, Entry, Kernel, Operand, Real, Rectangle, Tolerance, no_scratch};
use crate::shape::Tensor;

/// Copies `x` to `y`, both of one size, or adds it.
pub fn forward(x: Tensor, y: Tensor, accumulate: bool) -> Call {
    assert_eq!(x.shape.len(), y.shape.len(), "copy: x is {}, y is {}", x.shape, y.shape);
    Call::new(&FORWARD, Rectangle::of(x, accumulate), &[Some(x), Some(y)])
}

/// ∂L/∂x += ∂L/∂y.
pub static FORWARD: Entry = Entry {
    label: "copy.forward",
    operands: &[Operand::read("x"), Operand::update("y")],
    reference: reference!(run),
    cpu: run,
    scratch: no_scratch,
    grid: |call| [(call.tensor(0).shape.len() as u32).div_ceil(256), 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: Some(|tape, call| {
        let (x, y) = (call.tensor(0), call.tensor(1));
        if let Some(d_y) = tape.adjoint(y)
            && let Some((d_x, accumulate)) = tape.contribute(x)
        {
            tape.record(forward(d_y, d_x, accumulate));
        }
    }),
};

fn run<F: Real>(mut args: Arguments<F>) {
    let params: Rectangle = args.params();
    let (x, mut y) = (args.read(0), args.write(1));
    for row in 0..params.rows as usize {
        let (from, to) = (x.row(row), y.row(row));
        if params.accumulate == 0 {
            to.copy_from_slice(from);
        } else {
            for (to, &from) in to.iter_mut().zip(from) {
                *to += from;
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "copy",
    summary: "y = x, or y += x",
    shader: shader!("../../shaders/copy.wgsl"),
    entries: &[&FORWARD],
    tolerance: Tolerance { relative: 0.0, reason: "at most one addition, rounded the same way everywhere" },
    on_gpu: Tolerance { relative: 1e-6, reason: "at most one addition" },
};
