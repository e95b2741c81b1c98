//! Forecasting the Mackey–Glass series, a chaotic signal that flows on from batch to batch.
//!
//! dx/dt = a·x(t − τ) / (1 + x(t − τ)ⁿ) − b·x with a = 0.2, b = 0.1, n = 10; chaotic for τ above 16.8. Integrated by the
//! classical Runge–Kutta method of order 4 with step 1, the delayed value held during the step, from a constant history
//! of 1.2. The series is brought to mean 0 and variance 1, so that the loss is the square of the normalised error (NRMSE²).
//!
//! One trajectory is integrated when its first value is needed and cut into three stretches, for training, held-out data and the
//! probe, which share no value. A row of a batch walks through windows of T values, one after the other, so that its state
//! may be carried; after a lap it restarts at a random place of its stretch. Rows restart at different batches.

use super::{Baseline, Batch, Draw, Form, Input, Recipe, Solved, Target, Task, TaskSpec, length, names};
use crate::options::{Chosen, Kind, OptionSpec, Value};
use crate::rng::{Rng, Stream};
use std::ops::Range;
use std::sync::OnceLock;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "mackey-glass",
    title: "Mackey–Glass series",
    summary: "Each step shows the value of a chaotic signal with a delay, and asks for a value some steps ahead. The delayed past \
              must be kept; sequences flow on from batch to batch.",
    sources: &["Mackey and Glass 1977, doi:10.1126/science.267326"],
    options: &[
        length(1, 50, "T, the timesteps of a window; the next batch continues where this one ends."),
        OptionSpec {
            name: "tau",
            title: "Delay",
            help: "τ, the delay of the feedback in steps; the signal is periodic for small ones, and chaotic above 16.8.",
            kind: Kind::Integer { min: 10, max: 100, default: 17 },
        },
        OptionSpec {
            name: "horizon",
            title: "Horizon",
            help: "How many steps ahead the signal is asked for.",
            kind: Kind::Integer { min: 1, max: MAX_HORIZON as u32, default: 6 },
        },
    ],
    make: |chosen| Ok(Box::new(MackeyGlass::new(chosen)) as Box<dyn Task>),
    recipe: Some(Recipe {
        task: &[],
        model: "gru",
        decoder: "same",
        hidden: 32,
        layers: 1,
        init: "pytorch",
        init_options: &[],
        batch: 32,
        lr: 3e-3,
        steps: 1200,
    }),
};

const MAX_HORIZON: usize = 100;
/// Steps integrated before the trajectory begins, so that it lies on the attractor.
const TRANSIENT: usize = 2000;
/// Values of the training stretch, the held-out stretch and the probe stretch.
const STRETCHES: [usize; 3] = [1 << 16, 1 << 15, 1 << 15];
/// A row restarts after about this many steps: a lap of the largest window, a window at least, fits into every stretch.
const LAP: usize = 1 << 13;

/// `len` values of the series after the transient.
fn trajectory(tau: usize, len: usize) -> Vec<f64> {
    let mut x = vec![1.2; tau + 1];
    x.reserve_exact(TRANSIENT + len);
    for _ in 0..TRANSIENT + len {
        let now = x[x.len() - 1];
        let delayed = x[x.len() - 1 - tau];
        let square = delayed * delayed;
        let fourth = square * square;
        let production = 0.2 * delayed / (1.0 + fourth * fourth * square);
        let slope = |x: f64| production - 0.1 * x;
        let k1 = slope(now);
        let k2 = slope(now + 0.5 * k1);
        let k3 = slope(now + 0.5 * k2);
        let k4 = slope(now + k3);
        x.push(now + (k1 + 2.0 * k2 + 2.0 * k3 + k4) / 6.0);
    }
    x.split_off(tau + 1 + TRANSIENT)
}

struct MackeyGlass {
    form: Form,
    tau: usize,
    horizon: usize,
    /// Computed when the first value is asked for: sizes of networks are looked at far more often.
    series: OnceLock<Series>,
}

struct Series {
    /// The standardised series, all stretches in a row.
    values: Vec<f32>,
    /// Mean of x(t)·x(t + horizon) over the series.
    correlation: f64,
}

impl MackeyGlass {
    fn new(chosen: &Chosen) -> Self {
        let (tau, horizon) = (chosen.integer("tau"), chosen.integer("horizon"));
        let form = Form {
            n_steps: chosen.integer("length"),
            input: Input::Features(1),
            target: Target::Value(1),
            last_only: false,
            streams: true,
            ahead: true,
            source: None,
            input_names: names(&["signal"]),
            target_names: vec![format!("signal at t + {horizon}")],
            tolerance: 0.1,
        };
        Self { form, tau, horizon, series: OnceLock::new() }
    }

    fn series(&self) -> &Series {
        self.series.get_or_init(|| {
            let mut x = trajectory(self.tau, STRETCHES.iter().sum::<usize>());
            let n = x.len() as f64;
            let mean = x.iter().sum::<f64>() / n;
            let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
            let scale = 1.0 / libm::sqrt(variance);
            for x in &mut x {
                *x = (*x - mean) * scale;
            }
            let products = x.iter().zip(&x[self.horizon..]).map(|(now, later)| now * later);
            let correlation = products.sum::<f64>() / (x.len() - self.horizon) as f64;
            Series { values: x.iter().map(|&x| x as f32).collect(), correlation }
        })
    }
}

/// The part of the series that a stream reads.
fn stretch(stream: Stream) -> Range<usize> {
    let [train, held_out, probe] = STRETCHES;
    match stream {
        Stream::HeldOut => train..train + held_out,
        Stream::Probe => train + held_out..train + held_out + probe,
        Stream::Train | Stream::Parameters | Stream::Task => 0..train,
    }
}

impl Task for MackeyGlass {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let (n_steps, rows) = (batch.n_steps, batch.batch);
        let windows = (LAP / n_steps) as u64;
        let (stretch, values) = (stretch(draw.stream), &self.series().values);
        let places = stretch.len() - windows as usize * n_steps - self.horizon + 1;
        // Row b is b windows ahead of row 0, so at any time a row is in one of two laps; each lap has its generator,
        // and a row takes the same number of it at every batch of the lap.
        let first_lap = draw.step / windows;
        let mut laps = [first_lap, first_lap + 1].map(|lap| Rng::at(draw.seed, draw.stream, lap));
        batch.clear_answers();
        batch.mask.fill(1.0);
        for row in 0..rows {
            let starts = [laps[0].below(places), laps[1].below(places)];
            let ahead = draw.step % windows + row as u64 % windows;
            let (lap, window) = ((ahead / windows) as usize, ahead % windows);
            let start = stretch.start + starts[lap] + window as usize * n_steps;
            batch.starts[row] = if window == 0 || draw.step == 0 { 1.0 } else { 0.0 };
            for step_idx in 0..n_steps {
                batch.features[step_idx * rows + row] = values[start + step_idx];
                batch.values[step_idx * rows + row] = values[start + step_idx + self.horizon];
            }
        }
    }

    fn baseline(&self) -> Baseline {
        let correlation = self.series().correlation;
        Baseline {
            loss: 1.0 - correlation * correlation,
            what: format!("answers {} × the present value, the best multiple", Value::rounded(correlation, 1000.0)),
        }
    }

    fn solved(&self) -> Solved {
        Solved::LossBelow(0.1 * self.baseline().loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::tests::task;

    fn sampled(task: &dyn Task, stream: Stream, step: u64, rows: usize) -> Batch {
        let mut batch = Batch::zeros(task.form(), rows);
        task.sample(Draw { seed: 5, stream, step }, &mut batch);
        batch
    }

    #[test]
    fn mackey_glass_rows_flow_on_until_they_start_anew() {
        for (n_steps, rows, horizon) in [(1, 3, 2), (50, 7, 6), (700, 33, 1), (4096, 2, 100), (4096, 512, 100)] {
            let task = task("mackey-glass", &[("length", n_steps as f64), ("horizon", horizon as f64)]);
            let mut continued = 0;
            let mut restarted = 0;
            let windows = LAP / n_steps;
            for step in [0, windows as u64 - 2, 5 * windows as u64 - 2] {
                let mut before = sampled(&*task, Stream::Train, step, rows);
                assert!(step > 0 || before.starts.iter().all(|&start| start == 1.0));
                for step in step + 1..step + 4 {
                    let after = sampled(&*task, Stream::Train, step, rows);
                    for row in 0..rows {
                        if after.starts[row] == 1.0 {
                            restarted += 1;
                            continue;
                        }
                        assert_eq!(after.starts[row], 0.0);
                        continued += 1;
                        // The targets before run `horizon` steps ahead of the inputs after.
                        for t in 0..horizon.min(n_steps) {
                            let target = before.values[(n_steps - horizon.min(n_steps) + t) * rows + row];
                            let input = if horizon <= n_steps { t } else { horizon - n_steps + t };
                            if input < n_steps {
                                assert_eq!(target, after.features[input * rows + row]);
                            }
                        }
                    }
                    before = after;
                }
            }
            assert!(continued > 0 && restarted > 0, "T {n_steps}: {continued} continue, {restarted} start");
        }
    }

    #[test]
    fn mackey_glass_targets_are_later_inputs() {
        let task = task("mackey-glass", &[("length", 40.0), ("horizon", 9.0)]);
        let batch = sampled(&*task, Stream::HeldOut, 3, 5);
        for at in 0..31 * 5 {
            assert_eq!(batch.values[at], batch.features[at + 9 * 5]);
        }
        assert!(batch.mask.iter().all(|&mask| mask == 1.0));
    }

    #[test]
    fn mackey_glass_streams_share_no_value() {
        let ranges = [Stream::Train, Stream::HeldOut, Stream::Probe].map(stretch);
        for (index, range) in ranges.iter().enumerate() {
            // The longest lap and its last target fit, wherever it starts.
            assert!(range.len() > LAP + MAX_HORIZON);
            assert!(ranges[index + 1..].iter().all(|other| range.end <= other.start));
        }
        assert_eq!(ranges[2].end, STRETCHES.iter().sum::<usize>());
    }

    #[test]
    fn mackey_glass_step_is_the_exact_solution_to_fourth_order() {
        // With the delayed value held, dx/dt = c − b·x has the solution c/b + (x − c/b)·exp(−b), and the classical
        // method of order 4 reproduces its Taylor series up to b⁴: the error of a step is about b⁵/120.
        for tau in [10, 17, 100] {
            let x = trajectory(tau, 1000);
            for t in tau..999 {
                let delayed = x[t - tau];
                let rest = 0.2 * delayed / (1.0 + libm::pow(delayed, 10.0)) / 0.1;
                let exact = rest + (x[t] - rest) * libm::exp(-0.1);
                let bound = 1.01e-5 / 120.0 * (x[t] - rest).abs() + 1e-14;
                assert!((x[t + 1] - exact).abs() <= bound, "τ {tau}, t {t}: {} against {exact}", x[t + 1]);
            }
            let (low, high) = x.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| (low.min(x), high.max(x)));
            assert!(low > 0.1 && high < 1.6 && high - low > 0.3, "τ {tau}: from {low} to {high}");
        }
    }

    #[test]
    fn mackey_glass_is_chaotic_at_the_default_delay() {
        let mut near = [f64::MAX; 2];
        let x = trajectory(17, 20_000);
        // A periodic series would come back to its first hundred values exactly; a chaotic one never does.
        for shift in 50..19_000 {
            let distance = (0..100).map(|t| (x[t] - x[shift + t]).abs()).fold(0.0, f64::max);
            near[0] = near[0].min(distance);
        }
        let periodic = trajectory(10, 20_000);
        for shift in 20..19_000 {
            let distance = (0..100).map(|t| (periodic[t] - periodic[shift + t]).abs()).fold(0.0, f64::max);
            near[1] = near[1].min(distance);
        }
        assert!(near[0] > 10.0 * near[1], "nearest return {} against {} of the periodic series", near[0], near[1]);
    }
}
