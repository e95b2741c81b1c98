// y = W · onehot(symbols) + bias, or y += W · onehot(symbols); backwards, the columns of d_w gather what their symbol's rows of d_y hold.
//
// Twin: src/kernels/gather.rs. One invocation computes one element of y, or of d_w with the rows in order.

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

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = backward_uniforms;
    if id.x >= uniforms.n * uniforms.vocabulary {
        return;
    }
    // Neighbours read neighbouring columns of d_y.
    let j = id.x % uniforms.n;
    let symbol = id.x / uniforms.n;
    var sum = 0.0;
    for (var row = 0u; row < uniforms.rows; row++) {
        if symbols[uniforms.symbols.x + row] == symbol {
            sum += d_y[uniforms.d_y.x + row * uniforms.d_y.y + j];
        }
    }
    let at = uniforms.d_w.x + j * uniforms.d_w.y + symbol;
    d_w[at] = select(sum, d_w[at] + sum, uniforms.accumulate == 1u);
}
