// The hyperparameters of an update and the result of the norm, for whoever binds them as `hyper` and `norm`. Twin: src/kernels/update.rs.

const LEARNING_RATE = 0u;
const WEIGHT_DECAY = 1u;
const MOMENTUM = 2u;
const SQUARES = 3u;
const EPSILON = 4u;
const STEP_SIZE = 5u;
const ROOT_CORRECTION = 6u;
const MAX_NORM = 7u;
const MAX_VALUE = 8u;
const NESTEROV = 9u;
const SAFE_NORM = 10u;

fn hyper_at(which: u32) -> f32 {
    return hyper[uniforms.hyper.x + which];
}

const LENGTH = 0u;
const COEFFICIENT = 1u;
const LARGEST = 2u;
const N_PARTS = 3u;
const PARTS = 512u;

// What to multiply the gradient with, or -1 to hold the update, for a gradient of some length.
fn judged(length: f32) -> f32 {
    // No limit is a number near the largest one: its quotient may have none.
    let limit = hyper_at(MAX_NORM);
    let long = length + 1e-6;
    let coefficient = select(1.0, limit / max(long, 1e-6), long > limit);
    let held = norm[uniforms.norm.x + COEFFICIENT] < 0.0 || !(length <= hyper_at(SAFE_NORM));
    return select(coefficient, -1.0, held);
}
