//! Addition of two numbers that are given as strings.
//!
//! The source is `a+b` with D digits each, the answer their sum with D + 1 digits, both written from the units on unless asked otherwise,
//! so that a carry moves the way the answer is written. Numbers are drawn evenly below 10^D; for D ≥ 2 one unordered pair in ten is kept
//! for held-out data. Digits are padded with zeros, as in the adder of minGPT; the example of Keras pads with blanks.

use super::pairs::{Pairs, belongs, per_place};
use super::{Baseline, Batch, Draw, Form, Recipe, Solved, Task, TaskSpec, length};
use crate::error::Result;
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "addition",
    title: "Addition",
    summary: "A sum is read as a string, such as 085+742, and its result must be written digit by digit: from the units on, carrying.",
    sources: &["Zaremba and Sutskever 2014, arXiv:1410.4615"],
    options: &[
        length(
            5,
            11,
            "T, the timesteps of a sequence: 2D + 1 for the sum and D + 1 for the result; blanks come before the sum if there is more.",
        ),
        OptionSpec {
            name: "digits",
            title: "Digits",
            help: "D, how many digits each number has.",
            kind: Kind::Integer { min: 1, max: 9, default: 3 },
        },
        OptionSpec {
            name: "reversed",
            title: "Units first",
            help: "Numbers are written from the units on. Off: as people write them, which is harder.",
            kind: Kind::Switch { default: true },
        },
    ],
    make: |chosen| Ok(Box::new(Addition::new(chosen)?) as Box<dyn Task>),
    recipe: Some(Recipe {
        task: &[],
        model: "lstm",
        decoder: "luong",
        hidden: 64,
        layers: 1,
        init: "pytorch",
        init_options: &[],
        batch: 64,
        lr: 2e-3,
        steps: 6000,
    }),
};

#[derive(Debug)]
struct Addition {
    pairs: Pairs,
    digits: usize,
    is_reversed: bool,
    plus: u32,
}

impl Addition {
    fn new(chosen: &Chosen) -> Result<Self> {
        let digits = chosen.integer("digits");
        let classes = (0..10).map(|digit| digit.to_string()).collect();
        let pairs = Pairs::new(chosen.integer("length"), 2 * digits + 1, digits + 1, classes, vec!["+".to_owned()])?;
        let plus = pairs.symbol("+");
        Ok(Self { pairs, digits, is_reversed: chosen.switch("reversed"), plus })
    }

    /// Place of digit `n` (0: the units) of a number of `digits`.
    fn place(&self, digits: usize, n: usize) -> usize {
        if self.is_reversed { n } else { digits - 1 - n }
    }
}

/// Digit `n` of a number, 0 for the units.
fn digit(number: usize, n: usize) -> u32 {
    (number / 10_usize.pow(n as u32) % 10) as u32
}

impl Task for Addition {
    fn form(&self) -> &Form {
        &self.pairs.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let (digits, below) = (self.digits, 10_usize.pow(self.digits as u32));
        let len = 2 * digits + 1;
        self.pairs.clear(batch);
        for row in 0..batch.batch {
            let [a, b] = loop {
                let [a, b] = [0; 2].map(|_| rng.below(below));
                let pair = a.min(b) as u64 * below as u64 + a.max(b) as u64;
                if digits == 1 || belongs(draw.stream, pair) {
                    break [a, b];
                }
            };
            for n in 0..digits {
                let place = self.place(digits, n);
                self.pairs.show(batch, row, len, place, digit(a, n));
                self.pairs.show(batch, row, len, digits + 1 + place, digit(b, n));
            }
            self.pairs.show(batch, row, len, digits, self.plus);
            for n in 0..=digits {
                self.pairs.ask(batch, row, self.place(digits + 1, n), digit(a + b, n));
            }
        }
    }

    fn baseline(&self) -> Baseline {
        // a + b modulo 10^D is even over all remainders, and carries with probability (1 − 10^−D) / 2.
        let carries = 0.5 * (1.0 - libm::pow(10.0, -(self.digits as f64)));
        let mut counts = vec![vec![0.1; 10]; self.digits];
        counts.push(vec![1.0 - carries, carries]);
        per_place(&counts)
    }

    fn solved(&self) -> Solved {
        Solved::AccuracyAtLeast(0.99)
    }
}

#[cfg(test)]
mod tests {
    use crate::options::Value;
    use crate::rng::Stream;
    use crate::tasks::tests::{symbol_at, task_with};
    use crate::tasks::{Batch, Draw};
    use std::collections::HashSet;

    #[test]
    fn addition_asks_for_the_sum_and_keeps_pairs_apart() {
        for (digits, is_reversed) in [(1, true), (2, true), (3, false), (9, true)] {
            let options = [
                ("length", Value::Number((3 * digits + 4) as f64)),
                ("digits", Value::Number(digits as f64)),
                ("reversed", Value::Bool(is_reversed)),
            ];
            let task = task_with("addition", &options).unwrap();
            let source = task.form().source.unwrap();
            assert_eq!(source, 2 * digits + 3);
            let mut seen = [HashSet::new(), HashSet::new()];
            for (seen, stream) in seen.iter_mut().zip([Stream::Train, Stream::HeldOut]) {
                let mut batch = Batch::zeros(task.form(), 300);
                task.sample(Draw { seed: 1, stream, step: 0 }, &mut batch);
                for row in 0..300 {
                    let read = |from: usize, count: usize, at: &dyn Fn(usize) -> u32| {
                        let mut digits: Vec<u64> = (from..from + count).map(|n| u64::from(at(n))).collect();
                        if is_reversed {
                            digits.reverse();
                        }
                        digits.iter().fold(0, |sum, digit| sum * 10 + digit)
                    };
                    let symbol = |n: usize| symbol_at(&batch, n, row);
                    let class = |n: usize| batch.classes[n * 300 + row];
                    let (a, b) = (read(2, digits, &symbol), read(3 + digits, digits, &symbol));
                    assert_eq!(symbol(2 + digits), 10, "plus");
                    assert_eq!(read(source, digits + 1, &class), a + b);
                    seen.insert((a.min(b), a.max(b)));
                }
            }
            assert!(digits == 1 || seen[0].is_disjoint(&seen[1]));
        }
    }
}
