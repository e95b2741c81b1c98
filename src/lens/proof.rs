//! The proof: is what training follows the gradient of the loss?

use super::inspection::Inspection;
use super::vectors::{add, dot, norm};
use crate::error::{Error, Result};
use crate::rng::{Rng, Stream};
use crate::train::{Session, Trial};

/// Sequences of the loss that is checked.
const SEQUENCES: usize = 8;

/// Multiplications that one check may take.
const WORK: f64 = 2e10;

/// Halvings of the step, at most: from 1 to 2⁻¹⁹, which the norm of a small stream needs; rounding ends most checks earlier.
const STEPS: i32 = 20;

/// The most timesteps of which forms are compared.
const LONGEST: usize = 256;

/// The derivative of the loss along one direction in the space of one parameter.
#[derive(Clone, Copy, Debug)]
pub struct Agreement {
    /// ⟨g, v⟩ with g from backpropagation.
    pub backpropagation: f64,
    /// From values of the loss alone.
    pub differences: f64,
    /// How far the differences may be off.
    pub uncertainty: f64,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The two are further apart than uncertainty and rounding allow.
    Differs = -1,
    /// An error of a twentieth would go unnoticed: the derivative is too small for f32, or not finite.
    Unresolved = 0,
    /// They agree.
    Agrees = 1,
}

impl Agreement {
    fn size(&self) -> f64 {
        self.backpropagation.abs().max(self.differences.abs())
    }

    /// A number beside the size; 0 where it is 0.
    fn share(&self, of: f64) -> f64 {
        if of == 0.0 { 0.0 } else { of / self.size() }
    }

    /// |difference| / the larger of the two.
    pub fn relative(&self) -> f64 {
        self.share((self.backpropagation - self.differences).abs())
    }

    /// How far apart the two may be, relative to the larger one: the uncertainty and a further 10⁻⁴ for sums in f32 in the gradient.
    pub fn tolerance(&self) -> f64 {
        self.share(self.uncertainty) + 1e-4
    }

    /// What the comparison says.
    pub fn verdict(&self) -> Verdict {
        let (relative, tolerance) = (self.relative(), self.tolerance());
        if relative > tolerance {
            Verdict::Differs
        } else if tolerance < 0.05 {
            Verdict::Agrees
        } else {
            Verdict::Unresolved
        }
    }
}

/// Compares a gradient (flat, in the order of the parameters) with finite differences of the loss, parameter by parameter, along
/// v ∝ g/‖g‖ + r/‖r‖ with a random r, so that an element that is wrongly 0 counts too. ‖v‖ = 1.
///
/// The differences are central of fourth order, D(h) = (8 (L(h) − L(−h)) − (L(2h) − L(−2h))) / 12h, whose error is O(h⁴) from
/// the loss and O(2⁻²⁴ L / h) from rounding in f32 (Abramowitz and Stegun 1964, 25.3.6). h is halved from 1 on until the rounding
/// alone is more than the best so far. That h counts where the larger of |D(h) − D(2h)| and |D(2h) − D(4h)|, with the rounding added,
/// is smallest; four times that sum is the uncertainty. A kink of the loss within the reach of h bends it: that adds what the second
/// difference S(h) = |L(h) − 2 L(0) + L(−h)| / h has beyond S(2h)/2, which is all of it where the loss is smooth. The parameters are as
/// before when it returns.
pub fn agreements(session: &mut Session, trial: &Trial, gradient: &[f64]) -> Vec<Agreement> {
    let parameters = session.parameters().to_vec();
    let middle = session.trial_loss(trial);
    let rounding = f64::from(f32::EPSILON) * (1.0 + middle.abs());
    let check = |(at, parameter): (usize, &crate::nn::Parameter)| {
        let g = &gradient[parameter.offset..][..parameter.len()];
        let mut rng = Rng::at(0, Stream::Probe, at as u64);
        let random: Vec<f64> = g.iter().map(|_| rng.normal()).collect();
        // The two never point against each other.
        let sign = if dot(g, &random) < 0.0 { -1.0 } else { 1.0 };
        let (of_g, of_random) = (norm(g).max(f64::MIN_POSITIVE), sign * norm(&random));
        let mut v: Vec<f64> = g.iter().zip(&random).map(|(g, r)| g / of_g + r / of_random).collect();
        let length = norm(&v);
        v.iter_mut().for_each(|v| *v /= length);
        let here = session.parameter(&parameter.name);
        let mut loss = |h: f64| {
            let there: Vec<f64> = here.iter().zip(&v).map(|(p, v)| p + h * v).collect();
            session.set_parameter(&parameter.name, &there);
            session.trial_loss(trial)
        };
        // The slope and the bend.
        let mut central = |h: f64| {
            let (after, before) = (loss(h), loss(-h));
            [(after - before) / (2.0 * h), (after - 2.0 * middle + before).abs() / h]
        };
        let mut best = [f64::NAN, f64::INFINITY];
        let ([mut coarse, mut wide], mut last, mut moved) = (central(2.0), f64::NAN, f64::NAN);
        for k in 0..STEPS {
            let h = f64::from(1_u32 << k).recip();
            if rounding / h > best[1] {
                break;
            }
            let [fine, narrow] = central(h);
            let fourth = (4.0 * fine - coarse) / 3.0;
            let move_now = (fourth - last).abs();
            // Two coarse values may be close by chance, three hardly. A comparison with NaN is false.
            let kink = (narrow - wide / 2.0).abs();
            let off = if moved > move_now { moved } else { move_now } + rounding / h + kink;
            if !moved.is_nan() && off < best[1] {
                best = [fourth, off];
            }
            (coarse, wide, last, moved) = (fine, narrow, fourth, move_now);
        }
        session.set_parameter(&parameter.name, &here);
        Agreement { backpropagation: dot(g, &v), differences: best[0], uncertainty: 4.0 * best[1] }
    };
    parameters.iter().enumerate().map(check).collect()
}

/// Per parameter p, in the order of `header.names`: `backpropagation` `[P]` is ⟨∂L/∂p, v⟩, `differences` the same from finite
/// differences of the loss, `relative` their distance over the larger one, `tolerance` what it may be, `verdict` 1 where they agree,
/// 0 where that cannot be told, −1 where they differ; `sizes` numbers of elements. See [`agreements`]. `fingerprint` `[4]` holds the
/// four 16-bit words of [`Session::fingerprint`], the highest first. Then see [`forms`].
///
/// # Errors
/// [`Error::Invalid`] when that would take seconds.
#[inline(never)]
pub(super) fn proof(session: &mut Session, to: &mut Inspection) -> Result<()> {
    let parameters = session.parameters();
    let sizes: Vec<f64> = parameters.iter().map(|parameter| parameter.len() as f64).collect();
    let forward = sizes.iter().sum::<f64>() * (SEQUENCES * session.form().n_steps) as f64;
    let work = forward * 12.0 * sizes.len() as f64;
    if work > WORK {
        let expected = "a network whose gradient can be checked within seconds";
        return Err(Error::invalid(
            "query.panel",
            expected,
            format!("one that takes {} times as long", (work / WORK).ceil() as u64),
        ));
    }
    to.name_parameters(session);
    to.header.sequences = SEQUENCES;
    let trial = session.trial(SEQUENCES)?;
    let gradient = session.trial_gradient(&trial);
    let row = |of: &Agreement| {
        vec![of.backpropagation, of.differences, of.relative(), of.tolerance(), f64::from(of.verdict() as i8)]
    };
    let rows: Vec<_> = agreements(session, &trial, &gradient).iter().map(row).collect();
    let series = [
        ["backpropagation", "⟨∂L/∂p, v⟩"],
        ["differences", "dL/dh along v"],
        ["relative", "relative difference"],
        ["tolerance", "expected below"],
        ["verdict"; 2],
    ];
    to.add_columns(&series, &rows);
    to.add("sizes", "elements", &[sizes.len()], &sizes);
    let words = session.fingerprint();
    let words = [48, 32, 16, 0].map(|shift| f64::from((words >> shift) as u16));
    to.add("fingerprint", "fingerprint", &[4], &words);
    forms(session, to)
}

/// Forms of one network: for n lengths C = 1, 2, 4, … below T, the first probe sequence (256 timesteps at most) in chunks of C timesteps,
/// each from what the chunk before has handed on, beside all timesteps at once. `chunks` `[n]` is C, `apart` `[n]` the largest difference
/// of their outputs over the largest output, `carried` `[n]` how many numbers the last chunk hands on. Without these series for a network
/// that has to see the end of a sequence first.
fn forms(session: &mut Session, to: &mut Inspection) -> Result<()> {
    if !session.model().streams() {
        return Ok(());
    }
    let n_steps = session.probe_batch().n_steps.min(LONGEST);
    let (features, symbols) = session.probe_inputs(0..n_steps, &[0]);
    let program = session.run_stretch([n_steps, 1], &features, &symbols, &[])?;
    let whole = session.engine().read_f64(program.output);
    // A comparison with NaN is false, so that one of them is the largest.
    let larger = |most: f64, x: &f64| if most >= x.abs() || most.is_nan() { most } else { x.abs() };
    let largest = |of: &[f64]| of.iter().fold(0.0, larger);
    let (mut rows, mut chunk) = (Vec::new(), 1);
    while chunk < n_steps {
        let (mut outputs, carried) = session.in_chunks(&features, &symbols, chunk);
        add(&mut outputs, -1.0, &whole);
        rows.push(vec![chunk as f64, largest(&outputs) / largest(&whole), carried as f64]);
        chunk *= 2;
    }
    to.add_columns(&["chunks", "apart", "carried"].map(|id| [id; 2]), &rows);
    Ok(())
}
