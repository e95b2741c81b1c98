// L = Σ w · mean (y - t)² / Σ w, with weights per row; backwards, d_y = 2 w (y - t) / (O Σ w).
//
// Twin: src/kernels/mean_squared_error.rs. Forward: one workgroup, one invocation a row. Backward: one invocation an element.

struct Forward {
    // offset and stride of each operand, in elements
    y: vec2<u32>,
    targets: vec2<u32>,
    weight: vec2<u32>,
    losses: vec2<u32>,
    result: vec2<u32>,
    rows: u32,
    columns: u32,
    tolerance: f32,
}

struct Backward {
    // offset and stride of each operand, in elements
    y: vec2<u32>,
    targets: vec2<u32>,
    weight: vec2<u32>,
    result: vec2<u32>,
    d_y: vec2<u32>,
    rows: u32,
    columns: u32,
    tolerance: f32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> targets: array<f32>;
@group(0) @binding(3) var<storage, read_write> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(4) var<storage, read_write> backward_result: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_y: array<f32>;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(local_invocation_index) index: u32) {
    let uniforms = forward_uniforms;
    var sums = vec3(0.0);
    for (var row = index; row < uniforms.rows; row += WIDTH) {
        var sum = 0.0;
        var hit = 1.0;
        for (var column = 0u; column < uniforms.columns; column++) {
            let wanted = targets[uniforms.targets.x + row * uniforms.targets.y + column];
            let error = y[uniforms.y.x + row * uniforms.y.y + column] - wanted;
            sum += error * error;
            hit = select(0.0, hit, abs(error) <= uniforms.tolerance);
        }
        let mean = sum / f32(uniforms.columns);
        losses[uniforms.losses.x + row] = mean;
        let w = weight[uniforms.weight.x + row];
        if w != 0.0 {
            sums += w * vec3(mean, hit, 1.0);
        }
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
    let column = id.x % uniforms.columns;
    let total = backward_result[uniforms.result.x + 2u];
    let w = weight[uniforms.weight.x + row];
    let error = y[uniforms.y.x + row * uniforms.y.y + column] - targets[uniforms.targets.x + row * uniforms.targets.y + column];
    let scale = 2.0 / (f32(uniforms.columns) * total);
    d_y[uniforms.d_y.x + row * uniforms.d_y.y + column] = select(scale * w * error, 0.0, total == 0.0 || w == 0.0);
}
