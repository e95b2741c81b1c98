//! y = φ(x), or gated, y = u ⊙ φ(x), element by element.
//!
//! φ is one of [`Phi`]. With `x`, `u` and `y` of one size `[rows, n]`: ∂L/∂x = ∂L/∂y ⊙ u ⊙ φ'(x) and ∂L/∂u = ∂L/∂y ⊙ φ(x). A gate may
//! be columns of the same tensor as `x`, which costs WebGPU a copy of it. Twin: `shaders/activation.wgsl`.

use super::simd::{Curves, each};
use super::{Arguments, Call, Entry, Kernel, Operand, Real, Tolerance, no_scratch};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};
use wide::f32x4;

/// A nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phi {
    /// x.
    Identity,
    /// σ(x) = 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x σ(x): `torch.nn.SiLU` (Elfwing et al. 2018, doi:10.1016/j.neunet.2017.12.012).
    Silu,
    /// x Φ(x) with the normal distribution function Φ(x) = (1 + erf(x/√2)) / 2: `torch.nn.GELU`, exact (Hendrycks and Gimpel 2016,
    /// arXiv:1606.08415).
    Gelu,
    /// max(x, 0)² (So et al. 2021, arXiv:2109.08668).
    SquaredRelu,
    /// tanh(x).
    Tanh,
}

/// All nonlinearities, by number.
pub const PHIS: [Phi; 6] = [Phi::Identity, Phi::Sigmoid, Phi::Silu, Phi::Gelu, Phi::SquaredRelu, Phi::Tanh];

/// 1/√2 and 1/√(2π).
const ROOTS: [f64; 2] = [std::f64::consts::FRAC_1_SQRT_2, 0.398_942_280_401_432_7];

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Params {
    /// Rows.
    rows: u32,
    /// n.
    columns: u32,
    /// The nonlinearity.
    phi: u32,
    /// Backwards: 1 for the adjoint of the gate, 0 for that of x.
    of_gate: u32,
    /// Backwards: 1 adds to `d`.
    accumulate: u32,
}

/// y = φ(x), times `u` if there is one.
pub fn forward(phi: Phi, x: Tensor, u: Option<Tensor>, y: Tensor) -> Call {
    assert_eq!(x.shape.len(), y.shape.len(), "activation: x is {}, y is {}", x.shape, y.shape);
    assert!(u.is_none_or(|u| u.shape.len() == x.shape.len()), "activation: u and x are of one size");
    let (rows, columns) = (x.shape.rows() as u32, x.shape.columns() as u32);
    let params = Params { rows, columns, phi: phi as u32, of_gate: 0, accumulate: 0 };
    Call::new(&FORWARD, params, &[Some(x), u, Some(y)])
}

fn grid(call: &Call) -> [u32; 3] {
    let params: Params = call.params();
    [(params.rows * params.columns).div_ceil(256), 1, 1]
}

/// The forward entry.
pub static FORWARD: Entry = Entry {
    label: "activation.forward",
    operands: &[Operand::read("x"), Operand::read("u").optional(), Operand::write("y")],
    reference: reference!(reference_forward),
    cpu: cpu_forward,
    scratch: no_scratch,
    grid,
    flop: |_| 0,
    parts: None,
    gradient: Some(|tape, call| {
        let (x, u, y) = (call.tensor(0), call.operands[1], call.tensor(2));
        let Some(d_y) = tape.adjoint(y) else { return };
        // Two calls, for the gate may be columns of the same tensor.
        for (of, of_gate) in [(Some(x), 0), (u, 1)] {
            if let Some((d, accumulate)) = of.and_then(|of| tape.contribute(of)) {
                let params = Params { of_gate, accumulate: u32::from(accumulate), ..call.params() };
                let u = u.filter(|_| of_gate == 0);
                tape.record(Call::new(&BACKWARD, params, &[Some(d_y), Some(x), u, Some(d)]));
            }
        }
    }),
};

/// The backward entry: `d` is the adjoint of x, or of the gate.
pub static BACKWARD: Entry = Entry {
    label: "activation.backward",
    operands: &[Operand::read("d_y"), Operand::read("x"), Operand::read("u").optional(), Operand::update("d")],
    reference: reference!(reference_backward),
    cpu: cpu_backward,
    scratch: no_scratch,
    grid,
    flop: |_| 0,
    parts: None,
    gradient: None,
};

/// φ(x) and φ'(x).
fn plain<F: Real>(phi: Phi, x: F) -> [F; 2] {
    let (zero, one) = (F::ZERO, F::ONE);
    match phi {
        Phi::Identity => [x, one],
        Phi::Sigmoid => {
            let s = x.sigmoid();
            [s, s * (one - s)]
        }
        Phi::Silu => {
            let s = x.sigmoid();
            [x * s, s * (one + x * (one - s))]
        }
        Phi::Gelu => {
            let half = F::of(0.5);
            let share = half * (one + (x * F::of(ROOTS[0])).erf());
            [x * share, share + x * F::of(ROOTS[1]) * (-(half * x * x)).exp()]
        }
        Phi::SquaredRelu => {
            let x = if x < zero { zero } else { x };
            [x * x, x + x]
        }
        Phi::Tanh => {
            let y = x.tanh();
            [y, one - y * y]
        }
    }
}

/// φ(x) and φ'(x).
// Not inlined: five functions in four loops are a kilobyte to download.
#[inline(never)]
pub(super) fn lanes(curves: &Curves, phi: Phi, x: f32x4) -> [f32x4; 2] {
    let (zero, one, half) = (f32x4::splat(0.0), f32x4::splat(1.0), f32x4::splat(0.5));
    match phi {
        Phi::Identity => [x, one],
        Phi::Sigmoid | Phi::Silu => {
            let s = curves.sigmoid(x);
            let slope = one - s;
            if phi == Phi::Sigmoid { [s, s * slope] } else { [x * s, s * (one + x * slope)] }
        }
        Phi::Gelu => {
            let [root, density] = ROOTS.map(|root| f32x4::splat(root as f32));
            let share = half * (one + curves.erf(x * root));
            [x * share, share + x * density * curves.exp(-(half * x * x))]
        }
        Phi::SquaredRelu => {
            let x = x.simd_lt(zero).select(zero, x);
            [x * x, x + x]
        }
        Phi::Tanh => {
            let y = curves.tanh(x);
            [y, one - y * y]
        }
    }
}

fn reference_forward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (x, u, mut y) = (args.read(0), args.read_optional(1), args.write(2));
    for row in 0..params.rows as usize {
        for (j, (y, &x)) in y.row(row).iter_mut().zip(x.row(row)).enumerate() {
            let value = plain(PHIS[params.phi as usize], x)[0];
            *y = u.as_ref().map_or(value, |u| u.row(row)[j] * value);
        }
    }
}

fn reference_backward<F: Real>(mut args: Arguments<F>) {
    let params: Params = args.params();
    let (d_y, x, u, mut d) = (args.read(0), args.read(1), args.read_optional(2), args.write(3));
    for row in 0..params.rows as usize {
        for (j, (&d_y, &x)) in d_y.row(row).iter().zip(x.row(row)).enumerate() {
            let both = plain(PHIS[params.phi as usize], x);
            let own = d_y * u.as_ref().map_or(F::ONE, |u| u.row(row)[j]) * both[1 - params.of_gate as usize];
            let d = &mut d.row(row)[j];
            *d = if params.accumulate == 0 { own } else { *d + own };
        }
    }
}

fn cpu_forward(mut args: Arguments<f32>) {
    let (params, curves): (Params, _) = (args.params(), Curves::get());
    let phi = PHIS[params.phi as usize];
    let (x, u, mut y) = (args.read(0), args.read_optional(1), args.write(2));
    for row in 0..params.rows as usize {
        let (x, y) = (x.row(row), y.row(row));
        each([x], [], [&mut *y], |[x], []| ([], [lanes(curves, phi, x)[0]]));
        if let Some(u) = &u {
            each([u.row(row)], [y], [], |[u], [y]| ([u * y], []));
        }
    }
}

fn cpu_backward(mut args: Arguments<f32>) {
    let (params, curves): (Params, _) = (args.params(), Curves::get());
    let phi = PHIS[params.phi as usize];
    let (d_y, x, u, mut d) = (args.read(0), args.read(1), args.read_optional(2), args.write(3));
    for row in 0..params.rows as usize {
        let x = x.row(row);
        // Without a gate, x stands in its place.
        let gate = u.as_ref().map_or(x, |u| u.row(row));
        each([d_y.row(row), x, gate], [d.row(row)], [], |[d_y, x, gate], [before]| {
            let d = if u.is_some() { d_y * gate } else { d_y };
            let d = d * lanes(curves, phi, x)[1 - params.of_gate as usize];
            ([if params.accumulate == 0 { d } else { before + d }], [])
        });
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    stem: "activation",
    summary: "a nonlinearity, element by element, with or without a gate",
    shader: shader!("../../shaders/activation.wgsl"),
    entries: &[&FORWARD, &BACKWARD],
    tolerance: Tolerance {
        relative: 2e-5,
        reason: "exp, σ and erf within a few units in the last place; the slope of tanh is what is left of 1",
    },
    on_gpu: Tolerance {
        relative: 5e-5,
        reason: "exp within a few units in the last place, products fused or not; the slope of tanh is what is left of 1",
    },
};
