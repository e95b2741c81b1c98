//! What the optimiser kernels share: the layout of the hyperparameters and of the norm, and clipping.
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

/// The norm of the gradient before clipping, in the result of the norm.
pub const LENGTH: usize = 0;
/// The coefficient that clips it; −1 holds the update.
pub const COEFFICIENT: usize = 1;
/// Largest |g|.
pub const LARGEST: usize = 2;
/// How many parts there are that must be put together first; 0 when the norm is known.
pub const N_PARTS: usize = 3;
/// Most parts.
pub const PARTS: usize = 512;
/// Length of the result of the norm: after the four numbers, for each part its largest |g| and Σ (g / that)².
pub const NORM: usize = 4 + 2 * PARTS;

/// Parameters that one workgroup of an optimiser's shader updates.
pub const PER_WORKGROUP: u32 = 2048;

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

/// Writes the result of a norm: how long the gradient is, its coefficient, and its largest element.
pub fn judge<F: Real>(length: F, largest: F, hyper: &[F], result: &mut [F]) {
    let coefficient = hyper[MAX_NORM] / (length + F::of(1e-6));
    let is_safe = length <= hyper[SAFE_NORM];
    let held = result[COEFFICIENT] < F::ZERO || !is_safe;
    result[LENGTH] = length;
    result[COEFFICIENT] = match held {
        true => F::ZERO - F::ONE,
        false if coefficient < F::ONE => coefficient,
        false => F::ONE,
    };
    result[LARGEST] = largest;
}

/// The clip coefficient. Where an engine has measured the gradient in parts while it was written, they are put together here:
/// n = l √(Σ sᵢ (lᵢ / l)²) with the largest l.
pub fn coefficient<F: Real>(norm: &mut [F], hyper: &[F]) -> F {
    let n_parts = norm[N_PARTS].wide() as usize;
    if n_parts > 0 {
        let part = |at: usize| [norm[N_PARTS + 1 + 2 * at], norm[N_PARTS + 2 + 2 * at]];
        let largest = (0..n_parts).map(|at| part(at)[0]).fold(F::ZERO, |a, b| if b > a { b } else { a });
        let scale = if largest > F::ZERO { largest } else { F::ONE };
        let mut squares = F::ZERO;
        for [of_part, sum] in (0..n_parts).map(part) {
            squares += sum * (of_part / scale) * (of_part / scale);
        }
        judge(scale * squares.sqrt(), largest, hyper, norm);
    }
    norm[COEFFICIENT]
}
