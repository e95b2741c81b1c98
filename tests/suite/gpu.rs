//! WebGPU against the CPU, through the whole chain: shader, bindings, uniforms, dispatch, read back. In the browser, and on the host with
//! the feature `native-gpu`. Without an adapter these tests fail.
//!
//! Whole models train side by side. Every kernel is compared with its CPU twin, call by call: both see the same memory, and what they
//! write may differ by the tolerance that the kernel states, relative to the largest element of the result.

use crate::golden::{compare_core, core, cores_of};
use crate::support::{Case, Machine, Trainer, cases, persistent, read, recurrence_cases};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use unroll::engine::Engine;
use unroll::engine::gpu::Gpu;
use unroll::graph::{ARENA, Mark};
use unroll::kernels::{Access, KERNELS, Kernel, update};
use unroll::nn::{ARCHITECTURES, Inputs, cells};
use unroll::rng::Stream;
use unroll::shape::Tensor;
use unroll::tasks::{Batch, Draw};
use unroll::train::{EngineKind, OPTIMISERS, TargetSlot};
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

/// 1, and sizes that no tile, workgroup or vector divides.
const SIZES: [usize; 8] = [1, 3, 7, 17, 33, 65, 130, 257];

/// Timesteps of a dispatch on the host: the software adapter there (llvmpipe) ends a shader after 65,535 rounds of its loops, in silence.
const HOST_STEPS: u32 = 64;

/// Runs the calls of one kernel in both versions; notes the largest relative difference of each entry.
async fn compare(gpu: &Gpu, kernel: &Kernel, mut case: Case, worst: &mut BTreeMap<&'static str, f32>) {
    let (plan, mut cpu) = case.planned();
    let plan = if cfg!(target_arch = "wasm32") { plan } else { plan.in_parts(HOST_STEPS) };
    for (index, call) in plan.calls().iter().enumerate() {
        let before = cpu.clone();
        cpu.run(&plan, index..index + 1, |entry| entry.cpu);
        if !kernel.entries.iter().any(|entry| entry.label == call.entry.label) {
            continue;
        }
        let what = format!("{}: {}", call.entry.label, case.what);
        let mut shader = before;
        gpu.run(&plan, index..index + 1, &mut shader).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        for (spec, tensor) in call.entry.operands.iter().zip(&call.operands) {
            let Some(tensor) = tensor.filter(|_| spec.access != Access::Read) else { continue };
            let (cpu, shader) = (read(&cpu, tensor), read(&shader, tensor));
            // Sums of vanished terms, each of which may be flushed or not, differ by as much as the floor of f32.
            let largest = cpu.iter().fold(1e-30, |largest: f32, v| largest.max(v.abs()));
            for (at, (&cpu, &shader)) in cpu.iter().zip(&shader).enumerate() {
                let name = spec.name;
                assert!(cpu.is_finite() && shader.is_finite(), "{what}, {name}, element {at}: {cpu} and {shader}");
                let difference = (cpu - shader).abs() / largest;
                let allowed = kernel.on_gpu.relative;
                assert!(difference <= allowed, "{what}, {name}, element {at}: {shader} instead of {cpu}");
                let worst = worst.entry(call.entry.label).or_insert(0.0);
                *worst = worst.max(difference);
            }
        }
    }
}

/// Compares all cases of a kernel; every entry must have run.
async fn check(stem: &str) {
    let gpu = Gpu::new().await.unwrap_or_else(|error| panic!("{error}"));
    let kernel = KERNELS.iter().find(|kernel| kernel.stem == stem).expect("a kernel");
    let mut worst = BTreeMap::new();
    for size in SIZES {
        for case in cases(stem, size) {
            compare(&gpu, kernel, case, &mut worst).await;
        }
        if let Some(cell) = cells().find(|cell| cell.id == stem) {
            for case in recurrence_cases(cell, &[0], Some(2), size) {
                compare(&gpu, kernel, case, &mut worst).await;
            }
        }
    }
    for entry in kernel.entries {
        let difference = worst.get(entry.label).unwrap_or_else(|| panic!("{} is run by no case", entry.label));
        let line = format!("{:<28} {difference:.1e}, at most {:.0e}", entry.label, kernel.on_gpu.relative);
        if cfg!(target_arch = "wasm32") { console_log!("{line}") } else { println!("{line}") }
    }
}

/// Fifty steps on batches of a task, by both engines side by side; the losses agree within 10⁻³ of each other.
/// `chunk` cuts the time loops, which changes no number: chunked and whole losses are the same to the last bit.
async fn train(gpu: &Gpu, task: &Value, cell: &str, layers: usize, optimiser: &Value, chunk: Option<u32>) -> Vec<f32> {
    let model = json!({ "id": cell, "hidden": 17, "layers": layers });
    train_model(gpu, task, &model, optimiser, chunk).await
}

/// As [`train`], for any model.
async fn train_model(gpu: &Gpu, task: &Value, model: &Value, optimiser: &Value, chunk: Option<u32>) -> Vec<f32> {
    let what = format!("{model}, {task}");
    let config = json!({ "task": task, "model": model, "optimiser": optimiser, "batch": 5, "seed": 3,
        "clip": { "kind": "norm", "at": 1.0 } });
    let Trainer { session, layout, mut program, mut memory } = Trainer::new(&config, false);
    if let Some(steps) = chunk {
        program.plan = program.plan.in_parts(steps);
    }
    let config = session.config();
    let task = (config.task.make)(&config.task_options).expect("a task");
    let form = session.form();
    let resident = gpu.upload(&memory);
    let calls = 0..program.plan.calls().len();
    let recording = gpu.record(&program.plan, calls.clone(), &resident).await;
    let recording = recording.unwrap_or_else(|error| panic!("{error}"));
    let layers = session.model().layers;
    let loops = 2 * layers * chunk.map_or(1, |chunk| form.n_steps.div_ceil(chunk as usize));
    // Beside the loops: input part, head, loss, its way back, weight gradients, update; for a further layer, both ways of its input.
    let other = session.model().cell.block().is_some() || session.model().decoder.is_some();
    assert!(other || recording.dispatches() == loops + 6 + 2 * (layers - 1), "{what}: {}", recording.dispatches());
    let mut losses = Vec::new();

    let mut batch = Batch::zeros(form, config.batch);
    let from = if form.last_only { (form.n_steps - 1) * config.batch } else { 0 };
    for step in 0..50 {
        task.sample(Draw { seed: config.seed, stream: Stream::Train, step }, &mut batch);
        let mut hyper = [0.0; update::HYPER];
        (config.optimiser.spec.hyper)(&config.optimiser.options, step + 1, &mut hyper);
        (hyper[update::MAX_NORM], hyper[update::MAX_VALUE]) = (1.0, update::UNLIMITED);
        hyper[update::SAFE_NORM] = update::UNLIMITED;
        let mut real = |tensor: Tensor, values: &[f32]| {
            memory.write(tensor, values.iter().map(|&v| f64::from(v)));
            gpu.write(&resident, tensor, bytemuck::cast_slice(values));
        };
        real(persistent(layout.hyper, update::HYPER), &hyper.map(|v| v as f32));
        real(program.weight, &batch.mask[from..]);
        if let Inputs::Features(x) = program.inputs {
            real(x, &batch.features);
        }
        if let TargetSlot::Values(target) = program.target {
            real(target, &batch.values[from * target.shape.columns()..]);
        }
        let mut index = |tensor: Tensor, values: &[u32]| {
            memory.write_index(tensor, values);
            gpu.write(&resident, tensor, bytemuck::cast_slice(values));
        };
        if let Inputs::Symbols(x) = program.inputs {
            index(x, &batch.symbols);
        }
        if let TargetSlot::Classes(target) = program.target {
            index(target, &batch.classes[from..]);
        }
        memory.run(&program.plan, calls.clone(), |entry| entry.cpu);
        gpu.submit(&recording);
        let at = u64::from(program.result.offset) * 4;
        let bytes = gpu.read(&resident, ARENA, at..at + 4).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let (loss, other) = (memory.scalar(program.result, 0), f64::from(bytemuck::pod_read_unaligned::<f32>(&bytes)));
        assert!((loss - other).abs() <= 1e-3 * loss, "{what}, step {step}: loss {other} instead of {loss}");
        assert!(loss.is_finite() && loss > 0.0, "{what}, step {step}: loss {loss}");
        losses.push(other as f32);
    }
    losses
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn cores_equal_torch() {
    let gpu = Gpu::new().await.unwrap_or_else(|error| panic!("{error}"));
    for name in cells().flat_map(cores_of) {
        let mut core = core(&name, EngineKind::Cpu);
        let Machine { plan, engine: Engine::Cpu(memory) } = &mut core.machine else { panic!("single precision") };
        let calls = plan.range(Mark::Forward, Mark::Backward);
        gpu.run(plan, calls, memory).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        compare_core(&core, EngineKind::Cpu);
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn whole_models_train_as_on_the_cpu() {
    let gpu = Gpu::new().await.unwrap_or_else(|error| panic!("{error}"));
    let tasks = [json!({ "id": "adding", "length": 13 }), json!({ "id": "copy", "length": 12 })];
    for cell in ARCHITECTURES {
        // A block has many kernels of its own; what is between layers shows with two.
        let most = if cell.block().is_some() { 2 } else { 3 };
        for layers in 1..=most {
            train(&gpu, &tasks[layers % 2], cell.id, layers, &json!({ "id": "adam", "lr": 0.01 }), None).await;
        }
    }
    for optimiser in OPTIMISERS {
        train(&gpu, &tasks[0], "gru", 1, &json!({ "id": optimiser.id }), None).await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn encoders_and_decoders_train_as_on_the_cpu() {
    let gpu = Gpu::new().await.unwrap_or_else(|error| panic!("{error}"));
    let (task, adam) = (json!({ "id": "reversal", "length": 9, "alphabet": 3 }), json!({ "id": "adam", "lr": 0.01 }));
    for (cell, decoder) in [("gru", "own"), ("gru", "luong"), ("lstm", "bahdanau"), ("mingru", "bahdanau")] {
        let model = json!({ "id": cell, "hidden": 17, "layers": 2, "decoder": decoder });
        train_model(&gpu, &task, &model, &adam, None).await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn time_loops_in_chunks_give_the_same_numbers() {
    let gpu = Gpu::new().await.unwrap_or_else(|error| panic!("{error}"));
    let (task, adam) = (json!({ "id": "adding", "length": 37 }), json!({ "id": "adam", "lr": 0.01 }));
    for cell in cells() {
        let whole = train(&gpu, &task, cell.id, 2, &adam, None).await;
        let chunked = train(&gpu, &task, cell.id, 2, &adam, Some(16)).await;
        if cell.recurrent.is_empty() {
            // A scan cuts each chunk into parts of its own, and rounds as these do; over the updates that adds up.
            let apart = |(whole, chunked): (&f32, &f32)| (whole - chunked).abs() / whole;
            let most = whole.iter().zip(&chunked).map(apart).fold(0.0, f32::max);
            assert!(whole.len() == chunked.len() && most <= 1e-4, "{}: {most} apart", cell.id);
        } else {
            assert_eq!(whole, chunked, "{}", cell.id);
        }
    }
}

/// One test a kernel, of its name.
macro_rules! tests {
    (with {} cells { $($cell:ident)* } others { $($stem:ident)* }) => {
        tests! { $($cell)* $($stem)* }
    };
    ($($stem:ident)*) => {
        $(
            #[wasm_bindgen_test(unsupported = pollster::test)]
            async fn $stem() {
                super::check(stringify!($stem)).await;
            }
        )*
    };
}

mod kernel {
    use wasm_bindgen_test::wasm_bindgen_test;

    unroll::stems!(tests);
}
