//! The poke: is the information lost, or only the credit?

use super::inspection::{Inspection, Poked, Query, memory};
use super::vectors::{add, norm};
use crate::error::{Error, Result};
use crate::shape::{Shape, Tensor};
use crate::tasks::Input;
use crate::train::{LossAt, Session, Stretch};
use std::ops::Range;

/// Changes something at timestep k = `query.step` (by default the first) and lets the network run on, beside a copy without the change.
/// `ripple` `[T]` is ‖Δm_t‖₂ in the state m that carries the memory, `output` `[T]` is ‖Δy_t‖₂, logits or values; NaN before k, in a
/// network of one direction. `at` `[1]` is k. In f32, a ripple below some 10⁻⁷ of the state is lost.
///
/// [`Poked::Input`]: feature `query.unit` of x_k grows by `query.by`; a symbol becomes symbol `query.unit`, or the one after it where it is
/// that already. [`Poked::State`]: element `query.unit` of m_k grows by `query.by`, after step k was computed; the other states of k stay.
///
/// # Errors
/// [`Error::Invalid`] when there is no such unit, feature or symbol, and for a state of a network that reads in both directions.
#[inline(never)]
pub(super) fn poke(session: &mut Session, row: usize, poked: Poked, query: Query, to: &mut Inspection) -> Result<()> {
    session.run_probe(LossAt::Task)?;
    let (input, probe, sequence) = (session.form().input, session.probe_batch(), query.sequence);
    let (n_steps, hidden, (_, state)) = (probe.n_steps, session.model().hidden, memory(session));
    let k = query.step.unwrap_or(0).min(n_steps - 1);
    let count = if poked == Poked::State { hidden } else { input.size() };
    if query.unit >= count {
        return Err(Error::invalid("query.unit", format!("a whole number from 0 to {}", count - 1), query.unit));
    }
    // What follows, from the states before it, twice: the second copy has the change. In both directions, everything follows, and where
    // no state is all that is handed on, everything is run again.
    let is_stream = !session.model().hands_on();
    let both_ways = session.model().bidirectional;
    if both_ways && poked == Poked::State {
        let got = "one that reads in both directions, where a changed state has no single future";
        return Err(Error::invalid("query.panel", "a network in one direction for a change of a state", got));
    }
    if is_stream && poked == Poked::State {
        let expected = "a recurrent network for a change of a state";
        return Err(Error::invalid("query.panel", expected, session.model().cell.title));
    }
    let first = match (poked, both_ways || is_stream) {
        (Poked::State, _) => k + 1,
        (Poked::Input, false) => k,
        (Poked::Input, true) => 0,
    };
    let mut following = Following::new(session, sequence, first..n_steps, 2);
    let (mut ripple, mut output) = (vec![f64::NAN; n_steps], vec![f64::NAN; n_steps]);
    match (poked, input) {
        (Poked::Input, Input::Features(n)) => {
            following.features[(2 * (k - first) + 1) * n + query.unit] += query.by as f32;
        }
        (Poked::Input, Input::Symbols(n)) => {
            let at = 2 * (k - first) + 1;
            let is_there = following.symbols[at] as usize == query.unit;
            following.symbols[at] = if is_there { (query.unit + 1) % n } else { query.unit } as u32;
        }
        (Poked::State, _) => {
            following.state0[row][(2 * state + 1) * hidden + query.unit] += query.by;
            // The change itself.
            ripple[k] = query.by.abs();
        }
    }
    if first < n_steps {
        let program = following.run(session)?;
        for (to, of) in [(&mut ripple, program.rows[row].state(state)), (&mut output, program.output)] {
            let apart = difference(&session.engine().read_f64(of), n_steps - first);
            to[first..].copy_from_slice(&apart);
        }
    }
    to.add("ripple", &format!("‖Δ{}‖", to.header.state), &[n_steps], &ripple);
    to.add("output", "‖Δy‖", &[n_steps], &output);
    to.add("at", "k", &[1], &[k as f64]);
    Ok(())
}

/// Some timesteps of a probe sequence, several copies of it, and the states before them.
pub(super) struct Following {
    size: [usize; 2],
    /// `[T, B, I]`, or `symbols` `[T, B]`.
    pub features: Vec<f32>,
    pub symbols: Vec<u32>,
    /// `[S, B, H]` for each row.
    pub state0: Vec<Vec<f64>>,
}

impl Following {
    /// Reads the slots of the probe. States of rows that read nothing before these timesteps are zero.
    #[inline(never)]
    pub fn new(session: &Session, sequence: usize, steps: Range<usize>, copies: usize) -> Self {
        let (probe, hidden) = (session.probe_batch(), session.model().hidden);
        let (features, symbols) = session.probe_inputs(steps.clone(), &vec![sequence; copies]);
        let mut state0 = Vec::new();
        for row in &session.probe_program().rows {
            let t = if row.reverse { steps.end } else { steps.start.wrapping_sub(1) };
            let mut before = Vec::new();
            for index in 0..session.model().cell.states {
                let mut values = vec![0.0; hidden];
                if t < probe.n_steps {
                    let of = row.state(index).outer(t, 1);
                    let offset = of.offset + sequence as u32 * of.stride;
                    values = session.engine().read_f64(Tensor { offset, shape: Shape::new(&[1, hidden]), ..of });
                }
                (0..copies).for_each(|_| before.extend_from_slice(&values));
            }
            state0.push(before);
        }
        Self { size: [steps.len(), copies], features, symbols, state0 }
    }

    /// Runs the network on them.
    pub fn run(&self, session: &mut Session) -> Result<Stretch> {
        session.run_stretch(self.size, &self.features, &self.symbols, &self.state0)
    }
}

/// ‖second − first‖₂ of two copies at each timestep, from `[T, 2, n]`.
fn difference(values: &[f64], n_steps: usize) -> Vec<f64> {
    let n = values.len() / (2 * n_steps);
    let apart = |of: &[f64]| {
        let mut difference = of[n..].to_vec();
        add(&mut difference, -1.0, &of[..n]);
        norm(&difference)
    };
    values.chunks_exact(2 * n).map(apart).collect()
}
