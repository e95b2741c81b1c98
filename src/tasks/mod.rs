//! Data: what the networks are asked to learn.
//!
//! Floor 5. A task draws batches from counter-based random numbers, knows the loss of the best constant predictor, and
//! says when it counts as solved. [`TASKS`] is the only place that lists them. Knows nothing about models.

use crate::error::Result;
use crate::options::{Chosen, Kind, OptionSpec, Value};
use crate::rng::Stream;

mod adding;
mod addition;
mod associative_recall;
mod copy;
mod dates;
mod first_symbol;
mod induction_heads;
mod mackey_glass;
mod pairs;
mod parity;
mod reber;
mod reversal;
mod selective_copying;
mod sine;
mod temporal_order;
#[cfg(test)]
mod tests;

/// The largest T of any task.
pub const MAX_LENGTH: u32 = 4096;

/// A target that counts for nothing.
pub const IGNORED: u32 = u32::MAX;

/// What a model sees at each timestep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `I` real features.
    Features(usize),
    /// One of `V` symbols, fed as a one-hot vector without an embedding.
    Symbols(usize),
}

impl Input {
    /// I or V: the `input_size` of the first layer.
    pub fn size(self) -> usize {
        match self {
            Self::Features(n) | Self::Symbols(n) => n,
        }
    }
}

/// What a model answers at each timestep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of `V` classes: softmax and cross-entropy, in nats.
    Class(usize),
    /// `O` real numbers: mean squared error.
    Value(usize),
}

impl Target {
    /// V or O: the width of the linear head.
    pub fn size(self) -> usize {
        match self {
            Self::Class(n) | Self::Value(n) => n,
        }
    }
}

/// The sizes and kinds of a task's data.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// T.
    pub n_steps: usize,
    /// What goes in.
    pub input: Input,
    /// What should come out.
    pub target: Target,
    /// True when only the last timestep is scored; then a caller's `y` is `[B]`.
    pub last_only: bool,
    /// True when consecutive batches continue the same sequences, so that state may be carried.
    pub streams: bool,
    /// True when targets are inputs of later timesteps: a network that reads in both directions would have seen them.
    pub ahead: bool,
    /// S, where the first S timesteps are a source and the others its answer, fed one step late: then class k is symbol k, so that a
    /// network can read its own answers.
    pub source: Option<usize>,
    /// For symbols: how to print each; for features: the name of each.
    pub input_names: Vec<String>,
    /// For classes: how to print each; for values: the name of each.
    pub target_names: Vec<String>,
    /// For values: an answer within this distance of the target counts as right.
    pub tolerance: f32,
}

impl Form {
    /// That of symbols to be classified.
    #[inline(never)]
    fn of_symbols(n_steps: usize, last_only: bool, input_names: Vec<String>, target_names: Vec<String>) -> Self {
        Self {
            n_steps,
            input: Input::Symbols(input_names.len()),
            target: Target::Class(target_names.len()),
            last_only,
            streams: false,
            ahead: false,
            source: None,
            input_names,
            target_names,
            tolerance: 0.0,
        }
    }
}

/// One batch, time-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// T.
    pub n_steps: usize,
    /// B.
    pub batch: usize,
    /// `[T, B, I]` for features, else empty.
    pub features: Vec<f32>,
    /// `[T, B]` for symbols, else empty.
    pub symbols: Vec<u32>,
    /// `[T, B]` for classes ([`IGNORED`] where nothing is asked), else empty.
    pub classes: Vec<u32>,
    /// `[T, B, O]` for values, else empty.
    pub values: Vec<f32>,
    /// `[T, B]`: 1 where an answer is scored, 0 elsewhere. The loss is the mean over the ones.
    pub mask: Vec<f32>,
    /// `[B]`: 1 where the sequence starts anew, 0 where it continues the row of the batch before.
    pub starts: Vec<f32>,
}

impl Batch {
    /// A batch of zeros in a task's form; sampling into it allocates nothing.
    pub fn zeros(form: &Form, batch: usize) -> Self {
        let positions = form.n_steps * batch;
        let (features, symbols) = match form.input {
            Input::Features(n) => (positions * n, 0),
            Input::Symbols(_) => (0, positions),
        };
        let (classes, values) = match form.target {
            Target::Class(_) => (positions, 0),
            Target::Value(n) => (0, positions * n),
        };
        Self {
            n_steps: form.n_steps,
            batch,
            features: vec![0.0; features],
            symbols: vec![0; symbols],
            classes: vec![IGNORED; classes],
            values: vec![0.0; values],
            mask: vec![0.0; positions],
            starts: vec![1.0; batch],
        }
    }

    /// Nothing is asked anywhere, and every sequence starts anew; a task then writes what it does ask.
    fn clear_answers(&mut self) {
        self.classes.fill(IGNORED);
        self.values.fill(0.0);
        self.mask.fill(0.0);
        self.starts.fill(1.0);
    }
}

/// Where random numbers are drawn: the same point gives the same batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The session's seed.
    pub seed: u64,
    /// Train, held-out or probe.
    pub stream: Stream,
    /// Index of the batch in its stream.
    pub step: u64,
}

/// The best predictor that ignores the input (or, for forecasts, a named simple one).
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Its loss, in the unit of the task's loss.
    pub loss: f64,
    /// What it does, in a few words.
    pub what: String,
}

/// When a task counts as solved, judged on held-out data.
#[derive(Clone, Debug, PartialEq)]
pub enum Solved {
    /// The held-out loss is below this.
    LossBelow(f64),
    /// The share of right answers is at least this.
    AccuracyAtLeast(f64),
}

/// A configuration that solves the task, named so that it can be tried and tested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Options of the task that differ from the defaults, as `name=value` pairs.
    pub task: &'static [(&'static str, f64)],
    /// Id of the architecture.
    pub model: &'static str,
    /// Id of the decoder; `same` but for tasks with a source.
    pub decoder: &'static str,
    /// H.
    pub hidden: usize,
    /// L.
    pub layers: usize,
    /// Id of the initialisation.
    pub init: &'static str,
    /// Options of the initialisation that differ from the defaults.
    pub init_options: &'static [(&'static str, f64)],
    /// B.
    pub batch: usize,
    /// Learning rate of Adam; gradients are clipped to norm 1.
    pub lr: f64,
    /// Training steps within which it solves the task for seeds 1, 2 and 3.
    pub steps: u64,
}

impl Recipe {
    /// The configuration of a session, as a tree.
    pub fn config(&self, spec: &TaskSpec) -> Value {
        let text = |value: &str| Value::Text(value.to_owned());
        let map = |fields: Vec<(&str, Value)>| {
            Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let numbers = |options: &[(&'static str, f64)]| {
            options.iter().map(|&(name, value)| (name, Value::Number(value))).collect::<Vec<_>>()
        };
        let task = [vec![("id", text(spec.id))], numbers(self.task)].concat();
        let init = [vec![("id", text(self.init))], numbers(self.init_options)].concat();
        let [hidden, layers] = [self.hidden, self.layers].map(|n| Value::Number(n as f64));
        let mut model = vec![("id", text(self.model)), ("hidden", hidden), ("init", map(init))];
        if self.decoder != "same" {
            model.push(("decoder", text(self.decoder)));
        }
        if self.layers > 1 {
            model.push(("layers", layers));
        }
        map(vec![
            ("task", map(task)),
            ("model", map(model)),
            ("optimiser", map(vec![("id", text("adam")), ("lr", Value::Number(self.lr))])),
            ("clip", map(vec![("kind", text("norm")), ("at", Value::Number(1.0))])),
            ("batch", Value::Number(self.batch as f64)),
        ])
    }
}

/// A task with its options chosen.
pub trait Task: Send + Sync {
    /// Sizes and kinds.
    fn form(&self) -> &Form;
    /// Fills every field of `batch`, whose size `B` is the caller's; allocates nothing.
    fn sample(&self, draw: Draw, batch: &mut Batch);
    /// What a predictor without memory reaches.
    fn baseline(&self) -> Baseline;
    /// When it is solved.
    fn solved(&self) -> Solved;
}

/// An entry of [`TASKS`].
pub struct TaskSpec {
    /// Kebab-case id.
    pub id: &'static str,
    /// Title in menus.
    pub title: &'static str,
    /// One or two sentences: what goes in, what must come out, what must be remembered.
    pub summary: &'static str,
    /// Papers, with DOI or arXiv number.
    pub sources: &'static [&'static str],
    /// The options, `length` first.
    pub options: &'static [OptionSpec],
    /// Builds the task.
    pub make: fn(&Chosen) -> Result<Box<dyn Task>>,
    /// A configuration that solves it; `None` says that none here does.
    pub recipe: Option<Recipe>,
}

impl std::fmt::Debug for TaskSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// The option that every task begins with.
const fn length(min: u32, default: u32, help: &'static str) -> OptionSpec {
    OptionSpec { name: "length", title: "Length", help, kind: Kind::Integer { min, max: MAX_LENGTH, default } }
}

/// Printable names from string literals.
fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// That of even guesses among `n` answers.
#[inline(never)]
fn guesses(n: usize, answers: &str) -> Baseline {
    Baseline { loss: libm::log(n as f64), what: format!("guesses among {n} {answers}") }
}

/// Names of `n` symbols, at most 62: capital letters, then small ones, then digits.
fn letters(n: usize) -> impl Iterator<Item = String> {
    ('A'..='Z').chain('a'..='z').chain('0'..='9').take(n).map(String::from)
}

/// Every task.
pub static TASKS: &[TaskSpec] = &[
    first_symbol::SPEC,
    adding::SPEC,
    temporal_order::SPEC,
    copy::SPEC,
    selective_copying::SPEC,
    induction_heads::SPEC,
    associative_recall::SPEC,
    parity::SPEC,
    reber::SPEC,
    sine::SPEC,
    mackey_glass::SPEC,
    reversal::SPEC,
    addition::SPEC,
    dates::SPEC,
];

/// The entry of an id.
pub fn find(id: &str) -> Option<&'static TaskSpec> {
    TASKS.iter().find(|spec| spec.id == id)
}
