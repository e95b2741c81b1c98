//! Remember the first symbol: the simplest task that needs memory and nothing else.
//!
//! The first step shows one of K symbols; the T − 1 steps after it show distractors from an alphabet of their own, so
//! nothing but the first step is evidence and nothing has to be told apart. The last step must name the first symbol.
//! With one distractor the steps between are a blank tape and the network only has to hold on; with several, each step
//! also pushes the state about.

use super::{Baseline, Batch, Draw, Form, Recipe, Solved, Task, TaskSpec, guesses, length, letters};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "first-symbol",
    title: "Remember the first symbol",
    summary: "The first step shows a symbol, all later steps show distractors; the last step must name that first symbol. \
              One symbol must be held for T − 1 steps.",
    sources: &["Bengio, Simard and Frasconi 1994, doi:10.1109/72.279181 (the latch problem, with symbols)"],
    options: &[
        length(2, 25, "T, the timesteps of a sequence; the symbol must be held for T − 1 of them."),
        OptionSpec {
            name: "symbols",
            title: "Symbols",
            help: "K, how many symbols the first step is drawn from.",
            kind: Kind::Integer { min: 2, max: 16, default: 2 },
        },
        OptionSpec {
            name: "distractors",
            title: "Distractors",
            help: "How many different distractors the steps between are drawn from; 1 makes them all the same blank.",
            kind: Kind::Integer { min: 1, max: 16, default: 8 },
        },
    ],
    make: |chosen| Ok(Box::new(FirstSymbol::new(chosen)) as Box<dyn Task>),
    recipe: Some(Recipe {
        task: &[],
        model: "lstm",
        decoder: "same",
        hidden: 16,
        layers: 1,
        init: "forget-bias",
        init_options: &[],
        batch: 32,
        lr: 3e-3,
        steps: 400,
    }),
};

struct FirstSymbol {
    form: Form,
    symbols: usize,
    distractors: usize,
}

impl FirstSymbol {
    fn new(chosen: &Chosen) -> Self {
        let (symbols, distractors) = (chosen.integer("symbols"), chosen.integer("distractors"));
        let between = (0..distractors).map(|at| if distractors == 1 { "·".to_owned() } else { (at + 1).to_string() });
        let form = Form::of_symbols(
            chosen.integer("length"),
            true,
            letters(symbols).chain(between).collect(),
            letters(symbols).collect(),
        );
        Self { form, symbols, distractors }
    }
}

impl Task for FirstSymbol {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let (n_steps, rows) = (batch.n_steps, batch.batch);
        batch.clear_answers();
        let last = (n_steps - 1) * rows;
        for row in 0..rows {
            let first = rng.below(self.symbols) as u32;
            batch.symbols[row] = first;
            for step_idx in 1..n_steps {
                batch.symbols[step_idx * rows + row] = (self.symbols + rng.below(self.distractors)) as u32;
            }
            batch.classes[last + row] = first;
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
    fn first_symbol_is_the_answer_and_the_rest_are_distractors() {
        for (n_steps, symbols, distractors) in [(2, 2, 1), (25, 4, 2), (7, 16, 16), (4096, 3, 1)] {
            let options =
                [("length", n_steps as f64), ("symbols", symbols as f64), ("distractors", distractors as f64)];
            let task = task("first-symbol", &options);
            let mut seen = vec![0; (symbols + distractors) as usize];
            for batch in batches(&*task, if n_steps > 100 { 1 } else { 200 }) {
                for row in 0..batch.batch {
                    let first = symbol_at(&batch, 0, row);
                    assert!(first < symbols);
                    assert_eq!(batch.classes[(n_steps - 1) * batch.batch + row], first);
                    for step_idx in 0..n_steps {
                        let symbol = symbol_at(&batch, step_idx, row);
                        assert!(step_idx == 0 || (symbols..symbols + distractors).contains(&symbol));
                        seen[symbol as usize] += 1;
                    }
                }
            }
            assert!(n_steps > 100 || seen.iter().all(|&count| count > 0), "every symbol occurs: {seen:?}");
        }
    }
}
