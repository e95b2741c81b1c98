//! Memory that plans run on: the CPU engines.
//!
//! The only place with unsafe code beside the matrix tile: it hands out the operands of a call as slices of one allocation.

use super::NonFinite;
use crate::graph::{ARENA, INDEX, PERSISTENT, Plan};
use crate::kernels::{Access, Arguments, Element, Entry, Real, Slot};
use crate::shape::Tensor;
use std::ops::Range;

/// The segments of a plan, and scratch memory.
#[derive(Clone, Debug)]
pub struct Memory<F> {
    persistent: Vec<F>,
    arena: Vec<F>,
    index: Vec<u32>,
    scratch: Vec<F>,
}

fn grow<T: Clone>(segment: &mut Vec<T>, len: usize, value: T) {
    if segment.len() < len {
        segment.resize(len, value);
    }
}

impl<F: Real> Memory<F> {
    /// Zeros.
    pub fn new(persistent_len: usize) -> Self {
        Self { persistent: vec![F::ZERO; persistent_len], arena: Vec::new(), index: Vec::new(), scratch: Vec::new() }
    }

    /// Grows to what a plan needs.
    pub fn reserve(&mut self, plan: &Plan) {
        assert!(plan.persistent_len <= self.persistent.len(), "a plan fits into the persistent segment");
        grow(&mut self.arena, plan.arena_len, F::ZERO);
        grow(&mut self.index, plan.index_len, 0);
        grow(&mut self.scratch, plan.scratch_len, F::ZERO);
    }

    /// The bytes of a segment.
    pub fn bytes(&self, segment: u32) -> &[u8] {
        match segment {
            PERSISTENT => bytemuck::cast_slice(&self.persistent),
            ARENA => bytemuck::cast_slice(&self.arena),
            _ => bytemuck::cast_slice(&self.index),
        }
    }

    /// Overwrites a segment of reals; what `bytes` has beyond its end is left out.
    pub fn set_bytes(&mut self, segment: u32, bytes: &[u8]) {
        let segment = if segment == PERSISTENT { &mut self.persistent } else { &mut self.arena };
        let segment: &mut [u8] = bytemuck::cast_slice_mut(segment);
        segment.copy_from_slice(&bytes[..segment.len()]);
    }

    /// Runs some calls of a plan, each by the version that `version` picks.
    pub fn run(&mut self, plan: &Plan, calls: Range<usize>, version: impl Fn(&Entry) -> fn(Arguments<F>)) {
        assert!(
            plan.persistent_len <= self.persistent.len()
                && plan.arena_len <= self.arena.len()
                && plan.index_len <= self.index.len()
                && plan.scratch_len <= self.scratch.len(),
            "memory was reserved for this plan"
        );
        let segments = [self.persistent.as_mut_ptr(), self.arena.as_mut_ptr()];
        for call in &plan.calls()[calls] {
            let mut slots: [Slot<F>; crate::kernels::MAX_OPERANDS] = Default::default();
            for ((slot, spec), tensor) in slots.iter_mut().zip(call.entry.operands).zip(&call.operands) {
                let Some(tensor) = tensor else { continue };
                let (start, len) = (tensor.offset as usize, tensor.span());
                *slot = match (spec.element, spec.access) {
                    (Element::Index, _) => {
                        assert_eq!(tensor.buffer, INDEX);
                        Slot::Index(&self.index[start..start + len])
                    }
                    // SAFETY: the range lies in its segment, for the plan that placed it was reserved above; `Graph::plan` has
                    // checked that nothing that a call writes overlaps anything else that it touches; all slices end with the call.
                    (Element::Real, Access::Read) => Slot::Read(unsafe {
                        std::slice::from_raw_parts(segments[tensor.buffer as usize].add(start), len)
                    }),
                    (Element::Real, _) => Slot::Write(unsafe {
                        std::slice::from_raw_parts_mut(segments[tensor.buffer as usize].add(start), len)
                    }),
                };
            }
            let scratch = &mut self.scratch[..(call.entry.scratch)(call)];
            version(call.entry)(Arguments { call, slots, scratch });
        }
    }

    fn segment(&self, tensor: Tensor) -> &[F] {
        match tensor.buffer {
            PERSISTENT => &self.persistent,
            ARENA => &self.arena,
            _ => panic!("indices are no reals"),
        }
    }

    /// What a tensor holds, to be written with so many values: its rows in order, as one row where they lie side by side.
    fn rows(&mut self, tensor: Tensor, len: usize) -> impl Iterator<Item = &mut [F]> {
        assert_eq!(len, tensor.shape.len(), "as many values as the tensor has elements");
        let segment = match tensor.buffer {
            PERSISTENT => &mut self.persistent,
            ARENA => &mut self.arena,
            _ => panic!("indices are no reals"),
        };
        let (mut stride, mut columns) = (tensor.stride as usize, tensor.shape.columns());
        if stride == columns {
            (stride, columns) = (len, len);
        }
        let segment = &mut segment[tensor.offset as usize..][..tensor.span()];
        segment.chunks_mut(stride.max(1)).map(move |row| &mut row[..columns])
    }

    /// Writes a tensor, row after row.
    pub fn write(&mut self, tensor: Tensor, mut values: impl ExactSizeIterator<Item = f64>) {
        for row in self.rows(tensor, values.len()) {
            row.iter_mut().zip(&mut values).for_each(|(to, from)| *to = F::of(from));
        }
    }

    /// As [`Memory::write`], from numbers in single precision.
    pub fn write_f32(&mut self, tensor: Tensor, mut values: &[f32]) {
        for row in self.rows(tensor, values.len()) {
            let (own, rest) = values.split_at(row.len());
            F::round(row, own);
            values = rest;
        }
    }

    /// Writes symbols or classes.
    pub fn write_index(&mut self, tensor: Tensor, values: &[u32]) {
        assert_eq!(tensor.buffer, INDEX);
        self.index[tensor.offset as usize..][..tensor.shape.len()].copy_from_slice(values);
    }

    /// Visits a tensor, row after row.
    pub fn read(&self, tensor: Tensor, mut visit: impl FnMut(F)) {
        let segment = self.segment(tensor);
        for row in 0..tensor.shape.rows() {
            let start = tensor.offset as usize + row * tensor.stride as usize;
            segment[start..start + tensor.shape.columns()].iter().for_each(|&value| visit(value));
        }
    }

    /// The largest absolute value of a contiguous tensor; NaN when an element is not finite.
    pub fn largest(&self, tensor: Tensor) -> f64 {
        F::largest(&self.segment(tensor)[tensor.offset as usize..][..tensor.shape.len()])
    }

    /// One element of a contiguous tensor.
    pub fn scalar(&self, tensor: Tensor, index: usize) -> f64 {
        self.segment(tensor)[tensor.offset as usize + index].wide()
    }

    /// The first NaN or infinity among what a call has just written.
    pub fn non_finite(&self, plan: &Plan, call: usize) -> Option<NonFinite> {
        let entry = plan.calls()[call].entry;
        for (operand, (spec, tensor)) in entry.operands.iter().zip(&plan.calls()[call].operands).enumerate() {
            let Some(tensor) = tensor.filter(|_| spec.access != Access::Read) else { continue };
            let (mut index, mut found) = (0, None);
            self.read(tensor, |value| {
                if found.is_none() && !value.wide().is_finite() {
                    found = Some(index);
                }
                index += 1;
            });
            if let Some(index) = found {
                return Some(NonFinite { call, operand, row: index / tensor.shape.columns() });
            }
        }
        None
    }
}
