//! Graphs: kernel calls in order, their adjoints, and the plan of their memory.
//!
//! Floor 2. [`Graph`] records calls; [`Graph::differentiate`] appends the backward calls, each kernel's own gradient rule, so that
//! the gradient of a graph is again a graph; [`Graph::plan`] gives every tensor its place. Shapes are known from the start,
//! and a planned list runs without allocating. Knows no engine.

mod differentiate;
mod plan;

pub use plan::{ARENA, INDEX, PERSISTENT, Plan};

use crate::kernels::{Access, Call};
use crate::shape::{Shape, Tensor};

/// The part of a training step that a call belongs to; a plan can stop after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// From the inputs to the outputs.
    Forward,
    /// The loss.
    Loss,
    /// From the loss to the gradient.
    Backward,
    /// The norm of the gradient and its clip coefficient.
    Clip,
    /// The optimiser.
    Update,
}

/// Where a buffer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the segment that outlives a run, at an offset.
    Persistent(usize),
    /// In the arena; the plan decides where.
    Arena,
    /// Among the indices.
    Index,
}

#[derive(Clone, Debug)]
struct Buffer {
    name: String,
    shape: Shape,
    place: Place,
    /// Keeps its place during the whole run: slots that are written before it or read after it.
    pinned: bool,
    /// Offset of its gradient in the persistent segment.
    gradient: Option<usize>,
}

/// Calls and the buffers that they work on.
#[derive(Clone, Debug)]
pub struct Graph {
    buffers: Vec<Buffer>,
    calls: Vec<(Mark, Call)>,
    mark: Mark,
    totals: Vec<(Tensor, Tensor)>,
    wanted: Vec<u32>,
    seeds: Vec<(Tensor, Tensor)>,
}

impl Default for Graph {
    fn default() -> Self {
        Self {
            buffers: Vec::new(),
            calls: Vec::new(),
            mark: Mark::Forward,
            totals: Vec::new(),
            wanted: Vec::new(),
            seeds: Vec::new(),
        }
    }
}

impl Graph {
    /// An empty graph that records forward calls.
    pub fn new() -> Self {
        Self::default()
    }

    fn buffer(&mut self, name: &str, shape: Shape, place: Place, pinned: bool) -> Tensor {
        self.buffers.push(Buffer { name: name.to_owned(), shape, place, pinned, gradient: None });
        Tensor::whole(self.buffers.len() as u32 - 1, shape)
    }

    /// All of a buffer.
    pub fn whole(&self, buffer: u32) -> Tensor {
        Tensor::whole(buffer, self.buffers[buffer as usize].shape)
    }

    /// Memory between two calls.
    pub fn activation(&mut self, name: &str, shape: &[usize]) -> Tensor {
        self.buffer(name, Shape::new(shape), Place::Arena, false)
    }

    /// Memory that is written before a run or read after it.
    pub fn slot(&mut self, name: &str, shape: &[usize]) -> Tensor {
        self.buffer(name, Shape::new(shape), Place::Arena, true)
    }

    /// Symbols or classes, written before a run.
    pub fn index_slot(&mut self, name: &str, shape: &[usize]) -> Tensor {
        self.buffer(name, Shape::new(shape), Place::Index, true)
    }

    /// Memory that outlives a run.
    pub fn persistent(&mut self, name: &str, shape: &[usize], offset: usize) -> Tensor {
        self.buffer(name, Shape::new(shape), Place::Persistent(offset), true)
    }

    /// Memory that outlives a run and whose gradient is wanted, at another offset of the persistent segment.
    pub fn parameter(&mut self, name: &str, shape: &[usize], offset: usize, gradient: usize) -> Tensor {
        let tensor = self.persistent(name, shape, offset);
        self.buffers[tensor.buffer as usize].gradient = Some(gradient);
        tensor
    }

    /// Keeps a buffer's place during the whole run, so that it can be read afterwards.
    pub fn pin(&mut self, tensor: Tensor) {
        self.buffers[tensor.buffer as usize].pinned = true;
    }

    /// Asks for the adjoint of an input. Call before [`Graph::differentiate`], which returns nothing for it unless the loss
    /// depends on it.
    pub fn want(&mut self, tensor: Tensor) {
        self.wanted.push(tensor.buffer);
    }

    /// Says that `adjoint` holds the adjoint of `of` from outside: the backward pass starts there, without a loss.
    pub fn seed(&mut self, of: Tensor, adjoint: Tensor) {
        self.seeds.push((of, adjoint));
    }

    /// Asks the backward kernel of the recurrence that writes `y` to keep the total adjoints of its states in `totals`.
    pub fn keep_totals(&mut self, y: Tensor, totals: Tensor) {
        self.totals.push((y, totals));
    }

    /// Calls recorded from now on belong to `mark`.
    pub fn mark(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// Appends a call.
    pub fn record(&mut self, call: Call) {
        self.calls.push((self.mark, call));
    }

    /// Length of the longest chain of calls of which each waits for what the one before wrote, each call as long as `length` says. Calls
    /// that write beside each other into one buffer count as a chain, for a program does not say which parts another leaves alone.
    pub fn depth(&self, length: impl Fn(&Call) -> usize) -> usize {
        let mut ends = vec![0; self.buffers.len()];
        for call in self.calls() {
            let operands = call.entry.operands.iter().zip(&call.operands);
            let of = |skipped: Access| {
                let kept = operands.clone().filter(move |(spec, _)| spec.access != skipped);
                kept.filter_map(|(_, tensor)| tensor.map(|tensor| tensor.buffer as usize))
            };
            let start = of(Access::Write).map(|buffer| ends[buffer]).max().unwrap_or(0);
            let end = start + length(call);
            of(Access::Read).for_each(|buffer| ends[buffer] = end.max(ends[buffer]));
        }
        ends.into_iter().max().unwrap_or(0)
    }

    /// The calls so far.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().map(|(_, call)| call)
    }
}
