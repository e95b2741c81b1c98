//! Training on WebGPU, for a session of JavaScript: who may touch the device when, what happens when it fails, and whether it is worth
//! it.
//!
//! Whoever works with a session on the device takes a turn: one slice of an `advance`, or one other call, which first waits for
//! what was submitted and brings the numbers to the host. A device that fails is given up; the host goes on from the numbers that
//! it had last.

use super::session::{Shared, Tally, now};
use crate::engine::gpu::Gpu;
use crate::engine::{IN_FLIGHT, Runner, shaders};
use crate::error::{Error, Result};
use crate::lens::Inspection;
use crate::options::Value;
use crate::tasks::Batch;
use crate::train::{Diverged, Recipe, Session as Core, StepReport};
use js_sys::{Function, Promise, Reflect};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// Time that one submit should keep the device busy.
const SUBMIT_MS: f64 = 10.0;

/// Time that one dispatch may take: devices are reset when one keeps them for seconds.
const DISPATCH_MS: f64 = 200.0;

/// Longest slice of training between two chances for other calls.
const SLICE_MS: f64 = 24.0;

/// While an `advance` runs, the numbers of the host are not older than this.
const COPY_MS: f64 = 300.0;

/// Training on the host before the device is measured.
const PATIENCE_MS: f64 = 300.0;

/// The device must be this much faster to take over.
const WORTH: f64 = 1.15;

/// What a session knows about the device.
pub(super) struct Device {
    /// Settles when the last turn that was asked for is over.
    turn: RefCell<Promise>,
    /// One sentence: which engine runs, and why.
    pub(super) reason: RefCell<String>,
    /// What stopped a step that another call than `advance` has met.
    diverged: RefCell<Option<Diverged>>,
    /// Milliseconds a step on the device, once known.
    pace: Cell<Option<f64>>,
    /// The end of the last wait for the device, and the steps that were collected since.
    collected: Cell<(f64, usize)>,
    /// True when the device was waited for since something was collected.
    has_waited: Cell<bool>,
    /// Steps of the last submit.
    submitted: Cell<usize>,
    /// Steps that were lost with the device and that no `advance` has seen to.
    pub(super) taken_back: Cell<u64>,
    /// When the host got its numbers last.
    copied: Cell<f64>,
    /// True while the device is measured, and the host stands still.
    pub(super) is_measuring: Cell<bool>,
    /// Milliseconds and steps on the host so far; `None` when the device is out of the question.
    host: Cell<Option<(f64, u64)>>,
}

/// What a step says.
type StepOutcome = std::result::Result<StepReport, Diverged>;

/// A turn; over when it is dropped.
struct Turn(Function);

impl Drop for Turn {
    fn drop(&mut self) {
        let settled = self.0.call0(&JsValue::UNDEFINED);
        debug_assert!(settled.is_ok(), "resolving never throws");
    }
}

/// True where a page or a worker offers WebGPU.
fn is_offered() -> bool {
    let global = js_sys::global();
    let has = |name: &str| Reflect::get(&global, &name.into()).is_ok_and(|value| value.is_truthy());
    let navigator = Reflect::get(&global, &"navigator".into()).unwrap_or_default();
    let gpu =
        if navigator.is_object() { Reflect::get(&navigator, &"gpu".into()).unwrap_or_default() } else { navigator };
    (has("window") || has("WorkerGlobalScope")) && gpu.is_object()
}

async fn open() -> Result<Rc<Gpu>> {
    if !is_offered() {
        return Err(Error::unavailable("WebGPU", "this browser does not offer it here"));
    }
    if !shaders::are_here() {
        let file = JsFuture::from(shader_file()).await.map_err(|why| {
            let why = why.dyn_ref::<js_sys::Error>().map_or(String::new(), |error| String::from(error.message()));
            Error::unavailable("WebGPU", format!("its shaders could not be loaded ({why})"))
        })?;
        if !shaders::provide(file.as_string().unwrap_or_default()) {
            return Err(Error::unavailable("WebGPU", "the file of its shaders is not that of this package"));
        }
    }
    Gpu::shared().await
}

#[wasm_bindgen(inline_js = r#"
export async function shaderFile() {
  const answer = await fetch(new URL("../../unroll.wgsl", import.meta.url));
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.text();
}
"#)]
extern "C" {
    /// The file beside the package.
    #[wasm_bindgen(js_name = shaderFile)]
    fn shader_file() -> Promise;
}

/// What the adapter calls itself, or, where it does not, what the browser knows of its vendor and architecture.
async fn adapter_name(gpu: &Gpu) -> String {
    if !gpu.adapter.is_empty() {
        return gpu.adapter.clone();
    }
    let get = |object: &JsValue, name: &str| Reflect::get(object, &name.into()).unwrap_or_default();
    let gpu = get(&get(&js_sys::global(), "navigator"), "gpu");
    let adapter = match get(&gpu, "requestAdapter").dyn_ref::<Function>().map(|request| request.call0(&gpu)) {
        Some(Ok(promise)) => JsFuture::from(Promise::resolve(&promise)).await.unwrap_or_default(),
        _ => JsValue::UNDEFINED,
    };
    let info = if adapter.is_object() { get(&adapter, "info") } else { adapter };
    let word = |name: &str| if info.is_object() { get(&info, name).as_string() } else { None };
    let words: Vec<_> =
        ["vendor", "architecture"].into_iter().filter_map(word).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "an adapter without a name".to_owned() } else { words.join(" ") }
}

const HOST: &str = "The CPU (WebAssembly SIMD)";

impl Device {
    /// For a session whose configuration asks for a backend.
    pub(super) fn new(backend: &str) -> Self {
        let is_open = backend == "auto" && is_offered();
        let why = match (backend, is_open) {
            ("cpu", _) => ", as chosen.",
            (_, true) => ", until WebGPU has been measured.",
            _ => ": this browser does not offer WebGPU here.",
        };
        Self {
            turn: RefCell::new(Promise::resolve(&JsValue::UNDEFINED)),
            reason: RefCell::new(format!("{HOST}{why}")),
            diverged: RefCell::default(),
            pace: Cell::default(),
            collected: Cell::default(),
            has_waited: Cell::default(),
            submitted: Cell::default(),
            taken_back: Cell::default(),
            copied: Cell::default(),
            is_measuring: Cell::default(),
            host: Cell::new(is_open.then_some((0.0, 0))),
        }
    }

    fn say(&self, sentence: String) {
        *self.reason.borrow_mut() = sentence;
    }

    async fn turn(&self) -> Turn {
        let mut resolve = None;
        let over = Promise::new(&mut |done, _| resolve = Some(done));
        let before = self.turn.replace(over);
        let came = JsFuture::from(before).await;
        debug_assert!(came.is_ok(), "a turn is only ever resolved");
        Turn(resolve.expect("a promise runs its executor at once"))
    }
}

impl Shared {
    /// Tries to train on WebGPU, because the caller asked for it. Where that fails, the session says why and stays on the host.
    pub(super) async fn move_to_device(&self) {
        let moved = async {
            let gpu = open().await?;
            let runner = self.runner(Rc::clone(&gpu)).await?;
            self.core(|core| core.accelerate(runner));
            Ok::<_, Error>(format!("WebGPU on {}, as chosen.", adapter_name(&gpu).await))
        };
        let sentence = match moved.await {
            Ok(sentence) => sentence,
            Err(error) => format!("{HOST}, because {error}."),
        };
        self.device.say(sentence);
        self.device.copied.set(now());
    }

    /// After a change that has made another plan: training goes on on the device, if it was there.
    pub(super) async fn renew(&self) {
        let reason = self.device.reason.borrow().clone();
        self.move_to_device().await;
        if self.is_on_device() {
            self.device.say(reason);
        }
    }

    /// The gradient of the next training step by WebGPU, with the same dispatches as training, against that of the host. Nothing changes.
    pub(super) async fn compare(&self) -> Result<Inspection> {
        let freed = || Error::invalid("session", "a session in use", "one that was freed");
        let gpu = open().await?;
        let _turn = self.device.turn().await;
        self.settle().await;
        let recipe = self.core(|core| core.trial_recipe()).ok_or_else(freed)??;
        let Recipe { plan, calls, persistent_len, tensors } = recipe;
        let mut runner = Runner::new(Rc::clone(&gpu), &plan, calls, persistent_len, tensors).await?;
        let (loss, gradient) = self.core(|core| core.try_step(&mut runner)).ok_or_else(freed)?;
        runner.oldest().await;
        let said = runner.collect().transpose()?.unwrap_or_default();
        runner.fetch().await?;
        let other = runner.fetched()?;
        let adapter = adapter_name(&gpu).await;
        let compared = |core: &mut Core| {
            let mut inspection = Inspection::new(core, String::new());
            inspection.name_parameters(core);
            let losses = [loss, said.first().map_or(f64::NAN, |&loss| f64::from(loss))];
            inspection.add("loss", &format!("by the CPU, by WebGPU on {adapter}"), &[2], &losses);
            let apart = core.apart(&gradient, &other);
            inspection.add("differences", "‖g − g′‖/‖g‖", &[apart.len()], &apart);
            inspection
        };
        self.core(compared).ok_or_else(freed)
    }

    async fn runner(&self, gpu: Rc<Gpu>) -> Result<Runner> {
        let freed = || Err(Error::invalid("session", "a session in use", "one that was freed"));
        let recipe = self.core(|core| core.recipe()).unwrap_or_else(freed)?;
        Runner::new(gpu, &recipe.plan, recipe.calls, recipe.persistent_len, recipe.tensors).await
    }

    /// Works on the core, if there still is one.
    fn core<T>(&self, work: impl FnOnce(&mut Core) -> T) -> Option<T> {
        self.core.borrow_mut().as_mut().map(work)
    }

    /// True while training steps run on WebGPU.
    pub(super) fn is_on_device(&self) -> bool {
        self.core(|core| core.runner().is_some()).unwrap_or(false)
    }

    /// Gives the device up.
    fn lose(&self, error: &Error) {
        let Some((back, step)) = self.core(|core| (core.decelerate(), core.step())) else { return };
        self.device.taken_back.set(self.device.taken_back.get() + back);
        self.device.say(format!("{HOST} since step {step}, because {error}."));
    }

    /// Runs one piece of work with the host's numbers up to date; `changes` tells that it changes them.
    pub(super) async fn on_host<T>(
        &self,
        changes: bool,
        work: impl FnOnce(&mut Core) -> Result<T>,
    ) -> std::result::Result<T, JsValue> {
        let _turn = self.device.turn().await;
        self.settle().await;
        self.with(|core| {
            let result = work(core);
            if changes {
                core.push();
            }
            result
        })
    }

    /// One training step on a caller's batch, on the device where it takes the batch.
    pub(super) async fn train_on(&self, batch: &Batch) -> std::result::Result<StepOutcome, JsValue> {
        let _turn = self.device.turn().await;
        self.settle().await;
        if !self.with(|core| core.takes(batch))? {
            return self.with(|core| {
                let result = core.train_on(batch)?;
                core.push();
                Ok(result)
            });
        }
        let (before, done) = self.with(|core| {
            let before = core.step();
            core.submit_batch(batch);
            Ok((before, core.runner().map(Runner::oldest)))
        })?;
        if let Some(done) = done {
            done.await;
        }
        if let Some(Err(error)) = self.core(Core::collect) {
            self.lose(&error);
        }
        let report = self.core(|core| (core.step() > before).then(|| core.take_last_report()).flatten()).flatten();
        if let Some(report) = report {
            // The host could not do this step again.
            self.settle().await;
            return Ok(Ok(report));
        }
        // The device has failed, or holds the step: the host does it from the numbers that it has.
        self.with(|core| {
            let result = core.train_on(batch)?;
            core.push();
            Ok(result)
        })
    }

    /// Waits for everything that was submitted and brings the numbers to the host.
    async fn settle(&self) {
        loop {
            let oldest = self.core(|core| {
                core.collect()?;
                Ok(core.runner().filter(|runner| runner.steps_under_way() > 0).map(Runner::oldest))
            });
            match oldest {
                Some(Ok(Some(oldest))) => oldest.await,
                Some(Err(error)) => return self.lose(&error),
                _ => break,
            }
        }
        let Some(fetch) = self.core(|core| core.runner().map(Runner::fetch)).flatten() else { return };
        let fetched = fetch.await.and_then(|()| self.core(Core::pull).unwrap_or(Ok(())));
        if let Err(error) = fetched {
            return self.lose(&error);
        }
        self.device.copied.set(now());
        let caught_up = self.core(|core| if core.is_held() { core.catch_up() } else { Ok(()) });
        if let Some(Err(diverged)) = caught_up {
            *self.device.diverged.borrow_mut() = Some(diverged);
        }
    }

    /// A slice of training on the device. What it did is counted in `tally`.
    pub(super) async fn device_slice(&self, tally: &mut Tally) {
        let _turn = self.device.turn().await;
        let started = now();
        self.take_reports(tally);
        // Others may have changed the step since the last slice.
        let Some(target) = self.core(|core| core.step() + tally.left) else {
            tally.ended = true;
            return;
        };
        loop {
            // Nothing is submitted after a step that was stopped.
            self.take_reports(tally);
            if tally.diverged() {
                return;
            }
            let next = self.core(|core| self.go_on(core, target));
            self.take_reports(tally);
            match next {
                None => {
                    tally.ended = true;
                    return;
                }
                Some(Err(error)) => return self.lose(&error),
                Some(Ok(Next::Done)) => return,
                Some(Ok(Next::Settle)) => self.settle().await,
                Some(Ok(Next::Wait(oldest))) => {
                    oldest.await;
                    self.device.has_waited.set(true);
                    if now() - started >= SLICE_MS {
                        return;
                    }
                }
                Some(Ok(Next::Submitted)) => {}
            }
        }
    }

    /// Counts the steps that are done, and what stopped them.
    fn take_reports(&self, tally: &mut Tally) {
        self.core(|core| {
            while let Some(report) = core.take_report() {
                tally.count(Ok(report));
            }
        });
        if let Some(diverged) = self.device.diverged.take() {
            tally.count(Err(diverged));
        }
    }

    /// Takes in what has come and submits what there is room for.
    fn go_on(&self, core: &mut Core, target: u64) -> Result<Next<impl Future<Output = ()> + use<>>> {
        let before = core.runner().map_or(0, Runner::steps_under_way);
        core.collect()?;
        let after = core.runner().map_or(0, Runner::steps_under_way);
        let (since, steps) = self.device.collected.get();
        let steps = steps + before - after;
        self.device.collected.set((since, steps));
        // What was there without a wait says nothing of how long it took, and counts with the next.
        if self.device.has_waited.take() && steps > 0 {
            let ms = (now() - since) / steps as f64;
            self.device.pace.set(Some(self.device.pace.get().map_or(ms, |pace| 0.7 * pace + 0.3 * ms)));
            self.device.collected.set((now(), 0));
            // A processor has no watchdog, and the first step warms up.
            if core.runner().is_some_and(|runner| !runner.gpu().is_software) && core.step() > 1 {
                core.cut_loops(ms, DISPATCH_MS);
            }
        }
        let is_old = now() - self.device.copied.get() > COPY_MS;
        let Some(runner) = core.runner() else { return Ok(Next::Done) };
        if core.is_held() || (is_old && core.ahead() > core.copied()) {
            return Ok(Next::Settle);
        }
        let left = target.saturating_sub(core.ahead());
        let under_way = runner.steps_under_way();
        match (left, runner.has_room()) {
            (0, _) if under_way == 0 => Ok(Next::Done),
            (1.., true) => {
                if under_way == 0 {
                    self.device.collected.set((now(), 0));
                }
                let most = self.device.pace.get().map_or(1.0, |pace| SUBMIT_MS / pace.max(0.01)) as usize;
                let steps = most.clamp(1, 2 * self.device.submitted.get().max(1)).min(left as usize);
                core.submit(steps);
                self.device.submitted.set(steps);
                Ok(Next::Submitted)
            }
            _ => Ok(Next::Wait(runner.oldest())),
        }
    }

    /// Counts training on the host; when there was enough of it, the device is measured beside it, once.
    pub(super) fn count_on_host(self: &Rc<Self>, ms: f64, steps: u64) {
        let Some((before_ms, before_steps)) = self.device.host.get() else { return };
        let (ms, steps) = (before_ms + ms, before_steps + steps);
        self.device.host.set(Some((ms, steps)));
        if ms >= PATIENCE_MS && steps >= 3 {
            self.device.host.set(None);
            let shared = Rc::clone(self);
            spawn_local(async move {
                let sentence = match shared.consider(ms / steps as f64).await {
                    Ok(sentence) => sentence,
                    Err(error) => format!("{HOST}, because {error}."),
                };
                shared.device.say(sentence);
            });
        }
    }

    /// Milliseconds a step, with as many steps a submit as take a while.
    async fn measure(runner: &mut Runner) -> Result<f64> {
        let (mut steps, mut best) = (1, f64::INFINITY);
        for _ in 0..12 {
            let started = now();
            for _ in 0..IN_FLIGHT {
                runner.submit(steps);
            }
            for _ in 0..IN_FLIGHT {
                runner.oldest().await;
                runner.collect().transpose()?;
            }
            let ms = now() - started;
            best = best.min(ms / (IN_FLIGHT * steps) as f64);
            if ms < 3.0 * SUBMIT_MS {
                steps = (2 * steps).min(runner.most_steps());
            }
        }
        Ok(best)
    }

    /// Measures the device on this session's own plan, and moves there if it is faster than the host.
    async fn consider(&self, host_ms: f64) -> Result<String> {
        let gpu = open().await?;
        if gpu.is_software {
            let name = adapter_name(&gpu).await;
            return Ok(format!("{HOST}: WebGPU is here ({name}), but computes on the same processor."));
        }
        let mut runner = self.runner(Rc::clone(&gpu)).await?;
        // Whatever the numbers, the work is the same. The host stands still meanwhile.
        self.device.is_measuring.set(true);
        let best = Self::measure(&mut runner).await;
        self.device.is_measuring.set(false);
        let best = best?;
        let name = adapter_name(&gpu).await;
        let compare = {
            let [there, here] = [best, host_ms].map(|ms| Value::rounded(ms, 100.0));
            format!("{there} ms a step there, {here} ms on the CPU")
        };
        if best * WORTH > host_ms {
            return Ok(format!("{HOST}: WebGPU on {name} is not faster ({compare})."));
        }
        self.core(|core| core.accelerate(runner));
        self.device.copied.set(now());
        Ok(format!("WebGPU on {name}: {compare}."))
    }
}

/// What a slice does next.
enum Next<F> {
    Done,
    Submitted,
    Settle,
    Wait(F),
}
