//! The proof: is what training follows the gradient of the loss?

use super::inspection::Inspection;
use super::vectors::{dot, norm};
use crate::error::{Error, Result};
use crate::rng::{Rng, Stream};
use crate::train::{Session, Trial};

/// Sequences of the loss that is checked.
const SEQUENCES: usize = 8;

/// Multiplications that one check may take.
const WORK: f64 = 2e10;

/// Halvings of the step, at most: from 1 to 2⁻¹⁹, which the norm of a small stream needs; rounding ends most checks earlier.
const STEPS: i32 = 20;

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
/// four 16-bit words of [`Session::fingerprint`], the highest first.
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
    let all = agreements(session, &trial, &gradient);
    let mut add = |id: &'static str, title: &str, of: &dyn Fn(&Agreement) -> f64| {
        to.add(id, title, &[all.len()], &all.iter().map(of).collect::<Vec<_>>());
    };
    add("backpropagation", "⟨∂L/∂p, v⟩", &|of| of.backpropagation);
    add("differences", "dL/dh along v", &|of| of.differences);
    add("relative", "relative difference", &Agreement::relative);
    add("tolerance", "expected below", &Agreement::tolerance);
    add("verdict", "verdict", &|of| f64::from(of.verdict() as i8));
    to.add("sizes", "elements", &[sizes.len()], &sizes);
    let words = session.fingerprint();
    let words = [48, 32, 16, 0].map(|shift| f64::from((words >> shift) as u16));
    to.add("fingerprint", "fingerprint", &[4], &words);
    Ok(())
}
