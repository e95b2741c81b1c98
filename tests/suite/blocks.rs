//! What blocks are made of, against PyTorch: the values of `tests/golden/cores.json` that belong to no recurrent layer.

use crate::golden::{cores, wave};
use crate::support::{Machine, close, close_relative, noise, norm, number, numbers, persistent, relative, session};
use serde_json::json;
use unroll::engine::Engine;
use unroll::graph::{Graph, Mark};
use unroll::kernels::activation::{self, Phi};
use unroll::kernels::recurrence::{Layer, Params};
use unroll::kernels::residual::{Scribe, Sizes};
use unroll::kernels::{Call, attention, copy, layer_norm, mean_squared_error, product, selective_scan, wkv};
use unroll::nn::{ARCHITECTURES, Inputs, bahdanau, bahdanau_memory, luong, mamba};
use unroll::options::{Chosen, Value};
use unroll::shape::{Shape, Tensor};
use unroll::train::{Blueprint, EngineKind, Layout, LossAt, Purpose, TargetSlot, find_optimiser};
use wasm_bindgen_test::wasm_bindgen_test;

/// A named parameter and its shape, in the order in which the file counts them.
type Named = (&'static str, &'static [usize]);

#[test]
#[wasm_bindgen_test(unsupported = test)]
fn luong_attention_is_pytorchs() {
    let parameters: &[Named] = &[("Wa", &[4, 3]), ("Wc", &[4, 7])];
    check("luong_general", &[6, 2, 3], parameters, |graph, keys, of| {
        // Both inputs are the beginning of the same wave.
        let query = Tensor { shape: Shape::new(&[1, 2, 4]), stride: 4, ..keys };
        let y = graph.activation("y", &[1, 2, 4]);
        let weights = luong(graph, [of[0], of[1]], keys, query, y);
        graph.pin(weights);
        y
    });
}

#[test]
#[wasm_bindgen_test(unsupported = test)]
fn bahdanau_attention_is_pytorchs() {
    let parameters: &[Named] = &[("Wa", &[5, 4]), ("Ua", &[5, 3]), ("va", &[5])];
    check("bahdanau", &[6, 2, 3], parameters, |graph, keys, of| {
        // Both inputs are the beginning of the same wave.
        let query = Tensor { shape: Shape::new(&[1, 2, 4]), stride: 4, ..keys };
        let memory = bahdanau_memory(graph, of[1], keys);
        let weights = graph.slot("alignment", &[1, 2, 6]);
        bahdanau(graph, [of[0], of[2]], query, memory, weights)
    });
}

/// Compares one entry of the file on both engines: x of a shape, parameters filled by formula, and the output that `record` makes of them.
fn check(entry: &str, x: &[usize], parameters: &[Named], record: fn(&mut Graph, Tensor, &[Tensor]) -> Tensor) {
    let golden = &cores()[entry];
    for (kind, [exact, output]) in [(EngineKind::Reference, [1e-9, 1e-9]), (EngineKind::Cpu, [1e-4, 1e-5])] {
        let mut graph = Graph::new();
        let x = graph.slot("x", x);
        let of: Vec<_> = parameters.iter().map(|(name, shape)| graph.slot(name, shape)).collect();
        of.iter().for_each(|&parameter| graph.want(parameter));
        let y = record(&mut graph, x, &of);
        graph.pin(y);
        graph.mark(Mark::Loss);
        let (shape, rows) = (y.shape.extents(), y.shape.rows());
        let target = graph.slot("target", &shape);
        let weight = graph.slot("weight", &[rows]);
        let losses = graph.slot("losses", &[rows]);
        let result = graph.slot("loss", &[3]);
        let d_y = graph.activation("d_y", &shape);
        graph.record(mean_squared_error::forward([y, target, weight], [losses, result], Some(d_y), 0.0));
        let gradients = graph.differentiate();

        // ½·mean((y + w)²) = mean(y·w) + ½·mean(y²) + ½·mean(w²): the loss of the file, a constant added.
        let w: Vec<f64> = (0..y.shape.len()).map(|n| libm::cos(0.11 * n as f64)).collect();
        let mut machine = Machine::new(&graph, kind);
        machine.write(x, &wave(x.shape.len()));
        for (k, parameter) in of.iter().enumerate() {
            let fill = |n: usize| 0.5 * libm::sin(0.7 * (n + 1) as f64 + 1.3 * k as f64);
            machine.write(*parameter, &(0..parameter.shape.len()).map(fill).collect::<Vec<_>>());
        }
        machine.write(target, &w.iter().map(|w| -w).collect::<Vec<_>>());
        machine.write(weight, &vec![1.0; rows]);
        machine.run(Mark::Forward, Mark::Backward);

        let outputs = machine.read(y);
        let terms = outputs.iter().zip(&w).map(|(y, w)| y * w + 0.5 * y * y);
        let loss = terms.sum::<f64>() / w.len() as f64;
        close_relative(&format!("{entry}: loss"), loss, number(&golden["loss"]), exact);
        let size = norm(&outputs);
        close(&format!("{entry}: Σy"), outputs.iter().sum(), number(&golden["y_sum"]), output, size);
        for (got, expected) in outputs[outputs.len() - 3..].iter().zip(numbers(&golden["y_last"])) {
            close(&format!("{entry}: last outputs"), *got, expected, output, size);
        }
        assert_eq!(golden["grad_l2"].as_object().expect("an object").len(), parameters.len(), "{entry}");
        for ((name, _), gradient) in parameters.iter().zip(gradients) {
            let gradient = machine.read(gradient.expect("the loss depends on it"));
            let gradient: Vec<f64> = gradient.iter().map(|g| 0.5 * g).collect();
            let size = number(&golden["grad_l2"][name]);
            close_relative(&format!("{entry}: ‖∂L/∂{name}‖"), norm(&gradient), size, exact);
            let sum = number(&golden["grad_sum"][name]);
            close(&format!("{entry}: Σ∂L/∂{name}"), gradient.iter().sum(), sum, exact, size);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn layer_norm_equals_torch() {
    check("layernorm", &[3, 2, 4], &[("weight", &[4]), ("bias", &[4])], |graph, x, of| {
        let y = graph.activation("y", &[3, 2, 4]);
        graph.record(layer_norm::forward(x, of[0], Some(of[1]), y, true));
        y
    });
}

#[wasm_bindgen_test(unsupported = test)]
fn causal_attention_equals_torch() {
    let shapes: &[Named] =
        &[("c_attn.weight", &[12, 4]), ("c_attn.bias", &[12]), ("c_proj.weight", &[4, 4]), ("c_proj.bias", &[4])];
    check("causal_mha", &[7, 2, 4], shapes, |graph, x, of| {
        let packed = graph.activation("q, k, v", &[7, 2, 12]);
        let linear = |x: Tensor, weight, bias, y: Tensor| {
            product::linear(product::plain(x.flat()), product::transposed(weight), bias, y.flat())
        };
        graph.record(linear(x, of[0], of[1], packed));
        let weights = graph.activation("weights", &[7, 2, 14]);
        let [mixed, y] = ["mixed", "y"].map(|name| graph.activation(name, &[7, 2, 4]));
        let heads = attention::Heads { count: 2, variance: 2, causal: true };
        graph.record(attention::forward(heads, packed, None, weights, mixed));
        graph.record(linear(mixed, of[2], of[3], y));
        y
    });
}

#[wasm_bindgen_test(unsupported = test)]
fn activations_equal_torch_and_stay_finite_far_away() {
    let golden = &cores()["act"];
    let value = |phi: Phi, x: f64, kind: EngineKind| {
        let mut graph = Graph::new();
        let (input, y) = (graph.slot("x", &[1]), graph.slot("y", &[1]));
        graph.record(activation::forward(phi, input, None, y));
        let mut machine = Machine::new(&graph, kind);
        machine.write(input, &[x]);
        machine.run(Mark::Forward, Mark::Forward);
        machine.read(y)[0]
    };
    for (kind, tolerance) in [(EngineKind::Reference, 1e-14), (EngineKind::Cpu, 1e-6)] {
        close_relative("gelu(½)", value(Phi::Gelu, 0.5, kind), number(&golden["gelu_erf(0.5)"]), tolerance);
        close_relative("silu(½)", value(Phi::Silu, 0.5, kind), number(&golden["silu(0.5)"]), tolerance);
        for (phi, low, high) in [
            (Phi::Identity, -100.0, 100.0),
            (Phi::Sigmoid, 0.0, 1.0),
            (Phi::Silu, 0.0, 100.0),
            (Phi::Gelu, 0.0, 100.0),
            (Phi::SquaredRelu, 0.0, 10_000.0),
        ] {
            close(&format!("{phi:?} at −100"), value(phi, -100.0, kind), low, 1e-5, 1.0);
            close(&format!("{phi:?} at 100"), value(phi, 100.0, kind), high, 1e-6, high);
        }
        assert!(activation::PHIS.into_iter().all(|phi| value(phi, f64::NAN, kind).is_nan()), "{kind:?}");
    }
}

/// What a block records on, with the parameters of an entry.
struct Desk<'a> {
    graph: &'a mut Graph,
    parameters: [(&'static str, Tensor); 9],
}

impl Scribe for Desk<'_> {
    fn activation(&mut self, name: &str, shape: &[usize]) -> Tensor {
        self.graph.activation(name, shape)
    }

    fn record(&mut self, call: Call) {
        self.graph.record(call);
    }

    fn parameter(&self, name: &str) -> Tensor {
        self.parameters.iter().find(|(of, _)| *of == name).expect("a parameter").1
    }

    fn hand_on(&mut self, _: Tensor, _: Tensor) {
        unreachable!("no stream");
    }
}

/// The parameters in the order of the file.
const MIXER: [&str; 9] = [
    "mixer.in_proj.weight",
    "mixer.conv1d.weight",
    "mixer.conv1d.bias",
    "mixer.x_proj.weight",
    "mixer.dt_proj.weight",
    "mixer.dt_proj.bias",
    "mixer.A_log",
    "mixer.D",
    "mixer.out_proj.weight",
];

/// The block of four features and three states a channel, without its norm and the stream.
fn record_mamba(graph: &mut Graph, x: Tensor, of: &[Tensor], discretisation: &str) -> Tensor {
    let changes = [
        ("stateSize".to_owned(), Value::Number(3.0)),
        ("discretisation".to_owned(), Value::Text(discretisation.to_owned())),
    ];
    let options = Chosen::defaults(mamba::CELL.options).with("model", mamba::CELL.options, &changes).expect("options");
    let sizes = Sizes { n_steps: 7, batch: 2, width: 4, layers: 1, layer: 0, length: 7, read: None, options: &options };
    let y = graph.activation("y", &[7, 2, 4]);
    let parameters = std::array::from_fn(|at| (MIXER[at], of[at]));
    mamba::mix(&mut Desk { graph, parameters }, &sizes, x, y);
    y
}

#[wasm_bindgen_test(unsupported = test)]
fn mamba_equals_torch() {
    let shapes: &[Named] = &[
        ("in_proj", &[16, 4]),
        ("conv_w", &[8, 1, 4]),
        ("conv_b", &[8]),
        ("x_proj", &[7, 8]),
        ("dt_w", &[8, 1]),
        ("dt_b", &[8]),
        ("A_log", &[8, 3]),
        ("D", &[8]),
        ("out_proj", &[4, 8]),
    ];
    check("mamba1_euler", &[7, 2, 4], shapes, |graph, x, of| record_mamba(graph, x, of, "euler"));
    check("mamba1_exactZOH", &[7, 2, 4], shapes, |graph, x, of| record_mamba(graph, x, of, "exact"));
}

const RETENTION: &[Named] = &[("q", &[7, 2, 4]), ("k", &[7, 2, 4]), ("v", &[7, 2, 4])];

/// Two heads of two columns with γ = 1 − 2⁻⁵ and 1 − 2⁻⁶, products not divided.
fn retain(graph: &mut Graph, q: Tensor, k: Tensor, v: Tensor) -> Tensor {
    let [n_steps, batch, columns] = [0, 1, 2].map(|axis| q.shape.extent(axis));
    let packed = graph.activation("q, k, v", &[n_steps, batch, 3 * columns]);
    for (at, part) in [q, k, v].into_iter().enumerate() {
        graph.record(copy::forward(part, packed.columns(at * columns, columns), false));
    }
    let weights = graph.activation("weights", &[n_steps, batch, 2 * n_steps]);
    let y = graph.activation("y", &[n_steps, batch, columns]);
    let heads = attention::Heads { count: 2, variance: 1, causal: true };
    graph.record(attention::retention(heads, 5, packed, weights, y));
    y
}

#[wasm_bindgen_test(unsupported = test)]
fn retention_equals_torch() {
    check("retention_core", &[1], RETENTION, |graph, _, of| retain(graph, of[0], of[1], of[2]));
}

/// One head of two columns of one sequence, in chunks of so many steps: within a chunk all pairs, between chunks the state. Chunks of one
/// step are the recurrent form.
fn retained_in_chunks(q: &[[f64; 2]], k: &[[f64; 2]], v: &[[f64; 2]], gamma: f64, chunk: usize) -> Vec<f64> {
    let power = |n: usize| libm::pow(gamma, n as f64);
    let mut state = [[0.0; 2]; 2];
    let mut out = Vec::new();
    for first in (0..q.len()).step_by(chunk) {
        let end = (first + chunk).min(q.len());
        for t in first..end {
            for column in 0..2 {
                let carried = power(t - first + 1) * (q[t][0] * state[0][column] + q[t][1] * state[1][column]);
                let within = |s: usize| power(t - s) * (q[t][0] * k[s][0] + q[t][1] * k[s][1]) * v[s][column];
                out.push(carried + (first..=t).map(within).sum::<f64>());
            }
        }
        for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let added: f64 = (first..end).map(|s| power(end - 1 - s) * k[s][row] * v[s][column]).sum();
            state[row][column] = power(end - first) * state[row][column] + added;
        }
    }
    out
}

#[wasm_bindgen_test(unsupported = test)]
fn retention_is_the_same_in_parallel_in_chunks_and_step_by_step() {
    let n_steps = 50;
    let values: Vec<Vec<f64>> = (0..3).map(|k| noise(900 + k, n_steps * 4)).collect();
    for (kind, tolerance) in [(EngineKind::Reference, 1e-12), (EngineKind::Cpu, 1e-5)] {
        let mut graph = Graph::new();
        let [q, k, v] = [(); 3].map(|()| graph.slot("given", &[n_steps, 1, 4]));
        let y = retain(&mut graph, q, k, v);
        graph.pin(y);
        let mut machine = Machine::new(&graph, kind);
        [q, k, v].iter().zip(&values).for_each(|(slot, values)| machine.write(*slot, values));
        machine.run(Mark::Forward, Mark::Forward);
        let outputs = machine.read(y);
        for head in 0..2 {
            let of = |at: usize| -> Vec<[f64; 2]> {
                values[at].chunks(4).map(|row| [row[2 * head], row[2 * head + 1]]).collect()
            };
            let gamma = 1.0 - libm::exp2(-5.0 - head as f64);
            for chunk in [1, 7, 16] {
                let expected = retained_in_chunks(&of(0), &of(1), &of(2), gamma, chunk);
                let size = norm(&expected);
                for (t, pair) in expected.chunks(2).enumerate() {
                    for (column, &expected) in pair.iter().enumerate() {
                        let what = format!("head {head}, chunks of {chunk}, step {t}");
                        close(&what, outputs[4 * t + 2 * head + column], expected, tolerance, size);
                    }
                }
            }
        }
    }
}

/// Records the time loop of RWKV-4 on k, v `[T, B, C]`.
fn read_fading(graph: &mut Graph, [w, u, k, v]: [Tensor; 4]) -> Tensor {
    let [n_steps, batch, channels] = [0, 1, 2].map(|axis| k.shape.extent(axis));
    let [means, y] = ["means", "y"].map(|name| graph.activation(name, &[n_steps, batch, channels]));
    let shares = graph.activation("shares", &[n_steps, batch, 4 * channels]);
    graph.record(wkv::forward(wkv::Operands { w, u, k, v, means, shares, y }));
    y
}

const WKV: &[Named] = &[("w", &[4]), ("u", &[4]), ("k", &[7, 2, 4]), ("v", &[7, 2, 4])];

#[wasm_bindgen_test(unsupported = test)]
fn wkv_equals_torch() {
    check("rwkv4_wkv", &[1], WKV, |graph, _, of| read_fading(graph, [of[0], of[1], of[2], of[3]]));
}

/// One channel as attention: all weights of all pairs, each relative to the largest of its row.
fn read_fading_at_once(w: f64, u: f64, k: &[f64], v: &[f64]) -> Vec<f64> {
    let row = |t: usize| {
        let exponent = |s: usize| if s == t { u + k[t] } else { k[s] - (t - 1 - s) as f64 * libm::exp(w) };
        let largest = (0..=t).map(exponent).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = (0..=t).map(|s| libm::exp(exponent(s) - largest)).collect();
        weights.iter().zip(v).map(|(weight, v)| weight * v).sum::<f64>() / weights.iter().sum::<f64>()
    };
    (0..k.len()).map(row).collect()
}

#[wasm_bindgen_test(unsupported = test)]
fn wkv_is_the_same_step_by_step_and_as_attention_however_large_its_keys() {
    let (n_steps, channels) = (60, 6);
    for (scale, tolerances) in [(2.0, [1e-12, 1e-5]), (500.0, [1e-10, 1e-3])] {
        for (kind, tolerance) in [EngineKind::Reference, EngineKind::Cpu].into_iter().zip(tolerances) {
            let mut graph = Graph::new();
            let [w, u] = [(); 2].map(|()| graph.slot("given", &[channels]));
            let [k, v] = [(); 2].map(|()| graph.slot("given", &[n_steps, 1, channels]));
            let y = read_fading(&mut graph, [w, u, k, v]);
            graph.pin(y);
            let values = |stream: u32, slot: Tensor, scale: f64| -> Vec<f64> {
                // Exact in f32, so that both precisions see the same numbers.
                noise(stream, slot.shape.len()).iter().map(|n| f64::from((scale * n) as f32)).collect()
            };
            // Rates from e⁻⁵ to e³ a step, as at the start of training.
            let rates = (0..channels).map(|c| 8.0 * c as f64 / (channels - 1) as f64 - 5.0);
            let rates: Vec<f64> = rates.map(|w| f64::from(w as f32)).collect();
            let [bonus, keys, read] =
                [(920, u, 1.0), (921, k, scale), (922, v, 1.0)].map(|(n, of, scale)| values(n, of, scale));
            let mut machine = Machine::new(&graph, kind);
            [(w, &rates), (u, &bonus), (k, &keys), (v, &read)]
                .iter()
                .for_each(|(slot, values)| machine.write(*slot, values));
            machine.run(Mark::Forward, Mark::Forward);
            let outputs = machine.read(y);
            for c in 0..channels {
                let column = |of: &[f64]| of.iter().skip(c).step_by(channels).copied().collect::<Vec<f64>>();
                let expected = read_fading_at_once(rates[c], bonus[c], &column(&keys), &column(&read));
                for (t, (got, expected)) in column(&outputs).into_iter().zip(expected).enumerate() {
                    close(&format!("keys up to {scale}, channel {c}, step {t}"), got, expected, tolerance, 1.0);
                }
            }
        }
    }
}

/// Pictures run programs in which no gradient of a parameter is asked for.
#[wasm_bindgen_test(unsupported = test)]
fn states_of_blocks_have_their_adjoints_without_those_of_parameters() {
    for id in ["mamba", "rwkv"] {
        let config = json!({
            "task": { "id": "adding", "length": 6 }, "model": { "id": id, "hidden": 5, "layers": 2 }, "batch": 3,
        });
        let session = session(&config, EngineKind::Reference);
        let (model, form) = (session.model(), session.form());
        let layout = Layout::new(model, 3);
        let optimiser = find_optimiser("adam").expect("an optimiser");
        let blueprint = Blueprint { model, form, layout: &layout, n_steps: 6, batch: 3, last_only: false, optimiser };
        let [pictures, caller] = [Purpose::Probe, Purpose::Caller].map(|purpose| {
            let program = blueprint.compile(purpose);
            let mut engine = Engine::reference(layout.len);
            engine.reserve(&program.plan);
            for (parameter, &place) in model.parameters().iter().zip(&layout.places) {
                let len = parameter.len();
                engine.write_f64(persistent(place, len), &noise(parameter.offset as u32, len));
            }
            let (Inputs::Features(x), TargetSlot::Values(target)) = (program.inputs, program.target) else {
                panic!("the adding problem has values")
            };
            engine.write_f64(x, &noise(930, x.shape.len()));
            engine.write_f64(target, &noise(931, target.shape.len()));
            engine.write_f64(program.weight, &vec![1.0; program.weight.shape.len()]);
            engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Backward));
            program.rows.iter().map(|row| engine.read_f64(row.total(1))).collect::<Vec<_>>()
        });
        for (layer, (got, expected)) in pictures.iter().zip(&caller).enumerate() {
            assert!(norm(expected) > 0.0, "{id}, layer {layer}: no adjoint");
            let error = relative(got, expected);
            assert!(error <= 1e-12, "{id}, layer {layer}: off by {error:.1e}");
        }
    }
}

/// h = a h + b from 0, of pairs (a, b), as one number after the other never is: pairs are put together in a tree, whose depth is log₂ T.
/// (a₂, b₂) after (a₁, b₁) is (a₂ a₁, a₂ b₁ + b₂). Blelloch 1990.
fn scanned_in_a_tree(pairs: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let after = |[a1, b1]: [f64; 2], [a2, b2]: [f64; 2]| [a2 * a1, a2 * b1 + b2];
    if pairs.len() < 2 {
        return pairs.to_vec();
    }
    let halves: Vec<[f64; 2]> = pairs.chunks_exact(2).map(|pair| after(pair[0], pair[1])).collect();
    let halves = scanned_in_a_tree(&halves);
    let whole = |(at, &pair): (usize, &[f64; 2])| match at {
        0 => pair,
        at if at % 2 == 1 => halves[at / 2],
        at => after(halves[at / 2 - 1], pair),
    };
    pairs.iter().enumerate().map(whole).collect()
}

/// The same in chunks that are scanned by themselves, then joined by what each hands on.
fn scanned_in_chunks(pairs: &[[f64; 2]], chunk: usize) -> Vec<f64> {
    let mut carried = 0.0;
    let mut states = Vec::new();
    for chunk in pairs.chunks(chunk) {
        states.extend(scanned_in_a_tree(chunk).into_iter().map(|[a, b]| a * carried + b));
        carried = *states.last().expect("a chunk has a step");
    }
    states
}

/// Compares the states of a time loop, `[T, units]`, with both other forms.
fn compare_scans(what: &str, kept: &[f64], added: &[f64], states: &[f64], units: usize, tolerance: f64) {
    let size = norm(states) / (states.len() as f64).sqrt();
    for unit in 0..units {
        let column = |of: &[f64]| of.iter().skip(unit).step_by(units).copied().collect::<Vec<f64>>();
        let pairs: Vec<[f64; 2]> = column(kept).into_iter().zip(column(added)).map(|(a, b)| [a, b]).collect();
        let tree: Vec<f64> = scanned_in_a_tree(&pairs).into_iter().map(|[_, h]| h).collect();
        for other in [tree, scanned_in_chunks(&pairs, 16)] {
            for (t, (got, expected)) in column(states).into_iter().zip(other).enumerate() {
                close(&format!("{what}, unit {unit}, step {t}"), got, expected, tolerance, size);
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn diagonal_recurrences_are_the_same_step_by_step_in_a_tree_and_in_chunks() {
    let (n_steps, hidden) = (77, 5);
    for (kind, tolerance) in [(EngineKind::Reference, 1e-12), (EngineKind::Cpu, 1e-5)] {
        for cell in unroll::nn::cells().filter(|cell| cell.recurrent.is_empty()) {
            let mut graph = Graph::new();
            let gates = graph.slot("gates", &[n_steps, 1, cell.width * hidden]);
            let y = graph.slot("y", &[n_steps, 1, hidden]);
            let params = Params {
                n_steps: n_steps as u32,
                batch: 1,
                hidden: hidden as u32,
                reverse: 0,
                window: 0,
                nonlinearity: 1,
                silent: 0,
                fresh: 0,
                first: 0,
                end: n_steps as u32,
            };
            let layer = Layer { gates, weight_hh: None, bias_hh: None, state0: None, y, saved: Vec::new(), params };
            graph.record(cell.time_loop().expect("a recurrent layer")(&layer));
            let mut machine = Machine::new(&graph, kind);
            machine.write(gates, &noise(910, gates.shape.len()).iter().map(|v| 3.0 * v).collect::<Vec<_>>());
            machine.run(Mark::Forward, Mark::Forward);
            let kept = machine.read(gates.columns(0, hidden));
            let candidate = machine.read(gates.columns((cell.width - 1) * hidden, hidden));
            let added: Vec<f64> = kept.iter().zip(candidate).map(|(k, v)| (1.0 - k) * v).collect();
            compare_scans(cell.id, &kept, &added, &machine.read(y), hidden, tolerance);
        }

        let (channels, n) = (hidden, 3);
        let mut graph = Graph::new();
        let inputs = graph.slot("inputs", &[n_steps, 1, 2 * channels]);
        let projected = graph.slot("projected", &[n_steps, 1, 2 * n]);
        let a_log = graph.slot("a_log", &[channels, n]);
        let [states, kept] = [(); 2].map(|()| graph.slot("states", &[n_steps, 1, n * channels]));
        let y = graph.slot("y", &[n_steps, 1, channels]);
        let operands = selective_scan::Operands { inputs, projected, a_log, states, kept, y };
        graph.record(selective_scan::forward(operands, false));
        let mut machine = Machine::new(&graph, kind);
        for (stream, slot) in (911..).zip([inputs, projected, a_log]) {
            machine.write(slot, &noise(stream, slot.shape.len()));
        }
        machine.write(y, &vec![0.0; y.shape.len()]);
        machine.run(Mark::Forward, Mark::Forward);
        let [x, b] = [machine.read(inputs), machine.read(projected)];
        // Δ B x, state by state; δ has left as Δ.
        let place = |at: usize| (at / (n * channels), at / channels % n, at % channels);
        let added = (0..n_steps * n * channels).map(|at| {
            let (t, state, e) = place(at);
            let row = &x[t * 2 * channels..];
            row[channels + e] * b[t * 2 * n + state] * row[e]
        });
        let added: Vec<f64> = added.collect();
        compare_scans("selective scan", &machine.read(kept), &added, &machine.read(states), n * channels, tolerance);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn every_state_of_every_layer_gets_its_gradient() {
    for cell in ARCHITECTURES {
        let model = json!({ "id": cell.id, "hidden": 6, "layers": 2 });
        let config = json!({ "task": { "id": "adding", "length": 9 }, "model": model, "batch": 3 });
        let mut session = session(&config, EngineKind::Cpu);
        // Some weights begin with 0.
        (0..5).for_each(|_| assert!(session.train_step().is_ok()));
        session.run_probe(LossAt::Last).expect("a loss");
        for row in &session.probe_program().rows {
            for state in 0..cell.states {
                let totals = session.engine().read_f64(row.total(state));
                assert!(norm(&totals) > 0.0, "{}: state {state} of layer {}", cell.id, row.layer);
            }
        }
    }
}
