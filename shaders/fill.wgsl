// y = value.
//
// Twin: src/kernels/fill.rs. One invocation sets one element.

struct Uniforms {
    // offset and stride of each operand, in elements
    y: vec2<u32>,
    rows: u32,
    columns: u32,
    value: f32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < uniforms.rows * uniforms.columns {
        y[uniforms.y.x + id.x / uniforms.columns * uniforms.y.y + id.x % uniforms.columns] = uniforms.value;
    }
}
