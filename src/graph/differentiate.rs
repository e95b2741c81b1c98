//! Reverse mode: the backward calls of a graph, by walking its calls from the last to the first.

use super::{Graph, Mark, Place};
use crate::kernels::{Access, Call, Tape, bias, copy, fill};
use crate::shape::{Shape, Tensor};

struct Recorder<'a> {
    graph: &'a mut Graph,
    /// Per buffer: the tensor that holds its adjoint, once something has contributed.
    adjoints: Vec<Option<Tensor>>,
    /// Per buffer: whether anybody needs its adjoint.
    needed: Vec<bool>,
}

impl Graph {
    /// Appends the backward calls of all calls recorded so far. Loss calls start it, each with ∂L/∂L = 1.
    ///
    /// Returns, for each buffer asked for with [`Graph::want`], its adjoint, pinned; `None` where the loss does not depend on it.
    pub fn differentiate(&mut self) -> Vec<Option<Tensor>> {
        let mut needed: Vec<bool> = self.buffers.iter().map(|buffer| buffer.gradient.is_some()).collect();
        for &buffer in &self.wanted {
            needed[buffer as usize] = true;
        }
        for call in self.calls() {
            let operands = || call.entry.operands.iter().zip(&call.operands).filter_map(|(s, t)| t.map(|t| (s, t)));
            if operands().any(|(spec, tensor)| spec.access != Access::Write && needed[tensor.buffer as usize]) {
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
        for call in calls.iter().rev() {
            let rule = call.entry.gradient.unwrap_or_else(|| panic!("{}: first order only", call.entry.label));
            rule(&mut tape, call);
        }
        let Recorder { adjoints, .. } = tape;
        // A parameter that no call reads has gradient 0.
        for (buffer, gradient) in untouched {
            let shape = self.buffers[buffer].shape;
            let tensor = self.persistent("d_unused", &shape.extents(), gradient);
            self.record(fill::forward(tensor, 0.0));
        }
        let wanted = self.wanted.clone();
        wanted
            .iter()
            .map(|&buffer| {
                let adjoint = adjoints[buffer as usize];
                if let Some(adjoint) = adjoint {
                    self.pin(adjoint);
                }
                adjoint
            })
            .collect()
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

    /// The part of `whole`, laid out like the buffer of `view`, that corresponds to `view`.
    fn part(&self, whole: Tensor, view: Tensor) -> Tensor {
        let columns = self.graph.buffers[view.buffer as usize].shape.columns() as u32;
        let (row, column) = (view.offset / columns, view.offset % columns);
        Tensor {
            buffer: whole.buffer,
            offset: whole.offset + row * whole.stride + column,
            shape: view.shape,
            stride: view.stride / columns * whole.stride,
        }
    }

    /// Where an earlier call has put the sum over rows that `call` asks for, if neither its source nor its result has been written
    /// since.
    fn summed(&self, call: &Call) -> Option<Tensor> {
        let writes = |c: &Call, buffer: u32| {
            let mut operands = c.entry.operands.iter().zip(&c.operands);
            operands.any(|(spec, t)| spec.access != Access::Read && t.is_some_and(|t| t.buffer == buffer))
        };
        let calls: Vec<&Call> = self.graph.calls().collect();
        let source = call.tensor(0).buffer;
        let earlier = calls.iter().rposition(|c| bias::is_fresh_sum(c) && c.operands[0] == call.operands[0])?;
        let result = calls[earlier].tensor(1);
        let untouched = calls[earlier + 1..].iter().all(|c| !writes(c, source) && !writes(c, result.buffer));
        untouched.then_some(result)
    }
}

impl Tape for Recorder<'_> {
    fn record(&mut self, call: Call) {
        // The two biases of an Elman or LSTM layer have one gradient.
        let call = match bias::is_fresh_sum(&call).then(|| self.summed(&call)).flatten() {
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
        self.adjoints[of.buffer as usize].map(|whole| self.part(whole, of))
    }

    fn contribute(&mut self, to: Tensor) -> Option<(Tensor, bool)> {
        let at = to.buffer as usize;
        if !self.needed[at] {
            return None;
        }
        if let Some(whole) = self.adjoints[at] {
            return Some((self.part(whole, to), true));
        }
        let buffer = self.graph.buffers[at].clone();
        let name = format!("d_{}", buffer.name);
        let whole = match buffer.gradient {
            Some(offset) => {
                self.adjoints.push(None);
                self.needed.push(false);
                self.graph.persistent(&name, &buffer.shape.extents(), offset)
            }
            None => self.temporary(&name, buffer.shape),
        };
        self.adjoints[at] = Some(whole);
        let partial = !self.covers(to);
        if partial {
            self.record(fill::forward(whole, 0.0));
        }
        Some((self.part(whole, to), partial))
    }

    fn provide(&mut self, of: Tensor, adjoint: Tensor) {
        let at = of.buffer as usize;
        if !self.needed[at] {
            return;
        }
        if self.adjoints[at].is_none() && self.covers(of) && self.graph.buffers[at].gradient.is_none() {
            self.adjoints[at] = Some(adjoint);
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
