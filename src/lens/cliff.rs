//! The loss cliff: a network of one unit whose loss has a wall, and what gradient descent does there. Knows no session.
//!
//! h_t = w σ(h_{t−1}) + b for t = 1 … 50 from h_0 = 0.5, and L(w, b) = (σ(h_50) − 0.7)². Pascanu, Mikolov and Bengio 2013
//! (arXiv:1211.5063), section 2.3 and figure 6.

/// Steps of the network.
const STEPS: usize = 50;

/// h_0.
const FIRST: f64 = 0.5;

/// What σ(h_50) should be.
const TARGET: f64 = 0.7;

/// The part of the plane with the wall in it: lowest and highest w, lowest and highest b.
pub const WINDOW: [[f64; 2]; 2] = [[4.0, 7.0], [-4.0, -1.5]];

/// The network at one pair of parameters.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The recurrent weight.
    pub w: f64,
    /// The bias.
    pub b: f64,
    /// h_50.
    pub state: f64,
    /// L.
    pub loss: f64,
    /// ∂L/∂w and ∂L/∂b.
    pub gradient: [f64; 2],
}

impl Point {
    /// One pass forward and one back: with δ_t = ∂L/∂h_t, ∂L/∂w = Σ δ_t σ(h_{t−1}), ∂L/∂b = Σ δ_t and
    /// δ_{t−1} = δ_t w σ′(h_{t−1}).
    #[inline(never)]
    pub fn at(w: f64, b: f64) -> Self {
        let mut outputs = [0.0; STEPS];
        let mut state = FIRST;
        for output in &mut outputs {
            *output = sigmoid(state);
            state = w * *output + b;
        }
        let last = sigmoid(state);
        let mut d_state = 2.0 * (last - TARGET) * last * (1.0 - last);
        let mut gradient = [0.0; 2];
        for output in outputs.iter().rev() {
            gradient[0] += d_state * output;
            gradient[1] += d_state;
            d_state *= w * output * (1.0 - output);
        }
        Self { w, b, state, loss: (last - TARGET) * (last - TARGET), gradient }
    }

    /// ‖(∂L/∂w, ∂L/∂b)‖₂.
    pub fn norm(&self) -> f64 {
        libm::hypot(self.gradient[0], self.gradient[1])
    }

    /// After one update: θ ← θ − rate · ∂L/∂θ, with a gradient longer than the threshold shortened to it first (algorithm 1 of the
    /// paper). An infinite threshold is plain descent.
    pub fn next(&self, rate: f64, threshold: f64) -> Self {
        let norm = self.norm();
        let step = if norm > threshold { rate * threshold / norm } else { rate };
        Self::at(self.w - step * self.gradient[0], self.b - step * self.gradient[1])
    }

    /// The point and those after each of some updates, as long as they are finite.
    pub fn descend(self, rate: f64, threshold: f64, updates: usize) -> Vec<Self> {
        let mut points = vec![self];
        let mut last = self;
        for _ in 0..updates {
            last = last.next(rate, threshold);
            if !(last.loss + last.gradient[0] + last.gradient[1]).is_finite() {
                break;
            }
            points.push(last);
        }
        points
    }
}

/// Where two fixed points h = w σ(h) + b meet and vanish: (b, h) of the fold with the higher state, then of the one with the lower. There
/// w σ′(h) = 1, so σ(h) = (1 ± √(1 − 4/w)) / 2. Between them the network has two stable states; up to w = 4 it always has one.
pub fn folds(w: f64) -> Option<[[f64; 2]; 2]> {
    let root = (1.0 - 4.0 / w).sqrt();
    let fold = |output: f64| {
        let h = libm::log(output / (1.0 - output));
        [h - w * output, h]
    };
    (w > 4.0).then(|| [fold(f64::midpoint(1.0, root)), fold(f64::midpoint(1.0, -root))])
}

/// The b of the window where h_50 jumps farthest, at one w, to 10⁻⁵: both ends are cut until they are as close.
pub fn wall(w: f64) -> f64 {
    const PARTS: usize = 64;
    let [mut low, mut high] = WINDOW[1];
    for _ in 0..3 {
        let part = (high - low) / PARTS as f64;
        let (mut most, mut at, mut before) = (0.0, low, Point::at(w, low).state);
        for n in 1..=PARTS {
            let state = Point::at(w, low + part * n as f64).state;
            if state - before > most {
                (most, at) = (state - before, low + part * (n - 1) as f64);
            }
            before = state;
        }
        (low, high) = (at, at + part);
    }
    f64::midpoint(low, high)
}

/// The fixed point h of a network with recurrent weight w: the bias that makes it one, and w σ′(h), below 1 where it is stable.
pub fn fixed_point(w: f64, h: f64) -> [f64; 2] {
    let output = sigmoid(h);
    [h - w * output, w * output * (1.0 - output)]
}

#[inline(never)]
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}
