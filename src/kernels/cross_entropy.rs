//! Softmax and cross-entropy: L = Σ_n w_n · (ln Σ_v e^{x_nv} − x_{n, target_n}) / Σ_n w_n, in nats.
//!
//! `logits` is `[N, V]`, `target` is `[N]` ([`IGNORED`] counts as weight 0), `weight` is `[N]`, `probabilities` is `[N, V]`, `losses` is
//! `[N]` (unweighted, 0 where the target is ignored), `result` is `[3]`: loss, share of rows whose largest logit is the target's, Σ w
//! over targets that are not ignored. With weights 1 this is `torch.nn.CrossEntropyLoss` with its mean. The largest logit is
//! subtracted before exponentials, so nothing overflows. Twin: `shaders/cross_entropy.wgsl`.

use super::simd::{self, LANES};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

/// A target that counts for nothing.
pub const IGNORED: u32 = u32::MAX;

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    rows: u32,
    columns: u32,
}

/// Scores `logits` against `target`.
pub fn forward(
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    probabilities: Tensor,
    losses: Tensor,
    result: Tensor,
) -> Call {
    let params = Params { rows: logits.shape.rows() as u32, columns: logits.shape.columns() as u32 };
    Call::new(&FORWARD, params, &[logits, target, weight, probabilities, losses, result].map(Some))
}

/// The forward entry; its gradient rule is the start of every backward pass, with ∂L/∂L = 1.
pub static FORWARD: Entry = Entry {
    label: "cross_entropy.forward",
    operands: &[
        Operand::read("logits"),
        Operand::index("targets"),
        Operand::read("weight"),
        Operand::write("probabilities"),
        Operand::write("losses"),
        Operand::write("result"),
    ],
    reference_f32: |args| score(args, softmax),
    reference_f64: |args| score(args, softmax),
    cpu: |args| score(args, softmax_simd),
    scratch: no_scratch,
    grid: |_| [1, 1, 1],
    gradient: Some(|tape, call| {
        let [logits, target, weight, probabilities, result] = [0, 1, 2, 3, 5].map(|at| call.tensor(at));
        if let Some((d_logits, accumulate)) = tape.contribute(logits) {
            assert!(!accumulate, "the scored logits have no other reader");
            let params: Params = call.params();
            tape.record(Call::new(&BACKWARD, params, &[probabilities, target, weight, result, d_logits].map(Some)));
        }
    }),
};

/// The backward entry: d_logits = w (softmax − onehot) / Σ w.
pub static BACKWARD: Entry = Entry {
    label: "cross_entropy.backward",
    operands: &[
        Operand::read("probabilities"),
        Operand::index("targets"),
        Operand::read("weight"),
        Operand::read("result"),
        Operand::write("d_logits"),
    ],
    reference_f32: differentiate,
    reference_f64: differentiate,
    cpu: differentiate,
    scratch: no_scratch,
    grid: |call| [(call.tensor(0).shape.len() as u32).div_ceil(256), 1, 1],
    gradient: None,
};

/// Writes e^{x − max} and returns their sum.
fn softmax<F: Real>(logits: &[F], max: F, to: &mut [F]) -> F {
    let mut sum = F::ZERO;
    for (to, &x) in to.iter_mut().zip(logits) {
        *to = (x - max).exp();
        sum += *to;
    }
    sum
}

fn softmax_simd(logits: &[f32], max: f32, to: &mut [f32]) -> f32 {
    let curves = simd::Curves::get();
    let mut sum = 0.0;
    for (to, x) in to.chunks_mut(LANES).zip(logits.chunks(LANES)) {
        simd::store_some(curves.exp(simd::load_some(x) - f32x4::splat(max)), to);
        for &e in &*to {
            sum += e;
        }
    }
    sum
}

fn score<F: Real>(mut args: Arguments<F>, softmax: fn(&[F], F, &mut [F]) -> F) {
    let params: Params = args.params();
    let (logits, target, weight) = (args.read(0), args.index(1), args.read(2));
    let (mut probabilities, losses, result) = (args.write(3), args.write(4), args.write(5));
    let (mut loss, mut hits, mut total) = (F::ZERO, F::ZERO, F::ZERO);
    for row in 0..params.rows as usize {
        let x = logits.row(row);
        let (mut best, mut max) = (0, x[0]);
        for (v, &x) in x.iter().enumerate() {
            // A NaN wins and stays, so that it reaches the loss.
            if x > max || x.partial_cmp(&x).is_none() {
                (best, max) = (v, x);
            }
        }
        let probabilities = probabilities.row(row);
        let sum = softmax(x, max, probabilities);
        for p in probabilities.iter_mut() {
            *p = *p / sum;
        }
        let (target, w) = (target[row], weight.data[row]);
        if target == IGNORED {
            losses.data[row] = F::ZERO;
            continue;
        }
        let own = sum.ln() + max - x[target as usize];
        losses.data[row] = own;
        if w != F::ZERO {
            loss += w * own;
            total += w;
            if best == target as usize {
                hits += w;
            }
        }
    }
    let share = |sum: F| if total == F::ZERO { F::ZERO } else { sum / total };
    result.data[..3].copy_from_slice(&[share(loss), share(hits), total]);
}

fn differentiate<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (probabilities, target, weight, result) = (args.read(0), args.index(1), args.read(2), args.read(3));
    let mut d_logits = args.write(4);
    let total = result.data[2];
    let scale = if total == F::ZERO { F::ZERO } else { F::ONE / total };
    for row in 0..params.rows as usize {
        let (d_logits, target) = (d_logits.row(row), target[row]);
        let factor = scale * weight.data[row];
        if target == IGNORED || factor == F::ZERO {
            d_logits.fill(F::ZERO);
            continue;
        }
        for (v, (d, &p)) in d_logits.iter_mut().zip(probabilities.row(row)).enumerate() {
            *d = factor * if v == target as usize { p - F::ONE } else { p };
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "cross_entropy",
    summary: "softmax and weighted cross-entropy",
    shader: concat!(include_str!("../../shaders/cross_entropy.wgsl"), include_str!("../../shaders/helpers/score.wgsl")),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance { relative: 5e-7, reason: "exp by a polynomial, 2 units in the last place" },
    on_gpu: Tolerance {
        relative: 1e-5,
        reason: "exp and ln within a few units in the last place, sums over rows in another order",
    },
};
