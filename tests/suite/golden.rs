//! Values and gradients of PyTorch. `tests/golden/README.md` describes the files; its recipes made them.

use crate::support::{
    Machine, close, close_relative, golden_parameters, hash, model, norm, number, numbers, session, sign, torch_cell,
    uniform,
};
use serde_json::{Value as Json, json};
use std::ops::Range;
use unroll::engine::Engine;
use unroll::graph::{Graph, Mark, PERSISTENT};
use unroll::kernels::recurrence::Cell;
use unroll::kernels::{mean_squared_error, norm as norm_kernel, product, update};
use unroll::nn::{Inputs, Model, Recorded, cells};
use unroll::options::{Chosen, Value};
use unroll::shape::{Shape, Tensor};
use unroll::tasks::{Batch, Form, IGNORED, Input, Target};
use unroll::train::{Blueprint, EngineKind, Layout, Purpose, TargetSlot, Vectors, find_optimiser};
use wasm_bindgen_test::wasm_bindgen_test;

fn file(text: &str) -> Json {
    serde_json::from_str(text).expect("a golden file is JSON")
}

pub fn cores() -> Json {
    file(include_str!("../golden/cores.json"))
}

/// Element n of parameter k is 0.5·sin(0.7(n + 1) + 1.3k).
fn wave_parameters(model: &Model) -> Vec<f64> {
    let fill = |(k, len): (usize, usize)| (0..len).map(move |n| 0.5 * libm::sin(0.7 * (n + 1) as f64 + 1.3 * k as f64));
    let mut values = vec![0.0; model.len()];
    for (k, (_, place)) in torch_parameters(model).into_iter().enumerate() {
        values[place.clone()].iter_mut().zip(fill((k, place.len()))).for_each(|(value, wave)| *value = wave);
    }
    values
}

/// The parameters of the layers by their names in the file, in its order, and where they lie. A cell without recurrent weights has a
/// linear layer for each of its gates there.
fn torch_parameters(model: &Model) -> Vec<(String, Range<usize>)> {
    let mut named = Vec::new();
    if !model.cell.recurrent.is_empty() {
        for parameter in model.parameters() {
            named.push((parameter.name.clone(), parameter.offset..parameter.offset + parameter.len()));
        }
        return named;
    }
    let parameters = model.parameters();
    for (index, block) in model.cell.blocks.iter().enumerate() {
        for (letter, parameter) in ["w", "b"].iter().zip(&parameters) {
            let len = parameter.len() / model.cell.blocks.len();
            let first = parameter.offset + index * len;
            named.push((format!("rnn.{letter}{block}"), first..first + len));
        }
    }
    named
}

/// Element n of an input is cos(0.37 n).
pub fn wave(len: usize) -> Vec<f64> {
    (0..len).map(|n| libm::cos(0.37 * n as f64)).collect()
}

/// Sizes of `cores.json`.
const T: usize = 7;
const B: usize = 2;
const I: usize = 3;
const H: usize = 4;

/// Tolerances of loss, gradient norms and outputs.
fn core_tolerances(kind: EngineKind) -> [f64; 3] {
    match kind {
        EngineKind::Reference => [1e-9, 1e-9, 1e-9],
        EngineKind::Cpu => [2e-5, 1e-4, 1e-5],
    }
}

/// A core network of `cores.json` with its inputs, ready to run forward and back.
pub struct Core {
    entry: String,
    model: Model,
    pub machine: Machine,
    rows: Vec<Recorded>,
    y: Tensor,
    w: Vec<f64>,
    result: Tensor,
    d_x: Tensor,
    gradients: usize,
}

/// The entries of `cores.json` that are cores of a cell: PyTorch's name for it or its own, then the nonlinearity, then `_1L` or `_2L_bi`
/// where there are both.
pub fn cores_of(cell: &Cell) -> Vec<String> {
    let cores = cores();
    let names = cores.as_object().expect("an object").iter().filter(|(_, core)| core["loss"].is_number());
    names.map(|(name, _)| name.clone()).filter(|name| torch_cell(name).is_some_and(|(id, _)| id == cell.id)).collect()
}

pub fn core(entry: &str, kind: EngineKind) -> Core {
    let bidirectional = entry.ends_with("_2L_bi");
    let (cell, nonlinearity) = torch_cell(entry).expect("a cell");
    let model = Model { bidirectional, ..model(cell, nonlinearity, [I, H, if bidirectional { 2 } else { 1 }, 1]) };
    let entry = entry.to_owned();
    let width = model.directions() * H;

    let mut graph = Graph::new();
    let x = graph.slot("x", &[T, B, I]);
    graph.want(x);
    let gradients = model.len();
    let dense: Vec<usize> = model.parameters().iter().map(|parameter| parameter.offset).collect();
    let bound = model.bind(&mut graph, &dense, gradients);
    let rows = model.layers(&mut graph, &bound, Inputs::Features(x), [T, B], &[]).rows;
    rows.iter().for_each(|row| graph.pin(row.y));
    let y = Tensor::whole(rows.last().expect("a layer").y.buffer, Shape::new(&[T, B, width]));
    graph.mark(Mark::Loss);
    let target = graph.slot("target", &[T, B, width]);
    let weight = graph.slot("weight", &[T * B]);
    let losses = graph.slot("losses", &[T * B]);
    let result = graph.slot("loss", &[3]);
    let d_y = graph.activation("d_y", &[T, B, width]);
    graph.record(mean_squared_error::forward([y, target, weight], [losses, result], Some(d_y), 0.0));
    let d_x = graph.differentiate()[0].expect("the loss depends on x");
    let mut machine = Machine::new(&graph, kind);

    // ½·mean((y + w)²) = mean(y·w) + ½·mean(y²) + ½·mean(w²): the loss of the file, a constant added.
    let w: Vec<f64> = (0..T * B * width).map(|n| libm::cos(0.11 * n as f64)).collect();
    let values = wave_parameters(&model);
    for parameter in model.parameters() {
        let head = parameter.name.starts_with("head.");
        let of_it = &values[parameter.offset..][..parameter.len()];
        let of_it: Vec<f64> = of_it.iter().map(|&v| if head { 0.0 } else { v }).collect();
        machine.write(bound.get(&parameter.name), &of_it);
    }
    machine.write(x, &wave(T * B * I));
    machine.write(target, &w.iter().map(|w| -w).collect::<Vec<_>>());
    machine.write(weight, &[1.0; T * B]);
    Core { entry, model, machine, rows, y, w, result, d_x, gradients }
}

/// Compares a core that has run.
pub fn compare_core(core: &Core, kind: EngineKind) {
    let Core { entry, model, machine, rows, y, w, result, d_x, gradients } = core;
    let golden = &cores()[entry];
    let [loss_tolerance, gradient_tolerance, output_tolerance] = core_tolerances(kind);
    let constant = w.iter().map(|w| w * w).sum::<f64>() / w.len() as f64;
    let outputs = machine.read(*y);
    let mean =
        |f: &dyn Fn(f64, f64) -> f64| outputs.iter().zip(w).map(|(&y, &w)| f(y, w)).sum::<f64>() / w.len() as f64;
    let expected = number(&golden["loss"]);
    // The kernel's loss is larger than the file's by a constant, so that its rounding is judged by its own size.
    let squared = machine.read(*result)[0];
    close(
        &format!("{entry}: loss of the kernel"),
        0.5 * (squared - constant),
        expected,
        loss_tolerance,
        squared.max(expected),
    );
    close_relative(&format!("{entry}: loss"), mean(&|y, w| y * w + 0.5 * y * y), expected, loss_tolerance);

    let y_norm = norm(&outputs);
    close(&format!("{entry}: Σy"), outputs.iter().sum(), number(&golden["y_sum"]), output_tolerance, y_norm);
    for (got, expected) in outputs[outputs.len() - 3..].iter().zip(numbers(&golden["y_last"])) {
        close(&format!("{entry}: last outputs"), *got, expected, output_tolerance, y_norm);
    }

    let gradient = machine
        .engine
        .read_f64(Tensor { offset: *gradients as u32, ..Tensor::whole(PERSISTENT, Shape::new(&[model.len()])) });
    let mut compared = 0;
    for (name, place) in torch_parameters(model) {
        let of_it: Vec<f64> = gradient[place].iter().map(|g| 0.5 * g).collect();
        let Some(name) = name.strip_prefix("rnn.") else {
            assert!(of_it.iter().all(|&g| g == 0.0), "{entry}: {name} is read by no call");
            continue;
        };
        let size = number(&golden["grad_l2"][name]);
        close_relative(&format!("{entry}: ‖∂L/∂{name}‖"), norm(&of_it), size, gradient_tolerance);
        let sum = number(&golden["grad_sum"][name]);
        close(&format!("{entry}: Σ∂L/∂{name}"), of_it.iter().sum(), sum, gradient_tolerance, size);
        compared += 1;
    }
    assert_eq!(
        compared,
        golden["grad_l2"].as_object().expect("an object").len(),
        "{entry}: every parameter is compared"
    );

    if model.bidirectional {
        let expected = numbers(&golden["h_n_sum"]);
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(expected) {
            let last = if row.reverse { 0 } else { T - 1 };
            let sum: f64 = machine.read(row.y.outer(last, 1)).iter().sum();
            close(&format!("{entry}: Σh_n"), sum, expected, output_tolerance, 1.0);
        }
        let named: Vec<Json> = model
            .parameters()
            .iter()
            .filter_map(|p| p.name.strip_prefix("rnn.").map(|name| json!([name, p.shape])))
            .collect();
        assert_eq!(golden["param_names_shapes"], Json::from(named), "{entry}: names, shapes and order");
    } else if golden["dx_l2_per_t"].is_array() {
        let d_x = machine.read(*d_x);
        for (t, expected) in numbers(&golden["dx_l2_per_t"]).into_iter().enumerate() {
            let of_step: Vec<f64> = d_x[t * B * I..][..B * I].iter().map(|d| 0.5 * d).collect();
            close_relative(&format!("{entry}: ‖∂L/∂x_{t}‖"), norm(&of_step), expected, gradient_tolerance);
        }
    }
}

fn check_cores(id: &str) {
    let cell = cells().find(|cell| cell.id == id).expect("a cell");
    let entries = cores_of(cell);
    assert!(!entries.is_empty(), "{id}: write golden values with tests/golden/cores.py");
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        for entry in &entries {
            let mut core = core(entry, kind);
            core.machine.run(Mark::Forward, Mark::Backward);
            compare_core(&core, kind);
        }
    }
}

/// One test a cell, of its name.
macro_rules! tests {
    (with {} cells { $($cell:ident)* } others { $($stem:ident)* }) => {
        $(
            #[wasm_bindgen_test(unsupported = test)]
            fn $cell() {
                super::check_cores(stringify!($cell));
            }
        )*
    };
}

mod equals_torch {
    use wasm_bindgen_test::wasm_bindgen_test;

    unroll::stems!(tests);
}

/// Name in the file, id, options, clipping norm.
type Setting = (&'static str, &'static str, &'static [(&'static str, f64)], Option<f64>);

#[wasm_bindgen_test(unsupported = test)]
fn optimisers_follow_the_trajectories_of_torch() {
    let golden = &cores()["opt"];
    let settings: [Setting; 10] = [
        ("adam_lr0.01", "adam", &[("lr", 0.01)], None),
        ("adam_lr0.01_clip0.1", "adam", &[("lr", 0.01)], Some(0.1)),
        ("adamw_lr0.01_wd0.1", "adamw", &[("lr", 0.01), ("weightDecay", 0.1)], None),
        ("adam_lr0.01_wd0.1(L2)", "adam", &[("lr", 0.01), ("weightDecay", 0.1)], None),
        ("rmsprop_lr0.01", "rmsprop", &[("lr", 0.01)], None),
        ("rmsprop_lr0.01_mom0.9", "rmsprop", &[("lr", 0.01), ("momentum", 0.9)], None),
        ("sgd_lr0.1", "sgd", &[("lr", 0.1)], None),
        ("sgd_lr0.1_mom0.9", "sgd", &[("lr", 0.1), ("momentum", 0.9)], None),
        ("sgd_lr0.1_nesterov0.9", "sgd", &[("lr", 0.1), ("momentum", 0.9), ("nesterov", 1.0)], None),
        ("sgd_lr0.1_clip0.1", "sgd", &[("lr", 0.1)], Some(0.1)),
    ];
    assert_eq!(settings.len(), golden.as_object().expect("an object").len(), "every trajectory of the file");
    for (name, id, options, clip) in settings {
        check_optimiser(name, &golden[name], id, options, clip);
    }
}

/// The hyperparameters of update `t`, as a session lays them out.
fn hyper(id: &str, options: &Chosen, t: u64, clip: Option<f64>) -> Vec<f64> {
    let mut hyper = [0.0; update::HYPER];
    (find_optimiser(id).expect("an optimiser").hyper)(options, t, &mut hyper);
    hyper[update::MAX_NORM] = clip.unwrap_or(update::UNLIMITED);
    hyper[update::MAX_VALUE] = update::UNLIMITED;
    hyper[update::SAFE_NORM] = update::UNLIMITED;
    hyper.to_vec()
}

/// Ten updates of an LSTM that shall make Σ_h h_T equal to its target.
fn check_optimiser(name: &str, golden: &Json, id: &str, changes: &[(&str, f64)], clip: Option<f64>) {
    let spec = find_optimiser(id).expect("an optimiser");
    let changes: Vec<_> = changes
        .iter()
        .map(|&(name, v)| (name.to_owned(), if name == "nesterov" { Value::Bool(v != 0.0) } else { Value::Number(v) }))
        .collect();
    let options = Chosen::defaults(spec.options).with("optimiser", spec.options, &changes).expect("options");
    let model = model("lstm", None, [I, H, 1, 1]);
    let layout = Layout::new(&model, B);

    let mut graph = Graph::new();
    let x = graph.slot("x", &[T, B, I]);
    let bound = model.bind(&mut graph, &layout.places, layout.gradient);
    let y = model.layers(&mut graph, &bound, Inputs::Features(x), [T, B], &[]).rows[0].y;
    let ones = graph.slot("ones", &[1, H]);
    let sum = graph.activation("sum", &[B, 1]);
    graph.record(product::forward(product::plain(y.outer(T - 1, 1).flat()), product::transposed(ones), sum, false));
    graph.mark(Mark::Loss);
    let target = graph.slot("target", &[B, 1]);
    let weight = graph.slot("weight", &[B]);
    let losses = graph.slot("losses", &[B]);
    let result = graph.slot("loss", &[3]);
    let d_y = graph.activation("d_y", &[B, 1]);
    graph.record(mean_squared_error::forward([sum, target, weight], [losses, result], Some(d_y), 0.0));
    graph.differentiate();
    graph.mark(Mark::Clip);
    let vectors = Vectors {
        parameters: graph.persistent("parameters", &[layout.parameters], 0),
        gradient: graph.persistent("gradient", &[layout.parameters], layout.gradient),
        moments: layout.moments.map(|offset| graph.persistent("moment", &[layout.parameters], offset)),
        hyper: graph.persistent("hyperparameters", &[update::HYPER], layout.hyper),
        norm: graph.persistent("norm", &[update::NORM], layout.norm),
    };
    graph.record(norm_kernel::forward(vectors.gradient, vectors.hyper, vectors.norm));
    graph.mark(Mark::Update);
    (spec.record)(&mut graph, &vectors);

    let mut machine = Machine::new(&graph, EngineKind::Reference);
    let mut values = wave_parameters(&model);
    let recurrent = model.parameters().iter().find(|p| p.name == "head.weight").expect("a head").offset;
    values[recurrent..].fill(0.0);
    for parameter in model.parameters() {
        machine.write(bound.get(&parameter.name), &values[parameter.offset..][..parameter.len()]);
    }
    machine.write(x, &wave(T * B * I));
    machine.write(ones, &[1.0; H]);
    machine.write(target, &[0.3, -0.2]);
    machine.write(weight, &[1.0; B]);
    let expected = numbers(&golden["loss"]);
    assert_eq!(expected.len(), 10);
    for (step, expected) in expected.into_iter().enumerate() {
        machine.write(vectors.hyper, &hyper(id, &options, step as u64 + 1, clip));
        machine.run(Mark::Forward, Mark::Update);
        close_relative(&format!("{name}: loss {step}"), machine.read(result)[0], expected, 1e-9);
        if step == 0 {
            close_relative(
                &format!("{name}: norm"),
                machine.read(vectors.norm)[0],
                number(&golden["grad_norm0"]),
                1e-9,
            );
        }
    }
    let values = machine.read(vectors.parameters);
    let size = number(&golden["param_l2"]);
    close_relative(&format!("{name}: ‖p‖"), norm(&values), size, 1e-9);
    close(&format!("{name}: Σp"), values.iter().sum(), number(&golden["param_sum"]), 1e-9, size);
}

/// Compares a tensor with its digest; returns the relative L2 error, exact for small tensors and estimated by signed sums
/// for others (then within a factor of about two).
fn distance(what: &str, digest: &Json, got: &[f64]) -> f64 {
    if let Some(values) = digest.get("values") {
        return crate::support::relative(got, &numbers(values));
    }
    let size = number(&digest["norm"]);
    let signed = numbers(&digest["signed"]);
    let squares = signed.iter().enumerate().map(|(j, expected)| {
        let sum: f64 = got.iter().enumerate().map(|(n, v)| sign(2000 + j as u32, n) * v).sum();
        (sum - expected) * (sum - expected)
    });
    let by_signs = (squares.sum::<f64>() / signed.len() as f64).sqrt() / size;
    let by_norm = (norm(got) - size).abs() / size;
    let stride = digest["stride"].as_u64().expect("a stride") as usize;
    // The samples only tell where a difference lies: they have six digits.
    for (at, expected) in numbers(&digest["every"]).into_iter().enumerate() {
        let error = (got[at * stride] - expected).abs();
        assert!(error <= 1e-4 * size, "{what}: element {} is {}, expected {expected}", at * stride, got[at * stride]);
    }
    by_signs.max(by_norm)
}

/// Network inputs and targets of `odd.json`, in the form of a task.
fn odd_batch(form: &str, n_steps: usize, batch: usize, inputs: usize, outputs: usize) -> Batch {
    let positions = n_steps * batch;
    let mut filled = Batch {
        n_steps,
        batch,
        features: Vec::new(),
        symbols: Vec::new(),
        classes: Vec::new(),
        values: Vec::new(),
        mask: vec![0.0; positions],
        starts: vec![1.0; batch],
    };
    let last = positions - batch;
    if form != "per-step" {
        filled.mask[last..].fill(1.0);
    }
    match form {
        "adding" => {
            filled.features = (0..positions).flat_map(|n| [uniform(1000, n) as f32, 0.0]).collect();
            filled.values = vec![0.0; positions];
            let half = n_steps / 2;
            for b in 0..batch {
                let first = hash(1001, b) as usize % half;
                let second = half + hash(1001, batch + b) as usize % (n_steps - half);
                let mut sum = 0.0;
                for t in [first, second] {
                    filled.features[2 * (t * batch + b) + 1] = 1.0;
                    sum += uniform(1000, t * batch + b);
                }
                filled.values[last + b] = sum as f32;
            }
        }
        "symbols" => {
            filled.symbols = (0..positions).map(|n| hash(1000, n) % inputs as u32).collect();
            filled.classes = vec![IGNORED; positions];
            for b in 0..batch {
                filled.classes[last + b] = hash(1001, b) % outputs as u32;
            }
        }
        "per-step" => {
            filled.symbols = (0..positions).map(|n| hash(1000, n) % inputs as u32).collect();
            let class = |n: usize| {
                if hash(1001, positions + n).is_multiple_of(4) { IGNORED } else { hash(1001, n) % outputs as u32 }
            };
            filled.classes = (0..positions).map(class).collect();
            filled.mask = (0..positions).map(|n| uniform(1002, n) as f32).collect();
        }
        other => panic!("no form {other}"),
    }
    filled
}

#[wasm_bindgen_test(unsupported = test)]
fn formulas_give_the_numbers_of_the_recipe() {
    assert_eq!([0, 1, 2].map(|n| hash(0, n)), [804_215_951, 1_348_811_757, 3_428_229_867]);
    assert_eq!([0, 1, 2].map(|n| hash(2001, n)), [3_060_512_071, 3_114_922_515, 1_813_500_125]);
}

fn check_odd(name: &str, golden: &Json, kind: EngineKind) {
    let text = |field: &str| golden[field].as_str().expect("a string").to_owned();
    let size = |field: &str| golden[field].as_u64().expect("a size") as usize;
    let (form, [h, t, b, l]) = (text("form"), ["H", "T", "B", "L"].map(size));
    let (cell, nonlinearity) = torch_cell(golden["cell"].as_str().expect("a name")).expect("a cell");
    // A task whose form has the same inputs and outputs; the batch is the caller's, and so is its size.
    let task = match form.as_str() {
        "adding" => json!({ "id": "adding" }),
        "symbols" => json!({ "id": "first-symbol", "symbols": 4, "distractors": 2 }),
        _ => json!({ "id": "reber" }),
    };
    let mut config = json!({ "task": task, "model": { "id": cell, "hidden": h, "layers": l }, "batch": 2 });
    if let Some(nonlinearity) = nonlinearity {
        config["model"]["nonlinearity"] = json!(nonlinearity);
    }
    let mut session = session(&config, kind);
    assert_eq!([session.model().inputs, session.model().outputs], ["I", "O"].map(size), "{name}: a task of this form");
    let parameters = golden_parameters(session.model(), number(&golden["bound"]));
    session.set_values_f64(&parameters);
    let batch = odd_batch(&form, t, b, size("I"), size("O"));
    let got = session.gradients(&batch).expect("a batch of the task's form");

    // Loss, outputs, gradients, state gradients. The reference engine answers in f64, but outputs and state norms leave
    // the session in f32.
    let [loss, outputs, gradient, hidden] = match kind {
        EngineKind::Reference => [1e-9, 1e-6, 1e-8, 1e-6],
        EngineKind::Cpu => [1e-5, 1e-5, 1e-4, 1e-4],
    };
    close_relative(&format!("{name}: loss"), got.loss, number(&golden["loss"]), loss);
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let error = distance(&format!("{name}: outputs"), &golden["outputs"], &wide(&got.outputs));
    assert!(error <= outputs, "{name}: outputs are off by {error:.1e}");

    let flat = session.gradient_f64();
    assert_eq!(wide(&got.gradient), flat.iter().map(|&g| f64::from(g as f32)).collect::<Vec<_>>());
    let tensors = golden["gradients"].as_object().expect("an object");
    assert_eq!(tensors.len(), session.parameters().len(), "{name}: every parameter is compared");
    for parameter in session.parameters() {
        let what = format!("{name}: ∂L/∂{}", parameter.name);
        let error = distance(&what, &tensors[&parameter.name], &flat[parameter.offset..][..parameter.len()]);
        assert!(error <= gradient, "{what} is off by {error:.1e}");
    }

    let rows = golden["hidden"].as_array().expect("an array");
    assert_eq!(got.hidden.len(), rows.len() * t);
    for (layer, row) in rows.iter().enumerate() {
        for (step, expected) in numbers(row).into_iter().enumerate() {
            let got = f64::from(got.hidden[layer * t + step]);
            close_relative(&format!("{name}: ‖∂L/∂h‖ of layer {layer} at {step}"), got, expected, hidden);
        }
    }
}

fn check_odd_sizes(cell: &str) {
    let all = file(include_str!("../golden/odd.json"));
    let mut checked = 0;
    for (name, golden) in all.as_object().expect("an object").iter().filter(|(_, golden)| golden["cell"] == cell) {
        check_odd(name, golden, EngineKind::Reference);
        check_odd(name, golden, EngineKind::Cpu);
        checked += 1;
    }
    assert_eq!(checked, 4, "{cell}: four sizes");
}

#[wasm_bindgen_test(unsupported = test)]
fn elman_with_tanh_equals_torch_at_odd_sizes() {
    check_odd_sizes("rnn-tanh");
}

#[wasm_bindgen_test(unsupported = test)]
fn elman_with_relu_equals_torch_at_odd_sizes() {
    check_odd_sizes("rnn-relu");
}

#[wasm_bindgen_test(unsupported = test)]
fn lstm_equals_torch_at_odd_sizes() {
    check_odd_sizes("lstm");
}

#[wasm_bindgen_test(unsupported = test)]
fn gru_equals_torch_at_odd_sizes() {
    check_odd_sizes("gru");
}

/// The first ten losses of training, through the program that a session would compile for this form.
fn check_trajectory(cell_name: &str, golden: &Json, kind: EngineKind) {
    let size = |field: &str| golden[field].as_u64().expect("a size") as usize;
    let [hidden, n_steps, batch, symbols] = ["H", "T", "B", "V"].map(size);
    let (cell, nonlinearity) = torch_cell(cell_name).expect("a cell");
    let model = model(cell, nonlinearity, [symbols, hidden, 1, symbols]);
    let form = Form {
        n_steps,
        input: Input::Symbols(symbols),
        target: Target::Class(symbols),
        last_only: true,
        streams: false,
        ahead: false,
        source: None,
        input_names: Vec::new(),
        target_names: Vec::new(),
        tolerance: 0.0,
    };
    let layout = Layout::new(&model, batch);
    let spec = find_optimiser("adam").expect("an optimiser");
    let changes = [("lr".to_owned(), Value::Number(number(&golden["lr"])))];
    let options = Chosen::defaults(spec.options).with("optimiser", spec.options, &changes).expect("options");
    let blueprint =
        Blueprint { model: &model, form: &form, layout: &layout, n_steps, batch, last_only: true, optimiser: spec };
    let program = blueprint.compile(Purpose::Train { carry: false });
    let mut engine = match kind {
        EngineKind::Reference => Engine::reference(layout.len),
        EngineKind::Cpu => Engine::cpu(layout.len),
    };
    engine.reserve(&program.plan);
    let flat =
        |offset: usize, len: usize| Tensor { offset: offset as u32, ..Tensor::whole(PERSISTENT, Shape::new(&[len])) };
    let values = golden_parameters(&model, number(&golden["bound"]));
    for (parameter, &place) in model.parameters().iter().zip(&layout.places) {
        engine.write_f64(flat(place, parameter.len()), &values[parameter.offset..][..parameter.len()]);
    }
    let (Inputs::Symbols(x), TargetSlot::Classes(target)) = (program.inputs, program.target) else {
        panic!("symbols in, classes out")
    };
    let (losses, norms) = (numbers(&golden["losses"]), numbers(&golden["gradient_norms"]));
    let tolerance = if kind == EngineKind::Reference { 1e-9 } else { 1e-4 };
    assert_eq!((losses.len(), norms.len()), (10, 10));
    for (step, (loss, norm)) in losses.into_iter().zip(norms).enumerate() {
        let drawn: Vec<u32> = (0..n_steps * batch).map(|n| hash(3000 + step as u32, n) % symbols as u32).collect();
        engine.write_index(x, &drawn);
        engine.write_index(target, &drawn[..batch]);
        engine.write_f64(program.weight, &vec![1.0; batch]);
        engine.write_f64(
            flat(layout.hyper, update::HYPER),
            &hyper("adam", &options, step as u64 + 1, Some(number(&golden["clip"]))),
        );
        engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Update));
        close_relative(&format!("{cell_name}: loss {step}"), engine.scalar(program.result, 0), loss, tolerance);
        let got = engine.scalar(flat(layout.norm, 3), 0);
        close_relative(&format!("{cell_name}: gradient norm {step}"), got, norm, tolerance);
    }
    for (parameter, &place) in model.parameters().iter().zip(&layout.places) {
        let of_it = &engine.read_f64(flat(place, parameter.len()));
        let size = number(&golden["norm"][&parameter.name]);
        close_relative(&format!("{cell_name}: ‖{}‖", parameter.name), norm(of_it), size, tolerance);
        let sum = number(&golden["sum"][&parameter.name]);
        close(&format!("{cell_name}: Σ{}", parameter.name), of_it.iter().sum(), sum, tolerance, size);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn first_ten_losses_equal_those_of_torch() {
    let all = file(include_str!("../golden/trajectories.json"));
    let all = all.as_object().expect("an object");
    assert_eq!(all.len(), 3);
    for (cell, golden) in all {
        check_trajectory(cell, golden, EngineKind::Reference);
        check_trajectory(cell, golden, EngineKind::Cpu);
    }
}
