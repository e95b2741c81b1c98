//! What tasks with a source and an answer share: the layout of both on one time axis.
//!
//! The first S steps show the source, blanks before it where it is shorter. Then comes the marker », and after it the answer, one
//! symbol late: the network reads the true symbol before the one that it must say (teacher forcing). Only the U = T − S steps of the
//! answer are scored. Class k is symbol k, so that an answer can be fed back.

use super::{Baseline, Batch, Form};
use crate::error::{Error, Result};
use crate::rng::Stream;

/// Source and answer of the sequences of one task.
#[derive(Debug)]
pub(super) struct Pairs {
    /// Its form; `source` is set.
    pub form: Form,
    /// S.
    source: usize,
    classes: usize,
}

impl Pairs {
    /// Sequences of T steps. `classes` names what may stand in an answer, `others` what may stand in a source besides.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `n_steps` has no room for the longest source and the answer.
    pub fn new(
        n_steps: usize,
        longest: usize,
        answer: usize,
        classes: Vec<String>,
        others: Vec<String>,
    ) -> Result<Self> {
        if n_steps < longest + answer {
            let expected = format!("at least {} ({longest} for the source, {answer} for the answer)", longest + answer);
            return Err(Error::invalid("task.length", expected, n_steps));
        }
        let source = n_steps - answer;
        let marks = ["·", "»"].map(str::to_owned);
        let input_names: Vec<String> = classes.iter().cloned().chain(others).chain(marks).collect();
        let form = Form {
            ahead: true,
            source: Some(source),
            ..Form::of_symbols(n_steps, false, input_names, classes.clone())
        };
        Ok(Self { form, source, classes: classes.len() })
    }

    /// The symbol of a name.
    pub fn symbol(&self, name: &str) -> u32 {
        self.form.input_names.iter().position(|other| other == name).expect("a symbol of this task") as u32
    }

    /// Nothing is asked, and every source is blank.
    pub fn clear(&self, batch: &mut Batch) {
        let inputs = self.form.input_names.len() as u32;
        batch.clear_answers();
        batch.symbols.fill(inputs - 2);
        batch.symbols[self.source * batch.batch..][..batch.batch].fill(inputs - 1);
    }

    /// Writes symbol `at` of the source of a row, which has `len` of them.
    pub fn show(&self, batch: &mut Batch, row: usize, len: usize, at: usize, symbol: u32) {
        batch.symbols[(self.source - len + at) * batch.batch + row] = symbol;
    }

    /// Writes symbol `at` of the answer of a row.
    pub fn ask(&self, batch: &mut Batch, row: usize, at: usize, class: u32) {
        debug_assert!((class as usize) < self.classes);
        let here = (self.source + at) * batch.batch + row;
        batch.classes[here] = class;
        batch.mask[here] = 1.0;
        if let Some(next) = batch.symbols.get_mut(here + batch.batch) {
            *next = class;
        }
    }
}

/// The loss of a predictor that knows how often each class stands at each place of the answer, and nothing else.
pub(super) fn per_place(counts: &[Vec<f64>]) -> Baseline {
    let entropy = |counts: &Vec<f64>| {
        let total: f64 = counts.iter().sum();
        counts.iter().filter(|&&n| n > 0.0).map(|n| -n / total * libm::log(n / total)).sum::<f64>()
    };
    let loss = counts.iter().map(entropy).sum::<f64>() / counts.len() as f64;
    Baseline { loss, what: "guesses by how often each symbol stands at each place of the answer".to_owned() }
}

/// True when an example belongs to what `stream` may show: one in ten is kept for held-out data and pictures.
pub(super) fn belongs(stream: Stream, example: u64) -> bool {
    // The multiplier of Fibonacci hashing (Knuth, TAOCP 6.4): its upper bits depend on all of the number.
    let hash = example.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    hash.is_multiple_of(10) != (stream == Stream::Train)
}
