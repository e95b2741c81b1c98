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
    cpu,
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
    score(args, |logits, to| {
        let mut max = logits[0];
        for &x in logits {
            max = larger(max, x);
        }
        let mut sum = F::ZERO;
        for (to, &x) in to.iter_mut().zip(logits) {
            *to = (x - max).exp();
            sum += *to;
        }
        [max, sum]
    });
}

/// A NaN wins and stays, so that it reaches the loss.
fn larger<F: Real>(max: F, x: F) -> F {
    if x > max || x.partial_cmp(&x).is_none() { x } else { max }
}

/// As in `reference`, with sums in four lanes.
fn cpu(args: Arguments<f32>) {
    let curves = simd::Curves::get();
    score(args, |logits, to| {
        let (fours, rest) = logits.as_chunks::<LANES>();
        let mut most = f32x4::splat(logits[0]);
        for &x in fours {
            let x = f32x4::from(x);
            most = (x.simd_gt(most) | x.is_nan()).select(x, most);
        }
        let max = most.to_array().iter().chain(rest).fold(logits[0], |max, &x| larger(max, x));
        let at = f32x4::splat(max);
        simd::each([logits], [], [&mut *to], |[x], []| ([], [curves.exp(x - at)]));
        let (fours, rest) = to.as_chunks::<LANES>();
        let sums = fours.iter().fold(f32x4::splat(0.0), |sums, &e| sums + f32x4::from(e));
        [max, rest.iter().fold(simd::total(sums), |sum, e| sum + e)]
    });
}

/// `softmax` writes e^{x − max} and returns max and the sum of what it wrote.
fn score<F: Real>(mut args: Arguments<F>, softmax: impl Fn(&[F], &mut [F]) -> [F; 2]) {
    let params: Params = args.params();
    let (logits, target, weight) = (args.read(0), args.index(1), args.read(2));
    let (mut probabilities, losses, result) = (args.write(3), args.write(4), args.write(5));
    let mut d_logits = args.write_optional(6);
    let counts = |row: usize| target[row] != IGNORED && weight.data[row] != F::ZERO;
    let (mut loss, mut hits, mut total) = (F::ZERO, F::ZERO, F::ZERO);
    (0..params.rows as usize).filter(|&row| counts(row)).for_each(|row| total += weight.data[row]);
    for row in 0..params.rows as usize {
        let x = logits.row(row);
        let probabilities = probabilities.row(row);
        let [max, sum] = softmax(x, probabilities);
        for p in probabilities.iter_mut() {
            *p = *p / sum;
        }
        let (class, w) = (target[row] as usize, weight.data[row]);
        let own = if target[row] == IGNORED { F::ZERO } else { sum.ln() + max - x[class] };
        losses.data[row] = own;
        let scale = if counts(row) { w / total } else { F::ZERO };
        if counts(row) {
            loss += w * own;
            // The first of the largest logits is the answer.
            hits += if x.iter().position(|&x| x == max) == Some(class) { w } else { F::ZERO };
        }
        if let Some(d_logits) = &mut d_logits {
            let d_logits = d_logits.row(row);
            for (d, &p) in d_logits.iter_mut().zip(&*probabilities) {
                *d = if scale == F::ZERO { F::ZERO } else { scale * p };
            }
            if let (true, Some(d)) = (scale != F::ZERO, d_logits.get_mut(class)) {
                *d = scale * (probabilities[class] - F::ONE);
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
