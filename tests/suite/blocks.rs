//! What blocks are made of, against PyTorch: the values of `tests/golden/cores.json` that belong to no recurrent layer.

use crate::golden::{cores, wave};
use crate::support::{Machine, close, close_relative, norm, number, numbers};
use unroll::graph::{Graph, Mark};
use unroll::kernels::activation::{self, Phi};
use unroll::kernels::{attention, layer_norm, mean_squared_error, product};
use unroll::nn::luong;
use unroll::shape::{Shape, Tensor};
use unroll::train::EngineKind;
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
