//! Induction heads: what came after the special symbol the first time?
//!
//! Symbols are drawn from V, but at one random place a special symbol stands, and at the last step it stands again; the answer is
//! the symbol that followed it the first time. Attention solves it in two steps, looking up where the special symbol stood and
//! reading one place further; a recurrence must keep one symbol from the place on that it could not know ahead.

use super::{Baseline, Batch, Draw, Form, Recipe, Solved, Task, TaskSpec, guesses, length, letters};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "induction-heads",
    title: "Induction heads",
    summary: "Among random symbols a special one stands once, and again at the end; the answer is what followed it the first time. The \
              place must be found by what stands there, not by counting.",
    sources: &[
        "Olsson et al. 2022, arXiv:2209.11895",
        "Fu et al. 2022, arXiv:2212.14052",
        "Gu and Dao 2023, arXiv:2312.00752",
    ],
    options: &[
        length(3, 32, "T, the timesteps of a sequence."),
        OptionSpec {
            name: "symbols",
            title: "Symbols",
            help: "V, how many symbols there are beside the special one.",
            kind: Kind::Integer { min: 2, max: 62, default: 16 },
        },
    ],
    make: |chosen| Ok(Box::new(InductionHeads::new(chosen)) as Box<dyn Task>),
    // Seeds 1, 2 and 3 need 500, 1250 and 750 steps.
    recipe: Some(Recipe {
        task: &[("length", 16.0), ("symbols", 8.0)],
        model: "transformer",
        hidden: 32,
        layers: 2,
        decoder: "same",
        init: "own",
        init_options: &[],
        batch: 32,
        lr: 3e-3,
        steps: 2500,
    }),
};

struct InductionHeads {
    form: Form,
    symbols: usize,
}

impl InductionHeads {
    fn new(chosen: &Chosen) -> Self {
        let symbols = chosen.integer("symbols");
        let form = Form::of_symbols(
            chosen.integer("length"),
            true,
            letters(symbols).chain(["*".to_owned()]).collect(),
            letters(symbols).collect(),
        );
        Self { form, symbols }
    }
}

impl Task for InductionHeads {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let (n_steps, rows) = (batch.n_steps, batch.batch);
        let last = (n_steps - 1) * rows;
        batch.clear_answers();
        for row in 0..rows {
            for step_idx in 0..n_steps - 1 {
                batch.symbols[step_idx * rows + row] = rng.below(self.symbols) as u32;
            }
            // One step is left for what follows it.
            let place = rng.below(n_steps - 2);
            batch.symbols[place * rows + row] = self.symbols as u32;
            batch.symbols[last + row] = self.symbols as u32;
            batch.classes[last + row] = batch.symbols[(place + 1) * rows + row];
            batch.mask[last + row] = 1.0;
        }
    }

    fn baseline(&self) -> Baseline {
        guesses(self.symbols, "symbols")
    }

    fn solved(&self) -> Solved {
        Solved::AccuracyAtLeast(0.99)
    }
}

#[cfg(test)]
mod tests {
    use crate::tasks::tests::{batches, symbol_at, task};

    #[test]
    fn induction_heads_ask_for_what_followed_the_special_symbol() {
        for (n_steps, symbols) in [(3, 2), (32, 16), (7, 62), (4096, 3)] {
            let task = task("induction-heads", &[("length", n_steps as f64), ("symbols", f64::from(symbols))]);
            let mut places = vec![0; n_steps - 2];
            for batch in batches(&*task, if n_steps > 100 { 1 } else { 100 }) {
                for row in 0..batch.batch {
                    let special: Vec<usize> =
                        (0..n_steps).filter(|&step_idx| symbol_at(&batch, step_idx, row) == symbols).collect();
                    let [first, last] = special[..] else { panic!("twice, not at {special:?}") };
                    assert_eq!(last, n_steps - 1);
                    assert_eq!(batch.classes[last * batch.batch + row], symbol_at(&batch, first + 1, row));
                    places[first] += 1;
                }
            }
            assert!(n_steps > 100 || places.iter().all(|&count| count > 0), "it stands everywhere: {places:?}");
        }
    }
}
