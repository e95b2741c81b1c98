//! A session: one network on one task, with everything that it needs to go on.

#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
mod accelerated;
mod copies;
mod pace;
mod stream;
mod trial;

#[cfg(target_arch = "wasm32")]
pub use accelerated::Recipe;
pub use pace::Pace;
pub use stream::Streamed;
pub use trial::{Rehearsal, Trial};

use super::config::{Clip, ClipKind, Config, LIMITS};
use super::program::{Blueprint, Layout, LossAt, Program, Purpose, Seeded, TargetSlot};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::graph::{Mark, PERSISTENT};
use crate::kernels::Access;
use crate::kernels::update::{self, HYPER, UNLIMITED};
use crate::nn::{Decoder, Inputs, Model, Parameter};
use crate::options::{Kind, Value, join};
use crate::rng::Stream;
use crate::shape::{Shape, Tensor};
use crate::tasks::{Baseline, Batch, Draw, Form, IGNORED, Solved, Task};
use serde::Serialize;
use std::ops::Range;

/// Sequences of the probe batch.
const PROBE_BATCH: usize = 16;

/// Sequences of an evaluation, at least.
const HELD_OUT: usize = 256;

/// Programs for a caller's batches that are kept.
const CALLER_PROGRAMS: usize = 4;

/// Which engine runs a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// Plain loops in f64.
    #[cfg(feature = "reference")]
    Reference,
    /// SIMD loops in f32.
    Cpu,
}

/// What one training step says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Loss of the batch, before the update.
    pub loss: f64,
    /// Share of right answers, 0 to 1.
    pub accuracy: f64,
    /// Global norm of the gradient before clipping.
    pub norm: f64,
    /// Factor that it was multiplied by.
    pub coefficient: f64,
    /// True when clipping changed it.
    pub clipped: bool,
}

/// How long a call of a training step takes.
#[derive(Clone, Debug, Serialize)]
pub struct CallTime {
    /// `stem.entry`.
    pub label: &'static str,
    /// The name of the first tensor that it writes.
    pub writes: String,
    /// Milliseconds a step.
    pub ms: f64,
    /// Floating-point operations of its products, a step.
    pub flop: u64,
}

impl StepReport {
    /// Before the first step.
    const NONE: Self = Self { loss: f64::NAN, accuracy: f64::NAN, norm: 0.0, coefficient: 1.0, clipped: false };

    /// From the result of the loss and that of the norm.
    fn new([loss, accuracy]: [f64; 2], [norm, coefficient, largest]: [f64; 3], clip: Option<Clip>) -> Self {
        let clipped = match clip {
            Some(Clip { kind: ClipKind::Value, at }) => largest > f64::from(at as f32),
            _ => coefficient < 1.0,
        };
        Self { loss, accuracy, norm, coefficient, clipped }
    }
}

/// Where a number stopped being finite. In a training step, the parameters are those before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diverged {
    /// Updates done before.
    pub step: u64,
    /// The first tensor with a NaN or an infinity, in order of computation.
    pub tensor: String,
    /// One sentence.
    pub message: String,
}

/// How a session does on held-out data.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Updates done.
    pub step: u64,
    /// Mean loss.
    pub loss: f64,
    /// Share of right answers.
    pub accuracy: f64,
    /// For a task with a source: share of sequences whose whole answer is right when the network reads its own answers, each its likeliest
    /// class (greedy decoding), instead of the true ones.
    pub exact: Option<f64>,
    /// Number of sequences.
    pub n_sequences: usize,
    /// True when the task's criterion is met.
    pub solved: bool,
    /// Set when a number is not finite.
    pub diverged: Option<Diverged>,
}

/// Loss, outputs and gradients of a caller's batch.
#[derive(Clone, Debug)]
pub struct CallerGradients {
    /// The loss.
    pub loss: f64,
    /// `[B, O]` or `[T, B, O]`.
    pub outputs: Vec<f32>,
    /// ∂L/∂p, flat, in the order of the parameters.
    pub gradient: Vec<f32>,
    /// `[L·D, T]`: Frobenius norm of ∂L/∂h_t over `[B, H]`.
    pub hidden: Vec<f32>,
    /// Set when a number is not finite.
    pub diverged: Option<Diverged>,
}

/// One network on one task.
pub struct Session {
    config: Config,
    task: Box<dyn Task>,
    model: Model,
    parameters: Vec<Parameter>,
    layout: Layout,
    engine: Engine,
    train: Program,
    probe: Option<Program>,
    /// For copies of probe sequences, of the size that was asked for last.
    copies: Option<Seeded>,
    callers: Vec<Program>,
    /// Set while a stream is under way.
    streaming: Option<stream::Streaming>,
    batch: Batch,
    probe_batch: Batch,
    hyper: [f64; HYPER],
    step: u64,
    last: StepReport,
    /// Set while training steps run on WebGPU.
    #[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
    accelerated: Option<accelerated::Accelerated>,
    /// Steps that WebGPU has done and that were not taken yet.
    #[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
    reports: std::collections::VecDeque<StepReport>,
}

impl Session {
    /// Builds the network and its programs. Nothing is allocated before the sizes are known to fit.
    ///
    /// # Errors
    /// [`Error::Invalid`] when options do not fit together or the session would need more memory than [`LIMITS`] allow.
    pub fn new(config: Config, kind: EngineKind) -> Result<Self> {
        let (task, model) = config.build()?;
        let form = task.form().clone();
        let layout = Layout::new(&model, config.batch);
        let blueprint = Blueprint {
            model: &model,
            form: &form,
            layout: &layout,
            n_steps: form.n_steps,
            batch: config.batch,
            last_only: form.last_only,
            optimiser: config.optimiser.spec,
        };
        let estimate = rough_bytes(&model, &form, config.batch, layout.len);
        check_memory(SIZES, estimate)?;
        let train = blueprint.compile(Purpose::Train { carry: config.carry });
        let bytes = train.plan.bytes() as u64 + 4 * layout.len as u64;
        check_memory(SIZES, bytes)?;
        let mut engine = match kind {
            #[cfg(feature = "reference")]
            EngineKind::Reference => Engine::reference(layout.len),
            EngineKind::Cpu => Engine::cpu(layout.len),
        };
        engine.reserve(&train.plan);
        let initial = config.init.draw(&model, config.seed, form.n_steps);
        let parameters = model.parameters();
        let batch = Batch::zeros(&form, config.batch);
        let mut probe_batch = Batch::zeros(&form, PROBE_BATCH);
        task.sample(Draw { seed: config.seed, stream: Stream::Probe, step: 0 }, &mut probe_batch);
        let mut session = Self {
            config,
            task,
            model,
            parameters,
            layout,
            engine,
            train,
            probe: None,
            copies: None,
            callers: Vec::new(),
            streaming: None,
            batch,
            probe_batch,
            hyper: [0.0; HYPER],
            step: 0,
            last: StepReport::NONE,
            #[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
            accelerated: None,
            #[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
            reports: std::collections::VecDeque::new(),
        };
        session.set_values_f64(&initial.values);
        session.set_hyper_slot(session.step);
        Ok(session)
    }

    /// The configuration, with the hyperparameters of now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Sizes and kinds of the data.
    pub fn form(&self) -> &Form {
        self.task.form()
    }

    /// What a predictor without memory reaches.
    pub fn baseline(&self) -> Baseline {
        self.task.baseline()
    }

    /// When the task is solved.
    pub fn solved(&self) -> Solved {
        self.task.solved()
    }

    /// Names, shapes and places of the parameters.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Updates done since the session began.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The report of the last step.
    pub fn last(&self) -> StepReport {
        self.last
    }

    /// Bytes of memory that the training program and the parameters take.
    pub fn bytes(&self) -> u64 {
        self.train.plan.bytes() as u64 + 4 * self.layout.len as u64
    }

    /// One training step on the task's next batch. Allocates nothing while all goes well.
    ///
    /// # Errors
    /// [`Diverged`] when the loss or the gradient is not finite; the parameters stay as they were before the step.
    pub fn train_step(&mut self) -> std::result::Result<StepReport, Diverged> {
        let draw = Draw { seed: self.config.seed, stream: Stream::Train, step: self.step };
        self.task.sample(draw, &mut self.batch);
        upload(&mut self.engine, &self.train, &self.batch, None);
        self.set_hyper_slot(self.step);
        let report = Self::update(&mut self.engine, &self.train, &self.layout, self.config.clip, self.step)?;
        self.step += 1;
        self.last = report;
        Ok(report)
    }

    /// Forward, backward, check, update.
    fn update(
        engine: &mut Engine,
        program: &Program,
        layout: &Layout,
        clip: Option<Clip>,
        step: u64,
    ) -> std::result::Result<StepReport, Diverged> {
        let norm = flat(layout.norm, 3);
        engine.write(norm, &FREE);
        engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Clip));
        let [loss, accuracy] = [0, 1].map(|at| engine.scalar(program.result, at));
        let report = StepReport::new([loss, accuracy], [0, 1, 2].map(|at| engine.scalar(norm, at)), clip);
        if !report.loss.is_finite() || !report.norm.is_finite() {
            let range = program.plan.range(Mark::Forward, Mark::Clip);
            let Some((tensor, label)) = first_non_finite(engine, program, range) else {
                unreachable!("the same step gives the same numbers");
            };
            return Err(stopped(step, tensor, label));
        }
        // An update of finite numbers can overflow, but only from numbers beyond all use: then it is done with a way back.
        let values = flat(0, layout.parameters);
        if report.norm <= SAFE && engine.largest(values) <= SAFE {
            engine.run(&program.plan, program.plan.range(Mark::Update, Mark::Update));
            return Ok(report);
        }
        let kept = [flat(0, layout.parameters), flat(layout.moments[0], layout.hyper - layout.moments[0])];
        let before = kept.map(|part| engine.read_f64(part));
        engine.run(&program.plan, program.plan.range(Mark::Update, Mark::Update));
        if kept.iter().all(|&part| engine.largest(part).is_finite()) {
            return Ok(report);
        }
        let tensor = if engine.largest(values).is_finite() { "the optimiser's moments" } else { "the parameters" };
        kept.iter().zip(&before).for_each(|(&part, before)| engine.write_f64(part, before));
        Err(stopped(step, tensor.to_owned(), "update"))
    }

    /// How long each call of a training step takes on the host, on average over `steps` steps, by the clock `now` in milliseconds. The
    /// steps are done on a copy: nothing changes.
    pub fn profile(&mut self, steps: u32, now: fn() -> f64) -> Vec<CallTime> {
        let plan = &self.train.plan;
        let calls = plan.range(Mark::Forward, Mark::Update);
        let time = |at: usize| {
            let call = &plan.calls()[at];
            let written = call.entry.operands.iter().position(|operand| operand.access != Access::Read);
            let writes = plan.name(at, written.expect("a call writes something")).to_owned();
            CallTime { label: call.entry.label, writes, ms: 0.0, flop: (call.entry.flop)(call) }
        };
        let mut times: Vec<CallTime> = calls.clone().map(time).collect();
        let mut engine = self.engine.clone();
        upload(&mut engine, &self.train, &self.batch, None);
        for _ in 0..steps {
            engine.write(flat(self.layout.norm, 3), &FREE);
            let mut since = now();
            for (at, time) in calls.clone().zip(&mut times) {
                engine.run(plan, at..at + 1);
                let until = now();
                time.ms += (until - since) / f64::from(steps);
                since = until;
            }
        }
        times
    }

    /// One training step on the caller's batch; counts as a step.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a batch in another form; the inner result as [`Session::train_step`].
    pub fn train_on(&mut self, batch: &Batch) -> Result<std::result::Result<StepReport, Diverged>> {
        let at = self.caller_program(batch)?;
        self.set_hyper_slot(self.step);
        upload(&mut self.engine, &self.callers[at], batch, None);
        let result = Self::update(&mut self.engine, &self.callers[at], &self.layout, self.config.clip, self.step);
        if let Ok(report) = result {
            self.step += 1;
            self.last = report;
        }
        Ok(result)
    }

    /// Loss, outputs and gradients of the caller's batch; no update.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a batch in another form.
    pub fn gradients(&mut self, batch: &Batch) -> Result<CallerGradients> {
        let at = self.caller_program(batch)?;
        let program = &self.callers[at];
        upload(&mut self.engine, program, batch, None);
        self.engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Backward));
        let (mut outputs, mut gradient, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
        self.engine.read(program.output, &mut outputs);
        self.of_parameters(self.layout.gradient).for_each(|part| self.engine.read(part, &mut gradient));
        for row in &program.rows {
            let totals = self.engine.read_f64(row.total(0));
            let block = batch.batch * self.model.hidden;
            for of_step in totals.chunks_exact(block).take(batch.n_steps) {
                hidden.push(of_step.iter().map(|d| d * d).sum::<f64>().sqrt() as f32);
            }
        }
        let loss = self.engine.scalar(program.result, 0);
        let finite =
            loss.is_finite() && [&outputs, &gradient, &hidden].iter().all(|of| of.iter().all(|v| v.is_finite()));
        let diverged = (!finite).then(|| {
            let range = program.plan.range(Mark::Forward, Mark::Backward);
            answer_not_finite(&mut self.engine, program, range, self.step, "on this batch")
        });
        Ok(CallerGradients { loss, outputs, gradient, hidden, diverged })
    }

    /// The program for batches of this size, compiled when it is new.
    fn caller_program(&mut self, batch: &Batch) -> Result<usize> {
        let form = self.task.form().clone();
        check_batch(&form, batch)?;
        if let Some([field, expected, got]) = self.model.misfit_of(batch.n_steps) {
            return Err(Error::invalid(field, expected, got));
        }
        if let Some(Decoder { source, .. }) = self.model.decoder
            && batch.n_steps <= source
        {
            let expected = format!("more than the {source} timesteps of the source");
            return Err(Error::invalid("batch.T", expected, batch.n_steps));
        }
        let known = |p: &Program| p.n_steps == batch.n_steps && p.batch == batch.batch;
        if let Some(at) = self.callers.iter().position(known) {
            return Ok(at);
        }
        let sized = Form { n_steps: batch.n_steps, ..form.clone() };
        check_memory("batch.T, batch.B", rough_bytes(&self.model, &sized, batch.batch, self.layout.len))?;
        let blueprint = Blueprint {
            model: &self.model,
            form: &form,
            layout: &self.layout,
            n_steps: batch.n_steps,
            batch: batch.batch,
            last_only: form.last_only,
            optimiser: self.config.optimiser.spec,
        };
        let program = blueprint.compile(Purpose::Caller);
        check_memory("batch.T, batch.B", program.plan.bytes() as u64 + 4 * self.layout.len as u64)?;
        self.engine.reserve(&program.plan);
        if self.callers.len() == CALLER_PROGRAMS {
            self.callers.remove(0);
        }
        self.callers.push(program);
        Ok(self.callers.len() - 1)
    }

    /// How the network does on data that no training step sees.
    pub fn evaluate(&mut self) -> Evaluation {
        let passes = HELD_OUT.div_ceil(self.config.batch);
        let (mut loss, mut hits, mut weight) = (0.0, 0.0, 0.0);
        let (mut exact, source) = (0, self.task.form().source);
        let mut diverged = None;
        for pass in 0..passes {
            let draw = Draw { seed: self.config.seed, stream: Stream::HeldOut, step: pass as u64 };
            self.task.sample(draw, &mut self.batch);
            self.batch.starts.fill(1.0);
            upload(&mut self.engine, &self.train, &self.batch, None);
            self.engine.run(&self.train.plan, self.train.plan.range(Mark::Forward, Mark::Loss));
            let [l, h, w] = [0, 1, 2].map(|at| self.engine.scalar(self.train.result, at));
            if !l.is_finite() && diverged.is_none() {
                let range = self.train.plan.range(Mark::Forward, Mark::Loss);
                diverged = Some(answer_not_finite(&mut self.engine, &self.train, range, self.step, "on held-out data"));
            }
            loss += l * w;
            hits += h * w;
            weight += w;
            if let Some(source) = source {
                let rows = self.batch.batch;
                let said = decode(&mut self.engine, &self.train, &self.batch, source);
                let asked = &self.batch.classes[source * rows..];
                exact += (0..rows)
                    .filter(|row| {
                        (*row..asked.len()).step_by(rows).all(|at| asked[at] == IGNORED || asked[at] == said[at])
                    })
                    .count();
            }
        }
        let exact = source.map(|_| exact as f64 / (passes * self.config.batch) as f64);
        let (loss, accuracy) = if weight > 0.0 { (loss / weight, hits / weight) } else { (0.0, 0.0) };
        let solved = match self.task.solved() {
            Solved::LossBelow(bound) => loss < bound,
            Solved::AccuracyAtLeast(bound) => accuracy >= bound,
        };
        let n_sequences = passes * self.config.batch;
        Evaluation { step: self.step, loss, accuracy, exact, n_sequences, solved, diverged }
    }

    /// Forward and backward on the probe batch, with losses where `at` says. The slots can be read until the next run.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no loss counts there.
    pub fn run_probe(&mut self, at: LossAt) -> Result<()> {
        let (n_steps, batch) = (self.probe_batch.n_steps, self.probe_batch.batch);
        let weights: Vec<f32> = (0..n_steps * batch)
            .map(|position| {
                let t = position / batch;
                let counts = match at {
                    LossAt::Task => return self.probe_batch.mask[position],
                    LossAt::Last => t == n_steps - 1,
                    LossAt::All => true,
                    LossAt::Step(step) => t == step,
                };
                if counts && self.probe_batch.mask[position] > 0.0 { 1.0 } else { 0.0 }
            })
            .collect();
        if weights.iter().all(|&w| w == 0.0) {
            let got = match at {
                LossAt::Task => "task".to_owned(),
                LossAt::Last => "last".to_owned(),
                LossAt::All => "all".to_owned(),
                LossAt::Step(step) => step.to_string(),
            };
            return Err(Error::invalid("options.lossAt", "a timestep at which the probe has a target", got));
        }
        if self.probe.is_none() {
            let program = self.blueprint(n_steps, batch).compile(Purpose::Probe);
            check_memory(SIZES, program.plan.bytes() as u64 + self.bytes())?;
            self.engine.reserve(&program.plan);
            self.probe = Some(program);
        }
        let program = self.probe.as_ref().expect("compiled above");
        upload(&mut self.engine, program, &self.probe_batch, Some(&weights));
        self.engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Backward));
        Ok(())
    }

    /// What the network says to the probe's sequences when it reads its own answers, `[U, B]` classes; `None` for a task without a source.
    /// The probe must have run, and its slots no longer hold it.
    pub fn decode_probe(&mut self) -> Option<Vec<u32>> {
        let (program, source) = (self.probe.as_ref()?, self.task.form().source?);
        Some(decode(&mut self.engine, program, &self.probe_batch, source))
    }

    /// Where the probe's numbers stop being finite, when something that was read of them is not; runs it again.
    pub fn probe_not_finite(&mut self) -> Diverged {
        let program = self.probe.as_ref().expect("the probe has run");
        let range = program.plan.range(Mark::Forward, Mark::Backward);
        answer_not_finite(&mut self.engine, program, range, self.step, "on the probe")
    }

    /// The program of the probe.
    ///
    /// # Panics
    /// Before the first [`Session::run_probe`].
    pub fn probe_program(&self) -> &Program {
        self.probe.as_ref().expect("the probe has run")
    }

    /// The engine, to read the slots of a program that has just run.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The sequences that the pictures are drawn from.
    pub fn probe_batch(&self) -> &Batch {
        &self.probe_batch
    }

    /// The parts of the persistent segment that belong to the parameters, in their order: values, or what is laid out like them from
    /// `start` on.
    fn of_parameters(&self, start: usize) -> impl Iterator<Item = Tensor> {
        self.parameters.iter().zip(&self.layout.places).map(move |(of, place)| flat(start + place, of.len()))
    }

    /// All parameters, flat.
    pub fn values(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.layout.parameters);
        self.of_parameters(0).for_each(|part| self.engine.read(part, &mut values));
        values
    }

    /// Replaces all parameters. The optimiser's moments stay, as after `load_state_dict`.
    pub fn set_values(&mut self, values: &[f32]) {
        let parts: Vec<Tensor> = self.of_parameters(0).collect();
        for (parameter, part) in self.parameters.iter().zip(parts) {
            self.engine.write(part, &values[parameter.offset..][..parameter.len()]);
        }
    }

    /// As [`Session::values`], in the precision of the engine.
    pub fn values_f64(&self) -> Vec<f64> {
        self.of_parameters(0).flat_map(|part| self.engine.read_f64(part)).collect()
    }

    /// As [`Session::set_values`], in the precision of the engine.
    pub fn set_values_f64(&mut self, values: &[f64]) {
        let parts: Vec<Tensor> = self.of_parameters(0).collect();
        for (parameter, part) in self.parameters.iter().zip(parts) {
            self.engine.write_f64(part, &values[parameter.offset..][..parameter.len()]);
        }
    }

    /// The gradient of the last backward pass of a training or caller's program, in the precision of the engine.
    pub fn gradient_f64(&self) -> Vec<f64> {
        self.of_parameters(self.layout.gradient).flat_map(|part| self.engine.read_f64(part)).collect()
    }

    /// Changes hyperparameters from the next step on: options of the optimiser by name, and `clip`.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field; then nothing is changed.
    pub fn set_hyper(&mut self, changes: Value) -> Result<()> {
        let Value::Map(mut changes) = changes else {
            return Err(Error::invalid("hyper", "an object", changes));
        };
        let mut clip = self.config.clip;
        if let Some(at) = changes.iter().position(|(name, _)| name == "clip") {
            clip = Clip::read("hyper.clip", changes.remove(at).1)?;
        }
        let spec = self.config.optimiser.spec;
        if let Some((name, value)) = changes.iter().find(|(name, _)| !spec.options.iter().any(|o| o.name == name)) {
            let names: Vec<_> = spec.options.iter().map(|option| option.name).chain(["clip"]).collect();
            return Err(Error::invalid(join("hyper", name), format!("one of the fields {}", names.join(", ")), value));
        }
        let options = self.config.optimiser.options.with("hyper", spec.options, &changes)?;
        self.config.clip = clip;
        self.config.optimiser.options = options;
        Ok(())
    }

    /// Sets the hyperparameters for the step after `step` updates.
    fn set_hyper_slot(&mut self, step: u64) {
        self.hyper = [0.0; HYPER];
        (self.config.optimiser.spec.hyper)(&self.config.optimiser.options, step + 1, &mut self.hyper);
        self.hyper[update::MAX_NORM] = UNLIMITED;
        self.hyper[update::MAX_VALUE] = UNLIMITED;
        self.hyper[update::SAFE_NORM] = f64::INFINITY;
        match self.config.clip {
            Some(Clip { kind: ClipKind::Norm, at }) => self.hyper[update::MAX_NORM] = at,
            Some(Clip { kind: ClipKind::Value, at }) => self.hyper[update::MAX_VALUE] = at,
            None => {}
        }
        self.engine.write_f64(flat(self.layout.hyper, HYPER), &self.hyper);
    }

    /// The parts of the persistent segment that a snapshot holds: parameters, then moments and carried states.
    fn lasting(&self) -> [Tensor; 2] {
        let Layout { parameters, moments, hyper, .. } = self.layout;
        [flat(0, parameters), flat(moments[0], hyper - moments[0])]
    }

    /// What two sessions must share to exchange snapshots, in words.
    fn kin(&self) -> String {
        let Config { task, cell, optimiser, batch, carry, .. } = &self.config;
        let sizes =
            format!("{}×{} → {} → {}", self.model.layers, self.model.inputs, self.model.hidden, self.model.outputs);
        let carry = if *carry { ", carry" } else { "" };
        let own: Vec<_> = self.config.cell_options.values().iter().map(|(_, value)| format!(" {value}")).collect();
        let own = own.concat();
        let own = if self.config.decoder == "same" { own } else { format!("{own} decoder {}", self.config.decoder) };
        format!("{}{own} {sizes} on {}, {}, B {batch}{carry}", cell.id, task.id, optimiser.spec.id)
    }

    /// Parameters, moments, carried states, counters and hyperparameters in one blob.
    pub fn snapshot(&self) -> Vec<u8> {
        let kin = self.kin();
        let mut blob = SNAPSHOT.to_vec();
        blob.extend((kin.len() as u32).to_le_bytes());
        blob.extend(kin.as_bytes());
        blob.extend(self.step.to_le_bytes());
        let clip = match self.config.clip {
            None => [0.0, 0.0],
            Some(Clip { kind: ClipKind::Norm, at }) => [1.0, at],
            Some(Clip { kind: ClipKind::Value, at }) => [2.0, at],
        };
        let clipped = if self.last.clipped { 1.0 } else { 0.0 };
        let last = [self.last.loss, self.last.accuracy, self.last.norm, self.last.coefficient, clipped];
        let options = self.config.optimiser.options.values().iter().map(|(_, value)| match value {
            Value::Number(n) => *n,
            Value::Bool(true) => 1.0,
            _ => 0.0,
        });
        for number in clip.into_iter().chain(last).chain(options) {
            blob.extend(number.to_le_bytes());
        }
        let mut values = Vec::with_capacity(self.layout.len);
        self.lasting().iter().for_each(|&part| self.engine.read(part, &mut values));
        blob.extend(bytemuck::cast_slice::<f32, u8>(&values));
        blob.extend(checksum(&blob).to_le_bytes());
        blob
    }

    /// Goes back to a snapshot of this session or of one with the same network, task, optimiser and batch size.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the blob is no snapshot, is damaged, or is one of another network; then nothing is changed.
    pub fn restore(&mut self, blob: &[u8]) -> Result<()> {
        let kin = self.kin();
        let wrong = |got: String| Error::invalid("snapshot", format!("a snapshot of {kin}"), got);
        let damaged = || wrong(format!("{} bytes that are no whole snapshot", blob.len()));
        let rest =
            blob.strip_prefix(SNAPSHOT).ok_or_else(|| wrong(format!("{} bytes of something else", blob.len())))?;
        let (rest, sum) = rest.split_last_chunk::<8>().ok_or_else(damaged)?;
        if checksum(&blob[..blob.len() - 8]) != u64::from_le_bytes(*sum) {
            return Err(damaged());
        }
        let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (of, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(damaged)?;
        if of != kin.as_bytes() {
            return Err(wrong(format!("one of {}", String::from_utf8_lossy(of))));
        }
        let (step, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let specs = self.config.optimiser.spec.options;
        let (numbers, values) = rest.split_at_checked(8 * (7 + specs.len())).ok_or_else(damaged)?;
        let parts = self.lasting();
        if values.len() != 4 * parts.iter().map(|part| part.shape.len()).sum::<usize>() {
            return Err(damaged());
        }
        let numbers: Vec<f64> =
            numbers.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight"))).collect();
        let (&[clip, at, loss, accuracy, norm, coefficient, clipped], options) =
            numbers.split_first_chunk::<7>().expect("seven and the options");
        let options: Vec<_> = specs
            .iter()
            .zip(options)
            .map(|(spec, &n)| {
                let value =
                    if matches!(spec.kind, Kind::Switch { .. }) { Value::Bool(n == 1.0) } else { Value::Number(n) };
                (spec.name.to_owned(), value)
            })
            .collect();
        let options = self.config.optimiser.options.with("snapshot", specs, &options)?;

        self.config.optimiser.options = options;
        self.config.clip = match clip {
            1.0 => Some(Clip { kind: ClipKind::Norm, at }),
            2.0 => Some(Clip { kind: ClipKind::Value, at }),
            _ => None,
        };
        self.step = u64::from_le_bytes(*step);
        self.last = StepReport { loss, accuracy, norm, coefficient, clipped: clipped == 1.0 };
        let values: Vec<f32> =
            values.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four"))).collect();
        let (parameters, others) = values.split_at(parts[0].shape.len());
        self.engine.write(parts[0], parameters);
        self.engine.write(parts[1], others);
        Ok(())
    }
}

/// First bytes of a snapshot.
const SNAPSHOT: &[u8] = b"unroll03";

/// FNV-1a over 64 bits (Fowler, Noll and Vo, RFC 9923): tells a damaged snapshot from a whole one.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// The result of the norm before a step: nothing holds its update.
const FREE: [f32; 3] = [0.0, 1.0, 0.0];

/// A flat part of the persistent segment.
fn flat(offset: usize, len: usize) -> Tensor {
    Tensor { offset: offset as u32, ..Tensor::whole(PERSISTENT, Shape::new(&[len])) }
}

/// A lower bound of the memory of a session, before anything is recorded.
fn rough_bytes(model: &Model, form: &Form, batch: usize, persistent: usize) -> u64 {
    let blocks = model.cell.width + model.cell.saved.len() + 1;
    // Each head of an attention keeps a weight for every pair of timesteps.
    let pairs = if model.options.has("heads") { model.options.integer("heads") * form.n_steps } else { 0 };
    let activations = form.n_steps as u64 * batch as u64 * (model.layers * (blocks * model.hidden + pairs)) as u64;
    4 * (activations + persistent as u64)
}

/// Logits into probabilities.
fn softmax(logits: &mut [f64]) {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter_mut().for_each(|logit| *logit = libm::exp(*logit - most));
    let sum: f64 = logits.iter().sum();
    logits.iter_mut().for_each(|share| *share /= sum);
}

/// The fields that decide how much memory a session needs.
const SIZES: &str = "model.hidden, task.length, batch";

fn check_memory(field: &str, bytes: u64) -> Result<()> {
    if bytes <= LIMITS.bytes {
        return Ok(());
    }
    let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
    let expected = format!("sizes that need at most {}", mib(LIMITS.bytes));
    Err(Error::invalid(field, expected, mib(bytes)))
}

/// What goes into a slot, row after row.
enum Words<'a> {
    Real(&'a [f32]),
    Index(&'a [u32]),
}

#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
impl<'a> Words<'a> {
    /// As the words of a buffer.
    fn as_words(&self) -> &'a [u32] {
        match self {
            Self::Real(values) => bytemuck::cast_slice(values),
            Self::Index(values) => values,
        }
    }
}

/// The slots of a program and what a batch of its size puts there.
fn parts<'a>(program: &Program, batch: &'a Batch, weights: Option<&'a [f32]>) -> [Option<(Tensor, Words<'a>)>; 4] {
    let from = if program.last_only { (program.n_steps - 1) * program.batch } else { 0 };
    let input = match program.inputs {
        Inputs::Features(x) => (x, Words::Real(&batch.features)),
        Inputs::Symbols(x) => (x, Words::Index(&batch.symbols)),
    };
    let target = match program.target {
        TargetSlot::Classes(target) => (target, Words::Index(&batch.classes[from..])),
        TargetSlot::Values(target) => (target, Words::Real(&batch.values[from * target.shape.columns()..])),
    };
    let weight = (program.weight, Words::Real(&weights.unwrap_or(&batch.mask)[from..]));
    let starts = program.starts.map(|starts| (starts, Words::Real(&batch.starts)));
    [Some(input), Some(target), Some(weight), starts]
}

/// Writes a batch to the slots of a program of its size.
fn upload(engine: &mut Engine, program: &Program, batch: &Batch, weights: Option<&[f32]>) {
    for (slot, words) in parts(program, batch, weights).into_iter().flatten() {
        match words {
            Words::Real(values) => engine.write(slot, values),
            Words::Index(values) => engine.write_index(slot, values),
        }
    }
}

/// Greedy decoding: the likeliest class at each step of the answer, `[U, B]`, read in place of the true one at the next. U passes forward,
/// for what a step says depends on no later one.
fn decode(engine: &mut Engine, program: &Program, batch: &Batch, source: usize) -> Vec<u32> {
    let Inputs::Symbols(slot) = program.inputs else { unreachable!("a source of symbols") };
    let rows = batch.batch;
    let (mut symbols, mut said, mut outputs) = (batch.symbols.clone(), Vec::new(), Vec::new());
    for t in source..batch.n_steps {
        engine.write_index(slot, &symbols);
        engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Forward));
        outputs.clear();
        engine.read(program.output.outer(t * rows, rows), &mut outputs);
        let likeliest =
            |logits: &[f32]| (0..logits.len()).fold(0, |best, at| if logits[at] > logits[best] { at } else { best });
        said.extend(outputs.chunks_exact(outputs.len() / rows).map(|logits| likeliest(logits) as u32));
        if t + 1 < batch.n_steps {
            let last = said.len() - rows;
            symbols[(t + 1) * rows..][..rows].copy_from_slice(&said[last..]);
        }
    }
    said
}

/// No update starting below this can overflow: 10 times the largest momentum, learning rate and decay are within 10²³ of it.
const SAFE: f64 = 1e15;

/// Finds the first tensor that is not finite, by running some calls again with checks: its name and the call that wrote it.
fn first_non_finite(engine: &mut Engine, program: &Program, range: Range<usize>) -> Option<(String, &'static str)> {
    let found = engine.run_checked(&program.plan, range)?;
    let call = &program.plan.calls()[found.call];
    let name = program.plan.name(found.call, found.operand);
    let operand = call.tensor(found.operand);
    let timed = operand.shape.rows() == program.n_steps * program.batch && program.n_steps > 1;
    let at = if timed { format!(" at timestep {}", found.row / program.batch + 1) } else { String::new() };
    Some((format!("{name}{at}"), call.entry.label))
}

/// A training step that was not done.
fn stopped(step: u64, tensor: String, label: &str) -> Diverged {
    let message = format!(
        "Step {}: a number stopped being finite in {tensor} ({label}), so training stopped and the parameters are those before this step.",
        step + 1,
    );
    Diverged { step, tensor, message }
}

/// A pass without an update whose answer holds a NaN or an infinity.
fn answer_not_finite(engine: &mut Engine, program: &Program, range: Range<usize>, step: u64, what: &str) -> Diverged {
    // Sums over several tensors are made after the pass and can overflow by themselves.
    let found = first_non_finite(engine, program, range);
    let (tensor, label) = found.unwrap_or_else(|| ("a norm over the batch".to_owned(), "sum"));
    let message = format!("After {step} steps: a number is not finite {what}, first in {tensor} ({label}).");
    Diverged { step, tensor, message }
}

/// A caller's batch has the form of the task.
fn check_batch(form: &Form, batch: &Batch) -> Result<()> {
    let (input, target) = (form.input.size() as u32, form.target.size() as u32);
    if let Some(&symbol) = batch.symbols.iter().find(|&&symbol| symbol >= input) {
        return Err(Error::invalid("batch.x", format!("symbols below {input}"), symbol));
    }
    if let Some(&class) = batch.classes.iter().find(|&&class| class >= target && class != IGNORED) {
        let expected = format!("classes below {target}, or {IGNORED} to ignore");
        return Err(Error::invalid("batch.y", expected, class));
    }
    for (field, values) in [("batch.x", &batch.features), ("batch.y", &batch.values), ("batch.mask", &batch.mask)] {
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::invalid(field, "finite numbers", Value::from(*value)));
        }
    }
    if let Some(weight) = batch.mask.iter().find(|&&weight| weight < 0.0) {
        return Err(Error::invalid("batch.mask", "numbers of at least 0", Value::from(*weight)));
    }
    Ok(())
}
