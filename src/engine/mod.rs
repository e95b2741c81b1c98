//! Engines: they run plans.
//!
//! Floor 3. [`Engine::Reference`] runs the plain loops in f64, [`Engine::Cpu`] the fast ones in f32; both run the same plan on the
//! same kind of memory. WebGPU runs the same plans in `gpu`, in the browser, or with the feature `native-gpu` on the host; the only
//! floor that names wgpu is this one.

#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
pub mod gpu;
pub mod group;
mod memory;
#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
mod runner;
pub mod schedule;
pub mod shaders;

pub use memory::Memory;
#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
pub use runner::{IN_FLIGHT, Runner};

use crate::graph::Plan;
use crate::kernels::Real;
use crate::shape::Tensor;
use std::ops::Range;

/// What runs a plan.
#[derive(Clone, Debug)]
pub enum Engine {
    /// Plain loops in f64: slow, and the judge of the others.
    #[cfg(feature = "reference")]
    Reference(Memory<f64>),
    /// SIMD loops in f32.
    Cpu(Memory<f32>),
}

/// A tensor that is not finite, found by running a plan call by call.
#[derive(Clone, Debug, PartialEq)]
pub struct NonFinite {
    /// Index of the call in its plan.
    pub call: usize,
    /// Index of the operand.
    pub operand: usize,
    /// Row of the first element that is not finite.
    pub row: usize,
}

macro_rules! each {
    ($engine:expr, $memory:ident => $body:expr) => {
        match $engine {
            #[cfg(feature = "reference")]
            Self::Reference($memory) => $body,
            Self::Cpu($memory) => $body,
        }
    };
}

impl Engine {
    /// The plain engine.
    #[cfg(feature = "reference")]
    pub fn reference(persistent_len: usize) -> Self {
        Self::Reference(Memory::new(persistent_len))
    }

    /// The fast engine.
    pub fn cpu(persistent_len: usize) -> Self {
        Self::Cpu(Memory::new(persistent_len))
    }

    /// Grows the memory to what a plan needs. Running the plan allocates nothing after this.
    pub fn reserve(&mut self, plan: &Plan) {
        each!(self, memory => memory.reserve(plan));
    }

    /// Runs some calls of a plan.
    pub fn run(&mut self, plan: &Plan, calls: Range<usize>) {
        match self {
            #[cfg(feature = "reference")]
            Self::Reference(memory) => memory.run(plan, calls, |entry| entry.reference.double),
            Self::Cpu(memory) => memory.run(plan, calls, |entry| entry.cpu),
        }
    }

    /// Runs some calls of a plan one by one, and stops at the first that writes a NaN or an infinity.
    pub fn run_checked(&mut self, plan: &Plan, calls: Range<usize>) -> Option<NonFinite> {
        for call in calls {
            self.run(plan, call..call + 1);
            let found = each!(self, memory => memory.non_finite(plan, call));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Writes a tensor, row after row.
    pub fn write(&mut self, tensor: Tensor, values: &[f32]) {
        each!(self, memory => memory.write_f32(tensor, values));
    }

    /// Writes a tensor, row after row, in double precision where the engine has it.
    pub fn write_f64(&mut self, tensor: Tensor, values: &[f64]) {
        each!(self, memory => memory.write(tensor, values.iter().copied()));
    }

    /// Writes symbols or classes.
    pub fn write_index(&mut self, tensor: Tensor, values: &[u32]) {
        each!(self, memory => memory.write_index(tensor, values));
    }

    /// Reads a tensor, row after row, to the end of `to`.
    pub fn read(&self, tensor: Tensor, to: &mut Vec<f32>) {
        each!(self, memory => memory.read(tensor, |value| to.push(value.wide() as f32)));
    }

    /// Reads a tensor, row after row, in double precision where the engine has it.
    pub fn read_f64(&self, tensor: Tensor) -> Vec<f64> {
        let mut values = Vec::with_capacity(tensor.shape.len());
        each!(self, memory => memory.read(tensor, |value| values.push(value.wide())));
        values
    }

    /// The largest absolute value of a contiguous tensor; NaN when an element is not finite.
    pub fn largest(&self, tensor: Tensor) -> f64 {
        each!(self, memory => memory.largest(tensor))
    }

    /// Element `index` of a contiguous tensor.
    pub fn scalar(&self, tensor: Tensor, index: usize) -> f64 {
        each!(self, memory => memory.scalar(tensor, index))
    }
}
