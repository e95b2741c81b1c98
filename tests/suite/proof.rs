//! What is tried beside training: the gradient check, the next update and the next batch, another window.

use crate::identities::config;
use crate::support::{close_relative, norm, relative, session};
use serde_json::json;
use unroll::kernels::recurrence::Cell;
use unroll::lens::{Agreement, FrameOptions, Panel, Query, Verdict, agreements, frame, inspect};
use unroll::nn::{ARCHITECTURES, cells};
use unroll::tasks::Batch;
use unroll::train::{EngineKind, LossAt, Session};
use wasm_bindgen_test::wasm_bindgen_test;

fn train(session: &mut Session, steps: usize) {
    for _ in 0..steps {
        session.train_step().expect("finite");
    }
}

fn check(session: &mut Session, spoil: impl FnOnce(&Session, &mut [f64])) -> Vec<Agreement> {
    let trial = session.trial(8).expect("it fits");
    let mut gradient = session.trial_gradient(&trial);
    spoil(session, &mut gradient);
    agreements(session, &trial, &gradient)
}

/// Where a parameter lies among all.
fn place(session: &Session, at: usize) -> std::ops::Range<usize> {
    let parameter = &session.parameters()[at];
    parameter.offset..parameter.offset + parameter.len()
}

/// True where rounding of the loss hides the derivative: blocks hardly read some of their parameters at the start.
fn is_hidden(cell: &Cell, of: &Agreement) -> bool {
    let size = of.backpropagation.abs().max(of.differences.abs());
    cell.block().is_some() && size < 1e-3
}

#[wasm_bindgen_test(unsupported = test)]
fn the_gradient_agrees_with_finite_differences_before_and_after_training() {
    for cell in ARCHITECTURES {
        for (task, layers, steps) in [("adding", 1, 0), ("parity", 2, 30), ("sine", 1, 60)] {
            let more = if cell.block().is_none() { json!({ "window": 5 }) } else { json!({}) };
            let config = config(json!({ "id": task, "length": 12 }), cell.id, 9, layers, &more);
            let mut of_kind = Vec::new();
            for kind in [EngineKind::Reference, EngineKind::Cpu] {
                let mut session = session(&config, kind);
                train(&mut session, steps);
                let values = session.values();
                let all = check(&mut session, |_, _| ());
                for (parameter, agreement) in session.parameters().iter().zip(&all) {
                    let what = format!("{}, {task}, {kind:?}, {}: {agreement:?}", cell.id, parameter.name);
                    let is_right = match is_hidden(cell, agreement) {
                        true => agreement.verdict() != Verdict::Differs,
                        false => agreement.verdict() == Verdict::Agrees,
                    };
                    assert!(is_right, "{what}, {}", agreement.relative());
                }
                assert_eq!(session.values(), values);
                of_kind.push(all);
            }
            // In f32 the check finds what it finds in f64.
            if steps == 0 {
                for (reference, cpu) in of_kind[0].iter().zip(&of_kind[1]) {
                    // Behind a weight that begins with 0, nothing is read yet.
                    if reference.backpropagation == 0.0 {
                        assert_eq!([reference.differences, cpu.backpropagation, cpu.differences], [0.0; 3]);
                        continue;
                    }
                    close_relative("g", cpu.backpropagation, reference.backpropagation, 1e-5);
                    close_relative("differences", cpu.differences, reference.differences, cpu.tolerance());
                    assert!(reference.relative() < 1e-5, "{reference:?}");
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_wrong_gradient_is_found_in_the_parameter_that_has_it() {
    for cell in cells() {
        let config = config(json!({ "id": "adding", "length": 12 }), cell.id, 9, 2, &json!({}));
        let mut session = session(&config, EngineKind::Cpu);
        train(&mut session, 5);
        for spoilt in 0..session.parameters().len() {
            // Two percent too long; and without its larger half, where nothing of what is left points the wrong way.
            let longer =
                |session: &Session, g: &mut [f64]| g[place(session, spoilt)].iter_mut().for_each(|g| *g *= 1.02);
            let halved = |session: &Session, g: &mut [f64]| {
                let (first, second) = g[place(session, spoilt)].split_at_mut(place(session, spoilt).len().div_ceil(2));
                if norm(first) >= norm(second) { first.fill(0.0) } else { second.fill(0.0) }
            };
            for all in [check(&mut session, longer), check(&mut session, halved)] {
                for (at, agreement) in all.iter().enumerate() {
                    let expected = if at == spoilt { Verdict::Differs } else { Verdict::Agrees };
                    assert_eq!(agreement.verdict(), expected, "{}, {spoilt}, {at}: {agreement:?}", cell.id);
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn no_right_gradient_is_called_wrong_on_the_way_to_a_solution() {
    for cell in ARCHITECTURES {
        let mut config = config(json!({ "id": "first-symbol", "length": 10 }), cell.id, 8, 2, &json!({}));
        config["optimiser"] = json!({ "id": "adam", "lr": 0.01 });
        let mut session = session(&config, EngineKind::Cpu);
        let (mut agreeing, mut all) = (0, 0);
        // A check of a stack of blocks takes many times as long, and a browser gives a page up that does not answer for half a minute.
        for _ in 0..if cell.block().is_some() { 10 } else { 30 } {
            train(&mut session, 20);
            for (parameter, of) in session.parameters().to_vec().iter().zip(check(&mut session, |_, _| ())) {
                let what = format!("{}, step {}, {}: {of:?}", cell.id, session.step(), parameter.name);
                assert_ne!(of.verdict(), Verdict::Differs, "{what}");
                agreeing += usize::from(of.verdict() == Verdict::Agrees);
                all += 1;
            }
        }
        // A stack of blocks has solved it after a few of these checks, and next to no gradient from then on.
        let least = if cell.block().is_some() { 8 } else { 4 };
        assert!(least * agreeing > all, "{}: {agreeing} of {all} are told", cell.id);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_proof_leaves_no_trace_and_equal_runs_have_equal_fingerprints() {
    let config = config(json!({ "id": "parity", "length": 9 }), "lstm", 6, 1, &json!({}));
    let [mut plain, mut checked] = [0, 1].map(|_| session(&config, EngineKind::Cpu));
    let mut last = Vec::new();
    for _ in 0..4 {
        train(&mut plain, 1);
        train(&mut checked, 1);
        let proof = inspect(&mut checked, Query::new(Panel::Proof)).expect("a proof");
        let n = proof.header.names.len();
        assert_eq!((n, proof.header.sequences), (checked.parameters().len(), 8));
        assert!(
            proof.series("verdict").is_some_and(|verdict| verdict == vec![1.0; n]),
            "{:?}",
            proof.series("verdict")
        );
        // Chunks of 1, 2, 4 and 8 of the timesteps.
        assert_eq!(proof.series("chunks").map(<[f32]>::len), proof.series("apart").map(<[f32]>::len));
        assert!(proof.series("apart").expect("forms").iter().all(|&apart| apart < 1e-5));
        let words = proof.series("fingerprint").expect("a fingerprint").to_vec();
        let whole = words.iter().fold(0, |whole: u64, &word| (whole << 16) | word as u64);
        assert_eq!(whole, plain.fingerprint());
        assert_ne!(words, last);
        last = words;
        inspect(&mut checked, Query::new(Panel::Update)).expect("an update");
        assert_eq!(plain.values(), checked.values());
    }
    let huge = json!({
        "task": { "id": "parity", "length": 4000 }, "model": { "id": "lstm", "hidden": 256 }, "batch": 1
    });
    let refused = inspect(&mut session(&huge, EngineKind::Cpu), Query::new(Panel::Proof)).expect_err("too much");
    assert!(refused.to_string().contains("within seconds"), "{refused}");
}

#[wasm_bindgen_test(unsupported = test)]
fn the_next_update_is_told_before_it_is_made() {
    for (task, carry) in [("adding", false), ("mackey-glass", true)] {
        for cell in ARCHITECTURES {
            let carry = carry && cell.time_loop().is_some();
            let mut config = config(json!({ "id": task, "length": 8 }), cell.id, 5, 2, &json!({ "carry": carry }));
            config["clip"] = json!({ "kind": "norm", "at": 1e-3 });
            let mut session = session(&config, EngineKind::Cpu);
            train(&mut session, 3);
            let before = session.values_f64();
            let told = inspect(&mut session, Query::new(Panel::Update)).expect("an update");
            let number = |id: &str, at: usize| f64::from(told.series(id).expect(id)[at]);
            assert_eq!(session.values_f64(), before);
            let report = session.train_step().expect("finite");
            assert_eq!(
                [number("loss", 0), number("accuracy", 0), number("norm", 0), number("coefficient", 0)],
                [report.loss, report.accuracy, report.norm, report.coefficient].map(|of| f64::from(of as f32)),
                "{}, {task}",
                cell.id
            );
            assert!(report.clipped && number("clipped", 0) == 1.0);
            // Adam's steps are as long as its rate, whatever the clipping; for a stack of blocks that is not small.
            let goes_down = number("loss", 1) < number("loss", 0);
            assert!(goes_down || cell.block().is_some(), "a small step goes down");
            let (after, gradient) = (session.values_f64(), session.gradient_f64());
            for at in 0..session.parameters().len() {
                let place = place(&session, at);
                let change: Vec<f64> =
                    after[place.clone()].iter().zip(&before[place.clone()]).map(|(a, b)| a - b).collect();
                close_relative("‖Δp‖", number("changes", at), norm(&change), 1e-6);
                close_relative("‖p‖", number("lengths", at), norm(&before[place.clone()]), 1e-6);
                close_relative("‖∂L/∂p‖", number("gradients", at), norm(&gradient[place]), 1e-6);
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn pictures_of_the_next_batch_are_of_the_batch_that_the_next_step_takes() {
    let config = config(json!({ "id": "adding", "length": 8 }), "gru", 5, 1, &json!({}));
    let mut session = session(&config, EngineKind::Cpu);
    train(&mut session, 2);
    let options = FrameOptions { sequence: 1, loss_at: LossAt::Task };
    let probe = frame(&mut session, options).expect("a frame");
    let next = session.on_next_batch(|session| frame(session, options)).expect("a frame");
    assert_eq!(next.header.n_sequences, session.config().batch);
    // The mean of the batch's losses, sequence by sequence, is the loss of the step.
    let n = session.config().batch;
    let losses = (0..n).map(|sequence| {
        let options = FrameOptions { sequence, ..options };
        let of = session.on_next_batch(|session| frame(session, options)).expect("a frame");
        f64::from(of.data[of.header.probe.loss_offset + 7])
    });
    let mean = losses.sum::<f64>() / n as f64;
    let again = frame(&mut session, options).expect("a frame");
    // NaN stands where there is no target.
    assert!(again.data.iter().zip(&probe.data).all(|(a, b)| a.to_bits() == b.to_bits()));
    close_relative("the loss", mean, session.train_step().expect("finite").loss, 1e-5);
}

#[wasm_bindgen_test(unsupported = test)]
fn another_window_is_as_if_the_session_had_begun_with_it() {
    for cell in cells() {
        let of = |window: serde_json::Value| {
            let task = json!({ "id": "adding", "length": 12 });
            session(&config(task, cell.id, 5, 2, &json!({ "window": window })), EngineKind::Cpu)
        };
        let (mut changed, mut fresh) = (of(json!(null)), of(json!(4)));
        frame(&mut changed, FrameOptions { sequence: 0, loss_at: LossAt::Task }).expect("a frame");
        changed.set_window(Some(4)).expect("a window");
        let caller = Batch::zeros(fresh.form(), 3);
        for _ in 0..3 {
            assert_eq!(changed.train_step(), fresh.train_step());
            let [a, b] = [&mut changed, &mut fresh].map(|session| {
                let gradient = session.gradients(&caller).expect("a batch").gradient;
                (frame(session, FrameOptions { sequence: 0, loss_at: LossAt::Task }).expect("a frame").data, gradient)
            });
            assert!(a.0.iter().zip(&b.0).all(|(a, b)| a.to_bits() == b.to_bits()));
            assert_eq!(a.1, b.1);
        }
        changed.set_window(None).expect("no window");
        let free = frame(&mut changed, FrameOptions { sequence: 0, loss_at: LossAt::Task }).expect("a frame");
        let ribbon = |of: &unroll::lens::Frame| of.data[of.header.rows[0].ribbons[0].offset..][..12].to_vec();
        assert!(ribbon(&free).iter().all(|&median| median > 0.0));
        let cut = frame(&mut fresh, FrameOptions { sequence: 0, loss_at: LossAt::Task }).expect("a frame");
        assert!(ribbon(&cut)[..8].iter().all(|&median| median == 0.0) && ribbon(&cut)[8..].iter().all(|&m| m > 0.0));
        assert!(changed.set_window(Some(0)).is_err());
        let values = |session: &Session| session.values_f64();
        assert!(relative(&values(&changed), &values(&fresh)) == 0.0);
    }
}
