//! Streaming: a network that reads one timestep after the other, with nothing but its states handed on.

use super::super::program::Stretch;
use super::{Session, softmax};
use crate::error::{Error, Result};
use crate::options::Value;
use crate::tasks::{Input, Target};

/// A stream under way.
#[derive(Clone, Debug)]
pub struct Streaming {
    program: Stretch,
    /// Per row, `[S, 1, H]`.
    states: Vec<Vec<f64>>,
    /// Timesteps read.
    n_read: u64,
}

/// What one timestep of a stream says.
#[derive(Clone, Debug, PartialEq)]
pub struct Streamed {
    /// Timesteps read since the stream began, this one among them.
    pub n_read: u64,
    /// `[O]`: probabilities of the classes, or values.
    pub output: Vec<f64>,
    /// Per row, h.
    pub hidden: Vec<Vec<f64>>,
    /// Numbers that are handed on to the next timestep.
    pub n_handed_on: usize,
}

impl Session {
    /// Begins a stream anew: states are zero.
    pub fn begin_stream(&mut self) {
        self.streaming = None;
    }

    /// Reads one timestep, `[I]` features or one symbol, from where the stream is, with the parameters of now. Memory and work do not
    /// depend on how much was read before.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an input in another form, and for a network that has to see the end of a sequence first.
    pub fn stream(&mut self, features: &[f32], symbols: &[u32]) -> Result<Streamed> {
        let (form, model) = (self.task.form(), &self.model);
        if model.bidirectional || model.cell.block().is_some() {
            let expected = "a recurrent network in one direction for a stream";
            let got = if model.bidirectional { "one that reads in both directions" } else { model.cell.title };
            return Err(Error::invalid("session", expected, got));
        }
        let (width, is_symbol) = match form.input {
            Input::Features(n) => (n, false),
            Input::Symbols(n) => (n, true),
        };
        let known = symbols.first().is_some_and(|&symbol| (symbol as usize) < width);
        let fits = if is_symbol { symbols.len() == 1 && known } else { features.len() == width };
        if !fits || features.iter().any(|value| !value.is_finite()) {
            let expected = match is_symbol {
                true => format!("a symbol, a whole number from 0 to {}", width - 1),
                false => format!("{width} finite features"),
            };
            let shown: Vec<_> = features.iter().map(|&value| Value::from(value).to_string()).collect();
            let got = symbols.first().map_or_else(|| format!("[{}]", shown.join(", ")), u32::to_string);
            return Err(Error::invalid("x", expected, got));
        }
        let (states, hidden) = (model.cell.states, model.hidden);
        let is_class = matches!(form.target, Target::Class(_));
        let mut streaming = match self.streaming.take() {
            Some(streaming) => streaming,
            None => {
                let program = self.blueprint(1, 1).compile_stretch();
                self.engine.reserve(&program.plan);
                let states = program.rows.iter().map(|_| vec![0.0; states * hidden]).collect();
                Streaming { program, states, n_read: 0 }
            }
        };
        self.run_stretch_of(&streaming.program, features, symbols, &streaming.states);
        let engine = &self.engine;
        for (row, kept) in streaming.program.rows.iter().zip(&mut streaming.states) {
            kept.clear();
            (0..states).for_each(|index| kept.extend(engine.read_f64(row.state(index))));
        }
        streaming.n_read += 1;
        let mut output = engine.read_f64(streaming.program.output);
        if is_class {
            softmax(&mut output);
        }
        let streamed = Streamed {
            n_read: streaming.n_read,
            output,
            hidden: streaming.states.iter().map(|states| states[..hidden].to_vec()).collect(),
            n_handed_on: streaming.states.iter().map(Vec::len).sum(),
        };
        self.streaming = Some(streaming);
        Ok(streamed)
    }
}
