// The time loop of a selective state space layer and its adjoint: h = k * h_before + g * B * x, y += the sum of C * h over the states.
//
// Twin: src/kernels/selective_scan.rs. Forward, one invocation owns a channel of one row of the batch for the whole loop. Backward, a
// workgroup owns a row: the adjoints of B and C are sums over its channels.

struct Forward {
    // offset and stride of each operand, in elements
    inputs: vec2<u32>,
    projected: vec2<u32>,
    a_log: vec2<u32>,
    states: vec2<u32>,
    kept: vec2<u32>,
    y: vec2<u32>,
    n_steps: u32,
    batch: u32,
    channels: u32,
    // N
    states_of: u32,
    skipped: u32,
    exact: u32,
    first: u32,
    end: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    inputs: vec2<u32>,
    projected: vec2<u32>,
    a_log: vec2<u32>,
    states: vec2<u32>,
    d_inputs: vec2<u32>,
    d_projected: vec2<u32>,
    d_a: vec2<u32>,
    n_steps: u32,
    batch: u32,
    channels: u32,
    // N
    states_of: u32,
    skipped: u32,
    exact: u32,
    first: u32,
    end: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> inputs: array<f32>;
@group(0) @binding(2) var<storage, read_write> projected: array<f32>;
@group(0) @binding(3) var<storage, read_write> a_log: array<f32>;
@group(0) @binding(4) var<storage, read_write> states: array<f32>;
@group(0) @binding(5) var<storage, read_write> kept: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_inputs: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_projected: array<f32>;
@group(0) @binding(4) var<storage, read_write> backward_a_log: array<f32>;
@group(0) @binding(5) var<storage, read_write> backward_states: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_inputs: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_projected: array<f32>;
@group(0) @binding(8) var<storage, read_write> d_a: array<f32>;

const WIDTH = 64u;
const MOST_STATES = 16u;

var<workgroup> partial: array<f32, 2048>;

// e^z - (e^z - 1) / z, by its series where the difference would lose digits.
fn remainder(z: f32, keep: f32) -> f32 {
    var sum = z * (7.0 / 40320.0);
    sum = (sum + 6.0 / 5040.0) * z;
    sum = (sum + 5.0 / 720.0) * z;
    sum = (sum + 4.0 / 120.0) * z;
    sum = (sum + 3.0 / 24.0) * z;
    sum = (sum + 2.0 / 6.0) * z;
    sum = (sum + 0.5) * z;
    if abs(z) > 0.5 {
        sum = keep - (keep - 1.0) / z;
    }
    return sum;
}

// ln(1 + e^x), without overflow: ln(1 + e) = 2 artanh(e / (2 + e)).
fn softplus(x: f32) -> f32 {
    let e = exp(-abs(x));
    let s = e / (e + 2.0);
    let s2 = s * s;
    var sum = 1.0 / 15.0;
    sum = sum * s2 + 1.0 / 13.0;
    sum = sum * s2 + 1.0 / 11.0;
    sum = sum * s2 + 1.0 / 9.0;
    sum = sum * s2 + 1.0 / 7.0;
    sum = sum * s2 + 1.0 / 5.0;
    sum = sum * s2 + 1.0 / 3.0;
    sum = sum * s2 + 1.0;
    return max(x, 0.0) + 2.0 * s * sum;
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = forward_uniforms;
    let channels = uniforms.channels;
    let e = id.x;
    if e >= channels {
        return;
    }
    for (var step = uniforms.first; step < uniforms.end; step++) {
        let row = step * uniforms.batch + id.y;
        let at = uniforms.inputs.x + row * uniforms.inputs.y + e;
        let bc = uniforms.projected.x + row * uniforms.projected.y + uniforms.skipped;
        let x = inputs[at];
        let delta = softplus(inputs[at + channels]);
        inputs[at + channels] = delta;
        var sum = 0.0;
        for (var n = 0u; n < uniforms.states_of; n++) {
            let z = -(delta * exp(a_log[uniforms.a_log.x + e * uniforms.a_log.y + n]));
            let keep = exp(z);
            let g = select(delta, delta * (keep - remainder(z, keep)), uniforms.exact == 1u);
            let place = n * channels + e;
            var h = g * projected[bc + n] * x;
            if step > 0u {
                h += keep * states[uniforms.states.x + (row - uniforms.batch) * uniforms.states.y + place];
            }
            kept[uniforms.kept.x + row * uniforms.kept.y + place] = keep;
            states[uniforms.states.x + row * uniforms.states.y + place] = h;
            sum += projected[bc + uniforms.states_of + n] * h;
        }
        y[uniforms.y.x + row * uniforms.y.y + e] += sum;
    }
}

@compute @workgroup_size(WIDTH)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let uniforms = backward_uniforms;
    let channels = uniforms.channels;
    let batch = uniforms.batch;
    let n_states = uniforms.states_of;
    let b = group.y;
    for (var left = uniforms.end; left > uniforms.first; left--) {
        let step = left - 1u;
        let row = step * batch + b;
        let bc = uniforms.projected.x + row * uniforms.projected.y + uniforms.skipped;
        // Adjoints of B, then of C.
        var sums = array<f32, 2u * MOST_STATES>();
        for (var e = index; e < channels; e += WIDTH) {
            let at = uniforms.inputs.x + row * uniforms.inputs.y + e;
            let x = backward_inputs[at];
            let delta = backward_inputs[at + channels];
            let from_output = d_y[uniforms.d_y.x + row * uniforms.d_y.y + e];
            var d_x = 0.0;
            var d_delta = 0.0;
            for (var n = 0u; n < n_states; n++) {
                let a = -exp(backward_a_log[uniforms.a_log.x + e * uniforms.a_log.y + n]);
                let z = delta * a;
                let keep = exp(z);
                let here = uniforms.states.x + row * uniforms.states.y + n * channels + e;
                let apart = batch * uniforms.states.y;
                var g = delta;
                var slope = 1.0;
                var bend = 0.0;
                if uniforms.exact == 1u {
                    let rest = remainder(z, keep);
                    g = delta * (keep - rest);
                    slope = keep;
                    bend = delta * rest;
                }
                var h_prev = 0.0;
                if step > 0u {
                    h_prev = backward_states[here - apart];
                }
                var total = from_output * backward_projected[bc + n_states + n];
                if step + 1u < uniforms.n_steps {
                    total += exp(backward_inputs[at + batch * uniforms.inputs.y + channels] * a) * backward_states[here + apart];
                }
                total = flush(total);
                let input = backward_projected[bc + n];
                sums[n] += total * g * x;
                sums[MOST_STATES + n] += from_output * backward_states[here];
                backward_states[here] = total;
                d_x += total * g * input;
                d_delta += total * (a * keep * h_prev + slope * input * x);
                let of_a = uniforms.d_a.x + b * uniforms.d_a.y + e * n_states + n;
                let before = select(d_a[of_a], 0.0, left == uniforms.n_steps);
                d_a[of_a] = before + total * (z * keep * h_prev + bend * input * x);
            }
            let to = uniforms.d_inputs.x + row * uniforms.d_inputs.y + e;
            let share = exp(-delta);
            d_inputs[to] = d_x;
            d_inputs[to + channels] = d_delta * delta * (share - remainder(-delta, share));
        }
        for (var n = 0u; n < n_states; n++) {
            partial[n * WIDTH + index] = sums[n];
            partial[(n_states + n) * WIDTH + index] = sums[MOST_STATES + n];
        }
        workgroupBarrier();
        let to = uniforms.d_projected.x + row * uniforms.d_projected.y;
        if index < 2u * n_states {
            var sum = 0.0;
            for (var i = 0u; i < WIDTH; i++) {
                sum += partial[index * WIDTH + i];
            }
            d_projected[to + uniforms.skipped + index] = sum;
        }
        for (var i = index; i < uniforms.skipped; i += WIDTH) {
            d_projected[to + i] = 0.0;
        }
        workgroupBarrier();
    }
}
