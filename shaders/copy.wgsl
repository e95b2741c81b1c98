// y = x, or y += x.
//
// Twin: src/kernels/copy.rs. One invocation copies one element; the operands may have rows of different lengths.

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

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= uniforms.rows * uniforms.columns {
        return;
    }
    let row = id.x / uniforms.columns;
    let column = id.x % uniforms.columns;
    let value = x[uniforms.x.x + row * uniforms.x.y + column];
    let at = uniforms.y.x + row * uniforms.y.y + column;
    y[at] = select(value, y[at] + value, uniforms.accumulate == 1u);
}
