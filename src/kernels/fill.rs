//! y = value: sets every element of a view.
//!
//! Twin: `shaders/fill.wgsl`.

use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    rows: u32,
    columns: u32,
    value: f32,
}

/// Fills `y` with `value`.
pub fn forward(y: Tensor, value: f32) -> Call {
    let params = Params { rows: y.shape.rows() as u32, columns: y.shape.columns() as u32, value };
    Call::new(&FORWARD, params, &[Some(y)])
}

/// True when a call of this kernel fills with 0.
pub fn is_zero(call: &Call) -> bool {
    call.params::<Params>().value == 0.0
}

/// The forward entry. Nothing is read, so nothing receives a gradient.
pub static FORWARD: Entry = Entry {
    label: "fill.forward",
    operands: &[Operand::write("y")],
    reference: reference!(run),
    cpu: run,
    scratch: no_scratch,
    grid: |call| [(call.tensor(0).shape.len() as u32).div_ceil(256), 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: Some(|_, _| {}),
};

fn run<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let mut y = args.write(0);
    for row in 0..params.rows as usize {
        y.row(row).fill(F::of(f64::from(params.value)));
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "fill",
    summary: "y = value",
    shader: shader!("../../shaders/fill.wgsl"),
    entries: &[&FORWARD],
    tolerance: Tolerance { relative: 0.0, reason: "nothing is computed" },
    on_gpu: Tolerance { relative: 0.0, reason: "nothing is computed" },
};
