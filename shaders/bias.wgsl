// y = b in every row, or y += b; backwards, d_b = the sum over the rows of d_y, or d_b += that.
//
// Twin: src/kernels/bias.rs. Forward: one invocation sets one element. Backward: one invocation adds one column, rows in order.

struct Forward {
    // offset and stride of each operand, in elements
    b: vec2<u32>,
    y: vec2<u32>,
    rows: u32,
    columns: u32,
    accumulate: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    d_b: vec2<u32>,
    rows: u32,
    columns: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> d_b: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = forward_uniforms;
    if id.x >= uniforms.rows * uniforms.columns {
        return;
    }
    let column = id.x % uniforms.columns;
    let at = uniforms.y.x + id.x / uniforms.columns * uniforms.y.y + column;
    let value = b[uniforms.b.x + column];
    y[at] = select(value, y[at] + value, uniforms.accumulate == 1u);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = backward_uniforms;
    if id.x >= uniforms.columns {
        return;
    }
    let at = uniforms.d_b.x + id.x;
    var sum = select(0.0, d_b[at], uniforms.accumulate == 1u);
    for (var row = 0u; row < uniforms.rows; row++) {
        sum += d_y[uniforms.d_y.x + row * uniforms.d_y.y + id.x];
    }
    d_b[at] = sum;
}
