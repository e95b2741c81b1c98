//! The state portrait: where the state goes in the course of a sequence, and where it would come to rest.

use super::inspection::{Inspection, Query, Traced, memory, memory_of, reading_order};
use super::spectrum::orthogonal;
use super::vectors::{add, dot, norm};
use crate::error::Result;
use crate::nn::eigenvalues;
use crate::shape::{Shape, Tensor};
use crate::tasks::Input;
use crate::train::{LossAt, Row, Session};
use nalgebra::DMatrix;

/// Points of all sequences together, at most, that a picture gets besides the sequence shown.
const POINTS: usize = 4096;

/// States that principal components are computed from, at most.
const STATES: usize = 1024;

/// Arrows of the flow in each direction, and starts of the search for fixed points in each direction.
const ARROWS: usize = 15;
const STARTS: usize = 9;

/// `x` and `y` `[T]` are the sequence's states on two axes, `others` `[S, 2, T]` those of other probe sequences, `reach` `[1]` the largest
/// coordinate that the picture should have room for. The axes are the two units where H = 2. Above that they are the first two principal
/// components of all probe states: `axes` `[2, H]`, orthonormal, around `mean` `[1, H]`, with `share` `[1, 2]` of the variance.
///
/// For H = 2 and a cell with one state, what the layer would do with each state if it met the input of timestep t = `query.step` (by
/// default the last), with the other layers as they are there: `flow` `[n, 4]` holds h and F(h, x_t) on a grid, `fixed` `[n, 3]` the
/// fixed points h = F(h, x_t) and the largest modulus of an eigenvalue of ∂F/∂h there, below 1 where the point attracts; `at` `[1]` is t.
#[inline(never)]
pub(super) fn portrait(session: &mut Session, row: usize, of: Traced, query: Query, to: &mut Inspection) -> Result<()> {
    session.run_probe(LossAt::Task)?;
    let traced = &session.probe_program().rows[row];
    let view = if of == Traced::Memory { memory_of(session, traced) } else { traced.y };
    let states = session.engine().read_f64(view);
    let (n_steps, batch, h) = (session.probe_batch().n_steps, session.probe_batch().batch, session.model().hidden);
    let state = |t: usize, b: usize| &states[(t * batch + b) * h..][..h];
    let name = if of == Traced::Memory { memory(session).0.id } else { "h" };
    to.header.state = name;

    let mut mean = vec![0.0; h];
    let mut axes = [vec![0.0; h], vec![0.0; h]];
    if h <= 2 {
        (0..h).for_each(|unit| axes[unit][unit] = 1.0);
    } else {
        let (total, kept) = (n_steps * batch, STATES.min(n_steps * batch));
        let mut sample: Vec<Vec<f64>> = (0..kept).map(|n| states[n * total / kept * h..][..h].to_vec()).collect();
        sample.iter().for_each(|of| add(&mut mean, 1.0 / kept as f64, of));
        sample.iter_mut().for_each(|of| add(of, -1.0, &mean));
        let share = principal(&sample, &mut axes);
        to.add("axes", "axes", &[2, h], &axes.concat());
        to.add("mean", "mean", &[1, h], &mean);
        to.add("share", "share of the variance", &[1, 2], &share);
    }
    let place = |t: usize, b: usize, axis: usize| dot(&axes[axis], state(t, b)) - dot(&axes[axis], &mean);
    let path = |b: usize, axis: usize| -> Vec<f64> { (0..n_steps).map(|t| place(t, b, axis)).collect() };
    let mut all = Vec::new();
    for (axis, id) in ["x", "y"].into_iter().enumerate() {
        let title = if h > 2 { format!("component {}", axis + 1) } else { format!("{name} of unit {}", axis + 1) };
        all.push(path(query.sequence, axis));
        to.add(id, &title, &[n_steps], &all[axis]);
    }
    let sequences: Vec<usize> = (0..batch).filter(|&b| b != query.sequence).take(POINTS / n_steps).collect();
    let others = sequences.iter().flat_map(|&b| [path(b, 0), path(b, 1)]).collect::<Vec<_>>().concat();
    to.add("others", "other sequences", &[sequences.len(), 2, n_steps], &others);
    // The whole range of a state that has one, where the axes are units.
    let channel = session.model().cell.channels.iter().find(|channel| channel.id == name);
    let range = channel.and_then(|channel| session.model().range(channel)).filter(|_| h <= 2);
    let least = range.map_or(1e-6, |range| f64::from(range[1]));
    let reach = all.concat().iter().chain(&others).fold(least, |most: f64, value| most.max(value.abs()));
    to.add("reach", "reach", &[1], &[reach]);
    to.header.sequences = sequences.len() + 1;
    if h == 2 && session.model().cell.states == 1 {
        let t = query.step.unwrap_or(n_steps - 1).min(n_steps - 1);
        let map = Map::at(session, row, query.sequence, t);
        let flow = map.flow(session, reach)?;
        to.add("flow", "flow", &[flow.len() / 4, 4], &flow);
        let fixed = map.fixed_points(session, reach)?;
        to.add("fixed", "fixed points", &[fixed.len() / 3, 3], &fixed);
        to.add("at", "t", &[1], &[t as f64]);
    }
    Ok(())
}

/// Writes the first two principal components of centred states, and gives their shares of the variance: orthogonal iteration with a few
/// vectors more than are wanted, then the eigenvectors within their span. Exact for up to eight units.
fn principal(sample: &[Vec<f64>], axes: &mut [Vec<f64>; 2]) -> [f64; 2] {
    const BLOCK: usize = 8;
    const ROUNDS: usize = 30;
    let h = axes[0].len();
    let start = |i: usize| (0..h).map(|j| libm::cos(((i + 1) * (j + 1)) as f64)).collect();
    let mut basis: Vec<Vec<f64>> = (0..BLOCK.min(h)).map(start).collect();
    let mut mapped = basis.clone();
    for _ in 0..ROUNDS {
        basis.clone_from(&mapped);
        orthonormalise(&mut basis);
        for (to, from) in mapped.iter_mut().zip(&basis) {
            to.fill(0.0);
            sample.iter().for_each(|state| add(to, dot(state, from), state));
        }
    }
    // The columns of a symmetric matrix, turned until they are orthogonal, are its eigenvectors times their eigenvalues.
    let mut within: Vec<Vec<f64>> =
        mapped.iter().map(|column| basis.iter().map(|of| dot(of, column)).collect()).collect();
    orthogonal(&mut within);
    within.sort_by(|a, b| norm(b).total_cmp(&norm(a)));
    let total: f64 = sample.iter().map(|state| dot(state, state)).sum();
    let mut share = [0.0; 2];
    for ((axis, share), of) in axes.iter_mut().zip(&mut share).zip(&within) {
        let size = norm(of);
        if size > 0.0 {
            basis.iter().zip(of).for_each(|(vector, part)| add(axis, part / size, vector));
            *share = size / total;
        }
    }
    share
}

/// Gram and Schmidt, twice each; a vector that the others span becomes zero.
fn orthonormalise(vectors: &mut [Vec<f64>]) {
    for i in 0..vectors.len() {
        let (before, rest) = vectors.split_at_mut(i);
        let vector = &mut rest[0];
        let size = norm(vector);
        for other in before.iter().chain(before.iter()) {
            let along = dot(vector, other);
            add(vector, -along, other);
        }
        let left = norm(vector);
        let scale = if left > 1e-10 * size { 1.0 / left } else { 0.0 };
        vector.iter_mut().for_each(|value| *value *= scale);
    }
}

/// What a layer of two units makes of its state when it meets the input of one timestep.
struct Map {
    row: usize,
    features: Vec<f32>,
    symbols: Vec<u32>,
    /// The state before that timestep, for each row.
    before: Vec<Vec<f64>>,
}

impl Map {
    /// Reads the slots of the probe.
    fn at(session: &Session, row: usize, sequence: usize, t: usize) -> Self {
        let (input, probe, hidden) = (session.form().input, session.probe_batch(), session.model().hidden);
        let at = t * probe.batch + sequence;
        let before = |of: &Row| {
            let order = reading_order(probe.n_steps, of.reverse);
            let place = order.iter().position(|&step| step == t).unwrap_or(0);
            if place == 0 {
                return vec![0.0; hidden];
            }
            let y = of.y.outer(order[place - 1], 1);
            let one = Tensor { offset: y.offset + sequence as u32 * y.stride, shape: Shape::new(&[1, hidden]), ..y };
            session.engine().read_f64(one)
        };
        let before = session.probe_program().rows.iter().map(before).collect();
        match input {
            Input::Features(n) => {
                let features = probe.features[at * n..][..n].to_vec();
                Self { row, features, symbols: Vec::new(), before }
            }
            Input::Symbols(_) => Self { row, features: Vec::new(), symbols: vec![probe.symbols[at]], before },
        }
    }

    /// F of some states, `[n, 2]`.
    fn apply(&self, session: &mut Session, states: &[f64]) -> Result<Vec<f64>> {
        let n = states.len() / 2;
        let mut state0: Vec<Vec<f64>> = self.before.iter().map(|state| state.repeat(n)).collect();
        state0[self.row] = states.to_vec();
        let program = session.run_stretch([1, n], &self.features.repeat(n), &self.symbols.repeat(n), &state0)?;
        let y = program.rows[self.row].y;
        Ok(session.engine().read_f64(y))
    }

    /// h and F(h) on a grid, `[n, 4]`.
    fn flow(&self, session: &mut Session, reach: f64) -> Result<Vec<f64>> {
        let from = grid(ARROWS, reach);
        let to = self.apply(session, &from)?;
        Ok(from.chunks_exact(2).zip(to.chunks_exact(2)).flat_map(|(a, b)| [a[0], a[1], b[0], b[1]]).collect())
    }

    /// Fixed points and the largest modulus of an eigenvalue of their Jacobians, `[n, 3]`: Newton's method from a grid of states, with
    /// differences for the Jacobian.
    fn fixed_points(&self, session: &mut Session, reach: f64) -> Result<Vec<f64>> {
        const ROUNDS: usize = 10;
        /// As far apart as f32 needs for a slope.
        const APART: f64 = 4e-3;
        let mut points = grid(STARTS, reach);
        let mut found: Vec<f64> = Vec::new();
        for round in 0..=ROUNDS {
            let five = |at: &[f64]| {
                let [x, y] = [at[0], at[1]];
                [x, y, x - APART, y, x + APART, y, x, y - APART, x, y + APART]
            };
            let around: Vec<f64> = points.chunks_exact(2).flat_map(five).collect();
            let images = self.apply(session, &around)?;
            for (at, of) in points.chunks_exact_mut(2).zip(images.chunks_exact(10)) {
                let slope = |plus: usize, minus: usize| (of[plus] - of[minus]) / (2.0 * APART);
                let [a, b, c, d] = [slope(4, 2), slope(8, 6), slope(5, 3), slope(9, 7)];
                let [dx, dy] = [of[0] - at[0], of[1] - at[1]];
                let is_new = || {
                    found.chunks_exact(3).all(|other| libm::hypot(other[0] - at[0], other[1] - at[1]) > 0.02 * reach)
                };
                if round == ROUNDS {
                    let is_still = libm::hypot(dx, dy) < 1e-5 * reach && at[0].abs().max(at[1].abs()) <= 1.1 * reach;
                    if is_still && is_new() {
                        let values = eigenvalues(&DMatrix::from_row_slice(2, 2, &[a, b, c, d])).unwrap_or_default();
                        let most = values.iter().map(|z| libm::hypot(z[0], z[1])).fold(0.0, f64::max);
                        found.extend([at[0], at[1], most]);
                    }
                    continue;
                }
                // (I − J) · step = F(h) − h.
                let (p, s) = (1.0 - a, 1.0 - d);
                let determinant = p * s - b * c;
                at[0] += (s * dx + b * dy) / determinant;
                at[1] += (p * dy + c * dx) / determinant;
                // Far away all is flat, and a step from there leads nowhere.
                at.iter_mut().for_each(|value| *value = value.clamp(-1.5 * reach, 1.5 * reach));
            }
        }
        Ok(found)
    }
}

/// A square of states, `[n², 2]`.
fn grid(n: usize, reach: f64) -> Vec<f64> {
    let at = |k: usize| reach * (2.0 * (k as f64 + 0.5) / n as f64 - 1.0);
    (0..n * n).flat_map(|k| [at(k % n), at(k / n)]).collect()
}
