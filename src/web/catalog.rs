//! The tables, for menus: everything that can be asked for.

use super::to_js;
use crate::kernels::recurrence::Cell;
use crate::nn::{ARCHITECTURES, DECODERS, INITS};
use crate::options::{Chosen, Kind, OptionSpec, Value};
use crate::tasks::{Recipe, TASKS, TaskSpec};
use crate::train::{LIMITS, OPTIMISERS};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use wasm_bindgen::prelude::*;

/// A value that serialises as what it holds.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Number(n) => serializer.serialize_f64(*n),
            Value::Text(text) | Value::Other(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items.iter().map(Plain)),
            Value::Map(fields) => serializer.collect_map(fields.iter().map(|(name, value)| (name, Plain(value)))),
        }
    }
}

struct OptionInfo(&'static OptionSpec);

impl Serialize for OptionInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(spec) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", spec.name)?;
        map.serialize_entry("title", spec.title)?;
        map.serialize_entry("help", spec.help)?;
        map.serialize_entry("default", &Plain(&spec.kind.default()))?;
        match spec.kind {
            Kind::Integer { min, max, .. } => {
                map.serialize_entry("kind", "integer")?;
                map.serialize_entry("min", &min)?;
                map.serialize_entry("max", &max)?;
            }
            Kind::Number { min, max, log, .. } => {
                map.serialize_entry("kind", "number")?;
                map.serialize_entry("min", &min)?;
                map.serialize_entry("max", &max)?;
                map.serialize_entry("log", &log)?;
            }
            Kind::Maybe { min, max, .. } => {
                map.serialize_entry("kind", "maybe")?;
                map.serialize_entry("min", &min)?;
                map.serialize_entry("max", &max)?;
            }
            Kind::Choice { among, .. } => {
                map.serialize_entry("kind", "choice")?;
                map.serialize_entry(
                    "among",
                    &among.iter().map(|&(id, title)| Named { id, title }).collect::<Vec<_>>(),
                )?;
            }
            Kind::Switch { .. } => map.serialize_entry("kind", "switch")?,
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Named {
    id: &'static str,
    title: &'static str,
}

#[derive(Serialize)]
struct Entry {
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    equations: &'static [&'static str],
    sources: &'static [&'static str],
    options: Vec<OptionInfo>,
}

fn options(specs: &'static [OptionSpec]) -> Vec<OptionInfo> {
    specs.iter().map(OptionInfo).collect()
}

#[derive(Serialize)]
struct Architecture {
    #[serde(flatten)]
    entry: Entry,
    gates: Vec<&'static str>,
    recurrent: bool,
    residual: bool,
    #[serde(rename = "handsOn")]
    hands_on: bool,
}

#[derive(Serialize)]
struct Init {
    #[serde(flatten)]
    entry: Entry,
    architectures: Vec<&'static str>,
}

#[derive(Serialize)]
struct BaselineInfo {
    loss: f64,
    what: String,
}

#[derive(Serialize)]
struct TaskInfo {
    #[serde(flatten)]
    entry: Entry,
    streams: bool,
    ahead: bool,
    source: bool,
    baseline: BaselineInfo,
    recipe: Option<RecipeInfo>,
}

#[derive(Serialize)]
struct RecipeInfo {
    config: RecipeConfig,
    steps: u64,
}

/// A recipe as a session's configuration.
struct RecipeConfig(&'static TaskSpec, Recipe);

impl Serialize for RecipeConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(spec, recipe) = self;
        Plain(&recipe.config(spec)).serialize(serializer)
    }
}

#[derive(Serialize)]
struct LimitsInfo {
    hidden: u32,
    length: u32,
    batch: u32,
    layers: u32,
    bytes: u64,
}

#[derive(Serialize)]
struct Catalog {
    architectures: Vec<Architecture>,
    tasks: Vec<TaskInfo>,
    optimisers: Vec<Entry>,
    inits: Vec<Init>,
    decoders: Vec<Named>,
    limits: LimitsInfo,
}

fn architecture(cell: &'static Cell) -> Architecture {
    Architecture {
        entry: Entry {
            id: cell.id,
            title: cell.title,
            summary: cell.summary,
            equations: cell.equations,
            sources: cell.sources,
            options: options(cell.options),
        },
        gates: if cell.gated { cell.blocks.to_vec() } else { Vec::new() },
        recurrent: !cell.recurrent.is_empty(),
        residual: cell.block().is_some(),
        hands_on: cell.block().is_none() || cell.states > 1,
    }
}

fn task(spec: &'static TaskSpec) -> TaskInfo {
    let task = (spec.make)(&Chosen::defaults(spec.options)).expect("the defaults of a task fit together");
    let baseline = task.baseline();
    TaskInfo {
        entry: Entry {
            id: spec.id,
            title: spec.title,
            summary: spec.summary,
            equations: &[],
            sources: spec.sources,
            options: options(spec.options),
        },
        streams: task.form().streams,
        ahead: task.form().ahead,
        source: task.form().source.is_some(),
        baseline: BaselineInfo { loss: baseline.loss, what: baseline.what },
        recipe: spec.recipe.map(|recipe| RecipeInfo { config: RecipeConfig(spec, recipe), steps: recipe.steps }),
    }
}

/// Architectures, tasks, optimisers, initialisations and limits.
#[wasm_bindgen(unchecked_return_type = "Catalog")]
pub fn catalog() -> JsValue {
    let catalog = Catalog {
        architectures: ARCHITECTURES.iter().map(|cell| architecture(cell)).collect(),
        tasks: TASKS.iter().map(task).collect(),
        optimisers: OPTIMISERS
            .iter()
            .map(|spec| Entry {
                id: spec.id,
                title: spec.title,
                summary: spec.summary,
                equations: spec.equations,
                sources: spec.sources,
                options: options(spec.options),
            })
            .collect(),
        inits: INITS
            .iter()
            .map(|spec| Init {
                entry: Entry {
                    id: spec.id,
                    title: spec.title,
                    summary: spec.summary,
                    equations: spec.equations,
                    sources: spec.sources,
                    options: options(spec.options),
                },
                architectures: ARCHITECTURES.iter().filter(|cell| (spec.suits)(cell)).map(|cell| cell.id).collect(),
            })
            .collect(),
        decoders: DECODERS.iter().map(|&(id, title)| Named { id, title }).collect(),
        limits: LimitsInfo {
            hidden: LIMITS.hidden,
            length: LIMITS.length,
            batch: LIMITS.batch,
            layers: LIMITS.layers,
            bytes: LIMITS.bytes,
        },
    };
    to_js(&catalog)
}
