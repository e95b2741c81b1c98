//! Scaled dot-product attention of several heads: A = softmax(s·Q Kᵀ), Y = A V, s = 1/√variance, for each head and sequence.
//!
//! A head has d columns, W = heads·d. Self-attention reads queries, keys and values from one packed `queries` `[T, B, 3W]`, as
//! `c_attn` of nanoGPT lays them out. Attention to another sequence reads `queries` `[U, B, W]` and `memory` `[S, B, 2W]`, keys
//! before values, or `[S, B, W]`, keys that are the values too. `weights` `[U, B, heads·S]` keeps A, head after head; `y` is `[U, B, W]`.
//! Causal: query u sees keys up to u + S − U, so that the last query sees all; weights beyond that are 0. `variance` is d, or 1
//! for plain products (Luong et al. 2015, arXiv:1508.04025).
//!
//! ∂L/∂S = s·A ⊙ (∂L/∂A − rowsum(∂L/∂A ⊙ A)) with ∂L/∂A = ∂L/∂Y Vᵀ is `d_scores`; ∂L/∂Q = ∂L/∂S K, ∂L/∂K = ∂L/∂Sᵀ Q, ∂L/∂V = Aᵀ ∂L/∂Y.
//!
//! Retention has no softmax: A = s·Q Kᵀ ⊙ γ^{u−s}, with γ = 1 − 2^{−g−h} for head h = 0, 1, …, and ∂L/∂S = s·∂L/∂A ⊙ γ^{u−s}. Sun et al.
//! 2023, arXiv:2307.08621, in its parallel form, without rotation of queries and keys.
//! Vaswani et al. 2017, arXiv:1706.03762. Twin: `shaders/attention.wgsl`.

use super::simd::{self, Curves, Strided, Target, each};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Rows, RowsMut, Tolerance};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

/// How a call attends.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Heads; they divide W.
    pub count: usize,
    /// What products of queries and keys are divided by the root of: d, the variance of a sum of d products, or 1.
    pub variance: usize,
    /// True when a query sees no later key.
    pub causal: bool,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    /// U.
    n_queries: u32,
    /// S.
    n_keys: u32,
    /// B.
    batch: u32,
    /// Heads.
    heads: u32,
    /// d.
    width: u32,
    /// First column of the keys.
    key_at: u32,
    /// First column of the values.
    value_at: u32,
    /// 1: no query sees a later key.
    causal: u32,
    /// s is 1/√variance.
    variance: u32,
    /// Backwards: 1 adds to the adjoint.
    accumulate: u32,
    /// g of a retention; 0 for a softmax.
    decay: u32,
}

impl Params {
    /// Keys that query `u` sees.
    fn seen(&self, u: usize) -> usize {
        let all = self.n_keys as usize;
        if self.causal == 1 { u + 1 + all - self.n_queries as usize } else { all }
    }

    /// s.
    fn scale<F: Real>(&self) -> F {
        F::ONE / F::of(f64::from(self.variance)).sqrt()
    }

    /// ln γ of a head, for a retention.
    fn log_decay<F: Real>(&self, head: usize) -> Option<F> {
        let rate = self.decay as i32 + head as i32;
        // By its exponent: a table of powers is 4 KB of the package.
        (self.decay > 0).then(|| F::of(libm::log(1.0 - libm::ldexp(1.0, -rate))))
    }

    /// W.
    fn columns(&self) -> usize {
        (self.heads * self.width) as usize
    }

    /// Every sequence and head.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let heads = self.heads as usize;
        (0..self.batch as usize * heads).map(move |pair| (pair / heads, pair % heads))
    }

    /// Operations of `products` products of queries and keys.
    fn flop(&self, products: u64) -> u64 {
        let [u, s, b] = [self.n_queries, self.n_keys, self.batch].map(u64::from);
        products * 2 * u * s * b * self.columns() as u64
    }
}

/// Attends; `memory` is `None` for packed queries, keys and values. Debug builds check the shapes.
pub fn forward(heads: Heads, queries: Tensor, memory: Option<Tensor>, weights: Tensor, y: Tensor) -> Call {
    let (columns, keys) = (y.shape.columns(), memory.unwrap_or(queries));
    let [n_queries, n_keys, batch] = [queries.shape.extent(0), keys.shape.extent(0), queries.shape.extent(1)];
    let (key_at, value_at) = match memory {
        None => (columns, 2 * columns),
        Some(memory) => (0, memory.shape.columns() - columns),
    };
    let wide = if memory.is_none() { 3 * columns } else { columns };
    debug_assert_eq!(queries.shape.columns(), wide, "attention: queries are {}, y is {}", queries.shape, y.shape);
    debug_assert_eq!(batch, keys.shape.extent(1), "attention: queries are {}, keys are {}", queries.shape, keys.shape);
    debug_assert!(
        value_at % columns == 0 && value_at <= 2 * columns,
        "attention: memory is {}, y is {}",
        keys.shape,
        y.shape
    );
    debug_assert_eq!(columns % heads.count, 0, "attention: {} heads of {columns} columns", heads.count);
    debug_assert_eq!(
        weights.shape.len(),
        n_queries * batch * heads.count * n_keys,
        "attention: weights are {}",
        weights.shape
    );
    debug_assert!(!heads.causal || n_keys >= n_queries, "attention: {n_queries} causal queries of {n_keys} keys");
    let params = Params {
        n_queries: n_queries as u32,
        n_keys: n_keys as u32,
        batch: batch as u32,
        heads: heads.count as u32,
        width: (columns / heads.count) as u32,
        key_at: key_at as u32,
        value_at: value_at as u32,
        causal: u32::from(heads.causal),
        variance: heads.variance as u32,
        accumulate: 0,
        decay: 0,
    };
    Call::new(&FORWARD, params, &[Some(queries), memory, Some(weights), Some(y)])
}

/// As [`forward`] of packed queries, but the retention of causal heads, the first with γ = 1 − 2^{−`decay`}.
pub fn retention(heads: Heads, decay: usize, queries: Tensor, weights: Tensor, y: Tensor) -> Call {
    let call = forward(heads, queries, None, weights, y);
    let params: Params = call.params();
    call.with(Params { decay: decay as u32, ..params })
}

fn scratch(call: &Call) -> usize {
    let params: Params = call.params();
    let [u, s, d] = [params.n_queries, params.n_keys, params.width].map(|n| n as usize);
    let panels = simd::packed_len(d, s).max(simd::packed_len(s, d)).max(simd::packed_len(u, d));
    let left = [(u, d), (u, s), (s, u)].map(|(m, k)| simd::packed_left_len(m, k)).into_iter().max();
    panels + left.unwrap_or(0)
}

fn query_grid(call: &Call) -> [u32; 3] {
    let params: Params = call.params();
    [params.n_queries, params.batch, params.heads]
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "attention.forward",
    operands: &[
        Operand::read("queries"),
        Operand::read("memory").optional(),
        Operand::write("weights"),
        Operand::write("y"),
    ],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch,
    grid: query_grid,
    flop: |call| call.params::<Params>().flop(2),
    parts: None,
    gradient: Some(|tape, call| {
        let params: Params = call.params();
        let (queries, memory, weights, y) = (call.tensor(0), call.operands[1], call.tensor(2), call.tensor(3));
        let Some(d_y) = tape.adjoint(y) else { return };
        let d_scores = Some(tape.temporary("d_scores", weights.shape));
        let (queries, weights, d_y) = (Some(queries), Some(weights), Some(d_y));
        let columns = params.columns();
        let own = tape.contribute(call.tensor(0));
        // The adjoint of a packed tensor is written in two parts.
        let (d_queries, d_memory, shift) = match memory {
            Some(memory) => (own, tape.contribute(memory), 0),
            None => {
                let part = |first, count| own.map(|(d, adds)| (d.columns(first, count), adds));
                (part(0, columns), part(columns, 2 * columns), columns as u32)
            }
        };
        let adds = |d: Option<(Tensor, bool)>| u32::from(d.is_some_and(|(_, accumulate)| accumulate));
        let backward = Params { accumulate: adds(d_queries), ..params };
        let d_queries = d_queries.map(|(d, _)| d);
        tape.record(Call::new(&BACKWARD, backward, &[d_y, queries, memory, weights, d_scores, d_queries]));
        if let Some((d_memory, accumulate)) = d_memory {
            let (key_at, value_at) = (params.key_at - shift, params.value_at - shift);
            let keys = Params { key_at, value_at, accumulate: u32::from(accumulate), ..params };
            tape.record(Call::new(&KEYS, keys, &[d_y, queries, weights, d_scores, Some(d_memory)]));
        }
    }),
};

/// The backward entry of scores and queries.
pub static BACKWARD: Entry = Entry {
    label: "attention.backward",
    operands: &[
        Operand::read("d_y"),
        Operand::read("queries"),
        Operand::read("memory").optional(),
        Operand::read("weights"),
        Operand::write("d_scores"),
        Operand::update("d_queries").optional(),
    ],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch,
    grid: query_grid,
    flop: |call| call.params::<Params>().flop(2),
    parts: None,
    gradient: None,
};

/// The backward entry of keys and values, after that of the scores.
pub static KEYS: Entry = Entry {
    label: "attention.keys",
    operands: &[
        Operand::read("d_y"),
        Operand::read("queries"),
        Operand::read("weights"),
        Operand::read("d_scores"),
        Operand::update("d_memory"),
    ],
    reference: reference!(reference_keys),
    cpu: cpu_keys,
    scratch,
    grid: |call| {
        let params: Params = call.params();
        [params.n_keys, params.batch, params.heads]
    },
    flop: |call| call.params::<Params>().flop(2),
    parts: None,
    gradient: None,
};

/// Columns of one sequence and head: row `index` of them.
fn part<'a, F: Copy>(rows: &Rows<'a, F>, params: &Params, [index, b, first]: [usize; 3]) -> &'a [F] {
    &rows.data[(index * params.batch as usize + b) * rows.stride + first..]
}

/// As [`part`], to write.
fn part_mut<'a, F: Copy>(rows: &'a mut RowsMut<F>, params: &Params, [index, b, first]: [usize; 3]) -> &'a mut [F] {
    &mut rows.data[(index * params.batch as usize + b) * rows.stride + first..]
}

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (queries, memory, mut weights, mut y) = (args.read(0), args.read_optional(1), args.write(2), args.write(3));
    let (memory, scale) = (memory.unwrap_or(queries), params.scale::<F>());
    let (n_keys, d) = (params.n_keys as usize, params.width as usize);
    for (b, head) in params.pairs() {
        for u in 0..params.n_queries as usize {
            let seen = params.seen(u);
            let a = &mut part_mut(&mut weights, &params, [u, b, head * n_keys])[..n_keys];
            a.fill(F::ZERO);
            let q = part(&queries, &params, [u, b, head * d]);
            for (s, a) in a.iter_mut().enumerate().take(seen) {
                let k = part(&memory, &params, [s, b, params.key_at as usize + head * d]);
                *a = super::recurrence::dot(&q[..d], &k[..d]) * scale;
            }
            let (mut max, mut sum) = (a[0], F::ZERO);
            a[..seen].iter().for_each(|&a| max = if a > max { a } else { max });
            if let Some(rate) = params.log_decay::<F>(head) {
                for (s, a) in a[..seen].iter_mut().enumerate() {
                    *a = *a * (rate * F::of((seen - 1 - s) as f64)).exp();
                }
                sum = F::ONE;
            } else {
                for a in &mut a[..seen] {
                    *a = (*a - max).exp();
                    sum += *a;
                }
            }
            let y = &mut part_mut(&mut y, &params, [u, b, head * d])[..d];
            y.fill(F::ZERO);
            for (s, a) in a.iter_mut().enumerate().take(seen) {
                *a = *a / sum;
                let v = part(&memory, &params, [s, b, params.value_at as usize + head * d]);
                y.iter_mut().zip(v).for_each(|(y, &v)| *y += *a * v);
            }
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, queries, memory, weights) = (args.read(0), args.read(1), args.read_optional(2), args.read(3));
    let (mut d_scores, mut d_queries) = (args.write(4), args.write_optional(5));
    let (memory, scale) = (memory.unwrap_or(queries), params.scale::<F>());
    let (n_keys, d) = (params.n_keys as usize, params.width as usize);
    for (b, head) in params.pairs() {
        for u in 0..params.n_queries as usize {
            let a = part(&weights, &params, [u, b, head * n_keys]);
            let d_y = &part(&d_y, &params, [u, b, head * d])[..d];
            let d_a = &mut part_mut(&mut d_scores, &params, [u, b, head * n_keys])[..n_keys];
            let mut along = F::ZERO;
            for (s, (d_a, &a)) in d_a.iter_mut().zip(a).enumerate() {
                let v = part(&memory, &params, [s, b, params.value_at as usize + head * d]);
                *d_a = super::recurrence::dot(d_y, &v[..d]);
                along += *d_a * a;
            }
            for (s, (d_a, &a)) in d_a.iter_mut().zip(a).enumerate() {
                *d_a = match params.log_decay::<F>(head) {
                    Some(_) if s > u => F::ZERO,
                    Some(rate) => *d_a * (rate * F::of((u - s) as f64)).exp() * scale,
                    None => a * (*d_a - along) * scale,
                };
            }
            let Some(d_queries) = &mut d_queries else { continue };
            for (j, d_q) in part_mut(d_queries, &params, [u, b, head * d])[..d].iter_mut().enumerate() {
                let mut sum = F::ZERO;
                for (s, &d_a) in d_a.iter().enumerate() {
                    sum += d_a * part(&memory, &params, [s, b, params.key_at as usize + head * d])[j];
                }
                *d_q = if params.accumulate == 0 { sum } else { *d_q + sum };
            }
        }
    }
}

fn reference_keys<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, queries, weights, d_scores) = (args.read(0), args.read(1), args.read(2), args.read(3));
    let mut d_memory = args.write(4);
    let (n_keys, d) = (params.n_keys as usize, params.width as usize);
    for (b, head) in params.pairs() {
        for (s, j) in (0..n_keys).flat_map(|s| (0..d).map(move |j| (s, j))) {
            let (mut d_k, mut d_v) = (F::ZERO, F::ZERO);
            for u in 0..params.n_queries as usize {
                let at = |rows: &Rows<F>, first: usize| part(rows, &params, [u, b, first])[0];
                d_k += at(&d_scores, head * n_keys + s) * at(&queries, head * d + j);
                d_v += at(&weights, head * n_keys + s) * at(&d_y, head * d + j);
            }
            let mut put = |first: u32, sum: F, adds: bool| {
                let to = &mut part_mut(&mut d_memory, &params, [s, b, first as usize + head * d + j])[0];
                *to = if adds { *to + sum } else { sum };
            };
            put(params.key_at, d_k, params.accumulate == 1);
            put(params.value_at, d_v, params.accumulate == 1 || params.key_at == params.value_at);
        }
    }
}

/// Products of one head: the factors' rows are as far apart as a timestep is wide.
struct Packed<'a> {
    panels: &'a mut [f32],
    left: &'a mut [f32],
    batch: usize,
}

/// Rows of one sequence and head, from the first timestep on.
#[derive(Clone, Copy)]
struct Side<'a> {
    data: &'a [f32],
    stride: usize,
}

impl Packed<'_> {
    fn side<'a>(&self, rows: &Rows<'a, f32>, b: usize, first: usize) -> Side<'a> {
        Side { data: &rows.data[b * rows.stride + first..], stride: self.batch * rows.stride }
    }

    /// C = op(A) op(B), `[m, n]` with k terms; B is transposed when A is not and `across`, A when `turned`.
    fn multiply(&mut self, a: Side, turned: bool, b: Side, across: bool, [m, n, k]: [usize; 3], to: Target) {
        let (rows, columns) = if across { (1, b.stride) } else { (b.stride, 1) };
        simd::pack(Strided { data: b.data, rows, columns }, 0, k, n, self.panels);
        if turned {
            simd::pack_left_transposed(a.data, a.stride, 0, k, m, self.left);
        } else {
            simd::pack_left(a.data, a.stride, 0, k, m, self.left);
        }
        simd::multiply_packed(m, n, k, self.left, self.panels, to);
    }
}

fn packed<'a>(params: &Params, scratch: &'a mut [f32]) -> Packed<'a> {
    let [u, s, d] = [params.n_queries, params.n_keys, params.width].map(|n| n as usize);
    let len = simd::packed_len(d, s).max(simd::packed_len(s, d)).max(simd::packed_len(u, d));
    let (panels, left) = scratch.split_at_mut(len);
    Packed { panels, left, batch: params.batch as usize }
}

fn target<'a>(rows: &'a mut RowsMut<f32>, batch: usize, b: usize, first: usize, accumulate: bool) -> Target<'a> {
    let stride = batch * rows.stride;
    Target { data: &mut rows.data[b * rows.stride + first..], stride, accumulate }
}

/// x ⊙ s·γ^{n−1−s} for a row of n, whose last weight is that of now.
fn decay(row: &mut [f32], rate: f32, scale: f32x4) {
    let (curves, rate) = (Curves::get(), f32x4::splat(rate));
    let mut left = f32x4::from([0.0, -1.0, -2.0, -3.0]) + f32x4::splat(row.len() as f32 - 1.0);
    each([], [row], [], |[], [x]| {
        let share = curves.exp(rate * left) * scale;
        left -= f32x4::splat(simd::LANES as f32);
        ([x * share], [])
    });
}

/// softmax(scale·x) in place of x.
pub(super) fn soften(row: &mut [f32], scale: f32x4) {
    let curves = Curves::get();
    let max = row.iter().fold(row[0], |max, &x| if x > max { x } else { max });
    each([], [&mut *row], [], |[], [x]| ([curves.exp((x - f32x4::splat(max)) * scale)], []));
    let mut sum = f32x4::splat(0.0);
    each([&*row], [], [], |[e], []| {
        sum += e;
        ([], [])
    });
    let share = f32x4::splat(1.0 / simd::total(sum));
    each([], [row], [], |[], [e]| ([e * share], []));
}

/// The adjoint of x in [`soften`], which made `a` of it, in place of that of `a`.
pub(super) fn soften_backward(a: &[f32], row: &mut [f32], scale: f32x4) {
    let mut along = f32x4::splat(0.0);
    each([a, &*row], [], [], |[a, d], []| {
        along += a * d;
        ([], [])
    });
    let along = f32x4::splat(simd::total(along));
    each([a], [row], [], |[a], [d]| ([a * (d - along) * scale], []));
}

fn cpu_forward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (queries, memory, mut weights, mut y) = (args.read(0), args.read_optional(1), args.write(2), args.write(3));
    let memory = memory.unwrap_or(queries);
    let [u, s, d, batch] = [params.n_queries, params.n_keys, params.width, params.batch].map(|n| n as usize);
    let scale = f32x4::splat(params.scale());
    let mut products = packed(&params, args.scratch);
    for (b, head) in params.pairs() {
        let q = products.side(&queries, b, head * d);
        let k = products.side(&memory, b, params.key_at as usize + head * d);
        let v = products.side(&memory, b, params.value_at as usize + head * d);
        products.multiply(q, false, k, true, [u, s, d], target(&mut weights, batch, b, head * s, false));
        for u in 0..u {
            let row = &mut part_mut(&mut weights, &params, [u, b, head * s])[..s];
            let (row, later) = row.split_at_mut(params.seen(u));
            later.fill(0.0);
            if let Some(rate) = params.log_decay(head) {
                decay(row, rate, scale);
                continue;
            }
            soften(row, scale);
        }
        let a = products.side(&weights.view(), b, head * s);
        products.multiply(a, false, v, false, [u, d, s], target(&mut y, batch, b, head * d, false));
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, queries, memory, weights) = (args.read(0), args.read(1), args.read_optional(2), args.read(3));
    let (mut d_scores, mut d_queries) = (args.write(4), args.write_optional(5));
    let memory = memory.unwrap_or(queries);
    let [u, s, d, batch] = [params.n_queries, params.n_keys, params.width, params.batch].map(|n| n as usize);
    let scale = f32x4::splat(params.scale());
    let mut products = packed(&params, args.scratch);
    for (b, head) in params.pairs() {
        let k = products.side(&memory, b, params.key_at as usize + head * d);
        let v = products.side(&memory, b, params.value_at as usize + head * d);
        let d_y = products.side(&d_y, b, head * d);
        products.multiply(d_y, false, v, true, [u, s, d], target(&mut d_scores, batch, b, head * s, false));
        for u in 0..u {
            let a = &part(&weights, &params, [u, b, head * s])[..s];
            let row = &mut part_mut(&mut d_scores, &params, [u, b, head * s])[..s];
            if let Some(rate) = params.log_decay(head) {
                let (row, later) = row.split_at_mut(u + 1);
                later.fill(0.0);
                decay(row, rate, scale);
                continue;
            }
            soften_backward(a, row, scale);
        }
        if let Some(d_queries) = &mut d_queries {
            let d_a = products.side(&d_scores.view(), b, head * s);
            let to = target(d_queries, batch, b, head * d, params.accumulate == 1);
            products.multiply(d_a, false, k, false, [u, d, s], to);
        }
    }
}

fn cpu_keys(mut args: Arguments<f32>) {
    let params: Params = args.params();
    let (d_y, queries, weights, d_scores) = (args.read(0), args.read(1), args.read(2), args.read(3));
    let mut d_memory = args.write(4);
    let [u, s, d, batch] = [params.n_queries, params.n_keys, params.width, params.batch].map(|n| n as usize);
    let mut products = packed(&params, args.scratch);
    for (b, head) in params.pairs() {
        let adds = params.accumulate == 1;
        for (left, right, first, adds) in [
            (&d_scores, &queries, params.key_at, adds),
            (&weights, &d_y, params.value_at, adds || params.key_at == params.value_at),
        ] {
            let (left, right) = (products.side(left, b, head * s), products.side(right, b, head * d));
            let to = target(&mut d_memory, batch, b, first as usize + head * d, adds);
            products.multiply(left, true, right, false, [s, d, u], to);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "attention",
    summary: "scaled dot-product attention of several heads",
    shader: shader!("../../shaders/attention.wgsl", "../../shaders/helpers/shared.wgsl"),
    entries: &[&FORWARD, &BACKWARD, &KEYS],
    tolerance: Tolerance {
        relative: 6e-6,
        reason: "exp within 2 units in the last place, of scores whose sums are rounded differently",
    },
    on_gpu: Tolerance {
        relative: 2e-5,
        reason: "exp within a few units in the last place, sums in parts, products and sums fused or not",
    },
};
