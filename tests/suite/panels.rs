//! What panels show, against exact answers and against the independent pass of the identities.

use crate::identities::{Edit, Plain, Step, config, jacobian};
use crate::support::{close, close_relative, session};
use nalgebra::DMatrix;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use unroll::lens::cliff::{Point, fixed_point, folds, wall};
use unroll::lens::{FrameOptions, Inspection, Of, Panel, Poked, Query, Traced, frame, inspect, quantile};
use unroll::nn::{ARCHITECTURES, cells};
use unroll::train::{EngineKind, LossAt, Session};
use wasm_bindgen_test::wasm_bindgen_test;

fn look(session: &mut Session, panel: Panel, row: usize) -> Inspection {
    ask(session, Query { row, sequence: 1, ..Query::new(panel) })
}

fn ask(session: &mut Session, query: Query) -> Inspection {
    inspect(session, query).expect("a panel")
}

fn train(session: &mut Session, steps: usize) {
    for _ in 0..steps {
        session.train_step().expect("finite");
    }
}

fn series(inspection: &Inspection, id: &str) -> Vec<f64> {
    let series = inspection.series(id).unwrap_or_else(|| panic!("no series {id}"));
    series.iter().map(|&value| f64::from(value)).collect()
}

/// An Elman network without a nonlinearity whose W_hh is ρ times an orthogonal matrix.
fn linear(rho: f64, kind: EngineKind) -> Session {
    let changes = json!({ "nonlinearity": "identity", "init": { "id": "orthogonal", "gain": rho } });
    session(&config(json!({ "id": "adding", "length": 30 }), "elman", 10, 1, &changes), kind)
}

/// The steps of probe sequence `b` through layer 1.
fn steps(session: &Session, values: &[f64], b: usize) -> Vec<Step> {
    let plain = Plain { model: session.model(), values };
    let mut states = vec![plain.zeros(); session.model().layers];
    plain.run(&plain.inputs(session.probe_batch(), b), &mut states, None).remove(0)
}

#[wasm_bindgen_test(unsupported = test)]
fn panels_of_a_linear_network_say_the_power_of_rho() {
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        for rho in [0.9, 1.1] {
            let mut session = linear(rho, kind);
            let credit = look(&mut session, Panel::Credit(Of::Output), 0);
            let (matrix, rows) = (series(&credit, "matrix"), series(&credit, "rows"));
            assert_eq!(rows, (0..30).map(f64::from).collect::<Vec<_>>());
            let head = session.parameter("head.weight").iter().map(|w| w * w).sum::<f64>().sqrt();
            for t in 0..30 {
                for k in 0..30 {
                    let expected = if k <= t { head * libm::pow(rho, (t - k) as f64) } else { 0.0 };
                    close(&format!("ρ {rho}: C[{t}, {k}]"), matrix[t * 30 + k], expected, 1e-4, expected.max(1e-30));
                }
            }
            let factors = look(&mut session, Panel::Factors, 0);
            for (id, expected) in [("step", rho), ("weight", rho), ("saturation", 1.0), ("slope", 1.0)] {
                let values = series(&factors, id);
                assert!(id == "weight" || values[0].is_nan(), "{id} of the first step");
                values[1..].iter().for_each(|&value| close_relative(id, value, expected, 1e-5));
            }
            let width = series(&look(&mut session, Panel::Pipe, 0), "width");
            let spectrum = look(&mut session, Panel::Spectrum, 0);
            let bound = series(&spectrum, "bound");
            for t in 0..30 {
                close_relative("width", width[t], libm::pow(rho, (29 - t) as f64), 1e-4);
                close_relative("bound", bound[t], libm::pow(rho, (29 - t) as f64), 1e-5);
            }
            for value in series(&spectrum, "eigenvalues").chunks_exact(2) {
                close_relative("modulus", libm::hypot(value[0], value[1]), rho, 1e-6);
            }
            series(&spectrum, "singular").iter().for_each(|&value| close_relative("singular value", value, rho, 1e-6));
            close_relative("radius", series(&spectrum, "radius")[0], rho, 1e-6);
            // A state that is poked: ‖Δh_t‖ = |δ| ρ^(t−k).
            let query = Query { step: Some(9), unit: 4, by: -0.5, ..Query::new(Panel::Poke(Poked::State)) };
            let ripple = series(&ask(&mut session, query), "ripple");
            assert!(ripple[..9].iter().all(|ripple| ripple.is_nan()));
            (9..30).for_each(|t| close_relative("ripple", ripple[t], 0.5 * libm::pow(rho, (t - 9) as f64), 1e-4));
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_last_row_of_the_credit_matrix_is_the_ribbon_of_the_loss_at_the_last_step() {
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        for cell in cells() {
            let config = config(json!({ "id": "parity", "length": 12 }), cell.id, 7, 2, &json!({}));
            let mut session = session(&config, kind);
            train(&mut session, 3);
            let scene = frame(&mut session, FrameOptions { sequence: 0, loss_at: LossAt::Last }).expect("a frame");
            for (row, header) in scene.header.rows.iter().enumerate() {
                let credit = look(&mut session, Panel::Credit(Of::Loss), row);
                assert_eq!((credit.header.sequences, &credit.header.row), (16, &header.id));
                assert_eq!(credit.header.state, header.ribbons[0].id);
                let matrix = series(&credit, "matrix");
                for t in 0..12 {
                    let ribbon = f64::from(scene.data[header.ribbons[0].offset + t]);
                    let what = format!("{}, {}: step {t}", cell.id, header.id);
                    close(&what, matrix[matrix.len() - 12 + t], ribbon, 1e-5, ribbon.max(1e-30));
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_credit_matrix_is_a_product_of_jacobians() {
    for cell in cells() {
        let config = config(json!({ "id": "temporal-order", "length": 12 }), cell.id, 5, 1, &json!({}));
        let mut session = session(&config, EngineKind::Reference);
        let credit = look(&mut session, Panel::Credit(Of::Output), 0);
        let matrix = series(&credit, "matrix");
        let values = session.values_f64();
        let plain = Plain { model: session.model(), values: &values };
        let (h, n) = (5, 5 * cell.states);
        let all: Vec<Vec<Step>> = (0..16).map(|b| steps(&session, &values, b)).collect();
        for t in 0..12 {
            let mut read = DMatrix::zeros(session.model().outputs, n);
            read.view_mut((0, 0), (session.model().outputs, h)).copy_from(&plain.matrix("head.weight"));
            let mut back = vec![read; 16];
            for k in (0..=t).rev() {
                let mut norms: Vec<f64> = Vec::new();
                for (back, steps) in back.iter_mut().zip(&all) {
                    let mut by_memory = back.columns(0, h).into_owned();
                    if cell.states == 2 {
                        // c_k is read by h_k too.
                        let slope = steps[k].after.c.map(|c| 1.0 - libm::tanh(c) * libm::tanh(c));
                        let through = DMatrix::from_diagonal(&steps[k].gates[3].component_mul(&slope));
                        by_memory = back.columns(h, h) + by_memory * through;
                    }
                    norms.push(by_memory.norm());
                    *back *= jacobian(&plain, &steps[k]);
                }
                norms.sort_by(f64::total_cmp);
                let expected = f64::from(quantile(&norms, 0.5));
                close_relative(&format!("{}: C[{t}, {k}]", cell.id), matrix[t * 12 + k], expected, 1e-6);
            }
            (t + 1..12).for_each(|k| assert_eq!(matrix[t * 12 + k], 0.0, "{}: the future", cell.id));
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_factor_chain_makes_up_the_jacobian_of_each_step() {
    for cell in cells() {
        let config = config(json!({ "id": "adding", "length": 20 }), cell.id, 6, 1, &json!({}));
        let mut session = session(&config, EngineKind::Reference);
        train(&mut session, 20);
        let factors = look(&mut session, Panel::Factors, 0);
        let of = |id: &str| series(&factors, id);
        let step = of("step");
        let values = session.values_f64();
        let plain = Plain { model: session.model(), values: &values };
        let steps = steps(&session, &values, 1);
        for t in 1..20 {
            let full = jacobian(&plain, &steps[t]);
            let mut size = full.norm();
            if cell.states == 2 {
                // c_{t−1} is read directly and through h_{t−1}, with o_{t−1} held.
                let slope = steps[t].before.c.map(|c| 1.0 - libm::tanh(c) * libm::tanh(c));
                let through = DMatrix::from_diagonal(&steps[t - 1].gates[3].component_mul(&slope));
                size = (full.view((6, 6), (6, 6)) + full.view((6, 0), (6, 6)) * through).norm();
            }
            close_relative(&format!("{}: step {t}", cell.id), step[t], size / libm::sqrt(6.0), 1e-6);
            if cell.keep.is_none() {
                close_relative("weight · saturation", of("weight")[t] * of("saturation")[t], step[t], 1e-6);
                let slope = steps[t].after.h.map(|h| 1.0 - h * h).mean();
                close_relative("mean slope", of("slope")[t], slope, 1e-6);
            } else {
                let (gate, rest) = (of("gate")[t], of("rest")[t]);
                let kept = &steps[t].gates[1];
                close_relative("gate", gate, (kept.norm_squared() / 6.0).sqrt(), 1e-6);
                assert!((gate - rest).abs() <= step[t] && step[t] <= gate + rest, "{}: step {t}", cell.id);
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_pipe_is_the_product_of_the_keep_gates() {
    for cell in cells().filter(|cell| cell.keep.is_some()) {
        let config = config(json!({ "id": "adding", "length": 20 }), cell.id, 6, 2, &json!({}));
        let mut session = session(&config, EngineKind::Reference);
        let pipe = look(&mut session, Panel::Pipe, 0);
        let (width, keep, admit) = (series(&pipe, "width"), series(&pipe, "keep"), series(&pipe, "admit"));
        let values = session.values_f64();
        let steps = steps(&session, &values, 1);
        let mut product = nalgebra::DVector::from_element(6, 1.0);
        for t in (0..20).rev() {
            close_relative("width", width[t], product.mean(), 1e-6);
            assert!(width[20 + t] <= width[t] && width[t] <= width[40 + t] || t == 19, "quantiles at {t}");
            product.component_mul_assign(&steps[t].gates[1]);
            close_relative("keep", keep[t], steps[t].gates[1].mean(), 1e-6);
            let expected = if cell.id == "lstm" { steps[t].gates[0].mean() } else { 1.0 - keep[t] };
            close_relative("admit", admit[t], expected, 1e-5);
        }
        assert_eq!(pipe.series("emit").is_some(), cell.id == "lstm");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn an_open_keep_gate_gives_a_flat_pipe() {
    for cell in cells().filter(|cell| cell.keep.is_some()) {
        for kind in [EngineKind::Reference, EngineKind::Cpu] {
            let config = config(json!({ "id": "adding", "length": 20 }), cell.id, 6, 1, &json!({}));
            let mut session = session(&config, kind);
            // σ(1000) is 1, exactly; of an LSTM, the input gate is shut too.
            session.set_keep_bias(1000.0).expect("a keep gate");
            if let Some(admit) = cell.admit {
                let mut bias = session.parameter("rnn.bias_ih_l0");
                bias[admit * 6..][..6].fill(-1000.0);
                session.set_parameter("rnn.bias_ih_l0", &bias);
            }
            let pipe = look(&mut session, Panel::Pipe, 0);
            assert!(series(&pipe, "width").iter().all(|&width| width == 1.0), "{}", cell.id);
            // The fast σ of an LSTM never gives 0.
            assert!(series(&pipe, "admit").iter().all(|&admit| admit < 1e-30), "{}", cell.id);
            let step = series(&look(&mut session, Panel::Factors, 0), "step");
            assert!(step[1..].iter().all(|&step| step == 1.0), "{}: {step:?}", cell.id);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_keep_bias_moves_as_a_whole() {
    for cell in cells() {
        let config = config(json!({ "id": "adding", "length": 10 }), cell.id, 6, 2, &json!({}));
        let mut session = session(&config, EngineKind::Reference);
        let before = session.parameter("rnn.bias_ih_l1");
        let Some(old) = session.keep_bias(1, false) else {
            assert!(session.set_keep_bias(3.0).is_err(), "{}", cell.id);
            assert_eq!(session.parameter("rnn.bias_ih_l1"), before);
            continue;
        };
        session.set_keep_bias(3.0).expect("a keep gate");
        for layer in 0..2 {
            close_relative("mean", session.keep_bias(layer, false).expect("a keep gate"), 3.0, 1e-12);
        }
        let bias = look(&mut session, Panel::Pipe, 1);
        close_relative("the pipe's bias", series(&bias, "bias")[0], 3.0, 1e-6);
        let keep = cell.keep.expect("a keep gate") * 6;
        for (at, (after, before)) in session.parameter("rnn.bias_ih_l1").iter().zip(&before).enumerate() {
            let opening = if cell.overwrites { old - 3.0 } else { 3.0 - old };
            let by = if (keep..keep + 6).contains(&at) { opening } else { 0.0 };
            close("moved by", after - before, by, 1e-12, 1.0);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn panels_of_both_directions_look_at_their_row() {
    for cell in cells() {
        let model = json!({ "bidirectional": true });
        let mut session =
            session(&config(json!({ "id": "parity", "length": 9 }), cell.id, 6, 2, &model), EngineKind::Cpu);
        train(&mut session, 3);
        for row in 0..4 {
            for &(name, panel) in Panel::ALL {
                let seen = inspect(&mut session, Query { row, step: Some(4), ..Query::new(panel) });
                if panel == Panel::Poke(Poked::State) {
                    assert!(seen.is_err(), "{}: a changed state has no single future", cell.id);
                    continue;
                }
                let seen = seen.unwrap_or_else(|error| panic!("{}, {name}: {error}", cell.id));
                assert_eq!(seen.header.row, ["l0", "l0_reverse", "l1", "l1_reverse"][row]);
                if panel == Panel::Poke(Poked::Input) {
                    // A row has seen the change from k on in its own direction; a row above, everywhere.
                    for (t, ripple) in series(&seen, "ripple").into_iter().enumerate() {
                        let has_seen = [t >= 4, t <= 4, true, true][row];
                        assert_eq!(ripple > 0.0, has_seen, "{}, row {row}, step {t}: {ripple}", cell.id);
                    }
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn looking_at_panels_does_not_disturb_training() {
    for cell in cells() {
        let config = config(json!({ "id": "first-symbol", "length": 15 }), cell.id, 9, 1, &json!({}));
        let losses = |looks: bool| {
            let mut session = session(&config, EngineKind::Cpu);
            let step = |_| {
                for &(_, panel) in Panel::ALL.iter().filter(|_| looks) {
                    look(&mut session, panel, 0);
                }
                session.train_step().expect("finite").loss.to_bits()
            };
            (0..8).map(step).collect::<Vec<_>>()
        };
        assert_eq!(losses(true), losses(false), "{}", cell.id);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_spectrum_is_that_of_the_block_and_can_be_rescaled() {
    for cell in cells().filter(|cell| !cell.recurrent.is_empty()) {
        let config = config(json!({ "id": "adding", "length": 10 }), cell.id, 8, 2, &json!({}));
        let mut session = session(&config, EngineKind::Reference);
        for row in 0..2 {
            for block in 0..cell.blocks.len() {
                let values = session.values_f64();
                let plain = Plain { model: session.model(), values: &values };
                let matrix = plain.matrix(&format!("rnn.weight_hh_l{row}")).rows(block * 8, 8).into_owned();
                let query = Query { row, block: Some(block), ..Query::new(Panel::Spectrum) };
                let spectrum = ask(&mut session, query);
                let eigen = series(&spectrum, "eigenvalues");
                let product = (0..8).fold((1.0, 0.0), |(re, im), n| {
                    let (a, b) = (eigen[2 * n], eigen[2 * n + 1]);
                    (re * a - im * b, re * b + im * a)
                });
                // Trace and determinant; singular values by another algorithm.
                close("trace", eigen.iter().step_by(2).sum(), matrix.trace(), 1e-5, 1.0);
                close("determinant", product.0, matrix.determinant(), 1e-5, 1.0);
                close("imaginary part", product.1, 0.0, 1e-6, 1.0);
                let mut expected: Vec<f64> = matrix.singular_values().iter().copied().collect();
                expected.sort_by(|a, b| b.total_cmp(a));
                for (got, expected) in series(&spectrum, "singular").iter().zip(expected) {
                    close("singular value", *got, expected, 1e-6, 1.0);
                }
                assert_eq!(spectrum.series("bound").is_some(), cell.keep.is_none());
                session.set_spectral_radius(row, block, 0.9).expect("a block");
                close_relative("radius", series(&ask(&mut session, query), "radius")[0], 0.9, 1e-6);
            }
            // Nothing else has moved.
            let values = session.values_f64();
            let others: Vec<String> = session.parameters().iter().map(|p| p.name.clone()).collect();
            let others = || others.iter().filter(|name| **name != format!("rnn.weight_hh_l{row}"));
            let before: Vec<Vec<f64>> = others().map(|name| session.parameter(name)).collect();
            session.set_spectral_radius(row, 0, 0.7).expect("a block");
            let after: Vec<Vec<f64>> = others().map(|name| session.parameter(name)).collect();
            assert_eq!(before, after);
            assert_ne!(values, session.values_f64());
        }
        assert!(session.set_spectral_radius(2, 0, 0.9).is_err());
        assert!(session.set_spectral_radius(0, cell.blocks.len(), 0.9).is_err());
        session.set_parameter("rnn.weight_hh_l0", &vec![0.0; cell.blocks.len() * 64]);
        assert!(session.set_spectral_radius(0, 0, 0.9).is_err(), "{}: nothing to rescale", cell.id);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_spectrum_of_a_diagonal_cell_is_that_of_its_mean_step() {
    for cell in cells().filter(|cell| cell.recurrent.is_empty()) {
        let config = config(json!({ "id": "adding", "length": 10 }), cell.id, 8, 2, &json!({}));
        let mut session = session(&config, EngineKind::Reference);
        let spectrum = look(&mut session, Panel::Spectrum, 1);
        let values = session.values_f64();
        let plain = Plain { model: session.model(), values: &values };
        let inputs = plain.inputs(session.probe_batch(), 1);
        let steps = plain.run(&inputs, &mut [plain.zeros(), plain.zeros()], None).remove(1);
        let product =
            steps[1..].iter().fold(DMatrix::identity(8, 8), |all: DMatrix<f64>, step| jacobian(&plain, step) * all);
        let mut expected: Vec<f64> = product.diagonal().iter().map(|value| libm::pow(*value, 1.0 / 9.0)).collect();
        expected.sort_by(|a, b| b.total_cmp(a));
        let (eigen, singular) = (series(&spectrum, "eigenvalues"), series(&spectrum, "singular"));
        for (at, expected) in expected.iter().enumerate() {
            close_relative(cell.id, eigen[2 * at], *expected, 1e-6);
            assert_eq!((eigen[2 * at + 1], eigen[2 * at]), (0.0, singular[at]));
        }
        assert_eq!(series(&spectrum, "radius"), singular[..1]);
        assert!(session.set_spectral_radius(0, 0, 0.9).is_err(), "{}: there is no W_hh to rescale", cell.id);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_ledger_adds_up_to_the_gradient_of_the_recurrent_weight() {
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        for cell in cells() {
            // Where there is none, that of the input takes its place.
            let weight = if cell.recurrent.is_empty() { "weight_ih" } else { "weight_hh" };
            let config = config(json!({ "id": "parity", "length": 9 }), cell.id, 6, 2, &json!({}));
            let mut session = session(&config, kind);
            train(&mut session, 5);
            let probe = session.probe_batch().clone();
            let gradient = session.gradients(&probe).expect("the probe is a batch").gradient;
            for row in 0..2 {
                let name = format!("rnn.{weight}_l{row}");
                let parameter = session.parameters().iter().find(|p| p.name == name).expect("a weight").clone();
                let expected: Vec<f64> =
                    gradient[parameter.offset..][..parameter.len()].iter().map(|&g| f64::from(g)).collect();
                let norm = expected.iter().map(|g| g * g).sum::<f64>().sqrt();
                let ledger = look(&mut session, Panel::Ledger, row);
                assert_eq!(ledger.header.sequences, 16);
                let segments = series(&ledger, "segments");
                assert!(segments[0] == 0.0 || weight == "weight_ih", "before the first step there is no state");
                close_relative("‖G‖", series(&ledger, "norm")[0], norm, 1e-5);
                close_relative("the sum of the segments", segments.iter().sum(), norm, 1e-5);
                let mut sum = vec![0.0; expected.len()];
                for t in 0..9 {
                    let query = Query { row, step: Some(t), ..Query::new(Panel::Ledger) };
                    let product = series(&ask(&mut session, query), "product");
                    let along: f64 = product.iter().zip(&expected).map(|(a, b)| a * b).sum();
                    close(&format!("{}: segment {t}", cell.id), segments[t], along / norm, 1e-5, norm);
                    sum.iter_mut().zip(product).for_each(|(sum, of)| *sum += of);
                }
                for (got, expected) in sum.iter().zip(&expected) {
                    close(&format!("{}: Σ G_t", cell.id), *got, *expected, 1e-5, norm);
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_poke_gives_the_difference_of_two_runs() {
    for cell in cells() {
        for task in ["adding", "parity"] {
            let config = config(json!({ "id": task, "length": 12 }), cell.id, 5, 2, &json!({}));
            let mut session = session(&config, EngineKind::Reference);
            train(&mut session, 3);
            let values = session.values_f64();
            let model = session.model().clone();
            let plain = Plain { model: &model, values: &values };
            let run = |inputs: &[nalgebra::DVector<f64>], edit: Option<Edit>| {
                plain.run(inputs, &mut [plain.zeros(), plain.zeros()], edit)
            };
            let x = plain.inputs(session.probe_batch(), 1);
            let before = run(&x, None);
            let memory = |step: &Step| if cell.states == 2 { step.after.c.clone() } else { step.after.h.clone() };
            let k = 4;
            let mut poked = x.clone();
            let unit = if task == "adding" {
                poked[k][1] += 0.25;
                1
            } else {
                poked[k] = poked[k].map(|one| 1.0 - one);
                usize::from(poked[k][1] == 1.0)
            };
            let after = run(&poked, None);
            for row in 0..2 {
                let query =
                    Query { row, sequence: 1, step: Some(k), unit, by: 0.25, ..Query::new(Panel::Poke(Poked::Input)) };
                let poke = ask(&mut session, query);
                let (ripple, output) = (series(&poke, "ripple"), series(&poke, "output"));
                for t in 0..12 {
                    if t < k {
                        assert!(ripple[t].is_nan() && output[t].is_nan());
                        continue;
                    }
                    let expected = (memory(&after[row][t]) - memory(&before[row][t])).norm();
                    close_relative(&format!("{}, {task}: ripple {t}", cell.id), ripple[t], expected, 1e-6);
                    let top = &after[1][t].after.h - &before[1][t].after.h;
                    close_relative("output", output[t], (plain.matrix("head.weight") * top).norm(), 1e-6);
                }
            }
            // A state, where it is the only one: that of an LSTM is changed without its h.
            if cell.states == 1 {
                let edit = Edit { layer: 0, t: k, state: 0, unit: 3, by: 0.5 };
                let after = run(&x, Some(edit));
                let query =
                    Query { sequence: 1, step: Some(k), unit: 3, by: 0.5, ..Query::new(Panel::Poke(Poked::State)) };
                let ripple = series(&ask(&mut session, query), "ripple");
                for t in k..12 {
                    let expected = (&after[0][t].after.h - &before[0][t].after.h).norm();
                    close_relative(&format!("{}, {task}: state, {t}", cell.id), ripple[t], expected, 1e-6);
                }
            } else {
                let query = Query { step: Some(k), unit: 3, by: 0.5, ..Query::new(Panel::Poke(Poked::State)) };
                let ripple = series(&ask(&mut session, query), "ripple");
                // One step on, c has changed by f δ alone: h is held.
                let (sequence, t) = (0, k + 1);
                let x = plain.inputs(session.probe_batch(), sequence);
                let f = run(&x, None)[0][t].gates[1][3];
                close_relative("one step", ripple[t], 0.5 * f, 1e-6);
            }
            let last = Query { step: Some(11), ..Query::new(Panel::Poke(Poked::State)) };
            assert_eq!(series(&ask(&mut session, last), "ripple")[11], 1.0);
            let none = Query { unit: 5, ..Query::new(Panel::Poke(Poked::State)) };
            assert!(inspect(&mut session, none).is_err());
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_cliff_has_its_folds_and_its_wall_where_they_are_known() {
    let [upper, lower] = folds(5.0).expect("two folds");
    for (got, expected) in upper.iter().chain(&lower).zip([-2.65561, 0.96242, -2.34439, -0.96242]) {
        assert!((got - expected).abs() < 5e-6, "{got}, expected {expected}");
    }
    for [b, h] in [upper, lower] {
        let [at, slope] = fixed_point(5.0, h);
        assert!((at - b).abs() < 1e-12 && (slope - 1.0).abs() < 1e-12);
    }
    assert!(folds(4.0).is_none() && folds(3.0).is_none());
    for (w, b) in
        [(4.0, -2.012), (4.5, -2.304), (5.0, -2.614), (5.5, -2.924), (6.0, -3.236), (6.5, -3.546), (7.0, -3.858)]
    {
        assert!((wall(w) - b).abs() < 2.5e-3, "w {w}: {}, expected {b}", wall(w));
    }
    // Across it, from one stable state to the other: L falls from 0.342 to 0.008, and from there it rises again.
    let [before, after] = [-1e-3, 1e-3].map(|by| Point::at(5.0, wall(5.0) + by));
    assert!((before.loss - 0.342).abs() < 1e-3 && (after.loss - 0.009).abs() < 2e-3, "{before:?} {after:?}");
    assert!(before.state < lower[1] && after.state > upper[1]);
    // At w = 4 and above b = −2, the largest gradient of the window.
    let mut norms = Vec::new();
    for at in 0..401 * 401 {
        let point = Point::at(4.0 + 4.0 * f64::from(at % 401) / 400.0, -4.0 + 4.0 * f64::from(at / 401) / 400.0);
        norms.push((point.norm(), point.w, point.b));
    }
    norms.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (most, w, b) = norms[401 * 401 - 1];
    assert!((most - 440.0).abs() < 1.0 && (w - 4.69).abs() < 5e-3 && (b + 2.42).abs() < 5e-3, "{most} at {w}, {b}");
    close_relative("median norm", norms[401 * 401 / 2].0, 0.0176, 5e-3);
}

#[wasm_bindgen_test(unsupported = test)]
fn the_gradient_of_the_cliff_is_that_of_finite_differences() {
    for (w, b) in [(4.2, -1.7), (5.0, -2.0), (5.0, -2.7), (6.3, -3.1), (4.69, -2.43), (7.0, -4.0)] {
        let point = Point::at(w, b);
        let by = 1e-6;
        let slope = |a: Point, b: Point| (b.loss - a.loss) / (2.0 * by);
        let expected =
            [slope(Point::at(w - by, b), Point::at(w + by, b)), slope(Point::at(w, b - by), Point::at(w, b + by))];
        for (got, expected) in point.gradient.iter().zip(expected) {
            close(&format!("at {w}, {b}"), *got, expected, 1e-5, point.norm());
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn clipped_descent_goes_no_farther_than_its_threshold_and_plain_descent_leaps_off_the_wall() {
    let start = Point::at(5.9, -2.6);
    let [plain, clipped] = [f64::INFINITY, 0.1].map(|threshold| start.descend(0.5, threshold, 80));
    assert_eq!((plain.len(), clipped.len()), (81, 81));
    let lengths = |way: &[Point]| -> Vec<f64> {
        way.windows(2).map(|pair| libm::hypot(pair[1].w - pair[0].w, pair[1].b - pair[0].b)).collect()
    };
    for (at, length) in lengths(&plain).iter().enumerate() {
        close_relative("a plain step", *length, 0.5 * plain[at].norm(), 1e-9);
    }
    for (at, length) in lengths(&clipped).iter().enumerate() {
        close_relative("a clipped step", *length, 0.5 * clipped[at].norm().min(0.1), 1e-9);
    }
    let longest = lengths(&plain).into_iter().fold(0.0, f64::max);
    assert!(longest > 1.2 && plain[80].loss > 0.2 && clipped[80].loss < 0.01, "{longest}");
    // Parameters that run away end the way, and nothing that is not finite is told.
    let wild = Point::at(4.69, -2.43).descend(f64::INFINITY, f64::INFINITY, 80);
    assert_eq!(wild.len(), 1);
}

/// An Elman network of two units that reads nothing, with a given recurrent matrix and bias.
fn alone(nonlinearity: &str, weight: [f64; 4], bias: [f64; 2], kind: EngineKind) -> Session {
    let changes = json!({ "nonlinearity": nonlinearity });
    let mut session = session(&config(json!({ "id": "adding", "length": 20 }), "elman", 2, 1, &changes), kind);
    session.set_parameter("rnn.weight_ih_l0", &[0.0; 4]);
    session.set_parameter("rnn.weight_hh_l0", &weight);
    session.set_parameter("rnn.bias_ih_l0", &bias);
    session.set_parameter("rnn.bias_hh_l0", &[0.0; 2]);
    session
}

#[wasm_bindgen_test(unsupported = test)]
fn the_portrait_of_a_linear_network_turns_around_its_fixed_point() {
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        for rho in [0.8, 1.1] {
            // W = ρQ, Q a turn by a fifth of a right angle, and h* = (I − W)⁻¹ b.
            let (sin, cos) = libm::sincos(std::f64::consts::PI / 10.0);
            let weight = [rho * cos, -rho * sin, rho * sin, rho * cos];
            let bias = [0.3, -0.2];
            let mut session = alone("identity", weight, bias, kind);
            let w = DMatrix::from_row_slice(2, 2, &weight);
            let rest = (DMatrix::identity(2, 2) - &w).try_inverse().expect("a fixed point")
                * DMatrix::from_row_slice(2, 1, &bias);
            let portrait = look(&mut session, Panel::Portrait(Traced::Output), 0);
            let fixed = series(&portrait, "fixed");
            assert_eq!(fixed.len(), 3, "{fixed:?}");
            for (got, expected) in fixed.iter().zip([rest[0], rest[1], rho]) {
                close_relative(&format!("ρ {rho}: fixed point"), *got, expected, 1e-3);
            }
            let flow = series(&portrait, "flow");
            assert_eq!(flow.len(), 4 * 15 * 15);
            for arrow in flow.chunks_exact(4) {
                for (unit, got) in arrow[2..].iter().enumerate() {
                    let expected = weight[2 * unit] * arrow[0] + weight[2 * unit + 1] * arrow[1] + bias[unit];
                    close("F(h)", *got, expected, 1e-5, 1.0);
                }
            }
            // The trajectory obeys the same map, from 0 on; the axes are the units.
            let (x, y) = (series(&portrait, "x"), series(&portrait, "y"));
            let mut h = [0.0, 0.0];
            for t in 0..20 {
                h = [0, 1].map(|unit| weight[2 * unit] * h[0] + weight[2 * unit + 1] * h[1] + bias[unit]);
                close("x", x[t], h[0], 1e-5, 1.0);
                close("y", y[t], h[1], 1e-5, 1.0);
            }
            let most = x.iter().chain(&y).fold(1.0_f64, |most, value| most.max(value.abs()));
            close_relative("reach", series(&portrait, "reach")[0], most, 1e-6);
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_fixed_points_of_two_units_that_latch_are_all_found() {
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        let mut session = alone("tanh", [2.0, 0.0, 0.0, 1.5], [0.0; 2], kind);
        let portrait = look(&mut session, Panel::Portrait(Traced::Output), 0);
        // h = tanh(a h) at 0, where the slope is a, and at ±h*, where it is a (1 − h*²): all nine pairs.
        let rest = |a: f64| (0..200).fold(1.0, |h: f64, _| libm::tanh(a * h));
        let mut expected = Vec::new();
        for x in [-1.0, 0.0, 1.0].map(|sign| sign * rest(2.0)) {
            for y in [-1.0, 0.0, 1.0].map(|sign| sign * rest(1.5)) {
                expected.push([x, y, (2.0 * (1.0 - x * x)).max(1.5 * (1.0 - y * y))]);
            }
        }
        let fixed = series(&portrait, "fixed");
        assert_eq!(fixed.len(), 27, "{fixed:?}");
        for [x, y, modulus] in expected {
            let found = fixed.chunks_exact(3).find(|of| (of[0] - x).abs() < 1e-4 && (of[1] - y).abs() < 1e-4);
            let found = found.unwrap_or_else(|| panic!("no fixed point at {x}, {y}: {fixed:?}"));
            close("modulus", found[2], modulus, 2e-3, 1.0);
        }
        assert_eq!(fixed.chunks_exact(3).filter(|of| of[2] < 1.0).count(), 4);
        assert_eq!(series(&portrait, "reach"), [1.0]);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_flow_is_the_step_of_the_layer_at_the_marked_timestep() {
    for task in [json!({ "id": "parity", "length": 12 }), json!({ "id": "adding", "length": 12 })] {
        for cell in cells() {
            let mut session = session(&config(task.clone(), cell.id, 2, 2, &json!({})), EngineKind::Reference);
            train(&mut session, 3);
            for (row, t) in [(0, 0), (0, 7), (1, 0), (1, 7), (1, 11)] {
                let query = Query { row, sequence: 1, step: Some(t), ..Query::new(Panel::Portrait(Traced::Output)) };
                let portrait = ask(&mut session, query);
                if cell.states > 1 {
                    assert!(portrait.series("flow").is_none() && portrait.series("fixed").is_none());
                    continue;
                }
                assert_eq!(series(&portrait, "at"), [t as f64]);
                let values = session.values_f64();
                let plain = Plain { model: session.model(), values: &values };
                let inputs = plain.inputs(session.probe_batch(), 1);
                let mut before = vec![plain.zeros(); 2];
                plain.run(&inputs[..t], &mut before, None);
                for arrow in series(&portrait, "flow").chunks_exact(4) {
                    let mut states = before.clone();
                    states[row].h.copy_from_slice(&arrow[..2]);
                    plain.run(&inputs[t..=t], &mut states, None);
                    for unit in 0..2 {
                        close(&format!("{}: F(h)", cell.id), arrow[2 + unit], states[row].h[unit], 1e-6, 1.0);
                    }
                }
                for of in series(&portrait, "fixed").chunks_exact(3) {
                    let mut states = before.clone();
                    states[row].h.copy_from_slice(&of[..2]);
                    plain.run(&inputs[t..=t], &mut states, None);
                    (0..2).for_each(|unit| close("a fixed point", states[row].h[unit], of[unit], 1e-4, 1.0));
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_axes_of_a_portrait_are_the_principal_components() {
    for cell in cells() {
        for (hidden, of) in [(3, Traced::Output), (12, Traced::Output), (12, Traced::Memory)] {
            let config = config(json!({ "id": "adding", "length": 15 }), cell.id, hidden, 2, &json!({}));
            let mut session = session(&config, EngineKind::Reference);
            train(&mut session, 5);
            let portrait = look(&mut session, Panel::Portrait(of), 1);
            let values = session.values_f64();
            let plain = Plain { model: session.model(), values: &values };
            let is_c = of == Traced::Memory && cell.states == 2;
            assert_eq!(portrait.header.state, if is_c { "c" } else { "h" });
            let batch = session.probe_batch();
            let states: Vec<Vec<_>> = (0..batch.batch)
                .map(|b| {
                    let mut states = vec![plain.zeros(); 2];
                    let steps = plain.run(&plain.inputs(batch, b), &mut states, None).remove(1);
                    steps.into_iter().map(|step| if is_c { step.after.c } else { step.after.h }).collect()
                })
                .collect();
            let all = DMatrix::from_columns(&states.concat());
            let mean = all.column_mean();
            let centred = DMatrix::from_columns(&all.column_iter().map(|column| column - &mean).collect::<Vec<_>>());
            let eigen = (&centred * centred.transpose()).symmetric_eigen();
            let mut order: Vec<usize> = (0..hidden).collect();
            order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
            let (share, axes) = (series(&portrait, "share"), series(&portrait, "axes"));
            for (axis, &nth) in order[..2].iter().enumerate() {
                let what = format!("{} of {hidden} units, component {axis}", cell.id);
                let expected = eigen.eigenvalues[nth] / eigen.eigenvalues.sum();
                close_relative(&format!("{what}: share"), share[axis], expected, 1e-4);
                let along = eigen.eigenvectors.column(nth);
                let got = nalgebra::DVector::from_column_slice(&axes[axis * hidden..][..hidden]);
                let sign = got.dot(&along).signum();
                for unit in 0..hidden {
                    close(&what, sign * got[unit], along[unit], 1e-3, 1.0);
                }
                let id = ["x", "y"][axis];
                for (t, place) in series(&portrait, id).into_iter().enumerate() {
                    close(&what, place, got.dot(&(&states[1][t] - &mean)), 1e-5, 1.0);
                }
                // The other sequences follow in their order.
                let others = series(&portrait, "others");
                assert_eq!(others.len(), (batch.batch - 1) * 2 * 15);
                for (t, state) in states[2].iter().enumerate() {
                    close(&what, others[(2 + axis) * 15 + t], got.dot(&(state - &mean)), 1e-5, 1.0);
                }
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn states_in_a_plane_have_two_components() {
    // Without recurrence and nonlinearity, h = W_ih x + b: as many dimensions as the adding problem has features.
    let changes = json!({ "nonlinearity": "identity" });
    for kind in [EngineKind::Reference, EngineKind::Cpu] {
        let mut session = session(&config(json!({ "id": "adding", "length": 15 }), "elman", 20, 1, &changes), kind);
        session.set_parameter("rnn.weight_hh_l0", &[0.0; 400]);
        let share = series(&look(&mut session, Panel::Portrait(Traced::Output), 0), "share");
        close("all of the variance", share[0] + share[1], 1.0, 1e-6, 1.0);
        assert!(share[0] > share[1] && share[1] > 0.01, "{share:?}");
        // A network that stands still has no components, and no numbers that are not finite.
        session.set_parameter("rnn.weight_ih_l0", &[0.0; 40]);
        let still = look(&mut session, Panel::Portrait(Traced::Output), 0);
        assert!(still.data.iter().all(|value| value.is_finite()));
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn pace_counts_what_each_body_must_wait_for() {
    // Tens of milliseconds at every look.
    fn clock() -> f64 {
        static LOOKS: AtomicU32 = AtomicU32::new(0);
        f64::from(LOOKS.fetch_add(10, Ordering::Relaxed))
    }
    let (t, h, layers) = (40, 6, 2);
    let tall = [10.0, 20.0, 40.0_f32];
    for cell in ARCHITECTURES {
        for directions in [1, 2] {
            if directions == 2 && cell.block().is_some() {
                continue;
            }
            let model = json!({ "id": cell.id, "hidden": h, "layers": layers, "bidirectional": directions == 2 });
            let mut session = session(
                &json!({ "task": { "id": "first-symbol", "length": t }, "model": model, "batch": 3 }),
                EngineKind::Cpu,
            );
            assert_eq!(session.form().n_steps, t);
            let seen = inspect(&mut session, Query { now: clock, ..Query::new(Panel::Pace) }).expect("it fits");
            let series = |id: &str| seen.series(id).expect("a series").to_vec();
            assert_eq!(series("lengths"), tall, "{}", cell.id);
            assert_eq!(series("time"), [10.0; 3], "{}", cell.id);
            let [depth, tree, apart, memory] = ["depth", "tree", "apart", "memory"].map(series);
            let loops = cell.id != "transformer" && cell.id != "retnet";
            let linear = cell.recurrent.is_empty();
            let rounds = |t: f32| f32::ceil(libm::log2f(t));
            // Both directions run beside each other.
            let constant = depth[2] - if loops { layers as f32 * 40.0 } else { 0.0 };
            assert!(constant >= 2.0, "{}: {depth:?}", cell.id);
            for (at, t) in tall.into_iter().enumerate() {
                let name = format!("{}, {directions} directions, T {t}", cell.id);
                let looped = if loops { layers as f32 * t } else { 0.0 };
                assert_eq!(depth[at], constant + looped, "{name}");
                let short = if loops && linear { layers as f32 * rounds(t) } else { looped };
                assert_eq!(tree[at], constant + short, "{name}");
                assert_eq!(apart[at], if loops { t - 1.0 } else { 1.0 }, "{name}");
            }
            if directions == 2 {
                assert!(memory.iter().all(|n| n.is_nan()), "{}: {memory:?}", cell.id);
                continue;
            }
            for read in 1..=t {
                let streamed = session.stream(&[], &[1]).expect("a symbol");
                if let Some(at) = tall.iter().position(|&t| t == read as f32) {
                    assert_eq!(memory[at], streamed.n_handed_on as f32, "{} at {read}", cell.id);
                }
            }
            if cell.id == "elman" {
                // W_hh in both layers, W_ih in the upper one and the head; one-hot inputs are gathered.
                let outputs = session.form().target.size();
                let work = (2 * (3 * h * h + h * outputs)) as f32;
                assert_eq!(series("work"), [work; 3]);
            }
        }
    }
}
