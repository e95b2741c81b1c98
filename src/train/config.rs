//! The configuration of a session: read from a tree of values, checked field by field before any memory is taken.

use super::optimisers::{OPTIMISERS, OptimiserSpec, find_optimiser};
use crate::error::{Error, Result};
use crate::kernels::recurrence::Cell;
use crate::nn::{ARCHITECTURES, DECODERS, Decoder, INITS, Init, Model, find_init};
use crate::options::{Chosen, Fields, Kind, Value};
use crate::tasks::{TASKS, Task, TaskSpec};

/// The largest sizes a session accepts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// H.
    pub hidden: u32,
    /// T.
    pub length: u32,
    /// B.
    pub batch: u32,
    /// L.
    pub layers: u32,
    /// Memory of one session.
    pub bytes: u64,
}

/// The limits.
pub static LIMITS: Limits = Limits { hidden: 1024, length: 4096, batch: 512, layers: 8, bytes: 1 << 30 };

/// How a gradient is clipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipKind {
    /// The whole gradient is scaled to a largest global norm.
    Norm,
    /// Every element is clamped.
    Value,
}

/// Clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// By norm or by value.
    pub kind: ClipKind,
    /// The largest norm or absolute value.
    pub at: f64,
}

/// An optimiser with its options chosen.
#[derive(Clone, Debug)]
pub struct Optimiser {
    /// The entry.
    pub spec: &'static OptimiserSpec,
    /// Its options.
    pub options: Chosen,
}

/// Everything that defines a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// The task's entry.
    pub task: &'static TaskSpec,
    /// Its options.
    pub task_options: Chosen,
    /// The cell.
    pub cell: &'static Cell,
    /// The cell's own options.
    pub cell_options: Chosen,
    /// H.
    pub hidden: usize,
    /// L.
    pub layers: usize,
    /// Whether a second row of each layer reads the sequence from its end.
    pub bidirectional: bool,
    /// Id among [`DECODERS`]: which network answers, where a task has a source.
    pub decoder: String,
    /// The initialisation.
    pub init: Init,
    /// W.
    pub window: Option<usize>,
    /// Hand the last state to the next batch.
    pub carry: bool,
    /// The optimiser.
    pub optimiser: Optimiser,
    /// Clipping.
    pub clip: Option<Clip>,
    /// B.
    pub batch: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// `auto`, `cpu` or `webgpu`.
    pub backend: String,
}

/// The largest whole number that every JavaScript number below it can be told from.
const MAX_SEED: f64 = 9_007_199_254_740_991.0;

fn entry<'a, T>(path: String, id: Value, find: impl Fn(&str) -> Option<&'a T>, ids: Vec<&str>) -> Result<&'a T> {
    let found = match &id {
        Value::Text(id) => find(id),
        _ => None,
    };
    found.ok_or_else(|| Error::invalid(path, format!("one of {}", ids.join(", ")), id))
}

fn object(value: Value) -> Value {
    if value == Value::Null { Value::Map(Vec::new()) } else { value }
}

impl Clip {
    /// Reads `null` or `{ kind, at }`.
    pub fn read(path: &str, value: Value) -> Result<Option<Self>> {
        if value == Value::Null {
            return Ok(None);
        }
        let mut fields = Fields::new(path, value)?;
        let kinds = &[("norm", "norm"), ("value", "value")];
        let kind = match fields.read("kind", Kind::Choice { among: kinds, default: "norm" })? {
            Value::Text(kind) if kind == "value" => ClipKind::Value,
            _ => ClipKind::Norm,
        };
        let at = fields.take("at");
        let kind_of_at = Kind::Number { min: 1e-12, max: 1e12, default: 1.0, log: true };
        let Value::Number(at) = kind_of_at.check(&fields.path("at"), &at)? else { unreachable!("a number") };
        fields.finish()?;
        Ok(Some(Self { kind, at }))
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the first field that cannot be used, what was expected and what came.
    pub fn read(value: Value) -> Result<Self> {
        let mut root = Fields::new("", value)?;

        let mut task_fields = Fields::new("task", root.take("task"))?;
        let ids = TASKS.iter().map(|spec| spec.id).collect();
        let task = entry("task.id".to_owned(), task_fields.take("id"), crate::tasks::find, ids)?;
        let task_options = task_fields.options(task.options)?;
        task_fields.finish()?;

        let mut model = Fields::new("model", root.take("model"))?;
        let ids = ARCHITECTURES.iter().map(|cell| cell.id).collect();
        let cell = entry("model.id".to_owned(), model.take("id"), crate::nn::find, ids)?;
        let integer = |fields: &mut Fields, name: &str, min: u32, max: u32, default: u32| -> Result<usize> {
            match fields.read(name, Kind::Integer { min, max, default })? {
                Value::Number(n) => Ok(n as usize),
                _ => unreachable!("an integer"),
            }
        };
        let hidden = integer(&mut model, "hidden", 1, LIMITS.hidden, 16)?;
        let layers = integer(&mut model, "layers", 1, LIMITS.layers, 1)?;
        let bidirectional = model.read("bidirectional", Kind::Switch { default: false })? == Value::Bool(true);
        let choice = Kind::Choice { among: DECODERS, default: "same" };
        let Value::Text(decoder) = model.read("decoder", choice)? else { unreachable!("a choice") };
        let cell_options = model.options(cell.options)?;
        for other in ARCHITECTURES.iter().flat_map(|cell| cell.options) {
            if !cell_options.has(other.name) {
                let value = model.take(other.name);
                if value != Value::Null {
                    let expected = format!("nothing: {} has no such option", cell.title);
                    return Err(Error::invalid(model.path(other.name), expected, value));
                }
            }
        }
        let window =
            match model.read("window", Kind::Maybe { min: 1.0, max: f64::from(LIMITS.length), default: None })? {
                Value::Number(n) if n.fract() != 0.0 => {
                    return Err(Error::invalid(
                        model.path("window"),
                        "a whole number of timesteps, or null",
                        Value::from(n),
                    ));
                }
                Value::Number(n) => Some(n as usize),
                _ => None,
            };
        let carry = model.read("carry", Kind::Switch { default: false })? == Value::Bool(true);
        if decoder != "same" {
            let refused = if cell.block().is_some() {
                Some(format!("\"same\", for {} hands on no state", cell.title))
            } else if bidirectional {
                Some("\"same\" for a network in both directions".to_owned())
            } else {
                window.map(|_| "\"same\" while the gradient is cut (model.window)".to_owned())
            };
            if let Some(expected) = refused {
                return Err(Error::invalid(model.path("decoder"), expected, decoder.as_str()));
            }
        }
        if cell.block().is_some() {
            let title = cell.title;
            if bidirectional {
                let expected = format!("false, for {title} reads in one direction");
                return Err(Error::invalid(model.path("bidirectional"), expected, "true"));
            }
            if let Some(window) = window {
                let expected = format!("null, for the gradient of {title} is not cut");
                return Err(Error::invalid(model.path("window"), expected, window));
            }
            if carry {
                let expected = format!("false, for {title} carries no state from batch to batch");
                return Err(Error::invalid(model.path("carry"), expected, "true"));
            }
        }
        let mut init_fields = Fields::new("model.init", object(model.take("init")))?;
        let suited: Vec<_> = INITS.iter().filter(|spec| (spec.suits)(cell)).map(|spec| spec.id).collect();
        let find_suited = |id: &str| find_init(id).filter(|spec| (spec.suits)(cell));
        let id = match init_fields.take("id") {
            Value::Null => Value::Text(suited[0].to_owned()),
            id => id,
        };
        let spec = entry("model.init.id".to_owned(), id, find_suited, suited)?;
        let init = Init { spec, options: init_fields.options(spec.options)? };
        init_fields.finish()?;
        model.finish()?;

        let mut optimiser_fields = Fields::new("optimiser", object(root.take("optimiser")))?;
        let id = match optimiser_fields.take("id") {
            Value::Null => Value::Text("adam".to_owned()),
            id => id,
        };
        let ids = OPTIMISERS.iter().map(|spec| spec.id).collect();
        let spec = entry("optimiser.id".to_owned(), id, find_optimiser, ids)?;
        let optimiser = Optimiser { spec, options: optimiser_fields.options(spec.options)? };
        optimiser_fields.finish()?;

        let clip = Clip::read("clip", root.take("clip"))?;
        let batch = integer(&mut root, "batch", 1, LIMITS.batch, 32)?;
        let seed = match root.take("seed") {
            Value::Null => 0,
            Value::Number(n) if n.fract() == 0.0 && (0.0..=MAX_SEED).contains(&n) => n as u64,
            other => return Err(Error::invalid("seed", "a whole number from 0 to 2^53 − 1", other)),
        };
        let backends = &[("auto", "automatic"), ("cpu", "CPU"), ("webgpu", "WebGPU")];
        let Value::Text(backend) = root.read("backend", Kind::Choice { among: backends, default: "auto" })? else {
            unreachable!("a choice")
        };
        root.finish()?;
        Ok(Self {
            task,
            task_options,
            cell,
            cell_options,
            hidden,
            layers,
            bidirectional,
            decoder,
            init,
            window,
            carry,
            optimiser,
            clip,
            batch,
            seed,
            backend,
        })
    }

    /// Builds the task and the model.
    ///
    /// # Errors
    /// [`Error::Invalid`] when options do not fit together.
    pub fn build(&self) -> Result<(Box<dyn Task>, Model)> {
        let task = (self.task.make)(&self.task_options)?;
        let form = task.form();
        if self.carry && !form.streams {
            return Err(Error::invalid("model.carry", "false, for this task starts anew in every batch", "true"));
        }
        if self.bidirectional && form.ahead {
            let expected = "false, for this task asks for what comes next, which the other direction has seen";
            return Err(Error::invalid("model.bidirectional", expected, "true"));
        }
        let model = Model {
            cell: self.cell,
            options: self.cell_options.clone(),
            inputs: form.input.size(),
            hidden: self.hidden,
            layers: self.layers,
            bidirectional: self.bidirectional,
            outputs: form.target.size(),
            window: self.window,
            length: form.n_steps,
            decoder: form.source.and_then(|source| Decoder::new(&self.decoder, source)),
        };
        if self.decoder != "same" && form.source.is_none() {
            let expected = "\"same\", for this task has no source to encode";
            return Err(Error::invalid("model.decoder", expected, self.decoder.as_str()));
        }
        if let Some([field, expected, got]) = model.misfit() {
            return Err(Error::invalid(field, expected, got));
        }
        Ok((task, model))
    }
}
