// Softmax and cross-entropy, L = Σ w (ln Σ e^x - x[target]) / Σ w; backwards, d_logits = w (softmax - onehot) / Σ w.
//
// Twin: src/kernels/cross_entropy.rs. Forward: one workgroup, one invocation a row. Backward: one invocation an element.

struct Forward {
    // offset and stride of each operand, in elements
    logits: vec2<u32>,
    targets: vec2<u32>,
    weight: vec2<u32>,
    probabilities: vec2<u32>,
    losses: vec2<u32>,
    result: vec2<u32>,
    rows: u32,
    columns: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    probabilities: vec2<u32>,
    targets: vec2<u32>,
    weight: vec2<u32>,
    result: vec2<u32>,
    d_logits: vec2<u32>,
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;
@group(0) @binding(6) var<storage, read_write> result: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> backward_probabilities: array<f32>;
@group(0) @binding(4) var<storage, read_write> backward_result: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_logits: array<f32>;

const IGNORED = 0xffffffffu;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32) {
    let uniforms = forward_uniforms;
    var sums = vec3(0.0);
    for (var row = index; row < uniforms.rows; row += WIDTH) {
        let source = uniforms.logits.x + row * uniforms.logits.y;
        let to = uniforms.probabilities.x + row * uniforms.probabilities.y;
        var best = 0u;
        var largest = logits[source];
        for (var v = 1u; v < uniforms.columns; v++) {
            let x = logits[source + v];
            if x > largest || x != x {
                best = v;
                largest = x;
            }
        }
        var sum = 0.0;
        for (var v = 0u; v < uniforms.columns; v++) {
            let e = exp(logits[source + v] - largest);
            probabilities[to + v] = e;
            sum += e;
        }
        for (var v = 0u; v < uniforms.columns; v++) {
            probabilities[to + v] /= sum;
        }
        let wanted = targets[uniforms.targets.x + row];
        var own = 0.0;
        if wanted != IGNORED {
            own = log(sum) + largest - logits[source + wanted];
            let w = weight[uniforms.weight.x + row];
            if w != 0.0 {
                sums += w * vec3(own, select(0.0, 1.0, best == wanted), 1.0);
            }
        }
        losses[uniforms.losses.x + row] = own;
    }
    finish(index, sums);
}

@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let uniforms = backward_uniforms;
    if id.x >= uniforms.rows * uniforms.columns {
        return;
    }
    let row = id.x / uniforms.columns;
    let v = id.x % uniforms.columns;
    let wanted = targets[uniforms.targets.x + row];
    let w = weight[uniforms.weight.x + row];
    let total = backward_result[uniforms.result.x + 2u];
    let p = backward_probabilities[uniforms.probabilities.x + row * uniforms.probabilities.y + v];
    let d = w / total * (p - select(0.0, 1.0, v == wanted));
    let silent = wanted == IGNORED || w == 0.0 || total == 0.0;
    d_logits[uniforms.d_logits.x + row * uniforms.d_logits.y + v] = select(d, 0.0, silent);
}
