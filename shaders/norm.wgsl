// The global norm of the gradient, n = |g|, the coefficient that clips it, min(1, max / (n + 10⁻⁶)) or -1, and its largest element.
//
// Twin: src/kernels/norm.rs. One workgroup. There is no f64 here, so squares are taken relative to the largest element: the
// square of a finite number never overflows.

struct Uniforms {
    // offset and stride of each operand, in elements
    gradient: vec2<u32>,
    hyper: vec2<u32>,
    norm: vec2<u32>,
    n: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(2) var<storage, read_write> hyper: array<f32>;
@group(0) @binding(3) var<storage, read_write> norm: array<f32>;

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
        let length = scale * sqrt(partial[0]);
        let coefficient = judged(length);
        let at = uniforms.norm.x;
        norm[at + LENGTH] = length;
        norm[at + COEFFICIENT] = coefficient;
        norm[at + LARGEST] = largest;
        norm[at + N_PARTS] = 0.0;
    }
}
