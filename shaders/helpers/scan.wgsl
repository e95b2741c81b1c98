// What the diagonal recurrences share: h = k * h_before + (1 - k) * v, and its adjoint, unit by unit.
//
// Twin: src/kernels/scan.rs. One invocation owns one unit of one row of the batch for the whole time loop: no other one reads it. The stem
// says how gates come from pre-activations, and what their adjoints are: opened and adjoint, on G blocks.

const UNITS = 64u;

struct Forward {
    // offset and stride of each operand, in elements
    gates: vec2<u32>,
    state0: vec2<u32>,
    y: vec2<u32>,
    n_steps: u32,
    batch: u32,
    hidden: u32,
    reverse: u32,
    window: u32,
    nonlinearity: u32,
    silent: u32,
    fresh: u32,
    first: u32,
    end: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    y: vec2<u32>,
    state0: vec2<u32>,
    d_state: vec2<u32>,
    gates: vec2<u32>,
    totals: vec2<u32>,
    n_steps: u32,
    batch: u32,
    hidden: u32,
    reverse: u32,
    window: u32,
    nonlinearity: u32,
    silent: u32,
    fresh: u32,
    first: u32,
    end: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> gates: array<f32>;
@group(0) @binding(2) var<storage, read_write> state0: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_y: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_state0: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_state: array<f32>;
@group(0) @binding(5) var<storage, read_write> backward_gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> totals: array<f32>;

@compute @workgroup_size(UNITS)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = forward_uniforms;
    let hidden = uniforms.hidden;
    let b = id.y;
    if id.x >= hidden {
        return;
    }
    var h = 0.0;
    if uniforms.first > 0u {
        let t_before = time(uniforms.first - 1u, uniforms.n_steps, uniforms.reverse);
        h = y[uniforms.y.x + (t_before * uniforms.batch + b) * uniforms.y.y + id.x];
    } else if uniforms.state0.x != ABSENT {
        h = state0[uniforms.state0.x + b * uniforms.state0.y + id.x];
    }
    for (var step = uniforms.first; step < uniforms.end; step++) {
        let row = time(step, uniforms.n_steps, uniforms.reverse) * uniforms.batch + b;
        let at = uniforms.gates.x + row * uniforms.gates.y + id.x;
        var unit = Unit();
        for (var block = 0u; block < G; block++) {
            unit[block] = gates[at + block * hidden];
        }
        unit = opened(unit);
        for (var block = 0u; block < G; block++) {
            gates[at + block * hidden] = unit[block];
        }
        h = unit[0] * h + (1.0 - unit[0]) * unit[G - 1u];
        y[uniforms.y.x + row * uniforms.y.y + id.x] = h;
    }
}

@compute @workgroup_size(UNITS)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = backward_uniforms;
    let hidden = uniforms.hidden;
    let b = id.y;
    let j = id.x;
    if j >= hidden {
        return;
    }
    let state = uniforms.d_state.x + b * uniforms.d_state.y + j;
    for (var left = uniforms.end; left > uniforms.first; left--) {
        let step = left - 1u;
        let row = time(step, uniforms.n_steps, uniforms.reverse) * uniforms.batch + b;
        var h_prev = 0.0;
        if step > 0u {
            let t_before = time(step - 1u, uniforms.n_steps, uniforms.reverse);
            h_prev = backward_y[uniforms.y.x + (t_before * uniforms.batch + b) * uniforms.y.y + j];
        } else if uniforms.state0.x != ABSENT {
            h_prev = backward_state0[uniforms.state0.x + b * uniforms.state0.y + j];
        }
        let at = uniforms.gates.x + row * uniforms.gates.y + j;
        var unit = Unit();
        for (var block = 0u; block < G; block++) {
            unit[block] = backward_gates[at + block * hidden];
        }
        let delta = flush(from_output(row, j) + from_later(left, state));
        if uniforms.totals.x != ABSENT {
            totals[uniforms.totals.x + row * uniforms.totals.y + j] = delta;
        }
        let k = unit[0];
        unit = adjoint(unit, delta * (h_prev - unit[G - 1u]), delta * (1.0 - k));
        for (var block = 0u; block < G; block++) {
            backward_gates[at + block * hidden] = flush(unit[block]);
        }
        d_state[state] = select(flush(delta * k), 0.0, is_cut(step, uniforms.n_steps, uniforms.window));
    }
}

// g: x + 1/2 from 0 on, sigmoid below.
fn positive(x: f32) -> f32 {
    return select(x + 0.5, sigmoid(x), x < 0.0);
}

// The slope of g from its value.
fn positive_slope(g: f32) -> f32 {
    return select(1.0, g * (1.0 - g), g < 0.5);
}
