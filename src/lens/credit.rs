//! The credit matrix: which timestep's answer depends on which earlier state.

use super::inspection::{Inspection, Of, memory, sequence_of};
use super::quantile;
use super::vectors::norm;
use crate::error::Result;
use crate::nn::Attention;
use crate::order;
use crate::train::{LossAt, Session};

/// Multiplications that one credit matrix may take, forward and back: some 20 ms on one thread.
const WORK: usize = 200_000_000;

/// Copies of probe sequences in one pass, at most.
const COPIES: usize = 4096;

/// C_tk = ‖∂y_t/∂m_k‖ over the outputs y (Frobenius), or ‖∂L_t/∂m_k‖ for the loss at t alone, in the state m that carries the memory:
/// the median over probe sequences. Series `matrix` `[R, T]`, and `rows` `[R]` with the timestep of each row.
///
/// One pass over copies of the probe sequences, each with the adjoint of one output at one timestep. Where that is too much work, fewer
/// sequences are looked at, and then fewer rows, evenly spaced; the last row is always there.
#[inline(never)]
pub(super) fn credit(session: &mut Session, of: Of, row: usize, to: &mut Inspection) -> Result<()> {
    let (n_steps, n_sequences) = (session.probe_batch().n_steps, session.probe_batch().batch);
    let (outputs, hidden) = (session.model().outputs, session.model().hidden);
    let (seeds, scored) = match of {
        // While a source is read, nothing is asked.
        Of::Output => (Vec::new(), (session.form().source.unwrap_or(0)..n_steps).collect()),
        Of::Loss => {
            let seeds = session.own_d_output()?;
            let mask = &session.probe_batch().mask;
            let is_scored = |&t: &usize| mask[t * n_sequences..][..n_sequences].iter().any(|&m| m > 0.0);
            (seeds, (0..n_steps).filter(is_scored).collect::<Vec<usize>>())
        }
    };
    let per_cell = if of == Of::Output { outputs } else { 1 };
    let model = session.model();
    let per_copy = 3 * n_steps * model.layers * model.directions() * model.cell.width * hidden * hidden;
    let affordable = (WORK / per_copy.max(1)).clamp(2 * per_cell, COPIES.max(2 * per_cell)) / per_cell;
    let rows = spread(&scored, affordable);
    let sequences = (affordable / rows.len().max(1)).clamp(1, n_sequences);

    // Copy (s, r, o): sequence s, looked back at from output o at the timestep of row r.
    let n = sequences * rows.len() * per_cell;
    let of_copy: Vec<usize> = (0..n).map(|copy| copy / (rows.len() * per_cell)).collect();
    let mut d_output = vec![0.0; n_steps * n * outputs];
    for (copy, &sequence) in of_copy.iter().enumerate() {
        let (t, o) = (rows[copy / per_cell % rows.len()], copy % per_cell);
        let at = &mut d_output[(t * n + copy) * outputs..][..outputs];
        match of {
            Of::Output => at[o] = 1.0,
            Of::Loss => at.copy_from_slice(&seeds[(t * n_sequences + sequence) * outputs..][..outputs]),
        }
    }
    session.run_copies(&of_copy, &d_output)?;
    let adjoints = session.engine().read_f64(session.copies_program().rows[row].total(memory(session).1));
    let width = adjoints.len() / (n_steps * n);

    let mut matrix = Vec::with_capacity(rows.len() * n_steps);
    let mut norms = Vec::with_capacity(sequences);
    for r in 0..rows.len() {
        for k in 0..n_steps {
            norms.clear();
            for s in 0..sequences {
                // The copies of one cell lie side by side.
                let first = k * n + (s * rows.len() + r) * per_cell;
                let cell = &adjoints[first * width..][..per_cell * width];
                norms.push(norm(cell));
            }
            order::numbers(&mut norms);
            matrix.push(f64::from(quantile(&norms, 0.5)));
        }
    }
    let what = if of == Of::Output { "y" } else { "L" };
    let title = format!("‖∂{what}_t/∂{}_k‖", to.header.state);
    to.header.sequences = sequences;
    to.add("matrix", &title, &[rows.len(), n_steps], &matrix);
    let times: Vec<f64> = rows.iter().map(|&t| t as f64).collect();
    to.add("rows", "timestep t of each row", &[rows.len()], &times);
    Ok(())
}

/// `matrix` `[1, U, T]`: the alignment of a decoder, the weight with which each step of the answer reads each step of the source, for one
/// probe sequence; `rows` `[U]` holds the timesteps. `None` without attention to a source.
#[inline(never)]
pub(super) fn alignment(session: &mut Session, sequence: usize, to: &mut Inspection) -> Option<Result<()>> {
    let source = session.model().decoder.filter(|decoder| decoder.attention != Attention::None)?.source;
    if let Err(error) = session.run_probe(LossAt::Task) {
        return Some(Err(error));
    }
    let n_steps = session.probe_batch().n_steps;
    let weights = sequence_of(session, session.probe_program().alignment.expect("the probe keeps it"), sequence);
    let beyond = vec![0.0; n_steps - source];
    let matrix: Vec<f64> = weights.chunks_exact(source).flat_map(|row| row.iter().chain(&beyond).copied()).collect();
    to.add("matrix", "weight", &[1, n_steps - source, n_steps], &matrix);
    let times: Vec<f64> = (source..n_steps).map(|t| t as f64).collect();
    to.add("rows", "timestep t of each row", &[n_steps - source], &times);
    Some(Ok(()))
}

/// `matrix` `[heads, T, T]`: the weights with which each timestep t (row) of one probe sequence reads the others, per head; what they
/// are is the architecture's business. `rows` `[T]` as for a credit matrix.
///
/// # Panics
/// For an architecture without attention.
#[inline(never)]
pub(super) fn attention(session: &mut Session, row: usize, sequence: usize, to: &mut Inspection) -> Result<()> {
    session.run_probe(LossAt::Task)?;
    let (row, n_steps) = (&session.probe_program().rows[row], session.probe_batch().n_steps);
    let saved: Vec<Vec<f64>> = row.saved.iter().map(|&of| sequence_of(session, of, sequence)).collect();
    let model = session.model();
    let heads = (model.cell.attention.expect("an architecture with attention"))(&saved, n_steps, &model.options);
    to.add("matrix", "weight", &[heads.len(), n_steps, n_steps], &heads.concat());
    let times: Vec<f64> = (0..n_steps).map(|t| t as f64).collect();
    to.add("rows", "timestep t of each row", &[n_steps], &times);
    Ok(())
}

/// At most `count` of some timesteps, evenly spaced, the last one among them.
fn spread(all: &[usize], count: usize) -> Vec<usize> {
    let kept = count.clamp(1, all.len().max(1)).min(all.len());
    (1..=kept).map(|n| all[n * all.len() / kept - 1]).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn rows_are_spread_evenly_and_end_with_the_last() {
        assert_eq!(spread(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 5), [1, 3, 5, 7, 9]);
        assert_eq!(spread(&[3, 7], 9), [3, 7]);
        assert_eq!(spread(&[3, 7, 8], 1), [8]);
        assert_eq!(spread(&[], 4), [0; 0]);
    }
}
