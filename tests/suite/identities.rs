//! Structural identities: causality, batch split, chunk carry, truncation, the law ρ^(T−t), the ribbon against independent
//! computations, bit-for-bit repetition.

use crate::support::{Machine, close, close_relative, model, noise, norm, relative, session};
use bytemuck::Zeroable;
use nalgebra::{DMatrix, DVector};
use serde_json::{Value as Json, json};
use unroll::engine::Engine;
use unroll::graph::{Graph, Mark, PERSISTENT};
use unroll::kernels::mean_squared_error;
use unroll::kernels::recurrence::{Layer, Params};
use unroll::nn::{INITS, Inputs, Model, cells};
use unroll::rng::Stream;
use unroll::shape::{Shape, Tensor};
use unroll::tasks::{Batch, Draw, IGNORED, TASKS, Target};
use unroll::train::{EngineKind, LossAt, OPTIMISERS, Session};
use wasm_bindgen_test::wasm_bindgen_test;

/// A configuration with some fields of the model replaced.
pub fn config(task: Json, id: &str, hidden: usize, layers: usize, changes: &Json) -> Json {
    let mut config = json!({
        "task": task,
        "model": { "id": id, "hidden": hidden, "layers": layers },
        "batch": 4,
        "seed": 9,
    });
    for (name, field) in changes.as_object().expect("an object") {
        config["model"][name] = field.clone();
    }
    config
}

/// Batch `step` of a session's task, with as many rows as asked.
fn batch(session: &Session, stream: Stream, step: u64, rows: usize) -> Batch {
    let task = (session.config().task.make)(&session.config().task_options).expect("a task");
    let mut batch = Batch::zeros(task.form(), rows);
    task.sample(Draw { seed: session.config().seed, stream, step }, &mut batch);
    batch
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

// ---------------------------------------------------------------- an independent forward pass

/// A network by the equations of PyTorch's documentation, one sequence at a time in f64, without any code of the crate but
/// the names of its parameters.
pub struct Plain<'a> {
    pub model: &'a Model,
    pub values: &'a [f64],
}

/// A change by hand of one state: after timestep `t` was computed, element `unit` moves by `by`. Changing c changes the h of
/// the same timestep too.
#[derive(Clone, Copy)]
pub struct Edit {
    pub layer: usize,
    pub t: usize,
    pub state: usize,
    pub unit: usize,
    pub by: f64,
}

#[derive(Clone, Debug)]
pub struct State {
    pub h: DVector<f64>,
    pub c: DVector<f64>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// What a gated step computes on its way, for Jacobians.
pub struct Step {
    pub before: State,
    pub after: State,
    /// Elman: none; LSTM: i, f, g, o; GRU: r, z, n, q; without recurrent weights: admitted, kept.
    pub gates: [DVector<f64>; 4],
}

impl Plain<'_> {
    pub fn matrix(&self, name: &str) -> DMatrix<f64> {
        let parameters = self.model.parameters();
        let parameter = parameters.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no parameter {name}"));
        let columns = parameter.shape.get(1).copied().unwrap_or(1);
        DMatrix::from_row_slice(parameter.shape[0], columns, &self.values[parameter.offset..][..parameter.len()])
    }

    /// As `matrix`, or `rows` of zeros for a cell that has no such parameter.
    fn matrix_or_zeros(&self, name: &str, rows: usize) -> DMatrix<f64> {
        let columns = if name.contains("bias") { 1 } else { self.model.hidden };
        match self.model.parameters().iter().any(|parameter| parameter.name == name) {
            true => self.matrix(name),
            false => DMatrix::zeros(rows, columns),
        }
    }

    fn block(&self, matrix: &DMatrix<f64>, block: usize) -> DMatrix<f64> {
        matrix.rows(block * self.model.hidden, self.model.hidden).into_owned()
    }

    pub fn zeros(&self) -> State {
        let zeros = DVector::zeros(self.model.hidden);
        State { h: zeros.clone(), c: zeros }
    }

    fn step(&self, layer: &[DMatrix<f64>; 4], x: &DVector<f64>, before: &State, edit: Option<Edit>) -> Step {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = layer;
        let input = weight_ih * x + bias_ih;
        let recurrent = weight_hh * &before.h + bias_hh;
        let n = self.model.hidden;
        let part = |v: &DMatrix<f64>, block: usize| v.rows(block * n, n).column(0).into_owned();
        let moved = |mut v: DVector<f64>, state: usize| {
            if let Some(edit) = edit.filter(|edit| edit.state == state) {
                v[edit.unit] += edit.by;
            }
            v
        };
        let input = DMatrix::from_column_slice(input.nrows(), 1, input.as_slice());
        let recurrent = DMatrix::from_column_slice(recurrent.nrows(), 1, recurrent.as_slice());
        let sum = |block: usize| part(&input, block) + part(&recurrent, block);
        let none = || std::array::from_fn(|_| DVector::zeros(0));
        let (h, c, gates) = match self.model.cell.id {
            "elman" => {
                let squash = match self.model.options.choice("nonlinearity") {
                    "tanh" => libm::tanh,
                    "relu" => |x: f64| x.max(0.0),
                    _ => |x: f64| x,
                };
                (sum(0).map(squash), before.c.clone(), none())
            }
            "lstm" => {
                let (i, f, o) = (sum(0).map(sigmoid), sum(1).map(sigmoid), sum(3).map(sigmoid));
                let g = sum(2).map(libm::tanh);
                let c = moved(f.component_mul(&before.c) + i.component_mul(&g), 1);
                (o.component_mul(&c.map(libm::tanh)), c, [i, f, g, o])
            }
            "gru" => {
                let (r, z, q) = (sum(0).map(sigmoid), sum(1).map(sigmoid), part(&recurrent, 2));
                let n = (part(&input, 2) + r.component_mul(&q)).map(libm::tanh);
                let h = z.map(|z| 1.0 - z).component_mul(&n) + z.component_mul(&before.h);
                (h, before.c.clone(), [r, z, n, q])
            }
            "mingru" | "minlstm" => {
                let k = match self.model.cell.id {
                    "mingru" => sum(0).map(|z| 1.0 - sigmoid(z)),
                    _ => sum(0).zip_map(&sum(1), |f, i| sigmoid(f) / (sigmoid(f) + sigmoid(i))),
                };
                let v = sum(self.model.cell.blocks.len() - 1).map(|x| if x < 0.0 { sigmoid(x) } else { x + 0.5 });
                let h = k.component_mul(&before.h) + k.map(|k| 1.0 - k).component_mul(&v);
                (h, before.c.clone(), [k.map(|k| 1.0 - k), k, v, DVector::zeros(0)])
            }
            // The step of such a cell is affine in its state, whatever its gates are: h_t = h_t(0) + (h_t(1) − h_t(0)) ⊙ h_{t−1}. Its own
            // kernel says h_t(0) and h_t(1); that their equations are right is for the golden values to say.
            _ if self.model.cell.recurrent.is_empty() => {
                let [from_zeros, from_ones] = [0.0, 1.0].map(|h| self.kernel_step(&input, h));
                let k = from_ones - &from_zeros;
                let h = &from_zeros + k.component_mul(&before.h);
                (h, before.c.clone(), [k.map(|k| 1.0 - k), k, DVector::zeros(0), DVector::zeros(0)])
            }
            other => panic!(
                "{other} has recurrent weights: write its equations and its Jacobian in tests/suite/identities.rs"
            ),
        };
        Step { before: before.clone(), after: State { h: moved(h, 0), c }, gates }
    }

    /// One step of the time loop of a cell without recurrent weights, from the input part of its pre-activations and one number as the
    /// state of every unit.
    fn kernel_step(&self, input: &DMatrix<f64>, state: f64) -> DVector<f64> {
        let (cell, hidden) = (self.model.cell, self.model.hidden);
        let mut graph = Graph::new();
        let [gates, state0, y] = [input.nrows(), hidden, hidden].map(|width| graph.slot("operand", &[1, 1, width]));
        let params = Params {
            n_steps: 1,
            batch: 1,
            hidden: hidden as u32,
            nonlinearity: self.model.nonlinearity(),
            end: 1,
            ..Params::zeroed()
        };
        let layer = Layer { gates, weight_hh: None, bias_hh: None, state0: Some(state0), y, saved: Vec::new(), params };
        graph.record((cell.time_loop().expect("a recurrent cell"))(&layer));
        let mut machine = Machine::new(&graph, EngineKind::Reference);
        machine.write(gates, input.as_slice());
        machine.write(state0, &vec![state; hidden]);
        machine.run(Mark::Forward, Mark::Forward);
        DVector::from_vec(machine.read(y))
    }

    /// Inputs of one sequence as vectors.
    pub fn inputs(&self, batch: &Batch, b: usize) -> Vec<DVector<f64>> {
        let n = self.model.inputs;
        let at = |t: usize| {
            let position = t * batch.batch + b;
            DVector::from_fn(n, |i, _| match batch.symbols.get(position) {
                Some(&symbol) => f64::from(u8::from(symbol as usize == i)),
                None => f64::from(batch.features[position * n + i]),
            })
        };
        (0..batch.n_steps).map(at).collect()
    }

    /// All steps of all layers of one sequence, from the given states, which become the last ones.
    pub fn run(&self, x: &[DVector<f64>], states: &mut [State], edit: Option<Edit>) -> Vec<Vec<Step>> {
        let mut x = x.to_vec();
        let mut layers = Vec::new();
        for (layer, state) in states.iter_mut().enumerate() {
            let weights = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|name| {
                self.matrix_or_zeros(&format!("rnn.{name}_l{layer}"), self.model.cell.blocks.len() * self.model.hidden)
            });
            let mut steps: Vec<Step> = Vec::new();
            for (t, x) in x.iter().enumerate() {
                let edit = edit.filter(|edit| edit.layer == layer && edit.t == t);
                let step = self.step(&weights, x, state, edit);
                *state = step.after.clone();
                steps.push(step);
            }
            x = steps.iter().map(|step| step.after.h.clone()).collect();
            layers.push(steps);
        }
        layers
    }

    /// The outputs of one sequence.
    fn outputs(&self, steps: &[Vec<Step>]) -> Vec<DVector<f64>> {
        let (weight, bias) = (self.matrix("head.weight"), self.matrix("head.bias").column(0).into_owned());
        steps.last().expect("a layer").iter().map(|step| &weight * &step.after.h + &bias).collect()
    }

    /// The loss of one sequence, each timestep weighted, not divided by anything.
    fn loss(&self, session: &Session, batch: &Batch, b: usize, weights: &[f64], outputs: &[DVector<f64>]) -> f64 {
        let mut sum = 0.0;
        for (t, output) in outputs.iter().enumerate() {
            let position = t * batch.batch + b;
            let own = match session.form().target {
                Target::Value(n) => {
                    let error = |o: usize| output[o] - f64::from(batch.values[position * n + o]);
                    (0..n).map(|o| error(o) * error(o)).sum::<f64>() / n as f64
                }
                Target::Class(_) if batch.classes[position] == IGNORED => 0.0,
                Target::Class(_) => {
                    let exponentials: f64 = output.iter().map(|&x| libm::exp(x)).sum();
                    libm::log(exponentials) - output[batch.classes[position] as usize]
                }
            };
            sum += weights[t] * own;
        }
        sum
    }
}

// ---------------------------------------------------------------- causality, batches, chunks

#[wasm_bindgen_test(unsupported = test)]
fn outputs_before_a_changed_input_keep_their_bits() {
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        for cell in cells() {
            let mut session = session(&config(json!({ "id": "parity", "length": 9 }), cell.id, 7, 2, &json!({})), kind);
            let mut inputs = batch(&session, Stream::Train, 0, 3);
            let before = session.gradients(&inputs).expect("a batch").outputs;
            for t in 0..9 {
                inputs.symbols[t * 3 + 1] ^= 1;
                let after = session.gradients(&inputs).expect("a batch").outputs;
                inputs.symbols[t * 3 + 1] ^= 1;
                let width = before.len() / 9;
                assert_eq!(bits(&before[..t * width]), bits(&after[..t * width]), "{}: input {t}", cell.id);
                assert_ne!(bits(&before[t * width..]), bits(&after[t * width..]), "{}: input {t} is read", cell.id);
                // Nor does any other sequence of the batch notice.
                for position in (0..9 * 3).filter(|position| position % 3 != 1) {
                    let outputs = position * width / 3..(position + 1) * width / 3;
                    assert_eq!(bits(&before[outputs.clone()]), bits(&after[outputs]));
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_batch_has_the_mean_gradient_of_its_halves() {
    for cell in cells() {
        let config = config(json!({ "id": "adding", "length": 12 }), cell.id, 6, 2, &json!({}));
        let mut session = session(&config, EngineKind::Reference);
        let whole = batch(&session, Stream::Train, 0, 4);
        let loss = session.gradients(&whole).expect("a batch").loss;
        let gradient = session.gradient_f64();
        let (mut losses, mut mean) = (0.0, vec![0.0; gradient.len()]);
        for first in [0, 2] {
            let rows = |values: &[f32], n: usize| -> Vec<f32> {
                values.chunks_exact(4 * n).flat_map(|step| step[first * n..(first + 2) * n].to_vec()).collect()
            };
            let half = Batch {
                batch: 2,
                features: rows(&whole.features, 2),
                values: rows(&whole.values, 1),
                mask: rows(&whole.mask, 1),
                starts: vec![1.0; 2],
                ..whole.clone()
            };
            losses += 0.5 * session.gradients(&half).expect("a batch").loss;
            mean.iter_mut().zip(session.gradient_f64()).for_each(|(mean, g)| *mean += 0.5 * g);
        }
        close_relative(cell.id, losses, loss, 1e-12);
        let error = relative(&mean, &gradient);
        assert!(error <= 1e-12, "{}: {error:e}", cell.id);
    }
}

/// What one pass of a model says.
struct Pass {
    outputs: Vec<f64>,
    gradient: Vec<f64>,
    /// Per layer: the last states, `[S, B, H]`.
    last: Vec<Vec<f64>>,
}

/// One pass forward and back on features `[T, B, I]`, with a squared loss at every position, from given initial states.
fn pass(model: &Model, values: &[f64], x: &[f64], target: &[f64], batch: usize, initial: &[Vec<f64>]) -> Pass {
    let n_steps = x.len() / (batch * model.inputs);
    let scored = n_steps * batch;
    let mut graph = Graph::new();
    let input = graph.slot("x", &[n_steps, batch, model.inputs]);
    let dense: Vec<usize> = model.parameters().iter().map(|parameter| parameter.offset).collect();
    let bound = model.bind(&mut graph, &dense, model.len());
    let state = [model.cell.states, batch, model.hidden];
    let state0: Vec<Tensor> = initial.iter().map(|_| graph.slot("initial state", &state)).collect();
    let rows = model.layers(&mut graph, &bound, Inputs::Features(input), [n_steps, batch], &state0).rows;
    for row in &rows {
        (0..model.cell.states).for_each(|index| graph.pin(row.state(index)));
    }
    let output = graph.slot("output", &[scored, model.outputs]);
    model.head(&mut graph, &bound, rows.last().expect("a layer").y, output);
    graph.mark(Mark::Loss);
    let wanted = graph.slot("target", &[scored, model.outputs]);
    let weight = graph.slot("weight", &[scored]);
    let losses = graph.slot("losses", &[scored]);
    let result = graph.slot("loss", &[3]);
    let d_y = graph.activation("d_y", &[scored, model.outputs]);
    graph.record(mean_squared_error::forward([output, wanted, weight], [losses, result], Some(d_y), 0.0));
    graph.differentiate();
    let mut machine = Machine::new(&graph, EngineKind::Reference);
    let flat =
        |offset: usize| Tensor { offset: offset as u32, ..Tensor::whole(PERSISTENT, Shape::new(&[model.len()])) };
    machine.engine.write_f64(flat(0), values);
    machine.write(input, x);
    machine.write(wanted, target);
    machine.write(weight, &vec![1.0; scored]);
    for (&slot, values) in state0.iter().zip(initial) {
        machine.write(slot, values);
    }
    machine.run(Mark::Forward, Mark::Backward);
    let last = |row: &unroll::nn::Recorded| {
        (0..model.cell.states).flat_map(|index| machine.read(row.state(index).outer(n_steps - 1, 1))).collect()
    };
    Pass {
        outputs: machine.read(output),
        gradient: machine.engine.read_f64(flat(model.len())),
        last: rows.iter().map(last).collect(),
    }
}

/// A model of two layers for features, with values and data for T steps and three sequences.
fn small(id: &str, n_steps: usize) -> (Model, Vec<f64>, Vec<f64>, Vec<f64>) {
    let nonlinearity = (id == "elman").then_some("tanh");
    let model = model(id, nonlinearity, [2, 5, 2, 1]);
    let values = noise(31, model.len()).into_iter().map(|v| 0.6 * v).collect();
    (model, values, noise(32, n_steps * 3 * 2), noise(33, n_steps * 3))
}

#[wasm_bindgen_test(unsupported = test)]
fn chunks_with_carried_state_equal_one_long_pass() {
    for cell in cells() {
        let (model, values, x, target) = small(cell.id, 11);
        let long = pass(&model, &values, &x, &target, 3, &[]);
        let mut outputs = Vec::new();
        let mut state: Vec<Vec<f64>> = Vec::new();
        for chunk in [0..4, 4..5, 5..11] {
            let (x, target) = (&x[chunk.start * 6..chunk.end * 6], &target[chunk.start * 3..chunk.end * 3]);
            let part = pass(&model, &values, x, target, 3, &state);
            outputs.extend(part.outputs);
            state = part.last;
        }
        assert!(relative(&outputs, &long.outputs) <= 1e-12, "{}", cell.id);
        for (carried, long) in state.iter().zip(&long.last) {
            assert!(relative(carried, long) <= 1e-12, "{}: last states", cell.id);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_window_gives_the_gradient_of_detached_chunks() {
    for cell in cells() {
        let (full, values, x, target) = small(cell.id, 11);
        let windowed = Model { window: Some(4), ..full.clone() };
        let got = pass(&windowed, &values, &x, &target, 3, &[]);
        // The window is counted from the end: 3, 4 and 4 steps. A chunk's loss is the mean over its own positions.
        let mut expected = vec![0.0; full.len()];
        let mut state: Vec<Vec<f64>> = Vec::new();
        for chunk in [0..3, 3..7, 7..11] {
            let share = chunk.len() as f64 / 11.0;
            let (x, target) = (&x[chunk.start * 6..chunk.end * 6], &target[chunk.start * 3..chunk.end * 3]);
            let part = pass(&full, &values, x, target, 3, &state);
            expected.iter_mut().zip(part.gradient).for_each(|(sum, g)| *sum += share * g);
            state = part.last;
        }
        let error = relative(&got.gradient, &expected);
        assert!(error <= 1e-12, "{}: {error:e}", cell.id);
        let untruncated = pass(&full, &values, &x, &target, 3, &[]);
        assert!(relative(&untruncated.gradient, &expected) > 1e-3, "{}: truncation changes the gradient", cell.id);
        assert_eq!(untruncated.outputs, got.outputs, "{}: and nothing else", cell.id);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn no_gradient_reaches_a_state_before_the_window() {
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        for cell in cells() {
            let changes = json!({ "window": 6 });
            let mut session = session(&config(json!({ "id": "adding", "length": 20 }), cell.id, 5, 2, &changes), kind);
            for row in 0..2 {
                for state in 0..cell.states {
                    let norms = state_norms(&mut session, LossAt::Last, row, state);
                    for (t, sequence) in norms.iter().enumerate() {
                        let reached = t >= 14;
                        assert!(sequence.iter().all(|&d| (d > 0.0) == reached), "{}, layer {row}, step {t}", cell.id);
                    }
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_window_of_the_whole_sequence_changes_no_bit() {
    for cell in cells() {
        let trained = |window: Json| {
            let changes = json!({ "window": window });
            let config = config(json!({ "id": "adding", "length": 12 }), cell.id, 9, 2, &changes);
            let mut session = session(&config, EngineKind::Cpu);
            losses(&mut session, 5);
            bits(&session.values())
        };
        let full = trained(Json::Null);
        assert_eq!(full, trained(json!(12)), "{}", cell.id);
        assert_eq!(full, trained(json!(100)), "{}", cell.id);
        assert_ne!(full, trained(json!(11)), "{}: a shorter one does", cell.id);
    }
}

/// A streaming session that never changes its parameters.
fn still(id: &str, length: usize, carry: bool) -> Session {
    let mut config = config(json!({ "id": "mackey-glass", "length": length }), id, 4, 2, &json!({ "carry": carry }));
    config["optimiser"] = json!({ "id": "sgd", "lr": 0 });
    config["batch"] = json!(3);
    session(&config, EngineKind::Reference)
}

#[wasm_bindgen_test(unsupported = test)]
fn streaming_batches_equal_one_long_sequence() {
    for cell in cells() {
        let mut session = still(cell.id, 20, true);
        let batches: Vec<Batch> = (0..6).map(|step| batch(&session, Stream::Train, step, 3)).collect();
        assert!(batches[1..].iter().all(|batch| batch.starts.iter().all(|&start| start == 0.0)), "sequences flow on");
        let losses: Vec<f64> = (0..6).map(|_| session.train_step().expect("finite").loss).collect();
        let joined = |field: fn(&Batch) -> &Vec<f32>| batches.iter().flat_map(|b| field(b).clone()).collect::<Vec<_>>();
        let long = Batch {
            n_steps: 120,
            features: joined(|b| &b.features),
            values: joined(|b| &b.values),
            mask: joined(|b| &b.mask),
            ..batches[0].clone()
        };
        let expected = session.gradients(&long).expect("a batch").loss;
        close_relative(cell.id, losses.iter().sum::<f64>() / 6.0, expected, 1e-12);
        // Without carrying, every batch starts at zero, and the loss is another.
        let mut apart = still(cell.id, 20, false);
        let apart: f64 = (0..6).map(|_| apart.train_step().expect("finite").loss).sum::<f64>() / 6.0;
        assert!((apart - expected).abs() > 1e-6 * expected, "{}: carrying matters", cell.id);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_row_that_starts_anew_forgets_its_state() {
    for cell in cells() {
        // Two windows of this length make a lap, so that rows start anew every other batch.
        let mut session = still(cell.id, 4096, true);
        let (model, values) = (session.model().clone(), session.values_f64());
        let plain = Plain { model: &model, values: &values };
        let mut states = vec![vec![plain.zeros(); 2]; 3];
        let mut restarts = 0;
        for step in 0..4 {
            let batch = batch(&session, Stream::Train, step, 3);
            let mut loss = 0.0;
            for (b, states) in states.iter_mut().enumerate() {
                if batch.starts[b] == 1.0 {
                    restarts += usize::from(step > 0);
                    states.iter_mut().for_each(|state| *state = plain.zeros());
                }
                let steps = plain.run(&plain.inputs(&batch, b), states, None);
                loss += plain.loss(&session, &batch, b, &[1.0; 4096], &plain.outputs(&steps));
            }
            let got = session.train_step().expect("finite").loss;
            close_relative(&format!("{}: batch {step}", cell.id), got, loss / (3.0 * 4096.0), 1e-12);
        }
        assert!((1..9).contains(&restarts), "{}: {restarts} rows start anew, others go on", cell.id);
    }
}

// ---------------------------------------------------------------- both directions

/// A network in one direction with the parameters of one row of a bidirectional one.
fn one_way(model: &Model, values: &[f64], suffix: &str) -> (Model, Vec<f64>) {
    let one = Model { bidirectional: false, ..model.clone() };
    let mut of_it = vec![0.0; one.len()];
    for parameter in one.parameters().iter().filter(|parameter| parameter.name.starts_with("rnn.")) {
        let name = parameter.name.replace("_l0", suffix);
        let source = model.parameters().into_iter().find(|source| source.name == name).expect("the same parameter");
        of_it[parameter.offset..][..parameter.len()].copy_from_slice(&values[source.offset..][..source.len()]);
    }
    (one, of_it)
}

#[wasm_bindgen_test(unsupported = test)]
fn a_question_at_the_end_reads_the_final_states_of_both_directions() {
    for cell in cells() {
        let config = config(json!({ "id": "adding", "length": 12 }), cell.id, 5, 1, &json!({ "bidirectional": true }));
        let mut session = session(&config, EngineKind::Reference);
        let batch = batch(&session, Stream::HeldOut, 0, 3);
        let (model, values) = (session.model().clone(), session.values_f64());
        let [forwards, backwards] = ["_l0", "_l0_reverse"].map(|suffix| one_way(&model, &values, suffix));
        let head = Plain { model: &model, values: &values };
        let mut loss = 0.0;
        for b in 0..3 {
            let mut x = head.inputs(&batch, b);
            let mut last = |(model, values): &(Model, Vec<f64>)| {
                let plain = Plain { model, values };
                let h = plain.run(&x, &mut [plain.zeros()], None)[0].last().expect("a step").after.h.clone();
                x.reverse();
                h
            };
            let read = DVector::from_iterator(10, [last(&forwards), last(&backwards)].iter().flatten().copied());
            let output = head.matrix("head.weight") * read + head.matrix("head.bias");
            let error = output[(0, 0)] - f64::from(batch.values[11 * 3 + b]);
            loss += error * error / 3.0;
        }
        close_relative(cell.id, session.gradients(&batch).expect("a batch").loss, loss, 1e-12);
        // The probe, which scores every timestep, says the same at the last.
        session.run_probe(LossAt::Task).expect("a loss");
        let probe = session.probe_batch().clone();
        let program = session.probe_program();
        let of_probe = session.engine().scalar(program.result, 0);
        close_relative(cell.id, session.gradients(&probe).expect("a batch").loss, of_probe, 1e-12);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_task_that_asks_for_what_comes_next_is_read_in_one_direction() {
    for (task, refused) in [("sine", true), ("reber", true), ("mackey-glass", true), ("copy", false), ("parity", false)]
    {
        let value = json!({ "task": { "id": task }, "model": { "id": "gru", "bidirectional": true } });
        let config = unroll::train::Config::read(crate::support::value(&value)).expect("a configuration");
        assert_eq!(config.build().is_err(), refused, "{task}");
    }
}

// ---------------------------------------------------------------- the ribbon

/// The totals of one layer and state, `[T][B][H]`.
fn totals(session: &mut Session, at: LossAt, row: usize, state: usize) -> Vec<Vec<Vec<f64>>> {
    session.run_probe(at).expect("losses count somewhere");
    let totals = session.probe_program().rows[row].total(state);
    let [batch, hidden] = [1, 2].map(|axis| totals.shape.extent(axis));
    let of_state = session.engine().read_f64(totals);
    of_state.chunks_exact(batch * hidden).map(|step| step.chunks_exact(hidden).map(<[f64]>::to_vec).collect()).collect()
}

/// ‖∂L/∂s_t‖ per timestep and sequence.
fn state_norms(session: &mut Session, at: LossAt, row: usize, state: usize) -> Vec<Vec<f64>> {
    let totals = totals(session, at, row, state);
    totals.iter().map(|step| step.iter().map(|d| norm(d)).collect()).collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn a_linear_network_loses_its_gradient_by_the_power_of_rho() {
    for rho in [0.5, 0.9, 1.0, 1.1] {
        for (kind, tolerance) in [(EngineKind::Reference, 1e-11), (EngineKind::Cpu, 2e-5)] {
            let changes = json!({ "nonlinearity": "identity", "init": { "id": "orthogonal", "gain": rho } });
            let mut session = session(&config(json!({ "id": "adding", "length": 50 }), "elman", 16, 1, &changes), kind);
            let norms = state_norms(&mut session, LossAt::Last, 0, 0);
            for b in 0..norms[0].len() {
                let mut expected = norms[49][b];
                assert!(expected > 0.0);
                for t in (0..49).rev() {
                    expected *= rho;
                    close_relative(&format!("ρ {rho}, step {t}"), norms[t][b], expected, tolerance);
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn an_open_forget_gate_and_a_shut_input_gate_hand_the_gradient_on_unchanged() {
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        let hidden = 6;
        let mut session =
            session(&config(json!({ "id": "adding", "length": 40 }), "lstm", hidden, 1, &json!({})), kind);
        let mut values = session.values_f64();
        for parameter in session.parameters() {
            let of_it = &mut values[parameter.offset..][..parameter.len()];
            match parameter.name.as_str() {
                // Gates i, f, g, o: σ(−1000) is 0 and σ(1000) is 1, exactly.
                "rnn.bias_ih_l0" => {
                    of_it[..hidden].fill(-1000.0);
                    of_it[hidden..2 * hidden].fill(1000.0);
                }
                // The output gate must not look at h, which would be a second way back.
                "rnn.weight_hh_l0" => of_it[3 * hidden * hidden..].fill(0.0),
                _ => {}
            }
        }
        session.set_values_f64(&values);
        let d_c = totals(&mut session, LossAt::Last, 0, 1);
        for (t, step) in d_c.iter().enumerate() {
            assert_eq!(step, &d_c[39], "step {t}");
        }
        assert!(d_c[39].iter().flatten().any(|&d| d != 0.0));
        // h_t is read at the last step alone.
        let d_h = state_norms(&mut session, LossAt::Last, 0, 0);
        assert!(d_h[..39].iter().flatten().all(|&d| d == 0.0) && d_h[39].iter().all(|&d| d > 0.0));
    }
}

/// Compares the totals of every layer and state with finite differences: a state is changed by hand and the rest runs on.
fn check_ribbon(config: &Json, at: LossAt) {
    const SEQUENCES: usize = 3;
    let mut session = session(config, EngineKind::Reference);
    let (model, values, probe) = (session.model().clone(), session.values_f64(), session.probe_batch().clone());
    let plain = Plain { model: &model, values: &values };
    let counts = |position: usize| {
        let t = position / probe.batch;
        let wanted = match at {
            LossAt::Task | LossAt::All => true,
            LossAt::Last => t == probe.n_steps - 1,
            LossAt::Step(step) => t == step,
        };
        // The masks of these tasks are 0 or 1.
        if wanted { f64::from(probe.mask[position]) } else { 0.0 }
    };
    let weights: Vec<f64> = (0..probe.n_steps * probe.batch).map(counts).collect();
    let total: f64 = weights.iter().sum();
    let loss = |session: &Session, b: usize, edit: Option<Edit>| {
        let mut states = vec![plain.zeros(); model.layers];
        let steps = plain.run(&plain.inputs(&probe, b), &mut states, edit);
        let own: Vec<f64> = (0..probe.n_steps).map(|t| weights[t * probe.batch + b]).collect();
        plain.loss(session, &probe, b, &own, &plain.outputs(&steps)) / total
    };
    let mut compared = 0;
    for layer in 0..model.layers {
        for state in 0..model.cell.states {
            let totals = totals(&mut session, at, layer, state);
            for (t, step) in totals.iter().enumerate() {
                for (b, got) in step.iter().enumerate().take(SEQUENCES) {
                    let difference: Vec<f64> = (0..model.hidden)
                        .map(|unit| {
                            // Five points: the error is of the order h⁴ = 10⁻¹², and rounding is 10⁻¹⁶/h.
                            let h = 1e-3;
                            let at = |by: f64| loss(&session, b, Some(Edit { layer, t, state, unit, by }));
                            (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
                        })
                        .collect();
                    if norm(&difference) > 1e-7 {
                        let error = relative(got, &difference);
                        assert!(error <= 1e-4, "{config}, {at:?}: layer {layer}, state {state}, step {t}: {error:e}");
                        compared += 1;
                    } else {
                        assert!(norm(got) <= 2e-7, "{config}: layer {layer}, state {state}, step {t}: {:e}", norm(got));
                    }
                }
            }
        }
    }
    assert!(compared > SEQUENCES * model.layers * 3, "{config}: {compared} vectors above the threshold");
}

#[wasm_bindgen_test(unsupported = test)]
fn the_ribbon_equals_finite_differences_of_states_changed_by_hand() {
    for cell in cells() {
        let spectral = match cell.recurrent.is_empty() {
            true => json!({ "init": { "id": "chrono" } }),
            false => json!({ "init": { "id": "spectral", "rho": 1.1 } }),
        };
        check_ribbon(&config(json!({ "id": "adding", "length": 20 }), cell.id, 4, 1, &spectral), LossAt::Task);
        check_ribbon(&config(json!({ "id": "adding", "length": 12 }), cell.id, 3, 2, &json!({})), LossAt::Last);
        check_ribbon(&config(json!({ "id": "first-symbol", "length": 9 }), cell.id, 4, 1, &spectral), LossAt::Task);
        check_ribbon(&config(json!({ "id": "parity", "length": 10 }), cell.id, 3, 2, &spectral), LossAt::All);
        check_ribbon(&config(json!({ "id": "parity", "length": 10 }), cell.id, 3, 2, &spectral), LossAt::Step(6));
    }
}

/// ∂(state after) / ∂(state before) of one step, `[S·H, S·H]`, states h and c one after the other.
pub fn jacobian(plain: &Plain, step: &Step) -> DMatrix<f64> {
    let n = plain.model.hidden;
    let w = plain.matrix_or_zeros("rnn.weight_hh_l0", plain.model.cell.blocks.len() * n);
    let block = |index: usize| plain.block(&w, index);
    let diagonal = |v: DVector<f64>| DMatrix::from_diagonal(&v);
    let product = |factors: &[&DVector<f64>]| {
        factors.iter().fold(DVector::from_element(n, 1.0), |all, factor| all.component_mul(factor))
    };
    let slope = |gate: &DVector<f64>| gate.map(|s| s * (1.0 - s));
    let slope_tanh = |value: &DVector<f64>| value.map(|v| 1.0 - v * v);
    match plain.model.cell.id {
        "elman" => diagonal(slope_tanh(&step.after.h)) * w,
        "lstm" => {
            let [i, f, g, o] = &step.gates;
            let tanh_c = step.after.c.map(libm::tanh);
            let c_by_h = diagonal(product(&[&step.before.c, &slope(f)])) * block(1)
                + diagonal(product(&[g, &slope(i)])) * block(0)
                + diagonal(product(&[i, &slope_tanh(g)])) * block(2);
            let c_by_c = diagonal(f.clone());
            let through = diagonal(product(&[o, &slope_tanh(&tanh_c)]));
            let mut all = DMatrix::zeros(2 * n, 2 * n);
            let h_by_h = diagonal(product(&[&tanh_c, &slope(o)])) * block(3) + &through * &c_by_h;
            all.view_mut((0, 0), (n, n)).copy_from(&h_by_h);
            all.view_mut((0, n), (n, n)).copy_from(&(through * &c_by_c));
            all.view_mut((n, 0), (n, n)).copy_from(&c_by_h);
            all.view_mut((n, n), (n, n)).copy_from(&c_by_c);
            all
        }
        "gru" => {
            let [r, z, candidate, q] = &step.gates;
            let inner = diagonal(product(&[q, &slope(r)])) * block(0) + diagonal(r.clone()) * block(2);
            let outside = product(&[&z.map(|z| 1.0 - z), &slope_tanh(candidate)]);
            let gap = &step.before.h - candidate;
            diagonal(z.clone()) + diagonal(product(&[&gap, &slope(z)])) * block(1) + diagonal(outside) * inner
        }
        // No weight stands between two states: the step is diagonal.
        _ if plain.model.cell.recurrent.is_empty() => diagonal(step.gates[1].clone()),
        other => panic!("write the Jacobian of {other} here"),
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_ribbon_equals_a_product_of_a_hundred_jacobians() {
    for cell in cells() {
        let spectral = |rho: f64| json!({ "id": "spectral", "rho": rho });
        let inits = [json!({ "id": "pytorch" }), json!({ "id": "orthogonal" }), spectral(1.0), spectral(0.2)];
        let suits = |init: &Json| INITS.iter().any(|spec| init["id"] == spec.id && (spec.suits)(cell));
        for init in inits.into_iter().filter(suits) {
            let config = config(json!({ "id": "adding", "length": 100 }), cell.id, 12, 1, &json!({ "init": init }));
            let mut fast = session(&config, EngineKind::Cpu);
            let mut plain_session = session(&config, EngineKind::Reference);
            // The parameters of f32, so that both engines run one network.
            let values = fast.values_f64();
            plain_session.set_values_f64(&values);
            let (model, probe) = (fast.model().clone(), fast.probe_batch().clone());
            let (n, n_states, last) = (model.hidden, cell.states, probe.n_steps - 1);
            let plain = Plain { model: &model, values: &values };
            let exact: Vec<_> = (0..n_states).map(|state| totals(&mut plain_session, LossAt::Last, 0, state)).collect();
            let rounded: Vec<_> = (0..n_states).map(|state| totals(&mut fast, LossAt::Last, 0, state)).collect();
            let (mut compared, mut vanished) = (0, 0);
            for b in 0..3 {
                let mut states = vec![plain.zeros()];
                let steps = plain.run(&plain.inputs(&probe, b), &mut states, None).remove(0);
                // L = mean over B of (w·h_T + b − target)²; c_T is read by h_T alone.
                let output = plain.matrix("head.weight") * &steps[last].after.h + plain.matrix("head.bias");
                let error = output[(0, 0)] - f64::from(probe.values[last * probe.batch + b]);
                let d_h = plain.matrix("head.weight").transpose() * (2.0 * error / probe.batch as f64);
                let mut d_last = DVector::zeros(n_states * n);
                d_last.rows_mut(0, n).copy_from(&d_h);
                let mut back = DMatrix::identity(n_states * n, n_states * n);
                for t in (0..=last).rev() {
                    let d = back.transpose() * &d_last;
                    let mut expected = vec![d.rows(0, n).into_owned()];
                    if n_states == 2 {
                        // ∂L/∂c_t with the path through h_t.
                        let o = &steps[t].gates[3];
                        let through = o.component_mul(&steps[t].after.c.map(|c| 1.0 - libm::tanh(c) * libm::tanh(c)));
                        expected.push(d.rows(n, n) + through.component_mul(&expected[0]));
                    }
                    for (state, expected) in expected.iter().enumerate() {
                        let what = format!("{config}: state {state}, step {t}");
                        let error = relative(&exact[state][t][b], expected.as_slice());
                        assert!(error <= 1e-9, "{what}: off by {error:e} in f64");
                        // In f32, elements below 2⁻¹²⁶ are 0; a vector is compared while all of it is far from there.
                        let smallest = expected.iter().fold(f64::MAX, |least, d| least.min(d.abs()));
                        if smallest > 1e4 * f64::from(f32::MIN_POSITIVE) {
                            let error = relative(&rounded[state][t][b], expected.as_slice());
                            assert!(error <= 1e-3, "{what}: off by {error:e} in f32");
                            compared += 1;
                        } else if expected.amax() < 1e-4 * f64::from(f32::MIN_POSITIVE) {
                            assert!(rounded[state][t][b].iter().all(|&d| d == 0.0), "{what}: flushed to 0");
                            vanished += 1;
                        }
                    }
                    if t > 0 {
                        back *= jacobian(&plain, &steps[t]);
                    }
                }
            }
            assert!(compared > 100, "{config}: {compared} vectors compared in f32");
            // 0.2¹⁰⁰ is far below the floor of f32.
            assert!(
                vanished > 0 || cell.id != "elman" || config["model"]["init"]["rho"] != 0.2,
                "{config}: some vanish"
            );
        }
    }
}

// ---------------------------------------------------------------- repetition

/// FNV-1a over the bits of all parameters, smallest byte first.
fn fingerprint(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|v| v.to_bits().to_le_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The parameters after a hundred steps, a line each: architecture, initialisation, fingerprint. Made on x86-64 Linux and equal in
/// Chromium: a difference means that a number depends on the machine. QR and eigenvalues come in through the
/// initialisations, and the task and the optimiser change from line to line, so that each of them occurs.
static FINGERPRINTS: &str = include_str!("../golden/fingerprints.txt");

#[wasm_bindgen_test(unsupported = test)]
fn a_hundred_steps_give_the_same_bits_on_every_target() {
    let mut got = String::new();
    let lines = cells().flat_map(|cell| INITS.iter().filter(|init| (init.suits)(cell)).map(|init| (cell.id, init.id)));
    for (line, (cell, init)) in lines.enumerate() {
        let task = &TASKS[line % TASKS.len()];
        let mut config =
            config(json!({ "id": task.id, "length": 30 }), cell, 13, 2, &json!({ "init": { "id": init } }));
        config["optimiser"] = json!({ "id": OPTIMISERS[line % OPTIMISERS.len()].id, "lr": 1e-3 });
        if (cell, init) == ("elman", "identity") {
            config["model"]["nonlinearity"] = json!("relu");
        }
        config["clip"] = json!({ "kind": if line % 3 == 0 { "value" } else { "norm" }, "at": 0.5 });
        let mut session = session(&config, EngineKind::Cpu);
        for _ in 0..100 {
            session.train_step().expect("finite");
        }
        got += &format!("{cell} {init} {:#018x}\n", fingerprint(&session.values()));
    }
    assert_eq!(got, FINGERPRINTS, "tests/golden/fingerprints.txt would be\n{got}");
}

/// Every architecture on a task that carries its state, and on one that does not.
fn repeated() -> impl Iterator<Item = Json> {
    cells().flat_map(|cell| {
        [
            config(json!({ "id": "mackey-glass", "length": 15 }), cell.id, 9, 2, &json!({ "carry": true })),
            config(json!({ "id": "first-symbol", "length": 15 }), cell.id, 9, 1, &json!({})),
        ]
    })
}

/// Losses of some steps, as bits.
fn losses(session: &mut Session, steps: usize) -> Vec<u64> {
    (0..steps).map(|_| session.train_step().expect("finite").loss.to_bits()).collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn a_seed_gives_the_same_numbers_again_and_another_seed_gives_others() {
    for mut config in repeated() {
        for kind in [EngineKind::Reference, EngineKind::Cpu] {
            let run = |config: &Json| {
                let mut session = session(config, kind);
                (losses(&mut session, 12), bits(&session.values()))
            };
            let first = run(&config);
            assert_eq!(first, run(&config), "{config}");
            let seed = config["seed"].take();
            config["seed"] = json!(10);
            assert_ne!(first.0, run(&config).0, "{config}");
            config["seed"] = seed;
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_restored_session_goes_on_bit_for_bit() {
    for config in repeated() {
        let mut first = session(&config, EngineKind::Cpu);
        losses(&mut first, 7);
        let snapshot = first.snapshot();
        let expected = (losses(&mut first, 9), bits(&first.values()), first.step());
        first.restore(&snapshot).expect("its own snapshot");
        assert_eq!(first.step(), 7);
        assert_eq!(first.snapshot(), snapshot);
        assert_eq!((losses(&mut first, 9), bits(&first.values()), first.step()), expected, "{config}: rewound");
        let mut second = session(&config, EngineKind::Cpu);
        losses(&mut second, 3);
        second.restore(&snapshot).expect("a snapshot of this configuration");
        assert_eq!((losses(&mut second, 9), bits(&second.values()), second.step()), expected, "{config}: forked");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn looking_does_not_disturb_training() {
    for config in repeated() {
        let mut undisturbed = session(&config, EngineKind::Cpu);
        let expected = losses(&mut undisturbed, 10);
        let mut watched = session(&config, EngineKind::Cpu);
        let mut got = Vec::new();
        for step in 0..10 {
            let looked_at = batch(&watched, Stream::HeldOut, step, 3);
            watched.gradients(&looked_at).expect("a batch");
            watched.evaluate();
            watched.run_probe(LossAt::Last).expect("the last step counts");
            got.extend(losses(&mut watched, 1));
        }
        assert_eq!(got, expected, "{config}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_fast_engine_follows_the_plain_one() {
    for config in repeated() {
        let mut fast = session(&config, EngineKind::Cpu);
        let mut plain = session(&config, EngineKind::Reference);
        for step in 0..20 {
            let (fast, plain) = (fast.train_step().expect("finite"), plain.train_step().expect("finite"));
            close_relative(&format!("{config}: loss {step}"), fast.loss, plain.loss, 1e-3);
            close(&format!("{config}: norm {step}"), fast.norm, plain.norm, 1e-3, plain.norm);
        }
        assert!(matches!((fast.engine(), plain.engine()), (Engine::Cpu(_), Engine::Reference(_))));
    }
}
