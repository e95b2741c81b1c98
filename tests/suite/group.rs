//! Weight gradients in one dispatch, and time loops in parts: both are other ways to run the same calls.

use crate::support::{Trainer, hash, noise, recurrence_cases};
use serde_json::json;
use unroll::engine::Memory;
use unroll::engine::group::{Factor, Group};
use unroll::graph::{ARENA, INDEX, PERSISTENT};
use unroll::kernels::update;
use unroll::nn::{Inputs, cells};
use unroll::shape::{Shape, Tensor};
use unroll::tasks::{Input, Target};
use unroll::train::TargetSlot;

fn words(memory: &Memory<f32>, segment: u32) -> Vec<u32> {
    memory.bytes(segment).chunks_exact(4).map(bytemuck::pod_read_unaligned).collect()
}

fn reals(memory: &Memory<f32>, segment: u32) -> Vec<f32> {
    words(memory, segment).into_iter().map(f32::from_bits).collect()
}

/// Whatever a plan holds, its group computes what its calls do.
fn compare(config: &serde_json::Value, carry: bool) -> Group {
    let Trainer { session, layout, program, mut memory } = Trainer::new(config, carry);
    let plan = &program.plan;
    let arena = Tensor::whole(ARENA, Shape::new(&[plan.arena_len]));
    memory.write(arena, noise(3, plan.arena_len).into_iter());
    let symbols =
        |tensor: Tensor, below: u32| (0..tensor.shape.len()).map(|at| hash(5, at) % below).collect::<Vec<_>>();
    if let (Inputs::Symbols(x), Input::Symbols(v)) = (program.inputs, session.form().input) {
        memory.write_index(x, &symbols(x, v as u32));
    }
    if let (TargetSlot::Classes(target), Target::Class(v)) = (program.target, session.form().target) {
        memory.write_index(target, &symbols(target, v as u32));
    }
    let group = Group::of(plan, 0..plan.calls().len()).unwrap_or_else(|| panic!("{config}: no group"));
    memory.run(plan, 0..group.calls.start, |entry| entry.cpu);
    let mut grouped = reals(&memory, PERSISTENT);
    // Nothing may be left of what was there before.
    grouped[layout.gradient..][..layout.parameters].fill(0.0);
    for job in &group.jobs {
        for (i, j) in (0..job.m).flat_map(|i| (0..job.n).map(move |j| (i, j))) {
            grouped[(job.c + i * job.strides[0] + j * job.strides[1]) as usize] = f32::NAN;
        }
    }
    group.reference(&mut grouped, &reals(&memory, ARENA), &words(&memory, INDEX));
    memory.run(plan, group.calls.clone(), |entry| entry.cpu);
    let expected = reals(&memory, PERSISTENT);
    let largest = expected[layout.gradient..][..layout.parameters].iter().fold(0.0, |a: f32, v| a.max(v.abs()));
    assert!(largest > 0.0, "{config}: a gradient of zeros tells nothing");
    for (at, (got, expected)) in grouped.iter().zip(&expected).enumerate().take(layout.norm) {
        assert!((got - expected).abs() <= 1e-5 * largest, "{config}, element {at}: {got} instead of {expected}");
    }
    group
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = test)]
fn a_group_computes_what_its_calls_do() {
    for cell in cells() {
        for layers in 1..=3 {
            for (id, carry) in [("adding", false), ("copy", false), ("sine", true), ("parity", true)] {
                let config = json!({ "task": { "id": id }, "model": { "id": cell.id, "hidden": 7, "layers": layers },
                    "batch": 3, "seed": 1 });
                let group = compare(&config, carry);
                let pairs = group.jobs.iter().flat_map(|job| &job.pairs);
                let has_symbols = pairs.clone().any(|pair| matches!(pair.b, Factor::OneHot(_)));
                assert_eq!(has_symbols, ["copy", "parity"].contains(&id), "{config}");
                // Biases come along with the weights of the same gates; a GRU's n has another gradient in each.
                assert!(group.jobs.iter().any(|job| job.sums.iter().any(Option::is_some)), "{config}");
                // The initial states are a second pair of factors for each recurrent weight.
                let twice = carry && !cell.recurrent.is_empty();
                assert_eq!(group.jobs.iter().any(|job| job.pairs.len() == 2), twice, "{config}");
                if id == "adding" || id == "copy" {
                    let mut config = config.clone();
                    config["model"]["bidirectional"] = json!(true);
                    compare(&config, false);
                }
            }
        }
    }
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = test)]
fn the_norm_is_put_together_from_parts() {
    let gradient: Vec<f64> =
        noise(9, 700).into_iter().enumerate().map(|(at, v)| v * [1e-3, 1.0, 1e3, 1e6][at % 4]).collect();
    let mut hyper = [0.0; update::HYPER];
    (hyper[update::MAX_NORM], hyper[update::SAFE_NORM]) = (3.0, update::UNLIMITED);
    let mut result = vec![0.0; update::NORM];
    let parts: Vec<&[f64]> = gradient.chunks(90).collect();
    result[update::COEFFICIENT] = 1.0;
    result[update::N_PARTS] = parts.len() as f64;
    for (at, part) in parts.iter().enumerate() {
        let largest = part.iter().fold(0.0_f64, |a, v| a.max(v.abs()));
        let squares = part.iter().map(|v| v / largest * (v / largest)).sum::<f64>();
        result[update::N_PARTS + 1 + 2 * at..][..2].copy_from_slice(&[largest, squares]);
    }
    let coefficient = update::coefficient(&mut result, &hyper);
    let length = gradient.iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!((result[update::LENGTH] / length - 1.0).abs() < 1e-12);
    assert!((coefficient * (length + 1e-6) / 3.0 - 1.0).abs() < 1e-12 && coefficient == result[update::COEFFICIENT]);
    assert_eq!(result[update::LARGEST], gradient.iter().fold(0.0_f64, |a, v| a.max(v.abs())));
    // A part that is not finite holds the update, for good.
    result[update::N_PARTS + 2] = f64::NAN;
    assert_eq!(update::coefficient(&mut result, &hyper), -1.0);
    result[update::N_PARTS + 2] = 1.0;
    assert_eq!(update::coefficient(&mut result, &hyper), -1.0);
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = test)]
fn a_time_loop_in_parts_writes_the_same_bits() {
    let mut compared = 0;
    for cell in cells() {
        for mut case in recurrence_cases(cell, &[0], Some(2), 7) {
            let (plan, memory) = case.planned();
            let (mut whole, mut parted) = (memory.clone(), memory);
            let parts = plan.in_parts(3);
            compared += parts.calls().len() - plan.calls().len();
            whole.run(&plan, 0..plan.calls().len(), |entry| entry.cpu);
            parted.run(&parts, 0..parts.calls().len(), |entry| entry.cpu);
            assert!(whole.bytes(ARENA) == parted.bytes(ARENA), "{}", case.what);
        }
    }
    assert!(compared > 50, "{compared} more calls");
}
