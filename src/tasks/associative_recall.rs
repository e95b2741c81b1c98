//! Multi-query associative recall: what was the value of this key?
//!
//! 2D steps show D pairs, a key and then its value; the keys are distinct. Among the T − 2D steps that follow, each of the D keys is asked
//! for once, in random order and at random places between blanks, and the answer is its value. A network must keep all D values, each
//! bound to its key: attention looks them up, while what a recurrence can keep is bounded by its state. Remembering the values without
//! their keys gives no more than a guess among D.

use super::{Baseline, Batch, Draw, Form, Input, Recipe, Solved, Target, Task, TaskSpec, length, letters};
use crate::error::{Error, Result};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

/// The most keys: as many as there are letters.
const MOST: usize = 52;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "associative-recall",
    title: "Associative recall",
    summary: "Pairs of a key and a value are shown; then the keys are asked for, in random order at random places, and the answer is the \
              value of each. All pairs must be kept, and each value found by its key.",
    sources: &["Arora et al. 2023, arXiv:2312.04927", "Fu et al. 2022, arXiv:2212.14052"],
    options: &[
        length(
            3,
            32,
            "T, the timesteps of a sequence; blanks take what two steps for every pair and one for every question leave.",
        ),
        OptionSpec {
            name: "pairs",
            title: "Pairs",
            help: "D, how many keys are shown with their values and asked for.",
            kind: Kind::Integer { min: 1, max: MOST as u32, default: 8 },
        },
        OptionSpec {
            name: "keys",
            title: "Keys",
            help: "How many different keys there are.",
            kind: Kind::Integer { min: 1, max: MOST as u32, default: 16 },
        },
        OptionSpec {
            name: "values",
            title: "Values",
            help: "V, how many different values there are.",
            kind: Kind::Integer { min: 2, max: 64, default: 8 },
        },
    ],
    make: |chosen| Ok(Box::new(AssociativeRecall::new(chosen)?) as Box<dyn Task>),
    // Seeds 1, 2 and 3 need 750, 1000 and 1000 steps.
    recipe: Some(Recipe {
        task: &[],
        model: "mamba",
        hidden: 32,
        layers: 1,
        decoder: "same",
        init: "own",
        init_options: &[],
        batch: 32,
        lr: 5e-3,
        steps: 2000,
    }),
};

struct AssociativeRecall {
    form: Form,
    pairs: usize,
    keys: usize,
    values: usize,
}

impl AssociativeRecall {
    fn new(chosen: &Chosen) -> Result<Self> {
        let [n_steps, pairs, keys, values] = ["length", "pairs", "keys", "values"].map(|name| chosen.integer(name));
        for (field, least, got) in [("task.length", 3 * pairs, n_steps), ("task.keys", pairs, keys)] {
            if got < least {
                return Err(Error::invalid(field, format!("at least {least} for {pairs} pairs"), got));
            }
        }
        let numbers = || (0..values).map(|value| value.to_string());
        let form = Form {
            n_steps,
            input: Input::Symbols(keys + values + 1),
            target: Target::Class(values),
            last_only: false,
            streams: false,
            ahead: false,
            source: None,
            input_names: letters(keys).chain(numbers()).chain(["·".to_owned()]).collect(),
            target_names: numbers().collect(),
            tolerance: 0.0,
        };
        Ok(Self { form, pairs, keys, values })
    }
}

impl Task for AssociativeRecall {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let rows = batch.batch;
        batch.clear_answers();
        batch.symbols.fill((self.keys + self.values) as u32);
        for row in 0..rows {
            let mut keys: [usize; MOST] = std::array::from_fn(|key| key);
            let mut value_of = [0; MOST];
            for pair in 0..self.pairs {
                keys.swap(pair, pair + rng.below(self.keys - pair));
                let value = rng.below(self.values);
                value_of[keys[pair]] = value as u32;
                batch.symbols[2 * pair * rows + row] = keys[pair] as u32;
                batch.symbols[(2 * pair + 1) * rows + row] = (self.keys + value) as u32;
            }
            // Each step asks with the share of the keys that are left: every choice of places is as likely as another.
            let mut next = 0;
            for step_idx in 2 * self.pairs..batch.n_steps {
                if rng.below(batch.n_steps - step_idx) < self.pairs - next {
                    keys.swap(next, next + rng.below(self.pairs - next));
                    let at = step_idx * rows + row;
                    batch.symbols[at] = keys[next] as u32;
                    batch.classes[at] = value_of[keys[next]];
                    batch.mask[at] = 1.0;
                    next += 1;
                }
            }
        }
    }

    fn baseline(&self) -> Baseline {
        Baseline { loss: libm::log(self.values as f64), what: format!("guesses among {} values", self.values) }
    }

    fn solved(&self) -> Solved {
        Solved::AccuracyAtLeast(0.95)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::options::Value;
    use crate::tasks::IGNORED;
    use crate::tasks::tests::{batches, symbol_at, task, task_with};

    #[test]
    fn associative_recall_asks_for_the_value_of_every_key_once() {
        for (n_steps, pairs, keys, values) in
            [(3, 1, 1, 2), (32, 4, 16, 16), (12, 4, 4, 64), (156, 52, 52, 3), (4096, 2, 3, 5)]
        {
            let given = [("length", n_steps), ("pairs", pairs), ("keys", keys), ("values", values)];
            let task = task("associative-recall", &given.map(|(name, n)| (name, n as f64)));
            let mut places = vec![0; n_steps - 2 * pairs];
            let mut orders = [0, 0];
            for batch in batches(&*task, if n_steps > 100 { 1 } else { 200 }) {
                for row in 0..batch.batch {
                    let symbol = |step_idx| symbol_at(&batch, step_idx, row) as usize;
                    let mut shown: Vec<(usize, usize)> =
                        (0..pairs).map(|pair| (symbol(2 * pair), symbol(2 * pair + 1) - keys)).collect();
                    let first = shown[0].0;
                    let mut asked = Vec::new();
                    for step_idx in 0..n_steps {
                        let class = batch.classes[step_idx * batch.batch + row];
                        if step_idx < 2 * pairs || symbol(step_idx) == keys + values {
                            assert_eq!(class, IGNORED);
                        } else {
                            asked.push((symbol(step_idx), class as usize));
                            places[step_idx - 2 * pairs] += 1;
                        }
                    }
                    orders[usize::from(asked[0].0 == first)] += 1;
                    shown.sort_unstable();
                    asked.sort_unstable();
                    assert_eq!(shown, asked);
                    assert!(shown.iter().all(|&(key, value)| key < keys && value < values));
                    assert!(shown.windows(2).all(|pair| pair[0].0 < pair[1].0), "distinct keys: {shown:?}");
                }
            }
            assert!(n_steps > 100 || places.iter().all(|&count| count > 0), "it asks everywhere: {places:?}");
            assert!(pairs == 1 || n_steps > 100 || orders.iter().all(|&count| count > 0), "in any order: {orders:?}");
        }
    }

    #[test]
    fn associative_recall_without_room_or_keys_names_the_field() {
        for (options, field, least) in [
            ([("length", 23.0), ("keys", 16.0)], "task.length", "24"),
            ([("length", 32.0), ("keys", 3.0)], "task.keys", "8"),
        ] {
            let error =
                task_with("associative-recall", &options.map(|(name, n)| (name, Value::Number(n)))).err().unwrap();
            let Error::Invalid { field: named, expected, .. } = error else { panic!("{error}") };
            assert_eq!((named.as_str(), expected), (field, format!("at least {least} for 8 pairs")));
        }
    }
}
