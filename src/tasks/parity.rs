//! Parity: is the number of ones so far even or odd?
//!
//! Bits are independent and fair. Asked at every step (the default) the target is the running exclusive or, which a
//! recurrent network learns within seconds; asked at the end alone it is much harder to find, though no harder to compute.
//! A single layer of a linear recurrence with positive diagonal cannot represent it at any length.

use super::{Baseline, Batch, Draw, Form, Recipe, Solved, Task, TaskSpec, length, names};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "parity",
    title: "Parity",
    summary: "Each step shows a bit; the answer is whether the number of ones so far is odd. One bit of state must be kept \
              exactly, and flipped by every one.",
    sources: &[
        "Delétang et al. 2023, arXiv:2207.02098",
        "Grazzi et al. 2024, arXiv:2411.12537 (why linear recurrences need negative eigenvalues)",
    ],
    options: &[
        length(1, 20, "T, the timesteps of a sequence."),
        OptionSpec {
            name: "everyStep",
            title: "Ask at every step",
            help: "On: the parity so far is asked at every step. Off: it is asked at the last step alone, which is much harder.",
            kind: Kind::Switch { default: true },
        },
    ],
    make: |chosen| Ok(Box::new(Parity::new(chosen)) as Box<dyn Task>),
    recipe: Some(Recipe {
        task: &[],
        model: "gru",
        decoder: "same",
        hidden: 32,
        layers: 1,
        init: "pytorch",
        init_options: &[],
        batch: 64,
        lr: 3e-3,
        steps: 600,
    }),
};

struct Parity {
    form: Form,
}

impl Parity {
    fn new(chosen: &Chosen) -> Self {
        Self {
            form: Form::of_symbols(
                chosen.integer("length"),
                !chosen.switch("everyStep"),
                names(&["0", "1"]),
                names(&["even", "odd"]),
            ),
        }
    }
}

impl Task for Parity {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let (n_steps, rows) = (batch.n_steps, batch.batch);
        batch.clear_answers();
        for row in 0..rows {
            let mut parity = 0;
            for step_idx in 0..n_steps {
                let at = step_idx * rows + row;
                let bit = rng.below(2) as u32;
                batch.symbols[at] = bit;
                parity ^= bit;
                if !self.form.last_only || step_idx + 1 == n_steps {
                    batch.classes[at] = parity;
                    batch.mask[at] = 1.0;
                }
            }
        }
    }

    fn baseline(&self) -> Baseline {
        Baseline { loss: std::f64::consts::LN_2, what: "guesses even or odd".to_owned() }
    }

    fn solved(&self) -> Solved {
        Solved::AccuracyAtLeast(0.99)
    }
}

#[cfg(test)]
mod tests {
    use crate::options::Value;
    use crate::tasks::IGNORED;
    use crate::tasks::tests::{batches, symbol_at, task, task_with};

    #[test]
    fn parity_counts_the_ones_so_far() {
        for n_steps in [1, 2, 20, 33, 4096] {
            let task = task("parity", &[("length", n_steps as f64)]);
            assert!(!task.form().last_only);
            for batch in batches(&*task, if n_steps > 100 { 1 } else { 50 }) {
                for row in 0..batch.batch {
                    let mut ones = 0;
                    for step_idx in 0..n_steps {
                        ones += symbol_at(&batch, step_idx, row);
                        assert_eq!(batch.classes[step_idx * batch.batch + row], ones % 2);
                    }
                }
                assert!(batch.mask.iter().all(|&mask| mask == 1.0));
            }
        }
    }

    #[test]
    fn parity_at_the_end_asks_the_same_bits_once() {
        let dense = task("parity", &[("length", 9.0)]);
        let sparse = task_with("parity", &[("length", Value::Number(9.0)), ("everyStep", Value::Bool(false))]).unwrap();
        assert!(sparse.form().last_only);
        for (dense, sparse) in batches(&*dense, 5).zip(batches(&*sparse, 5)) {
            let last = 8 * dense.batch;
            assert_eq!(dense.symbols, sparse.symbols);
            assert_eq!(dense.classes[last..], sparse.classes[last..]);
            assert!(sparse.classes[..last].iter().all(|&class| class == IGNORED));
        }
    }
}
