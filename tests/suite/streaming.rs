//! Streams: one timestep after the other says what a pass over the whole sequence says.

use super::support::session;
use serde_json::json;
use unroll::kernels::Real;
use unroll::nn::cells;
use unroll::train::EngineKind;
use wasm_bindgen_test::wasm_bindgen_test;

/// Timesteps that are compared.
const T: usize = 1000;

#[wasm_bindgen_test(unsupported = test)]
fn the_first_thousand_outputs_of_a_stream_are_those_of_the_whole_sequence() {
    for cell in cells() {
        for task in ["sine", "reber"] {
            let model = json!({ "id": cell.id, "hidden": 7, "layers": 2 });
            let config = json!({ "task": { "id": task }, "model": model, "batch": 4, "seed": 3 });
            let mut session = session(&config, EngineKind::Cpu);
            (0..20).for_each(|_| assert!(session.train_step().is_ok()));
            let symbols = session.form().input.size() as u32;
            let (mut features, mut read) = (Vec::new(), Vec::new());
            match task {
                "sine" => features = (0..T).map(|t| Real::tanh((t as f32 * 0.37 + 1.0) % 2.0 - 1.0)).collect(),
                _ => read = (0..T as u32).map(|t| (t * t / 3 + t) % symbols).collect(),
            }
            let zeros = vec![vec![0.0; cell.states * 7]; 2];
            let program = session.run_stretch([T, 1], &features, &read, &zeros).expect("it fits");
            let whole = session.engine().read_f64(program.rows[1].y);
            for t in 0..T {
                let one = features.get(t..=t).unwrap_or_default();
                let streamed = session.stream(one, read.get(t..=t).unwrap_or_default()).expect("an input of the task");
                assert_eq!(streamed.n_handed_on, 2 * 7 * cell.states);
                for (unit, (streamed, whole)) in streamed.hidden[1].iter().zip(&whole[7 * t..]).enumerate() {
                    assert!(
                        (streamed - whole).abs() < 1e-5,
                        "{} on {task}: unit {unit} at {t}: {streamed}, {whole}",
                        cell.id
                    );
                }
            }
            session.begin_stream();
            let again = session.stream(features.get(..1).unwrap_or_default(), read.get(..1).unwrap_or_default());
            assert_eq!(again.expect("the first input").n_read, 1);
        }
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
