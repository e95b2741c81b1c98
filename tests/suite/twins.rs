//! Every kernel, the fast version against the plain one, on odd sizes.
//!
//! Call by call: both versions see the same memory, and what they write may differ by the kernel's tolerance, relative to the
//! largest element of the result. A tolerance of 0 asks for the same bits. Nothing else may change.

use crate::support::{Case, cases, read, recurrence_cases};
use std::collections::BTreeMap;
use unroll::engine::Memory;
use unroll::graph::{ARENA, PERSISTENT, Plan};
use unroll::kernels::{Access, Call, KERNELS};
use unroll::nn::cells;
use unroll::shape::{Shape, Tensor};

/// 1, and sizes that no tile, panel or vector divides.
const SIZES: [usize; 7] = [1, 3, 7, 17, 33, 65, 130];

fn segment(plan: &Plan, memory: &Memory<f32>, which: u32) -> Vec<f32> {
    let len = if which == ARENA { plan.arena_len } else { plan.persistent_len };
    if len == 0 { Vec::new() } else { read(memory, Tensor::whole(which, Shape::new(&[len]))) }
}

/// Everything outside what the call writes has the same bits as before.
fn check_untouched(what: &str, plan: &Plan, call: &Call, before: &Memory<f32>, after: &Memory<f32>) {
    for which in [PERSISTENT, ARENA] {
        let (before, after) = (segment(plan, before, which), segment(plan, after, which));
        let mut written = vec![false; before.len()];
        for (spec, tensor) in call.entry.operands.iter().zip(&call.operands) {
            let Some(tensor) = tensor.filter(|tensor| spec.access != Access::Read && tensor.buffer == which) else {
                continue;
            };
            for row in 0..tensor.shape.rows() {
                let start = tensor.offset as usize + row * tensor.stride as usize;
                written[start..start + tensor.shape.columns()].fill(true);
            }
        }
        for (at, ((before, after), written)) in before.iter().zip(&after).zip(written).enumerate() {
            assert!(written || before.to_bits() == after.to_bits(), "{what}: element {at} is not the call's to write");
        }
    }
}

/// Runs every call of a case in both versions; notes the largest relative difference of each entry.
fn compare(mut case: Case, worst: &mut BTreeMap<&'static str, f32>) {
    let (plan, mut plain) = case.planned();
    for (index, call) in plan.calls().iter().enumerate() {
        let what = format!("{}: {}", call.entry.label, case.what);
        let before = plain.clone();
        let mut fast = plain.clone();
        plain.run(&plan, index..index + 1, |entry| entry.reference.single);
        fast.run(&plan, index..index + 1, |entry| entry.cpu);
        check_untouched(&what, &plan, call, &before, &plain);
        check_untouched(&what, &plan, call, &before, &fast);
        for (spec, tensor) in call.entry.operands.iter().zip(&call.operands) {
            let Some(tensor) = tensor.filter(|_| spec.access != Access::Read) else { continue };
            let (plain, fast) = (read(&plain, tensor), read(&fast, tensor));
            let largest = plain.iter().fold(0.0_f32, |largest, v| largest.max(v.abs()));
            for (&plain, &fast) in plain.iter().zip(&fast) {
                assert!(plain.is_finite() && fast.is_finite(), "{what}, {}: {plain} and {fast}", spec.name);
                let difference =
                    if plain == fast { 0.0 } else { (plain - fast).abs() / largest.max(f32::MIN_POSITIVE) };
                let worst = worst.entry(call.entry.label).or_insert(0.0);
                *worst = worst.max(difference);
            }
        }
    }
}

/// Compares all cases of a kernel; every entry must have run, and stay within the kernel's tolerance.
fn check(stem: &str) {
    let kernel = KERNELS.iter().find(|kernel| kernel.stem == stem).expect("a kernel");
    let mut worst = BTreeMap::new();
    for size in SIZES {
        cases(stem, size).into_iter().for_each(|case| compare(case, &mut worst));
        if let Some(cell) = cells().find(|cell| cell.id == stem) {
            recurrence_cases(cell, &[0], Some(2), size).into_iter().for_each(|case| compare(case, &mut worst));
        }
    }
    for entry in kernel.entries {
        let difference = worst.get(entry.label).unwrap_or_else(|| panic!("{} is run by no case", entry.label));
        println!("{:<28} {difference:.1e}, at most {:.0e}", entry.label, kernel.tolerance.relative);
        assert!(
            *difference <= kernel.tolerance.relative,
            "{}: the fast version is off by {difference:e}, at most {:e} is stated ({})",
            entry.label,
            kernel.tolerance.relative,
            kernel.tolerance.reason
        );
    }
}

/// One test a kernel, of its name.
macro_rules! tests {
    (with {} cells { $($cell:ident)* } others { $($stem:ident)* }) => {
        tests! { $($cell)* $($stem)* }
    };
    ($($stem:ident)*) => {
        $(
            #[wasm_bindgen_test(unsupported = test)]
            fn $stem() {
                super::check(stringify!($stem));
            }
        )*
    };
}

mod kernel {
    use wasm_bindgen_test::wasm_bindgen_test;

    unroll::stems!(tests);
}
