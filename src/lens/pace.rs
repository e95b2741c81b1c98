//! Sequential or parallel: what a pass forward costs at several lengths.

use super::inspection::Inspection;
use crate::error::Result;
use crate::train::Session;

/// For n lengths T, a quarter of the task's, half of it and all, as far as they are longer than a decoder's source: `lengths` `[n]`;
/// `depth` and `tree` `[n]` steps that wait for one another, as computed and with linear loops in a tree; `apart` `[n]` steps between the
/// first position and the last; `work` `[n]` operations of products a timestep; `memory` `[n]` numbers that a stream hands on after T
/// timesteps; `time` `[n]` milliseconds of a pass over one sequence on the CPU.
///
/// # Errors
/// As [`Session::pace`].
#[inline(never)]
pub(super) fn pace(session: &mut Session, now: fn() -> f64, to: &mut Inspection) -> Result<()> {
    let whole = session.probe_batch().n_steps;
    let source = session.model().decoder.map_or(0, |decoder| decoder.source);
    let mut lengths = vec![whole.div_ceil(4), whole.div_ceil(2), whole];
    lengths.retain(|&n_steps| n_steps > source);
    lengths.dedup();
    let mut rows = Vec::new();
    for n_steps in lengths {
        let pace = session.pace(n_steps, now)?;
        let [depth, in_tree, apart] = [pace.depth, pace.in_tree, pace.apart].map(|n| n as f64);
        let memory = pace.handed_on.map_or(f64::NAN, |n| n as f64);
        rows.push(vec![n_steps as f64, depth, in_tree, apart, pace.flop, memory, pace.ms]);
    }
    to.add_columns(&["lengths", "depth", "tree", "apart", "work", "memory", "time"].map(|id| [id; 2]), &rows);
    Ok(())
}
