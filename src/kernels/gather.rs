//! y = W · onehot(s) + bias, or y += W · onehot(s): the product with one-hot vectors, which only picks columns of W. The adjoint scatters:
//! ∂L/∂W[:, s_r] += ∂L/∂y_r.
//!
//! `symbols` is `[rows]` with values below V, `w` is `[n, V]` as PyTorch stores it, `bias` is `[n]`, `y` is `[rows, n]`.
//! Twin: `shaders/gather.wgsl`.

use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, row_sum};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};

/// Sizes and switches.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// Symbols.
    pub rows: u32,
    /// Elements that a symbol picks.
    pub n: u32,
    /// V.
    pub vocabulary: u32,
    /// 1: add to what is there; 0: overwrite.
    pub accumulate: u32,
}

fn params(w: Tensor, y: Tensor, accumulate: bool) -> Params {
    assert_eq!(w.shape.rows(), y.shape.columns(), "gather: w is {}, y is {}", w.shape, y.shape);
    Params {
        rows: y.shape.rows() as u32,
        n: y.shape.columns() as u32,
        vocabulary: w.shape.columns() as u32,
        accumulate: u32::from(accumulate),
    }
}

/// y = W · onehot(symbols), or y += …
pub fn forward(symbols: Tensor, w: Tensor, y: Tensor, accumulate: bool) -> Call {
    Call::new(&FORWARD, params(w, y, accumulate), &[Some(symbols), Some(w), Some(y), None])
}

/// y = W · onehot(symbols) + bias.
pub fn linear(symbols: Tensor, w: Tensor, bias: Tensor, y: Tensor) -> Call {
    assert_eq!(bias.shape.len(), y.shape.columns(), "gather: bias is {}, y is {}", bias.shape, y.shape);
    Call::new(&FORWARD, params(w, y, false), &[symbols, w, y, bias].map(Some))
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "gather.forward",
    operands: &[Operand::index("symbols"), Operand::read("w"), Operand::update("y"), Operand::read("bias").optional()],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch: |call| call.tensor(1).shape.len(),
    grid: |call| [(call.tensor(2).shape.len() as u32).div_ceil(256), 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: Some(|tape, call| {
        let (symbols, w, y) = (call.tensor(0), call.tensor(1), call.tensor(2));
        let Some(d_y) = tape.adjoint(y) else { return };
        if let Some(bias) = call.operands[3]
            && let Some((d_bias, accumulate)) = tape.contribute(bias)
        {
            tape.record(row_sum::forward(d_y, d_bias, accumulate));
        }
        if let Some((d_w, accumulate)) = tape.contribute(w) {
            tape.record(Call::new(&BACKWARD, params(d_w, d_y, accumulate), &[Some(symbols), Some(d_y), Some(d_w)]));
        }
    }),
};

/// The backward entry.
pub static BACKWARD: Entry = Entry {
    label: "gather.backward",
    operands: &[Operand::index("symbols"), Operand::read("d_y"), Operand::update("d_w")],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch: |call| call.tensor(2).shape.len(),
    grid: |call| {
        let params: Params = call.params();
        [params.n.div_ceil(32), params.vocabulary.div_ceil(64), 1]
    },
    flop: |_| 0,
    parts: None,
    gradient: None,
};

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (symbols, w, mut y, bias) = (args.index(0), args.read(1), args.write(2), args.read_optional(3));
    for (row, &symbol) in symbols.iter().enumerate().take(params.rows as usize) {
        for (j, y) in y.row(row).iter_mut().enumerate() {
            let value = w.row(j)[symbol as usize];
            let value = bias.as_ref().map_or(value, |bias| value + bias.data[j]);
            *y = if params.accumulate == 0 { value } else { *y + value };
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (symbols, d_y, mut d_w) = (args.index(0), args.read(1), args.write(2));
    for j in 0..params.n as usize {
        for v in 0..params.vocabulary as usize {
            let mut sum = F::ZERO;
            for (row, &symbol) in symbols.iter().enumerate().take(params.rows as usize) {
                if symbol as usize == v {
                    sum += d_y.row(row)[j];
                }
            }
            let d_w = &mut d_w.row(j)[v];
            *d_w = if params.accumulate == 0 { sum } else { *d_w + sum };
        }
    }
}

/// Transposes W once, with the bias in each row, so that every symbol is a contiguous row.
fn cpu_forward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let n = params.n as usize;
    let (symbols, w, mut y, bias) = (args.index(0), args.read(1), args.write(2), args.read_optional(3));
    for j in 0..n {
        let bias = bias.as_ref().map(|bias| bias.data[j]);
        for (v, &value) in w.row(j).iter().enumerate() {
            args.scratch[v * n + j] = bias.map_or(value, |bias| value + bias);
        }
    }
    for (row, &symbol) in symbols.iter().enumerate().take(params.rows as usize) {
        let column = &args.scratch[symbol as usize * n..][..n];
        let y = y.row(row);
        if params.accumulate == 0 {
            y.copy_from_slice(column);
        } else {
            for (y, &value) in y.iter_mut().zip(column) {
                *y += value;
            }
        }
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let n = params.n as usize;
    let (symbols, d_y, mut d_w) = (args.index(0), args.read(1), args.write(2));
    let sums = &mut args.scratch[..n * params.vocabulary as usize];
    sums.fill(0.0);
    for (row, &symbol) in symbols.iter().enumerate().take(params.rows as usize) {
        for (sum, &d_y) in sums[symbol as usize * n..][..n].iter_mut().zip(d_y.row(row)) {
            *sum += d_y;
        }
    }
    for j in 0..n {
        for (v, d_w) in d_w.row(j).iter_mut().enumerate() {
            let sum = sums[v * n + j];
            *d_w = if params.accumulate == 0 { sum } else { *d_w + sum };
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "gather",
    summary: "the product with one-hot vectors, and its scatter",
    shader: shader!("../../shaders/gather.wgsl"),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance { relative: 0.0, reason: "the same additions in the same order" },
    on_gpu: Tolerance { relative: 1e-6, reason: "the same additions in the same order" },
};
