// Layer normalisation, row by row: y = w x̂ + b with x̂ = (x - mean) / sqrt(variance + 1e-5), or without centring.
//
// Twin: src/kernels/layer_norm.rs. Eight rows a workgroup, eight invocations a row; their sums meet in workgroup memory.

const LANES = 8u;
const ROWS = 8u;

// The offset of an operand that a call leaves out.
const ABSENT = 0xffffffffu;

struct Forward {
    // offset and stride of each operand, in elements
    x: vec2<u32>,
    weight: vec2<u32>,
    bias: vec2<u32>,
    y: vec2<u32>,
    rows: u32,
    columns: u32,
    centred: u32,
    accumulate: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    x: vec2<u32>,
    weight: vec2<u32>,
    d_x: vec2<u32>,
    d_weighted: vec2<u32>,
    rows: u32,
    columns: u32,
    centred: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_x: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_x: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_weighted: array<f32>;

var<workgroup> sums: array<vec2<f32>, 64>;

// The sum over the invocations of a row, for each of them.
fn reduced(index: u32, own: vec2<f32>) -> vec2<f32> {
    workgroupBarrier();
    sums[index] = own;
    workgroupBarrier();
    let first = index / LANES * LANES;
    var sum = sums[first];
    for (var lane = 1u; lane < LANES; lane++) {
        sum += sums[first + lane];
    }
    return sum;
}

@compute @workgroup_size(64)
fn forward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = forward_uniforms;
    let row = group.x * ROWS + index / LANES;
    // A row beyond the last one has no columns, but comes to every barrier.
    let columns = select(0u, uniforms.columns, row < uniforms.rows);
    let source = uniforms.x.x + row * uniforms.x.y;
    let count = f32(uniforms.columns);
    var sum = 0.0;
    for (var j = index % LANES; j < columns; j += LANES) {
        sum += x[source + j];
    }
    let mean = select(0.0, reduced(index, vec2(sum, 0.0)).x / count, uniforms.centred == 1u);
    sum = 0.0;
    for (var j = index % LANES; j < columns; j += LANES) {
        let d = x[source + j] - mean;
        sum += d * d;
    }
    let scale = 1.0 / sqrt(reduced(index, vec2(sum, 0.0)).x / count + 1e-5);
    for (var j = index % LANES; j < columns; j += LANES) {
        var value = (x[source + j] - mean) * scale * weight[uniforms.weight.x + j];
        if uniforms.bias.x != ABSENT {
            value += bias[uniforms.bias.x + j];
        }
        y[uniforms.y.x + row * uniforms.y.y + j] = value;
    }
}

@compute @workgroup_size(64)
fn backward(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let uniforms = backward_uniforms;
    let row = group.x * ROWS + index / LANES;
    let columns = select(0u, uniforms.columns, row < uniforms.rows);
    let source = uniforms.x.x + row * uniforms.x.y;
    let incoming = uniforms.d_y.x + row * uniforms.d_y.y;
    let count = f32(uniforms.columns);
    var sum = 0.0;
    for (var j = index % LANES; j < columns; j += LANES) {
        sum += backward_x[source + j];
    }
    let mean = select(0.0, reduced(index, vec2(sum, 0.0)).x / count, uniforms.centred == 1u);
    sum = 0.0;
    for (var j = index % LANES; j < columns; j += LANES) {
        let d = backward_x[source + j] - mean;
        sum += d * d;
    }
    let scale = 1.0 / sqrt(reduced(index, vec2(sum, 0.0)).x / count + 1e-5);
    // Σ g and Σ g x̂.
    var both = vec2(0.0);
    for (var j = index % LANES; j < columns; j += LANES) {
        let unit = (backward_x[source + j] - mean) * scale;
        let g = d_y[incoming + j] * backward_weight[uniforms.weight.x + j];
        both += vec2(g, g * unit);
    }
    let means = reduced(index, both) / count * vec2(f32(uniforms.centred), 1.0);
    for (var j = index % LANES; j < columns; j += LANES) {
        let unit = (backward_x[source + j] - mean) * scale;
        let d = d_y[incoming + j];
        if uniforms.d_x.x != ABSENT {
            let at = uniforms.d_x.x + row * uniforms.d_x.y + j;
            let own = scale * (d * backward_weight[uniforms.weight.x + j] - means.x - unit * means.y);
            d_x[at] = select(own, d_x[at] + own, uniforms.accumulate == 1u);
        }
        if uniforms.d_weighted.x != ABSENT {
            d_weighted[uniforms.d_weighted.x + row * uniforms.d_weighted.y + j] = d * unit;
        }
    }
}
