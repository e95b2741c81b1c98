//! The whole chain to WebGPU: shader, bindings, uniforms, dispatch, read back. Without an adapter these tests fail.

use unroll::engine::Memory;
use unroll::engine::gpu::Gpu;
use unroll::graph::Graph;
use unroll::kernels::product::{self, Factor};
use wasm_bindgen_test::wasm_bindgen_test;

/// Sizes around the tile of the shader and the panel of the SIMD code.
const SIZES: [[usize; 3]; 7] =
    [[1, 1, 1], [3, 7, 1], [7, 3, 17], [16, 17, 33], [33, 65, 130], [130, 33, 7], [65, 1, 257]];

/// Products of sums of up to 257 terms, added in another order.
const TOLERANCE: f32 = 1e-5;

#[wasm_bindgen_test]
async fn product_agrees_with_its_twin() {
    let gpu = Gpu::new().await.unwrap_or_else(|error| panic!("{error}"));
    for [m, n, k] in SIZES {
        for form in 0..8 {
            let (a_transposed, b_transposed, accumulate) = (form & 1 == 1, form & 2 == 2, form & 4 == 4);
            let mut graph = Graph::new();
            // Views with gaps: columns 3.. of a wider buffer.
            let mut view =
                |name: &str, rows: usize, columns: usize| graph.slot(name, &[rows, columns + 5]).columns(3, columns);
            let a = if a_transposed { view("a", k, m) } else { view("a", m, k) };
            let b = if b_transposed { view("b", n, k) } else { view("b", k, n) };
            let c = view("c", m, n);
            let factor = |tensor, transposed| Factor { tensor, transposed };
            graph.record(product::forward(factor(a, a_transposed), factor(b, b_transposed), c, accumulate));
            let plan = graph.plan();
            let mut cpu: Memory<f32> = Memory::new(0);
            cpu.reserve(&plan);
            for (index, tensor) in [a, b, c].into_iter().enumerate() {
                let values: Vec<f64> =
                    (0..tensor.shape.len()).map(|i| libm::sin((i * (index + 3)) as f64 * 0.37)).collect();
                cpu.write(plan.place(tensor), values.into_iter());
            }
            let mut on_gpu = cpu.clone();
            cpu.run(&plan, 0..1, |entry| entry.cpu);
            gpu.run(&plan, 0..1, &mut on_gpu).await.unwrap_or_else(|error| panic!("{error}"));
            let read = |memory: &Memory<f32>| {
                let mut values = Vec::new();
                memory.read(plan.place(c), |value| values.push(value));
                values
            };
            let (expected, got) = (read(&cpu), read(&on_gpu));
            let largest = expected.iter().fold(0.0_f32, |largest, v| largest.max(v.abs()));
            for (expected, got) in expected.iter().zip(&got) {
                let error = (expected - got).abs();
                assert!(error <= TOLERANCE * largest, "{m} {n} {k} form {form}: {got} instead of {expected}");
            }
        }
    }
}
