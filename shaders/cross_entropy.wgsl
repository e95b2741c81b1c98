// Softmax and cross-entropy, L = Σ w (ln Σ e^x - x[target]) / Σ w, with its gradient, d_logits = w (softmax - onehot) / Σ w.
//
// Twin: src/kernels/cross_entropy.rs. One workgroup, one invocation a row.

struct Uniforms {
    // offset and stride of each operand, in elements
    logits: vec2<u32>,
    targets: vec2<u32>,
    weight: vec2<u32>,
    probabilities: vec2<u32>,
    losses: vec2<u32>,
    result: vec2<u32>,
    d_logits: vec2<u32>,
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;
@group(0) @binding(6) var<storage, read_write> result: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_logits: array<f32>;

const IGNORED = 0xffffffffu;

// The weight of a row; 0 where the target is ignored.
fn counted(row: u32) -> f32 {
    return select(weight[uniforms.weight.x + row], 0.0, targets[uniforms.targets.x + row] == IGNORED);
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32) {
    var own_weight = 0.0;
    for (var row = index; row < uniforms.rows; row += WIDTH) {
        own_weight += counted(row);
    }
    let total = reduced(index, vec2(own_weight, 0.0)).x;
    var sums = vec2(0.0);
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
        let wanted = targets[uniforms.targets.x + row];
        let w = counted(row);
        let scale = select(w / total, 0.0, w == 0.0);
        for (var v = 0u; v < uniforms.columns; v++) {
            let p = probabilities[to + v] / sum;
            probabilities[to + v] = p;
            if uniforms.d_logits.x != ABSENT {
                let d = scale * (p - select(0.0, 1.0, v == wanted));
                d_logits[uniforms.d_logits.x + row * uniforms.d_logits.y + v] = select(d, 0.0, scale == 0.0);
            }
        }
        var own = 0.0;
        if wanted != IGNORED {
            own = log(sum) + largest - logits[source + wanted];
        }
        if w != 0.0 {
            sums += w * vec2(own, select(0.0, 1.0, best == wanted));
        }
        losses[uniforms.losses.x + row] = own;
    }
    finish(index, sums, total);
}
