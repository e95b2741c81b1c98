//! What a GPU runs for calls of a plan, one dispatch after another: most calls are one dispatch, weight gradients are one together.

use super::group::{self, Group};
use crate::graph::Plan;
use crate::kernels::{Access, Call};
use std::ops::Range;

/// One dispatch.
#[derive(Clone, Debug)]
pub enum Dispatch<'a> {
    /// A call of the plan.
    Call(&'a Call),
    /// The weight gradients.
    Group(Group),
}

/// The dispatches of some calls, in order.
pub fn schedule(plan: &Plan, calls: Range<usize>) -> Vec<Dispatch<'_>> {
    let call = |at: usize| Dispatch::Call(&plan.calls()[at]);
    let Some(group) = Group::of(plan, calls.clone()) else { return calls.map(call).collect() };
    let Range { start, end } = group.calls;
    let (before, after) = ((calls.start..start).map(call), (end..calls.end).map(call));
    before.chain([Dispatch::Group(group)]).chain(after).collect()
}

impl Dispatch<'_> {
    /// `stem.entry`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Call(call) => call.entry.label,
            Self::Group(_) => group::LABEL,
        }
    }

    /// Workgroups in each direction.
    pub fn grid(&self) -> [u32; 3] {
        match self {
            Self::Call(call) => (call.entry.grid)(call),
            Self::Group(group) => [group.workgroups(), 1, 1],
        }
    }

    /// Bytes of its operands, once for reading and once for writing: the least that must move.
    pub fn bytes(&self) -> u64 {
        let of_call = |call: &Call| {
            let operands = call.entry.operands.iter().zip(&call.operands);
            let len = operands.filter_map(|(spec, tensor)| {
                let ways = if spec.access == Access::Update { 2 } else { 1 };
                tensor.map(|tensor| ways * tensor.shape.len() as u64)
            });
            4 * len.sum::<u64>()
        };
        match self {
            Self::Call(call) => of_call(call),
            Self::Group(group) => group.bytes(),
        }
    }
}
