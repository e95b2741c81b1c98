//! The embedded Reber grammar: predict the next symbol of a string whose second symbol returns at the end.
//!
//! A string is B, then T or P, then a string of the Reber grammar, then the same T or P again, then E. The inner grammar
//! begins with B, walks the automaton below and ends with E; where two edges leave a state, each is taken half of the
//! time. The only long dependency is the second-last symbol. A string that needs more than T steps is drawn again, so
//! that every sequence is complete; after its end the input repeats E and nothing is asked.
//!
//! No network predicts fair choices, so the loss has a floor. With p(s, r) the probability that a walk from state s
//! ends within r more symbols, the edge to s′ is taken with probability q = ½ p(s′, r − 1) / p(s, r), and the floor is the
//! expected sum of −q ln q over the edges, divided by the expected number of targets.

use super::{Baseline, Batch, Draw, Form, IGNORED, Recipe, Solved, Task, TaskSpec, length, names};
use crate::options::{Chosen, Kind, OptionSpec, Value};
use crate::rng::Rng;
use std::f64::consts::LN_2;

pub(super) const SPEC: TaskSpec = TaskSpec {
    id: "reber",
    title: "Embedded Reber grammar",
    summary: "Each step shows a symbol of a string and asks for the next. Most are local, but the second-last repeats the second, \
              which must be remembered through a string in between.",
    sources: &[
        "Reber 1967, doi:10.1016/S0022-5371(67)80149-X",
        "Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
    ],
    options: &[
        length(
            8,
            20,
            "T, the timesteps of a sequence; strings of up to T + 1 symbols are drawn, shorter ones are padded.",
        ),
        OptionSpec {
            name: "score",
            title: "Score",
            help: "What counts: every next symbol, or the second-last symbol alone, which is pure memory.",
            kind: Kind::Choice {
                among: &[("all", "Every next symbol"), ("memory", "The remembered symbol")],
                default: "all",
            },
        },
    ],
    make: |chosen| Ok(Box::new(Reber::new(chosen)) as Box<dyn Task>),
    recipe: Some(Recipe {
        task: &[],
        model: "lstm",
        decoder: "same",
        hidden: 32,
        layers: 1,
        init: "forget-bias",
        init_options: &[],
        batch: 32,
        lr: 1e-2,
        steps: 1000,
    }),
};

const SYMBOLS: &[&str] = &["B", "T", "P", "S", "X", "V", "E"];
const B: u32 = 0;
const T: u32 = 1;
const P: u32 = 2;
const S: u32 = 3;
const X: u32 = 4;
const V: u32 = 5;
const E: u32 = 6;

/// The two edges of each state: the symbol shown, and the next state.
const EDGES: [[(u32, usize); 2]; LAST] =
    [[(T, 1), (P, 2)], [(S, 1), (X, 3)], [(T, 2), (V, 4)], [(X, 2), (S, 5)], [(P, 3), (V, 5)]];
/// The state from which only E leads on.
const LAST: usize = 5;
/// Symbols around the walk: B, T or P, the inner B before it; T or P, E after it.
const AROUND: usize = 5;

/// What the ideal predictor meets in one string.
struct Statistics {
    /// Mean number of targets.
    targets: f64,
    /// Mean sum of the entropies of the targets, in nats.
    entropy: f64,
    /// Mean number of targets of each symbol.
    counts: [f64; SYMBOLS.len()],
}

/// The exact statistics of strings whose walk shows at most `longest` symbols, its E included.
fn statistics(longest: usize) -> Statistics {
    let mut ends = vec![[0.0; LAST + 1]; longest + 1];
    for left in 1..=longest {
        let before = ends[left - 1];
        for (state, edges) in EDGES.iter().enumerate() {
            ends[left][state] = edges.iter().map(|&(_, next)| 0.5 * before[next]).sum();
        }
        ends[left][LAST] = 1.0;
    }
    // Outside the walk: T or P, the inner B, the same T or P, the outer E; of these only the first is a choice.
    let mut counts = [0.0; SYMBOLS.len()];
    for (symbol, count) in [(T, 1.0), (P, 1.0), (B, 1.0), (E, 1.0)] {
        counts[symbol as usize] += count;
    }
    let mut entropy = LN_2;
    let mut at = [0.0; LAST + 1];
    at[0] = 1.0;
    for left in (1..=longest).rev() {
        let mut next_at = [0.0; LAST + 1];
        for (state, edges) in EDGES.iter().enumerate().filter(|&(state, _)| at[state] > 0.0) {
            for &(symbol, next) in edges {
                let taken = 0.5 * ends[left - 1][next] / ends[left][state];
                if taken > 0.0 {
                    entropy -= at[state] * taken * libm::log(taken);
                    counts[symbol as usize] += at[state] * taken;
                    next_at[next] += at[state] * taken;
                }
            }
        }
        counts[E as usize] += at[LAST];
        at = next_at;
    }
    Statistics { targets: counts.iter().sum(), entropy, counts }
}

struct Reber {
    form: Form,
    memory: bool,
    statistics: Statistics,
}

impl Reber {
    fn new(chosen: &Chosen) -> Self {
        let n_steps = chosen.integer("length");
        Self {
            form: Form { ahead: true, ..Form::of_symbols(n_steps, false, names(SYMBOLS), names(SYMBOLS)) },
            memory: chosen.choice("score") == "memory",
            statistics: statistics(n_steps + 1 - AROUND),
        }
    }

    /// The lowest mean loss that any predictor reaches when everything is scored.
    fn floor(&self) -> f64 {
        self.statistics.entropy / self.statistics.targets
    }
}

/// Writes a string's symbols as inputs and returns how many there are; `None` when it does not fit into T + 1.
/// The last E is shown only where there is room.
fn write_string(rng: &mut Rng, row: usize, batch: &mut Batch) -> Option<usize> {
    let (n_steps, rows) = (batch.n_steps, batch.batch);
    let mut len = 0;
    let mut write = |symbol| {
        if len < n_steps {
            batch.symbols[len * rows + row] = symbol;
        }
        len += 1;
    };
    let remembered = if rng.below(2) == 0 { T } else { P };
    write(B);
    write(remembered);
    write(B);
    let mut state = 0;
    let mut left = n_steps + 1 - AROUND;
    while state != LAST {
        // The E of the walk must fit too.
        if left == 1 {
            return None;
        }
        let (symbol, next) = EDGES[state][rng.below(2)];
        write(symbol);
        state = next;
        left -= 1;
    }
    write(E);
    write(remembered);
    write(E);
    Some(len)
}

impl Task for Reber {
    fn form(&self) -> &Form {
        &self.form
    }

    fn sample(&self, draw: Draw, batch: &mut Batch) {
        let mut rng = Rng::at(draw.seed, draw.stream, draw.step);
        let (n_steps, rows) = (batch.n_steps, batch.batch);
        batch.clear_answers();
        for row in 0..rows {
            let len = loop {
                if let Some(len) = write_string(&mut rng, row, batch) {
                    break len;
                }
            };
            for step_idx in len.min(n_steps)..n_steps {
                batch.symbols[step_idx * rows + row] = E;
            }
            let scored = if self.memory { len - 3..len - 2 } else { 0..len - 1 };
            for step_idx in scored {
                // The target of the last scored step may be the E for which the inputs have no room.
                let next = if step_idx + 1 == len - 1 { E } else { batch.symbols[(step_idx + 1) * rows + row] };
                debug_assert_ne!(next, IGNORED);
                batch.classes[step_idx * rows + row] = next;
                batch.mask[step_idx * rows + row] = 1.0;
            }
        }
    }

    fn baseline(&self) -> Baseline {
        if self.memory {
            return Baseline { loss: LN_2, what: "guesses T or P".to_owned() };
        }
        let shares = self.statistics.counts.map(|count| count / self.statistics.targets);
        let what =
            format!("guesses by frequency (the grammar's own choices leave {})", Value::rounded(self.floor(), 1000.0));
        Baseline { loss: -shares.iter().map(|&share| share * libm::log(share)).sum::<f64>(), what }
    }

    fn solved(&self) -> Solved {
        if self.memory {
            Solved::AccuracyAtLeast(0.99)
        } else {
            // A quarter of what forgetting the second symbol costs.
            Solved::LossBelow(self.floor() + 0.25 * LN_2 / self.statistics.targets)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Value;
    use crate::tasks::tests::{batches, symbol_at, task, task_with};
    use std::collections::HashMap;

    /// The string of a row as text, read from the inputs and the last target.
    fn string(batch: &Batch, row: usize) -> String {
        let scored = (0..batch.n_steps).filter(|step_idx| batch.mask[step_idx * batch.batch + row] == 1.0).count();
        assert!((0..scored).all(|step_idx| batch.mask[step_idx * batch.batch + row] == 1.0));
        for step_idx in 0..scored - 1 {
            assert_eq!(batch.classes[step_idx * batch.batch + row], symbol_at(batch, step_idx + 1, row));
        }
        let last = batch.classes[(scored - 1) * batch.batch + row];
        assert!((scored..batch.n_steps).all(|step_idx| symbol_at(batch, step_idx, row) == E));
        let inputs = (0..scored).map(|step_idx| symbol_at(batch, step_idx, row));
        inputs.chain([last]).map(|symbol| SYMBOLS[symbol as usize]).collect()
    }

    /// Every string of at most `longest` symbols, from the written-out grammar of Hochreiter and Schmidhuber's figure,
    /// with its probability before strings that are too long are left out.
    fn language(longest: usize) -> HashMap<String, f64> {
        let mut found = HashMap::new();
        for (around, share) in [("T", 0.5), ("P", 0.5)] {
            let mut open = vec![(format!("B{around}B"), 0, share)];
            while let Some((text, state, share)) = open.pop() {
                let edges: &[(&str, i32)] = match state {
                    0 => &[("T", 1), ("P", 2)],
                    1 => &[("S", 1), ("X", 3)],
                    2 => &[("T", 2), ("V", 4)],
                    3 => &[("X", 2), ("S", 5)],
                    4 => &[("P", 3), ("V", 5)],
                    _ => &[],
                };
                if state == 5 && text.len() + 3 <= longest {
                    found.insert(format!("{text}E{around}E"), share);
                }
                for (symbol, next) in edges {
                    if text.len() + 4 <= longest {
                        open.push((format!("{text}{symbol}"), *next, share / 2.0));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn reber_strings_are_those_of_the_grammar_in_their_proportions() {
        for n_steps in [8, 9, 13] {
            let language = language(n_steps + 1);
            let kept: f64 = language.values().sum();
            let mut counts: HashMap<String, usize> = HashMap::new();
            let mut total = 0;
            for batch in batches(&*task("reber", &[("length", n_steps as f64)]), 3000) {
                for row in 0..batch.batch {
                    *counts.entry(string(&batch, row)).or_default() += 1;
                    total += 1;
                }
            }
            for text in counts.keys() {
                assert!(language.contains_key(text), "{text} is not in the language");
            }
            for (text, share) in language {
                let expected = share / kept * f64::from(total);
                let got = counts.get(&text).copied().unwrap_or(0) as f64;
                assert!((got - expected).abs() < 5.0 * libm::sqrt(expected) + 1.0, "{text}: {got} against {expected}");
            }
        }
    }

    #[test]
    fn reber_fits_long_sequences_and_repeats_the_second_symbol() {
        for n_steps in [20, 4096] {
            for batch in batches(&*task("reber", &[("length", n_steps as f64)]), 3) {
                for row in 0..batch.batch {
                    let text = string(&batch, row);
                    assert!(text.len() >= 9 && text.len() <= n_steps + 1);
                    assert_eq!(text.as_bytes()[1], text.as_bytes()[text.len() - 2]);
                }
            }
        }
    }

    #[test]
    fn reber_memory_scores_the_second_last_symbol_alone() {
        let options = [("length", Value::Number(15.0)), ("score", Value::Text("memory".to_owned()))];
        let memory = task_with("reber", &options).unwrap();
        let all = task("reber", &[("length", 15.0)]);
        for (memory, all) in batches(&*memory, 20).zip(batches(&*all, 20)) {
            assert_eq!(memory.symbols, all.symbols);
            for row in 0..all.batch {
                let text = string(&all, row);
                for step_idx in 0..15 {
                    let at = step_idx * all.batch + row;
                    let scored = step_idx + 3 == text.len();
                    assert_eq!(memory.mask[at], f32::from(u8::from(scored)));
                    assert_eq!(memory.classes[at], if scored { symbol_at(&all, 1, row) } else { IGNORED });
                }
            }
        }
    }

    #[test]
    fn reber_floor_is_the_loss_of_the_ideal_predictor() {
        for n_steps in [8, 12, 14] {
            // −Σ p ln p over whole strings is the mean sum of the entropies along them (chain rule).
            let language = language(n_steps + 1);
            let kept: f64 = language.values().sum();
            let entropy: f64 = language.values().map(|share| -share / kept * libm::log(share / kept)).sum();
            let targets: f64 = language.iter().map(|(text, share)| share / kept * (text.len() - 1) as f64).sum();
            let exact = statistics(n_steps + 1 - AROUND);
            assert!((exact.entropy - entropy).abs() < 1e-12, "{} against {entropy}", exact.entropy);
            assert!((exact.targets - targets).abs() < 1e-12, "{} against {targets}", exact.targets);
        }
    }
}
