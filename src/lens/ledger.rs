//! The ledger: which timestep pays for the update of W_hh.

use super::inspection::Inspection;
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
/// For a cell without recurrent weights, the stated substitute: W_ih in place of W_hh, and x_t in place of h_{t−1}.
#[inline(never)]
pub(super) fn ledger(session: &mut Session, row: usize, step: Option<usize>, to: &mut Inspection) -> Result<()> {
    session.run_probe(LossAt::Task)?;
    let (batch, n_steps) = (session.probe_batch().batch, session.probe_batch().n_steps);
    let (h, cell) = (session.model().hidden, session.model().cell);
    let row = &session.probe_program().rows[row];
    let is_recurrent = !cell.recurrent.is_empty();
    let blocks: Vec<usize> = if is_recurrent { cell.recurrent.to_vec() } else { (0..cell.blocks.len()).collect() };
    // What the weights read at every timestep, `[T, B, n]`: h, one step before, or x.
    let read = if is_recurrent { session.engine().read_f64(row.y) } else { inputs(session, row.layer) };
    let (rows, n) = (blocks.len() * h, read.len() / (n_steps * batch));
    let sequences = (WORK / (2 * n_steps * rows * n)).clamp(1, batch);
    let d_gates = row.d_gates.expect("the probe keeps them");
    let d_a: Vec<Vec<f64>> =
        blocks.iter().map(|&block| session.engine().read_f64(d_gates.columns(block * h, h))).collect();
    let scale = batch as f64 / sequences as f64;
    // d_a(t, b) for all rows of the weights, and what they read, for every sequence that is looked at.
    let each = |t: usize, work: &mut dyn FnMut(&[f64], &[f64])| {
        let from = match (is_recurrent, row.reverse) {
            (false, _) => t,
            (true, true) => t + 1,
            (true, false) => t.wrapping_sub(1),
        };
        if from >= n_steps {
            return;
        }
        for b in 0..sequences {
            let at = (t * batch + b) * h;
            let adjoint: Vec<f64> = d_a.iter().flat_map(|block| &block[at..][..h]).map(|d| d * scale).collect();
            work(&adjoint, &read[(from * batch + b) * n..][..n]);
        }
    };
    let product = |t: usize, sum: &mut [f64]| {
        each(t, &mut |d_a, read| {
            for (line, d) in sum.chunks_exact_mut(n).zip(d_a).filter(|(_, d)| **d != 0.0) {
                add(line, *d, read);
            }
        });
    };
    let mut total = vec![0.0; rows * n];
    (0..n_steps).for_each(|t| product(t, &mut total));
    let size = norm(&total);
    let segments: Vec<f64> = (0..n_steps)
        .map(|t| {
            let mut sum = 0.0;
            each(t, &mut |d_a, read| {
                for (line, d) in total.chunks_exact(n).zip(d_a).filter(|(_, d)| **d != 0.0) {
                    sum += d * dot(line, read);
                }
            });
            if size > 0.0 { sum / size } else { 0.0 }
        })
        .collect();
    to.header.sequences = sequences;
    to.add("segments", "⟨G_t, G⟩/‖G‖", &[n_steps], &segments);
    to.add("norm", if is_recurrent { "‖∂L/∂W_hh‖" } else { "‖∂L/∂W_ih‖" }, &[1], &[size]);
    if let Some(t) = step.filter(|&t| t < n_steps) {
        total.fill(0.0);
        product(t, &mut total);
        let size = norm(&total);
        // Of each block, units from top to bottom and what they read from left to right.
        let [tall, wide] = [h, n].map(|extent| extent.div_ceil(SIDE));
        let [high, across] = [h.div_ceil(tall), n.div_ceil(wide)];
        let mut pooled = vec![0.0_f64; blocks.len() * high * across];
        for (at, &value) in total.iter().enumerate() {
            let (block, unit, column) = (at / (h * n), at / n % h, at % n);
            let cell = &mut pooled[(block * high + unit / tall) * across + column / wide];
            if value.abs() > cell.abs() {
                *cell = value;
            }
        }
        to.add(
            "product",
            if is_recurrent { "G_t, from unit" } else { "G_t, from input" },
            &[blocks.len() * high, across],
            &pooled,
        );
        to.add("size", "‖G_t‖", &[1], &[size]);
        to.add("step", "t", &[1], &[t as f64]);
    }
    Ok(())
}

/// What a layer reads at every timestep of the probe sequences, `[T, B, n]`: the inputs, symbols as one-hot vectors, or the states below.
fn inputs(session: &Session, layer: usize) -> Vec<f64> {
    let batch = session.probe_batch();
    let rows = batch.n_steps * batch.batch;
    if layer > 0 {
        let below = session.probe_program().rows.iter().filter(|row| row.layer + 1 == layer);
        let below: Vec<Vec<f64>> = below.map(|row| session.engine().read_f64(row.y)).collect();
        let h = session.model().hidden;
        return (0..rows).flat_map(|at| below.iter().flat_map(move |y| &y[at * h..][..h])).copied().collect();
    }
    if batch.symbols.is_empty() {
        return batch.features.iter().map(|&x| f64::from(x)).collect();
    }
    let n = session.model().inputs;
    let mut one_hot = vec![0.0; rows * n];
    batch.symbols.iter().enumerate().for_each(|(at, &symbol)| one_hot[at * n + symbol as usize] = 1.0);
    one_hot
}
