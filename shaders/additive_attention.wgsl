// Additive attention: e = v · tanh(q + k) for every query and key, A = softmax of e over the keys, Y = A V, and the adjoints.
//
// Twin: src/kernels/additive_attention.rs. One workgroup owns one query of one sequence, or one key for the adjoints of keys and values.

struct Forward {
    // offset and stride of each operand, in elements
    queries: vec2<u32>,
    memory: vec2<u32>,
    v: vec2<u32>,
    weights: vec2<u32>,
    y: vec2<u32>,
    n_queries: u32,
    n_keys: u32,
    batch: u32,
    width: u32,
    columns: u32,
    accumulate: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    queries: vec2<u32>,
    memory: vec2<u32>,
    v: vec2<u32>,
    weights: vec2<u32>,
    d_scores: vec2<u32>,
    d_queries: vec2<u32>,
    n_queries: u32,
    n_keys: u32,
    batch: u32,
    width: u32,
    columns: u32,
    accumulate: u32,
}

struct Keys {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    queries: vec2<u32>,
    memory: vec2<u32>,
    v: vec2<u32>,
    weights: vec2<u32>,
    d_scores: vec2<u32>,
    d_memory: vec2<u32>,
    d_weighted: vec2<u32>,
    n_queries: u32,
    n_keys: u32,
    batch: u32,
    width: u32,
    columns: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> queries: array<f32>;
@group(0) @binding(2) var<storage, read_write> memory: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_queries: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_memory: array<f32>;
@group(0) @binding(4) var<storage, read_write> backward_v: array<f32>;
@group(0) @binding(5) var<storage, read_write> backward_weights: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_scores: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_queries: array<f32>;

@group(0) @binding(0) var<uniform> keys_uniforms: Keys;
@group(0) @binding(1) var<storage, read_write> keys_d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> keys_queries: array<f32>;
@group(0) @binding(3) var<storage, read_write> keys_memory: array<f32>;
@group(0) @binding(4) var<storage, read_write> keys_v: array<f32>;
@group(0) @binding(5) var<storage, read_write> keys_weights: array<f32>;
@group(0) @binding(6) var<storage, read_write> keys_d_scores: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_memory: array<f32>;
@group(0) @binding(8) var<storage, read_write> d_weighted: array<f32>;

// Beyond 10 it is 1 to f32, and exp overflows in some implementations of tanh.
fn bent(x: f32) -> f32 {
    return tanh(select(select(x, 10.0, x > 10.0), -10.0, x < -10.0));
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = forward_uniforms;
    let width = uniforms.width;
    let row = group.x * uniforms.batch + group.y;
    let q = uniforms.queries.x + row * uniforms.queries.y;
    let a = uniforms.weights.x + row * uniforms.weights.y;
    // Of key s: k + s * step.
    let k = uniforms.memory.x + group.y * uniforms.memory.y;
    let step = uniforms.batch * uniforms.memory.y;
    var most = -3.4e38;
    for (var s = index; s < uniforms.n_keys; s += WIDTH) {
        var score = 0.0;
        for (var j = 0u; j < width; j++) {
            score += v[uniforms.v.x + j] * bent(queries[q + j] + memory[k + s * step + j]);
        }
        weights[a + s] = score;
        most = select(most, score, score > most || score != score);
    }
    most = largest(index, most);
    var sum = 0.0;
    for (var s = index; s < uniforms.n_keys; s += WIDTH) {
        let e = exp(weights[a + s] - most);
        weights[a + s] = e;
        sum += e;
    }
    sum = total(index, sum);
    for (var s = index; s < uniforms.n_keys; s += WIDTH) {
        weights[a + s] /= sum;
    }
    storageBarrier();
    for (var j = index; j < uniforms.columns; j += WIDTH) {
        var value = 0.0;
        for (var s = 0u; s < uniforms.n_keys; s++) {
            value += weights[a + s] * memory[k + s * step + width + j];
        }
        y[uniforms.y.x + row * uniforms.y.y + j] = value;
    }
}

@compute @workgroup_size(WIDTH)
fn backward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = backward_uniforms;
    let width = uniforms.width;
    let row = group.x * uniforms.batch + group.y;
    let d = uniforms.d_y.x + row * uniforms.d_y.y;
    let a = uniforms.weights.x + row * uniforms.weights.y;
    let scores = uniforms.d_scores.x + row * uniforms.d_scores.y;
    let k = uniforms.memory.x + group.y * uniforms.memory.y;
    let step = uniforms.batch * uniforms.memory.y;
    var along = 0.0;
    for (var s = index; s < uniforms.n_keys; s += WIDTH) {
        var d_a = 0.0;
        for (var j = 0u; j < uniforms.columns; j++) {
            d_a += d_y[d + j] * backward_memory[k + s * step + width + j];
        }
        along += d_a * backward_weights[a + s];
        d_scores[scores + s] = d_a;
    }
    along = total(index, along);
    for (var s = index; s < uniforms.n_keys; s += WIDTH) {
        d_scores[scores + s] = backward_weights[a + s] * (d_scores[scores + s] - along);
    }
    storageBarrier();
    for (var j = index; j < width; j += WIDTH) {
        let q = backward_queries[uniforms.queries.x + row * uniforms.queries.y + j];
        var sum = 0.0;
        for (var s = 0u; s < uniforms.n_keys; s++) {
            let tau = bent(q + backward_memory[k + s * step + j]);
            sum += d_scores[scores + s] * (1.0 - tau * tau);
        }
        let at = uniforms.d_queries.x + row * uniforms.d_queries.y + j;
        let own = sum * backward_v[uniforms.v.x + j];
        d_queries[at] = select(own, d_queries[at] + own, uniforms.accumulate == 1u);
    }
}

@compute @workgroup_size(WIDTH)
fn keys(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = keys_uniforms;
    let width = uniforms.width;
    let b = group.y;
    let row = group.x * uniforms.batch + b;
    let adds = uniforms.accumulate == 1u;
    for (var j = index; j < width; j += WIDTH) {
        let k = keys_memory[uniforms.memory.x + row * uniforms.memory.y + j];
        // Σ of ∂L/∂e (1 - τ²) and of ∂L/∂e τ.
        var sums = vec2(0.0);
        for (var u = 0u; u < uniforms.n_queries; u++) {
            let at_u = u * uniforms.batch + b;
            let tau = bent(keys_queries[uniforms.queries.x + at_u * uniforms.queries.y + j] + k);
            let d_e = keys_d_scores[uniforms.d_scores.x + at_u * uniforms.d_scores.y + group.x];
            sums += d_e * vec2(1.0 - tau * tau, tau);
        }
        let at = uniforms.d_memory.x + row * uniforms.d_memory.y + j;
        let own = sums.x * keys_v[uniforms.v.x + j];
        d_memory[at] = select(own, d_memory[at] + own, adds);
        d_weighted[uniforms.d_weighted.x + row * uniforms.d_weighted.y + j] = sums.y;
    }
    for (var j = index; j < uniforms.columns; j += WIDTH) {
        var sum = 0.0;
        for (var u = 0u; u < uniforms.n_queries; u++) {
            let at_u = u * uniforms.batch + b;
            let a = keys_weights[uniforms.weights.x + at_u * uniforms.weights.y + group.x];
            sum += a * keys_d_y[uniforms.d_y.x + at_u * uniforms.d_y.y + j];
        }
        let at = uniforms.d_memory.x + row * uniforms.d_memory.y + width + j;
        d_memory[at] = select(sum, d_memory[at] + sum, adds);
    }
}
