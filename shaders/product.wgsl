// C = op(A)·op(B), or C += op(A)·op(B), or C = op(A)·op(B) + bias: the matrix core.
//
// Twin: src/kernels/product.rs. Grid: ⌈n/16⌉ × ⌈m/16⌉ workgroups; one workgroup computes a square of C, one invocation one element,
// through tiles of both factors in workgroup memory. Edges are padded with zeros there, so no size must be a multiple of anything.

const TILE: u32 = 16u;

struct Uniforms {
    // offset and stride of each operand, in elements
    a: vec2<u32>,
    b: vec2<u32>,
    c: vec2<u32>,
    bias: vec2<u32>,
    m: u32,
    n: u32,
    k: u32,
    a_transposed: u32,
    b_transposed: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;

// The offset of an operand that a call leaves out.
const ABSENT = 0xffffffffu;

var<workgroup> a_tile: array<array<f32, TILE>, TILE>;
var<workgroup> b_tile: array<array<f32, TILE>, TILE>;

fn a_at(i: u32, l: u32) -> f32 {
    if i >= uniforms.m || l >= uniforms.k {
        return 0.0;
    }
    let place = select(vec2(i, l), vec2(l, i), uniforms.a_transposed == 1u);
    return a[uniforms.a.x + place.x * uniforms.a.y + place.y];
}

fn b_at(l: u32, j: u32) -> f32 {
    if l >= uniforms.k || j >= uniforms.n {
        return 0.0;
    }
    let place = select(vec2(l, j), vec2(j, l), uniforms.b_transposed == 1u);
    return b[uniforms.b.x + place.x * uniforms.b.y + place.y];
}

@compute @workgroup_size(TILE, TILE)
fn forward(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let i = group.y * TILE + local.y;
    let j = group.x * TILE + local.x;
    var sum = 0.0;
    for (var first = 0u; first < uniforms.k; first += TILE) {
        a_tile[local.y][local.x] = a_at(i, first + local.x);
        b_tile[local.y][local.x] = b_at(first + local.y, j);
        workgroupBarrier();
        for (var l = 0u; l < TILE; l++) {
            sum += a_tile[local.y][l] * b_tile[l][local.x];
        }
        workgroupBarrier();
    }
    if i < uniforms.m && j < uniforms.n {
        if uniforms.bias.x != ABSENT {
            sum += bias[uniforms.bias.x + j];
        }
        let at = uniforms.c.x + i * uniforms.c.y + j;
        c[at] = select(sum, c[at] + sum, uniforms.accumulate == 1u);
    }
}
