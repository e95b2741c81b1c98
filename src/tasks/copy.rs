//! Copying memory: a short string must be repeated after a long silence.
//!
//! The generator of Arjovsky, Shah and Bengio 2016: K items, then L − 1 blanks, a marker, then K blanks, so that
//! T = L + 2K. The target is blank for L + K steps, then the K items in their order. Input classes are the A items,
//! the blank and the marker; output classes are the A items and the blank. The loss is the mean over all T steps.
//! Here T is given and L derived from it, since T is what every task's length means.

use super::{Baseline, Batch, Draw, Form, Recipe, Solved, Task, TaskSpec, length, letters};
use crate::error::{Error, Result};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "copy",
    title: "Copying memory",
    summary: "Some items are shown, then a long silence, then a marker; after it the items must be repeated in their order. All \
              of them must be held through the silence.",
    sources: &[
        "Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
        "Arjovsky, Shah and Bengio 2016, arXiv:1511.06464",
    ],
    options: &[
        length(
            3,
            30,
            "T, the timesteps of a whole sequence; the silence takes what 2K steps for the items leave, at least one.",
        ),
        OptionSpec {
            name: "items",
            title: "Items",
            help: "K, how many items are shown and must be repeated.",
            kind: Kind::Integer { min: 1, max: 64, default: 5 },
        },
        OptionSpec {
            name: "alphabet",
            title: "Alphabet",
            help: "A, how many different items there are.",
            kind: Kind::Integer { min: 2, max: 62, default: 8 },
        },
    ],
    make: |chosen| Ok(Box::new(Copy::new(chosen)?) as Box<dyn Task>),
    recipe: Some(Recipe {
        task: &[],
        model: "gru",
        decoder: "same",
        hidden: 64,
        layers: 1,
        init: "chrono",
        init_options: &[],
        batch: 32,
        lr: 1e-2,
        steps: 2500,
    }),
};

#[derive(Debug)]
struct Copy {
    form: Form,
    items: usize,
    alphabet: usize,
}

/// T, the items and the alphabet: T leaves room for the items twice, and for one step more.
pub(super) fn sizes(chosen: &Chosen) -> Result<[usize; 3]> {
    let [n_steps, items, alphabet] = ["length", "items", "alphabet"].map(|name| chosen.integer(name));
    if n_steps <= 2 * items {
        let expected = format!("at least {} for {items} items (2 × items + 1)", 2 * items + 1);
        return Err(Error::invalid("task.length", expected, n_steps));
    }
    Ok([n_steps, items, alphabet])
}

impl Copy {
    fn new(chosen: &Chosen) -> Result<Self> {
        let [n_steps, items, alphabet] = sizes(chosen)?;
        let form = Form::of_symbols(
            n_steps,
            false,
            letters(alphabet).chain(["·".to_owned(), "?".to_owned()]).collect(),
            letters(alphabet).chain(["·".to_owned()]).collect(),
        );
        Ok(Self { form, items, alphabet })
    }
}

impl Task for Copy {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let rows = batch.batch;
        let (blank, marker) = (self.alphabet as u32, self.alphabet as u32 + 1);
        let answer = batch.n_steps - self.items;
        batch.clear_answers();
        batch.symbols.fill(blank);
        batch.classes.fill(blank);
        batch.mask.fill(1.0);
        batch.symbols[(answer - 1) * rows..answer * rows].fill(marker);
        for row in 0..rows {
            for item_idx in 0..self.items {
                let item = rng.below(self.alphabet) as u32;
                batch.symbols[item_idx * rows + row] = item;
                batch.classes[(answer + item_idx) * rows + row] = item;
            }
        }
    }

    fn baseline(&self) -> Baseline {
        let loss = self.items as f64 * libm::log(self.alphabet as f64) / self.form.n_steps as f64;
        Baseline { loss, what: format!("blank up to the marker, then guesses among {} items", self.alphabet) }
    }

    fn solved(&self) -> Solved {
        // One tenth of what there is to remember is missing.
        Solved::LossBelow(0.1 * self.baseline().loss)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::options::Value;
    use crate::tasks::tests::{batches, symbol_at, task, task_with};

    #[test]
    fn copy_repeats_the_items_after_the_marker() {
        for (n_steps, items, alphabet) in [(3, 1, 2), (30, 5, 8), (11, 5, 62), (41, 20, 2), (4096, 64, 3)] {
            let options = [("length", n_steps as f64), ("items", items as f64), ("alphabet", f64::from(alphabet))];
            let task = task("copy", &options);
            let (blank, marker) = (alphabet, alphabet + 1);
            for batch in batches(&*task, if n_steps > 100 { 1 } else { 20 }) {
                let class_at = |step_idx: usize, row: usize| batch.classes[step_idx * batch.batch + row];
                for row in 0..batch.batch {
                    for item_idx in 0..items {
                        let item = symbol_at(&batch, item_idx, row);
                        assert!(item < alphabet);
                        assert_eq!(class_at(n_steps - items + item_idx, row), item);
                        assert_eq!(symbol_at(&batch, n_steps - items + item_idx, row), blank);
                    }
                    for step_idx in items..n_steps - items - 1 {
                        assert_eq!(symbol_at(&batch, step_idx, row), blank);
                    }
                    assert_eq!(symbol_at(&batch, n_steps - items - 1, row), marker);
                    assert!((0..n_steps - items).all(|step_idx| class_at(step_idx, row) == blank));
                }
                assert!(batch.mask.iter().all(|&mask| mask == 1.0));
            }
        }
    }

    #[test]
    fn copy_without_room_for_the_marker_names_the_length() {
        let error = task_with("copy", &[("length", Value::Number(10.0))]).err().unwrap();
        let Error::Invalid { field, expected, got } = error else { panic!("{error}") };
        assert_eq!((field.as_str(), got.as_str()), ("task.length", "10"));
        assert!(expected.contains("at least 11"), "{expected}");
    }
}
