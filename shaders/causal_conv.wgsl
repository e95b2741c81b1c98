// y = b + the sum over taps of w * x, each tap so many timesteps earlier (or later), and the gradient of w. A token shift has the
// taps 1 - w and w.
//
// Twin: src/kernels/causal_conv.rs. Forward, one invocation computes one element; backward, sixteen strands of rows add one element of
// the gradient, and the first one adds what they have.

struct Forward {
    // offset and stride of each operand, in elements
    x: vec2<u32>,
    weight: vec2<u32>,
    bias: vec2<u32>,
    y: vec2<u32>,
    n_steps: u32,
    batch: u32,
    channels: u32,
    taps: u32,
    later: u32,
    accumulate: u32,
    shift: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    x: vec2<u32>,
    d_weight: vec2<u32>,
    n_steps: u32,
    batch: u32,
    channels: u32,
    taps: u32,
    later: u32,
    accumulate: u32,
    shift: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_x: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_weight: array<f32>;

// The offset of an operand that a call leaves out.
const ABSENT = 0xffffffffu;
const COLUMNS = 16u;
const STRANDS = 16u;

var<workgroup> partial: array<f32, 256>;

// The weight of a channel's tap; the two taps of a token shift are 1 - w and w.
fn tap_of(e: u32, tap: u32) -> f32 {
    let uniforms = forward_uniforms;
    if uniforms.shift == 0u {
        return weight[uniforms.weight.x + e * uniforms.taps + tap];
    }
    let mu = weight[uniforms.weight.x + e];
    return select(mu, 1.0 - mu, tap == 0u);
}

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = forward_uniforms;
    let rows = uniforms.n_steps * uniforms.batch;
    if id.x >= rows * uniforms.channels {
        return;
    }
    let row = id.x / uniforms.channels;
    let e = id.x % uniforms.channels;
    var sum = 0.0;
    if uniforms.bias.x != ABSENT {
        sum = bias[uniforms.bias.x + e];
    }
    for (var tap = 0u; tap < uniforms.taps; tap++) {
        let apart = (uniforms.taps - 1u - tap) * uniforms.batch;
        let there = select(rows > row + apart, row >= apart, uniforms.later == 0u);
        if there {
            let source = select(row + apart, row - apart, uniforms.later == 0u);
            sum += tap_of(e, tap) * x[uniforms.x.x + source * uniforms.x.y + e];
        }
    }
    let at = uniforms.y.x + row * uniforms.y.y + e;
    y[at] = select(0.0, y[at], uniforms.accumulate == 1u) + sum;
}

@compute @workgroup_size(COLUMNS, STRANDS)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let uniforms = backward_uniforms;
    let e = group.x * COLUMNS + local.x;
    let shifts = uniforms.shift == 1u;
    let weights = select(uniforms.taps, 1u, shifts);
    let apart = (weights - 1u - group.y) * uniforms.batch;
    var sum = 0.0;
    if e < uniforms.channels {
        for (var row = apart + local.y; row < uniforms.n_steps * uniforms.batch; row += STRANDS) {
            let source = uniforms.x.x + (row - apart) * uniforms.x.y + e;
            var slope = backward_x[source];
            if shifts && row >= uniforms.batch {
                slope -= backward_x[source - uniforms.batch * uniforms.x.y];
            }
            sum += d_y[uniforms.d_y.x + row * uniforms.d_y.y + e] * slope;
        }
    }
    partial[local.y * COLUMNS + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && e < uniforms.channels {
        for (var strand = 1u; strand < STRANDS; strand++) {
            sum += partial[strand * COLUMNS + local.x];
        }
        let at = uniforms.d_weight.x + e * weights + group.y;
        d_weight[at] = select(0.0, d_weight[at], uniforms.accumulate == 1u) + sum;
    }
}
