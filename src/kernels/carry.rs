//! The state that a sequence starts from: what the batch before left, or zero where a row starts anew.
//!
//! s₀[k, b, :] = (1 − starts[b]) · carried[k, b, :]
//!
//! `carried` and `s0` are `[S, B, H]` (S states: h, or h and c), `starts` is `[B]`. No gradient crosses: this is where
//! backpropagation through time is truncated between batches. Twin: `shaders/carry.wgsl`.

use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    states: u32,
    batch: u32,
    hidden: u32,
}

/// Reads the carried states into `s0`.
pub fn forward(carried: Tensor, starts: Tensor, s0: Tensor) -> Call {
    let [states, batch, hidden] = [0, 1, 2].map(|axis| s0.shape.extent(axis) as u32);
    Call::new(&FORWARD, Params { states, batch, hidden }, &[Some(carried), Some(starts), Some(s0)])
}

/// The forward entry; its adjoint is dropped on purpose.
pub static FORWARD: Entry = Entry {
    label: "carry.forward",
    operands: &[Operand::read("carried"), Operand::read("starts"), Operand::write("s0")],
    reference: reference!(run),
    cpu: run,
    scratch: no_scratch,
    grid: |call| [(call.tensor(2).shape.len() as u32).div_ceil(256), 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: Some(|_, _| {}),
};

fn run<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (carried, starts, mut s0) = (args.read(0), args.read(1), args.write(2));
    for row in 0..(params.states * params.batch) as usize {
        if starts.data[row % params.batch as usize] == F::ZERO {
            s0.row(row).copy_from_slice(carried.row(row));
        } else {
            s0.row(row).fill(F::ZERO);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "carry",
    summary: "the state that a sequence starts from",
    shader: shader!("../../shaders/carry.wgsl"),
    entries: &[&FORWARD],
    tolerance: Tolerance { relative: 0.0, reason: "nothing is computed" },
    on_gpu: Tolerance { relative: 0.0, reason: "nothing is computed" },
};
