// y at timestep t += row t of the weight, and the sums of its adjoint over the batch.
//
// Twin: src/kernels/position.rs. One invocation owns one element of y, or of the gradient.

struct Forward {
    // offset and stride of each operand, in elements
    weight: vec2<u32>,
    y: vec2<u32>,
    n_steps: u32,
    batch: u32,
    columns: u32,
    positions: u32,
    accumulate: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    d_weight: vec2<u32>,
    n_steps: u32,
    batch: u32,
    columns: u32,
    positions: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> d_weight: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = forward_uniforms;
    let row = id.x / uniforms.columns;
    let column = id.x % uniforms.columns;
    if row < uniforms.n_steps * uniforms.batch {
        let position = row / uniforms.batch;
        y[uniforms.y.x + row * uniforms.y.y + column] += weight[uniforms.weight.x + position * uniforms.weight.y + column];
    }
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = backward_uniforms;
    let position = id.x / uniforms.columns;
    let column = id.x % uniforms.columns;
    if position >= uniforms.positions {
        return;
    }
    let at = uniforms.d_weight.x + position * uniforms.d_weight.y + column;
    var sum = select(0.0, d_weight[at], uniforms.accumulate == 1u);
    if position < uniforms.n_steps {
        for (var b = 0u; b < uniforms.batch; b++) {
            sum += d_y[uniforms.d_y.x + (position * uniforms.batch + b) * uniforms.d_y.y + column];
        }
    }
    d_weight[at] = sum;
}
