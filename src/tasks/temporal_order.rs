//! Temporal order: which of A and B came first, second (and third), among distractors?
//!
//! The generator of Pascanu, Mikolov and Bengio 2013. Each relevant symbol is A or B and falls in its own window of
//! the sequence: with two, in the second and the sixth tenth; with three, in the second, the fourth and the seventh.
//! Their text lets the first window begin at step 1; their code, and this one, at ⌊T/10⌋. The class is v₀ + 2·v₁ (+ 4·v₂)
//! with A = 0 and B = 1. There are no start and trigger symbols as in Hochreiter and Schmidhuber 1997.

use super::{Baseline, Batch, Draw, Form, Recipe, Solved, Task, TaskSpec, guesses, length, names};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "temporal-order",
    title: "Temporal order",
    summary: "Among distractors, two or three steps far apart show A or B; the last step must say which came in which order.",
    sources: &[
        "Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
        "Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063",
    ],
    options: &[
        length(11, 50, "T, the timesteps of a sequence."),
        OptionSpec {
            name: "symbols",
            title: "Relevant symbols",
            help: "How many steps show A or B: 2 make four classes, 3 make eight.",
            kind: Kind::Integer { min: 2, max: 3, default: 2 },
        },
    ],
    make: |chosen| Ok(Box::new(TemporalOrder::new(chosen)) as Box<dyn Task>),
    recipe: Some(Recipe {
        task: &[],
        model: "elman",
        decoder: "same",
        hidden: 32,
        layers: 1,
        init: "orthogonal",
        init_options: &[],
        batch: 32,
        lr: 3e-3,
        steps: 1500,
    }),
};

/// A and B.
const RELEVANT: usize = 2;
/// c, d, e and f.
const DISTRACTORS: usize = 4;

/// The tenths of the sequence in which the relevant symbols fall.
fn tenths(symbols: usize) -> &'static [usize] {
    if symbols == 2 { &[1, 5] } else { &[1, 3, 6] }
}

struct TemporalOrder {
    form: Form,
    tenths: &'static [usize],
}

impl TemporalOrder {
    fn new(chosen: &Chosen) -> Self {
        let tenths = tenths(chosen.integer("symbols"));
        let n_classes = 1 << tenths.len();
        let class_name =
            |class: usize| (0..tenths.len()).map(|at| if class >> at & 1 == 0 { 'A' } else { 'B' }).collect();
        let form = Form::of_symbols(
            chosen.integer("length"),
            true,
            names(&["A", "B", "c", "d", "e", "f"]),
            (0..n_classes).map(class_name).collect(),
        );
        Self { form, tenths }
    }
}

impl Task for TemporalOrder {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let (n_steps, rows) = (batch.n_steps, batch.batch);
        batch.clear_answers();
        let last = (n_steps - 1) * rows;
        for row in 0..rows {
            for step_idx in 0..n_steps {
                batch.symbols[step_idx * rows + row] = (RELEVANT + rng.below(DISTRACTORS)) as u32;
            }
            let mut class = 0;
            for (at, &tenth) in self.tenths.iter().enumerate() {
                let (start, end) = (tenth * n_steps / 10, (tenth + 1) * n_steps / 10);
                let symbol = rng.below(RELEVANT) as u32;
                batch.symbols[(start + rng.below(end - start)) * rows + row] = symbol;
                class |= symbol << at;
            }
            batch.classes[last + row] = class;
            batch.mask[last + row] = 1.0;
        }
    }

    fn baseline(&self) -> Baseline {
        let n_classes = self.form.target.size();
        guesses(n_classes, "orders")
    }

    fn solved(&self) -> Solved {
        Solved::AccuracyAtLeast(0.99)
    }
}

#[cfg(test)]
mod tests {
    use crate::tasks::tests::{batches, symbol_at, task};

    #[test]
    fn temporal_order_is_told_by_the_relevant_symbols_in_their_windows() {
        for (n_steps, windows) in [
            (11, vec![1..2, 5..6]),
            (50, vec![5..10, 25..30]),
            (101, vec![10..20, 50..60]),
            (4096, vec![409..819, 2048..2457]),
            (11, vec![1..2, 3..4, 6..7]),
            (50, vec![5..10, 15..20, 30..35]),
            (4096, vec![409..819, 1228..1638, 2457..2867]),
        ] {
            let task = task("temporal-order", &[("length", n_steps as f64), ("symbols", windows.len() as f64)]);
            let form = task.form().clone();
            let mut seen = vec![0; form.target_names.len()];
            for batch in batches(&*task, if n_steps > 200 { 3 } else { 50 }) {
                for row in 0..batch.batch {
                    let symbols: Vec<_> = (0..n_steps).map(|step_idx| symbol_at(&batch, step_idx, row)).collect();
                    assert!(symbols.iter().all(|&symbol| symbol < 6));
                    let relevant: Vec<_> = (0..n_steps).filter(|&step_idx| symbols[step_idx] < 2).collect();
                    assert_eq!(relevant.len(), windows.len());
                    assert!(relevant.iter().zip(&windows).all(|(at, window)| window.contains(at)), "{relevant:?}");
                    let class = batch.classes[(n_steps - 1) * batch.batch + row] as usize;
                    let spelled: String =
                        relevant.iter().map(|&at| form.input_names[symbols[at] as usize].as_str()).collect();
                    assert_eq!(spelled, form.target_names[class]);
                    seen[class] += 1;
                }
            }
            assert!(n_steps > 200 || seen.iter().all(|&count| count > 0), "every class occurs: {seen:?}");
        }
    }
}
