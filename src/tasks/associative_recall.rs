//! Multi-query associative recall: pairs of keys and values, then keys whose values are asked.
//!
//! K pairs stand first, key before value, all keys different and all values different; then each key is shown once more, blanks between,
//! and its value is the answer there. Gaps follow a power law, as in Zoology with α = 0.01: of the places g = 0, 1, … for a query, at
//! steps 2K + 2g, those that are free are drawn with weights 1/(g + 1). Symbols are the blank, V/2 − 1 keys and V/2 values; classes
//! are the values. Attention looks a key up wherever it stood; a recurrence must keep K pairs in its state.

use super::{Baseline, Batch, Draw, Form, Input, Solved, Target, Task, TaskSpec, length, letters};
use crate::error::{Error, Result};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "associative-recall",
    title: "Associative recall",
    summary: "Pairs of a key and a value are shown, then the keys alone, each once; the answer is the value that stood behind it. All \
              pairs must be kept, and found by their key.",
    sources: &["Arora et al. 2023, arXiv:2312.04927"],
    options: &[
        length(3, 32, "T, the timesteps of a sequence; K pairs and their queries take at least 4K − 1 of them."),
        OptionSpec {
            name: "pairs",
            title: "Pairs",
            help: "K, how many pairs are shown.",
            kind: Kind::Integer { min: 1, max: 30, default: 4 },
        },
        OptionSpec {
            name: "vocabulary",
            title: "Vocabulary",
            help: "V, how many symbols there are: a blank, V/2 − 1 keys and V/2 values, rounded down.",
            kind: Kind::Integer { min: 4, max: 64, default: 32 },
        },
    ],
    make: |chosen| Ok(Box::new(AssociativeRecall::new(chosen)?) as Box<dyn Task>),
    recipe: None,
};

struct AssociativeRecall {
    form: Form,
    pairs: usize,
    /// V/2.
    half: usize,
}

impl AssociativeRecall {
    fn new(chosen: &Chosen) -> Result<Self> {
        let (n_steps, pairs) = (chosen.integer("length"), chosen.integer("pairs"));
        let half = chosen.integer("vocabulary") / 2;
        if pairs >= half {
            let expected = format!("at least {} for {pairs} different keys (2 × pairs + 2)", 2 * pairs + 2);
            return Err(Error::invalid("task.vocabulary", expected, chosen.integer("vocabulary")));
        }
        if n_steps + 1 < 4 * pairs {
            let expected = format!("at least {} for {pairs} pairs and their queries (4 × pairs − 1)", 4 * pairs - 1);
            return Err(Error::invalid("task.length", expected, n_steps));
        }
        let values = || (1..=half).map(|value| value.to_string());
        let form = Form {
            n_steps,
            input: Input::Symbols(2 * half),
            target: Target::Class(half),
            last_only: false,
            streams: false,
            ahead: false,
            source: None,
            input_names: ["·".to_owned()].into_iter().chain(letters(half - 1)).chain(values()).collect(),
            target_names: values().collect(),
            tolerance: 0.0,
        };
        Ok(Self { form, pairs, half })
    }
}

impl Task for AssociativeRecall {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let rows = batch.batch;
        let begin = 2 * self.pairs;
        let places = (batch.n_steps - begin).div_ceil(2);
        batch.clear_answers();
        batch.symbols.fill(0);
        for row in 0..rows {
            let at = |step_idx: usize| step_idx * rows + row;
            for pair in 0..self.pairs {
                // A key and a value that no pair before has.
                for (offset, first, count) in [(0, 1, self.half - 1), (1, self.half, self.half)] {
                    loop {
                        let symbol = (first + rng.below(count)) as u32;
                        if (0..pair).all(|other| batch.symbols[at(2 * other + offset)] != symbol) {
                            batch.symbols[at(2 * pair + offset)] = symbol;
                            break;
                        }
                    }
                }
            }
            for pair in 0..self.pairs {
                let place = |g: usize| at(begin + 2 * g);
                let weight =
                    |symbols: &[u32], g: usize| if symbols[place(g)] == 0 { 1.0 / (g + 1) as f64 } else { 0.0 };
                let total: f64 = (0..places).map(|g| weight(&batch.symbols, g)).sum();
                let mut left = rng.range(0.0, total);
                let free = |g: &usize| batch.symbols[place(*g)] == 0;
                let mut chosen = (0..places).rev().find(free).expect("as many places as pairs");
                for g in (0..places).filter(free) {
                    left -= weight(&batch.symbols, g);
                    if left < 0.0 {
                        chosen = g;
                        break;
                    }
                }
                let query = place(chosen);
                batch.symbols[query] = batch.symbols[at(2 * pair)];
                batch.classes[query] = batch.symbols[at(2 * pair + 1)] - self.half as u32;
                batch.mask[query] = 1.0;
            }
        }
    }

    fn baseline(&self) -> Baseline {
        Baseline { loss: libm::log(self.half as f64), what: format!("guesses among {} values", self.half) }
    }

    fn solved(&self) -> Solved {
        Solved::AccuracyAtLeast(0.99)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::options::Value;
    use crate::tasks::IGNORED;
    use crate::tasks::tests::{batches, symbol_at, task, task_with};
    use std::collections::HashMap;

    #[test]
    fn associative_recall_asks_every_key_once_for_its_value() {
        for (n_steps, pairs, vocabulary) in [(3, 1, 4), (32, 4, 32), (15, 4, 10), (119, 30, 63), (4096, 8, 64)] {
            let options = [("length", n_steps as f64), ("pairs", pairs as f64), ("vocabulary", f64::from(vocabulary))];
            let task = task("associative-recall", &options);
            let half = vocabulary / 2;
            for batch in batches(&*task, if n_steps > 200 { 1 } else { 50 }) {
                for row in 0..batch.batch {
                    let symbol = |step_idx: usize| symbol_at(&batch, step_idx, row);
                    let mut values: HashMap<u32, u32> =
                        (0..pairs).map(|pair| (symbol(2 * pair), symbol(2 * pair + 1))).collect();
                    assert_eq!(values.len(), pairs, "different keys");
                    assert!(values.iter().all(|(&k, &v)| (1..half).contains(&k) && (half..2 * half).contains(&v)));
                    for step_idx in 2 * pairs..n_steps {
                        let class = batch.classes[step_idx * batch.batch + row];
                        if symbol(step_idx) == 0 {
                            assert_eq!(class, IGNORED);
                        } else {
                            assert_eq!((step_idx - 2 * pairs) % 2, 0);
                            assert_eq!(values.remove(&symbol(step_idx)), Some(class + half));
                        }
                    }
                    assert!(values.is_empty(), "every key is asked");
                }
            }
        }
    }

    /// The first place is half as far again as likely as the second would be alone: with one pair, place g has the share of 1/(g + 1).
    #[test]
    fn associative_recall_asks_at_gaps_of_a_power_law() {
        let task = task("associative-recall", &[("length", 10.0), ("pairs", 1.0), ("vocabulary", 4.0)]);
        let (mut counts, mut n) = ([0.0; 4], 0.0);
        for batch in batches(&*task, 4000) {
            for row in 0..batch.batch {
                let g = (0..4).find(|g| symbol_at(&batch, 2 + 2 * g, row) != 0).expect("a query");
                counts[g] += 1.0;
                n += 1.0;
            }
        }
        let total = 1.0 + 1.0 / 2.0 + 1.0 / 3.0 + 1.0 / 4.0;
        for (g, count) in counts.iter().enumerate() {
            let share = 1.0 / (g + 1) as f64 / total;
            assert!((count / n - share).abs() < 0.01, "place {g}: {}, expected {share}", count / n);
        }
    }

    #[test]
    fn associative_recall_without_room_names_what_is_too_small() {
        for (name, value, least) in [("length", 14.0, "at least 15"), ("vocabulary", 9.0, "at least 10")] {
            let error = task_with("associative-recall", &[(name, Value::Number(value))]).err().unwrap();
            let Error::Invalid { field, expected, .. } = error else { panic!("{error}") };
            assert_eq!(field, format!("task.{name}"));
            assert!(expected.contains(least), "{expected}");
        }
    }
}
