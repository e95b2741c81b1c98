//! C = op(A) · op(B), or C += op(A) · op(B), or a linear layer C = op(A) · op(B) + bias: the matrix core.
//!
//! op is the identity or the transpose: NN, NT and TN are the forms that training needs. With A `[m, k]` (or `[k, m]` when
//! transposed), B `[k, n]` (or `[n, k]`), C `[m, n]` and `bias` `[n]`; rows may be apart, columns are contiguous. The adjoints are products
//! again, ∂A = ∂C · op(B)ᵀ and ∂B = op(A)ᵀ · ∂C, and the sum of the rows of ∂C. Twin: `shaders/product.wgsl`.

use super::simd::{self, Strided, Target};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Rows, RowsMut, Tolerance, row_sum};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

/// Sizes and switches.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// Rows of C.
    pub m: u32,
    /// Columns of C.
    pub n: u32,
    /// Terms of each sum.
    pub k: u32,
    /// 1: A is stored `[k, m]`.
    pub a_transposed: u32,
    /// 1: B is stored `[n, k]`.
    pub b_transposed: u32,
    /// 1: add to C; 0: overwrite it.
    pub accumulate: u32,
}

/// One factor: the tensor as it is stored, and whether it enters transposed.
#[derive(Clone, Copy, Debug)]
pub struct Factor {
    /// As stored; leading extents are rows.
    pub tensor: Tensor,
    /// True for the transpose.
    pub transposed: bool,
}

/// The tensor itself.
pub fn plain(tensor: Tensor) -> Factor {
    Factor { tensor, transposed: false }
}

/// The transpose of the tensor.
pub fn transposed(tensor: Tensor) -> Factor {
    Factor { tensor, transposed: true }
}

/// C = A·B or C += A·B.
pub fn forward(a: Factor, b: Factor, c: Tensor, accumulate: bool) -> Call {
    record(a, b, c, None, accumulate)
}

/// C = A·B with `bias` added to every row.
pub fn linear(a: Factor, b: Factor, bias: Tensor, c: Tensor) -> Call {
    assert_eq!(bias.shape.len(), c.shape.columns(), "product: bias is {}, C is {}", bias.shape, c.shape);
    record(a, b, c, Some(bias), false)
}

fn record(a: Factor, b: Factor, c: Tensor, bias: Option<Tensor>, accumulate: bool) -> Call {
    let size = |factor: Factor| {
        let (rows, columns) = (factor.tensor.shape.rows(), factor.tensor.shape.columns());
        if factor.transposed { (columns, rows) } else { (rows, columns) }
    };
    let ((m, k), (k_b, n)) = (size(a), size(b));
    assert_eq!(k, k_b, "product: A is {m} × {k}, B is {k_b} × {n}");
    assert_eq!((m, n), (c.shape.rows(), c.shape.columns()), "product: C is {}", c.shape);
    let params = Params {
        m: m as u32,
        n: n as u32,
        k: k as u32,
        a_transposed: u32::from(a.transposed),
        b_transposed: u32::from(b.transposed),
        accumulate: u32::from(accumulate),
    };
    Call::new(&FORWARD, params, &[Some(a.tensor), Some(b.tensor), Some(c), bias])
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "product.forward",
    operands: &[Operand::read("a"), Operand::read("b"), Operand::update("c"), Operand::read("bias").optional()],
    reference: reference!(reference),
    cpu,
    scratch,
    grid: |call| {
        let params: Params = call.params();
        match params.n {
            0..=4 => [1, params.m.div_ceil(64), 1],
            n => [n.div_ceil(TILE), params.m.div_ceil(TILE), 1],
        }
    },
    flop: |call| {
        let Params { m, n, k, .. } = call.params();
        2 * u64::from(m) * u64::from(n) * u64::from(k)
    },
    parts: None,
    gradient: Some(|tape, call| {
        let params: Params = call.params();
        let (a, b, c) = (call.tensor(0), call.tensor(1), call.tensor(2));
        let Some(d_c) = tape.adjoint(c) else { return };
        if let Some(bias) = call.operands[3]
            && let Some((d_bias, accumulate)) = tape.contribute(bias)
        {
            tape.record(row_sum::forward(d_c, d_bias, accumulate));
        }
        if let Some((d_a, accumulate)) = tape.contribute(a) {
            let b = Factor { tensor: b, transposed: params.b_transposed == 0 };
            tape.record(if params.a_transposed == 0 {
                forward(plain(d_c), b, d_a, accumulate)
            } else {
                // A enters as Aᵀ: ∂A = op(B) · ∂Cᵀ.
                forward(Factor { transposed: !b.transposed, ..b }, transposed(d_c), d_a, accumulate)
            });
        }
        if let Some((d_b, accumulate)) = tape.contribute(b) {
            let a = Factor { tensor: a, transposed: params.a_transposed == 0 };
            tape.record(if params.b_transposed == 0 {
                forward(a, plain(d_c), d_b, accumulate)
            } else {
                forward(transposed(d_c), Factor { transposed: !a.transposed, ..a }, d_b, accumulate)
            });
        }
    }),
};

/// Side of the square of C that one workgroup of the shader computes.
pub const TILE: u32 = 64;

fn reference<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (a, b, mut c, bias) = (args.read(0), args.read(1), args.write(2), args.read_optional(3));
    let at = |rows: &Rows<F>, transposed: u32, i: usize, j: usize| {
        if transposed == 0 { rows.data[i * rows.stride + j] } else { rows.data[j * rows.stride + i] }
    };
    for i in 0..params.m as usize {
        for j in 0..params.n as usize {
            let mut sum = F::ZERO;
            for l in 0..params.k as usize {
                sum += at(&a, params.a_transposed, i, l) * at(&b, params.b_transposed, l, j);
            }
            if let Some(bias) = &bias {
                sum += bias.data[j];
            }
            let c = &mut c.row(i)[j];
            *c = if params.accumulate == 0 { sum } else { *c + sum };
        }
    }
}

/// Terms of a sum that are packed at a time: eight columns of them fit into the first-level cache.
const BLOCK: usize = 256;

/// How `cpu` goes about a product.
struct Strategy {
    /// Compute Cᵀ = Bᵀ·Aᵀ: worth it when C is a few columns wide and many rows high.
    swapped: bool,
    /// Rows and columns of what is computed.
    m: usize,
    n: usize,
    /// The left factor has contiguous columns instead of rows.
    left_transposed: bool,
}

fn strategy(params: &Params) -> Strategy {
    let (m, n) = (params.m as usize, params.n as usize);
    let swapped = n < simd::PANEL && m > n;
    if swapped {
        // op(B)ᵀ has contiguous rows exactly when B is stored transposed.
        Strategy { swapped, m: n, n: m, left_transposed: params.b_transposed == 0 }
    } else {
        Strategy { swapped, m, n, left_transposed: params.a_transposed == 1 }
    }
}

fn scratch(call: &Call) -> usize {
    let params: Params = call.params();
    let plan = strategy(&params);
    let k = BLOCK.min(params.k as usize);
    let left = simd::packed_left_len(plan.m, k);
    let result = if plan.swapped { plan.m * plan.n } else { 0 };
    (simd::packed_len(k, plan.n) + left + result).max(THIN * params.n as usize)
}

fn cpu(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let plan = strategy(&params);
    let (a, b, mut c, bias) = (args.read(0), args.read(1), args.write(2), args.read_optional(3));
    let bias = bias.map(|bias| bias.data);
    if let (Some(bias), 0, 1) = (bias, params.a_transposed, params.b_transposed)
        && params.k as usize <= THIN
    {
        return thin(a, b, bias, c, args.scratch);
    }
    let (left, right) = if plan.swapped {
        (view(b, params.b_transposed == 0), view(a, params.a_transposed == 0))
    } else {
        (view(a, params.a_transposed == 1), view(b, params.b_transposed == 1))
    };
    let k = params.k as usize;
    let block = BLOCK.min(k);
    let (panels, rest) = args.scratch.split_at_mut(simd::packed_len(block, plan.n));
    let (rows, result) = rest.split_at_mut(simd::packed_left_len(plan.m, block));
    if plan.swapped && plan.m <= simd::ROWS && right.columns == 1 {
        return outer(left, right, k, result, c, bias, &params);
    }
    let begun = bias.is_some() && !plan.swapped;
    if let Some(bias) = bias.filter(|_| begun) {
        (0..params.m as usize).for_each(|row| c.row(row).copy_from_slice(bias));
    }
    for k0 in (0..k.max(1)).step_by(BLOCK) {
        let terms = BLOCK.min(k - k0);
        simd::pack(right, k0, terms, plan.n, panels);
        if plan.left_transposed {
            simd::pack_left_transposed(left.data, left.columns, k0, terms, plan.m, rows);
        } else {
            simd::pack_left(left.data, left.rows, k0, terms, plan.m, rows);
        }
        let to = if plan.swapped {
            Target { data: &mut *result, stride: plan.n, accumulate: k0 > 0 }
        } else {
            Target { data: &mut *c.data, stride: c.stride, accumulate: k0 > 0 || begun || params.accumulate == 1 }
        };
        simd::multiply_packed(plan.m, plan.n, terms, rows, panels, to);
    }
    if plan.swapped {
        transpose(result, c, bias, &params);
    }
}

/// Most terms of a linear layer that goes row by row: an input of a few features.
const THIN: usize = 4;

/// C = A·Wᵀ + bias with a few columns in A: each row of C is written once.
fn thin(a: Rows<f32>, w: Rows<f32>, bias: &[f32], mut c: RowsMut<f32>, scratch: &mut [f32]) {
    let n = c.columns;
    for (j, column) in (0..n).map(|j| (j, w.row(j))) {
        for term in 0..THIN {
            scratch[term * n + j] = column.get(term).copied().unwrap_or(0.0);
        }
    }
    let [w0, w1, w2, w3] = std::array::from_fn(|term| &scratch[term * n..][..n]);
    for row in 0..c.data.len().div_ceil(c.stride) {
        let a = simd::load_some(a.row(row)).to_array().map(f32x4::splat);
        let c = c.row(row);
        match w.columns {
            1 => simd::each([bias, w0], [], [c], |[bias, w0], []| ([], [a[0] * w0 + bias])),
            2 => simd::each([bias, w0, w1], [], [c], |[bias, w0, w1], []| ([], [a[0] * w0 + a[1] * w1 + bias])),
            _ => simd::each([bias, w0, w1, w2, w3], [], [c], |[bias, w0, w1, w2, w3], []| {
                ([], [a[0] * w0 + a[1] * w1 + a[2] * w2 + a[3] * w3 + bias])
            }),
        }
    }
}

/// Cᵀ as a sum of outer products, for a left factor of a few rows: each row of the right factor is read once, where it lies.
fn outer(
    left: Strided,
    right: Strided,
    k: usize,
    result: &mut [f32],
    c: RowsMut<f32>,
    bias: Option<&[f32]>,
    params: &Params,
) {
    let n = params.m as usize;
    result.fill(0.0);
    let body = k / 4 * 4;
    for term in (0..body).step_by(4) {
        let four: [&[f32]; 4] = std::array::from_fn(|next| &right.data[(term + next) * right.rows..][..n]);
        for (row, result) in result.chunks_exact_mut(n).enumerate() {
            let [a0, a1, a2, a3] = [0, 1, 2, 3].map(|next| left.splat(row, term + next));
            simd::each(four, [result], [], |[b0, b1, b2, b3], [sum]| {
                ([sum + a0 * b0 + a1 * b1 + a2 * b2 + a3 * b3], [])
            });
        }
    }
    for term in body..k {
        for (row, result) in result.chunks_exact_mut(n).enumerate() {
            let a = left.splat(row, term);
            simd::each([&right.data[term * right.rows..][..n]], [result], [], |[b], [sum]| ([sum + a * b], []));
        }
    }
    transpose(result, c, bias, params);
}

/// C = Cᵀᵀ, or added to it, or with a bias.
fn transpose(result: &[f32], mut c: RowsMut<f32>, bias: Option<&[f32]>, params: &Params) {
    let rows = params.m as usize;
    for row in 0..rows {
        for (column, c) in c.row(row).iter_mut().enumerate() {
            let sum = result[column * rows + row] + bias.map_or(0.0, |bias| bias[column]);
            *c = if params.accumulate == 0 { sum } else { *c + sum };
        }
    }
}

fn view(rows: Rows<'_, f32>, transposed: bool) -> Strided<'_> {
    let (stride, one) = (rows.stride, 1);
    let (rows_apart, columns_apart) = if transposed { (one, stride) } else { (stride, one) };
    Strided { data: rows.data, rows: rows_apart, columns: columns_apart }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "product",
    summary: "matrix product, with either factor transposed",
    shader: shader!("../../shaders/product.wgsl"),
    entries: &[&FORWARD],
    tolerance: Tolerance {
        relative: 6e-6,
        reason: "sums of k terms are split into blocks of 256, so that rounding differs by up to √k units of 2⁻²⁴",
    },
    on_gpu: Tolerance {
        relative: 1e-5,
        reason: "sums of k terms in one go instead of blocks of 256, products and sums fused or not",
    },
};
