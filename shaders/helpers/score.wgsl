// What the losses share: sums over all rows. It reads what both bind under the same names: uniforms and result.

const WIDTH = 256u;

// The offset of an operand that a call leaves out.
const ABSENT = 0xffffffffu;

var<workgroup> partial: array<vec2<f32>, WIDTH>;

// The sum over all invocations, added in a fixed order, for each of them.
fn reduced(index: u32, own: vec2<f32>) -> vec2<f32> {
    partial[index] = own;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if index < half {
            partial[index] += partial[index + half];
        }
        workgroupBarrier();
    }
    let sum = partial[0];
    workgroupBarrier();
    return sum;
}

// Loss, hits and total weight of all rows.
fn finish(index: u32, own: vec2<f32>, total: f32) {
    let sums = reduced(index, own);
    if index == 0u {
        let share = select(sums / total, vec2(0.0), total == 0.0);
        let at = uniforms.result.x;
        result[at] = share.x;
        result[at + 1u] = share.y;
        result[at + 2u] = total;
    }
}
