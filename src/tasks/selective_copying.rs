//! Selective copying: items at random places among blanks must be repeated in their order.
//!
//! L + M steps hold M items, at places drawn anew for every sequence, and L blanks; then M markers ask for the items, so that
//! T = L + 2M. As the spaces between the items vary, what to keep depends on what is read: no recurrence whose decay is the same at every
//! step solves it. Classes are the A items, asked at the markers alone. Here T is given and L derived from it.

use super::{Baseline, Batch, Draw, Form, Solved, Task, TaskSpec, copy, guesses, length, letters};
use crate::error::Result;
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "selective-copying",
    title: "Selective copying",
    summary: "Some items stand at random places among blanks; at the end, as many markers ask for them in their order. What is kept must \
              depend on what is read, and blanks must be forgotten at once.",
    sources: &["Gu and Dao 2023, arXiv:2312.00752", "Jing et al. 2019, arXiv:1706.02761"],
    options: &[
        length(
            3,
            40,
            "T, the timesteps of a whole sequence; blanks take what 2M steps for the items leave, at least one.",
        ),
        OptionSpec {
            name: "items",
            title: "Items",
            help: "M, how many items are shown and must be repeated.",
            kind: Kind::Integer { min: 1, max: 64, default: 4 },
        },
        OptionSpec {
            name: "alphabet",
            title: "Alphabet",
            help: "A, how many different items there are.",
            kind: Kind::Integer { min: 2, max: 62, default: 6 },
        },
    ],
    make: |chosen| Ok(Box::new(SelectiveCopying::new(chosen)?) as Box<dyn Task>),
    recipe: None,
};

struct SelectiveCopying {
    form: Form,
    items: usize,
    alphabet: usize,
}

impl SelectiveCopying {
    fn new(chosen: &Chosen) -> Result<Self> {
        let [n_steps, items, alphabet] = copy::sizes(chosen)?;
        let form = Form::of_symbols(
            n_steps,
            false,
            letters(alphabet).chain(["·".to_owned(), "?".to_owned()]).collect(),
            letters(alphabet).collect(),
        );
        Ok(Self { form, items, alphabet })
    }
}

impl Task for SelectiveCopying {
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
        batch.symbols[answer * rows..].fill(marker);
        batch.mask[answer * rows..].fill(1.0);
        for row in 0..rows {
            // Each step takes an item with the share of those that are left: every choice of places is as likely as another.
            let mut next = 0;
            for step_idx in 0..answer {
                if rng.below(answer - step_idx) < self.items - next {
                    let item = rng.below(self.alphabet) as u32;
                    batch.symbols[step_idx * rows + row] = item;
                    batch.classes[(answer + next) * rows + row] = item;
                    next += 1;
                }
            }
        }
    }

    fn baseline(&self) -> Baseline {
        guesses(self.alphabet, "items")
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

    #[test]
    fn selective_copying_asks_for_the_items_in_their_order() {
        for (n_steps, items, alphabet) in [(3, 1, 2), (40, 4, 6), (11, 5, 62), (41, 20, 2), (4096, 64, 3)] {
            let options = [("length", n_steps as f64), ("items", items as f64), ("alphabet", f64::from(alphabet))];
            let task = task("selective-copying", &options);
            let (blank, marker) = (alphabet, alphabet + 1);
            let mut places = vec![0; n_steps - items];
            for batch in batches(&*task, if n_steps > 100 { 1 } else { 200 }) {
                for row in 0..batch.batch {
                    let shown: Vec<usize> =
                        (0..n_steps - items).filter(|&step_idx| symbol_at(&batch, step_idx, row) != blank).collect();
                    assert_eq!(shown.len(), items);
                    for (at, &step_idx) in shown.iter().enumerate() {
                        let asked = n_steps - items + at;
                        assert!(symbol_at(&batch, step_idx, row) < alphabet);
                        assert_eq!(symbol_at(&batch, asked, row), marker);
                        assert_eq!(batch.classes[asked * batch.batch + row], symbol_at(&batch, step_idx, row));
                        places[step_idx] += 1;
                    }
                    let asked = batch.classes.iter().skip(row).step_by(batch.batch);
                    assert_eq!(asked.filter(|&&class| class != IGNORED).count(), items);
                }
            }
            assert!(n_steps > 100 || places.iter().all(|&count| count > 0), "items stand everywhere: {places:?}");
        }
    }

    #[test]
    fn selective_copying_without_room_for_a_blank_names_the_length() {
        let error = task_with("selective-copying", &[("length", Value::Number(8.0))]).err().unwrap();
        let Error::Invalid { field, expected, got } = error else { panic!("{error}") };
        assert_eq!((field.as_str(), got.as_str()), ("task.length", "8"));
        assert!(expected.contains("at least 9"), "{expected}");
    }
}
