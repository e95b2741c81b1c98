//! The pipe: how much of the memory at each timestep reaches the end past all weights.

use super::factors::chain;
use super::inspection::{Inspection, reading_order, sequence_of};
use super::quantile;
use super::vectors::means;
use crate::error::Result;
use crate::order;
use crate::train::{LossAt, Session};

/// `width` `[3, T]`: Π over the steps after t of the keep gate, per unit; its mean over the units, 10 % and 90 % quantile. Valves and
/// taps are means over the units: `keep`, `admit` (1 − keep where both share one whole), and `emit` where there is such a gate.
/// `bias` `[1]`: the mean of the keep gate's bias.
///
/// For a cell without a keep gate, the stated substitute: `step` takes the place of the gate, the gain ‖∂m_t/∂m_{t−1}‖_F / √H of the
/// factor chain, and may be above 1; there are no taps.
#[inline(never)]
pub(super) fn pipe(session: &mut Session, row: usize, sequence: usize, to: &mut Inspection) -> Result<()> {
    session.run_probe(LossAt::Task)?;
    let row = &session.probe_program().rows[row];
    let (cell, h) = (session.model().cell, session.model().hidden);
    let n_steps = session.probe_batch().n_steps;
    let reading = reading_order(n_steps, row.reverse);
    let (Some(keep), Some(name), Some(gates)) = (cell.keep, cell.kept(), row.gates) else {
        let step = chain(session, row, sequence).step;
        to.add("width", "Π step", &[3, n_steps], &[widths(&reading, &step, 1), vec![f64::NAN; 2 * n_steps]].concat());
        to.add("step", "step", &[n_steps], &step);
        return Ok(());
    };
    let gate = |block: usize| sequence_of(session, gates.columns(block * h, h), sequence);
    let kept = gate(keep);
    let products = widths(&reading, &kept, h);
    let mut width = means(&products, h);
    let mut of_step = Vec::with_capacity(h);
    for q in [0.1, 0.9] {
        for products in products.chunks_exact(h) {
            of_step.clear();
            of_step.extend_from_slice(products);
            order::numbers(&mut of_step);
            width.push(f64::from(quantile(&of_step, q)));
        }
    }
    to.add("width", &format!("Π {name}"), &[3, n_steps], &width);
    let mean_kept = means(&kept, h);
    to.add("keep", name, &[n_steps], &mean_kept);
    match (cell.shares, cell.admit) {
        (Some([_, admitted]), _) => {
            to.add("admit", admitted, &[n_steps], &mean_kept.iter().map(|kept| 1.0 - kept).collect::<Vec<_>>());
        }
        (None, Some(block)) => to.add("admit", cell.blocks[block], &[n_steps], &means(&gate(block), h)),
        (None, None) => {}
    }
    if let Some(block) = cell.emit {
        to.add("emit", cell.blocks[block], &[n_steps], &means(&gate(block), h));
    }
    let bias = session.keep_bias(row.layer, row.reverse).expect("a keep gate");
    to.add("bias", &format!("bias of {name}"), &[1], &[bias]);
    Ok(())
}

/// Π of the factors `[T, n]` over the steps that a row reads after each timestep; 1 at the last.
fn widths(order: &[usize], factors: &[f64], n: usize) -> Vec<f64> {
    let mut products = vec![1.0; factors.len()];
    for pair in order.windows(2).rev() {
        for unit in 0..n {
            products[pair[0] * n + unit] = products[pair[1] * n + unit] * factors[pair[1] * n + unit];
        }
    }
    products
}
