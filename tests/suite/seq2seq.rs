//! Encoder and decoder on one time axis: gradients, the hand-over, greedy decoding, alignment, and what is refused.

use crate::support::{session, value};
use serde_json::{Value as Json, json};
use unroll::lens::{FrameOptions, Panel, Query, frame, inspect};
use unroll::nn::cells;
use unroll::rng::Stream;
use unroll::tasks::{Batch, Draw};
use unroll::train::{Config, EngineKind, LossAt, Session};
use wasm_bindgen_test::wasm_bindgen_test;

fn config(model: &str, decoder: &str, layers: usize) -> Json {
    json!({
        "task": { "id": "reversal", "length": 9, "alphabet": 3 },
        "model": { "id": model, "hidden": 5, "layers": layers, "decoder": decoder },
        "batch": 4, "seed": 3,
    })
}

fn batch(session: &Session, rows: usize) -> Batch {
    let form = session.form().clone();
    let mut batch = Batch::zeros(&form, rows);
    let task = (session.config().task.make)(&session.config().task_options).expect("made before");
    task.sample(Draw { seed: 5, stream: Stream::Train, step: 1 }, &mut batch);
    batch
}

#[test]
#[wasm_bindgen_test(unsupported = test)]
fn seq2seq_gradients_are_those_of_the_whole_network() {
    for cell in cells() {
        for (decoder, layers) in [("own", 1), ("own", 2), ("luong", 1), ("luong", 2), ("bahdanau", 1), ("bahdanau", 2)]
        {
            let mut session = session(&config(cell.id, decoder, layers), EngineKind::Reference);
            let batch = batch(&session, 3);
            session.gradients(&batch).expect("a batch of the task");
            let (gradient, values) = (session.gradient_f64(), session.values_f64());
            let largest = gradient.iter().fold(0.0_f64, |largest, g| largest.max(g.abs()));
            let parameters = session.parameters().to_vec();
            for parameter in &parameters {
                let of = &gradient[parameter.offset..][..parameter.len()];
                assert!(of.iter().any(|g| *g != 0.0), "{} {decoder}: {} learns nothing", cell.id, parameter.name);
                // A few elements of each.
                for at in (0..parameter.len()).step_by(1 + parameter.len() / 3) {
                    let mut loss = |by: f64| {
                        let mut changed = values.clone();
                        changed[parameter.offset + at] += by;
                        session.set_values_f64(&changed);
                        session.gradients(&batch).expect("a batch of the task").loss
                    };
                    let difference = (loss(1e-5) - loss(-1e-5)) / 2e-5;
                    assert!(
                        (of[at] - difference).abs() <= 1e-6 * largest + 1e-10,
                        "{} {decoder} {layers}: {}[{at}] is {}, difference {difference}",
                        cell.id,
                        parameter.name,
                        of[at]
                    );
                }
            }
        }
    }
}

/// With the encoder's weights in both halves, a decoder is the network that reads on: states, adjoints and loss are the same.
#[test]
#[wasm_bindgen_test(unsupported = test)]
fn seq2seq_decoder_with_the_encoders_weights_is_the_network_that_reads_on() {
    for cell in cells() {
        for layers in [1, 2] {
            let mut one = session(&config(cell.id, "same", layers), EngineKind::Reference);
            let mut two = session(&config(cell.id, "own", layers), EngineKind::Reference);
            let names: Vec<String> = two.parameters().iter().map(|parameter| parameter.name.clone()).collect();
            for name in names {
                let values = one.parameter(&name.replace("decoder.", "rnn."));
                two.set_parameter(&name, &values);
            }
            let options = FrameOptions { sequence: 2, loss_at: LossAt::Task };
            let [a, b] = [&mut one, &mut two].map(|session| frame(session, options).expect("a frame"));
            assert_eq!(a.header.probe.source, Some(5));
            assert_eq!(a.header.rows.len(), b.header.rows.len());
            compare(cell.id, &a.data, &b.data, 1e-6);
            let [a, b] = [&mut one, &mut two].map(|session| {
                let query = Query { row: layers - 1, ..Query::new(Panel::Credit(unroll::lens::Of::Output)) };
                inspect(session, query).expect("a credit matrix").series("matrix").expect("a matrix").to_vec()
            });
            compare(cell.id, &a, &b, 1e-5);
        }
    }
}

#[test]
#[wasm_bindgen_test(unsupported = test)]
fn seq2seq_alignment_reads_the_source_and_nothing_else() {
    for decoder in ["luong", "bahdanau"] {
        let mut session = session(&config("gru", decoder, 2), EngineKind::Cpu);
        for _ in 0..5 {
            session.train_step().expect("finite");
        }
        let inspection = inspect(&mut session, Query::new(Panel::Attention)).expect("an alignment");
        let (matrix, rows) = (inspection.series("matrix").unwrap(), inspection.series("rows").unwrap());
        assert_eq!(rows, [5.0, 6.0, 7.0, 8.0]);
        for row in matrix.chunks_exact(9) {
            assert!((row[..5].iter().sum::<f32>() - 1.0).abs() < 1e-5 && row[..5].iter().all(|&weight| weight > 0.0));
            assert!(row[5..].iter().all(|&weight| weight == 0.0));
        }
    }
}

/// Where the context has no weight, what is recorded step by step is the decoder without attention: states, adjoints and credit.
#[test]
#[wasm_bindgen_test(unsupported = test)]
fn seq2seq_decoder_that_ignores_its_context_is_the_one_without_attention() {
    for cell in cells() {
        for layers in [1, 2] {
            let mut one = session(&config(cell.id, "own", layers), EngineKind::Reference);
            let mut two = session(&config(cell.id, "bahdanau", layers), EngineKind::Reference);
            for parameter in one.parameters().to_vec() {
                let mut values = one.parameter(&parameter.name);
                if parameter.name == "decoder.weight_ih_l0" {
                    let wide = parameter.shape[1];
                    let padded = values.chunks_exact(wide).map(|row| [row, &[0.0; 5]].concat());
                    values = padded.flatten().collect();
                }
                two.set_parameter(&parameter.name, &values);
            }
            let options = FrameOptions { sequence: 2, loss_at: LossAt::Task };
            let [a, b] = [&mut one, &mut two].map(|session| frame(session, options).expect("a frame"));
            compare(cell.id, &a.data, &b.data, 1e-6);
            let [a, b] = [&mut one, &mut two].map(|session| {
                let query = Query { row: layers - 1, ..Query::new(Panel::Credit(unroll::lens::Of::Output)) };
                inspect(session, query).expect("a credit matrix").series("matrix").expect("a matrix").to_vec()
            });
            compare(cell.id, &a, &b, 1e-5);
        }
    }
}

/// Equal numbers at equal places.
fn compare(what: &str, a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        let is_near = (a - b).abs() <= tolerance * a.abs().max(1e-6);
        assert!((a.is_nan() && b.is_nan()) || is_near, "{what}: {at}: {a} {b}");
    }
}

/// Greedy decoding says at each step what the network says when it is given, by hand, what it said before.
#[test]
#[wasm_bindgen_test(unsupported = test)]
fn seq2seq_greedy_decoding_reads_its_own_answers() {
    for (model, decoder) in [("elman", "same"), ("lstm", "own"), ("gru", "luong"), ("lstm", "bahdanau")] {
        let mut session = session(&config(model, decoder, 1), EngineKind::Cpu);
        for _ in 0..30 {
            session.train_step().expect("finite");
        }
        let options = FrameOptions { sequence: 1, loss_at: LossAt::Task };
        let scene = frame(&mut session, options).expect("a frame");
        let said = &scene.data[scene.header.probe.said_offset.expect("a source")..][..4];
        let mut batch = session.probe_batch().clone();
        for (u, &class) in said.iter().enumerate() {
            let outputs = session.gradients(&batch).expect("a batch of the task").outputs;
            let logits = &outputs[((5 + u) * batch.batch + 1) * 3..][..3];
            assert!(logits.iter().all(|&logit| logit <= logits[class as usize]), "{model} {u}");
            if u < 3 {
                batch.symbols[(6 + u) * batch.batch + 1] = class as u32;
            }
        }
        let evaluation = session.evaluate();
        let exact = evaluation.exact.expect("a source");
        assert!((0.0..=1.0).contains(&exact) && exact <= evaluation.accuracy + 1e-9, "{evaluation:?}");
    }
}

#[test]
#[wasm_bindgen_test(unsupported = test)]
fn seq2seq_refuses_what_has_no_meaning() {
    let refused = |model: Json, task: Json| {
        let config = json!({ "task": task, "model": model });
        let error = Config::read(value(&config)).and_then(|config| Session::new(config, EngineKind::Cpu)).err();
        error.unwrap_or_else(|| panic!("{config} is taken")).to_string()
    };
    let (adding, reversal) = (json!({ "id": "adding" }), json!({ "id": "reversal" }));
    for (model, task) in [
        (json!({ "id": "gru", "decoder": "own" }), &adding),
        (json!({ "id": "gru", "decoder": "own", "window": 3 }), &reversal),
        (json!({ "id": "gru", "decoder": "luong", "bidirectional": true }), &reversal),
        (json!({ "id": "transformer", "decoder": "own" }), &reversal),
        (json!({ "id": "gru", "decoder": "other" }), &reversal),
    ] {
        let sentence = refused(model, task.clone());
        assert!(sentence.contains("model.decoder"), "{sentence}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod long {
    use super::*;

    /// Share of right answers and of wholly right sequences after some steps of Adam, learning rate 5e-3 and in the last fifth a tenth of
    /// that, clip 1.
    fn trained(task: Json, model: Json, batch: usize, steps: u64) -> (Session, f64, f64) {
        let config = json!({
            "task": task, "model": model, "batch": batch, "seed": 1,
            "optimiser": { "id": "adam", "lr": 5e-3 }, "clip": { "kind": "norm", "at": 1.0 },
        });
        let mut session = session(&config, EngineKind::Cpu);
        for step in 0..steps {
            if step == steps / 5 * 4 {
                session.set_hyper(value(&json!({ "lr": 5e-4 }))).expect("an option of Adam");
            }
            session.train_step().expect("finite");
        }
        let evaluation = session.evaluate();
        let exact = evaluation.exact.expect("a source");
        println!("{config}: accuracy {:.4}, exact {exact:.4}", evaluation.accuracy);
        (session, evaluation.accuracy, exact)
    }

    /// GRU of 48 units, 2,500 steps of 32 sequences: length 10 is reversed wholly, and the alignment is the anti-diagonal.
    fn reads_backwards(decoder: &str) {
        let model = json!({ "id": "gru", "hidden": 48, "decoder": decoder });
        let (mut session, _, exact) = trained(json!({ "id": "reversal", "length": 20 }), model, 32, 2500);
        assert!(exact >= 0.99, "{exact}");
        let inspection = inspect(&mut session, Query::new(Panel::Attention)).expect("an alignment");
        let matrix = inspection.series("matrix").unwrap();
        let (mut on, mut largest) = (0.0, 0);
        for (u, row) in matrix.chunks_exact(20).enumerate() {
            let best = (0..20).fold(0, |best, at| if row[at] > row[best] { at } else { best });
            println!("step {u}: reads {best} with {:.2}", row[best]);
            // The state that says symbol u has been read one step before or after it.
            largest += usize::from(best.abs_diff(9 - u) <= 1);
            on += row[(9 - u).saturating_sub(1)..=(10 - u).min(9)].iter().sum::<f32>() / 10.0;
        }
        assert!(largest >= 9 && on >= 0.6, "{largest} rows of 10 near the anti-diagonal, weight {on}");
    }

    #[test]
    fn seq2seq_reversal_with_luong_attention_is_exact_and_reads_backwards() {
        reads_backwards("luong");
    }

    #[test]
    fn seq2seq_reversal_with_bahdanau_attention_is_exact_and_reads_backwards() {
        reads_backwards("bahdanau");
    }

    /// The same budget without attention: the longer the string, the fewer are wholly right; with attention they stay right.
    #[test]
    fn seq2seq_reversal_without_attention_falls_with_length() {
        let exact = |decoder: &str, length: usize| {
            let model = json!({ "id": "gru", "hidden": 48, "decoder": decoder });
            trained(json!({ "id": "reversal", "length": length }), model, 32, 2500).2
        };
        let without = [10, 20, 40].map(|length| exact("own", length));
        assert!(without[0] > without[1] + 0.02 && without[1] > without[2] + 0.5, "{without:?}");
        assert!(exact("luong", 40) > without[2] + 0.5);
    }

    /// LSTM of 64 units with attention, 2,500 steps of 64 sums at learning rate 2e-3, then 500 at a tenth of it: three digits.
    #[test]
    fn seq2seq_addition_of_three_digits_is_exact() {
        let config = json!({
            "task": { "id": "addition" }, "model": { "id": "lstm", "hidden": 64, "decoder": "luong" }, "batch": 64, "seed": 1,
            "optimiser": { "id": "adam", "lr": 2e-3 }, "clip": { "kind": "norm", "at": 1.0 },
        });
        let mut session = session(&config, EngineKind::Cpu);
        for step in 0..3000 {
            if step == 2500 {
                session.set_hyper(value(&json!({ "lr": 2e-4 }))).expect("an option of Adam");
            }
            session.train_step().expect("finite");
        }
        let evaluation = session.evaluate();
        println!("{evaluation:?}");
        assert!(evaluation.exact.expect("a source") >= 0.95, "{evaluation:?}");
    }
}
