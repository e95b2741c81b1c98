// C = op(A)·op(B), or C += op(A)·op(B), or C = op(A)·op(B) + bias: the matrix core.
//
// Twin: src/kernels/product.rs. Grid: ⌈n/TILE⌉ × ⌈m/TILE⌉ workgroups; one workgroup computes a square of C, one invocation eight rows of
// eight columns of it, through DEPTH terms of both factors at a time in workgroup memory. Edges are padded with zeros there, so no size
// must be a multiple of anything. A C of at most four columns is computed by rows instead: one invocation a row, every term read once.

const SIDE: u32 = 8u;
const TILE: u32 = 64u;
const FOURS: u32 = 16u;
const DEPTH: u32 = 16u;

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

// Four rows of op(A), or four columns of op(B), for each term.
var<workgroup> a_tile: array<vec4<f32>, DEPTH * FOURS>;
var<workgroup> b_tile: array<vec4<f32>, DEPTH * FOURS>;

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

fn write(i: u32, j: u32, sum: f32) {
    if i >= uniforms.m || j >= uniforms.n {
        return;
    }
    var value = sum;
    if uniforms.bias.x != ABSENT {
        value += bias[uniforms.bias.x + j];
    }
    let at = uniforms.c.x + i * uniforms.c.y + j;
    if uniforms.accumulate == 1u {
        value += c[at];
    }
    c[at] = value;
}

fn write_row(i: u32, j: u32, sums: vec4<f32>) {
    for (var column = 0u; column < 4u; column++) {
        write(i, j + column, sums[column]);
    }
}

@compute @workgroup_size(SIDE, SIDE)
fn forward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    if uniforms.n <= 4u {
        // As many rows as the workgroup has invocations: the grid is made for it.
        let i = group.y * SIDE * SIDE + index;
        var sums = vec4(0.0);
        for (var l = 0u; l < uniforms.k; l++) {
            sums += a_at(i, l) * vec4(b_at(l, 0u), b_at(l, 1u), b_at(l, 2u), b_at(l, 3u));
        }
        write_row(i, 0u, sums);
        return;
    }
    let row = index / SIDE;
    let column = index % SIDE;
    let first_row = group.y * TILE;
    let first_column = group.x * TILE;
    // Eight rows of the left four columns and of the right four.
    var l0 = vec4(0.0);
    var l1 = vec4(0.0);
    var l2 = vec4(0.0);
    var l3 = vec4(0.0);
    var l4 = vec4(0.0);
    var l5 = vec4(0.0);
    var l6 = vec4(0.0);
    var l7 = vec4(0.0);
    var r0 = vec4(0.0);
    var r1 = vec4(0.0);
    var r2 = vec4(0.0);
    var r3 = vec4(0.0);
    var r4 = vec4(0.0);
    var r5 = vec4(0.0);
    var r6 = vec4(0.0);
    var r7 = vec4(0.0);
    for (var first = 0u; first < uniforms.k; first += DEPTH) {
        let depth = min(DEPTH, uniforms.k - first);
        for (var at = index; at < depth * FOURS; at += SIDE * SIDE) {
            let l = first + at / FOURS;
            let i = first_row + at % FOURS * 4u;
            let j = first_column + at % FOURS * 4u;
            a_tile[at] = vec4(a_at(i, l), a_at(i + 1u, l), a_at(i + 2u, l), a_at(i + 3u, l));
            b_tile[at] = vec4(b_at(l, j), b_at(l, j + 1u), b_at(l, j + 2u), b_at(l, j + 3u));
        }
        workgroupBarrier();
        for (var l = 0u; l < depth; l++) {
            let upper = a_tile[l * FOURS + row];
            let lower = a_tile[l * FOURS + SIDE + row];
            let left = b_tile[l * FOURS + column];
            let right = b_tile[l * FOURS + SIDE + column];
            l0 += upper.x * left;
            l1 += upper.y * left;
            l2 += upper.z * left;
            l3 += upper.w * left;
            l4 += lower.x * left;
            l5 += lower.y * left;
            l6 += lower.z * left;
            l7 += lower.w * left;
            r0 += upper.x * right;
            r1 += upper.y * right;
            r2 += upper.z * right;
            r3 += upper.w * right;
            r4 += lower.x * right;
            r5 += lower.y * right;
            r6 += lower.z * right;
            r7 += lower.w * right;
        }
        workgroupBarrier();
    }
    let i = first_row + row * 4u;
    let j = first_column + column * 4u;
    write_row(i, j, l0);
    write_row(i, j + TILE / 2u, r0);
    write_row(i + 1u, j, l1);
    write_row(i + 1u, j + TILE / 2u, r1);
    write_row(i + 2u, j, l2);
    write_row(i + 2u, j + TILE / 2u, r2);
    write_row(i + 3u, j, l3);
    write_row(i + 3u, j + TILE / 2u, r3);
    write_row(i + TILE / 2u, j, l4);
    write_row(i + TILE / 2u, j + TILE / 2u, r4);
    write_row(i + TILE / 2u + 1u, j, l5);
    write_row(i + TILE / 2u + 1u, j + TILE / 2u, r5);
    write_row(i + TILE / 2u + 2u, j, l6);
    write_row(i + TILE / 2u + 2u, j + TILE / 2u, r6);
    write_row(i + TILE / 2u + 3u, j, l7);
    write_row(i + TILE / 2u + 3u, j + TILE / 2u, r7);
}
