//! Multi-query associative recall: what was the value of this key?
//!
//! 2D steps show D pairs, a key and then its value; the keys are distinct. Among the T − 2D steps that follow, each of the D keys is asked
//! for once, in random order and at random places between blanks, and the answer is its value. A network must keep all D values, each
//! bound to its key: attention looks them up, while what a recurrence can keep is bounded by its state. Remembering the values without
//! their keys gives no more than a guess among D.

use super::{Baseline, Batch, Draw, Form, Recipe, Solved, Task, TaskSpec, guesses, length, letters};
use crate::error::{Error, Result};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

/// The most keys: as many as there are capital letters.
const MOST: usize = 26;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "associative-recall",
    title: "Associative recall",
    summary: "Pairs of a key and a value are shown; then the keys are asked for, in random order at random places, and the answer is the \
              value of each. All pairs must be kept, and each value found by its key.",
    sources: &["Arora et al. 2023, arXiv:2312.04927", "Fu et al. 2022, arXiv:2212.14052"],
    options: &[
        length(3, 32, "T, the timesteps of a sequence; blanks take what three steps for each pair leave."),
        OptionSpec {
            name: "pairs",
            title: "Pairs",
            help: "D, how many keys are shown with their values and asked for.",
            kind: Kind::Integer { min: 1, max: MOST as u32, default: 8 },
        },
        OptionSpec {
            name: "keys",
            title: "Keys",
            help: "How many different keys there are: the last capital letters.",
            kind: Kind::Integer { min: 1, max: MOST as u32, default: 16 },
        },
        OptionSpec {
            name: "values",
            title: "Values",
            help: "V, how many different values there are: the first small letters.",
            kind: Kind::Integer { min: 2, max: MOST as u32, default: 8 },
        },
    ],
    make: |chosen| Ok(Box::new(AssociativeRecall::new(chosen)?) as Box<dyn Task>),
    // Seeds 1, 2 and 3 need 650, 800 and 900 steps.
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
        let input_names: Vec<String> = letters(MOST + values).chain(["·".to_owned()]).collect();
        let input_names = input_names[MOST - keys..].to_vec();
        let target_names = input_names[keys..][..values].to_vec();
        let form = Form::of_symbols(n_steps, false, input_names, target_names);
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
            let mut taken = 0_u32;
            for pair in 0..self.pairs {
                let mut key = rng.below(self.keys);
                while taken >> key & 1 == 1 {
                    key = rng.below(self.keys);
                }
                taken |= 1 << key;
                let value = rng.below(self.values);
                let shown = 2 * pair * rows + row;
                batch.symbols[shown] = key as u32;
                batch.symbols[shown + rows] = (self.keys + value) as u32;
                // Any free step: places and order are random at once.
                let mut asked = shown;
                while asked == shown || batch.mask[asked] == 1.0 {
                    asked = (2 * self.pairs + rng.below(batch.n_steps - 2 * self.pairs)) * rows + row;
                }
                batch.symbols[asked] = key as u32;
                batch.classes[asked] = value as u32;
                batch.mask[asked] = 1.0;
            }
        }
    }

    fn baseline(&self) -> Baseline {
        guesses(self.values, "values")
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
            [(3, 1, 1, 2), (32, 4, 16, 16), (12, 4, 4, 26), (78, 26, 26, 3), (4096, 2, 3, 5)]
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
