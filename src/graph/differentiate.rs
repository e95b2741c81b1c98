//! Reverse mode: the backward calls of a graph, by walking its calls from the last to the first.

use super::{Buffer, Graph, Mark, Place};
use crate::kernels::{Access, Call, Tape, copy, fill, row_sum};
use crate::shape::{Shape, Tensor};

struct Recorder<'a> {
    graph: &'a mut Graph,
    /// Per buffer: what holds its adjoint, once something has contributed.
    adjoints: Vec<Option<Adjoint>>,
    /// Per buffer: whether anybody needs its adjoint.
    needed: Vec<bool>,
}

/// The adjoint of a buffer, from an outermost row on; before it, it is 0 and not stored.
#[derive(Clone, Copy)]
struct Adjoint {
    tensor: Tensor,
    /// Outermost rows that are not stored.
    silent: usize,
}

impl Graph {
    /// Appends the backward calls of all calls recorded so far. Loss calls start it, each with ∂L/∂L = 1, and so
    /// does [`Graph::seed`].
    ///
    /// Returns, for each buffer asked for with [`Graph::want`], its adjoint, pinned; `None` where the loss does not depend on it.
    pub fn differentiate(&mut self) -> Vec<Option<Tensor>> {
        let mut needed: Vec<bool> = self.buffers.iter().map(|buffer| buffer.gradient.is_some()).collect();
        for &buffer in &self.wanted {
            needed[buffer as usize] = true;
        }
        for call in self.calls() {
            let operands = || call.entry.operands.iter().zip(&call.operands).filter_map(|(s, t)| t.map(|t| (s, t)));
            // Who keeps the total adjoint of a state needs those of all that its call writes.
            let is_asked = |tensor: Tensor| self.totals.iter().any(|(of, _)| of.buffer == tensor.buffer);
            if operands().any(|(spec, tensor)| spec.access != Access::Write && needed[tensor.buffer as usize])
                || call.written().any(is_asked)
            {
                for (_, tensor) in operands().filter(|(spec, _)| spec.access != Access::Read) {
                    needed[tensor.buffer as usize] = true;
                }
            }
        }
        let calls: Vec<Call> = self.calls().cloned().collect();
        let untouched = self.untouched_parameters(&calls);
        self.mark(Mark::Backward);
        let adjoints = vec![None; self.buffers.len()];
        let mut tape = Recorder { graph: self, adjoints, needed };
        for (of, adjoint) in tape.graph.seeds.clone() {
            tape.provide(of, adjoint);
        }
        for call in calls.iter().rev() {
            let rule = call.entry.gradient.unwrap_or_else(|| panic!("{}: first order only", call.entry.label));
            rule(&mut tape, call);
        }
        let wanted: Vec<_> = tape.graph.wanted.iter().map(|&buffer| tape.graph.whole(buffer)).collect();
        let wanted: Vec<_> = wanted.into_iter().map(|whole| tape.adjoint(whole)).collect();
        // A parameter that no call reads has gradient 0.
        for (buffer, gradient) in untouched {
            let shape = self.buffers[buffer].shape;
            let tensor = self.persistent("d_unused", &shape.extents(), gradient);
            self.record(fill::forward(tensor, 0.0));
        }
        wanted.iter().flatten().for_each(|&adjoint| self.pin(adjoint));
        self.gradients_last(calls.len());
        wanted
    }

    /// Moves the calls that only write gradients of parameters behind all other backward calls, which begin at `start`, in their order:
    /// side by side, an engine can run them at once. One whose operands are written in between stays where it is.
    fn gradients_last(&mut self, start: usize) {
        let lasts = |tensor: &Tensor| matches!(self.buffers[tensor.buffer as usize].place, Place::Persistent(_));
        let mut others: Vec<(Mark, Call)> = Vec::new();
        let mut gradients = Vec::new();
        for (mark, call) in self.calls.split_off(start).into_iter().rev() {
            let touches = |tensor: Tensor| {
                others.iter().any(|(_, other)| other.written().any(|written| written.buffer == tensor.buffer))
            };
            let is_free =
                call.written().all(|tensor| lasts(&tensor)) && !call.operands.iter().flatten().any(|&t| touches(t));
            if is_free { gradients.push((mark, call)) } else { others.push((mark, call)) }
        }
        self.calls.extend(others.into_iter().rev());
        self.calls.extend(gradients.into_iter().rev());
    }

    fn untouched_parameters(&self, calls: &[Call]) -> Vec<(usize, usize)> {
        let read =
            |buffer: usize| calls.iter().any(|c| c.operands.iter().flatten().any(|t| t.buffer as usize == buffer));
        let parameters =
            self.buffers.iter().enumerate().filter_map(|(at, b)| b.gradient.map(|gradient| (at, gradient)));
        parameters.filter(|&(at, _)| !read(at)).collect()
    }
}

impl Recorder<'_> {
    fn covers(&self, view: Tensor) -> bool {
        view.shape.len() == self.graph.buffers[view.buffer as usize].shape.len()
    }

    /// Elements of an outermost row of a buffer.
    fn row_len(&self, buffer: u32) -> usize {
        let shape = self.graph.buffers[buffer as usize].shape;
        shape.len() / shape.extents().first().copied().unwrap_or(1)
    }

    /// The part of an adjoint that corresponds to `view`, which lies in the rows that are stored.
    fn part(&self, adjoint: Adjoint, view: Tensor) -> Tensor {
        let columns = self.graph.buffers[view.buffer as usize].shape.columns() as u32;
        let from = view.offset - (adjoint.silent * self.row_len(view.buffer)) as u32;
        let (row, column) = (from / columns, from % columns);
        // Rows of another length than the buffer's are possible where nothing lies between them.
        let dense = adjoint.tensor.stride == columns;
        Tensor {
            buffer: adjoint.tensor.buffer,
            offset: adjoint.tensor.offset + row * adjoint.tensor.stride + column,
            shape: view.shape,
            stride: if dense { view.stride } else { view.stride / columns * adjoint.tensor.stride },
        }
    }

    /// The outermost rows before a view, if it is all that follows them.
    fn rows_before(&self, view: Tensor) -> Option<usize> {
        let shape = self.graph.buffers[view.buffer as usize].shape;
        let (start, row) = (view.offset as usize, self.row_len(view.buffer));
        let dense = view.span() == view.shape.len() && view.stride as usize == shape.columns();
        (dense && start.is_multiple_of(row) && start + view.span() == shape.len()).then(|| start / row)
    }

    /// Stores all rows of an adjoint.
    fn complete(&mut self, buffer: u32) -> Adjoint {
        let adjoint = self.adjoints[buffer as usize].expect("something has contributed");
        if adjoint.silent == 0 {
            return adjoint;
        }
        let Buffer { name, shape, .. } = self.graph.buffers[buffer as usize].clone();
        let tensor = self.temporary(&format!("d_{name}"), shape);
        let rows = shape.extent(0) - adjoint.silent;
        self.record(fill::forward(tensor.outer(0, adjoint.silent), 0.0));
        self.record(copy::forward(adjoint.tensor, tensor.outer(adjoint.silent, rows), false));
        let complete = Adjoint { tensor, silent: 0 };
        self.adjoints[buffer as usize] = Some(complete);
        complete
    }

    /// Where an earlier call has put the sum over rows that `call` asks for, if neither its source nor its result has been written
    /// since.
    fn summed(&self, call: &Call) -> Option<Tensor> {
        let writes = |c: &Call, buffer: u32| c.written().any(|t| t.buffer == buffer);
        let calls: Vec<&Call> = self.graph.calls().collect();
        let source = call.tensor(0).buffer;
        let earlier = calls.iter().rposition(|c| row_sum::is_fresh(c) && c.operands[0] == call.operands[0])?;
        let result = calls[earlier].tensor(1);
        let untouched = calls[earlier + 1..].iter().all(|c| !writes(c, source) && !writes(c, result.buffer));
        untouched.then_some(result)
    }
}

impl Tape for Recorder<'_> {
    fn record(&mut self, call: Call) {
        // The two biases of an Elman or LSTM layer have one gradient.
        let call = match row_sum::is_fresh(&call).then(|| self.summed(&call)).flatten() {
            Some(sum) => copy::forward(sum, call.tensor(1), false),
            None => call,
        };
        self.graph.record(call);
    }

    fn temporary(&mut self, name: &str, shape: Shape) -> Tensor {
        self.adjoints.push(None);
        self.needed.push(false);
        self.graph.buffer(name, shape, Place::Arena, false)
    }

    fn adjoint(&mut self, of: Tensor) -> Option<Tensor> {
        let adjoint = self.adjoints[of.buffer as usize]?;
        let stored = adjoint.silent * self.row_len(of.buffer);
        let (start, end) = (of.offset as usize, of.offset as usize + of.span());
        match (start >= stored, end <= stored) {
            (true, _) => Some(self.part(adjoint, of)),
            (_, true) => None,
            _ => {
                let adjoint = self.complete(of.buffer);
                Some(self.part(adjoint, of))
            }
        }
    }

    fn tail(&mut self, of: Tensor) -> Option<(Tensor, usize)> {
        let silent = self.adjoints[of.buffer as usize]?.silent;
        let rows = of.shape.extent(0);
        if rows != self.graph.buffers[of.buffer as usize].shape.extent(0) {
            return Some((self.adjoint(of)?, 0));
        }
        Some((self.adjoint(of.outer(silent, rows - silent))?, silent))
    }

    fn contribute(&mut self, to: Tensor) -> Option<(Tensor, bool)> {
        let at = to.buffer as usize;
        if !self.needed[at] {
            return None;
        }
        if let Some(adjoint) = self.adjoints[at] {
            let stored = adjoint.silent * self.row_len(to.buffer);
            let adjoint = if (to.offset as usize) < stored { self.complete(to.buffer) } else { adjoint };
            return Some((self.part(adjoint, to), true));
        }
        let Buffer { name, shape, gradient, .. } = self.graph.buffers[at].clone();
        let name = format!("d_{name}");
        let before = self.rows_before(to).filter(|_| gradient.is_none() && shape.rank() > 1);
        let mut extents = shape.extents();
        if let Some(silent) = before {
            extents[0] -= silent;
        }
        let tensor = match gradient {
            Some(offset) => {
                self.adjoints.push(None);
                self.needed.push(false);
                self.graph.persistent(&name, &extents, offset)
            }
            None => self.temporary(&name, Shape::new(&extents)),
        };
        let adjoint = Adjoint { tensor, silent: before.unwrap_or(0) };
        self.adjoints[at] = Some(adjoint);
        let partial = before.is_none() && !self.covers(to);
        if partial {
            self.record(fill::forward(tensor, 0.0));
        }
        Some((self.part(adjoint, to), partial))
    }

    fn provide(&mut self, of: Tensor, adjoint: Tensor) {
        let at = of.buffer as usize;
        if !self.needed[at] {
            return;
        }
        if self.adjoints[at].is_none() && self.covers(of) && self.graph.buffers[at].gradient.is_none() {
            self.adjoints[at] = Some(Adjoint { tensor: adjoint, silent: 0 });
        } else if let Some((to, accumulate)) = self.contribute(of) {
            self.record(copy::forward(adjoint, to, accumulate));
        }
    }

    fn wants(&self, of: Tensor) -> bool {
        self.needed[of.buffer as usize]
    }

    fn totals(&mut self, of: Tensor) -> Option<Tensor> {
        self.graph.totals.iter().find(|(y, _)| *y == of).map(|&(_, totals)| totals)
    }
}
