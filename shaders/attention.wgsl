// Scaled dot-product attention of several heads: A = softmax(s Q Kᵀ), Y = A V, and its adjoints.
//
// Twin: src/kernels/attention.rs. One workgroup owns one query of one sequence and head, or one key for the adjoints of keys and values.

// The offset of an operand that a call leaves out.
const ABSENT = 0xffffffffu;

struct Forward {
    // offset and stride of each operand, in elements
    queries: vec2<u32>,
    memory: vec2<u32>,
    weights: vec2<u32>,
    y: vec2<u32>,
    n_queries: u32,
    n_keys: u32,
    batch: u32,
    heads: u32,
    width: u32,
    key_at: u32,
    value_at: u32,
    causal: u32,
    variance: u32,
    accumulate: u32,
    decay: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    queries: vec2<u32>,
    memory: vec2<u32>,
    weights: vec2<u32>,
    d_scores: vec2<u32>,
    d_queries: vec2<u32>,
    n_queries: u32,
    n_keys: u32,
    batch: u32,
    heads: u32,
    width: u32,
    key_at: u32,
    value_at: u32,
    causal: u32,
    variance: u32,
    accumulate: u32,
    decay: u32,
}

struct Keys {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    queries: vec2<u32>,
    weights: vec2<u32>,
    d_scores: vec2<u32>,
    d_memory: vec2<u32>,
    n_queries: u32,
    n_keys: u32,
    batch: u32,
    heads: u32,
    width: u32,
    key_at: u32,
    value_at: u32,
    causal: u32,
    variance: u32,
    accumulate: u32,
    decay: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> queries: array<f32>;
@group(0) @binding(2) var<storage, read_write> memory: array<f32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_queries: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_memory: array<f32>;
@group(0) @binding(4) var<storage, read_write> backward_weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_scores: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_queries: array<f32>;

@group(0) @binding(0) var<uniform> keys_uniforms: Keys;
@group(0) @binding(1) var<storage, read_write> keys_d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> keys_queries: array<f32>;
@group(0) @binding(3) var<storage, read_write> keys_weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> keys_d_scores: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_memory: array<f32>;

// Columns are shared out to invocations, and the terms of their sums to slices of them: column, slice, slices.
fn share(index: u32, width: u32) -> vec3<u32> {
    let columns = min(width, WIDTH);
    return vec3(index % columns, index / columns, WIDTH / columns);
}

// The sums of all slices, for the invocation of slice 0. All invocations come here together.
fn merged(index: u32, own: vec3<u32>, width: u32, sum: vec2<f32>) -> vec2<f32> {
    workgroupBarrier();
    shared_values[index] = sum;
    workgroupBarrier();
    var all = vec2(0.0);
    for (var slice = 0u; slice < own.z; slice++) {
        all += shared_values[slice * min(width, WIDTH) + own.x];
    }
    return all;
}

// Keys that a query sees.
fn seen(u: u32, n_queries: u32, n_keys: u32, causal: u32) -> u32 {
    return select(n_keys, u + 1u + n_keys - n_queries, causal == 1u);
}

// Column `c` of key or value `s`: packed behind the queries, or elsewhere.
fn key(s: u32, b: u32, c: u32) -> f32 {
    let uniforms = forward_uniforms;
    let row = s * uniforms.batch + b;
    if uniforms.memory.x == ABSENT {
        return queries[uniforms.queries.x + row * uniforms.queries.y + c];
    }
    return memory[uniforms.memory.x + row * uniforms.memory.y + c];
}

fn backward_key(s: u32, b: u32, c: u32) -> f32 {
    let uniforms = backward_uniforms;
    let row = s * uniforms.batch + b;
    if uniforms.memory.x == ABSENT {
        return backward_queries[uniforms.queries.x + row * uniforms.queries.y + c];
    }
    return backward_memory[uniforms.memory.x + row * uniforms.memory.y + c];
}

// The weight of retention so many steps apart: (1 - x)^apart with x = 2^-rate, from ln(1 - x) = -2 artanh(x / (2 - x)).
fn decayed(rate: u32, apart: u32) -> f32 {
    let x = exp2(-f32(rate));
    let s = x / (2.0 - x);
    let s2 = s * s;
    var sum = 1.0 / 15.0;
    for (var divisor = 13.0; divisor > 0.0; divisor -= 2.0) {
        sum = sum * s2 + 1.0 / divisor;
    }
    return exp(-2.0 * s * sum * f32(apart));
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = forward_uniforms;
    let width = uniforms.width;
    let b = group.y;
    let first = group.z * width;
    let row = group.x * uniforms.batch + b;
    let q = uniforms.queries.x + row * uniforms.queries.y + first;
    let a = uniforms.weights.x + row * uniforms.weights.y + group.z * uniforms.n_keys;
    let count = seen(group.x, uniforms.n_queries, uniforms.n_keys, uniforms.causal);
    var most = -3.4e38;
    for (var s = index; s < uniforms.n_keys; s += WIDTH) {
        var score = 0.0;
        if s < count {
            for (var j = 0u; j < width; j++) {
                score += queries[q + j] * key(s, b, uniforms.key_at + first + j);
            }
            most = select(most, score, score > most || score != score);
        }
        weights[a + s] = score;
    }
    most = largest(index, most);
    var sum = 0.0;
    for (var s = index; s < count; s += WIDTH) {
        let scale = inverseSqrt(f32(uniforms.variance));
        var e = 0.0;
        if uniforms.decay > 0u {
            e = weights[a + s] * scale * decayed(uniforms.decay + group.z, count - 1u - s);
        } else {
            e = exp((weights[a + s] - most) * scale);
        }
        weights[a + s] = e;
        sum += e;
    }
    sum = select(total(index, sum), 1.0, uniforms.decay > 0u);
    for (var s = index; s < count; s += WIDTH) {
        weights[a + s] /= sum;
    }
    storageBarrier();
    let own = share(index, width);
    for (var base = 0u; base < width; base += WIDTH) {
        let j = base + own.x;
        var value = 0.0;
        if own.y < own.z && j < width {
            for (var s = own.y; s < count; s += own.z) {
                value += weights[a + s] * key(s, b, uniforms.value_at + first + j);
            }
        }
        value = merged(index, own, width, vec2(value, 0.0)).x;
        if own.y == 0u && j < width {
            y[uniforms.y.x + row * uniforms.y.y + first + j] = value;
        }
    }
}

@compute @workgroup_size(WIDTH)
fn backward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = backward_uniforms;
    let width = uniforms.width;
    let b = group.y;
    let first = group.z * width;
    let row = group.x * uniforms.batch + b;
    let d = uniforms.d_y.x + row * uniforms.d_y.y + first;
    let a = uniforms.weights.x + row * uniforms.weights.y + group.z * uniforms.n_keys;
    let scores = uniforms.d_scores.x + row * uniforms.d_scores.y + group.z * uniforms.n_keys;
    let count = seen(group.x, uniforms.n_queries, uniforms.n_keys, uniforms.causal);
    var along = 0.0;
    for (var s = index; s < uniforms.n_keys; s += WIDTH) {
        var d_a = 0.0;
        if s < count {
            for (var j = 0u; j < width; j++) {
                d_a += d_y[d + j] * backward_key(s, b, uniforms.value_at + first + j);
            }
            along += d_a * backward_weights[a + s];
        }
        d_scores[scores + s] = d_a;
    }
    along = total(index, along);
    for (var s = index; s < count; s += WIDTH) {
        let scale = inverseSqrt(f32(uniforms.variance));
        let d_a = d_scores[scores + s];
        if uniforms.decay > 0u {
            d_scores[scores + s] = d_a * scale * decayed(uniforms.decay + group.z, count - 1u - s);
        } else {
            d_scores[scores + s] = backward_weights[a + s] * (d_a - along) * scale;
        }
    }
    storageBarrier();
    let own = share(index, width);
    for (var base = 0u; base < width; base += WIDTH) {
        let j = base + own.x;
        var value = 0.0;
        if own.y < own.z && j < width && uniforms.d_queries.x != ABSENT {
            for (var s = own.y; s < count; s += own.z) {
                value += d_scores[scores + s] * backward_key(s, b, uniforms.key_at + first + j);
            }
        }
        value = merged(index, own, width, vec2(value, 0.0)).x;
        if own.y == 0u && j < width && uniforms.d_queries.x != ABSENT {
            let at = uniforms.d_queries.x + row * uniforms.d_queries.y + first + j;
            d_queries[at] = select(value, d_queries[at] + value, uniforms.accumulate == 1u);
        }
    }
}

@compute @workgroup_size(WIDTH)
fn keys(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = keys_uniforms;
    let width = uniforms.width;
    let b = group.y;
    let first = group.z * width;
    let score = group.z * uniforms.n_keys + group.x;
    // The first query that sees this key.
    let later = uniforms.n_keys - min(uniforms.n_queries, uniforms.n_keys);
    let start = select(0u, max(group.x, later) - later, uniforms.causal == 1u);
    let own = share(index, width);
    for (var base = 0u; base < width; base += WIDTH) {
        let j = base + own.x;
        var sums = vec2(0.0);
        if own.y < own.z && j < width {
            for (var u = start + own.y; u < uniforms.n_queries; u += own.z) {
                let row = u * uniforms.batch + b;
                let q = keys_queries[uniforms.queries.x + row * uniforms.queries.y + first + j];
                let d = keys_d_y[uniforms.d_y.x + row * uniforms.d_y.y + first + j];
                sums += vec2(
                    keys_d_scores[uniforms.d_scores.x + row * uniforms.d_scores.y + score] * q,
                    keys_weights[uniforms.weights.x + row * uniforms.weights.y + score] * d,
                );
            }
        }
        sums = merged(index, own, width, sums);
        if own.y == 0u && j < width {
            let at = uniforms.d_memory.x + (group.x * uniforms.batch + b) * uniforms.d_memory.y + first + j;
            let key = at + uniforms.key_at;
            let value = at + uniforms.value_at;
            let adds = uniforms.accumulate == 1u;
            if key == value {
                sums = vec2(sums.x + sums.y, 0.0);
            } else {
                d_memory[value] = select(sums.y, d_memory[value] + sums.y, adds);
            }
            d_memory[key] = select(sums.x, d_memory[key] + sums.x, adds);
        }
    }
}
