// y = phi(x), or gated, y = u phi(x), element by element, with its adjoints.
//
// Twin: src/kernels/activation.rs. One invocation owns one element; the operands may have rows of different lengths.

const SIGMOID = 1u;
const SILU = 2u;
const GELU = 3u;
const SQUARED_RELU = 4u;
const TANH = 5u;

// The offset of an operand that a call leaves out.
const ABSENT = 0xffffffffu;

struct Forward {
    // offset and stride of each operand, in elements
    x: vec2<u32>,
    u: vec2<u32>,
    y: vec2<u32>,
    rows: u32,
    columns: u32,
    phi: u32,
    of_gate: u32,
    accumulate: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    x: vec2<u32>,
    u: vec2<u32>,
    d: vec2<u32>,
    rows: u32,
    columns: u32,
    phi: u32,
    of_gate: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> u: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_x: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_u: array<f32>;
@group(0) @binding(4) var<storage, read_write> d: array<f32>;

// The rational function of the CPU; what is not a number stays so.
fn error_function(x: f32) -> f32 {
    let c = select(select(x, 4.0, x > 4.0), -4.0, x < -4.0);
    let x2 = c * c;
    var p = -2.7261423e-10f;
    p = p * x2 + 2.7706815e-8f;
    p = p * x2 - 2.101024e-6f;
    p = p * x2 - 5.692506e-5f;
    p = p * x2 - 7.3499064e-4f;
    p = p * x2 - 2.954600e-3f;
    p = p * x2 - 1.6096033e-2f;
    var q = -1.4566072e-5f;
    q = q * x2 - 2.1337405e-4f;
    q = q * x2 - 1.682827e-3f;
    q = q * x2 - 7.373329e-3f;
    q = q * x2 - 1.4264739e-2f;
    return c * (p / q);
}

// phi(x) and its slope.
fn curve(phi: u32, x: f32) -> vec2<f32> {
    if phi == SIGMOID || phi == SILU {
        let s = 1.0 / (1.0 + exp(select(-x, 87.0, x < -87.0)));
        return select(vec2(x * s, s * (1.0 + x * (1.0 - s))), vec2(s, s * (1.0 - s)), phi == SIGMOID);
    }
    if phi == GELU {
        let share = 0.5 * (1.0 + error_function(x * 0.70710678));
        return vec2(x * share, share + x * 0.39894228 * exp(-0.5 * x * x));
    }
    if phi == SQUARED_RELU {
        let above = select(x, 0.0, x < 0.0);
        return vec2(above * above, above + above);
    }
    if phi == TANH {
        // Beyond 10 it is 1 to f32, and exp overflows in some implementations of tanh.
        let y = tanh(select(select(x, 10.0, x > 10.0), -10.0, x < -10.0));
        return vec2(y, 1.0 - y * y);
    }
    return vec2(x, 1.0);
}

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = forward_uniforms;
    if id.x >= uniforms.rows * uniforms.columns {
        return;
    }
    let row = id.x / uniforms.columns;
    let column = id.x % uniforms.columns;
    var value = curve(uniforms.phi, x[uniforms.x.x + row * uniforms.x.y + column]).x;
    if uniforms.u.x != ABSENT {
        value *= u[uniforms.u.x + row * uniforms.u.y + column];
    }
    y[uniforms.y.x + row * uniforms.y.y + column] = value;
}

@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = backward_uniforms;
    if id.x >= uniforms.rows * uniforms.columns {
        return;
    }
    let row = id.x / uniforms.columns;
    let column = id.x % uniforms.columns;
    let both = curve(uniforms.phi, backward_x[uniforms.x.x + row * uniforms.x.y + column]);
    var own = d_y[uniforms.d_y.x + row * uniforms.d_y.y + column] * select(both.y, both.x, uniforms.of_gate == 1u);
    if uniforms.u.x != ABSENT {
        own *= backward_u[uniforms.u.x + row * uniforms.u.y + column];
    }
    let at = uniforms.d.x + row * uniforms.d.y + column;
    d[at] = select(own, d[at] + own, uniforms.accumulate == 1u);
}
