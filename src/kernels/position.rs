//! y_t += p_t: a learnt vector for each timestep, the same for all sequences.
//!
//! `weight` is `[positions, H]`, `y` `[T, B, H]` with T ≤ positions. ∂L/∂p_t is the sum of ∂L/∂y_t over the batch, 0 for positions that no
//! timestep has; the adjoint of y stays as it is. Gehring et al. 2017, arXiv:1705.03122. Twin: `shaders/position.wgsl`.

use super::simd::each;
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Rows, RowsMut, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};

/// Sizes and switches.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// T.
    pub n_steps: u32,
    /// B.
    pub batch: u32,
    /// H.
    pub columns: u32,
    /// Rows of the weight.
    pub positions: u32,
    /// Backwards: 1 adds to the gradient.
    pub accumulate: u32,
}

/// Adds the rows of `weight` to `y`.
pub fn forward(weight: Tensor, y: Tensor) -> Call {
    let [n_steps, batch, columns] = [0, 1, 2].map(|axis| y.shape.extent(axis) as u32);
    let positions = weight.shape.rows() as u32;
    assert!(positions >= n_steps && weight.shape.columns() as u32 == columns, "position: y is {}", y.shape);
    let params = Params { n_steps, batch, columns, positions, accumulate: 0 };
    Call::new(&FORWARD, params, &[Some(weight), Some(y)])
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "position.forward",
    operands: &[Operand::read("weight"), Operand::update("y")],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch: no_scratch,
    grid: |call| [(call.tensor(1).shape.len() as u32).div_ceil(256), 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: Some(|tape, call| {
        if let Some(d_y) = tape.adjoint(call.tensor(1))
            && let Some((d_weight, accumulate)) = tape.contribute(call.tensor(0))
        {
            let params = Params { accumulate: u32::from(accumulate), ..call.params() };
            tape.record(Call::new(&BACKWARD, params, &[Some(d_y), Some(d_weight)]));
        }
    }),
};

/// The backward entry.
pub static BACKWARD: Entry = Entry {
    label: "position.backward",
    operands: &[Operand::read("d_y"), Operand::update("d_weight")],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch: no_scratch,
    grid: |call| [(call.tensor(1).shape.len() as u32).div_ceil(64), 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: None,
};

/// Adds to every row of `y` by `add`, which gets the row and its position's weight.
fn forward_rows<F: Real>(mut args: Arguments<F>, add: impl Fn(&mut [F], &[F])) {
    let params: Params = args.params();
    let (weight, mut y) = (args.read(0), args.write(1));
    for row in 0..(params.n_steps * params.batch) as usize {
        add(y.row(row), weight.row(row / params.batch as usize));
    }
}

/// Sums the rows of each timestep by `add`.
fn backward_rows<F: Real>(mut args: Arguments<F>, add: impl Fn(&mut [F], &[F])) {
    let params: Params = args.params();
    let (d_y, mut d_weight): (Rows<F>, RowsMut<F>) = (args.read(0), args.write(1));
    for position in 0..params.positions as usize {
        let sum = d_weight.row(position);
        if params.accumulate == 0 {
            sum.fill(F::ZERO);
        }
        let rows = if position < params.n_steps as usize { params.batch as usize } else { 0 };
        (0..rows).for_each(|b| add(sum, d_y.row(position * params.batch as usize + b)));
    }
}

fn plain<F: Real>(to: &mut [F], from: &[F]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
}

fn lanes(to: &mut [f32], from: &[f32]) {
    each([from], [to], [], |[from], [to]| ([to + from], []));
}

fn reference_forward<F: Real>(args: Arguments<F>) {
    forward_rows(args, plain);
}

fn reference_backward<F: Real>(args: Arguments<F>) {
    backward_rows(args, plain);
}

fn cpu_forward(args: Arguments<f32>) {
    forward_rows(args, lanes);
}

fn cpu_backward(args: Arguments<f32>) {
    backward_rows(args, lanes);
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "position",
    summary: "a learnt vector for each timestep",
    shader: shader!("../../shaders/position.wgsl"),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance { relative: 0.0, reason: "the same additions in the same order" },
    on_gpu: Tolerance { relative: 1e-6, reason: "the same additions in the same order" },
};
