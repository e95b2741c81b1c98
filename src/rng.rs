//! Random numbers that depend on nothing but where they are asked for.
//!
//! Floor 0. A generator is a point `(seed, stream, step)` and a counter; nothing is consumed. So all lanes of a race see
//! the same batches, a fork of a run continues exactly, and the step that produced a NaN can be replayed.
//! The bits come from SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195), the same on every target.

/// Streams keep the uses of one seed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Initial parameters.
    Parameters = 1,
    /// Training batches.
    Train = 2,
    /// Held-out batches of an evaluation.
    HeldOut = 3,
    /// The probe batch that the pictures are drawn from.
    Probe = 4,
    /// Long-lived properties of a task, such as the phases of a signal.
    Task = 5,
}

/// A counter-based generator.
#[derive(Clone, Debug)]
pub struct Rng {
    key: u64,
    counter: u64,
}

/// The finaliser of SplitMix64: a bijection of 64-bit words.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Rng {
    /// The generator at a point. Different points give independent sequences.
    pub fn at(seed: u64, stream: Stream, step: u64) -> Self {
        let key = mix(seed.wrapping_add(GOLDEN));
        let key = mix(key ^ (stream as u64).wrapping_mul(GOLDEN));
        Self { key: mix(key.wrapping_add(step.wrapping_mul(0xD1B5_4A32_D192_ED03))), counter: 0 }
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.counter += 1;
        mix(self.key.wrapping_add(self.counter.wrapping_mul(GOLDEN)))
    }

    /// Uniform in `[0, 1)` with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in `0..bound`; `bound` is positive. Multiply-shift, so the bias is below `bound`·2⁻⁶⁴.
    pub fn below(&mut self, bound: usize) -> usize {
        debug_assert!(bound > 0);
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Standard normal, by the polar form of Box and Muller (doi:10.1214/aoms/1177706645).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * circle(self.uniform())[0]
    }
}

/// [cos 2πx, sin 2πx], within 4·10⁻¹⁶ for an x of a few turns.
///
/// Taylor's series after x is reduced to the nearest quarter, which is exact for turns. Those of a mathematical library take radians of
/// any size and carry two hundred digits of 2/π for them, more than all else that draws random numbers.
pub fn circle(x: f64) -> [f64; 2] {
    let quarter = libm::rint(4.0 * x);
    let angle = std::f64::consts::TAU * (x - 0.25 * quarter);
    let square = angle * angle;
    // 1 − θ²/2! + … + θ¹⁶/16!, and θ (1 − θ²/3! + … − θ¹⁴/15!), from the smallest term on.
    let (mut cos, mut sin) = (1.0, 1.0);
    for k in (1..=8).rev() {
        let even = f64::from(2 * k);
        cos = 1.0 - square / (even * (even - 1.0)) * cos;
        sin = 1.0 - square / (even * (even + 1.0)) * sin;
    }
    sin *= angle;
    match quarter as i64 & 3 {
        0 => [cos, sin],
        1 => [-sin, cos],
        2 => [-cos, -sin],
        _ => [sin, -cos],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_gives_one_sequence_and_other_points_give_others() {
        let draw = |seed, stream, step| {
            let mut rng = Rng::at(seed, stream, step);
            [rng.bits(), rng.bits()]
        };
        let first = draw(1, Stream::Train, 0);
        assert_eq!(first, draw(1, Stream::Train, 0));
        for other in [draw(2, Stream::Train, 0), draw(1, Stream::HeldOut, 0), draw(1, Stream::Train, 1)] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn points_of_the_circle_are_those_of_the_mathematical_library() {
        for n in -4000..=4000 {
            let x = f64::from(n) / 1000.0;
            let angle = std::f64::consts::TAU * x;
            let (got, truth) = (circle(x), [libm::cos(angle), libm::sin(angle)]);
            // The angle is rounded too, in the truth.
            let off = 4e-16 + 2e-16 * angle.abs();
            assert!(got.iter().zip(truth).all(|(got, truth)| (got - truth).abs() <= off), "{x}: {got:?}, {truth:?}");
        }
        assert_eq!(
            [0.0, 0.25, 0.5, -0.25, 3.75].map(circle),
            [[1.0, 0.0], [-0.0, 1.0], [-1.0, -0.0], [0.0, -1.0], [0.0, -1.0]]
        );
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut rng = Rng::at(7, Stream::Task, 0);
        let n = 100_000;
        let (mut sum, mut squares, mut uniform) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let x = rng.normal();
            sum += x;
            squares += x * x;
            uniform += rng.uniform();
        }
        assert!((sum / n as f64).abs() < 0.02);
        assert!((squares / n as f64 - 1.0).abs() < 0.02);
        assert!((uniform / n as f64 - 0.5).abs() < 0.01);
    }
}
