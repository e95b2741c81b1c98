//! What can be tried beside training without a trace: a loss as a function of the parameters, the next update, pictures of the next
//! batch. And the one change that makes new programs: another truncation window.

use super::super::program::{Blueprint, Program, Purpose};
use super::{Diverged, SIZES, Session, StepReport, check_memory, checksum, upload};
use crate::error::{Error, Result};
use crate::graph::Mark;
use crate::nn::Model;
use crate::rng::Stream;
use crate::tasks::{Batch, Draw};

/// The loss of some sequences as a function of the parameters. Its gradient goes back through all timesteps, whatever the window.
pub struct Trial {
    program: Program,
    batch: Batch,
}

/// What the next training step will do.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// Its report.
    pub report: StepReport,
    /// Loss and share of right answers on the same batch after the update.
    pub after: [f64; 2],
    /// The gradient before clipping, the parameters before the update, and those after it; flat, in their order.
    pub vectors: [Vec<f64>; 3],
}

impl Session {
    /// A loss on sequences that no training step sees, with states that start at zero.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that needs more memory than a session may take.
    pub fn trial(&mut self, sequences: usize) -> Result<Trial> {
        let (form, model) = (self.task.form(), Model { window: None, ..self.model.clone() });
        let own = self.blueprint(form.n_steps, sequences);
        let program = Blueprint { model: &model, last_only: form.last_only, ..own }.compile(Purpose::Caller);
        check_memory(SIZES, program.plan.bytes() as u64 + self.bytes())?;
        let mut batch = Batch::zeros(form, sequences);
        self.task.sample(Draw { seed: self.config.seed, stream: Stream::Probe, step: 0 }, &mut batch);
        self.engine.reserve(&program.plan);
        Ok(Trial { program, batch })
    }

    /// Σ w l / Σ w over the positions of a trial, summed in f64, with the parameters as they are.
    pub fn trial_loss(&mut self, Trial { program, batch }: &Trial) -> f64 {
        upload(&mut self.engine, program, batch, None);
        self.engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Loss));
        let [losses, weights] = [program.losses, program.weight].map(|of| self.engine.read_f64(of));
        let sum: f64 = losses.iter().zip(&weights).filter(|(_, w)| **w > 0.0).map(|(l, w)| l * w).sum();
        sum / weights.iter().sum::<f64>()
    }

    /// The gradient of a trial's loss by backpropagation, flat, in the order of the parameters.
    pub fn trial_gradient(&mut self, Trial { program, batch }: &Trial) -> Vec<f64> {
        upload(&mut self.engine, program, batch, None);
        self.engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Backward));
        self.gradient_f64()
    }

    /// FNV-1a over 64 bits of all parameters, as little-endian f32: equal for two runs only if their parameters are, up to chance.
    pub fn fingerprint(&self) -> u64 {
        checksum(bytemuck::cast_slice(&self.values()))
    }

    pub(super) fn sample_next(&mut self) {
        self.task.sample(Draw { seed: self.config.seed, stream: Stream::Train, step: self.step }, &mut self.batch);
    }

    /// Does the next training step and takes it back.
    ///
    /// # Errors
    /// [`Diverged`] as [`Session::train_step`].
    pub fn rehearse(&mut self) -> std::result::Result<Rehearsal, Diverged> {
        self.sample_next();
        let parts = self.lasting();
        let kept = parts.map(|part| self.engine.read_f64(part));
        let before = self.values_f64();
        upload(&mut self.engine, &self.train, &self.batch, None);
        self.set_hyper_slot(self.step);
        let report = Self::update(&mut self.engine, &self.train, &self.layout, self.config.clip, self.step)?;
        let vectors = [self.gradient_f64(), before, self.values_f64()];
        // States that are carried are those that the batch began with.
        self.engine.write_f64(parts[1], &kept[1]);
        upload(&mut self.engine, &self.train, &self.batch, None);
        self.engine.run(&self.train.plan, self.train.plan.range(Mark::Forward, Mark::Loss));
        let after = [0, 1].map(|at| self.engine.scalar(self.train.result, at));
        self.engine.write_f64(parts[0], &kept[0]);
        Ok(Rehearsal { report, after, vectors })
    }

    /// Works with the next training batch in the place of the probe's sequences. States start at zero there.
    #[inline(never)]
    pub fn on_next_batch<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.sample_next();
        std::mem::swap(&mut self.probe_batch, &mut self.batch);
        let probe = self.probe.take();
        let result = work(self);
        std::mem::swap(&mut self.probe_batch, &mut self.batch);
        self.probe = probe;
        result
    }

    /// From now on, the adjoint of the state is cut every `window` timesteps, counted from the end; `None` cuts it nowhere. Training goes
    /// on on the host.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the window is 0.
    pub fn set_window(&mut self, window: Option<usize>) -> Result<()> {
        if window == Some(0) {
            return Err(Error::invalid("change.window", "a whole number of timesteps above 0, or null", 0));
        }
        if let Some(window) = window.filter(|_| self.model.cell.block().is_some()) {
            let expected = format!("null, for the gradient of {} is not cut", self.model.cell.title);
            return Err(Error::invalid("change.window", expected, window));
        }
        #[cfg(target_arch = "wasm32")]
        self.decelerate();
        (self.model.window, self.config.window) = (window, window);
        let own = self.blueprint(self.train.n_steps, self.config.batch);
        let blueprint = Blueprint { last_only: self.form().last_only, ..own };
        let train = blueprint.compile(Purpose::Train { carry: self.config.carry });
        self.engine.reserve(&train.plan);
        self.train = train;
        (self.probe, self.copies) = (None, None);
        self.callers.clear();
        Ok(())
    }
}
