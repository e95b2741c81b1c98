//! The adding problem: two marked numbers far apart must be summed.
//!
//! The modern generator (Arjovsky, Shah and Bengio 2016): values are uniform in [0, 1), the first marker is uniform in
//! [0, ⌊T/2⌋), the second in [⌊T/2⌋, T), and the target is the plain sum. Hochreiter and Schmidhuber 1997 drew values from
//! [−1, 1], marked with 1 and −1 and scaled the target, so their numbers do not compare.

use super::{Baseline, Batch, Draw, Form, Input, Recipe, Solved, Target, Task, TaskSpec, length, names};
use crate::options::Chosen;
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "adding",
    title: "Adding problem",
    summary: "Each step shows a number and a marker; exactly two steps are marked, one in each half. The last step must give \
              the sum of the two marked numbers.",
    sources: &[
        "Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
        "Arjovsky, Shah and Bengio 2016, arXiv:1511.06464",
    ],
    options: &[length(2, 50, "T, the timesteps of a sequence; one marked number lies in each half.")],
    make: |chosen| Ok(Box::new(Adding::new(chosen)) as Box<dyn Task>),
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

/// Features of a timestep.
const FEATURES: usize = 2;

struct Adding {
    form: Form,
}

impl Adding {
    fn new(chosen: &Chosen) -> Self {
        Self {
            form: Form {
                n_steps: chosen.integer("length"),
                input: Input::Features(FEATURES),
                target: Target::Value(1),
                last_only: true,
                streams: false,
                ahead: false,
                source: None,
                input_names: names(&["number", "marker"]),
                target_names: names(&["sum"]),
                // Pascanu, Mikolov and Bengio 2013 (arXiv:1211.5063) count a squared error above 0.04 as wrong.
                tolerance: 0.2,
            },
        }
    }
}

impl Task for Adding {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let (n_steps, rows) = (batch.n_steps, batch.batch);
        batch.clear_answers();
        let last = (n_steps - 1) * rows;
        for row in 0..rows {
            let first = rng.below(n_steps / 2);
            let second = n_steps / 2 + rng.below(n_steps - n_steps / 2);
            let mut sum = 0.0;
            for step_idx in 0..n_steps {
                let number = rng.uniform() as f32;
                let marked = step_idx == first || step_idx == second;
                let at = (step_idx * rows + row) * FEATURES;
                batch.features[at] = number;
                batch.features[at + 1] = if marked { 1.0 } else { 0.0 };
                sum += if marked { number } else { 0.0 };
            }
            batch.values[last + row] = sum;
            batch.mask[last + row] = 1.0;
        }
    }

    fn baseline(&self) -> Baseline {
        // The variance of the sum of two numbers that are uniform in [0, 1). (0.1767, often quoted, is a misprint.)
        Baseline { loss: 1.0 / 6.0, what: "always answers 1, the mean sum".to_owned() }
    }

    fn solved(&self) -> Solved {
        Solved::LossBelow(0.01)
    }
}

#[cfg(test)]
mod tests {
    use crate::tasks::tests::{batches, task};

    #[test]
    fn adding_marks_one_number_in_each_half_and_asks_for_their_sum() {
        for n_steps in [2, 3, 11, 50, 4096] {
            let task = task("adding", &[("length", n_steps as f64)]);
            for batch in batches(&*task, if n_steps > 100 { 1 } else { 50 }) {
                for row in 0..batch.batch {
                    let feature =
                        |step_idx: usize, which: usize| batch.features[(step_idx * batch.batch + row) * 2 + which];
                    let marked: Vec<_> = (0..n_steps).filter(|&step_idx| feature(step_idx, 1) == 1.0).collect();
                    let [first, second] = marked[..] else { panic!("{} markers", marked.len()) };
                    assert!(first < n_steps / 2 && second >= n_steps / 2);
                    for step_idx in 0..n_steps {
                        assert!((0.0..=1.0).contains(&feature(step_idx, 0)));
                        assert!(feature(step_idx, 1) == 0.0 || marked.contains(&step_idx));
                    }
                    let sum = feature(first, 0) + feature(second, 0);
                    assert_eq!(batch.values[(n_steps - 1) * batch.batch + row], sum);
                }
            }
        }
    }

    #[test]
    fn adding_markers_reach_both_ends_of_their_halves() {
        let task = task("adding", &[("length", 5.0)]);
        let mut counts = [0; 5];
        for batch in batches(&*task, 100) {
            for (at, pair) in batch.features.chunks(2).enumerate() {
                counts[at / batch.batch] += usize::from(pair[1] == 1.0);
            }
        }
        assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    }
}
