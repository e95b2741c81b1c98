// What the losses share: the sums over all rows. It reads what both bind under the same names: forward_uniforms and result.

const WIDTH = 256u;

var<workgroup> partial: array<vec3<f32>, WIDTH>;

// Loss, hits and total weight of all rows; the sums of the invocations are added in a fixed order.
fn finish(index: u32, sums: vec3<f32>) {
    partial[index] = sums;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if index < half {
            partial[index] += partial[index + half];
        }
        workgroupBarrier();
    }
    if index == 0u {
        let total = partial[0].z;
        let share = select(partial[0].xy / total, vec2(0.0), total == 0.0);
        let at = forward_uniforms.result.x;
        result[at] = share.x;
        result[at + 1u] = share.y;
        result[at + 2u] = total;
    }
}
