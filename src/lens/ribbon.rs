//! The numbers of a ribbon: quantiles over the probe sequences, and the rate at which the gradient decays.

use serde::Serialize;

/// ln m_t = ln a + n·ln κ, fitted by least squares to the medians m_t above the floor. n are the steps back from where the loss enters:
/// to − t, or t − from in a row that reads backwards.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fit {
    /// κ per step back: below 1 vanishes, above 1 explodes.
    pub factor: f64,
    /// ln 2 / |ln κ|: timesteps until half, or above 1 double, is left; `None` when κ is 1.
    pub half_life: Option<f64>,
    /// −1 / ln κ in timesteps; `None` unless κ is below 1.
    pub horizon: Option<f64>,
    /// Median at the far end, where reading begins, over that where n is 0; 0 when it is below the floor.
    pub ratio: f64,
    /// First timestep of the fit.
    pub from: usize,
    /// Last timestep of the fit.
    pub to: usize,
    /// The line's value where n is 0: at `to`, or at `from` in a row that reads backwards.
    pub at_to: f64,
}

/// Fits the decay of medians back in reading order; `None` when fewer than two of them are above the floor.
pub fn fit(medians: &[f32], floor: f32, reverse: bool) -> Option<Fit> {
    let above = |&t: &usize| medians[t].is_finite() && medians[t] >= floor;
    let points: Vec<usize> = (0..medians.len()).filter(above).collect();
    let (&from, &to) = (points.first()?, points.last()?);
    if points.len() < 2 {
        return None;
    }
    let n = points.len() as f64;
    let (near, far) = if reverse { (from, medians.len() - 1) } else { (to, 0) };
    let back = |t: usize| near.abs_diff(t) as f64;
    let log = |t: usize| libm::log(f64::from(medians[t]));
    let mean_x = points.iter().map(|&t| back(t)).sum::<f64>() / n;
    let mean_y = points.iter().map(|&t| log(t)).sum::<f64>() / n;
    let covariance: f64 = points.iter().map(|&t| (back(t) - mean_x) * (log(t) - mean_y)).sum();
    let variance: f64 = points.iter().map(|&t| (back(t) - mean_x) * (back(t) - mean_x)).sum();
    let slope = covariance / variance;
    Some(Fit {
        factor: libm::exp(slope),
        half_life: (slope != 0.0).then(|| std::f64::consts::LN_2 / slope.abs()),
        horizon: (slope < 0.0).then(|| -1.0 / slope),
        ratio: if medians[far] >= floor { f64::from(medians[far]) / f64::from(medians[near]) } else { 0.0 },
        from,
        to,
        at_to: libm::exp(mean_y - slope * mean_x),
    })
}

/// Quantile `q` of sorted values, linear between neighbours.
pub fn quantile(sorted: &[f64], q: f64) -> f32 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = place - below as f64;
    (sorted[below] * (1.0 - share) + sorted[above] * share) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_geometric_decay_is_fitted_exactly() {
        let medians: Vec<f32> = (0..30).map(|t| 2.0 * libm::powf(0.8, (29 - t) as f32)).collect();
        let fit = fit(&medians, f32::MIN_POSITIVE, false).expect("30 points");
        assert!((fit.factor - 0.8).abs() < 1e-6);
        assert!((fit.at_to - 2.0).abs() < 1e-5);
        assert!((fit.half_life.unwrap() - 3.106).abs() < 1e-3);
        assert!((fit.ratio / libm::pow(0.8, 29.0) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_row_that_reads_backwards_decays_towards_the_end() {
        let medians = [1.0, 0.5, 0.25, 0.125, 0.0];
        let fit = fit(&medians, 1e-30, true).expect("four points");
        assert_eq!((fit.from, fit.to, fit.ratio), (0, 3, 0.0));
        assert!((fit.factor - 0.5).abs() < 1e-12);
        assert!((fit.at_to - 1.0).abs() < 1e-12);
        let whole = super::fit(&medians[..4], 1e-30, true).expect("four points");
        assert!((whole.ratio - 0.125).abs() < 1e-12);
    }

    #[test]
    fn points_below_the_floor_are_left_out() {
        let fit = fit(&[0.0, 0.0, 1e-3, 1e-2, 0.1, 1.0, 0.0], 1e-30, false).expect("four points");
        assert_eq!((fit.from, fit.to, fit.ratio), (2, 5, 0.0));
        assert!((fit.factor - 0.1).abs() < 1e-6);
        assert!(super::fit(&[0.0, 1.0, 0.0], 1e-30, false).is_none());
    }

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.5);
        assert_eq!(quantile(&[1.0], 0.9), 1.0);
        assert!((quantile(&[0.0, 10.0], 0.1) - 1.0).abs() < 1e-6);
    }
}
