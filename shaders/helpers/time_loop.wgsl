// What all time loops share: order of time, truncation, adjoints from outside, curves.
// Twin: src/kernels/recurrence.rs. It reads backward_uniforms, d_y and d_state, which every time loop binds under these names.

// The offset of an operand that a call leaves out.
const ABSENT = 0xffffffffu;

// ∂L/∂y at row `row`: nobody reads the output before `silent` timesteps.
fn from_output(row: u32, j: u32) -> f32 {
    let uniforms = backward_uniforms;
    let before = uniforms.silent * uniforms.batch;
    if row < before {
        return 0.0;
    }
    return d_y[uniforms.d_y.x + (row - before) * uniforms.d_y.y + j];
}

// What later steps have left at `place` of d_state, with `left` steps to do: after the last one, nothing, unless somebody reads it.
fn from_later(left: u32, place: u32) -> f32 {
    return select(d_state[place], 0.0, left == backward_uniforms.n_steps && backward_uniforms.fresh == 1u);
}

// The timestep that is computed as number `step`.
fn time(step: u32, n_steps: u32, reverse: u32) -> u32 {
    return select(n_steps - 1u - step, step, reverse == 0u);
}

// True when the adjoint does not pass from `step` to the one before it.
fn is_cut(step: u32, n_steps: u32, window: u32) -> bool {
    return window > 0u && step > 0u && (n_steps - step) % max(window, 1u) == 0u;
}

// Within ±bound; what is not a number stays so, which the built-in clamp does not promise.
fn within(x: f32, bound: f32) -> f32 {
    return select(select(x, bound, x > bound), -bound, x < -bound);
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(within(-x, 87.0)));
}

// The rational function of the CPU: a built-in tanh may overflow inside, and its error is not bounded in units of the last place.
fn hyperbolic_tangent(x: f32) -> f32 {
    let inside = within(x, 7.905311);
    let x2 = inside * inside;
    var p = -2.7607685e-16f;
    p = p * x2 + 2.000188e-13f;
    p = p * x2 - 8.604672e-11f;
    p = p * x2 + 5.122297e-8f;
    p = p * x2 + 1.4857224e-5f;
    p = p * x2 + 6.3726193e-4f;
    p = p * x2 + 4.893525e-3f;
    var q = 1.1982584e-6f;
    q = q * x2 + 1.185347e-4f;
    q = q * x2 + 2.2684346e-3f;
    q = q * x2 + 4.893525e-3f;
    return inside * (p / q);
}
