//! Sums over vectors, each compiled once: panels look seldom, and their code is loaded by everybody.

/// Σ a b.
#[inline(never)]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// ‖a‖₂.
#[inline(never)]
pub(super) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// `to` += `by` · `from`.
#[inline(never)]
pub(super) fn add(to: &mut [f64], by: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += by * from);
}

/// The mean of each part of `n` elements.
#[inline(never)]
pub(super) fn means(values: &[f64], n: usize) -> Vec<f64> {
    values.chunks_exact(n).map(|of| of.iter().sum::<f64>() / n as f64).collect()
}
