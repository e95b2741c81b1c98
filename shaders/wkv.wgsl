// The time loop of RWKV-4 and its adjoint: y is a mean of the values so far, whose weights are exp(k) and fade by exp(-exp(w)) a step.
//
// Twin: src/kernels/wkv.rs. One invocation owns a channel of one row of the batch for the whole loop.

struct Forward {
    // offset and stride of each operand, in elements
    w: vec2<u32>,
    u: vec2<u32>,
    k: vec2<u32>,
    v: vec2<u32>,
    means: vec2<u32>,
    shares: vec2<u32>,
    y: vec2<u32>,
    n_steps: u32,
    batch: u32,
    channels: u32,
    first: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    w: vec2<u32>,
    v: vec2<u32>,
    means: vec2<u32>,
    shares: vec2<u32>,
    d_k: vec2<u32>,
    d_v: vec2<u32>,
    d_rates: vec2<u32>,
    n_steps: u32,
    batch: u32,
    channels: u32,
    first: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> u: array<f32>;
@group(0) @binding(3) var<storage, read_write> k: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> means: array<f32>;
@group(0) @binding(6) var<storage, read_write> shares: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_w: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_v: array<f32>;
@group(0) @binding(4) var<storage, read_write> backward_means: array<f32>;
@group(0) @binding(5) var<storage, read_write> backward_shares: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_k: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_v: array<f32>;
@group(0) @binding(8) var<storage, read_write> d_rates: array<f32>;

const WIDTH = 64u;

// The share of a further term exp(key) in the sum b exp(p) with it, and that sum, as b and p again.
fn join(b: f32, p: f32, key: f32) -> vec3<f32> {
    let e = exp(-abs(key - p));
    let above = key > p;
    let term = select(e, 1.0, above);
    let sum = select(b, b * e, above) + term;
    return vec3(term / sum, sum, select(p, key, above));
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = forward_uniforms;
    let channels = uniforms.channels;
    let c = id.x;
    if c >= channels {
        return;
    }
    let rate = exp(w[uniforms.w.x + c]);
    let bonus = u[uniforms.u.x + c];
    var mean = 0.0;
    // Share, sum and largest exponent.
    var state = vec3(0.0, 0.0, -1e30);
    if uniforms.first > 0u {
        let before = (uniforms.first - 1u) * uniforms.batch + id.y;
        mean = means[uniforms.means.x + before * uniforms.means.y + c];
        let at = uniforms.shares.x + before * uniforms.shares.y + 2u * channels + c;
        if shares[at] > 0.0 {
            state = vec3(0.0, shares[at], shares[at + channels]);
        }
    }
    for (var step = uniforms.first; step < uniforms.n_steps; step++) {
        let row = step * uniforms.batch + id.y;
        let key = k[uniforms.k.x + row * uniforms.k.y + c];
        let away = v[uniforms.v.x + row * uniforms.v.y + c] - mean;
        let own = join(state.y, state.z, bonus + key).x;
        state = join(state.y, state.z - rate, key);
        y[uniforms.y.x + row * uniforms.y.y + c] = mean + own * away;
        mean += state.x * away;
        means[uniforms.means.x + row * uniforms.means.y + c] = mean;
        let to = uniforms.shares.x + row * uniforms.shares.y + c;
        shares[to] = state.x;
        shares[to + channels] = own;
        shares[to + 2u * channels] = state.y;
        shares[to + 3u * channels] = state.z;
    }
}

@compute @workgroup_size(WIDTH)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = backward_uniforms;
    let channels = uniforms.channels;
    let batch = uniforms.batch;
    let c = id.x;
    if c >= channels {
        return;
    }
    var total = 0.0;
    var of_sum = 0.0;
    var d_w = 0.0;
    var d_u = 0.0;
    for (var left = uniforms.n_steps; left > uniforms.first; left--) {
        let row = (left - 1u) * batch + id.y;
        let here = uniforms.means.x + row * uniforms.means.y + c;
        var mean = 0.0;
        if left > 1u {
            mean = backward_means[here - batch * uniforms.means.y];
        }
        let source = uniforms.shares.x + row * uniforms.shares.y + c;
        let share = backward_shares[source];
        let own = backward_shares[source + channels];
        let incoming = d_y[uniforms.d_y.x + row * uniforms.d_y.y + c];
        let kept = 1.0 - share;
        let away = backward_v[uniforms.v.x + row * uniforms.v.y + c] - mean;
        let now = incoming * away * own * (1.0 - own);
        let later = total * away * share * kept;
        let of_kept = of_sum * kept - later;
        backward_means[here] = total;
        d_v[uniforms.d_v.x + row * uniforms.d_v.y + c] = incoming * own + total * share;
        d_k[uniforms.d_k.x + row * uniforms.d_k.y + c] = now + later + of_sum * share;
        d_u += now;
        d_w += of_kept;
        total = flush(incoming * (1.0 - own) + total * kept);
        of_sum = flush(of_kept - now);
    }
    let to = uniforms.d_rates.x + id.y * uniforms.d_rates.y + c;
    d_rates[to] = -(exp(backward_w[uniforms.w.x + c]) * d_w);
    d_rates[to + channels] = d_u;
}
