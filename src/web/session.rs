//! `Session`: one network on one task, for JavaScript.
//!
//! Every method clones a handle and returns a promise, so that `free` may come at any time. `advance` works in slices of some
//! milliseconds and gives way between them: other calls take effect at the boundary of a step. Several `advance`s run one after
//! the other. Arguments are read before a session is borrowed, for reading them can run the caller's code. Where training
//! runs on WebGPU, [`super::device`] sees to it that a call finds the numbers on the host.

use super::device::Device;
use super::{batch, error, set, to_js, value};
use crate::engine::schedule::{Dispatch, schedule};
use crate::error::{Error, Result};
use crate::io;
use crate::lens::{FrameOptions, Panel, Query, frame, inspect};
use crate::options::{Fields, Kind, Value};
use crate::tasks::{Batch, Solved};
use crate::train::{Config, Diverged, EngineKind, LIMITS, LossAt, Session as Core, StepReport};
use js_sys::{Float32Array, Function, Promise, Uint8Array};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

/// Longest slice of training between two chances for other calls.
const SLICE_MS: f64 = 8.0;

/// Losses that one `advance` returns at most.
const LOSSES: usize = 4096;

/// A piece of work on a session.
type Work = Box<dyn FnOnce(&mut Core) -> Result<JsValue>>;

pub(super) struct Shared {
    /// `None` once the session is freed.
    pub(super) core: RefCell<Option<Core>>,
    /// WebGPU, as far as this session is concerned.
    pub(super) device: Device,
    /// Settles when the last `advance` in the queue is done.
    tail: RefCell<Promise>,
    /// Calls of `advance` that are not done.
    queued: Cell<usize>,
    /// The number of steps done and the last report when the session was freed.
    end: Cell<(u64, StepReport)>,
}

/// One network on one task.
#[wasm_bindgen]
pub struct Session {
    shared: Rc<Shared>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    step: u64,
    loss: f64,
    accuracy: f64,
    gradient_norm: f64,
    clip_coefficient: f64,
    clipped: bool,
    steps_per_second: f64,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    losses: Float32Array,
    diverged: Option<Diverged>,
    ended: bool,
}

#[derive(Serialize)]
struct BaselineInfo {
    loss: f64,
    what: String,
}

#[derive(Serialize)]
struct DispatchInfo {
    label: &'static str,
    workgroups: [u32; 3],
    bytes: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EvaluationInfo {
    step: u64,
    loss: f64,
    accuracy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<f64>,
    n_sequences: usize,
    baseline: BaselineInfo,
    solved: bool,
    criterion: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    diverged: Option<Diverged>,
}

/// The sums of a call to `advance`.
pub(super) struct Tally {
    /// Steps still to do.
    pub(super) left: u64,
    step: u64,
    n: u64,
    loss: f64,
    accuracy: f64,
    last: StepReport,
    losses: Vec<f32>,
    elapsed_ms: f64,
    diverged: Option<Diverged>,
    pub(super) ended: bool,
}

impl Tally {
    fn new(last: StepReport, step: u64, left: u64) -> Self {
        let losses = Vec::new();
        Self { left, step, n: 0, loss: 0.0, accuracy: 0.0, last, losses, elapsed_ms: 0.0, diverged: None, ended: false }
    }

    pub(super) fn count(&mut self, result: std::result::Result<StepReport, Diverged>) {
        match result {
            Ok(report) => {
                self.left = self.left.saturating_sub(1);
                self.step += 1;
                self.n += 1;
                self.loss += report.loss;
                self.accuracy += report.accuracy;
                self.last = report;
                if self.losses.len() == 2 * LOSSES {
                    self.losses.drain(..LOSSES);
                }
                self.losses.push(report.loss as f32);
            }
            Err(diverged) => self.diverged = Some(diverged),
        }
    }

    /// Forgets the last steps, which are to be done again.
    fn take_back(&mut self, steps: u64) {
        self.left += steps;
        let kept = self.losses.len().saturating_sub(steps as usize);
        let lost: f64 = self.losses.drain(kept..).map(f64::from).sum();
        let n = self.n.saturating_sub(steps);
        self.accuracy *= if self.n > 0 { n as f64 / self.n as f64 } else { 1.0 };
        (self.n, self.loss) = (n, self.loss - lost);
    }

    /// True when a step was stopped.
    pub(super) fn diverged(&self) -> bool {
        self.diverged.is_some()
    }

    fn is_done(&self) -> bool {
        self.left == 0 || self.ended || self.diverged()
    }

    fn to_js(&self) -> JsValue {
        let mean = |sum: f64| sum / self.n as f64;
        let from = self.losses.len().saturating_sub(LOSSES);
        to_js(&Progress {
            step: self.step,
            loss: mean(self.loss),
            accuracy: mean(self.accuracy),
            gradient_norm: self.last.norm,
            clip_coefficient: self.last.coefficient,
            clipped: self.last.clipped,
            steps_per_second: if self.elapsed_ms > 0.0 { self.n as f64 * 1000.0 / self.elapsed_ms } else { 0.0 },
            losses: Float32Array::from(&self.losses[from..]),
            diverged: self.diverged.clone(),
            ended: self.ended,
        })
    }
}

#[wasm_bindgen]
extern "C" {
    /// Milliseconds. A window and a worker have the same clock under this name, and web-sys has it for each by itself.
    #[wasm_bindgen(js_namespace = performance)]
    pub(super) fn now() -> f64;
}

/// Lets other tasks of the event loop run. A message channel, because timers are held back.
async fn give_way() {
    let Ok(channel) = web_sys::MessageChannel::new() else { return };
    let posted = Promise::new(&mut |resolve: Function, _reject: Function| {
        channel.port1().set_onmessage(Some(&resolve));
        let sent = channel.port2().post_message(&JsValue::NULL);
        debug_assert!(sent.is_ok(), "null can be posted");
    });
    let done = JsFuture::from(posted).await;
    debug_assert!(done.is_ok(), "never rejected");
    channel.port1().set_onmessage(None);
    channel.port1().close();
}

fn ended() -> JsValue {
    error(&Error::invalid("session", "a session in use", "one that was freed"))
}

impl Shared {
    /// Works on the core, now.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Core) -> Result<T>) -> std::result::Result<T, JsValue> {
        let mut core = self.core.borrow_mut();
        let core = core.as_mut().ok_or_else(ended)?;
        work(core).map_err(|e| error(&e))
    }

    /// Begins to count the steps of a call.
    fn begin(&self, steps: u64) -> Tally {
        let (step, last) = self.with(|core| Ok((core.step(), core.last()))).unwrap_or_else(|_| self.end.get());
        self.device.taken_back.set(0);
        Tally::new(last, step, steps)
    }

    /// Slice after slice, until the steps are done.
    async fn slices(self: &Rc<Self>, mut tally: Tally) -> JsValue {
        loop {
            if self.is_on_device() {
                let started = now();
                self.device_slice(&mut tally).await;
                tally.elapsed_ms += now() - started;
            } else if !self.device.is_measuring.get() {
                self.host_slice(&mut tally);
            }
            tally.take_back(self.device.taken_back.take());
            if tally.is_done() {
                break;
            }
            give_way().await;
        }
        // A device that failed may have taken some steps back.
        tally.step = self.with(|core| Ok(core.step())).unwrap_or(tally.step);
        tally.to_js()
    }

    /// A slice of training on the host.
    fn host_slice(self: &Rc<Self>, tally: &mut Tally) {
        let (started, before, mut ms) = (now(), tally.n, 0.0);
        let slice = self.with(|core| {
            while tally.left > 0 && tally.diverged.is_none() && ms < SLICE_MS {
                tally.count(core.train_step());
                ms = now() - started;
            }
            Ok(())
        });
        tally.ended = slice.is_err();
        tally.elapsed_ms += ms;
        self.count_on_host(ms, tally.n - before);
    }
}

/// Reads `{ sequence?, lossAt?, batch? }`, and whether the batch is the next one.
fn frame_options(object: Value, [n_steps, n_sequences]: [usize; 2]) -> Result<(FrameOptions, bool)> {
    let object = if object == Value::Null { Value::Map(Vec::new()) } else { object };
    let mut fields = Fields::new("options", object)?;
    let max = n_sequences as u32 - 1;
    let sequence = match fields.read("sequence", Kind::Integer { min: 0, max, default: 0 })? {
        Value::Number(n) => n as usize,
        _ => 0,
    };
    let loss_at = match fields.take("lossAt") {
        Value::Null => LossAt::Task,
        Value::Text(word) if word == "task" => LossAt::Task,
        Value::Text(word) if word == "last" => LossAt::Last,
        Value::Text(word) if word == "all" => LossAt::All,
        Value::Number(t) if t.fract() == 0.0 && t >= 0.0 && t < n_steps as f64 => LossAt::Step(t as usize),
        other => {
            let expected = format!("task, last, all or a timestep from 0 to {}", n_steps - 1);
            return Err(Error::invalid("options.lossAt", expected, other));
        }
    };
    let is_next = is_next(&mut fields)?;
    fields.finish()?;
    Ok((FrameOptions { sequence, loss_at }, is_next))
}

/// Whether pictures are of the next training batch, instead of the probe.
fn is_next(fields: &mut Fields) -> Result<bool> {
    let among = &[("probe", ""), ("next", "")];
    Ok(fields.read("batch", Kind::Choice { among, default: "probe" })? == Value::Text("next".to_owned()))
}

/// Works on the session as it is, or with the next training batch in the place of the probe.
fn look<T>(core: &mut Core, is_next: bool, work: impl Fn(&mut Core) -> T) -> T {
    if is_next { core.on_next_batch(work) } else { work(core) }
}

/// Reads `{ panel, row?, sequence?, block?, step?, unit?, by?, batch? }`, and whether the batch is the next one.
fn query(object: Value, [n_steps, n_sequences]: [usize; 2]) -> Result<(Query, bool)> {
    let mut fields = Fields::new("query", object)?;
    let panel = fields.take("panel");
    let named = |(id, _): &&(&str, Panel)| matches!(&panel, Value::Text(text) if text == id);
    let Some(&(_, panel)) = Panel::ALL.iter().find(named) else {
        let names: Vec<&str> = Panel::ALL.iter().map(|(id, _)| *id).collect();
        return Err(Error::invalid("query.panel", format!("one of {}", names.join(", ")), panel));
    };
    let mut query = Query { now, ..Query::new(panel) };
    query.row = whole(&mut fields, "row", ROWS)?.unwrap_or(0);
    query.sequence = whole(&mut fields, "sequence", n_sequences as u32 - 1)?.unwrap_or(0);
    query.block = whole(&mut fields, "block", BLOCKS)?;
    query.step = whole(&mut fields, "step", n_steps as u32 - 1)?;
    query.unit = whole(&mut fields, "unit", LIMITS.hidden - 1)?.unwrap_or(0);
    query.by = number(&mut fields, "by", 100.0)?.unwrap_or(query.by);
    let is_next = is_next(&mut fields)?;
    fields.finish()?;
    Ok((query, is_next))
}

/// True for a change of the truncation window, which makes new programs.
fn is_window(change: &Value) -> bool {
    matches!(change, Value::Map(fields) if fields.iter().any(|(name, _)| name == "window"))
}

/// Reads `{ keepBias }`, `{ spectralRadius, row?, block? }` or `{ window }`, and makes the change.
fn edit(core: &mut Core, object: Value) -> Result<()> {
    let is_window = is_window(&object);
    let mut fields = Fields::new("change", object)?;
    if is_window {
        let window = whole(&mut fields, "window", LIMITS.length)?;
        fields.finish()?;
        return core.set_window(window);
    }
    let bias = number(&mut fields, "keepBias", 20.0)?;
    let radius = number(&mut fields, "spectralRadius", 100.0)?;
    let row = whole(&mut fields, "row", ROWS)?.unwrap_or(0);
    let block = whole(&mut fields, "block", BLOCKS)?.unwrap_or_else(|| core.model().cell.candidate());
    fields.finish()?;
    match (bias, radius) {
        (Some(bias), None) => core.set_keep_bias(bias),
        (None, Some(radius)) => core.set_spectral_radius(row, block, radius.abs()),
        _ => Err(Error::invalid(
            "change",
            "an object with one of the fields keepBias, spectralRadius, window",
            "another one",
        )),
    }
}

/// Rows and blocks of any network, at most.
const ROWS: u32 = 2 * LIMITS.layers - 1;
const BLOCKS: u32 = 3;

/// A whole number from 0 to `max`; a missing one is `None`.
fn whole(fields: &mut Fields, name: &str, max: u32) -> Result<Option<usize>> {
    let value = fields.take(name);
    Kind::Integer { min: 0, max, default: 0 }.check(&fields.path(name), &value)?;
    Ok(if let Value::Number(n) = value { Some(n as usize) } else { None })
}

/// A number within ±`max`; a missing one is `None`.
fn number(fields: &mut Fields, name: &str, max: f64) -> Result<Option<f64>> {
    let value = fields.take(name);
    let value = Kind::Maybe { min: -max, max, default: None }.check(&fields.path(name), &value)?;
    Ok(if let Value::Number(n) = value { Some(n) } else { None })
}

fn criterion(solved: &Solved) -> String {
    match solved {
        Solved::LossBelow(bound) => format!("held-out loss below {}", Value::from(*bound)),
        Solved::AccuracyAtLeast(bound) => format!("held-out accuracy of at least {} %", Value::from(bound * 100.0)),
    }
}

#[wasm_bindgen]
impl Session {
    /// Builds a session. Rejects with an error that names the field when the configuration cannot be used.
    #[wasm_bindgen(unchecked_return_type = "Promise<Session>")]
    pub fn create(#[wasm_bindgen(unchecked_param_type = "SessionConfig")] config: JsValue) -> Promise {
        future_to_promise(async move {
            let create = || -> Result<Core> { Core::new(Config::read(value::read(&config))?, EngineKind::Cpu) };
            let core = create().map_err(|e| error(&e))?;
            let backend = core.config().backend.clone();
            let device = Device::new(&backend);
            let tail = RefCell::new(Promise::resolve(&JsValue::UNDEFINED));
            let end = Cell::new((core.step(), core.last()));
            let shared = Rc::new(Shared { core: RefCell::new(Some(core)), device, tail, queued: Cell::new(0), end });
            if backend == "webgpu" {
                shared.move_to_device().await;
            }
            Ok(Self { shared }.into())
        })
    }

    /// Ends the session and gives its memory back. An `advance` in progress resolves with `ended`; later calls fail with an error
    /// that says why; a second `free` does nothing.
    // This takes the place of the `free` that wasm-bindgen generates, which leaves a null pointer behind: every later call would then
    // throw "null pointer passed to rust". The empty handle goes when the JavaScript object is collected.
    pub fn free(&self) {
        if let Some(core) = self.shared.core.borrow_mut().take() {
            self.shared.end.set((core.step(), core.last()));
        }
    }

    /// Takes training steps. Resolves early when a number stops being finite or the session is freed.
    #[wasm_bindgen(unchecked_return_type = "Promise<Progress>")]
    pub fn advance(&self, #[wasm_bindgen(unchecked_param_type = "number")] steps: JsValue) -> Promise {
        if let Err(ended) = self.shared.with(|_| Ok(())) {
            return Promise::reject(&ended);
        }
        let steps = match read_steps(&steps, 1_000_000_000) {
            Ok(steps) => steps,
            Err(e) => return Promise::reject(&error(&e)),
        };
        let shared = Rc::clone(&self.shared);
        // The first slice is part of the call where nothing stands before it: a few steps cost no turn of the event loop.
        let at_once = shared.queued.get() == 0 && !shared.is_on_device() && !shared.device.is_measuring.get();
        let begun = at_once.then(|| {
            let mut tally = shared.begin(steps);
            shared.host_slice(&mut tally);
            tally
        });
        if let Some(done) = begun.as_ref().filter(|tally| tally.is_done()) {
            return Promise::resolve(&done.to_js());
        }
        let before = shared.tail.borrow().clone();
        shared.queued.set(shared.queued.get() + 1);
        let promise = future_to_promise(async move {
            let tally = if let Some(begun) = begun {
                give_way().await;
                begun
            } else {
                let turn = JsFuture::from(before).await;
                debug_assert!(turn.is_ok(), "an advance in the queue resolves");
                shared.begin(steps)
            };
            let progress = shared.slices(tally).await;
            shared.queued.set(shared.queued.get() - 1);
            Ok(progress)
        });
        *self.shared.tail.borrow_mut() = promise.clone();
        promise
    }

    /// The scene on the probe sequence.
    #[wasm_bindgen(unchecked_return_type = "Promise<Frame>")]
    pub fn frame(&self, #[wasm_bindgen(unchecked_optional_param_type = "FrameOptions")] options: JsValue) -> Promise {
        let options = value::read(&options);
        self.now(false, move |core| {
            let (options, is_next) = frame_options(options, [core.form().n_steps, core.probe_batch().batch])?;
            let frame = look(core, is_next, |core| frame(core, options))?;
            Ok(packed(&frame.header, &frame.data))
        })
    }

    /// A closer look at one layer, for a panel of the page.
    #[wasm_bindgen(unchecked_return_type = "Promise<Inspection>")]
    pub fn inspect(&self, #[wasm_bindgen(unchecked_param_type = "InspectionQuery")] object: JsValue) -> Promise {
        let object = value::read(&object);
        self.now(false, move |core| {
            let (query, is_next) = query(object, [core.form().n_steps, core.probe_batch().batch])?;
            let inspection = look(core, is_next, |core| inspect(core, query))?;
            Ok(packed(&inspection.header, &inspection.data))
        })
    }

    /// Reads one timestep of a stream with the parameters of now: a symbol, or the features. `null` begins the stream anew.
    #[wasm_bindgen(unchecked_return_type = "Promise<StreamStep | null>")]
    pub fn stream(&self, #[wasm_bindgen(unchecked_param_type = "number | Float32Array | null")] x: JsValue) -> Promise {
        let (begins, features) = (x.is_null(), value::typed::<Float32Array>(&x).map(Float32Array::to_vec));
        let symbol = x.as_f64().filter(|symbol| symbol.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(symbol));
        let got = value::name(&x);
        self.now(false, move |core| {
            if begins {
                core.begin_stream();
                return Ok(JsValue::NULL);
            }
            let symbols = symbol.map(|symbol| symbol as u32);
            let step = core.stream(&features.unwrap_or_default(), symbols.as_slice()).map_err(|error| match error {
                Error::Invalid { field, expected, .. } if field == "x" => Error::invalid(field, expected, got),
                other => other,
            })?;
            let object = js_sys::Object::new().into();
            let floats = |values: &[f64]| {
                let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
                JsValue::from(Float32Array::from(&values[..]))
            };
            let hidden: js_sys::Array = step.hidden.iter().map(|hidden| floats(hidden)).collect();
            set(&object, "read", &JsValue::from_f64(step.n_read as f64));
            set(&object, "output", &floats(&step.output));
            set(&object, "hidden", &hidden);
            set(&object, "handedOn", &JsValue::from_f64(step.n_handed_on as f64));
            set(&object, "longest", &step.longest.map_or(JsValue::NULL, |n| JsValue::from_f64(n as f64)));
            Ok(object)
        })
    }

    /// Changes the running network by hand; the optimiser goes on from there.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn edit(&self, #[wasm_bindgen(unchecked_param_type = "Change")] change: JsValue) -> Promise {
        let change = value::read(&change);
        let is_renewed = is_window(&change) && self.shared.is_on_device();
        let edited = self.now(true, move |core| {
            edit(core, change)?;
            Ok(JsValue::UNDEFINED)
        });
        if !is_renewed {
            return edited;
        }
        let shared = Rc::clone(&self.shared);
        future_to_promise(async move {
            let done = JsFuture::from(edited).await?;
            if !shared.is_on_device() {
                shared.renew().await;
            }
            Ok(done)
        })
    }

    /// The gradient of the next training step by WebGPU against that of the CPU, whichever engine trains. Nothing changes.
    #[wasm_bindgen(js_name = compareEngines, unchecked_return_type = "Promise<Inspection>")]
    pub fn compare_engines(&self) -> Promise {
        let shared = Rc::clone(&self.shared);
        future_to_promise(async move {
            shared.compare().await.map(|of| packed(&of.header, &of.data)).map_err(|e| error(&e))
        })
    }

    /// Loss and accuracy on held-out data.
    #[wasm_bindgen(unchecked_return_type = "Promise<Evaluation>")]
    pub fn evaluate(&self) -> Promise {
        self.now(false, |core| {
            let evaluation = core.evaluate();
            let baseline = core.baseline();
            Ok(to_js(&EvaluationInfo {
                step: evaluation.step,
                loss: evaluation.loss,
                accuracy: evaluation.accuracy,
                exact: evaluation.exact,
                n_sequences: evaluation.n_sequences,
                baseline: BaselineInfo { loss: baseline.loss, what: baseline.what },
                solved: evaluation.solved,
                criterion: criterion(&core.solved()),
                diverged: evaluation.diverged,
            }))
        })
    }

    /// Loss, outputs and gradients on the caller's batch; no update.
    #[wasm_bindgen(unchecked_return_type = "Promise<Gradients>")]
    pub fn gradients(&self, #[wasm_bindgen(unchecked_param_type = "Batch")] batch: JsValue) -> Promise {
        self.on_batch(&batch, |core, batch| {
            let gradients = core.gradients(batch)?;
            let object: JsValue = js_sys::Object::new().into();
            set(&object, "loss", &gradients.loss.into());
            set(&object, "outputs", &Float32Array::from(gradients.outputs.as_slice()));
            set(&object, "weights", &bytes(&io::save(core.parameters(), &gradients.gradient)));
            set(&object, "hidden", &Float32Array::from(gradients.hidden.as_slice()));
            if let Some(diverged) = &gradients.diverged {
                set(&object, "diverged", &to_js(diverged));
            }
            Ok(object)
        })
    }

    /// One training step on the caller's batch.
    #[wasm_bindgen(js_name = trainOn, unchecked_return_type = "Promise<Progress>")]
    pub fn train_on(&self, #[wasm_bindgen(unchecked_param_type = "Batch")] batch: JsValue) -> Promise {
        if !self.shared.is_on_device() {
            return self.on_batch(&batch, |core, batch| {
                let (mut tally, started) = (Tally::new(core.last(), core.step(), 1), now());
                tally.count(core.train_on(batch)?);
                tally.elapsed_ms = now() - started;
                Ok(tally.to_js())
            });
        }
        let (shared, batch) = (Rc::clone(&self.shared), self.read_batch(&batch));
        future_to_promise(async move {
            let (batch, started) = (batch?.map_err(|e| error(&e))?, now());
            let outcome = shared.train_on(&batch).await?;
            let (step, last) = shared.with(|core| Ok((core.step(), core.last())))?;
            let mut tally = Tally::new(last, step - u64::from(outcome.is_ok()), 1);
            tally.count(outcome);
            tally.elapsed_ms = now() - started;
            Ok(tally.to_js())
        })
    }

    /// The weights as a safetensors file, under PyTorch's names.
    #[wasm_bindgen(unchecked_return_type = "Promise<Uint8Array>")]
    pub fn weights(&self) -> Promise {
        self.now(false, |core| Ok(bytes(&io::save(core.parameters(), &core.values())).into()))
    }

    /// Replaces the weights.
    #[wasm_bindgen(js_name = setWeights, unchecked_return_type = "Promise<void>")]
    pub fn set_weights(&self, #[wasm_bindgen(unchecked_param_type = "Uint8Array")] weights: JsValue) -> Promise {
        let weights = read_bytes("weights", &weights);
        self.now(true, move |core| {
            let values = io::load(core.parameters(), &weights?, value::json)?;
            core.set_values(&values);
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Changes hyperparameters from the next step on. Throws, and changes nothing, when one cannot be used.
    #[wasm_bindgen(js_name = setHyper)]
    pub fn set_hyper(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Hyper")] hyper: JsValue,
    ) -> std::result::Result<(), JsValue> {
        let hyper = value::read(&hyper);
        self.shared.with(|core| core.set_hyper(hyper))
    }

    /// Everything that a session of this configuration needs to go on from here.
    #[wasm_bindgen(unchecked_return_type = "Promise<Uint8Array>")]
    pub fn snapshot(&self) -> Promise {
        self.now(false, |core| Ok(bytes(&core.snapshot()).into()))
    }

    /// Goes back to a snapshot of a session with this configuration.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn restore(&self, #[wasm_bindgen(unchecked_param_type = "Uint8Array")] snapshot: JsValue) -> Promise {
        let snapshot = read_bytes("snapshot", &snapshot);
        self.now(true, move |core| {
            core.restore(&snapshot?)?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// The engine that runs the training steps.
    #[wasm_bindgen(getter, unchecked_return_type = "\"webgpu\" | \"cpu\"")]
    pub fn backend(&self) -> String {
        if self.shared.is_on_device() { "webgpu" } else { "cpu" }.to_owned()
    }

    /// One sentence: which engine runs the training steps, and why.
    #[wasm_bindgen(getter)]
    pub fn reason(&self) -> String {
        self.shared.device.reason.borrow().clone()
    }

    /// How long each call of a training step takes on the CPU, on average over `steps` steps, at least 1. They are done on a copy: nothing
    /// changes.
    #[wasm_bindgen(unchecked_return_type = "Promise<CallTime[]>")]
    pub fn profile(&self, #[wasm_bindgen(unchecked_param_type = "number")] steps: JsValue) -> Promise {
        self.now(false, move |core| Ok(to_js(&core.profile(read_steps(&steps, 10_000)? as u32, now))))
    }

    /// The dispatches of a training step on WebGPU, in order, whichever engine runs it now.
    #[wasm_bindgen(unchecked_return_type = "Promise<Dispatch[]>")]
    pub fn dispatches(&self) -> Promise {
        self.now(false, |core| {
            let info = |dispatch: &Dispatch| DispatchInfo {
                label: dispatch.label(),
                workgroups: dispatch.grid(),
                bytes: dispatch.bytes() as f64,
            };
            let recipe = core.recipe()?;
            let dispatches: Vec<_> = schedule(&recipe.plan, recipe.calls).iter().map(info).collect();
            Ok(to_js(&dispatches))
        })
    }

    /// Reads a caller's batch, while the session is not borrowed.
    fn read_batch(&self, batch: &JsValue) -> std::result::Result<Result<Batch>, JsValue> {
        let form = self.shared.with(|core| Ok(core.form().clone()))?;
        Ok(batch::read(&form, batch))
    }

    /// Runs one piece of work on a caller's batch as a promise.
    fn on_batch(&self, batch: &JsValue, work: impl FnOnce(&mut Core, &Batch) -> Result<JsValue> + 'static) -> Promise {
        let batch = match self.read_batch(batch) {
            Ok(batch) => batch,
            Err(ended) => return Promise::reject(&ended),
        };
        self.now(false, move |core| work(core, &batch?))
    }

    /// Runs one piece of work as a promise: at once, or in its turn when training runs on WebGPU. `changes` tells that it changes numbers
    /// that training goes on from.
    fn now(&self, changes: bool, work: impl FnOnce(&mut Core) -> Result<JsValue> + 'static) -> Promise {
        self.promise(changes, Box::new(work))
    }

    /// As [`Session::now`], compiled once for all pieces of work.
    fn promise(&self, changes: bool, work: Work) -> Promise {
        if self.shared.is_on_device() {
            let shared = Rc::clone(&self.shared);
            return future_to_promise(async move { shared.on_host(changes, work).await });
        }
        match self.shared.with(work) {
            Ok(value) => Promise::resolve(&value),
            Err(error) => Promise::reject(&error),
        }
    }
}

/// A number of steps.
fn read_steps(steps: &JsValue, max: u32) -> Result<u64> {
    let kind = Kind::Integer { min: 1, max, default: 1 };
    match value::read(steps) {
        Value::Null => Err(Error::invalid("steps", kind, "nothing")),
        steps => match kind.check("steps", &steps)? {
            Value::Number(n) => Ok(n as u64),
            _ => unreachable!("an integer"),
        },
    }
}

/// `{ header, data }`, the data as one transferable buffer.
fn packed<T: Serialize>(header: &T, data: &[f32]) -> JsValue {
    let object: JsValue = js_sys::Object::new().into();
    set(&object, "header", &to_js(header));
    set(&object, "data", &Float32Array::from(data).buffer());
    object
}

fn bytes(bytes: &[u8]) -> Uint8Array {
    Uint8Array::from(bytes)
}

fn read_bytes(field: &str, array: &JsValue) -> Result<Vec<u8>> {
    value::typed::<Uint8Array>(array)
        .map(Uint8Array::to_vec)
        .ok_or_else(|| Error::invalid(field, "a Uint8Array", value::name(array)))
}
