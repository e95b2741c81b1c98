//! Every kernel on WebGPU against its CPU twin, through the whole chain: shader, bindings, uniforms, dispatch, read back. Without an
//! adapter these tests fail.
//!
//! Call by call: both see the same memory, and what they write may differ by the tolerance that the kernel states, relative to
//! the largest element of the result.

use crate::support::{CASES, Case, recurrence_cases};
use std::collections::BTreeMap;
use unroll::engine::Memory;
use unroll::engine::gpu::Gpu;
use unroll::kernels::{Access, KERNELS, Kernel};
use unroll::nn::ARCHITECTURES;
use unroll::shape::Tensor;
use wasm_bindgen_test::console_log;

/// 1, and sizes that no tile, workgroup or vector divides.
const SIZES: [usize; 8] = [1, 3, 7, 17, 33, 65, 130, 257];

fn read(memory: &Memory<f32>, tensor: Tensor) -> Vec<f32> {
    let mut values = Vec::with_capacity(tensor.shape.len());
    memory.read(tensor, |value| values.push(value));
    values
}

/// Runs the calls of one kernel in both versions; notes the largest relative difference of each entry.
async fn compare(gpu: &Gpu, kernel: &Kernel, mut case: Case, worst: &mut BTreeMap<&'static str, f32>) {
    if case.result.is_some() {
        case.graph.differentiate();
    }
    let plan = case.graph.plan();
    let mut cpu = Memory::<f32>::new(plan.persistent_len);
    cpu.reserve(&plan);
    for (slot, values) in case.inputs.iter().chain(&case.fixed) {
        cpu.write(plan.place(*slot), values.iter().copied());
    }
    for (slot, values) in &case.indices {
        cpu.write_index(plan.place(*slot), values);
    }
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
            let largest = cpu.iter().fold(f32::MIN_POSITIVE, |largest, v| largest.max(v.abs()));
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
    let (_, cases) = CASES.iter().find(|(of, _)| *of == stem).unwrap_or_else(|| panic!("{stem}: no case"));
    let mut worst = BTreeMap::new();
    for size in SIZES {
        for case in cases(size) {
            compare(&gpu, kernel, case, &mut worst).await;
        }
        if let Some(cell) = ARCHITECTURES.iter().find(|cell| cell.id == stem) {
            for case in recurrence_cases(cell, &[0], Some(2), size) {
                compare(&gpu, kernel, case, &mut worst).await;
            }
        }
    }
    for entry in kernel.entries {
        let difference = worst.get(entry.label).unwrap_or_else(|| panic!("{} is run by no case", entry.label));
        console_log!("{:<28} {difference:.1e}, at most {:.0e}", entry.label, kernel.on_gpu.relative);
    }
}

/// One test a kernel, and one that compares their list with the table.
macro_rules! kernels {
    ($($stem:ident)*) => {
        $(
            #[wasm_bindgen_test]
            async fn $stem() {
                super::check(stringify!($stem)).await;
            }
        )*

        #[wasm_bindgen_test]
        fn every_kernel_is_compared() {
            let table: Vec<_> = super::KERNELS.iter().map(|kernel| kernel.stem).collect();
            assert_eq!(vec![$(stringify!($stem)),*], table);
        }
    };
}

mod kernel {
    use wasm_bindgen_test::wasm_bindgen_test;

    kernels! {
        adam bias carry copy cross_entropy elman fill gather gru lstm mean_squared_error norm product rmsprop sgd
    }
}
