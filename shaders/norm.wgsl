// The global norm of the gradient, n = |g|, and the coefficient that clips it, min(1, max / (n + 10⁻⁶)).
//
// Twin: src/kernels/norm.rs. One workgroup. There is no f64 here, so squares are taken relative to the largest element: the
// square of a finite number never overflows.

struct Uniforms {
    // offset and stride of each operand, in elements
    gradient: vec2<u32>,
    hyper: vec2<u32>,
    result: vec2<u32>,
    n: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(2) var<storage, read_write> hyper: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;

const WIDTH = 256u;

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32) {
    var largest = 0.0;
    for (var i = index; i < uniforms.n; i += WIDTH) {
        largest = max(largest, abs(gradient[uniforms.gradient.x + i]));
    }
    partial[index] = largest;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if index < half {
            partial[index] = max(partial[index], partial[index + half]);
        }
        workgroupBarrier();
    }
    largest = partial[0];
    workgroupBarrier();
    let scale = select(1.0, largest, largest > 0.0);
    var sum = 0.0;
    for (var i = index; i < uniforms.n; i += WIDTH) {
        let g = gradient[uniforms.gradient.x + i] / scale;
        sum += g * g;
    }
    partial[index] = sum;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if index < half {
            partial[index] += partial[index + half];
        }
        workgroupBarrier();
    }
    if index == 0u {
        let norm = scale * sqrt(partial[0]);
        result[uniforms.result.x] = norm;
        // No limit is a number near the largest one: its quotient may have none.
        let limit = hyper_at(MAX_NORM);
        let long = norm + 1e-6;
        result[uniforms.result.x + 1u] = select(1.0, limit / max(long, 1e-6), long > limit);
    }
}
