//! The plan: calls with their places in memory, in the order in which they run.

use super::{Graph, Mark, Place};
use crate::kernels::{Access, Call};
use crate::order;
use crate::shape::Tensor;
use std::ops::Range;

/// The segment of parameters, gradients, optimiser moments, carried states and hyperparameters.
pub const PERSISTENT: u32 = 0;
/// The segment of everything between two calls, and of the slots of one plan.
pub const ARENA: u32 = 1;
/// The segment of symbols and classes.
pub const INDEX: u32 = 2;

/// Every buffer starts at a multiple of this many elements: 256 bytes, the alignment of a WebGPU binding.
const ALIGNMENT: usize = 64;

/// A graph with every tensor in its place: the `buffer` of a planned tensor is its segment, the `offset` counts from the
/// segment's start.
#[derive(Clone, Debug)]
pub struct Plan {
    calls: Vec<Call>,
    marks: Vec<Mark>,
    places: Vec<(u32, u32)>,
    names: Vec<Vec<String>>,
    /// Elements of the arena.
    pub arena_len: usize,
    /// Elements of the index segment.
    pub index_len: usize,
    /// Elements of scratch memory: the most that any call needs.
    pub scratch_len: usize,
    /// Elements of the persistent segment that the plan touches.
    pub persistent_len: usize,
}

/// Rounds up to the alignment.
pub fn aligned(len: usize) -> usize {
    len.next_multiple_of(ALIGNMENT)
}

impl Graph {
    /// Gives every tensor its place. Buffers whose lives do not overlap share memory.
    pub fn plan(&self) -> Plan {
        let n = self.buffers.len();
        let mut lives: Vec<Option<Range<usize>>> = vec![None; n];
        for (index, call) in self.calls().enumerate() {
            for tensor in call.operands.iter().flatten() {
                let life = lives[tensor.buffer as usize].get_or_insert(index..index + 1);
                life.end = index + 1;
            }
        }
        let mut places = vec![(ARENA, 0); n];
        let (mut index_len, mut persistent_len) = (0, 0);
        let mut queue = Vec::new();
        for (at, buffer) in self.buffers.iter().enumerate() {
            match buffer.place {
                Place::Persistent(offset) => {
                    places[at] = (PERSISTENT, offset as u32);
                    persistent_len = persistent_len.max(offset + buffer.shape.len());
                }
                Place::Index => {
                    places[at] = (INDEX, index_len as u32);
                    index_len += aligned(buffer.shape.len());
                }
                Place::Arena => {
                    if buffer.pinned {
                        lives[at] = Some(0..usize::MAX);
                    }
                    if lives[at].is_some() {
                        queue.push((u64::from(u32::MAX) - self.buffers[at].shape.len() as u64) << 32 | at as u64);
                    }
                }
            }
        }
        // Largest first, each at the lowest offset that is free during its life.
        order::words(&mut queue);
        let mut placed: Vec<(usize, usize, Range<usize>)> = Vec::new();
        let mut arena_len = 0;
        for word in queue {
            let at = word as u32 as usize;
            let (len, life) = (aligned(self.buffers[at].shape.len()), lives[at].clone().expect("has a life"));
            let mut taken: Vec<u64> = placed
                .iter()
                .filter(|(.., other)| other.start < life.end && life.start < other.end)
                .map(|&(start, end, _)| (start as u64) << 32 | end as u64)
                .collect();
            order::words(&mut taken);
            let mut offset = 0;
            for word in taken {
                let (start, end) = ((word >> 32) as usize, word as u32 as usize);
                if start >= offset + len {
                    break;
                }
                offset = offset.max(end);
            }
            places[at] = (ARENA, offset as u32);
            placed.push((offset, offset + len, life));
            arena_len = arena_len.max(offset + len);
        }
        let mut plan = Plan {
            calls: Vec::new(),
            marks: self.calls.iter().map(|(mark, _)| *mark).collect(),
            places,
            names: Vec::new(),
            arena_len,
            index_len,
            scratch_len: self.calls().map(|call| (call.entry.scratch)(call)).max().unwrap_or(0),
            persistent_len,
        };
        for call in self.calls() {
            let name = |tensor: &Option<Tensor>| {
                tensor.map_or(String::new(), |tensor| self.buffers[tensor.buffer as usize].name.clone())
            };
            plan.names.push(call.operands.iter().map(name).collect());
            let operands = call.operands.iter().map(|tensor| tensor.map(|tensor| plan.place(tensor))).collect();
            let call = Call { operands, ..call.clone() };
            check_disjoint(&call);
            plan.calls.push(call);
        }
        plan
    }
}

/// What a call writes may not overlap anything else that it touches: engines rely on it.
fn check_disjoint(call: &Call) {
    for (at, (spec, written)) in call.entry.operands.iter().zip(&call.operands).enumerate() {
        let Some(written) = written.filter(|_| spec.access != Access::Read) else { continue };
        for (other_at, other) in call.operands.iter().enumerate() {
            let Some(other) = other.filter(|other| other_at != at && other.buffer == written.buffer) else { continue };
            let (a, b) = (written.offset as usize, other.offset as usize);
            let apart = a + written.span() <= b || b + other.span() <= a;
            let other_name = call.entry.operands[other_at].name;
            assert!(apart, "{}: {} overlaps {other_name}", call.entry.label, spec.name);
        }
    }
}

impl Plan {
    /// The place of a graph's tensor.
    pub fn place(&self, tensor: Tensor) -> Tensor {
        let (segment, start) = self.places[tensor.buffer as usize];
        Tensor { buffer: segment, offset: start + tensor.offset, ..tensor }
    }

    /// The calls, in order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The name of an operand's buffer.
    pub fn name(&self, call: usize, operand: usize) -> &str {
        &self.names[call][operand]
    }

    /// The mark of a call.
    pub fn mark(&self, call: usize) -> Mark {
        self.marks[call]
    }

    /// The calls from the first of one mark to the last of another.
    pub fn range(&self, from: Mark, to: Mark) -> Range<usize> {
        let start = self.marks.partition_point(|&mark| mark < from);
        let end = self.marks.partition_point(|&mark| mark <= to);
        start..end
    }

    /// The same plan with every time loop in parts of at most `steps` timesteps.
    pub fn in_parts(&self, steps: u32) -> Self {
        let mut plan = Self { calls: Vec::new(), marks: Vec::new(), names: Vec::new(), ..self.clone() };
        for (at, call) in self.calls.iter().enumerate() {
            let parts = call.entry.parts.map_or_else(|| vec![call.clone()], |parts| parts(call, steps));
            plan.marks.extend(parts.iter().map(|_| self.marks[at]));
            plan.names.extend(parts.iter().map(|_| self.names[at].clone()));
            plan.calls.extend(parts);
        }
        plan
    }

    /// Bytes of memory in f32, without the persistent segment.
    pub fn bytes(&self) -> usize {
        (self.arena_len + self.index_len + self.scratch_len) * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::copy;

    #[test]
    fn buffers_share_memory_only_when_their_lives_do_not_overlap() {
        let mut graph = Graph::new();
        let input = graph.slot("input", &[100]);
        let mut last = input;
        for name in ["a", "b", "c", "d"] {
            let next = graph.activation(name, &[100]);
            graph.record(copy::forward(last, next, false));
            last = next;
        }
        let output = graph.slot("output", &[100]);
        graph.record(copy::forward(last, output, false));
        let plan = graph.plan();
        // Two slots that stay, and two places that the four buffers take in turns.
        assert_eq!(plan.arena_len, 4 * aligned(100));
        assert_ne!(plan.place(input).offset, plan.place(output).offset);
    }
}
