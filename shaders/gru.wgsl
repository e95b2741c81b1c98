// The whole time loop of a gated recurrent unit layer, and its adjoint.
//
// Twin: src/kernels/gru.rs.
//
// One workgroup owns ROWS rows of the batch for the whole time loop; an invocation adds the products of a few units for all of them.
// States pass through the arena, in order through the barriers: no other workgroup touches these rows.

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
    first: u32,
    end: u32,
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
    first: u32,
    end: u32,
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

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = forward_uniforms;
    let rows = owned(group.x, uniforms.batch);
    let hidden = uniforms.hidden;
    for (var step = uniforms.first; step < uniforms.end; step++) {
        let t = time(step, uniforms.n_steps, uniforms.reverse);
        let t_before = time(max(step, 1u) - 1u, uniforms.n_steps, uniforms.reverse);
        for (var base = 0u; base < hidden; base += WIDTH) {
            let own = share(index, base, hidden);
            let j = own.item;
            var r = Rows();
            var z = Rows();
            var q = Rows();
            if has_state(step) {
                for (var first = 0u; first < hidden; first += BLOCK) {
                    stage_h(index, step, t_before, rows.x, first);
                    let part = terms(own, hidden - first);
                    let next = hidden * uniforms.weight_hh.y;
                    var w = uniforms.weight_hh.x + j * uniforms.weight_hh.y + first + part.x;
                    for (var k = part.x; k < part.y; k++) {
                        let h = rows_at(k);
                        r += weight_hh[w] * h;
                        z += weight_hh[w + next] * h;
                        q += weight_hh[w + 2u * next] * h;
                        w++;
                    }
                }
                r = merged(index, own, r);
                z = merged(index, own, z);
                q = merged(index, own, q);
            }
            for (var at = 0u; at < ROWS; at++) {
                let b = rows.x + at;
                if own.works && own.slice == 0u && b < uniforms.batch {
                    step_of_unit(step, t, t_before, b, j, vec3(r[at / 4u][at % 4u], z[at / 4u][at % 4u], q[at / 4u][at % 4u]));
                }
            }
        }
        storageBarrier();
    }
}

// One unit of one row, with its recurrent sums.
fn step_of_unit(step: u32, t: u32, t_before: u32, b: u32, j: u32, sums: vec3<f32>) {
    let uniforms = forward_uniforms;
    let hidden = uniforms.hidden;
    let row = t * uniforms.batch + b;
    let at = uniforms.gates.x + row * uniforms.gates.y + j;
    let bias = uniforms.bias_hh.x + j;
    let r = sigmoid(gates[at] + bias_hh[bias] + sums.x);
    let z = sigmoid(gates[at + hidden] + bias_hh[bias + hidden] + sums.y);
    let q = bias_hh[bias + 2u * hidden] + sums.z;
    let n = hyperbolic_tangent(gates[at + 2u * hidden] + r * q);
    var h_prev = 0.0;
    if has_state(step) {
        h_prev = h_before(step, t_before, b, j);
    }
    gates[at] = r;
    gates[at + hidden] = z;
    gates[at + 2u * hidden] = n;
    gates[at + 3u * hidden] = q;
    y[uniforms.y.x + row * uniforms.y.y + j] = (1.0 - z) * n + z * h_prev;
}

@compute @workgroup_size(WIDTH)
fn backward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = backward_uniforms;
    let rows = owned(group.x, uniforms.batch);
    let hidden = uniforms.hidden;
    for (var left = uniforms.end; left > uniforms.first; left--) {
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
        let cut = is_cut(step, uniforms.n_steps, uniforms.window);
        storageBarrier();
        propagate(index, rows.x, t, 3u * hidden, cut, true);
        storageBarrier();
    }
}

// d of a step at term `n` for row `b` of the batch: blocks r, z, n, and the recurrent part of n is q.
fn d_at(t: u32, b: u32, n: u32) -> f32 {
    let uniforms = backward_uniforms;
    if b >= uniforms.batch || n >= 3u * uniforms.hidden {
        return 0.0;
    }
    let at = select(n + uniforms.hidden, n, n < 2u * uniforms.hidden);
    return backward_gates[uniforms.gates.x + (t * uniforms.batch + b) * uniforms.gates.y + at];
}
