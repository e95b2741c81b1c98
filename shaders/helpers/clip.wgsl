// Clipping, for optimisers: they bind the gradient as `gradient` and the result of the norm as `norm`. Twin: src/kernels/update.rs.

// True when the norm kernel holds the update: then nothing is changed.
fn is_held() -> bool {
    return norm[uniforms.norm.x + 1u] < 0.0;
}

// Element `i` of the gradient after clipping by norm (through the coefficient) and by value.
fn clipped(i: u32) -> f32 {
    let scaled = gradient[uniforms.gradient.x + i] * norm[uniforms.norm.x + 1u];
    let max_value = hyper_at(MAX_VALUE);
    if scaled > max_value {
        return max_value;
    }
    return select(scaled, -max_value, scaled < -max_value);
}
