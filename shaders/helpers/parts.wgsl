// The norm of a gradient from parts of it: who measures them and who puts them together. Twin: src/kernels/update.rs.

// Two parts of a gradient as one: the largest element, and the squares relative to it.
fn together(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    // The larger element comes first, unless it is not a number.
    let first = select(a, b, b.x > a.x);
    let second = select(b, a, b.x > a.x);
    let share = second.x / select(1.0, first.x, first.x > 0.0);
    return vec2(first.x, first.y + second.y * share * share);
}
