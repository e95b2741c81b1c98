//! Additive attention: e = vᵀ tanh(q + k) for every query and key, A = softmax of e over the keys, Y = A V.
//!
//! `queries` `[U, B, A]` and `memory` `[S, B, A + H]`, keys before values; `v` has A elements. `weights` `[U, B, S]` keeps A, `y` is
//! `[U, B, H]`.
//!
//! ∂L/∂e = A ⊙ (∂L/∂A − rowsum(∂L/∂A ⊙ A)) with ∂L/∂A = ∂L/∂Y Vᵀ is `d_scores`. With τ = tanh(q_u + k_s) and
//! g = ∂L/∂e_us v ⊙ (1 − τ²): ∂L/∂q_u = Σ_s g, ∂L/∂k_s = Σ_u g, ∂L/∂v = Σ_us ∂L/∂e_us τ, ∂L/∂V = Aᵀ ∂L/∂Y.
//! Bahdanau, Cho and Bengio 2015, arXiv:1409.0473, where q = W_a s and k = U_a h. Twin: `shaders/additive_attention.wgsl`.

use super::activation::{Phi, lanes};
use super::attention::{soften, soften_backward};
use super::simd::{self, Curves, each};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Rows, Tolerance, no_scratch, row_sum};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    /// U.
    n_queries: u32,
    /// S.
    n_keys: u32,
    /// B.
    batch: u32,
    /// A.
    width: u32,
    /// H.
    columns: u32,
    /// Backwards: 1 adds to the adjoint.
    accumulate: u32,
}

impl Params {
    /// Operations of the products of each query with each key or value of n columns.
    fn flop(&self, columns: u32) -> u64 {
        [self.n_queries, self.n_keys, self.batch, columns].map(u64::from).iter().product::<u64>() * 2
    }
}

/// Attends.
pub fn forward(queries: Tensor, memory: Tensor, v: Tensor, weights: Tensor, y: Tensor) -> Call {
    let [n_queries, batch, width] = [0, 1, 2].map(|axis| queries.shape.extent(axis));
    let (n_keys, columns) = (memory.shape.extent(0), y.shape.columns());
    let expected = [batch, width + columns, width, n_queries * batch * n_keys, n_queries * batch];
    let came = [memory.shape.extent(1), memory.shape.columns(), v.shape.len(), weights.shape.len(), y.shape.rows()];
    assert_eq!(came, expected, "additive_attention: queries are {}", queries.shape);
    let [n_queries, n_keys, batch, width, columns] = [n_queries, n_keys, batch, width, columns].map(|n| n as u32);
    let params = Params { n_queries, n_keys, batch, width, columns, accumulate: 0 };
    Call::new(&FORWARD, params, &[queries, memory, v, weights, y].map(Some))
}

fn query_grid(call: &Call) -> [u32; 3] {
    let params: Params = call.params();
    [params.n_queries, params.batch, 1]
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "additive_attention.forward",
    operands: &[
        Operand::read("queries"),
        Operand::read("memory"),
        Operand::read("v"),
        Operand::write("weights"),
        Operand::write("y"),
    ],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch: no_scratch,
    grid: query_grid,
    flop: |call| {
        let params: Params = call.params();
        params.flop(params.width + params.columns)
    },
    parts: None,
    gradient: Some(|tape, call| {
        let params: Params = call.params();
        let [queries, memory, v, weights, y] = [0, 1, 2, 3, 4].map(|at| call.tensor(at));
        let Some(d_y) = tape.adjoint(y) else { return };
        let d_scores = tape.temporary("d_scores", weights.shape);
        // Both kernels write all that they compute, wanted or not.
        let mut of = |operand: Tensor| match tape.contribute(operand) {
            Some((d, accumulate)) => (d, Params { accumulate: u32::from(accumulate), ..params }),
            None => (tape.temporary("d_unread", operand.shape), params),
        };
        let ((d_queries, for_queries), (d_memory, for_memory)) = (of(queries), of(memory));
        let operands = [d_y, queries, memory, v, weights, d_scores, d_queries];
        tape.record(Call::new(&BACKWARD, for_queries, &operands.map(Some)));
        let d_weighted = tape.temporary("d_weighted", memory.columns(0, params.width as usize).shape);
        let operands = [d_y, queries, memory, v, weights, d_scores, d_memory, d_weighted];
        tape.record(Call::new(&KEYS, for_memory, &operands.map(Some)));
        if let Some((d_v, accumulate)) = tape.contribute(v) {
            tape.record(row_sum::forward(d_weighted, d_v, accumulate));
        }
    }),
};

/// The backward entry of scores and queries.
pub static BACKWARD: Entry = Entry {
    label: "additive_attention.backward",
    operands: &[
        Operand::read("d_y"),
        Operand::read("queries"),
        Operand::read("memory"),
        Operand::read("v"),
        Operand::read("weights"),
        Operand::write("d_scores"),
        Operand::update("d_queries"),
    ],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    // What is no adjoint of a query.
    scratch: |call| call.params::<Params>().width as usize,
    grid: query_grid,
    flop: |call| call.params::<Params>().flop(call.params::<Params>().columns),
    parts: None,
    gradient: None,
};

/// The backward entry of keys and values, after that of the scores. `d_weighted` `[S, B, A]` is Σ_u ∂L/∂e_us τ, whose rows add up to
/// ∂L/∂v.
pub static KEYS: Entry = Entry {
    label: "additive_attention.keys",
    operands: &[
        Operand::read("d_y"),
        Operand::read("queries"),
        Operand::read("memory"),
        Operand::read("v"),
        Operand::read("weights"),
        Operand::read("d_scores"),
        Operand::update("d_memory"),
        Operand::write("d_weighted"),
    ],
    reference: reference!(reference_keys),
    cpu: cpu_keys,
    scratch: no_scratch,
    grid: |call| {
        let params: Params = call.params();
        [params.n_keys, params.batch, 1]
    },
    flop: |call| call.params::<Params>().flop(call.params::<Params>().columns),
    parts: None,
    gradient: None,
};

/// Keys and values of one sequence, by their number.
fn pairs<'a, F: Copy>(memory: &Rows<'a, F>, params: Params, b: usize) -> impl Fn(usize) -> (&'a [F], &'a [F]) {
    let memory = *memory;
    move |s| memory.row(s * params.batch as usize + b).split_at(params.width as usize)
}

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (queries, memory, v, mut weights, mut y) =
        (args.read(0), args.read(1), args.read(2), args.write(3), args.write(4));
    for row in 0..(params.n_queries * params.batch) as usize {
        let pair = pairs(&memory, params, row % params.batch as usize);
        let a = weights.row(row);
        let mut max = F::ZERO;
        for (s, a) in a.iter_mut().enumerate() {
            *a = F::ZERO;
            for (j, (&q, &k)) in queries.row(row).iter().zip(pair(s).0).enumerate() {
                *a += v.data[j] * (q + k).tanh();
            }
            max = if s == 0 || *a > max { *a } else { max };
        }
        let mut sum = F::ZERO;
        for a in a.iter_mut() {
            *a = (*a - max).exp();
            sum += *a;
        }
        let y = y.row(row);
        y.fill(F::ZERO);
        for (s, a) in a.iter_mut().enumerate() {
            *a = *a / sum;
            y.iter_mut().zip(pair(s).1).for_each(|(y, &value)| *y += *a * value);
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, queries, memory, v, weights) = (args.read(0), args.read(1), args.read(2), args.read(3), args.read(4));
    let (mut d_scores, mut d_queries) = (args.write(5), args.write(6));
    for row in 0..(params.n_queries * params.batch) as usize {
        let pair = pairs(&memory, params, row % params.batch as usize);
        let (a, d_e) = (weights.row(row), d_scores.row(row));
        let mut along = F::ZERO;
        for (s, (d_e, &a)) in d_e.iter_mut().zip(a).enumerate() {
            *d_e = super::recurrence::dot(d_y.row(row), pair(s).1);
            along += *d_e * a;
        }
        d_e.iter_mut().zip(a).for_each(|(d_e, &a)| *d_e = a * (*d_e - along));
        for (j, (d_q, &q)) in d_queries.row(row).iter_mut().zip(queries.row(row)).enumerate() {
            let mut sum = F::ZERO;
            for (s, &d_e) in d_e.iter().enumerate() {
                let tanh = (q + pair(s).0[j]).tanh();
                sum += d_e * v.data[j] * (F::ONE - tanh * tanh);
            }
            *d_q = if params.accumulate == 0 { sum } else { *d_q + sum };
        }
    }
}

fn reference_keys<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, queries, memory, v, weights) = (args.read(0), args.read(1), args.read(2), args.read(3), args.read(4));
    let (d_scores, mut d_memory, mut d_weighted) = (args.read(5), args.write(6), args.write(7));
    let batch = params.batch as usize;
    for row in 0..params.n_keys as usize * batch {
        let (s, b) = (row / batch, row % batch);
        let (k, _) = pairs(&memory, params, b)(s);
        let (d_k, d_value) = d_memory.row(row).split_at_mut(params.width as usize);
        if params.accumulate == 0 {
            d_k.fill(F::ZERO);
            d_value.fill(F::ZERO);
        }
        let d_w = d_weighted.row(row);
        d_w.fill(F::ZERO);
        for at in (0..params.n_queries as usize).map(|u| u * batch + b) {
            let (d_e, a) = (d_scores.row(at)[s], weights.row(at)[s]);
            for (j, &q) in queries.row(at).iter().enumerate() {
                let tanh = (q + k[j]).tanh();
                d_k[j] += d_e * v.data[j] * (F::ONE - tanh * tanh);
                d_w[j] += d_e * tanh;
            }
            d_value.iter_mut().zip(d_y.row(at)).for_each(|(d, &d_y)| *d += a * d_y);
        }
    }
}

/// Adds ∂L/∂e v ⊙ (1 − τ²) to `to` and ∂L/∂e τ to `weighted`, with τ = tanh(q + k).
// Not inlined, nor is what follows: two callers each, and every loop is there twice, with its tail.
#[inline(never)]
fn spread([q, k, v]: [&[f32]; 3], d_e: f32, to: &mut [f32], weighted: &mut [f32]) {
    let (curves, d_e) = (Curves::get(), f32x4::splat(d_e));
    each([q, k, v], [to, weighted], [], |[q, k, v], [to, weighted]| {
        let [tanh, slope] = lanes(curves, Phi::Tanh, q + k);
        ([to + d_e * v * slope, weighted + d_e * tanh], [])
    });
}

/// y += a·x.
#[inline(never)]
fn add(a: f32, x: &[f32], y: &mut [f32]) {
    let a = f32x4::splat(a);
    each([x], [y], [], |[x], [y]| ([y + a * x], []));
}

fn cpu_forward(mut args: Arguments<f32>) {
    let (params, curves): (Params, _) = (args.params(), Curves::get());
    let (queries, memory, v, mut weights, mut y) =
        (args.read(0), args.read(1), args.read(2), args.write(3), args.write(4));
    for row in 0..(params.n_queries * params.batch) as usize {
        let pair = pairs(&memory, params, row % params.batch as usize);
        let (q, a, y) = (queries.row(row), weights.row(row), y.row(row));
        for (s, a) in a.iter_mut().enumerate() {
            let mut sum = f32x4::splat(0.0);
            each([q, pair(s).0, v.data], [], [], |[q, k, v], []| {
                sum += v * lanes(curves, Phi::Tanh, q + k)[0];
                ([], [])
            });
            *a = simd::total(sum);
        }
        soften(a, f32x4::splat(1.0));
        y.fill(0.0);
        a.iter().enumerate().for_each(|(s, &a)| add(a, pair(s).1, y));
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, queries, memory, v, weights) = (args.read(0), args.read(1), args.read(2), args.read(3), args.read(4));
    let (mut d_scores, mut d_queries) = (args.write(5), args.write(6));
    for row in 0..(params.n_queries * params.batch) as usize {
        let pair = pairs(&memory, params, row % params.batch as usize);
        let (d_e, d_q) = (d_scores.row(row), d_queries.row(row));
        for (s, d_e) in d_e.iter_mut().enumerate() {
            let mut sum = f32x4::splat(0.0);
            each([d_y.row(row), pair(s).1], [], [], |[d_y, value], []| {
                sum += d_y * value;
                ([], [])
            });
            *d_e = simd::total(sum);
        }
        soften_backward(weights.row(row), d_e, f32x4::splat(1.0));
        if params.accumulate == 0 {
            d_q.fill(0.0);
        }
        for (s, &d_e) in d_e.iter().enumerate() {
            spread([queries.row(row), pair(s).0, v.data], d_e, d_q, args.scratch);
        }
    }
}

fn cpu_keys(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, queries, memory, v, weights) = (args.read(0), args.read(1), args.read(2), args.read(3), args.read(4));
    let (d_scores, mut d_memory, mut d_weighted) = (args.read(5), args.write(6), args.write(7));
    let batch = params.batch as usize;
    for row in 0..params.n_keys as usize * batch {
        let (s, b) = (row / batch, row % batch);
        let (k, _) = pairs(&memory, params, b)(s);
        let d = d_memory.row(row);
        if params.accumulate == 0 {
            d.fill(0.0);
        }
        let (d_k, d_value) = d.split_at_mut(params.width as usize);
        let d_w = d_weighted.row(row);
        d_w.fill(0.0);
        for at in (0..params.n_queries as usize).map(|u| u * batch + b) {
            spread([queries.row(at), k, v.data], d_scores.row(at)[s], d_k, d_w);
            add(weights.row(at)[s], d_y.row(at), d_value);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "additive_attention",
    summary: "attention with a score that adds query and key",
    shader: shader!("../../shaders/additive_attention.wgsl", "../../shaders/helpers/shared.wgsl"),
    entries: &[&FORWARD, &BACKWARD, &KEYS],
    tolerance: Tolerance {
        relative: 2e-5,
        reason: "tanh and exp within a few units in the last place, sums in four lanes; the slope of tanh is what is left of 1",
    },
    on_gpu: Tolerance {
        relative: 5e-5,
        reason: "tanh and exp within a few units in the last place, sums in another order; the slope of tanh is what is left of 1",
    },
};
