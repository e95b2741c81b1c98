// The whole time loop of an Elman layer, and its adjoint.
//
// Twin: src/kernels/elman.rs.
//
// One workgroup owns ROWS rows of the batch for the whole time loop; an invocation adds the products of a few units for all of them.
// States pass through the arena, in order through the barriers: no other workgroup touches these rows.

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
    first: u32,
    end: u32,
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
    first: u32,
    end: u32,
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
    let hidden = uniforms.hidden;
    for (var step = uniforms.first; step < uniforms.end; step++) {
        let t = time(step, uniforms.n_steps, uniforms.reverse);
        let t_before = time(max(step, 1u) - 1u, uniforms.n_steps, uniforms.reverse);
        // Four units, `quarter` apart.
        let quarter = (hidden + 3u) / 4u;
        for (var base = 0u; base < quarter; base += WIDTH) {
            let own = share(index, base, quarter);
            let j = own.item;
            let units = min(vec4(j, j + quarter, j + 2u * quarter, j + 3u * quarter), vec4(hidden - 1u));
            var s0 = Rows();
            var s1 = Rows();
            var s2 = Rows();
            var s3 = Rows();
            if has_state(step) {
                for (var first = 0u; first < hidden; first += BLOCK) {
                    stage_h(index, step, t_before, rows.x, first);
                    let part = terms(own, hidden - first);
                    let w = uniforms.weight_hh.x + first + units * uniforms.weight_hh.y;
                    for (var k = part.x; k < part.y; k++) {
                        let h = rows_at(k);
                        s0 += weight_hh[w.x + k] * h;
                        s1 += weight_hh[w.y + k] * h;
                        s2 += weight_hh[w.z + k] * h;
                        s3 += weight_hh[w.w + k] * h;
                    }
                }
                s0 = merged(index, own, s0);
                s1 = merged(index, own, s1);
                s2 = merged(index, own, s2);
                s3 = merged(index, own, s3);
            }
            for (var r = 0u; r < ROWS; r++) {
                let b = rows.x + r;
                if own.works && own.slice == 0u && b < uniforms.batch {
                    let row = t * uniforms.batch + b;
                    step_of_unit(row, j, s0[r / 4u][r % 4u]);
                    step_of_unit(row, j + quarter, s1[r / 4u][r % 4u]);
                    step_of_unit(row, j + 2u * quarter, s2[r / 4u][r % 4u]);
                    step_of_unit(row, j + 3u * quarter, s3[r / 4u][r % 4u]);
                }
            }
        }
        storageBarrier();
    }
}

// One unit of one row, with its recurrent sum, for a unit that there is.
fn step_of_unit(row: u32, j: u32, recurrent: f32) {
    let uniforms = forward_uniforms;
    if j >= uniforms.hidden {
        return;
    }
    var sum = a[uniforms.a.x + row * uniforms.a.y + j] + bias_hh[uniforms.bias_hh.x + j] + recurrent;
    if uniforms.nonlinearity == 0u {
        sum = hyperbolic_tangent(sum);
    } else if uniforms.nonlinearity == 1u {
        sum = select(sum, 0.0, sum < 0.0);
    }
    y[uniforms.y.x + row * uniforms.y.y + j] = sum;
}

@compute @workgroup_size(WIDTH)
fn backward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = backward_uniforms;
    let rows = owned(group.x, uniforms.batch);
    let hidden = uniforms.hidden;
    for (var left = uniforms.end; left > uniforms.first; left--) {
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
        let cut = is_cut(step, uniforms.n_steps, uniforms.window);
        storageBarrier();
        propagate(index, rows.x, t, hidden, cut, false);
        storageBarrier();
    }
}

// d of a step at term `n` for row `b` of the batch.
fn d_at(t: u32, b: u32, n: u32) -> f32 {
    let uniforms = backward_uniforms;
    if b >= uniforms.batch || n >= uniforms.hidden {
        return 0.0;
    }
    return d_a[uniforms.d_a.x + (t * uniforms.batch + b) * uniforms.d_a.y + n];
}
