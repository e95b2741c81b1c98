//! Forecasting a mixture of sine waves.
//!
//! x(t) = √(2/W) Σᵢ sin(2πt/Pᵢ + θᵢ) with W waves, so that x has variance 1. The periods Pᵢ = 8·φⁱ steps (φ is the golden
//! ratio, so no two have a common multiple) belong to the task; the phases θᵢ are drawn for every sequence, and are what the
//! network must find out. Noise is added to the input alone; the target is the clean signal `horizon` steps ahead.
//! W waves of known periods obey a linear recurrence of order 2W, so 2W clean values determine all that follows: answers
//! are scored from the step at which they have been seen, and without noise the best loss is 0.

use super::{Baseline, Batch, Draw, Form, Input, Recipe, Solved, Target, Task, TaskSpec, length, names};
use crate::error::{Error, Result};
use crate::options::{Chosen, Kind, OptionSpec, Value};
use crate::rng::{Rng, circle};

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "sine",
    title: "Sine mixture",
    summary: "Each step shows the value of a sum of sine waves with unknown phases, and asks for a value some steps ahead. The \
              phases must be found from the past.",
    sources: &["Yule 1927, doi:10.1098/rsta.1927.0007 (a sum of sine waves obeys a linear recurrence)"],
    options: &[
        length(2, 50, "T, the timesteps of a sequence; at least twice the number of waves."),
        OptionSpec {
            name: "waves",
            title: "Waves",
            help: "W, how many waves are added; their periods are 8, 12.9, 20.9, 33.9 and 54.8 steps.",
            kind: Kind::Integer { min: 1, max: MAX_WAVES as u32, default: 2 },
        },
        OptionSpec {
            name: "noise",
            title: "Noise",
            help: "Standard deviation of the normal noise on the inputs; the signal's own is 1.",
            kind: Kind::Number { min: 0.0, max: 2.0, default: 0.0, log: false },
        },
        OptionSpec {
            name: "horizon",
            title: "Horizon",
            help: "How many steps ahead the signal is asked for.",
            kind: Kind::Integer { min: 1, max: 64, default: 1 },
        },
    ],
    make: |chosen| Ok(Box::new(Sine::new(chosen)?) as Box<dyn Task>),
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
        steps: 400,
    }),
};

const MAX_WAVES: usize = 5;
const GOLDEN_RATIO: f64 = 1.618_033_988_749_895;

struct Sine {
    form: Form,
    /// 1/Pᵢ, turns a step.
    frequencies: Vec<f64>,
    noise: f64,
    horizon: usize,
}

impl Sine {
    fn new(chosen: &Chosen) -> Result<Self> {
        let (n_steps, waves) = (chosen.integer("length"), chosen.integer("waves"));
        if n_steps < 2 * waves {
            return Err(Error::invalid("task.length", format!("at least {} for {waves} waves", 2 * waves), n_steps));
        }
        let horizon = chosen.integer("horizon");
        let mut period = 8.0;
        let mut frequencies = Vec::new();
        for _ in 0..waves {
            frequencies.push(1.0 / period);
            period *= GOLDEN_RATIO;
        }
        let form = Form {
            n_steps,
            input: Input::Features(1),
            target: Target::Value(1),
            last_only: false,
            streams: false,
            ahead: true,
            source: None,
            input_names: names(&["signal"]),
            target_names: vec![format!("signal at t + {horizon}")],
            tolerance: 0.1,
        };
        Ok(Self { form, frequencies, noise: chosen.number("noise"), horizon })
    }

    /// Correlation of the signal with itself `horizon` steps ahead.
    fn correlation(&self) -> f64 {
        let lag = self.horizon as f64;
        let sum: f64 = self.frequencies.iter().map(|&frequency| circle(frequency * lag)[0]).sum();
        sum / self.frequencies.len() as f64
    }
}

impl Task for Sine {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let (n_steps, rows) = (batch.n_steps, batch.batch);
        let waves = self.frequencies.len();
        let scale = libm::sqrt(2.0 / waves as f64);
        let warm_up = 2 * waves - 1;
        batch.clear_answers();
        batch.mask[warm_up * rows..].fill(1.0);
        for row in 0..rows {
            // Each wave is a pointer that turns by its frequency at every step: two products instead of a sine.
            let mut pointers = [(0.0, 0.0, 0.0, 0.0); MAX_WAVES];
            for (pointer, &frequency) in pointers.iter_mut().zip(&self.frequencies) {
                let ([cos, sin], [turn_cos, turn_sin]) = (circle(rng.uniform()), circle(frequency));
                *pointer = (sin, cos, turn_sin, turn_cos);
            }
            for step_idx in 0..n_steps + self.horizon {
                let mut signal = 0.0;
                for (sin, cos, turn_sin, turn_cos) in &mut pointers[..waves] {
                    signal += *sin;
                    (*sin, *cos) = (*sin * *turn_cos + *cos * *turn_sin, *cos * *turn_cos - *sin * *turn_sin);
                }
                signal *= scale;
                if step_idx < n_steps {
                    let noise = if self.noise > 0.0 { self.noise * rng.normal() } else { 0.0 };
                    batch.features[step_idx * rows + row] = (signal + noise) as f32;
                }
                if step_idx >= self.horizon + warm_up {
                    batch.values[(step_idx - self.horizon) * rows + row] = signal as f32;
                }
            }
        }
    }

    fn baseline(&self) -> Baseline {
        let correlation = self.correlation();
        let variance = 1.0 + self.noise * self.noise;
        Baseline {
            loss: 1.0 - correlation * correlation / variance,
            what: format!(
                "answers {} × the present value, the best multiple",
                Value::rounded(correlation / variance, 1000.0)
            ),
        }
    }

    fn solved(&self) -> Solved {
        Solved::LossBelow(0.1 * self.baseline().loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Value;
    use crate::tasks::tests::{batches, draw, task, task_with};

    #[test]
    fn sine_targets_are_later_inputs_and_obey_the_recurrence() {
        for (n_steps, waves, horizon) in [(2, 1, 1), (10, 5, 64), (50, 2, 1), (51, 3, 7), (4096, 5, 1)] {
            let options = [("length", n_steps as f64), ("waves", waves as f64), ("horizon", horizon as f64)];
            let task = task("sine", &options);
            // Sines of frequencies ωᵢ are annihilated by Π(1 − 2 cos ωᵢ·L + L²), L the lag operator.
            let mut annihilator = vec![1.0];
            let mut period = 8.0;
            for _ in 0..waves {
                let factor = [1.0, -2.0 * circle(1.0 / period)[0], 1.0];
                let mut product = vec![0.0; annihilator.len() + 2];
                for (i, a) in annihilator.iter().enumerate() {
                    for (j, f) in factor.iter().enumerate() {
                        product[i + j] += a * f;
                    }
                }
                annihilator = product;
                period *= GOLDEN_RATIO;
            }
            for batch in batches(&*task, if n_steps > 100 { 1 } else { 20 }) {
                let rows = batch.batch;
                for row in 0..rows {
                    let x: Vec<_> = (0..n_steps).map(|t| f64::from(batch.features[t * rows + row])).collect();
                    for window in x.windows(annihilator.len()) {
                        let residue: f64 = window.iter().zip(&annihilator).map(|(x, a)| x * a).sum();
                        assert!(residue.abs() < 3e-4, "residue {residue}");
                    }
                    for t in 0..n_steps {
                        let at = t * rows + row;
                        assert_eq!(batch.mask[at], f32::from(u8::from(t + 1 >= 2 * waves)));
                        if batch.mask[at] == 0.0 {
                            assert_eq!(batch.values[at], 0.0);
                        } else if t + horizon < n_steps {
                            assert_eq!(batch.values[at], batch.features[at + horizon * rows]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn sine_noise_has_its_deviation_and_leaves_the_targets_clean() {
        let clean = task("sine", &[("length", 400.0), ("horizon", 1.0)]);
        let noisy = task("sine", &[("length", 400.0), ("horizon", 1.0), ("noise", 0.5)]);
        let (mut sum, mut n) = (0.0, 0.0);
        for step in 0..20 {
            let (mut a, mut b) = (Batch::zeros(clean.form(), 1), Batch::zeros(noisy.form(), 1));
            clean.sample(draw(step), &mut a);
            noisy.sample(draw(step), &mut b);
            assert_eq!(a.values, b.values);
            for (a, b) in a.features.iter().zip(&b.features) {
                let noise = f64::from(b - a);
                sum += noise * noise;
                n += 1.0;
            }
        }
        let deviation = libm::sqrt(sum / n);
        assert!((deviation - 0.5).abs() < 0.02, "{deviation}");
    }

    #[test]
    fn sine_with_too_few_steps_names_the_length() {
        let options = [("length", Value::Number(5.0)), ("waves", Value::Number(3.0))];
        let error = task_with("sine", &options).err().unwrap().to_string();
        assert_eq!(error, "task.length: expected at least 6 for 3 waves, got 5");
    }
}
