//! The ledger: which timestep pays for the update of W_hh.

use super::inspection::{Inspection, without_recurrent_weight};
use super::vectors::{add, dot, norm};
use crate::error::Result;
use crate::train::{LossAt, Session};

/// Multiplications that one ledger may take.
const WORK: usize = 40_000_000;

/// Rows and columns of an outer product that are told at most; larger ones are pooled.
const SIDE: usize = 64;

/// With G_t = Σ_b d_a(t, b) ⊗ h_{t−1}(b), the share of timestep t in G = ∂L/∂W_hh, and L the task's loss on the probe batch: `segments`
/// `[T]` are ⟨G_t, G⟩ / ‖G‖, signed, and add up to `norm` `[1]`, ‖G‖. Where that is too much work, fewer sequences
/// of the batch are looked at, and L is the mean over those.
///
/// With a `step`, `product` `[rows, columns]` is G_t for that timestep, blocks one below the other; in networks of more than 64 units a
/// cell stands for several elements and shows the one of largest magnitude.
///
/// # Errors
/// [`Error::Invalid`] for a cell without W_hh.
#[inline(never)]
pub(super) fn ledger(session: &mut Session, row: usize, step: Option<usize>, to: &mut Inspection) -> Result<()> {
    session.run_probe(LossAt::Task)?;
    let (batch, n_steps) = (session.probe_batch().batch, session.probe_batch().n_steps);
    let (h, cell) = (session.model().hidden, session.model().cell);
    if cell.recurrent.is_empty() {
        return Err(without_recurrent_weight(cell));
    }
    let rows = cell.recurrent.len() * h;
    let sequences = (WORK / (2 * n_steps * rows * h)).clamp(1, batch);
    let row = &session.probe_program().rows[row];
    let d_gates = row.d_gates.expect("the probe keeps them");
    let d_a: Vec<Vec<f64>> =
        cell.recurrent.iter().map(|&block| session.engine().read_f64(d_gates.columns(block * h, h))).collect();
    let states = session.engine().read_f64(row.y);
    let scale = batch as f64 / sequences as f64;
    // d_a(t, b) for all rows of W_hh, and h_{t−1}(b), for every sequence that is looked at.
    let each = |t: usize, work: &mut dyn FnMut(&[f64], &[f64])| {
        let before = if row.reverse { t + 1 } else { t.wrapping_sub(1) };
        if before >= n_steps {
            return;
        }
        for b in 0..sequences {
            let at = (t * batch + b) * h;
            let adjoint: Vec<f64> = d_a.iter().flat_map(|block| &block[at..][..h]).map(|d| d * scale).collect();
            work(&adjoint, &states[(before * batch + b) * h..][..h]);
        }
    };
    let product = |t: usize, sum: &mut [f64]| {
        each(t, &mut |d_a, h_prev| {
            for (line, d) in sum.chunks_exact_mut(h).zip(d_a).filter(|(_, d)| **d != 0.0) {
                add(line, *d, h_prev);
            }
        });
    };
    let mut total = vec![0.0; rows * h];
    (0..n_steps).for_each(|t| product(t, &mut total));
    let size = norm(&total);
    let segments: Vec<f64> = (0..n_steps)
        .map(|t| {
            let mut sum = 0.0;
            each(t, &mut |d_a, h_prev| {
                for (line, d) in total.chunks_exact(h).zip(d_a).filter(|(_, d)| **d != 0.0) {
                    sum += d * dot(line, h_prev);
                }
            });
            if size > 0.0 { sum / size } else { 0.0 }
        })
        .collect();
    to.header.sequences = sequences;
    to.add("segments", "⟨G_t, G⟩/‖G‖", &[n_steps], &segments);
    to.add("norm", "‖G‖", &[1], &[size]);
    if let Some(t) = step.filter(|&t| t < n_steps) {
        total.fill(0.0);
        product(t, &mut total);
        let size = norm(&total);
        let pool = h.div_ceil(SIDE);
        let side = h.div_ceil(pool);
        let mut pooled = vec![0.0_f64; cell.recurrent.len() * side * side];
        for (at, &value) in total.iter().enumerate() {
            let (block, unit, column) = (at / (h * h), at / h % h, at % h);
            let cell = &mut pooled[(block * side + unit / pool) * side + column / pool];
            if value.abs() > cell.abs() {
                *cell = value;
            }
        }
        to.add("product", "G_t", &[cell.recurrent.len() * side, side], &pooled);
        to.add("size", "‖G_t‖", &[1], &[size]);
        to.add("step", "t", &[1], &[t as f64]);
    }
    Ok(())
}
