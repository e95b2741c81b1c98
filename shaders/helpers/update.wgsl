// The hyperparameters of an update, for whoever binds them as `hyper`. Twin: src/kernels/update.rs.

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
