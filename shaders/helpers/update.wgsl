// What the optimisers share: the places of the hyperparameters, and clipping. Twin: src/kernels/update.rs.

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

// The gradient after clipping by norm (through the coefficient) and by value.
fn clip(gradient: f32, coefficient: f32, max_value: f32) -> f32 {
    let scaled = gradient * coefficient;
    if scaled > max_value {
        return max_value;
    }
    return select(scaled, -max_value, scaled < -max_value);
}
