//! A session whose training steps run on WebGPU.
//!
//! The engine of the host stays: pictures, evaluation, gradients of callers' batches and snapshots are its business, from the numbers
//! of step [`Accelerated::copied`]. [`Session::pull`] brings it up to date when everything that was submitted is done;
//! [`Session::push`] takes its numbers back to the device after they were changed. Should the device fail, training goes on on the
//! host from where it stands.
//!
//! A step whose gradient is not finite is held by the device, and so are those after it; the host then does it itself, with all its
//! checks, and says what is wrong or goes on.

use super::super::program::Program;
use super::{FREE, Session, StepReport, check_batch, flat, parts, upload};
use crate::engine::{Engine, Runner};
use crate::error::{Error, Result};
use crate::graph::{Mark, Plan};
use crate::kernels::update::{self, HYPER};
use crate::nn::Parameter;
use crate::rng::Stream;
use crate::shape::Tensor;
use crate::tasks::{Batch, Draw};
use std::ops::Range;

/// Everything that a runner is made from.
pub struct Recipe {
    /// The training step.
    pub plan: Plan,
    /// All of its calls.
    pub calls: Range<usize>,
    /// Elements of the persistent segment.
    pub persistent_len: usize,
    /// What goes in, what comes out, what is kept.
    pub tensors: [Vec<Tensor>; 3],
}

/// Training steps on WebGPU.
pub(super) struct Accelerated {
    runner: Runner,
    /// Updates done when all that was submitted is done.
    ahead: u64,
    /// Updates behind the numbers that the host has.
    copied: u64,
    /// True when the device holds its updates.
    is_held: bool,
    /// True when its numbers are not those of the step that it was held at, so that the host must begin with its own.
    is_past: bool,
}

/// Largest norm that the device updates with: beyond it, the host does the step, with a way back.
const SAFE_NORM: f32 = super::SAFE as f32;

/// Numbers that a step says: those of the loss and those of the norm.
const SAID: usize = 6;

/// Writes one step's inputs, in the order of the recipe.
fn feed(runner: &mut Runner, at: usize, program: &Program, batch: &Batch, hyper: &[f64; HYPER]) {
    let mut hyper = hyper.map(|number| number as f32);
    hyper[update::SAFE_NORM] = SAFE_NORM;
    let parts = parts(program, batch, None);
    let mut parts = parts.iter().flatten();
    runner.feed(at, |to| {
        to.copy_from_slice(parts.next().map_or(bytemuck::cast_slice(&hyper), |(_, words)| words.as_words()));
    });
}

impl Session {
    /// What a runner for this session is made from, at its present step.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the session runs in double precision.
    pub fn recipe(&self) -> Result<Recipe> {
        if !matches!(self.engine, Engine::Cpu(_)) {
            return Err(Error::unavailable("WebGPU", "double precision runs on the CPU"));
        }
        let plan = self.train.plan.clone();
        let mut feeds: Vec<Tensor> =
            parts(&self.train, &self.batch, None).iter().flatten().map(|(to, _)| *to).collect();
        feeds.push(flat(self.layout.hyper, HYPER));
        let reads = vec![self.train.result, flat(self.layout.norm, 3)];
        let tensors = [feeds, reads, self.lasting().to_vec()];
        let calls = plan.range(Mark::Forward, Mark::Update);
        Ok(Recipe { plan, calls, persistent_len: self.layout.len, tensors })
    }

    /// As [`Session::recipe`], for a runner that tries a step: the gradient is what it keeps.
    ///
    /// # Errors
    /// As [`Session::recipe`].
    pub fn trial_recipe(&self) -> Result<Recipe> {
        let mut recipe = self.recipe()?;
        recipe.tensors[2] = vec![flat(self.layout.gradient, self.layout.parameters)];
        Ok(recipe)
    }

    /// Submits the next training step to a runner that was made from [`Session::trial_recipe`], and does it on the host up to the gradient:
    /// the loss there, and the gradient as it is laid out.
    pub fn try_step(&mut self, runner: &mut Runner) -> (f64, Vec<f64>) {
        self.sample_next();
        self.set_hyper_slot(self.step);
        self.engine.write(flat(self.layout.norm, 3), &FREE);
        match &self.engine {
            Engine::Cpu(memory) => runner.write(memory),
            #[cfg(feature = "reference")]
            Engine::Reference(_) => unreachable!("it gives no recipe"),
        }
        feed(runner, 0, &self.train, &self.batch, &self.hyper);
        runner.submit(1);
        upload(&mut self.engine, &self.train, &self.batch, None);
        self.engine.run(&self.train.plan, self.train.plan.range(Mark::Forward, Mark::Backward));
        let gradient = self.engine.read_f64(flat(self.layout.gradient, self.layout.parameters));
        (self.engine.scalar(self.train.result, 0), gradient)
    }

    /// Per parameter: ‖g − g′‖₂ / ‖g‖₂ for two gradients as they are laid out; 0 where both are 0.
    pub fn apart(&self, g: &[f64], other: &[f32]) -> Vec<f64> {
        let apart = |(place, parameter): (&usize, &Parameter)| {
            let range = *place..place + parameter.len();
            let (mut difference, mut size) = (0.0, 0.0);
            for (g, other) in g[range.clone()].iter().zip(&other[range]) {
                let apart = g - f64::from(*other);
                difference += apart * apart;
                size += g * g;
            }
            if difference == 0.0 { 0.0 } else { (difference / size).sqrt() }
        };
        self.layout.places.iter().zip(&self.parameters).map(apart).collect()
    }

    /// From now on, training steps run on a runner that was made from this session's recipe.
    pub fn accelerate(&mut self, runner: Runner) {
        let step = self.step;
        self.accelerated = Some(Accelerated { runner, ahead: step, copied: step, is_held: false, is_past: false });
        self.push();
    }

    /// Training goes on on the host, from the numbers that it has. Returns how many of the steps that were taken it is behind.
    pub fn decelerate(&mut self) -> u64 {
        let Some(accelerated) = self.accelerated.take() else { return 0 };
        let behind = self.step.saturating_sub(accelerated.copied);
        let kept = self.reports.len().saturating_sub(behind as usize);
        let taken = behind - (self.reports.len() - kept) as u64;
        self.reports.truncate(kept);
        self.step = accelerated.copied;
        taken
    }

    /// The runner, if training steps run there.
    pub fn runner(&self) -> Option<&Runner> {
        self.accelerated.as_ref().map(|accelerated| &accelerated.runner)
    }

    /// Cuts time loops whose dispatches take longer than `most_ms`, when a step takes `step_ms`: almost all of it are two loops a layer.
    pub fn cut_loops(&mut self, step_ms: f64, most_ms: f64) {
        let Some(accelerated) = &mut self.accelerated else { return };
        let longest = step_ms / (2 * self.train.rows.len()) as f64;
        if longest > most_ms {
            let steps = (self.train.n_steps as f64 * most_ms / longest).max(1.0) as u32;
            accelerated.runner.cut_loops(steps);
        }
    }

    /// Updates done when all that was submitted is done.
    pub fn ahead(&self) -> u64 {
        self.accelerated.as_ref().map_or(self.step, |accelerated| accelerated.ahead)
    }

    /// Updates behind the numbers that the host has.
    pub fn copied(&self) -> u64 {
        self.accelerated.as_ref().map_or(self.step, |accelerated| accelerated.copied)
    }

    /// True when the device holds its updates, until the host has done the step.
    pub fn is_held(&self) -> bool {
        self.accelerated.as_ref().is_some_and(|accelerated| accelerated.is_held)
    }

    /// The first step that is done and was not taken yet.
    pub fn take_report(&mut self) -> Option<StepReport> {
        self.reports.pop_front()
    }

    /// The last step that is done and was not taken yet.
    pub fn take_last_report(&mut self) -> Option<StepReport> {
        self.reports.pop_back()
    }

    /// Submits some of the next steps, at least one and at most `steps`.
    ///
    /// # Panics
    /// When the session is not accelerated or the runner has no room.
    pub fn submit(&mut self, steps: usize) {
        let mut accelerated = self.accelerated.take().expect("an accelerated session");
        let steps = steps.clamp(1, accelerated.runner.most_steps());
        for at in 0..steps {
            let step = accelerated.ahead + at as u64;
            self.task.sample(Draw { seed: self.config.seed, stream: Stream::Train, step }, &mut self.batch);
            self.set_hyper_slot(step);
            feed(&mut accelerated.runner, at, &self.train, &self.batch, &self.hyper);
        }
        accelerated.runner.submit(steps);
        accelerated.ahead += steps as u64;
        self.accelerated = Some(accelerated);
    }

    /// True when the device takes a caller's batch: it is as large as the task's, and no state is carried from one to the next.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a batch in another form.
    pub fn takes(&self, batch: &Batch) -> Result<bool> {
        check_batch(self.form(), batch)?;
        let same = batch.n_steps == self.train.n_steps && batch.batch == self.train.batch;
        Ok(self.accelerated.is_some() && same && !self.config.carry)
    }

    /// Submits one step on a batch that the device takes.
    ///
    /// # Panics
    /// When the session is not accelerated or the runner has no room.
    pub fn submit_batch(&mut self, batch: &Batch) {
        let mut accelerated = self.accelerated.take().expect("an accelerated session");
        self.set_hyper_slot(accelerated.ahead);
        feed(&mut accelerated.runner, 0, &self.train, batch, &self.hyper);
        accelerated.runner.submit(1);
        accelerated.ahead += 1;
        self.accelerated = Some(accelerated);
    }

    /// Takes in what the oldest submit has said, if it is there: true when something was.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device was lost or has refused the work.
    pub fn collect(&mut self) -> Result<bool> {
        let Some(accelerated) = &mut self.accelerated else { return Ok(false) };
        let Some(said) = accelerated.runner.collect().transpose()? else { return Ok(false) };
        for step in said.chunks_exact(SAID).map(|step| std::array::from_fn(|at| f64::from(step[at]))) {
            let [loss, accuracy, _, norm, coefficient, largest]: [f64; SAID] = step;
            // A shader may take a NaN for whatever it likes: the host looks for itself.
            let is_sound = loss.is_finite() && norm <= f64::from(SAFE_NORM);
            if !accelerated.is_held && (coefficient < 0.0 || !is_sound) {
                accelerated.is_held = true;
                // What the device has not held has changed its numbers, and carried states go on in any case.
                accelerated.is_past = coefficient >= 0.0 || self.config.carry;
            }
            if !accelerated.is_held {
                self.last = StepReport::new([loss, accuracy], [norm, coefficient, largest], self.config.clip);
                self.step += 1;
                self.reports.push_back(self.last);
            }
        }
        Ok(true)
    }

    /// Takes in what [`Runner::fetch`] has brought, when everything submitted has been collected: the host has the numbers of this step.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device was lost.
    pub fn pull(&mut self) -> Result<()> {
        let Some(accelerated) = &mut self.accelerated else { return Ok(()) };
        let values = accelerated.runner.fetched()?;
        if accelerated.is_held && accelerated.is_past {
            return Ok(());
        }
        accelerated.copied = self.step;
        let [parameters, others] = self.lasting();
        let (first, rest) = values.split_at(parameters.shape.len());
        self.engine.write(parameters, first);
        self.engine.write(others, rest);
        Ok(())
    }

    /// The device goes on from the numbers of the host.
    pub fn push(&mut self) {
        self.engine.write(flat(self.layout.norm, 3), &FREE);
        let (Some(accelerated), Engine::Cpu(memory)) = (&mut self.accelerated, &self.engine) else { return };
        accelerated.runner.write(memory);
        (accelerated.ahead, accelerated.copied) = (self.step, self.step);
        (accelerated.is_held, accelerated.is_past) = (false, false);
    }

    /// Does the steps that the device holds on the host, up to the one that it was held at, and hands the numbers back.
    ///
    /// # Errors
    /// [`super::Diverged`] as [`Session::train_step`].
    pub fn catch_up(&mut self) -> std::result::Result<(), super::Diverged> {
        let (held_at, from) = (self.step, self.copied());
        self.step = from;
        let mut outcome = Ok(());
        while self.step <= held_at && outcome.is_ok() {
            let is_new = self.step == held_at;
            outcome = self.train_step().map(|report| {
                if is_new {
                    self.reports.push_back(report);
                }
            });
        }
        self.push();
        outcome
    }
}
