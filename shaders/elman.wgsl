// The whole time loop of an Elman layer, and its adjoint.
//
// Twin: src/kernels/elman.rs.
//
// One workgroup owns ROWS rows of the batch for the whole time loop; an invocation computes one unit of one row after another. States
// pass through the arena, in order through the barriers: no other workgroup touches these rows.

struct Forward {
    // offset and stride of each operand, in elements
    a: vec2<u32>,
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
    d_state: vec2<u32>,
    d_a: vec2<u32>,
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
@group(0) @binding(1) var<storage, read_write> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight_hh: array<f32>;
@group(0) @binding(3) var<storage, read_write> bias_hh: array<f32>;
@group(0) @binding(4) var<storage, read_write> state0: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_y: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_weight_hh: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_state: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_a: array<f32>;
@group(0) @binding(6) var<storage, read_write> totals: array<f32>;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = forward_uniforms;
    let rows = owned(group.x, uniforms.batch);
    for (var step = 0u; step < uniforms.n_steps; step++) {
        let t = time(step, uniforms.n_steps, uniforms.reverse);
        let before = time(max(step, 1u) - 1u, uniforms.n_steps, uniforms.reverse);
        for (var cell = index; cell < rows.y * uniforms.hidden; cell += WIDTH) {
            let b = rows.x + cell / uniforms.hidden;
            let j = cell % uniforms.hidden;
            let row = t * uniforms.batch + b;
            var sum = a[uniforms.a.x + row * uniforms.a.y + j] + bias_hh[uniforms.bias_hh.x + j];
            sum += recurrent(j, step, before * uniforms.batch + b, b);
            if uniforms.nonlinearity == 0u {
                sum = hyperbolic_tangent(sum);
            } else if uniforms.nonlinearity == 1u {
                sum = select(sum, 0.0, sum < 0.0);
            }
            y[uniforms.y.x + row * uniforms.y.y + j] = sum;
        }
        storageBarrier();
    }
}

@compute @workgroup_size(WIDTH)
fn backward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = backward_uniforms;
    let rows = owned(group.x, uniforms.batch);
    for (var left = uniforms.n_steps; left > 0u; left--) {
        let step = left - 1u;
        let t = time(step, uniforms.n_steps, uniforms.reverse);
        for (var cell = index; cell < rows.y * uniforms.hidden; cell += WIDTH) {
            let b = rows.x + cell / uniforms.hidden;
            let j = cell % uniforms.hidden;
            let row = t * uniforms.batch + b;
            let delta = flush(from_output(row, j) + from_later(left, uniforms.d_state.x + b * uniforms.d_state.y + j));
            if uniforms.totals.x != ABSENT {
                totals[uniforms.totals.x + row * uniforms.totals.y + j] = delta;
            }
            let h = backward_y[uniforms.y.x + row * uniforms.y.y + j];
            var slope = 1.0;
            if uniforms.nonlinearity == 0u {
                slope = 1.0 - h * h;
            } else if uniforms.nonlinearity == 1u {
                slope = select(0.0, 1.0, h > 0.0);
            }
            d_a[uniforms.d_a.x + row * uniforms.d_a.y + j] = flush(delta * slope);
        }
        storageBarrier();
        let cut = is_cut(step, uniforms.n_steps, uniforms.window);
        for (var cell = index; cell < rows.y * uniforms.hidden; cell += WIDTH) {
            let b = rows.x + cell / uniforms.hidden;
            let k = cell % uniforms.hidden;
            let d = uniforms.d_a.x + (t * uniforms.batch + b) * uniforms.d_a.y;
            var sum = 0.0;
            for (var n = 0u; n < uniforms.hidden; n++) {
                sum += d_a[d + n] * backward_weight_hh[uniforms.weight_hh.x + n * uniforms.weight_hh.y + k];
            }
            d_state[uniforms.d_state.x + b * uniforms.d_state.y + k] = select(flush(sum), 0.0, cut);
        }
        storageBarrier();
    }
}
