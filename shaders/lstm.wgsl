// The whole time loop of a long short-term memory layer, and its adjoint.
//
// Twin: src/kernels/lstm.rs.
//
// One workgroup owns ROWS rows of the batch for the whole time loop; an invocation computes one unit of one row after another. States
// pass through the arena, in order through the barriers: no other workgroup touches these rows.

struct Forward {
    // offset and stride of each operand, in elements
    gates: vec2<u32>,
    weight_hh: vec2<u32>,
    bias_hh: vec2<u32>,
    state0: vec2<u32>,
    y: vec2<u32>,
    c: vec2<u32>,
    n_steps: u32,
    batch: u32,
    hidden: u32,
    reverse: u32,
    window: u32,
    nonlinearity: u32,
    silent: u32,
    fresh: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    c: vec2<u32>,
    weight_hh: vec2<u32>,
    state0: vec2<u32>,
    d_state: vec2<u32>,
    gates: vec2<u32>,
    totals: vec2<u32>,
    y: vec2<u32>,
    n_steps: u32,
    batch: u32,
    hidden: u32,
    reverse: u32,
    window: u32,
    nonlinearity: u32,
    silent: u32,
    fresh: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> gates: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight_hh: array<f32>;
@group(0) @binding(3) var<storage, read_write> bias_hh: array<f32>;
@group(0) @binding(4) var<storage, read_write> state0: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> c: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_c: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_weight_hh: array<f32>;
@group(0) @binding(4) var<storage, read_write> backward_state0: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_state: array<f32>;
@group(0) @binding(6) var<storage, read_write> backward_gates: array<f32>;
@group(0) @binding(7) var<storage, read_write> totals: array<f32>;
@group(0) @binding(8) var<storage, read_write> backward_y: array<f32>;

// The pre-activation of block `block`.
fn gate(block: u32, j: u32, step: u32, row: u32, before: u32, b: u32) -> f32 {
    let uniforms = forward_uniforms;
    let n = block * uniforms.hidden + j;
    let start = gates[uniforms.gates.x + row * uniforms.gates.y + n] + bias_hh[uniforms.bias_hh.x + n];
    return start + recurrent(n, step, before, b);
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = forward_uniforms;
    let rows = owned(group.x, uniforms.batch);
    let hidden = uniforms.hidden;
    for (var step = 0u; step < uniforms.n_steps; step++) {
        let t = time(step, uniforms.n_steps, uniforms.reverse);
        let t_before = time(max(step, 1u) - 1u, uniforms.n_steps, uniforms.reverse);
        for (var cell = index; cell < rows.y * hidden; cell += WIDTH) {
            let b = rows.x + cell / hidden;
            let j = cell % hidden;
            let row = t * uniforms.batch + b;
            let before = t_before * uniforms.batch + b;
            let i = sigmoid(gate(0u, j, step, row, before, b));
            let f = sigmoid(gate(1u, j, step, row, before, b));
            let g = hyperbolic_tangent(gate(2u, j, step, row, before, b));
            let o = sigmoid(gate(3u, j, step, row, before, b));
            var c_prev = 0.0;
            if step > 0u {
                c_prev = c[uniforms.c.x + before * uniforms.c.y + j];
            } else if uniforms.state0.x != ABSENT {
                c_prev = state0[uniforms.state0.x + (uniforms.batch + b) * uniforms.state0.y + j];
            }
            let c_next = f * c_prev + i * g;
            let at = uniforms.gates.x + row * uniforms.gates.y + j;
            gates[at] = i;
            gates[at + hidden] = f;
            gates[at + 2u * hidden] = g;
            gates[at + 3u * hidden] = o;
            c[uniforms.c.x + row * uniforms.c.y + j] = c_next;
            y[uniforms.y.x + row * uniforms.y.y + j] = o * hyperbolic_tangent(c_next);
        }
        storageBarrier();
    }
}

@compute @workgroup_size(WIDTH)
fn backward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = backward_uniforms;
    let rows = owned(group.x, uniforms.batch);
    let hidden = uniforms.hidden;
    for (var left = uniforms.n_steps; left > 0u; left--) {
        let step = left - 1u;
        let t = time(step, uniforms.n_steps, uniforms.reverse);
        let t_before = time(max(step, 1u) - 1u, uniforms.n_steps, uniforms.reverse);
        let cut = is_cut(step, uniforms.n_steps, uniforms.window);
        for (var cell = index; cell < rows.y * hidden; cell += WIDTH) {
            let b = rows.x + cell / hidden;
            let j = cell % hidden;
            let row = t * uniforms.batch + b;
            var c_prev = 0.0;
            if step > 0u {
                c_prev = backward_c[uniforms.c.x + (t_before * uniforms.batch + b) * uniforms.c.y + j];
            } else if uniforms.state0.x != ABSENT {
                c_prev = backward_state0[uniforms.state0.x + (uniforms.batch + b) * uniforms.state0.y + j];
            }
            let at = uniforms.gates.x + row * uniforms.gates.y + j;
            let i = backward_gates[at];
            let f = backward_gates[at + hidden];
            let g = backward_gates[at + 2u * hidden];
            let o = backward_gates[at + 3u * hidden];
            let tanh_c = backward_y[uniforms.y.x + row * uniforms.y.y + j] / o;
            let state = uniforms.d_state.x + b * uniforms.d_state.y + j;
            let state_c = state + uniforms.batch * uniforms.d_state.y;
            let d_h = flush(from_output(row, j) + from_later(left, state));
            let d_c = flush(from_later(left, state_c) + d_h * o * (1.0 - tanh_c * tanh_c));
            if uniforms.totals.x != ABSENT {
                let total = uniforms.totals.x + row * uniforms.totals.y + j;
                totals[total] = d_h;
                totals[total + uniforms.n_steps * uniforms.batch * uniforms.totals.y] = d_c;
            }
            backward_gates[at] = flush(d_c * g * i * (1.0 - i));
            backward_gates[at + hidden] = flush(d_c * c_prev * f * (1.0 - f));
            backward_gates[at + 2u * hidden] = flush(d_c * i * (1.0 - g * g));
            backward_gates[at + 3u * hidden] = flush(d_h * tanh_c * o * (1.0 - o));
            d_state[state_c] = select(flush(d_c * f), 0.0, cut);
        }
        storageBarrier();
        for (var cell = index; cell < rows.y * hidden; cell += WIDTH) {
            let b = rows.x + cell / hidden;
            let k = cell % hidden;
            let d = uniforms.gates.x + (t * uniforms.batch + b) * uniforms.gates.y;
            var sum = 0.0;
            for (var n = 0u; n < 4u * hidden; n++) {
                sum += backward_gates[d + n] * backward_weight_hh[uniforms.weight_hh.x + n * uniforms.weight_hh.y + k];
            }
            d_state[uniforms.d_state.x + b * uniforms.d_state.y + k] = select(flush(sum), 0.0, cut);
        }
        storageBarrier();
    }
}
