//! L = Σ_n w_n · mean_o (y_no − t_no)² / Σ_n w_n, with weights per row.
//!
//! `y` and `target` are `[N, O]`, `weight` is `[N]` (0 masks a row), `losses` is `[N]` (each row's own mean, unweighted), `result` is
//! `[3]`: loss, share of rows with every |y − t| ≤ tolerance, Σ w; `d_y` `[N, O]` is 2 w (y − t) / (O · Σ w). With weights
//! 1 this is `torch.nn.MSELoss`. When Σ w is 0 the loss and its gradient are 0. Twin: `shaders/mean_squared_error.wgsl`.

use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    rows: u32,
    columns: u32,
    tolerance: f32,
}

/// Scores `y` against `target`, and puts ∂L/∂y into `d_y`.
pub fn forward(
    [y, target, weight]: [Tensor; 3],
    [losses, result]: [Tensor; 2],
    d_y: Option<Tensor>,
    tolerance: f32,
) -> Call {
    let params = Params { rows: y.shape.rows() as u32, columns: y.shape.columns() as u32, tolerance };
    Call::new(&FORWARD, params, &[Some(y), Some(target), Some(weight), Some(losses), Some(result), d_y])
}

/// The forward entry; its gradient rule is the start of every backward pass, with ∂L/∂L = 1.
pub static FORWARD: Entry = Entry {
    label: "mean_squared_error.forward",
    operands: &[
        Operand::read("y"),
        Operand::read("targets"),
        Operand::read("weight"),
        Operand::write("losses"),
        Operand::write("result"),
        Operand::write("d_y").optional(),
    ],
    reference: reference!(score),
    cpu: score,
    scratch: no_scratch,
    grid: |_| [1, 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: Some(|tape, call| {
        if let Some(d_y) = call.operands[5] {
            tape.provide(call.tensor(0), d_y);
        }
    }),
};

fn score<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (y, target, weight) = (args.read(0), args.read(1), args.read(2));
    let (losses, result, mut d_y) = (args.write(3), args.write(4), args.write_optional(5));
    let (mut loss, mut hits, mut total) = (F::ZERO, F::ZERO, F::ZERO);
    weight.data[..params.rows as usize].iter().for_each(|&w| total += w);
    let columns = F::of(f64::from(params.columns));
    for row in 0..params.rows as usize {
        let (mut sum, mut hit) = (F::ZERO, true);
        for (&y, &target) in y.row(row).iter().zip(target.row(row)) {
            let error = y - target;
            sum += error * error;
            hit &= error.abs() <= F::of(f64::from(params.tolerance));
        }
        let mean = sum / columns;
        losses.data[row] = mean;
        let w = weight.data[row];
        if w != F::ZERO {
            loss += w * mean;
            hits += if hit { w } else { F::ZERO };
        }
        if let Some(d_y) = &mut d_y {
            let scale = if w == F::ZERO { F::ZERO } else { F::of(2.0) * w / (columns * total) };
            for ((d_y, &y), &target) in d_y.row(row).iter_mut().zip(y.row(row)).zip(target.row(row)) {
                *d_y = if scale == F::ZERO { F::ZERO } else { scale * (y - target) };
            }
        }
    }
    let share = |sum: F| if total == F::ZERO { F::ZERO } else { sum / total };
    result.data[..3].copy_from_slice(&[share(loss), share(hits), total]);
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "mean_squared_error",
    summary: "weighted mean squared error",
    shader: shader!("../../shaders/mean_squared_error.wgsl", "../../shaders/helpers/score.wgsl"),
    entries: &[&FORWARD],
    tolerance: Tolerance { relative: 0.0, reason: "the same operations in the same order" },
    on_gpu: Tolerance { relative: 1e-5, reason: "sums over rows in another order" },
};
