//! Streams: one timestep after the other says what a pass over the whole sequence says.

use super::support::session;
use serde_json::{Value as Json, json};
use unroll::kernels::Real;
use unroll::nn::cells;
use unroll::train::EngineKind;
use wasm_bindgen_test::wasm_bindgen_test;

/// Timesteps that are compared.
const T: usize = 1000;

/// Models of two layers, with what they hand on after n timesteps: a fixed part, and one that grows with n.
fn models() -> Vec<(Json, [usize; 2])> {
    let model = |id: &str, hidden: usize, options: Json, handed_on: [usize; 2]| {
        let mut model = json!({ "id": id, "hidden": hidden, "layers": 2 });
        let own = options.as_object().expect("options").clone();
        model.as_object_mut().expect("an object").extend(own);
        (model, handed_on)
    };
    let mut models: Vec<_> = cells().map(|cell| model(cell.id, 7, json!({}), [2 * 7 * cell.states, 0])).collect();
    models.extend([
        model("transformer", 7, json!({ "context": T }), [0, 2 * 2 * 7]),
        model("transformer", 8, json!({ "context": T, "heads": 4 }), [0, 2 * 2 * 8]),
        // E channels of N states, and the last 3 inputs of the convolution.
        model("mamba", 7, json!({}), [2 * 14 * (4 + 3), 0]),
        model(
            "mamba",
            6,
            json!({ "expansion": 1, "stateSize": 2, "convolution": 1, "discretisation": "exact", "selective": false }),
            [2 * 6 * 2, 0],
        ),
        // A mean, the sum of its weights and their largest exponent; the timestep before, for both token shifts.
        model("rwkv", 7, json!({}), [2 * 7 * (3 + 2), 0]),
        // A d × d state for each head.
        model("retnet", 7, json!({}), [2 * 7 * 7, 0]),
        model("retnet", 8, json!({ "heads": 2, "decay": 6 }), [2 * 2 * 4 * 4, 0]),
    ]);
    models
}

/// The inputs of T timesteps: features, or symbols.
fn signal(task: &str, n_symbols: u32) -> (Vec<f32>, Vec<u32>) {
    match task {
        "sine" => ((0..T).map(|t| Real::tanh((t as f32 * 0.37 + 1.0) % 2.0 - 1.0)).collect(), Vec::new()),
        _ => (Vec::new(), (0..T as u32).map(|t| (t * t / 3 + t) % n_symbols).collect()),
    }
}

/// Reads T timesteps one by one, and all at once; fails where output or top layer differ by more than `tolerance` of their size.
fn compare(task: &str, model: &Json, [fixed, growing]: [usize; 2], kind: EngineKind, n_steps: usize, tolerance: f64) {
    let config = json!({ "task": { "id": task }, "model": model, "batch": 4, "seed": 3 });
    let mut session = session(&config, kind);
    (0..20).for_each(|_| assert!(session.train_step().is_ok()));
    let (features, read) = signal(task, session.form().input.size() as u32);
    let (features, read) = (&features[..n_steps.min(features.len())], &read[..n_steps.min(read.len())]);
    let (cell, h) = (session.model().cell, session.model().hidden);
    let zeros = vec![vec![0.0; cell.states * h]; 2];
    let program = session.run_stretch([n_steps, 1], features, read, &zeros).expect("it fits");
    let whole = session.engine().read_f64(program.rows[1].y);
    let mut outputs = session.engine().read_f64(program.output);
    let wide = outputs.len() / n_steps;
    if task == "reber" {
        for row in outputs.chunks_mut(wide) {
            let sum: f64 = row.iter().map(|logit| libm::exp(*logit)).sum();
            row.iter_mut().for_each(|logit| *logit = libm::exp(*logit) / sum);
        }
    }
    for t in 0..n_steps {
        let one = features.get(t..=t).unwrap_or_default();
        let streamed = session.stream(one, read.get(t..=t).unwrap_or_default()).expect("an input of the task");
        assert_eq!(streamed.n_handed_on, fixed + growing * (t + 1), "{model} at {t}");
        let pairs = streamed.hidden[1].iter().zip(&whole[h * t..]);
        for (streamed, whole) in pairs.chain(streamed.output.iter().zip(&outputs[wide * t..])) {
            let allowed = tolerance * whole.abs().max(1.0);
            assert!((streamed - whole).abs() < allowed, "{model} on {task} at {t}: {streamed}, {whole}");
        }
    }
    if growing > 0 && n_steps == T {
        for _ in 0..2 {
            let full = session.stream(features.get(..1).unwrap_or_default(), read.get(..1).unwrap_or_default());
            let message = full.expect_err("no position is left").to_string();
            assert!(message.contains("at most 1000 timesteps") && message.contains("1001"), "{message}");
        }
    }
    session.begin_stream();
    let again = session.stream(features.get(..1).unwrap_or_default(), read.get(..1).unwrap_or_default());
    let again = again.expect("the first input");
    assert_eq!((again.n_read, again.n_handed_on), (1, fixed + growing));
    assert_eq!(again.longest, (growing > 0).then_some(T));
}

#[wasm_bindgen_test(unsupported = test)]
fn the_first_thousand_outputs_of_a_stream_are_those_of_the_whole_sequence() {
    for (model, handed_on) in models() {
        for task in ["sine", "reber"] {
            compare(task, &model, handed_on, EngineKind::Cpu, T, 1e-5);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn streams_equal_the_parallel_forms_in_double_precision() {
    for (mut model, [fixed, growing]) in models() {
        // 1/√d is a number of single precision for d = 4 and 1.
        if model["id"] == "retnet" {
            model["hidden"] = json!(4);
            model["heads"] = json!(if fixed == 2 * 7 * 7 { 1 } else { 4 });
            compare(
                "sine",
                &model,
                [if fixed == 2 * 7 * 7 { 2 * 16 } else { 2 * 4 }, growing],
                EngineKind::Reference,
                60,
                1e-12,
            );
        } else {
            compare("sine", &model, [fixed, growing], EngineKind::Reference, 60, 1e-12);
        }
    }
}

/// Reads a sequence all at once and in chunks; fails where outputs differ by more than `tolerance` of the largest.
fn compare_in_chunks(task: &str, model: &Json, kind: EngineKind, chunks: &[usize], tolerance: f64) {
    const T: usize = 60;
    let config = json!({ "task": { "id": task }, "model": model, "batch": 4, "seed": 3 });
    let mut session = session(&config, kind);
    (0..20).for_each(|_| assert!(session.train_step().is_ok()));
    let (features, read) = signal(task, session.form().input.size() as u32);
    let (features, read) = (&features[..T.min(features.len())], &read[..T.min(read.len())]);
    let program = session.run_stretch([T, 1], features, read, &[]).expect("it fits");
    let whole = session.engine().read_f64(program.output);
    let largest = whole.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let by_one = session.stream(features.get(..1).unwrap_or_default(), read.get(..1).unwrap_or_default());
    let (_, one_by_one) = session.in_chunks(features, read, 1);
    for &chunk in chunks {
        let (outputs, handed_on) = session.in_chunks(features, read, chunk);
        assert_eq!((outputs.len(), handed_on), (whole.len(), one_by_one), "{model}, chunks of {chunk}");
        for (at, (of_chunks, whole)) in outputs.iter().zip(&whole).enumerate() {
            let apart = (of_chunks - whole).abs() / largest;
            assert!(apart < tolerance, "{model} on {task}, chunks of {chunk}, at {at}: {of_chunks}, {whole}");
        }
    }
    // A stream under way goes on from where it was.
    let next = session.stream(features.get(1..2).unwrap_or_default(), read.get(1..2).unwrap_or_default());
    assert_eq!((by_one.expect("an input").n_read, next.expect("an input").n_read), (1, 2));
}

/// Chunks that divide the 60 timesteps and chunks that do not, one timestep each, and all of them.
const CHUNKS: &[usize] = &[1, 2, 7, 8, 12, 32, 60, 100];

#[wasm_bindgen_test(unsupported = test)]
fn chunks_that_hand_on_what_they_carry_say_what_all_timesteps_at_once_say() {
    for (model, _) in models() {
        for task in ["sine", "reber"] {
            compare_in_chunks(task, &model, EngineKind::Cpu, CHUNKS, 1e-5);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn chunks_equal_all_timesteps_at_once_in_double_precision() {
    for (mut model, [handed_on, _]) in models() {
        // 1/√d is a number of single precision for d = 4 and 1.
        if model["id"] == "retnet" {
            model["hidden"] = json!(4);
            model["heads"] = json!(if handed_on == 2 * 7 * 7 { 1 } else { 4 });
        }
        compare_in_chunks("sine", &model, EngineKind::Reference, CHUNKS, 1e-12);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn inputs_of_a_stream_in_another_form_are_refused_and_change_nothing() {
    let gru = |task: &str, bidirectional: bool| {
        let model = json!({ "id": "gru", "bidirectional": bidirectional });
        session(&json!({ "task": { "id": task }, "model": model }), EngineKind::Cpu)
    };
    let mut of_symbols = gru("reber", false);
    let first = of_symbols.stream(&[], &[2]).expect("a symbol");
    for (features, symbols) in [(&[1.0][..], &[][..]), (&[], &[99]), (&[], &[1, 2]), (&[], &[])] {
        assert!(of_symbols.stream(features, symbols).is_err(), "{features:?}, {symbols:?}");
    }
    let second = of_symbols.stream(&[], &[3]).expect("a symbol");
    assert_eq!((first.n_read, second.n_read), (1, 2));
    assert!((second.output.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let mut of_features = gru("sine", false);
    for features in [&[][..], &[1.0, 2.0], &[f32::NAN]] {
        assert!(of_features.stream(features, &[]).is_err(), "{features:?}");
    }
    assert!(gru("adding", true).stream(&[0.5, 1.0], &[]).is_err());
}
