//! What a pass forward costs: steps that wait for one another, work, memory and time.

use super::{SIZES, Session, check_memory};
use crate::error::Result;
use crate::graph::Mark;
use crate::kernels::{additive_attention, attention};

/// A measurement lasts at least so many milliseconds, for clocks are coarse …
const LEAST_MS: f64 = 4.0;
/// … or so many passes.
const MOST_PASSES: u32 = 1024;

/// Of a pass forward over T timesteps of one sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// T.
    pub n_steps: usize,
    /// D: length of the longest chain of calls of which each waits for the one before; a loop over time is as long as its timesteps.
    pub depth: usize,
    /// The same if every loop that is linear in its state were done in a tree, ⌈log₂ T⌉ long.
    pub in_tree: usize,
    /// Steps in time from the first position to the last: T − 1 through a state, 1 where attention reads it.
    pub apart: usize,
    /// Floating-point operations of products, a timestep.
    pub flop: f64,
    /// Numbers that a stream hands on after T timesteps, where the network can be streamed.
    pub handed_on: Option<usize>,
    /// Milliseconds by the clock, the mean of some passes.
    pub ms: f64,
}

impl Session {
    /// What a pass forward over the first `n_steps` timesteps of a probe sequence costs on the CPU, by the clock `now` in milliseconds.
    ///
    /// # Errors
    /// [`crate::error::Error::Invalid`] when that needs more memory than a session may take.
    pub fn pace(&mut self, n_steps: usize, now: fn() -> f64) -> Result<Pace> {
        let program = self.blueprint(n_steps, 1).compile_stretch(None);
        check_memory(SIZES, program.plan.bytes() as u64 + self.bytes())?;
        self.engine.reserve(&program.plan);
        let (features, symbols) = self.probe_inputs(0..n_steps, &[0]);
        self.run_stretch_of(&program, &features, &symbols, &[]);
        let range = program.plan.range(Mark::Forward, Mark::Forward);
        let mut passes = 1;
        let ms = loop {
            let since = now();
            (0..passes).for_each(|_| self.engine.run(&program.plan, range.clone()));
            let ms = now() - since;
            if ms >= LEAST_MS || ms.is_nan() || passes >= MOST_PASSES {
                break ms / f64::from(passes);
            }
            passes *= 2;
        };
        let calls = program.plan.calls();
        let flop: u64 = calls.iter().map(|call| (call.entry.flop)(call)).sum();
        let reads = [&attention::FORWARD, &additive_attention::FORWARD];
        let attends = calls.iter().any(|call| reads.iter().any(|&read| std::ptr::eq(call.entry, read)));
        let handed_on = self.model.streams().then(|| {
            let program = self.blueprint(1, 1).compile_stretch(Some(n_steps - 1));
            program.handed_on.iter().map(|(_, after)| after.shape.len()).sum()
        });
        let handed_on = handed_on.filter(|&n| n > 0);
        let [depth, in_tree] = program.depth;
        let apart = if attends { 1 } else { n_steps - 1 };
        Ok(Pace { n_steps, depth, in_tree, apart, flop: flop as f64 / n_steps as f64, handed_on, ms })
    }
}
