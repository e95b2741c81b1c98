//! The spectrum of a recurrent matrix: why the gradient decays at its rate.

use super::inspection::{Inspection, reading_order, sequence_of};
use super::vectors::{add, dot, norm};
use crate::error::{Error, Result};
use crate::nn::{Model, eigenvalues};
use crate::order;
use crate::train::{LossAt, Session};
use nalgebra::DMatrix;

/// Units of the largest network whose spectrum is computed: the work grows with their third power.
const UNITS: usize = 256;

/// `eigenvalues` `[H, 2]` of one block of W_hh, real and imaginary parts; `singular` `[H]`, the largest first;
/// `radius` `[1]`, the largest modulus of an eigenvalue; `block` `[1]`.
///
/// For a cell without a keep gate also `bound` `[T]`: (γ σ_max)^n for the n steps from each timestep to the last, with γ = 1, the largest
/// slope of tanh, ReLU and the identity: ‖∂h_T/∂h_t‖₂ is at most that (Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063).
///
/// # Errors
/// [`Error::Invalid`] when the network has more than 256 units, or its eigenvalues are not to be had.
#[inline(never)]
pub(super) fn spectrum(session: &Session, row: usize, block: Option<usize>, to: &mut Inspection) -> Result<()> {
    let model = session.model();
    let (h, n_steps) = (model.hidden, session.probe_batch().n_steps);
    if h > UNITS {
        return Err(Error::invalid("query.panel", format!("a network of at most {UNITS} units for a spectrum"), h));
    }
    let (layer, reverse) = model.rows().nth(row).expect("a model has that row");
    let block = block.unwrap_or_else(|| model.cell.candidate()).min(model.cell.blocks.len() - 1);
    let weight = session.parameter(&format!("rnn.weight_hh{}", Model::suffix(layer, reverse)));
    let weight = &weight[block * h * h..][..h * h];
    let matrix = DMatrix::from_row_slice(h, h, weight);
    let Some(values) = eigenvalues(&matrix) else {
        let got = "one where the iteration does not end";
        return Err(Error::invalid("query.panel", "a matrix whose eigenvalues can be found", got));
    };
    let singular = singular_values(weight, h);
    let radius = values.iter().map(|z| libm::hypot(z[0], z[1])).fold(0.0, f64::max);
    to.add("eigenvalues", "eigenvalues", &[h, 2], &values.concat());
    to.add("singular", "singular values", &[h], &singular);
    to.add("radius", "spectral radius", &[1], &[radius]);
    to.add("block", "block", &[1], &[block as f64]);
    if model.cell.keep.is_none() {
        let mut bound = vec![1.0; n_steps];
        for pair in reading_order(n_steps, reverse).windows(2).rev() {
            bound[pair[0]] = bound[pair[1]] * singular[0];
        }
        to.add("bound", "(γσ_max)ⁿ", &[n_steps], &bound);
    }
    Ok(())
}

/// The stated substitute for a cell without recurrent weights, whose step ∂h_t/∂h_{t−1} = diag(k_t) is diagonal: `eigenvalues` are those
/// of the mean step of a sequence, the geometric mean of each unit's kept share; they are its `singular` values too.
#[inline(never)]
pub(super) fn mean_step(session: &mut Session, row: usize, sequence: usize, to: &mut Inspection) -> Result<()> {
    session.run_probe(LossAt::Task)?;
    let row = &session.probe_program().rows[row];
    let (keep, h) = (session.model().cell.keep.expect("a diagonal cell has a keep gate"), session.model().hidden);
    let gates = row.gates.expect("the probe keeps them");
    let kept = sequence_of(session, gates.columns(keep * h, h), sequence);
    let reading = reading_order(session.probe_batch().n_steps, row.reverse);
    let mean = |unit: usize| {
        let sum: f64 = reading[1..].iter().map(|&t| libm::log(kept[t * h + unit])).sum();
        libm::exp(sum / (reading.len() - 1) as f64)
    };
    let mut values: Vec<f64> = (0..h).map(mean).collect();
    order::numbers(&mut values);
    values.reverse();
    let complex: Vec<f64> = values.iter().flat_map(|&value| [value, 0.0]).collect();
    to.add("eigenvalues", "eigenvalues of the mean step", &[h, 2], &complex);
    to.add("singular", "singular values of the mean step", &[h], &values);
    to.add("radius", "spectral radius of the mean step", &[1], &values[..1]);
    Ok(())
}

/// Singular values, the largest first, by rotating columns against each other until all are orthogonal (Hestenes 1958,
/// doi:10.1137/0106005). nalgebra's decomposition takes ten times as much code, and may not end where singular values coincide.
fn singular_values(rows: &[f64], n: usize) -> Vec<f64> {
    // The rows of W are the columns of its transpose, which has the same singular values.
    let mut columns: Vec<Vec<f64>> = rows.chunks_exact(n).map(<[f64]>::to_vec).collect();
    for _ in 0..SWEEPS {
        let mut turned = false;
        for (p, q) in (0..n).flat_map(|p| (p + 1..n).map(move |q| (p, q))) {
            let (before, after) = columns.split_at_mut(q);
            let (x, y) = (&mut before[p], &mut after[0]);
            let (a, b, c) = (dot(x, x), dot(y, y), dot(x, y));
            if c * c <= 1e-24 * a * b {
                continue;
            }
            turned = true;
            // tan of the angle that makes the two columns orthogonal.
            let zeta = (b - a) / (2.0 * c);
            let tan = libm::copysign(1.0, zeta) / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
            let cos = 1.0 / (1.0 + tan * tan).sqrt();
            let kept = x.clone();
            add(x, -tan, y);
            add(y, tan, &kept);
            [x, y].into_iter().for_each(|column| column.iter_mut().for_each(|value| *value *= cos));
        }
        if !turned {
            break;
        }
    }
    let mut values: Vec<f64> = Vec::with_capacity(n);
    for (j, column) in columns.iter().enumerate() {
        let value = norm(column);
        let at = values.iter().position(|&other| other < value).unwrap_or(j);
        values.insert(at, value);
    }
    values
}

/// Rounds of rotations, at most; a handful is usual.
const SWEEPS: usize = 30;
