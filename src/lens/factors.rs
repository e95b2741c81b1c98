//! The factor chain: what makes up the size of one step's Jacobian.

use super::inspection::{Inspection, memory_of, reading_order, sequence_of};
use super::vectors::{add, dot, norm};
use crate::error::Result;
use crate::kernels::recurrence::{Slope, Unit};
use crate::nn::Model;
use crate::train::{LossAt, Row, Session};

/// The sizes of all steps, each `[T]`; NaN at the step that the row reads first.
pub(super) struct Chain {
    /// ‖∂m_t/∂m_{t−1}‖_F / √H: the gain of a gradient of random direction.
    pub step: Vec<f64>,
    /// ‖diag(direct)‖_F / √H: past all weights.
    pub direct: Vec<f64>,
    /// Of what is left: through the weights.
    pub through: Vec<f64>,
    /// Mean over the units of |slope of the nonlinearity|, for a cell without a keep gate.
    pub slope: Vec<f64>,
    /// ‖W_hh‖_F / √H.
    pub weight: f64,
}

/// `step` `[T]` is ‖∂m_t/∂m_{t−1}‖_F / √H, the root-mean-square gain of a gradient on its way from t to t−1.
///
/// A cell without a keep gate: step = `weight` · `saturation` exactly, weight = ‖W_hh‖_F / √H and saturation the root mean square of
/// φ′(a_t), each unit weighted by its row of W_hh; `slope` is the plain mean of |φ′|. ρ for W_hh = ρQ and φ = identity.
///
/// A gated cell: ∂m_t/∂m_{t−1} = diag(gate) + rest; `gate` is the root mean square of the keep gate, `rest` the gain of what passes
/// through the weights, and |gate − rest| ≤ step ≤ gate + rest. For an LSTM m = c, and o_{t−1} is held.
///
/// `means` holds the geometric mean over the steps of each of these series, in their order.
#[inline(never)]
pub(super) fn factors(session: &mut Session, row: usize, sequence: usize, to: &mut Inspection) -> Result<()> {
    session.run_probe(LossAt::Task)?;
    let chain = chain(session, &session.probe_program().rows[row], sequence);
    let m = to.header.state;
    let t = [chain.step.len()];
    to.add("step", &format!("‖∂{m}_t/∂{m}_t₋₁‖"), &t, &chain.step);
    let mut means = vec![geometric_mean(&chain.step)];
    match session.model().cell.keep {
        None => {
            let weight = vec![chain.weight; t[0]];
            let saturation: Vec<f64> = chain.step.iter().map(|step| step / chain.weight).collect();
            to.add("weight", "weights ‖W_hh‖", &t, &weight);
            to.add("saturation", "saturation φ′, weighted", &t, &saturation);
            to.add("slope", "mean |φ′|", &t, &chain.slope);
            means.extend([&weight, &saturation, &chain.slope].map(|of| geometric_mean(of)));
        }
        Some(_) => {
            let kept = session.model().cell.kept().expect("a keep gate");
            to.add("gate", &format!("keep gate {kept}"), &t, &chain.direct);
            to.add("rest", "through the weights", &t, &chain.through);
            means.extend([&chain.direct, &chain.through].map(|of| geometric_mean(of)));
        }
    }
    to.add("means", "geometric means", &[means.len()], &means);
    Ok(())
}

/// exp of the mean of ln, over the steps that are defined.
fn geometric_mean(values: &[f64]) -> f64 {
    let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    libm::exp(known.iter().map(|&value| libm::log(value)).sum::<f64>() / known.len() as f64)
}

/// The sizes of all steps of one probe sequence, whose slots have just been written.
#[inline(never)]
pub(super) fn chain(session: &Session, row: &Row, sequence: usize) -> Chain {
    let model = session.model();
    let (n_steps, h, blocks) = (session.probe_batch().n_steps, model.hidden, model.cell.recurrent.len());
    let recurrent = !model.cell.recurrent.is_empty();
    let weight = match recurrent {
        true => session.parameter(&format!("rnn.weight_hh{}", Model::suffix(row.layer, row.reverse))),
        false => Vec::new(),
    };
    let states = sequence_of(session, memory_of(session, row), sequence);
    let gates = row.gates.map(|gates| sequence_of(session, gates, sequence)).unwrap_or_default();
    let width = if gates.is_empty() { 0 } else { model.cell.width };
    let mut line = vec![0.0; h];
    let unknown = || vec![f64::NAN; n_steps];
    let (mut step, mut direct, mut through, mut slope) = (unknown(), unknown(), unknown(), unknown());
    let order = reading_order(n_steps, row.reverse);
    for pair in order.windows(2) {
        let (before, t) = (pair[0], pair[1]);
        let at = |t: usize, unit: usize| {
            let mut of = [0.0; 4];
            (0..width).for_each(|block| of[block] = gates[t * width * h + block * h + unit]);
            of
        };
        let unit = |j: usize| Unit {
            gates: at(t, j),
            gates_before: at(before, j),
            state: states[t * h + j],
            before: states[before * h + j],
            nonlinearity: model.nonlinearity(),
        };
        let slopes: Vec<Slope> = (0..h).map(|j| (model.cell.slope)(&unit(j))).collect();
        let (mut all, mut past, mut rest, mut bent) = (0.0, 0.0, 0.0, 0.0);
        for (i, of) in slopes.iter().enumerate() {
            // Row i of the Jacobian.
            line.fill(0.0);
            (0..blocks).for_each(|k| add(&mut line, of.blocks[k], &weight[(k * h + i) * h..][..h]));
            line.iter_mut().zip(&slopes).for_each(|(entry, from)| *entry *= from.source);
            rest += dot(&line, &line);
            line[i] += of.direct;
            all += dot(&line, &line);
            past += of.direct * of.direct;
            bent += of.blocks[0].abs();
        }
        let gain = |sum: f64| (sum / h as f64).sqrt();
        (step[t], direct[t], through[t], slope[t]) = (gain(all), gain(past), gain(rest), bent / h as f64);
    }
    let weight = norm(&weight) / (h as f64).sqrt();
    Chain { step, direct, through, slope, weight }
}
