// What the invocations of a workgroup find out together.

const WIDTH = 64u;

var<workgroup> shared_values: array<vec2<f32>, WIDTH>;

// The largest or the sum over all invocations, for each of them. All of them come here together.
fn largest(index: u32, own: f32) -> f32 {
    workgroupBarrier();
    shared_values[index].x = own;
    workgroupBarrier();
    var value = own;
    for (var other = 0u; other < WIDTH; other++) {
        // What is not a number stays.
        let next = shared_values[other].x;
        value = select(value, next, next > value || next != next);
    }
    return value;
}

fn total(index: u32, own: f32) -> f32 {
    workgroupBarrier();
    shared_values[index].x = own;
    workgroupBarrier();
    var sum = 0.0;
    for (var other = 0u; other < WIDTH; other++) {
        sum += shared_values[other].x;
    }
    return sum;
}
