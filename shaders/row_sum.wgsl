// y = the sum of the rows of x, or y += that.
//
// Twin: src/kernels/row_sum.rs. One invocation adds one column, rows in order.

struct Uniforms {
    // offset and stride of each operand, in elements
    x: vec2<u32>,
    y: vec2<u32>,
    rows: u32,
    columns: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= uniforms.columns {
        return;
    }
    let at = uniforms.y.x + id.x;
    var sum = select(0.0, y[at], uniforms.accumulate == 1u);
    for (var row = 0u; row < uniforms.rows; row++) {
        sum += x[uniforms.x.x + row * uniforms.x.y + id.x];
    }
    y[at] = sum;
}
