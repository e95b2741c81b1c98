//! Softmax and cross-entropy: L = Σ_n w_n · (ln Σ_v e^{x_nv} − x_{n, target_n}) / Σ_n w_n, in nats.
//!
//! `logits` is `[N, V]`, `target` is `[N]` ([`IGNORED`] counts as weight 0), `weight` is `[N]`, `probabilities` is `[N, V]`, `losses` is
//! `[N]` (unweighted, 0 where the target is ignored), `result` is `[3]`: loss, share of rows whose largest logit is the target's, Σ w
//! over targets that are not ignored; `d_logits` `[N, V]` is w (softmax − onehot) / Σ w. With weights 1 this is
//! `torch.nn.CrossEntropyLoss` with its mean. The largest logit is subtracted before exponentials, so nothing overflows.
//! Twin: `shaders/cross_entropy.wgsl`.

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

/// Scores `logits` against `target`, and puts ∂L/∂logits into `d_logits`.
pub fn forward(
    [logits, target, weight]: [Tensor; 3],
    [probabilities, losses, result]: [Tensor; 3],
    d_logits: Option<Tensor>,
) -> Call {
    let params = Params { rows: logits.shape.rows() as u32, columns: logits.shape.columns() as u32 };
    let [logits, target, weight] = [logits, target, weight].map(Some);
    let [probabilities, losses, result] = [probabilities, losses, result].map(Some);
    Call::new(&FORWARD, params, &[logits, target, weight, probabilities, losses, result, d_logits])
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
        Operand::write("d_logits").optional(),
    ],
    reference: reference!(reference),
    cpu: |args| score(args, softmax_simd),
    scratch: no_scratch,
    grid: |_| [1, 1, 1],
    flop: |_| 0,
    parts: None,
    gradient: Some(|tape, call| {
        if let Some(d_logits) = call.operands[6] {
            tape.provide(call.tensor(0), d_logits);
        }
    }),
};

fn reference<F: Real>(args: Arguments<F>) {
    score(args, softmax);
}

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
    let mut d_logits = args.write_optional(6);
    let counts = |row: usize| target[row] != IGNORED && weight.data[row] != F::ZERO;
    let (mut loss, mut hits, mut total) = (F::ZERO, F::ZERO, F::ZERO);
    (0..params.rows as usize).filter(|&row| counts(row)).for_each(|row| total += weight.data[row]);
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
        let (class, w) = (target[row] as usize, weight.data[row]);
        let own = if target[row] == IGNORED { F::ZERO } else { sum.ln() + max - x[class] };
        losses.data[row] = own;
        let scale = if counts(row) { w / total } else { F::ZERO };
        if counts(row) {
            loss += w * own;
            hits += if best == class { w } else { F::ZERO };
        }
        if let Some(d_logits) = &mut d_logits {
            for (v, (d, &p)) in d_logits.row(row).iter_mut().zip(&*probabilities).enumerate() {
                let onehot = if v == class { F::ONE } else { F::ZERO };
                *d = if scale == F::ZERO { F::ZERO } else { scale * (p - onehot) };
            }
        }
    }
    let share = |sum: F| if total == F::ZERO { F::ZERO } else { sum / total };
    result.data[..3].copy_from_slice(&[share(loss), share(hits), total]);
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "cross_entropy",
    summary: "softmax and weighted cross-entropy",
    shader: shader!("../../shaders/cross_entropy.wgsl", "../../shaders/helpers/score.wgsl"),
    entries: &[&FORWARD],
    tolerance: Tolerance { relative: 5e-7, reason: "exp by a polynomial, 2 units in the last place" },
    on_gpu: Tolerance {
        relative: 1e-5,
        reason: "exp and ln within a few units in the last place, sums over rows in another order",
    },
};
