//! What the tests share: a graph with its memory, numbers by formula, sessions from JSON, and the distance of two vectors.

use serde_json::Value as Json;
use unroll::engine::Engine;
use unroll::graph::{Graph, Mark, Plan};
use unroll::nn::{Model, find};
use unroll::options::{Chosen, Value};
use unroll::shape::Tensor;
use unroll::train::{Config, EngineKind, Session};

/// A planned graph and the engine that runs it. Tensors are those of the graph.
pub struct Machine {
    pub plan: Plan,
    pub engine: Engine,
}

impl Machine {
    pub fn new(graph: &Graph, kind: EngineKind) -> Self {
        let plan = graph.plan();
        let mut engine = match kind {
            EngineKind::Reference => Engine::reference(plan.persistent_len),
            EngineKind::Cpu => Engine::cpu(plan.persistent_len),
        };
        engine.reserve(&plan);
        Self { plan, engine }
    }

    pub fn write(&mut self, tensor: Tensor, values: &[f64]) {
        self.engine.write_f64(self.plan.place(tensor), values);
    }

    pub fn write_index(&mut self, tensor: Tensor, values: &[u32]) {
        self.engine.write_index(self.plan.place(tensor), values);
    }

    pub fn read(&self, tensor: Tensor) -> Vec<f64> {
        self.engine.read_f64(self.plan.place(tensor))
    }

    pub fn run(&mut self, from: Mark, to: Mark) {
        let range = self.plan.range(from, to);
        self.engine.run(&self.plan, range);
    }
}

/// A tree of JSON as the tree that configurations are read from.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => Value::Number(n.as_f64().expect("a number of f64")),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(value).collect()),
        Json::Object(fields) => Value::Map(fields.iter().map(|(name, field)| (name.clone(), value(field))).collect()),
    }
}

/// A session from a configuration in JSON.
pub fn session(config: &Json, kind: EngineKind) -> Session {
    let config_read = Config::read(value(config)).unwrap_or_else(|error| panic!("{config}: {error}"));
    Session::new(config_read, kind).unwrap_or_else(|error| panic!("{config}: {error}"))
}

/// The architecture of a name of PyTorch's, `rnn_tanh` or `rnn-tanh` and so on, and its nonlinearity.
pub fn torch_cell(name: &str) -> (&'static str, Option<&'static str>) {
    match name {
        "rnn_tanh" | "rnn-tanh" => ("elman", Some("tanh")),
        "rnn_relu" | "rnn-relu" => ("elman", Some("relu")),
        "lstm" => ("lstm", None),
        "gru" => ("gru", None),
        other => panic!("no cell {other}"),
    }
}

/// A model; the nonlinearity is that of the Elman network.
pub fn model(id: &str, nonlinearity: Option<&str>, [inputs, hidden, layers, outputs]: [usize; 4]) -> Model {
    let cell = find(id).expect("an architecture");
    let changes: Vec<_> =
        nonlinearity.iter().map(|&name| ("nonlinearity".to_owned(), Value::Text(name.to_owned()))).collect();
    let options = Chosen::defaults(cell.options).with("model", cell.options, &changes).expect("options of the cell");
    Model { cell, options, inputs, hidden, layers, bidirectional: false, outputs, window: None }
}

/// The finaliser of MurmurHash3, as in the golden values' description.
fn mix(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// Word `n` of stream `k`.
pub fn hash(k: u32, n: usize) -> u32 {
    mix(mix(k + 1).wrapping_add((n as u32).wrapping_mul(0x9E37_79B9)))
}

/// Uniform in `[0, 1)`, exact in f32.
pub fn uniform(k: u32, n: usize) -> f64 {
    f64::from(hash(k, n) >> 8) / f64::from(1 << 24)
}

/// +1 or −1.
pub fn sign(k: u32, n: usize) -> f64 {
    if hash(k, n) < 1 << 31 { 1.0 } else { -1.0 }
}

/// The parameters of the golden networks: f32(bound·(2·uniform(k, n) − 1)) for element n of parameter k.
pub fn golden_parameters(model: &Model, bound: f64) -> Vec<f64> {
    let fill = |(k, len): (usize, usize)| {
        (0..len).map(move |n| f64::from((bound * (2.0 * uniform(k as u32, n) - 1.0)) as f32))
    };
    model.parameters().iter().map(unroll::nn::Parameter::len).enumerate().flat_map(fill).collect()
}

/// Numbers in [−1, 1) of a stream.
pub fn noise(stream: u32, len: usize) -> Vec<f64> {
    (0..len).map(|n| 2.0 * uniform(stream, n) - 1.0).collect()
}

/// ‖v‖₂.
pub fn norm(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// ‖a − b‖ / ‖b‖; the norm of a where b is 0.
pub fn relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of one length");
    let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let scale = norm(b);
    if scale == 0.0 { norm(&difference) } else { norm(&difference) / scale }
}

/// The difference is at most `tolerance`, relative to `scale`. A NaN fails.
#[track_caller]
pub fn close(what: &str, got: f64, expected: f64, tolerance: f64, scale: f64) {
    let error = (got - expected).abs() / scale;
    assert!(error <= tolerance, "{what}: {got:e}, expected {expected:e}, off by {error:.1e} > {tolerance:.0e}");
}

/// As [`close`], relative to the expected number.
#[track_caller]
pub fn close_relative(what: &str, got: f64, expected: f64, tolerance: f64) {
    close(what, got, expected, tolerance, expected.abs());
}

/// The numbers of a JSON array.
pub fn numbers(json: &Json) -> Vec<f64> {
    json.as_array().expect("an array").iter().map(number).collect()
}

/// A JSON number.
pub fn number(json: &Json) -> f64 {
    json.as_f64().unwrap_or_else(|| panic!("a number, got {json}"))
}
