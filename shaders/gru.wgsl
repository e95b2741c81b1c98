// The whole time loop of a gated recurrent unit layer, and its adjoint.
//
// Twin: src/kernels/gru.rs.
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
    y: vec2<u32>,
    weight_hh: vec2<u32>,
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
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> gates: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight_hh: array<f32>;
@group(0) @binding(3) var<storage, read_write> bias_hh: array<f32>;
@group(0) @binding(4) var<storage, read_write> state0: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_y: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_weight_hh: array<f32>;
@group(0) @binding(4) var<storage, read_write> backward_state0: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_state: array<f32>;
@group(0) @binding(6) var<storage, read_write> backward_gates: array<f32>;
@group(0) @binding(7) var<storage, read_write> totals: array<f32>;

// The recurrent part of block `block`.
fn part(block: u32, j: u32, step: u32, before: u32, b: u32) -> f32 {
    let n = block * forward_uniforms.hidden + j;
    return bias_hh[forward_uniforms.bias_hh.x + n] + recurrent(n, step, before, b);
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
            let at = uniforms.gates.x + row * uniforms.gates.y + j;
            let r = sigmoid(gates[at] + part(0u, j, step, before, b));
            let z = sigmoid(gates[at + hidden] + part(1u, j, step, before, b));
            let q = part(2u, j, step, before, b);
            let n = hyperbolic_tangent(gates[at + 2u * hidden] + r * q);
            var h_prev = 0.0;
            if step > 0u {
                h_prev = y[uniforms.y.x + before * uniforms.y.y + j];
            } else if uniforms.state0.x != ABSENT {
                h_prev = state0[uniforms.state0.x + b * uniforms.state0.y + j];
            }
            gates[at] = r;
            gates[at + hidden] = z;
            gates[at + 2u * hidden] = n;
            gates[at + 3u * hidden] = q;
            y[uniforms.y.x + row * uniforms.y.y + j] = (1.0 - z) * n + z * h_prev;
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
        for (var cell = index; cell < rows.y * hidden; cell += WIDTH) {
            let b = rows.x + cell / hidden;
            let j = cell % hidden;
            let row = t * uniforms.batch + b;
            var h_prev = 0.0;
            if step > 0u {
                h_prev = backward_y[uniforms.y.x + (t_before * uniforms.batch + b) * uniforms.y.y + j];
            } else if uniforms.state0.x != ABSENT {
                h_prev = backward_state0[uniforms.state0.x + b * uniforms.state0.y + j];
            }
            let at = uniforms.gates.x + row * uniforms.gates.y + j;
            let r = backward_gates[at];
            let z = backward_gates[at + hidden];
            let n = backward_gates[at + 2u * hidden];
            let q = backward_gates[at + 3u * hidden];
            let state = uniforms.d_state.x + b * uniforms.d_state.y + j;
            let delta = flush(from_output(row, j) + from_later(left, state));
            if uniforms.totals.x != ABSENT {
                totals[uniforms.totals.x + row * uniforms.totals.y + j] = delta;
            }
            let d_n = delta * (1.0 - z) * (1.0 - n * n);
            backward_gates[at] = flush(d_n * q * r * (1.0 - r));
            backward_gates[at + hidden] = flush(delta * (h_prev - n) * z * (1.0 - z));
            backward_gates[at + 2u * hidden] = flush(d_n);
            backward_gates[at + 3u * hidden] = flush(d_n * r);
            d_state[state] = delta * z;
        }
        storageBarrier();
        let cut = is_cut(step, uniforms.n_steps, uniforms.window);
        for (var cell = index; cell < rows.y * hidden; cell += WIDTH) {
            let b = rows.x + cell / hidden;
            let k = cell % hidden;
            let d = uniforms.gates.x + (t * uniforms.batch + b) * uniforms.gates.y;
            let state = uniforms.d_state.x + b * uniforms.d_state.y + k;
            var sum = d_state[state];
            for (var row = 0u; row < 3u * hidden; row++) {
                // Row by row of the weight: blocks r, z, n, and the recurrent part of n is q.
                let at = select(row + hidden, row, row < 2u * hidden);
                sum += backward_gates[d + at] * backward_weight_hh[uniforms.weight_hh.x + row * uniforms.weight_hh.y + k];
            }
            d_state[state] = select(flush(sum), 0.0, cut);
        }
        storageBarrier();
    }
}
