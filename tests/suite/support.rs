//! What the tests share: a graph with its memory, numbers by formula, sessions from JSON, the distance of two vectors, and the
//! cases of every kernel.

use serde_json::Value as Json;
use unroll::engine::{Engine, Memory};
use unroll::graph::{Graph, Mark, PERSISTENT, Plan};
use unroll::kernels::recurrence::{Cell, Layer, Params};
use unroll::kernels::{
    CELLS, activation, adam, additive_attention, attention, carry, causal_conv, copy, cross_entropy, fill, gather,
    layer_norm, mean_squared_error, norm as norm_kernel, position, product, rmsprop, selective_scan, sgd, update, wkv,
};
use unroll::nn::{Model, find};
use unroll::options::{Chosen, Kind, Value};
use unroll::shape::{Shape, Tensor};
use unroll::train::{Blueprint, Config, EngineKind, Layout, Program, Purpose, Session};

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

/// A flat part of the persistent segment.
pub fn persistent(offset: usize, len: usize) -> Tensor {
    Tensor { offset: offset as u32, ..Tensor::whole(PERSISTENT, Shape::new(&[len])) }
}

/// The training step of a session, on a memory of its own that holds the session's parameters.
pub struct Trainer {
    pub session: Session,
    pub layout: Layout,
    pub program: Program,
    pub memory: Memory<f32>,
}

impl Trainer {
    /// `carry` reads and keeps carried states.
    pub fn new(config: &Json, carry: bool) -> Self {
        let session = session(config, EngineKind::Cpu);
        let (config, form) = (session.config(), session.form());
        let layout = Layout::new(session.model(), config.batch);
        let blueprint = Blueprint {
            model: session.model(),
            form,
            layout: &layout,
            n_steps: form.n_steps,
            batch: config.batch,
            last_only: form.last_only,
            optimiser: config.optimiser.spec,
        };
        let program = blueprint.compile(Purpose::Train { carry });
        let mut memory = Memory::new(layout.len);
        memory.reserve(&program.plan);
        let values = session.values();
        for (parameter, &place) in session.parameters().iter().zip(&layout.places) {
            let of_it = &values[parameter.offset..][..parameter.len()];
            memory.write(persistent(place, parameter.len()), of_it.iter().map(|&v| f64::from(v)));
        }
        Self { session, layout, program, memory }
    }
}

/// The cell and its nonlinearity of a name in the golden files: that of PyTorch, such as `rnn_tanh` or `rnn-tanh`, or that of the cell.
pub fn torch_cell(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    let name = name.to_lowercase();
    let mut words = name.split(['_', '-']);
    let id = words.next().map(|id| if id == "rnn" { "elman" } else { id });
    let cell = CELLS.iter().find(|cell| id == Some(cell.id))?;
    let word = words.next().map(|word| if word == "plain" { "identity" } else { word });
    Some((cell.id, nonlinearities(cell).into_iter().find(|&nonlinearity| word == Some(nonlinearity))))
}

/// A model; the nonlinearity is that of an Elman network or of a candidate.
pub fn model(id: &str, nonlinearity: Option<&str>, [inputs, hidden, layers, outputs]: [usize; 4]) -> Model {
    let cell = find(id).expect("an architecture");
    let changes: Vec<_> =
        nonlinearity.iter().map(|&name| ("nonlinearity".to_owned(), Value::Text(name.to_owned()))).collect();
    let options = Chosen::defaults(cell.options).with("model", cell.options, &changes).expect("options of the cell");
    Model {
        cell,
        options,
        inputs,
        hidden,
        layers,
        bidirectional: false,
        outputs,
        window: None,
        length: 1,
        decoder: None,
    }
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

/// A few calls of one kernel with what they read. Gradient checks and twins run the same cases.
pub struct Case {
    /// What is special about it.
    pub what: String,
    pub graph: Graph,
    /// Slots whose adjoint is wanted, and their values.
    pub inputs: Vec<(Tensor, Vec<f64>)>,
    /// Slots that are not differentiated, and their values.
    pub fixed: Vec<(Tensor, Vec<f64>)>,
    /// Symbols and classes.
    pub indices: Vec<(Tensor, Vec<u32>)>,
    /// Result of the loss. `None` for kernels that have no derivative.
    pub result: Option<Tensor>,
    stream: u32,
}

/// The elements of a tensor, row after row.
pub fn read(memory: &Memory<f32>, tensor: Tensor) -> Vec<f32> {
    let mut values = Vec::with_capacity(tensor.shape.len());
    memory.read(tensor, |value| values.push(value));
    values
}

impl Case {
    /// The plan, differentiated if there is a loss, and a memory that holds the values of its slots.
    pub fn planned(&mut self) -> (Plan, Memory<f32>) {
        if self.result.is_some() {
            self.graph.differentiate();
        }
        let plan = self.graph.plan();
        let mut memory = Memory::new(plan.persistent_len);
        memory.reserve(&plan);
        for (slot, values) in self.inputs.iter().chain(&self.fixed) {
            memory.write(plan.place(*slot), values.iter().copied());
        }
        for (slot, values) in &self.indices {
            memory.write_index(plan.place(*slot), values);
        }
        (plan, memory)
    }

    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            graph: Graph::new(),
            inputs: Vec::new(),
            fixed: Vec::new(),
            indices: Vec::new(),
            result: None,
            stream: 5000,
        }
    }

    fn noise(&mut self, scale: f64, len: usize) -> Vec<f64> {
        self.stream += 1;
        // Exact in f32, so that both precisions see the same numbers.
        noise(self.stream, len).into_iter().map(|v| f64::from((scale * v) as f32)).collect()
    }

    /// Something that the loss is differentiated by, within ±`scale`.
    pub fn input(&mut self, shape: &[usize], scale: f64) -> Tensor {
        let slot = self.graph.slot("input", shape);
        self.graph.want(slot);
        let values = self.noise(scale, slot.shape.len());
        self.inputs.push((slot, values));
        slot
    }

    /// The middle of something wider: its rows are apart.
    fn strided_input(&mut self, rows: usize, columns: usize, scale: f64) -> Tensor {
        self.input(&[rows, columns + 3], scale).columns(1, columns)
    }

    /// Memory between calls whose rows are apart.
    fn strided_activation(&mut self, rows: usize, columns: usize) -> Tensor {
        self.graph.activation("between", &[rows, columns + 2]).columns(1, columns)
    }

    pub fn fixed(&mut self, shape: &[usize], values: Vec<f64>) -> Tensor {
        let slot = self.graph.slot("fixed", shape);
        self.fixed.push((slot, values));
        slot
    }

    fn index(&mut self, shape: &[usize], values: Vec<u32>) -> Tensor {
        let slot = self.graph.index_slot("index", shape);
        self.indices.push((slot, values));
        slot
    }

    /// Numbers below `bound`.
    fn drawn(&mut self, bound: usize, len: usize) -> Vec<u32> {
        self.stream += 1;
        (0..len).map(|n| hash(self.stream, n) % bound as u32).collect()
    }

    /// The loss: a weighted squared distance of some views from a random target; one weight is 0.
    pub fn score(&mut self, views: &[Tensor]) {
        let columns = views[0].shape.columns();
        let rows = views.iter().map(|view| view.shape.rows()).sum();
        let y = self.graph.activation("scored", &[rows, columns]);
        let mut from = 0;
        for view in views {
            let n = view.shape.rows();
            self.graph.record(copy::forward(view.flat(), y.outer(from, n), false));
            from += n;
        }
        self.squares(y);
    }

    fn squares(&mut self, y: Tensor) {
        self.graph.mark(Mark::Loss);
        let rows = y.shape.rows();
        let target = self.noise(1.0, y.shape.len());
        let target = self.fixed(&y.shape.extents(), target);
        let weights = self.weights(rows);
        let weight = self.fixed(&[rows], weights);
        let losses = self.graph.slot("losses", &[rows]);
        let result = self.graph.slot("result", &[3]);
        let d_y = self.graph.activation("d_scored", &y.shape.extents());
        self.graph.record(mean_squared_error::forward([y, target, weight], [losses, result], Some(d_y), 0.5));
        self.result = Some(result);
    }

    /// Positive weights, one of them 0.
    fn weights(&mut self, rows: usize) -> Vec<f64> {
        let mut weights: Vec<f64> = self.noise(0.5, rows).into_iter().map(|w| w + 0.75).collect();
        if rows > 2 {
            weights[rows / 2] = 0.0;
        }
        weights
    }
}

/// The nonlinearities that a cell offers, in the order of their numbers; none where it has no choice.
pub fn nonlinearities(cell: &Cell) -> Vec<&'static str> {
    match cell.options.iter().find(|option| option.name == "nonlinearity").map(|option| option.kind) {
        Some(Kind::Choice { among, .. }) => among.iter().map(|(id, _)| *id).collect(),
        _ => Vec::new(),
    }
}

/// The cases of a kernel at one of the sizes that the tests walk through: a time loop with each of its nonlinearities, or what is written
/// below.
pub fn cases(stem: &str, size: usize) -> Vec<Case> {
    if let Some(cell) = CELLS.iter().find(|cell| cell.id == stem) {
        let numbers: Vec<u32> = (0..nonlinearities(cell).len().max(1) as u32).collect();
        return recurrence_cases(cell, &numbers, None, size);
    }
    let of = |(name, _): &&(&str, Cases)| *name == stem;
    let (_, cases) = CASES.iter().find(of).unwrap_or_else(|| panic!("{stem}: write cases in tests/suite/support.rs"));
    cases(size)
}

/// The cases of one kernel at a size.
type Cases = fn(usize) -> Vec<Case>;

/// The cases of every kernel that is no time loop of a cell, by its stem.
static CASES: &[(&str, Cases)] = &[
    ("activation", activation_cases),
    ("adam", |size| {
        [false, true].map(|decoupled| optimiser_case(if decoupled { "adamw" } else { "adam" }, &[0.03], size)).into()
    }),
    ("additive_attention", additive_attention_cases),
    ("attention", attention_cases),
    ("carry", carry_cases),
    ("causal_conv", causal_conv_cases),
    ("copy", copy_cases),
    ("cross_entropy", cross_entropy_cases),
    ("fill", |size| {
        let mut case = Case::new("strided");
        let y = case.fixed(&[3, size + 2], vec![7.0; 3 * (size + 2)]).columns(1, size);
        case.graph.record(fill::forward(y, -1.5));
        vec![case]
    }),
    ("gather", gather_cases),
    ("layer_norm", layer_norm_cases),
    ("mean_squared_error", |size| {
        let cases = [[size, 3], [4, size]].map(|[rows, columns]| {
            let mut case = Case::new(format!("{rows} rows of {columns}"));
            let y = case.input(&[rows, columns], 1.0);
            case.squares(y);
            case
        });
        cases.into()
    }),
    ("norm", |size| {
        let kinds = [(0.1, update::UNLIMITED, false), (update::UNLIMITED, 0.01, false), (0.1, update::UNLIMITED, true)];
        let mut cases = vec![norm_case(size * size + 2, update::UNLIMITED, update::UNLIMITED, false)];
        cases.extend(kinds.map(|(max, safe, held)| norm_case(size + 2, max, safe, held)));
        cases
    }),
    ("position", position_cases),
    ("product", product_cases),
    ("rmsprop", |size| [0.0, 0.9].map(|momentum| optimiser_case("rmsprop", &[0.03, momentum], size)).into()),
    ("row_sum", row_sum_cases),
    ("selective_scan", selective_scan_cases),
    ("sgd", |size| {
        [[0.03, 0.0, 0.0], [0.03, 0.9, 0.0], [0.03, 0.9, 1.0]]
            .map(|options| optimiser_case("sgd", &options, size))
            .into()
    }),
    ("wkv", wkv_cases),
];

fn activation_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for phi in activation::PHIS {
        for [rows, n] in [[3, size], [size, 5]] {
            let mut case = Case::new(format!("{phi:?}, {rows} rows of {n}"));
            let (x, u) = (case.strided_input(rows, n, 4.0), case.input(&[rows, 2 * n], 4.0));
            let [y, z, gated] = [0; 3].map(|_| case.strided_activation(rows, n));
            case.graph.record(activation::forward(phi, x, None, y));
            // The halves of a tensor gate each other, and what was read before is read again.
            case.graph.record(activation::forward(phi, u.columns(0, n), Some(u.columns(n, n)), z));
            case.graph.record(activation::forward(phi, x, Some(y), gated));
            case.score(&[z, gated]);
            cases.push(case);
        }
    }
    cases
}

/// Two readings of one memory, whose adjoints are added up.
fn additive_attention_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [n_queries, n_keys, width, columns] in [[2, size + 1, 3, 5], [size, 4, 5, 3], [1, 5, size, 2], [3, 2, 7, size]]
    {
        let batch = 3;
        let what = format!("{n_queries} queries, {n_keys} keys of {width}, values of {columns}");
        let mut case = Case::new(what);
        let memory = case.input(&[n_keys, batch, width + columns + 1], 2.0).columns(1, width + columns);
        let v = case.input(&[1, width], 1.0);
        let outputs = [0; 2].map(|_| {
            let queries = case.input(&[n_queries, batch, width], 2.0);
            let weights = case.graph.activation("weights", &[n_queries, batch, n_keys + 1]).columns(0, n_keys);
            let y = case.graph.activation("y", &[n_queries, batch, columns]);
            case.graph.record(additive_attention::forward(queries, memory, v, weights, y));
            y
        });
        case.score(&outputs);
        cases.push(case);
    }
    cases
}

fn attention_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    // Packed, in full and causal; then another sequence, whose keys are values or not.
    for [n, batch, width] in [[size, 2, 3], [3, size.min(17), 2], [4, 1, size]] {
        for (heads, causal) in [(1, false), (2, true)] {
            let mut case = Case::new(format!("T {n}, B {batch}, {heads} heads of {width}, causal {causal}"));
            let columns = heads * width;
            let x = case.input(&[n, batch, 3 * columns + 2], 2.0).columns(1, 3 * columns);
            let weights = case.graph.activation("weights", &[n, batch, heads * n]);
            let y = case.graph.activation("y", &[n, batch, columns + 1]).columns(1, columns);
            let of = attention::Heads { count: heads, variance: width, causal };
            case.graph.record(attention::forward(of, x, None, weights, y));
            case.score(&[y]);
            cases.push(case);
        }
    }
    for [n, batch, width] in [[size, 2, 3], [4, 3, size]] {
        let mut case = Case::new(format!("retention, T {n}, B {batch}, 2 heads of {width}"));
        let x = case.input(&[n, batch, 6 * width], 1.0);
        let weights = case.graph.activation("weights", &[n, batch, 2 * n]);
        let y = case.graph.activation("y", &[n, batch, 2 * width]);
        let of = attention::Heads { count: 2, variance: width, causal: true };
        case.graph.record(attention::retention(of, 2, x, weights, y));
        case.score(&[y]);
        cases.push(case);
    }
    for [n_queries, n_keys, width] in [[2, size + 1, 3], [size, size, 2], [3, 5, size]] {
        for (parts, causal) in [(1, false), (2, n_queries <= n_keys)] {
            let what = format!("{n_queries} queries, {n_keys} keys, {parts} parts of {width}, causal {causal}");
            let mut case = Case::new(what);
            let (batch, heads) = (3, parts);
            let columns = heads * width;
            let queries = case.input(&[n_queries, batch, columns], 2.0);
            let memory = case.input(&[n_keys, batch, parts * columns + 1], 2.0).columns(1, parts * columns);
            let of = attention::Heads { count: heads, variance: 1, causal };
            let outputs = [0; 2].map(|_| {
                let weights = case.graph.activation("weights", &[n_queries, batch, heads * n_keys + 1]);
                let weights = weights.columns(0, heads * n_keys);
                let y = case.graph.activation("y", &[n_queries, batch, columns]);
                case.graph.record(attention::forward(of, queries, Some(memory), weights, y));
                y
            });
            case.score(&outputs);
            cases.push(case);
        }
    }
    cases
}

fn position_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [n_steps, batch, columns] in [[3, size, 5], [size, 2, 3], [2, 3, size]] {
        let mut case = Case::new(format!("T {n_steps}, B {batch}, H {columns}"));
        // One position more than there are timesteps.
        let weight = case.input(&[n_steps + 1, columns], 1.0);
        let x = case.input(&[n_steps, batch, columns], 1.0);
        let y = case.graph.activation("y", &[n_steps, batch, columns + 1]).columns(1, columns);
        case.graph.record(copy::forward(x, y, false));
        case.graph.record(position::forward(weight, y));
        case.graph.record(position::forward(weight, y));
        case.score(&[y]);
        cases.push(case);
    }
    cases
}

fn layer_norm_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    // A row of one element is 0 when centred, and has no derivative but that.
    for [rows, n] in [[3, size + 1], [size, 5]] {
        for centred in [false, true] {
            let mut case = Case::new(format!("{rows} rows of {n}, centred {centred}"));
            let x = case.strided_input(rows, n, 2.0);
            let (weight, bias) = (case.input(&[n], 1.0), centred.then(|| case.input(&[n], 1.0)));
            let [y, again] = [0; 2].map(|_| case.strided_activation(rows, n));
            case.graph.record(layer_norm::forward(x, weight, bias, y, centred));
            case.graph.record(layer_norm::forward(x, weight, bias, again, centred));
            case.graph.record(copy::forward(x, again, true));
            case.score(&[y, again]);
            cases.push(case);
        }
    }
    cases
}

fn product_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    // The last one has more terms than `cpu` packs at a time, from size 128 on.
    let mut shapes = vec![[size, 5, 3], [5, size, 3], [3, 9, 2 * size + 1]];
    if size <= 33 {
        shapes.push([size, size + 1, size + 2]);
    }
    if size >= 65 {
        // As many terms as a weight gradient adds: T·B of them.
        shapes.push([4, 6, 16 * size + 1]);
    }
    for [m, n, k] in shapes {
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            for accumulate in [false, true] {
                let mut case =
                    Case::new(format!("{m} × {k} · {k} × {n}, transposed {transposed:?}, accumulate {accumulate}"));
                let [a, b] = [[m, k], [k, n]];
                let mut factor = |[rows, columns]: [usize; 2], transposed: bool| {
                    let [rows, columns] = if transposed { [columns, rows] } else { [rows, columns] };
                    product::Factor { tensor: case.strided_input(rows, columns, 1.0), transposed }
                };
                let (a, b) = (factor(a, transposed[0]), factor(b, transposed[1]));
                let c = case.strided_activation(m, n);
                if accumulate {
                    let before = case.input(&[m, n], 1.0);
                    case.graph.record(copy::forward(before, c, false));
                }
                case.graph.record(product::forward(a, b, c, accumulate));
                case.score(&[c]);
                cases.push(case);
            }
        }
    }
    // Linear layers: a few features, a few outputs, and both many; the bias is part of a wider vector.
    for [m, n, k] in [[size, 9, 1], [size, 3, 2], [5, size, 3], [size, 5, 4], [size, 2, 9], [7, size, 8], [3, 1, size]]
    {
        let mut case = Case::new(format!("{m} × {k} · {k} × {n} with a bias"));
        let (a, w) = (case.strided_input(m, k, 1.0), case.strided_input(n, k, 1.0));
        let bias = case.input(&[n + 2], 1.0).outer(1, n);
        let c = case.strided_activation(m, n);
        case.graph.record(product::linear(product::plain(a), product::transposed(w), bias, c));
        case.score(&[c]);
        cases.push(case);
    }
    let mut case = Case::new("a tensor times its own transpose");
    let a = case.input(&[size.min(33), 3], 1.0);
    let c = case.graph.activation("square", &[size.min(33), size.min(33)]);
    case.graph.record(product::forward(product::plain(a), product::transposed(a), c, false));
    case.score(&[c]);
    cases.push(case);
    cases
}

/// Sums are recorded for the gradient of a bias.
fn row_sum_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, n] in [[3, size], [size, 5]] {
        let mut case = Case::new(format!("{rows} rows of {n}, a bias of two layers"));
        // Part of a wider vector, as the blocks of a gated cell.
        let bias = case.input(&[n + 2], 1.0).outer(1, n);
        let layers = [1, 3].map(|k| {
            let (a, w) = (case.strided_input(rows, k, 1.0), case.strided_input(n, k, 1.0));
            let y = case.strided_activation(rows, n);
            case.graph.record(product::linear(product::plain(a), product::transposed(w), bias, y));
            y
        });
        case.score(&layers);
        cases.push(case);
    }
    cases
}

fn copy_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, n] in [[3, size], [size, 5]] {
        let mut case = Case::new(format!("{rows} rows of {n}, added twice"));
        let (x, other) = (case.strided_input(rows, n, 1.0), case.strided_input(rows, n, 1.0));
        let y = case.strided_activation(rows, n);
        case.graph.record(copy::forward(x, y, false));
        case.graph.record(copy::forward(other, y, true));
        case.graph.record(copy::forward(x, y, true));
        case.score(&[y]);
        cases.push(case);
    }
    cases
}

fn gather_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, n, symbols] in [[2 * size + 3, 5, size], [4, size, 3], [size, 3, 7]] {
        for accumulate in [false, true] {
            let mut case = Case::new(format!("{rows} rows of {n}, {symbols} symbols, accumulate {accumulate}"));
            let drawn = case.drawn(symbols, rows);
            let picked = case.index(&[rows], drawn);
            let w = case.strided_input(n, symbols, 1.0);
            let y = case.strided_activation(rows, n);
            if accumulate {
                let before = case.input(&[rows, n], 1.0);
                case.graph.record(copy::forward(before, y, false));
                // The same weight for other symbols: its gradient is added to.
                let drawn = case.drawn(symbols, rows);
                let others = case.index(&[rows], drawn);
                case.graph.record(gather::forward(others, w, y, true));
            }
            if accumulate {
                case.graph.record(gather::forward(picked, w, y, true));
            } else {
                let bias = case.input(&[n + 2], 1.0).outer(1, n);
                case.graph.record(gather::linear(picked, w, bias, y));
            }
            case.score(&[y]);
            cases.push(case);
        }
    }
    cases
}

fn cross_entropy_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, classes] in [[size, 5], [5, size]] {
        for asked in ["all", "some", "none"] {
            let mut case = Case::new(format!("{rows} rows of {classes} classes, {asked} asked"));
            let logits = case.input(&[rows, classes], 3.0);
            let mut drawn = case.drawn(classes, rows);
            for (row, class) in drawn.iter_mut().enumerate() {
                if asked == "none" || asked == "some" && row % 3 == 1 {
                    *class = cross_entropy::IGNORED;
                }
            }
            let weights = if asked == "all" { vec![1.0; rows] } else { case.weights(rows) };
            case.graph.mark(Mark::Loss);
            let target = case.index(&[rows], drawn);
            let weight = case.fixed(&[rows], weights);
            let probabilities = case.graph.slot("probabilities", &[rows, classes]);
            let losses = case.graph.slot("losses", &[rows]);
            let result = case.graph.slot("result", &[3]);
            let d_logits = case.graph.activation("d_logits", &[rows, classes]);
            let (read, write) = ([logits, target, weight], [probabilities, losses, result]);
            case.graph.record(cross_entropy::forward(read, write, Some(d_logits)));
            case.result = Some(result);
            cases.push(case);
        }
    }
    cases
}

/// Recurrences of three shapes, in both directions, with and without initial states. A window truncates the gradient, which is
/// then no derivative any more.
pub fn recurrence_cases(cell: &'static Cell, nonlinearities: &[u32], window: Option<u32>, size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [n_steps, batch, hidden] in [[4, 3, size], [3, size, 5], [size, 2, 6]] {
        for &nonlinearity in nonlinearities {
            for reverse in [0, 1] {
                for given in [false, true] {
                    let params = Params {
                        n_steps: n_steps as u32,
                        batch: batch as u32,
                        hidden: hidden as u32,
                        reverse,
                        window: window.unwrap_or(0),
                        nonlinearity,
                        silent: 0,
                        fresh: 0,
                        first: 0,
                        end: n_steps as u32,
                    };
                    cases.push(recurrence_case(cell, params, given));
                }
            }
        }
    }
    cases
}

/// One layer; with given initial states, a second one in the other direction shares its input part and its weights, so that
/// their gradients are added up.
fn recurrence_case(cell: &'static Cell, params: Params, given: bool) -> Case {
    let [n_steps, batch, hidden] = [params.n_steps, params.batch, params.hidden].map(|n| n as usize);
    let g = cell.blocks.len();
    let mut case = Case::new(format!(
        "{}, T {n_steps}, B {batch}, H {hidden}, nonlinearity {}, reverse {}, initial states {given}",
        cell.id, params.nonlinearity, params.reverse
    ));
    let a = case.input(&[n_steps, batch, g * hidden], 1.0);
    let recurrent = !cell.recurrent.is_empty();
    let weight_hh = recurrent.then(|| case.input(&[g * hidden, hidden], 1.2 / (hidden as f64).sqrt()));
    let bias_hh = recurrent.then(|| case.input(&[g * hidden], 0.5));
    let mut scored = Vec::new();
    for direction in 0..if given { 2 } else { 1 } {
        let params = Params { reverse: params.reverse ^ direction, ..params };
        let state0 = given.then(|| case.input(&[cell.states, batch, hidden], 1.0));
        let y = if given {
            case.graph.activation("y", &[n_steps, batch, hidden + 3]).columns(2, hidden)
        } else {
            case.graph.activation("y", &[n_steps, batch, hidden])
        };
        let gates = case.graph.activation("gates", &[n_steps, batch, cell.width * hidden]);
        case.graph.record(copy::forward(a, gates.columns(0, g * hidden), false));
        let save = |name: &&str| case.graph.activation(name, &[n_steps, batch, hidden]);
        let saved: Vec<Tensor> = cell.saved.iter().map(save).collect();
        let totals = case.graph.slot("totals", &[cell.states, n_steps, batch, hidden]);
        case.graph.keep_totals(y, totals);
        let layer = Layer { gates, weight_hh, bias_hh, state0, y, saved: saved.clone(), params };
        case.graph.record((cell.time_loop().expect("a recurrent cell"))(&layer));
        // Without initial states, only the later outputs are read.
        let silent = if given { 0 } else { n_steps / 2 };
        scored.push(y.outer(silent, n_steps - silent));
        // States beyond h are read at the last step.
        let last = params.time(n_steps - 1);
        scored.extend(saved.iter().map(|state| state.outer(last, 1)));
    }
    case.score(&scored);
    case
}

/// Convolutions of one input: four taps with a bias, one tap without, and a token shift.
fn causal_conv_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [n_steps, batch, channels] in [[5, 3, size], [2, size, 5], [size, 1, 6]] {
        let mut case = Case::new(format!("T {n_steps}, B {batch}, E {channels}"));
        let x = case.input(&[n_steps, batch, channels + 3], 1.0).columns(1, channels);
        let [weight, other] = [4, 1].map(|taps| case.input(&[channels, taps], 1.0));
        let bias = case.input(&[channels], 1.0);
        let mu = case.input(&[1, 1, channels], 1.0);
        let y = [(); 4].map(|()| case.graph.activation("y", &[n_steps, batch, channels]));
        case.graph.record(causal_conv::forward(x, weight, Some(bias), y[0]));
        case.graph.record(causal_conv::forward(x, other, None, y[1]));
        case.graph.record(causal_conv::forward(y[0], weight, None, y[2]));
        case.graph.record(causal_conv::token_shift(x, mu, y[3]));
        case.score(&y);
        cases.push(case);
    }
    cases
}

/// Both steps, with and without adjoints of the states to look at.
fn selective_scan_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [n_steps, batch, channels, states, skipped] in [[4, 2, size, 3, 1], [3, size, 5, 1, 0], [size, 2, 3, 16, 2]] {
        for (exact, looked_at) in [(false, false), (true, true)] {
            let mut case = Case::new(format!("T {n_steps}, B {batch}, E {channels}, N {states}, exact {exact}"));
            let shape = [n_steps, batch, channels];
            let given = case.input(&[n_steps, batch, 2 * channels], 2.0);
            let before = case.input(&shape, 1.0);
            let [projected, a_log] =
                [case.input(&[n_steps, batch, skipped + 2 * states], 1.0), case.input(&[channels, states], 1.5)];
            let inputs = case.graph.activation("inputs", &[n_steps, batch, 2 * channels]);
            let wide = [n_steps, batch, states * channels];
            let [kept, states] = ["kept", "states"].map(|name| case.graph.activation(name, &wide));
            let y = case.graph.activation("y", &shape);
            if looked_at {
                let totals = case.graph.slot("totals", &wide);
                case.graph.keep_totals(states, totals);
            }
            case.graph.record(copy::forward(given, inputs, false));
            case.graph.record(copy::forward(before, y, false));
            let operands = selective_scan::Operands { inputs, projected, a_log, states, kept, y };
            case.graph.record(selective_scan::forward(operands, exact));
            case.score(&[y]);
            cases.push(case);
        }
    }
    cases
}

/// Small and large keys, with and without adjoints of the means to look at; what is read is read twice.
fn wkv_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [n_steps, batch, channels] in [[4, 2, size], [3, size, 5], [size, 2, 3]] {
        for (scale, looked_at) in [(1.0, false), (6.0, true)] {
            let mut case = Case::new(format!("T {n_steps}, B {batch}, C {channels}, keys up to {scale}"));
            let [w, u] = [(); 2].map(|()| case.input(&[channels], 1.0));
            let [k, v] = [scale, 1.0].map(|scale| case.input(&[n_steps, batch, channels], scale));
            let shape = [n_steps, batch, channels];
            let [means, y] = ["means", "y"].map(|name| case.graph.activation(name, &shape));
            let shares = case.graph.activation("shares", &[n_steps, batch, 4 * channels]);
            if looked_at {
                let totals = case.graph.slot("totals", &shape);
                case.graph.keep_totals(means, totals);
            }
            case.graph.record(wkv::forward(wkv::Operands { w, u, k, v, means, shares, y }));
            case.score(&[y, k]);
            cases.push(case);
        }
    }
    cases
}

fn carry_cases(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for [states, batch, hidden] in [[2, 3, size], [1, size, 5]] {
        let mut case = Case::new(format!("{states} states, B {batch}, H {hidden}"));
        let values = case.noise(1.0, states * batch * hidden);
        let carried = case.fixed(&[states, batch, hidden], values);
        let starts = case.fixed(&[batch], (0..batch).map(|b| if b % 2 == 1 { 1.0 } else { 0.0 }).collect());
        let s0 = case.fixed(&[states, batch, hidden], vec![9.0; states * batch * hidden]);
        case.graph.record(carry::forward(carried, starts, s0));
        cases.push(case);
    }
    cases
}

/// `safe` is the largest norm that an update is done with.
fn norm_case(len: usize, max_norm: f64, safe: f64, held: bool) -> Case {
    let mut case = Case::new(format!("{len} elements, at most {max_norm:e}, safe up to {safe}, held {held}"));
    let gradient = case.noise(1.0, len);
    let gradient = case.fixed(&[len], gradient);
    let mut hyper = vec![0.0; update::HYPER];
    hyper[update::MAX_NORM] = max_norm;
    hyper[update::SAFE_NORM] = safe;
    let hyper = case.fixed(&[update::HYPER], hyper);
    let mut result = vec![0.0; update::NORM];
    result[update::COEFFICIENT] = if held { -1.0 } else { 1.0 };
    result[update::N_PARTS] = 2.0;
    let result = case.fixed(&[update::NORM], result);
    case.graph.record(norm_kernel::forward(gradient, hyper, result));
    case
}

/// One update in the middle of training: moments are there, the norm clips, and so does the largest value. `options` are
/// the learning rate, the momentum and whether it is Nesterov's. Slots, in order: parameters, gradient, moments, hyper, norm.
fn optimiser_case(id: &str, options: &[f64], size: usize) -> Case {
    let len = 3 * size + 2;
    // Held at one size: then nothing changes. At others, the norm is known or comes in parts.
    let coefficient = if size == 3 { -1.0 } else { 0.75 };
    let n_parts = if size % 2 == 1 { 0 } else { size };
    let what = format!("{len} parameters, {n_parts} parts of the norm, coefficient {coefficient}");
    let mut case = Case::new(format!("{id}, {options:?}, {what}"));
    let spec = unroll::train::find_optimiser(id).expect("an optimiser");
    let mut changes =
        vec![("lr".to_owned(), Value::Number(options[0])), ("weightDecay".to_owned(), Value::Number(0.1))];
    if let Some(&momentum) = options.get(1) {
        changes.push(("momentum".to_owned(), Value::Number(momentum)));
    }
    if let Some(&nesterov) = options.get(2) {
        changes.push(("nesterov".to_owned(), Value::Bool(nesterov != 0.0)));
    }
    let chosen = Chosen::defaults(spec.options).with("optimiser", spec.options, &changes).expect("options");
    let mut hyper = [0.0; update::HYPER];
    (spec.hyper)(&chosen, 4, &mut hyper);
    hyper[update::MAX_NORM] = 2.0;
    hyper[update::SAFE_NORM] = update::UNLIMITED;
    hyper[update::MAX_VALUE] = 0.6;
    let parameters = case.noise(1.0, len);
    let parameters = case.fixed(&[len], parameters);
    let gradient = case.noise(1.0, len);
    let gradient = case.fixed(&[len], gradient);
    let first = case.noise(1.0, len);
    // In Adam the second moment is the mean square, in RMSprop the first is.
    let squares = |values: Vec<f64>| values.into_iter().map(|v| f64::from((v * v) as f32)).collect::<Vec<_>>();
    let first = if id == "rmsprop" { squares(first) } else { first };
    let second = case.noise(1.0, len);
    let second = if id.starts_with("adam") { squares(second) } else { second };
    let moments = [case.fixed(&[len], first), case.fixed(&[len], second)];
    let hyper = case.fixed(&[update::HYPER], hyper.to_vec());
    let mut norm = vec![2.0, coefficient, 1.0, n_parts as f64];
    for part in 0..n_parts {
        // The last part has seen nothing but zeros.
        norm.extend(if part + 1 == n_parts { [0.0; 2] } else { [0.1 * (part % 7) as f64, 1.0 + (part % 3) as f64] });
    }
    norm.resize(update::NORM, 7.0);
    let norm = case.fixed(&[update::NORM], norm);
    case.graph.record(match id {
        "sgd" => sgd::forward(parameters, gradient, moments[0], hyper, norm),
        "rmsprop" => rmsprop::forward(parameters, gradient, moments, hyper, norm),
        _ => adam::forward(parameters, gradient, moments, hyper, norm, id == "adamw"),
    });
    case
}
