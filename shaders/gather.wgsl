// y = W · onehot(symbols) + bias, or y += W · onehot(symbols); backwards, the columns of d_w gather what their symbol's rows of d_y hold.
//
// Twin: src/kernels/gather.rs. Forward: one invocation computes one element of y. Backward: one invocation adds up one column of d_y, rows
// in order, for the symbols of a block.

struct Forward {
    // offset and stride of each operand, in elements
    symbols: vec2<u32>,
    w: vec2<u32>,
    y: vec2<u32>,
    bias: vec2<u32>,
    rows: u32,
    n: u32,
    vocabulary: u32,
    accumulate: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    symbols: vec2<u32>,
    d_y: vec2<u32>,
    d_w: vec2<u32>,
    rows: u32,
    n: u32,
    vocabulary: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> symbols: array<u32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> bias: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(2) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_w: array<f32>;

// The offset of an operand that a call leaves out.
const ABSENT = 0xffffffffu;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = forward_uniforms;
    if id.x >= uniforms.rows * uniforms.n {
        return;
    }
    let row = id.x / uniforms.n;
    let j = id.x % uniforms.n;
    var value = w[uniforms.w.x + j * uniforms.w.y + symbols[uniforms.symbols.x + row]];
    if uniforms.bias.x != ABSENT {
        value += bias[uniforms.bias.x + j];
    }
    let at = uniforms.y.x + row * uniforms.y.y + j;
    y[at] = select(value, y[at] + value, uniforms.accumulate == 1u);
}

// Sums of the symbols of a block, for the columns of the workgroup.
const COLUMNS: u32 = 32u;
const BLOCK: u32 = 64u;
var<workgroup> sums: array<f32, BLOCK * COLUMNS>;

@compute @workgroup_size(COLUMNS)
fn backward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = backward_uniforms;
    // Each invocation has a column of its own in the sums, so that none waits for another.
    let j = group.x * COLUMNS + index;
    let first = group.y * BLOCK;
    for (var v = 0u; v < BLOCK; v++) {
        sums[v * COLUMNS + index] = 0.0;
    }
    if j >= uniforms.n {
        return;
    }
    for (var row = 0u; row < uniforms.rows; row++) {
        let v = symbols[uniforms.symbols.x + row] - first;
        if v < BLOCK {
            sums[v * COLUMNS + index] += d_y[uniforms.d_y.x + row * uniforms.d_y.y + j];
        }
    }
    for (var v = 0u; v < min(BLOCK, uniforms.vocabulary - first); v++) {
        let at = uniforms.d_w.x + j * uniforms.d_w.y + first + v;
        let sum = sums[v * COLUMNS + index];
        d_w[at] = select(sum, d_w[at] + sum, uniforms.accumulate == 1u);
    }
}
