// L = Σ w · mean (y - t)² / Σ w, with weights per row, and its gradient, d_y = 2 w (y - t) / (O Σ w).
//
// Twin: src/kernels/mean_squared_error.rs. One workgroup, one invocation a row.

struct Uniforms {
    // offset and stride of each operand, in elements
    y: vec2<u32>,
    targets: vec2<u32>,
    weight: vec2<u32>,
    losses: vec2<u32>,
    result: vec2<u32>,
    d_y: vec2<u32>,
    rows: u32,
    columns: u32,
    tolerance: f32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> targets: array<f32>;
@group(0) @binding(3) var<storage, read_write> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_y: array<f32>;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32) {
    var own_weight = 0.0;
    for (var row = index; row < uniforms.rows; row += WIDTH) {
        own_weight += weight[uniforms.weight.x + row];
    }
    let total = reduced(index, vec2(own_weight, 0.0)).x;
    var sums = vec2(0.0);
    for (var row = index; row < uniforms.rows; row += WIDTH) {
        let w = weight[uniforms.weight.x + row];
        let scale = select(2.0 * w / (f32(uniforms.columns) * total), 0.0, w == 0.0);
        var sum = 0.0;
        var hit = 1.0;
        for (var column = 0u; column < uniforms.columns; column++) {
            let wanted = targets[uniforms.targets.x + row * uniforms.targets.y + column];
            let error = y[uniforms.y.x + row * uniforms.y.y + column] - wanted;
            sum += error * error;
            hit = select(0.0, hit, abs(error) <= uniforms.tolerance);
            if uniforms.d_y.x != ABSENT {
                let at = uniforms.d_y.x + row * uniforms.d_y.y + column;
                d_y[at] = select(scale * error, 0.0, scale == 0.0);
            }
        }
        let mean = sum / f32(uniforms.columns);
        losses[uniforms.losses.x + row] = mean;
        if w != 0.0 {
            sums += w * vec2(mean, hit);
        }
    }
    finish(index, sums, total);
}
