// Adam, and AdamW when decoupled: m += (1 - β₁)(g - m);  v = β₂v + (1 - β₂)g²;  p -= step · m / (√v/√(1 - β₂ᵗ) + ε).
//
// Twin: src/kernels/adam.rs. A workgroup updates PER_WORKGROUP parameters.

struct Uniforms {
    // offset and stride of each operand, in elements
    parameters: vec2<u32>,
    gradient: vec2<u32>,
    m: vec2<u32>,
    v: vec2<u32>,
    hyper: vec2<u32>,
    norm: vec2<u32>,
    n: u32,
    decoupled: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> hyper: array<f32>;
@group(0) @binding(6) var<storage, read_write> norm: array<f32>;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let share = coefficient(index, group.x);
    if share < 0.0 {
        return;
    }
    let first = group.x * PER_WORKGROUP;
    for (var i = first + index; i < min(first + PER_WORKGROUP, uniforms.n); i += WIDTH) {
        update(i, share);
    }
}

// One parameter, with the gradient scaled by `share`.
fn update(i: u32, share: f32) {
    let place = uniforms.parameters.x + i;
    let decay = hyper_at(WEIGHT_DECAY);
    let decoupled = uniforms.decoupled == 1u;
    let weight = parameters[place] * select(1.0, 1.0 - hyper_at(LEARNING_RATE) * decay, decoupled);
    let g = clipped(i, share) + select(decay, 0.0, decoupled) * weight;
    let old = m[uniforms.m.x + i];
    let mean = old + (1.0 - hyper_at(MOMENTUM)) * (g - old);
    m[uniforms.m.x + i] = mean;
    let beta2 = hyper_at(SQUARES);
    let squares = beta2 * v[uniforms.v.x + i] + (1.0 - beta2) * g * g;
    v[uniforms.v.x + i] = squares;
    parameters[place] = weight - hyper_at(STEP_SIZE) * mean / (sqrt(squares) / hyper_at(ROOT_CORRECTION) + hyper_at(EPSILON));
}
