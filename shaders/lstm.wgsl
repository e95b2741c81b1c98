// The whole time loop of a long short-term memory layer, and its adjoint.
//
// Twin: src/kernels/lstm.rs.
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
    c: vec2<u32>,
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
    first: u32,
    end: u32,
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
            var i = Rows();
            var f = Rows();
            var g = Rows();
            var o = Rows();
            if has_state(step) {
                for (var first = 0u; first < hidden; first += BLOCK) {
                    stage_h(index, step, t_before, rows.x, first);
                    let part = terms(own, hidden - first);
                    let next = hidden * uniforms.weight_hh.y;
                    var w = uniforms.weight_hh.x + j * uniforms.weight_hh.y + first + part.x;
                    for (var k = part.x; k < part.y; k++) {
                        let h = rows_at(k);
                        i += weight_hh[w] * h;
                        f += weight_hh[w + next] * h;
                        g += weight_hh[w + 2u * next] * h;
                        o += weight_hh[w + 3u * next] * h;
                        w++;
                    }
                }
                i = merged(index, own, i);
                f = merged(index, own, f);
                g = merged(index, own, g);
                o = merged(index, own, o);
            }
            for (var r = 0u; r < ROWS; r++) {
                let b = rows.x + r;
                let sums = vec4(i[r / 4u][r % 4u], f[r / 4u][r % 4u], g[r / 4u][r % 4u], o[r / 4u][r % 4u]);
                if own.works && own.slice == 0u && b < uniforms.batch {
                    step_of_unit(step, t * uniforms.batch + b, t_before * uniforms.batch + b, b, j, sums);
                }
            }
        }
        storageBarrier();
    }
}

// One unit of one row, with the recurrent sums of its gates.
fn step_of_unit(step: u32, row: u32, before: u32, b: u32, j: u32, sums: vec4<f32>) {
    let uniforms = forward_uniforms;
    let hidden = uniforms.hidden;
    let at = uniforms.gates.x + row * uniforms.gates.y + j;
    let bias = uniforms.bias_hh.x + j;
    let i = sigmoid(gates[at] + bias_hh[bias] + sums.x);
    let f = sigmoid(gates[at + hidden] + bias_hh[bias + hidden] + sums.y);
    let g = hyperbolic_tangent(gates[at + 2u * hidden] + bias_hh[bias + 2u * hidden] + sums.z);
    let o = sigmoid(gates[at + 3u * hidden] + bias_hh[bias + 3u * hidden] + sums.w);
    var c_prev = 0.0;
    if step > 0u {
        c_prev = c[uniforms.c.x + before * uniforms.c.y + j];
    } else if uniforms.state0.x != ABSENT {
        c_prev = state0[uniforms.state0.x + (uniforms.batch + b) * uniforms.state0.y + j];
    }
    let c_next = f * c_prev + i * g;
    gates[at] = i;
    gates[at + hidden] = f;
    gates[at + 2u * hidden] = g;
    gates[at + 3u * hidden] = o;
    c[uniforms.c.x + row * uniforms.c.y + j] = c_next;
    y[uniforms.y.x + row * uniforms.y.y + j] = o * hyperbolic_tangent(c_next);
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
        propagate(index, rows.x, t, 4u * hidden, cut, false);
        storageBarrier();
    }
}

// d of a step at term `n` for row `b` of the batch.
fn d_at(t: u32, b: u32, n: u32) -> f32 {
    let uniforms = backward_uniforms;
    if b >= uniforms.batch || n >= 4u * uniforms.hidden {
        return 0.0;
    }
    return backward_gates[uniforms.gates.x + (t * uniforms.batch + b) * uniforms.gates.y + n];
}
