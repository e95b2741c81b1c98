// g = clip(g) + λp;  v = αv + (1 - α)g²;  b = μb + g / (√v + ε);  p -= ηb.
//
// Twin: src/kernels/rmsprop.rs. A workgroup updates PER_WORKGROUP parameters.

struct Uniforms {
    // offset and stride of each operand, in elements
    parameters: vec2<u32>,
    gradient: vec2<u32>,
    v: vec2<u32>,
    b: vec2<u32>,
    hyper: vec2<u32>,
    norm: vec2<u32>,
    n: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> b: array<f32>;
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
    let alpha = hyper_at(SQUARES);
    let p = parameters[place];
    let g = clipped(i, share) + hyper_at(WEIGHT_DECAY) * p;
    let squares = alpha * v[uniforms.v.x + i] + (1.0 - alpha) * g * g;
    v[uniforms.v.x + i] = squares;
    let velocity = hyper_at(MOMENTUM) * b[uniforms.b.x + i] + g / (sqrt(squares) + hyper_at(EPSILON));
    b[uniforms.b.x + i] = velocity;
    parameters[place] = p - hyper_at(LEARNING_RATE) * velocity;
}
