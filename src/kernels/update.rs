//! What the optimiser kernels share: the layout of the hyperparameters, and clipping.
//!
//! Hyperparameters are a slot, not uniforms, because they change while a session runs and with every step (bias corrections).

use super::Real;

/// Learning rate.
pub const LEARNING_RATE: usize = 0;
/// L2 penalty, or the decoupled decay of AdamW.
pub const WEIGHT_DECAY: usize = 1;
/// Momentum of SGD and RMSprop, β₁ of Adam.
pub const MOMENTUM: usize = 2;
/// β₂ of Adam, α of RMSprop.
pub const SQUARES: usize = 3;
/// ε.
pub const EPSILON: usize = 4;
/// Adam: learning rate / (1 − β₁ᵗ).
pub const STEP_SIZE: usize = 5;
/// Adam: √(1 − β₂ᵗ).
pub const ROOT_CORRECTION: usize = 6;
/// Largest global norm of the gradient.
pub const MAX_NORM: usize = 7;
/// Largest absolute value of an element of the gradient.
pub const MAX_VALUE: usize = 8;
/// SGD: 1 for Nesterov's form, else 0.
pub const NESTEROV: usize = 9;
/// Largest global norm of the gradient that an update is done with.
pub const SAFE_NORM: usize = 10;
/// Length of the slot.
pub const HYPER: usize = 16;

/// No limit, in a form that every engine can store.
pub const UNLIMITED: f64 = 3.0e38;

/// The gradient after clipping by norm (through the coefficient) and by value.
#[inline(always)]
pub fn clip<F: Real>(gradient: F, coefficient: F, max_value: F) -> F {
    let gradient = gradient * coefficient;
    if gradient > max_value {
        max_value
    } else if gradient < -max_value {
        -max_value
    } else {
        gradient
    }
}
