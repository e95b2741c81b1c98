//! Every kernel and every table entry against finite differences in f64.
//!
//! A kernel's cases lie in `support`. Kernels without a derivative are compared with their formula, written out here.

use crate::support::{Case, Machine, cases, nonlinearities, session};
use serde_json::json;
use std::collections::BTreeSet;
use unroll::graph::Mark;
use unroll::kernels::{KERNELS, update};
use unroll::nn::{INITS, cells};
use unroll::options::Kind;
use unroll::rng::Stream;
use unroll::tasks::{Batch, Draw, TASKS};
use unroll::train::{EngineKind, Session};
use wasm_bindgen_test::wasm_bindgen_test;

/// Largest difference between an adjoint and the finite difference, relative to the largest element of the tensor.
const TOLERANCE: f64 = 1e-6;
/// Below this, what is left of a finite difference is rounding: 10⁻¹⁶ / [`STEP`].
const ROUNDING: f64 = 1e-10;
/// Half the distance of the two points of a central difference: its error is of the order of the square.
const STEP: f64 = 1e-5;

/// Compares adjoints with central differences of `loss`.
fn compare(what: &str, adjoint: &[f64], mut loss: impl FnMut(usize, f64) -> f64) {
    let largest = adjoint.iter().fold(0.0_f64, |largest, d| largest.max(d.abs()));
    for (at, &d) in adjoint.iter().enumerate() {
        let difference = (loss(at, STEP) - loss(at, -STEP)) / (2.0 * STEP);
        let error = (d - difference).abs();
        assert!(
            error <= TOLERANCE * largest + ROUNDING,
            "{what}: adjoint {at} is {d:e}, finite difference {difference:e}, largest {largest:e}"
        );
    }
}

/// Checks the adjoint of every input of a case; returns the labels of the entries that ran.
fn check(case: &mut Case) -> BTreeSet<&'static str> {
    let result = case.result.expect("a loss");
    let adjoints = case.graph.differentiate();
    let mut machine = Machine::new(&case.graph, EngineKind::Reference);
    for (slot, values) in case.inputs.iter().chain(&case.fixed) {
        machine.write(*slot, values);
    }
    for (slot, values) in &case.indices {
        machine.write_index(*slot, values);
    }
    machine.run(Mark::Forward, Mark::Backward);
    // The loss runs again below, and may not use what it has not written itself.
    let adjoints: Vec<Vec<f64>> =
        adjoints.into_iter().map(|d| machine.read(d.expect("the loss depends on every input"))).collect();
    assert!(!case.inputs.is_empty());
    for ((slot, values), adjoint) in case.inputs.iter().zip(&adjoints) {
        assert_eq!(values.len(), adjoint.len());
        compare(&case.what, adjoint, |at, step| {
            let mut values = values.clone();
            values[at] += step;
            machine.write(*slot, &values);
            machine.run(Mark::Forward, Mark::Loss);
            machine.read(result)[0]
        });
        machine.write(*slot, values);
    }
    case.graph.calls().map(|call| call.entry.label).collect()
}

/// The formula of a kernel without derivative, for one of its cases: the expected contents of each fixed slot.
type Formula = fn(&[Vec<f64>], &str) -> Vec<Vec<f64>>;

static FORMULAS: &[(&str, Formula)] = &[
    ("adam", adam),
    ("carry", |slots, what| {
        let (carried, starts) = (&slots[0], &slots[1]);
        let states = if what.starts_with('2') { 2 } else { 1 };
        let (batch, hidden) = (starts.len(), carried.len() / (states * starts.len()));
        let kept = carried.iter().enumerate().map(|(at, &c)| (1.0 - starts[at / hidden % batch]) * c).collect();
        vec![carried.clone(), starts.clone(), kept]
    }),
    ("fill", |slots, _| {
        let width = slots[0].len() / 3;
        let inside = |at: usize| (1..width - 1).contains(&(at % width));
        vec![(0..slots[0].len()).map(|at| if inside(at) { -1.5 } else { 7.0 }).collect()]
    }),
    ("norm", |slots, _| {
        let size = slots[0].iter().map(|g| g * g).sum::<f64>().sqrt();
        let held = slots[2][1] < 0.0 || size > slots[1][update::SAFE_NORM];
        let coefficient = if held { -1.0 } else { (slots[1][update::MAX_NORM] / (size + 1e-6)).min(1.0) };
        let largest = slots[0].iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
        vec![slots[0].clone(), slots[1].clone(), vec![size, coefficient, largest]]
    }),
    ("rmsprop", rmsprop),
    ("sgd", sgd),
];

/// The result of the norm that `optimiser_case` sets, its parts put together: at most 2 long.
fn norm_of(slots: &[Vec<f64>]) -> Vec<f64> {
    let mut norm = slots.last().expect("a slot").clone();
    let n_parts = norm[3] as usize;
    if n_parts > 0 {
        let parts: Vec<_> = norm[4..][..2 * n_parts].chunks(2).map(|part| (part[0], part[1])).collect();
        norm[0] = parts.iter().map(|(largest, squares)| largest * largest * squares).sum::<f64>().sqrt();
        norm[1] = if norm[1] < 0.0 { -1.0 } else { (2.0 / (norm[0] + 1e-6)).min(1.0) };
        norm[2] = parts.iter().fold(0.0, |a, part| a.max(part.0));
    }
    norm
}

/// What `optimiser_case` sets: the fourth step, learning rate 0.03, decay 0.1, largest value 0.6.
fn clipped(g: f64, slots: &[Vec<f64>]) -> f64 {
    (norm_of(slots)[1] * g).clamp(-0.6, 0.6)
}

fn adam(slots: &[Vec<f64>], what: &str) -> Vec<Vec<f64>> {
    let (lr, decay, beta1, beta2) = (0.03, 0.1, 0.9, 0.999);
    let fourth = |beta: f64| beta * beta * beta * beta;
    let mut next = slots.to_vec();
    for at in 0..slots[0].len() {
        let [mut p, g, m, v] = [0, 1, 2, 3].map(|slot| slots[slot][at]);
        let mut g = clipped(g, slots);
        if what.starts_with("adamw") {
            p *= 1.0 - lr * decay;
        } else {
            g += decay * p;
        }
        let m = beta1 * m + (1.0 - beta1) * g;
        let v = beta2 * v + (1.0 - beta2) * g * g;
        let (m_hat, v_hat) = (m / (1.0 - fourth(beta1)), v / (1.0 - fourth(beta2)));
        next[0][at] = p - lr * m_hat / (v_hat.sqrt() + 1e-8);
        next[2][at] = m;
        next[3][at] = v;
    }
    next
}

fn rmsprop(slots: &[Vec<f64>], what: &str) -> Vec<Vec<f64>> {
    let momentum = if what.contains("0.9") { 0.9 } else { 0.0 };
    let mut next = slots.to_vec();
    for at in 0..slots[0].len() {
        let [p, g, v, b] = [0, 1, 2, 3].map(|slot| slots[slot][at]);
        let g = clipped(g, slots) + 0.1 * p;
        let v = 0.99 * v + (1.0 - 0.99) * g * g;
        let b = momentum * b + g / (v.sqrt() + 1e-8);
        next[0][at] = p - 0.03 * b;
        next[2][at] = v;
        next[3][at] = b;
    }
    next
}

fn sgd(slots: &[Vec<f64>], what: &str) -> Vec<Vec<f64>> {
    let momentum = if what.contains("0.9") { 0.9 } else { 0.0 };
    let nesterov = what.contains("1.0]");
    let mut next = slots.to_vec();
    for at in 0..slots[0].len() {
        let [p, g, b] = [0, 1, 2].map(|slot| slots[slot][at]);
        let g = clipped(g, slots) + 0.1 * p;
        let b = momentum * b + g;
        next[0][at] = p - 0.03 * if nesterov { g + momentum * b } else { b };
        next[2][at] = b;
    }
    next
}

/// Runs a case that has no loss and compares every slot with the formula.
fn check_formula(case: &Case, formula: Formula) -> BTreeSet<&'static str> {
    let mut machine = Machine::new(&case.graph, EngineKind::Reference);
    for (slot, values) in &case.fixed {
        machine.write(*slot, values);
    }
    machine.run(Mark::Forward, Mark::Update);
    let before: Vec<Vec<f64>> = case.fixed.iter().map(|(_, values)| values.clone()).collect();
    let is_held = case.what.ends_with("coefficient -1");
    let mut expected = if is_held { before.clone() } else { formula(&before, &case.what) };
    if case.what.contains("parts of the norm") {
        *expected.last_mut().expect("a slot") = norm_of(&before);
    }
    assert_eq!(expected.len(), case.fixed.len(), "{}: a slot has no formula", case.what);
    for (index, ((slot, _), expected)) in case.fixed.iter().zip(expected).enumerate() {
        for (at, (got, expected)) in machine.read(*slot).into_iter().zip(expected).enumerate() {
            let error = (got - expected).abs();
            assert!(
                error <= 1e-13 * expected.abs().max(1.0),
                "{}: slot {index}, {at}: {got}, not {expected}",
                case.what
            );
        }
    }
    case.graph.calls().map(|call| call.entry.label).collect()
}

/// Checks every case of one kernel; every entry must have run.
fn check_kernel(stem: &str) {
    let kernel = KERNELS.iter().find(|kernel| kernel.stem == stem).expect("a kernel");
    let formula = FORMULAS.iter().find(|(name, _)| *name == stem).map(|&(_, formula)| formula);
    let mut ran = BTreeSet::new();
    // T, B and H of 1; sizes that do not fill a vector of four lanes; one that fills it.
    for size in [1, 3, 4, 7] {
        for mut case in cases(stem, size) {
            ran.extend(match formula {
                Some(formula) => check_formula(&case, formula),
                None => check(&mut case),
            });
        }
    }
    for entry in kernel.entries {
        assert!(ran.contains(entry.label), "{} is run by no case", entry.label);
    }
}

/// One test a kernel, of its name.
macro_rules! tests {
    (with {} cells { $($cell:ident)* } others { $($stem:ident)* }) => {
        tests! { $($cell)* $($stem)* }
    };
    ($($stem:ident)*) => {
        $(
            #[wasm_bindgen_test(unsupported = test)]
            fn $stem() {
                super::check_kernel(stringify!($stem));
            }
        )*
    };
}

mod kernel {
    use wasm_bindgen_test::wasm_bindgen_test;

    unroll::stems!(tests);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_formula_judges_what_no_finite_difference_can() {
    for (stem, _) in FORMULAS {
        let kernel = KERNELS.iter().find(|kernel| kernel.stem == *stem).expect("a kernel");
        assert_eq!(kernel.entries.len(), 1, "{stem}: a formula alone does not judge a backward entry");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn carried_states_pass_no_gradient_on() {
    let mut case = Case::new("carry");
    let carried = case.input(&[2, 3, 4], 1.0);
    let starts = case.fixed(&[3], vec![0.0; 3]);
    let s0 = case.graph.activation("s0", &[2, 3, 4]);
    case.graph.record(unroll::kernels::carry::forward(carried, starts, s0));
    case.score(&[s0]);
    assert_eq!(case.graph.differentiate(), [None]);
}

/// Checks the gradient of a session's loss by every parameter, on a batch of its task.
fn check_session(what: &str, session: &mut Session, batch: &Batch) {
    session.gradients(batch).expect("a batch of the task");
    let adjoint = session.gradient_f64();
    let values = session.values_f64();
    assert!(adjoint.iter().any(|&d| d != 0.0), "{what}: no gradient");
    // Parameters of different tensors differ by orders of magnitude; each is judged by its own largest element.
    for parameter in session.parameters().to_vec() {
        let what = format!("{what}, {}", parameter.name);
        compare(&what, &adjoint[parameter.offset..][..parameter.len()], |at, step| {
            let mut values = values.clone();
            values[parameter.offset + at] += step;
            session.set_values_f64(&values);
            session.gradients(batch).expect("a batch of the task").loss
        });
    }
}

/// A batch of a task, smaller than a session would take.
fn batch_of(session: &Session, rows: usize) -> Batch {
    let task =
        (session.config().task.make)(&session.config().task_options).expect("options that a session was made of");
    let mut batch = Batch::zeros(task.form(), rows);
    task.sample(Draw { seed: 3, stream: Stream::HeldOut, step: 0 }, &mut batch);
    batch
}

#[wasm_bindgen_test(unsupported = test)]
fn every_architecture_with_every_init_has_the_gradient_of_its_loss() {
    for cell in cells() {
        let mut checked = 0;
        for init in INITS.iter().filter(|init| (init.suits)(cell)) {
            let offered = nonlinearities(cell);
            for &nonlinearity in if offered.is_empty() { &[""][..] } else { &offered } {
                let mut config = json!({
                    "task": { "id": "adding", "length": 6 },
                    "model": { "id": cell.id, "hidden": 5, "layers": 2, "init": { "id": init.id } },
                    "batch": 2, "seed": 11,
                });
                if !nonlinearity.is_empty() {
                    config["model"]["nonlinearity"] = json!(nonlinearity);
                }
                let mut session = session(&config, EngineKind::Reference);
                let batch = batch_of(&session, 3);
                // A unit that starts at exactly 0 sits on the kink of the ReLU, where no derivative exists; so does a network
                // whose biases are all 0, at inputs of 0.
                let values: Vec<f64> = session
                    .values_f64()
                    .iter()
                    .zip(crate::support::noise(77, 10_000))
                    .map(|(v, n)| v + 0.05 * n)
                    .collect();
                if nonlinearity == "relu" {
                    session.set_values_f64(&values);
                }
                check_session(&format!("{} {nonlinearity} {}", cell.id, init.id), &mut session, &batch);
                checked += 1;
            }
        }
        // Five inits suit a cell without gates, six one with gates that read the state, four one whose gates read the input alone.
        let inits = match (cell.keep.is_some(), cell.recurrent.is_empty()) {
            (false, _) => 5,
            (true, false) => 6,
            (true, true) => 4,
        };
        assert_eq!(checked, inits * nonlinearities(cell).len().max(1), "{}", cell.id);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn blocks_of_recurrences_have_the_gradient_of_their_loss() {
    for options in [
        json!({ "id": "mamba" }),
        json!({ "id": "mamba", "discretisation": "exact", "stateSize": 3 }),
        json!({ "id": "mamba", "selective": false }),
        json!({ "id": "retnet" }),
        json!({ "id": "rwkv" }),
    ] {
        let mut config = json!({ "task": { "id": "adding", "length": 6 }, "model": options, "batch": 2, "seed": 11 });
        config["model"]["hidden"] = json!(6);
        config["model"]["layers"] = json!(2);
        let mut session = session(&config, EngineKind::Reference);
        let batch = batch_of(&session, 3);
        // The norm of a stream as small as it begins is too curved for a finite difference.
        let noise = crate::support::noise(78, 10_000);
        let values: Vec<f64> = session.values_f64().iter().zip(noise).map(|(v, n)| v + n).collect();
        session.set_values_f64(&values);
        check_session(&config["model"].to_string(), &mut session, &batch);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn every_architecture_on_every_task_has_the_gradient_of_its_loss() {
    for task in TASKS {
        let Kind::Integer { min, .. } = task.options[0].kind else {
            panic!("{}: the first option is the length", task.id)
        };
        for cell in cells() {
            // Some tasks need more room than the least length of the option with their other defaults.
            let length = (min..min + 60)
                .find(|&length| {
                    let changes = [("length".to_owned(), unroll::options::Value::Number(f64::from(length.max(5))))];
                    let chosen = unroll::options::Chosen::defaults(task.options).with("task", task.options, &changes);
                    chosen.and_then(|chosen| (task.make)(&chosen).map(drop)).is_ok()
                })
                .expect("a length that the task accepts")
                .max(5);
            let ahead = (task.make)(&unroll::options::Chosen::defaults(task.options)).expect("a task").form().ahead;
            for (layers, bidirectional) in [(1, false), (2, true)].into_iter().filter(|&(_, both)| !(both && ahead)) {
                let config = json!({
                    "task": { "id": task.id, "length": length },
                    "model": { "id": cell.id, "hidden": 3, "layers": layers, "bidirectional": bidirectional },
                    "batch": 2, "seed": 5,
                });
                let mut session = session(&config, EngineKind::Reference);
                let batch = batch_of(&session, 2);
                let what = format!("{} on {}, in both directions: {bidirectional}", cell.id, task.id);
                check_session(&what, &mut session, &batch);
            }
        }
    }
}
