//! String reversal: the source must be said backwards.
//!
//! n = ⌊T/2⌋ symbols, each drawn evenly from A; the answer is the source from its end. The first symbol to say was read last, the last
//! one first: with attention, the alignment is the anti-diagonal.

use super::pairs::Pairs;
use super::{Baseline, Batch, Draw, Form, Recipe, Solved, Task, TaskSpec, guesses, length, letters};
use crate::error::Result;
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "reversal",
    title: "String reversal",
    summary: "A string is read, then it must be said backwards. A network without attention has to press the whole string into one \
              state.",
    sources: &["Sutskever, Vinyals and Le 2014, arXiv:1409.3215", "Bahdanau, Cho and Bengio 2015, arXiv:1409.0473"],
    options: &[
        length(4, 20, "T, the timesteps of a whole sequence: half for the string, half for the answer."),
        OptionSpec {
            name: "alphabet",
            title: "Alphabet",
            help: "A, how many different symbols there are.",
            kind: Kind::Integer { min: 2, max: 62, default: 8 },
        },
    ],
    make: |chosen| Ok(Box::new(Reversal::new(chosen)?) as Box<dyn Task>),
    recipe: Some(Recipe {
        task: &[],
        model: "gru",
        decoder: "luong",
        hidden: 48,
        layers: 1,
        init: "pytorch",
        init_options: &[],
        batch: 32,
        lr: 5e-3,
        steps: 1000,
    }),
};

#[derive(Debug)]
struct Reversal {
    pairs: Pairs,
    len: usize,
    alphabet: usize,
}

impl Reversal {
    fn new(chosen: &Chosen) -> Result<Self> {
        let (n_steps, alphabet) = (chosen.integer("length"), chosen.integer("alphabet"));
        let len = n_steps / 2;
        let pairs = Pairs::new(n_steps, len, len, letters(alphabet).collect(), Vec::new())?;
        Ok(Self { pairs, len, alphabet })
    }
}

impl Task for Reversal {
    fn form(&self) -> &Form {
        &self.pairs.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        self.pairs.clear(batch);
        for row in 0..batch.batch {
            for at in 0..self.len {
                let symbol = rng.below(self.alphabet) as u32;
                self.pairs.show(batch, row, self.len, at, symbol);
                self.pairs.ask(batch, row, self.len - 1 - at, symbol);
            }
        }
    }

    fn baseline(&self) -> Baseline {
        guesses(self.alphabet, "symbols")
    }

    fn solved(&self) -> Solved {
        Solved::AccuracyAtLeast(0.99)
    }
}

#[cfg(test)]
mod tests {
    use crate::tasks::tests::{batches, symbol_at, task};

    #[test]
    fn reversal_asks_for_the_source_backwards_and_feeds_it_one_step_late() {
        for (n_steps, alphabet) in [(4, 2), (20, 8), (21, 62)] {
            let task = task("reversal", &[("length", n_steps as f64), ("alphabet", f64::from(alphabet))]);
            let (len, source) = (n_steps / 2, task.form().source.unwrap());
            for batch in batches(&*task, 20) {
                let class_at = |step_idx: usize, row: usize| batch.classes[step_idx * batch.batch + row];
                for row in 0..batch.batch {
                    assert_eq!(symbol_at(&batch, source, row), alphabet + 1, "the marker");
                    assert!((0..source - len).all(|step_idx| symbol_at(&batch, step_idx, row) == alphabet), "blanks");
                    for at in 0..len {
                        let asked = class_at(source + at, row);
                        assert_eq!(asked, symbol_at(&batch, source - 1 - at, row));
                        assert!(at + 1 == len || asked == symbol_at(&batch, source + at + 1, row));
                    }
                }
                assert!((0..source * batch.batch).all(|at| batch.mask[at] == 0.0));
                assert!((source * batch.batch..batch.mask.len()).all(|at| batch.mask[at] == 1.0));
            }
        }
    }
}
