//! What holds for every task, whatever it asks.

use super::*;
use crate::options::{Fields, Value};
use std::collections::HashMap;

/// A task with some options changed, as a caller would ask for it.
pub(super) fn task_with(id: &str, options: &[(&str, Value)]) -> Result<Box<dyn Task>> {
    let spec = find(id).expect("a known task");
    let mut fields = Fields::new(
        "task",
        Value::Map(options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()),
    )?;
    let chosen = fields.options(spec.options)?;
    fields.finish()?;
    (spec.make)(&chosen)
}

/// A task with some numbers changed.
pub(super) fn task(id: &str, options: &[(&str, f64)]) -> Box<dyn Task> {
    let options: Vec<_> = options.iter().map(|&(name, value)| (name, Value::Number(value))).collect();
    task_with(id, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// A training draw.
pub(super) fn draw(step: u64) -> Draw {
    Draw { seed: 3, stream: Stream::Train, step }
}

/// Some training batches of odd sizes.
pub(super) fn batches(task: &dyn Task, n: u64) -> impl Iterator<Item = Batch> {
    const SIZES: [usize; 4] = [1, 3, 32, 7];
    (0..n).map(move |step| {
        let mut batch = Batch::zeros(task.form(), SIZES[step as usize % SIZES.len()]);
        task.sample(draw(step), &mut batch);
        batch
    })
}

/// The symbol shown to a row at a timestep.
pub(super) fn symbol_at(batch: &Batch, step_idx: usize, row: usize) -> u32 {
    batch.symbols[step_idx * batch.batch + row]
}

/// Every task with its defaults, at its smallest and at its largest length, and its variants.
fn variants() -> Vec<(String, Box<dyn Task>)> {
    let number = Value::Number;
    let mut all = Vec::new();
    for spec in TASKS {
        let Kind::Integer { min, max, default } = spec.options[0].kind else { panic!("{}: length", spec.id) };
        for n_steps in [min, default, max] {
            let mut options = vec![("length", number(f64::from(n_steps)))];
            // The smallest lengths hold one item and one wave.
            match spec.id {
                "associative-recall" if n_steps == min => options.push(("pairs", number(1.0))),
                "addition" if n_steps == min => options.push(("digits", number(1.0))),
                "copy" | "selective-copying" if n_steps == min => options.push(("items", number(1.0))),
                "sine" if n_steps == min => options.push(("waves", number(1.0))),
                _ => {}
            }
            all.push((format!("{} {options:?}", spec.id), task_with(spec.id, &options).unwrap()));
        }
    }
    for (id, options) in [
        ("first-symbol", vec![("distractors", number(1.0)), ("symbols", number(7.0))]),
        ("temporal-order", vec![("symbols", number(3.0))]),
        ("copy", vec![("items", number(3.0)), ("alphabet", number(4.0)), ("length", number(12.0))]),
        ("addition", vec![("reversed", Value::Bool(false))]),
        ("selective-copying", vec![("items", number(2.0)), ("alphabet", number(3.0)), ("length", number(9.0))]),
        ("induction-heads", vec![("symbols", number(5.0)), ("length", number(6.0))]),
        ("associative-recall", vec![("pairs", number(5.0)), ("keys", number(5.0)), ("length", number(16.0))]),
        ("parity", vec![("everyStep", Value::Bool(false))]),
        ("reber", vec![("score", Value::Text("memory".to_owned()))]),
        ("sine", vec![("noise", number(0.3)), ("waves", number(3.0)), ("horizon", number(3.0))]),
        ("mackey-glass", vec![("tau", number(30.0)), ("horizon", number(1.0))]),
    ] {
        all.push((format!("{id} {options:?}"), task_with(id, &options).unwrap()));
    }
    all
}

#[test]
fn task_entries_are_complete_and_their_recipes_name_real_options() {
    for (index, spec) in TASKS.iter().enumerate() {
        assert!(TASKS[..index].iter().all(|other| other.id != spec.id), "{} twice", spec.id);
        assert!(spec.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", spec.id);
        assert!(!spec.title.is_empty() && spec.summary.ends_with('.') && !spec.sources.is_empty());
        assert!(!spec.summary.contains("  "), "{}: stray spaces in the summary", spec.id);
        assert!(spec.sources.iter().all(|source| source.contains("doi:10.") || source.contains("arXiv:")));
        assert_eq!(spec.options[0].name, "length");
        let Kind::Integer { max, .. } = spec.options[0].kind else { panic!("{}: length is a whole number", spec.id) };
        assert_eq!(max, MAX_LENGTH);
        for option in spec.options {
            assert!(option.name.chars().all(|c| c.is_ascii_alphabetic()), "{}", option.name);
            assert!(!option.title.is_empty() && option.help.ends_with('.'), "{} {}", spec.id, option.name);
        }
        if let Some(recipe) = spec.recipe {
            let form = task(spec.id, recipe.task).form().clone();
            assert!(form.n_steps > 0 && recipe.hidden > 0 && recipe.batch > 0 && recipe.steps > 0);
        }
    }
}

#[test]
fn task_forms_name_every_input_and_answer() {
    for (name, task) in variants() {
        let form = task.form();
        assert_eq!(form.input_names.len(), form.input.size(), "{name}");
        assert_eq!(form.target_names.len(), form.target.size(), "{name}");
        for names in [&form.input_names, &form.target_names] {
            assert!(names.iter().enumerate().all(|(at, one)| !one.is_empty() && !names[..at].contains(one)), "{name}");
        }
    }
}

#[test]
fn task_batches_fit_their_form() {
    for (name, task) in variants() {
        let form = task.form();
        for rows in [1, 5] {
            let mut batch = Batch::zeros(form, rows);
            task.sample(draw(2), &mut batch);
            let last = (form.n_steps - 1) * rows;
            assert!(batch.symbols.iter().all(|&symbol| (symbol as usize) < form.input.size()), "{name}");
            assert!(batch.features.iter().chain(&batch.values).all(|value| value.is_finite()), "{name}");
            for (at, &mask) in batch.mask.iter().enumerate() {
                assert!(mask == 0.0 || mask == 1.0, "{name}");
                assert!(!form.last_only || (mask == 1.0) == (at >= last), "{name}");
                match form.target {
                    Target::Class(n) => {
                        let class = batch.classes[at];
                        assert_eq!(class == IGNORED, mask == 0.0, "{name}");
                        assert!(class == IGNORED || (class as usize) < n, "{name}");
                    }
                    Target::Value(n) => {
                        assert!(mask == 1.0 || batch.values[at * n..(at + 1) * n].iter().all(|&v| v == 0.0), "{name}");
                    }
                }
            }
            assert!(batch.mask.contains(&1.0), "{name}");
            assert!(form.streams || batch.starts.iter().all(|&start| start == 1.0), "{name}");
        }
    }
}

#[test]
fn task_draws_depend_on_seed_stream_and_step_alone() {
    for (name, task) in variants() {
        let sample = |seed, stream, step| {
            let mut batch = Batch::zeros(task.form(), 16);
            task.sample(Draw { seed, stream, step }, &mut batch);
            batch
        };
        let first = sample(1, Stream::Train, 4);
        for other in [sample(2, Stream::Train, 4), sample(1, Stream::HeldOut, 4), sample(1, Stream::Train, 5)] {
            assert_ne!(first, other, "{name}");
        }
        assert_eq!(first, sample(1, Stream::Train, 4), "{name}");
    }
}

#[test]
fn task_samples_overwrite_whatever_a_batch_held() {
    for (name, task) in variants() {
        let fresh = || Batch::zeros(task.form(), 3);
        let (mut clean, mut dirty) = (fresh(), fresh());
        dirty.symbols.fill(77);
        dirty.classes.fill(99);
        for floats in [&mut dirty.features, &mut dirty.values, &mut dirty.mask, &mut dirty.starts] {
            floats.fill(f32::NAN);
        }
        task.sample(draw(9), &mut clean);
        task.sample(draw(9), &mut dirty);
        assert_eq!(clean, dirty, "{name}");
    }
}

#[test]
fn task_rows_do_not_depend_on_how_many_there_are() {
    for (name, task) in variants() {
        let (mut few, mut many) = (Batch::zeros(task.form(), 2), Batch::zeros(task.form(), 6));
        task.sample(draw(1), &mut few);
        task.sample(draw(1), &mut many);
        for step_idx in 0..task.form().n_steps {
            for row in 0..2 {
                let (a, b) = (step_idx * 2 + row, step_idx * 6 + row);
                assert_eq!(few.mask[a], many.mask[b], "{name}");
                assert_eq!(few.symbols.get(a), many.symbols.get(b), "{name}");
                assert_eq!(few.classes.get(a), many.classes.get(b), "{name}");
                assert_eq!(few.values.get(a), many.values.get(b), "{name}");
                for feature in 0..few.features.len() / few.mask.len() {
                    let n = task.form().input.size();
                    assert_eq!(few.features[a * n + feature], many.features[b * n + feature], "{name}");
                }
            }
        }
    }
}

/// The loss of the best predictor of a kind, over at least 20,000 sampled answers.
///
/// For classes the predictor is a distribution: the same at every timestep, or with `per_step` one for each.
/// For values it is a + b·x with x the first present feature, or with `constant` a alone.
fn best_loss(task: &dyn Task, per_step: bool, constant: bool) -> f64 {
    let form = task.form();
    let mut batch = Batch::zeros(form, 256);
    let mut counts: HashMap<(usize, u32), f64> = HashMap::new();
    let (mut n, mut step) = (0.0, 0);
    // Sums of x, y, x², xy and y².
    let mut sums = [0.0; 5];
    while n < 20_000.0 || step < 40 {
        task.sample(draw(step), &mut batch);
        step += 1;
        for (at, _) in batch.mask.iter().enumerate().filter(|&(_, &mask)| mask == 1.0) {
            n += 1.0;
            match form.target {
                Target::Class(_) => {
                    let step_idx = if per_step { at / batch.batch } else { 0 };
                    *counts.entry((step_idx, batch.classes[at])).or_default() += 1.0;
                }
                Target::Value(_) => {
                    let x = if constant { 0.0 } else { f64::from(batch.features[at * form.input.size()]) };
                    let y = f64::from(batch.values[at]);
                    for (sum, term) in sums.iter_mut().zip([x, y, x * x, x * y, y * y]) {
                        *sum += term;
                    }
                }
            }
        }
    }
    match form.target {
        Target::Class(_) => {
            let mut totals: HashMap<usize, f64> = HashMap::new();
            for ((step_idx, _), count) in &counts {
                *totals.entry(*step_idx).or_default() += count;
            }
            counts.iter().map(|((step_idx, _), count)| -count / n * libm::log(count / totals[step_idx])).sum()
        }
        Target::Value(_) => {
            let [x, y, xx, xy, yy] = sums.map(|sum| sum / n);
            let (var_x, cov, var_y) = (xx - x * x, xy - x * y, yy - y * y);
            if constant { var_y } else { var_y - cov * cov / var_x }
        }
    }
}

#[test]
fn task_baselines_are_what_their_predictors_reach() {
    for (name, task) in variants() {
        // At thousands of steps 20,000 answers cost minutes, and the formulas are the same.
        if task.form().n_steps > 1000 {
            continue;
        }
        let is = |id: &str| name.starts_with(id);
        let constant = !is("sine") && !is("mackey-glass");
        let reached = best_loss(&*task, is("copy") || is("addition") || is("dates"), constant);
        let baseline = task.baseline();
        assert!((reached / baseline.loss - 1.0).abs() < 0.02, "{name}: {reached} against {baseline:?}");
        assert!(!baseline.what.is_empty());
        let solved = match task.solved() {
            Solved::LossBelow(loss) => loss < 0.9 * baseline.loss && loss > 0.0,
            Solved::AccuracyAtLeast(share) => share > 0.9 && share < 1.0,
        };
        assert!(solved, "{name}: {:?} against {baseline:?}", task.solved());
    }
}
