//! Dates as people write them in English, to be written as yyyy-mm-dd.
//!
//! A day from 1950 to 2049, drawn evenly, in one of eight formats, in small letters. The order of day and month is always told by the
//! format: names of months are spelt out or cut, and numbers come year first or with dots, day first. One day in ten is kept for
//! held-out data.

use super::pairs::{Pairs, belongs, per_place};
use super::{Baseline, Batch, Draw, Form, Recipe, Solved, Task, TaskSpec, length};
use crate::error::Result;
use crate::options::Chosen;
use crate::rng::Rng;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "dates",
    title: "Dates",
    summary: "A date is read as people write it, such as \"sep 5, 1998\" or \"5.9.98\", and must be written as 1998-09-05.",
    sources: &["Bahdanau, Cho and Bengio 2015, arXiv:1409.0473"],
    options: &[length(
        28,
        28,
        "T, the timesteps of a whole sequence: ten for the answer, blanks before the date in the others.",
    )],
    make: |chosen| Ok(Box::new(Dates::new(chosen)?) as Box<dyn Task>),
    recipe: Some(Recipe {
        task: &[],
        model: "gru",
        decoder: "luong",
        hidden: 64,
        layers: 1,
        init: "pytorch",
        init_options: &[],
        batch: 32,
        lr: 5e-3,
        steps: 1500,
    }),
};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Characters of the longest date, as "september 30, 1998".
const LONGEST: usize = 18;

/// Characters of an answer.
const ANSWER: usize = 10;

/// Formats: d day, m month, n its first three letters, l its name, y year, z its last two digits; e, o day and month with two digits.
const FORMATS: [&[u8]; 8] = [b"l d, y", b"d l y", b"n d, y", b"d n y", b"d.m.y", b"e.o.z", b"y/o/e", b"l d y"];

/// The first year, and how many there are.
const YEARS: [usize; 2] = [1950, 100];

#[derive(Debug)]
struct Dates {
    pairs: Pairs,
    /// The symbol of each byte.
    symbols: [u32; 128],
}

/// Characters on their way to a source or answer; allocates nothing.
struct Text {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Text {
    const EMPTY: Self = Self { bytes: [0; LONGEST], len: 0 };

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// At least `width` digits.
    fn number(&mut self, number: usize, width: u32) {
        let digits = number.checked_ilog10().unwrap_or(0) + 1;
        for n in (0..digits.max(width)).rev() {
            self.push(b'0' + (number / 10_usize.pow(n) % 10) as u8);
        }
    }

    fn date([year, month, day]: [usize; 3], format: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        for &part in format {
            match part {
                b'd' => text.number(day, 1),
                b'e' => text.number(day, 2),
                b'm' => text.number(month, 1),
                b'o' => text.number(month, 2),
                b'y' => text.number(year, 4),
                b'z' => text.number(year % 100, 2),
                b'l' => MONTHS[month - 1].bytes().for_each(|byte| text.push(byte)),
                b'n' => MONTHS[month - 1].bytes().take(3).for_each(|byte| text.push(byte)),
                other => text.push(other),
            }
        }
        text
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Days of a month in the Gregorian calendar.
fn days(year: usize, month: usize) -> usize {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A day, all of them equally likely: one that does not exist is drawn again.
fn day(rng: &mut Rng) -> [usize; 3] {
    loop {
        let [year, month, day] = [YEARS[0] + rng.below(YEARS[1]), 1 + rng.below(12), 1 + rng.below(31)];
        if day <= days(year, month) {
            return [year, month, day];
        }
    }
}

impl Dates {
    fn new(chosen: &Chosen) -> Result<Self> {
        let classes: Vec<String> = "0123456789-".chars().map(String::from).collect();
        let others = ('a'..='z').chain(" ,./".chars()).map(|c| if c == ' ' { '␣' } else { c }.to_string());
        let pairs = Pairs::new(chosen.integer("length"), LONGEST, ANSWER, classes, others.collect())?;
        let mut symbols = [0; 128];
        for (symbol, name) in pairs.form.input_names.iter().enumerate() {
            let byte = if name == "␣" { b' ' } else { name.as_bytes()[0] };
            if byte < 128 {
                symbols[byte as usize] = symbol as u32;
            }
        }
        Ok(Self { pairs, symbols })
    }
}

impl Task for Dates {
    fn form(&self) -> &Form {
        &self.pairs.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        self.pairs.clear(batch);
        for row in 0..batch.batch {
            let date = loop {
                let [year, month, day] = day(&mut rng);
                if belongs(draw.stream, ((year * 12 + month) * 31 + day) as u64) {
                    break [year, month, day];
                }
            };
            let source = Text::date(date, FORMATS[rng.below(FORMATS.len())]);
            for (at, &byte) in source.bytes().iter().enumerate() {
                self.pairs.show(batch, row, source.len, at, self.symbols[byte as usize]);
            }
            for (at, &byte) in Text::date(date, b"y-o-e").bytes().iter().enumerate() {
                self.pairs.ask(batch, row, at, self.symbols[byte as usize]);
            }
        }
    }

    fn baseline(&self) -> Baseline {
        let mut counts = vec![vec![0.0; self.pairs.form.target.size()]; ANSWER];
        for (year, month) in (YEARS[0]..YEARS[0] + YEARS[1]).flat_map(|year| (1..=12).map(move |month| (year, month))) {
            for day in 1..=days(year, month) {
                let answer = Text::date([year, month, day], b"y-o-e");
                for (counts, &byte) in counts.iter_mut().zip(answer.bytes()) {
                    counts[self.symbols[byte as usize] as usize] += 1.0;
                }
            }
        }
        per_place(&counts)
    }

    fn solved(&self) -> Solved {
        Solved::AccuracyAtLeast(0.99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::tests::{batches, symbol_at, task};

    #[test]
    fn dates_are_written_in_every_format() {
        let written =
            FORMATS.map(|format| String::from_utf8(Text::date([1998, 9, 5], format).bytes().to_vec()).unwrap());
        let expected = [
            "september 5, 1998",
            "5 september 1998",
            "sep 5, 1998",
            "5 sep 1998",
            "5.9.1998",
            "05.09.98",
            "1998/09/05",
            "september 5 1998",
        ];
        assert_eq!(written, expected);
        assert_eq!([days(2000, 2), days(1900, 2), days(2024, 2), days(2023, 2), days(2023, 9)], [29, 28, 29, 28, 30]);
    }

    #[test]
    fn dates_ask_for_what_the_source_says() {
        let task = task("dates", &[]);
        let names = &task.form().input_names;
        for batch in batches(&*task, 20) {
            for row in 0..batch.batch {
                let source: String = (0..18).map(|at| names[symbol_at(&batch, at, row) as usize].as_str()).collect();
                let source = source.replace('␣', " ").replace('·', "");
                let answer: String =
                    (18..28).map(|at| names[batch.classes[at * batch.batch + row] as usize].as_str()).collect();
                let [year, month, day] =
                    [&answer[..4], &answer[5..7], &answer[8..]].map(|part| part.parse::<usize>().unwrap());
                assert!(day <= days(year, month));
                let of = |format: &&[u8]| Text::date([year, month, day], format).bytes() == source.as_bytes();
                assert!(FORMATS.iter().any(of), "{source} is not {answer}");
            }
        }
    }
}
