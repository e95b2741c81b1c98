// s0 = (1 - starts) * carried, row by row.
//
// Twin: src/kernels/carry.rs. One invocation sets one element.

struct Uniforms {
    // offset and stride of each operand, in elements
    carried: vec2<u32>,
    starts: vec2<u32>,
    s0: vec2<u32>,
    states: u32,
    batch: u32,
    hidden: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> carried: array<f32>;
@group(0) @binding(2) var<storage, read_write> starts: array<f32>;
@group(0) @binding(3) var<storage, read_write> s0: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= uniforms.states * uniforms.batch * uniforms.hidden {
        return;
    }
    let row = id.x / uniforms.hidden;
    let column = id.x % uniforms.hidden;
    let source = carried[uniforms.carried.x + row * uniforms.carried.y + column];
    let starts_anew = starts[uniforms.starts.x + row % uniforms.batch] != 0.0;
    s0[uniforms.s0.x + row * uniforms.s0.y + column] = select(source, 0.0, starts_anew);
}
