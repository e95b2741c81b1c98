//! Streaming: a network that reads one timestep after the other, with nothing handed on but what it carries: the states of a recurrence, a
//! scan or a retention, the latest inputs of a convolution, or the keys and values of all timesteps before.

use super::super::program::Stretch;
use super::{Session, softmax};
use crate::error::{Error, Result};
use crate::options::Value;
use crate::tasks::{Input, Target};

/// A stream under way.
#[derive(Clone, Debug, Default)]
pub struct Streaming {
    /// The program of its last timestep.
    program: Option<Stretch>,
    /// What the next timestep gets, in the order of [`Stretch::handed_on`].
    handed_on: Vec<Vec<f64>>,
    /// Timesteps read.
    n_read: usize,
}

impl Streaming {
    fn n_handed_on(&self) -> usize {
        self.handed_on.iter().map(Vec::len).sum()
    }
}

/// What one timestep of a stream says.
#[derive(Clone, Debug, PartialEq)]
pub struct Streamed {
    /// Timesteps read since the stream began, this one among them.
    pub n_read: u64,
    /// `[O]`: probabilities of the classes, or values.
    pub output: Vec<f64>,
    /// Per row, h, or the stream behind the block.
    pub hidden: Vec<Vec<f64>>,
    /// Numbers that are handed on to the next timestep. They grow where keys and values are among them.
    pub n_handed_on: usize,
    /// The most timesteps that the stream can read, where it has an end.
    pub longest: Option<usize>,
}

impl Session {
    /// Begins a stream anew: what was handed on is forgotten.
    pub fn begin_stream(&mut self) {
        self.streaming = None;
    }

    /// Reads one timestep, `[I]` features or one symbol, from where the stream is, with the parameters of now. Memory and work do not
    /// depend on how much was read before, but for a network of attention: both grow with every timestep until it has read its context.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an input in another form, for a network that has to see the end of a sequence first, and where the context is
    /// full; then the stream stays as it was.
    pub fn stream(&mut self, features: &[f32], symbols: &[u32]) -> Result<Streamed> {
        let (form, model) = (self.task.form(), &self.model);
        if !model.streams() {
            let expected = "one network in one direction for a stream";
            let got =
                if model.bidirectional { "one that reads in both directions" } else { "an encoder with a decoder" };
            return Err(Error::invalid("session", expected, got));
        }
        let n_read = self.streaming.as_ref().map_or(0, |streaming| streaming.n_read);
        if let Some([_, expected, got]) = model.misfit_of(n_read + 1) {
            return Err(Error::invalid("stream", expected, got));
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
        let is_class = matches!(form.target, Target::Class(_));
        let mut streaming = self.streaming.take().unwrap_or_default();
        let program = self.read_on(&mut streaming, features, symbols, 1);
        let mut output = self.engine.read_f64(program.output);
        if is_class {
            softmax(&mut output);
        }
        let streamed = Streamed {
            n_read: streaming.n_read as u64,
            output,
            hidden: program.rows.iter().map(|row| self.engine.read_f64(row.y)).collect(),
            n_handed_on: streaming.n_handed_on(),
            longest: self.model.longest(),
        };
        streaming.program = Some(program);
        self.streaming = Some(streaming);
        Ok(streamed)
    }

    /// Reads the next `n` timesteps of a stream, all at once; the slots of the program can be read until the next run.
    fn read_on(&mut self, stream: &mut Streaming, features: &[f32], symbols: &[u32], n: usize) -> Stretch {
        // A cache that has grown, or a last chunk, needs a program of its size.
        let fits = |program: &Stretch| {
            let mut pairs = program.handed_on.iter().zip(&stream.handed_on);
            program.output.shape.rows() == n && pairs.all(|((before, _), values)| before.shape.len() == values.len())
        };
        let program = stream.program.take().filter(fits).unwrap_or_else(|| {
            let program = self.blueprint(n, 1).compile_stretch(Some(stream.n_read));
            self.engine.reserve(&program.plan);
            program
        });
        stream.handed_on.resize_with(program.handed_on.len(), Vec::new);
        for ((before, _), values) in program.handed_on.iter().zip(&mut stream.handed_on) {
            values.resize(before.shape.len(), 0.0);
            self.engine.write_f64(*before, values);
        }
        self.run_stretch_of(&program, features, symbols, &[]);
        for ((_, after), values) in program.handed_on.iter().zip(&mut stream.handed_on) {
            *values = self.engine.read_f64(*after);
        }
        stream.n_read += n;
        program
    }

    /// The outputs, logits or values `[T, O]`, of one sequence that is read in chunks of at most `chunk` timesteps, each from what
    /// the chunk before has handed on, and how many numbers the last one hands on. One chunk of all T is the parallel form, chunks
    /// of one timestep are the recurrent form. A stream under way stays as it was.
    ///
    /// # Panics
    /// For a network that has to see the end of a sequence first ([`crate::nn::Model::streams`]).
    pub fn in_chunks(&mut self, features: &[f32], symbols: &[u32], chunk: usize) -> (Vec<f64>, usize) {
        assert!(self.model.streams(), "it has to see the end of the sequence first");
        let (mut stream, mut outputs) = (Streaming::default(), Vec::new());
        let width = self.task.form().input.size();
        // One of the two is empty.
        let n_steps = symbols.len() + features.len() / width;
        while stream.n_read < n_steps {
            let (first, end) = (stream.n_read, n_steps.min(stream.n_read + chunk));
            let features = features.get(first * width..end * width).unwrap_or_default();
            let symbols = symbols.get(first..end).unwrap_or_default();
            let program = self.read_on(&mut stream, features, symbols, end - first);
            outputs.extend(self.engine.read_f64(program.output));
            stream.program = Some(program);
        }
        (outputs, stream.n_handed_on())
    }
}
