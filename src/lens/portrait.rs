//! The state portrait: where the state goes in the course of a sequence, and where it would come to rest.

use super::inspection::{Inspection, Query, Traced, memory, memory_of};
use super::poke::Following;
use super::vectors::{add, dot, norm};
use crate::error::Result;
use crate::rng::circle;
use crate::train::{LossAt, Session};

/// Points of all sequences together, at most, that a picture gets besides those of the sequence shown.
const POINTS: usize = 4096;

/// States that principal components are computed from, at most, and multiplications that they may take.
const STATES: usize = 512;
const WORK: usize = 30_000_000;

/// Arrows of the flow in each direction, and starts of the search for fixed points in each direction.
const ARROWS: usize = 15;
const STARTS: usize = 7;

/// States that are put through the map at once: those around each start, or the grid of the flow.
const COPIES: usize = 5 * STARTS * STARTS;

/// `x` and `y` `[T]` are the sequence's states on two axes, `others` `[S, 2, T]` those of other probe sequences, `reach` `[1]` the largest
/// coordinate, at least 1 where the axes are units, for H = 2. Above that they are the first two principal components of all
/// probe states: `axes` `[2, H]`, orthonormal, around `mean` `[1, H]`, with `share` `[1, 2]` of the variance.
///
/// For H = 2 and a cell with one state, what the layer would do with each state if it met the input of timestep t = `query.step` (by
/// default the last), with the other layers as they are there: `flow` `[n, 4]` holds h and F(h, x_t) on a grid, `fixed` `[n, 3]` the
/// fixed points h = F(h, x_t) and the largest modulus of an eigenvalue of ∂F/∂h there, below 1 where the point attracts; `at` `[1]` is t.
#[inline(never)]
pub(super) fn portrait(session: &mut Session, row: usize, of: Traced, query: Query, to: &mut Inspection) -> Result<()> {
    session.run_probe(LossAt::Task)?;
    let traced = &session.probe_program().rows[row];
    let view = if of == Traced::Memory { memory_of(session, traced) } else { traced.y };
    to.header.state = if of == Traced::Memory { memory(session).0.id } else { "h" };
    let states = session.engine().read_f64(view);
    let (n_steps, batch) = (session.probe_batch().n_steps, session.probe_batch().batch);
    let (h, cell) = (view.shape.columns(), session.model().cell);
    let t = query.step.unwrap_or(n_steps - 1).min(n_steps - 1);
    let has_flow = h == 2 && cell.states == 1 && cell.block().is_none();
    let following = has_flow.then(|| Following::new(session, query.sequence, t..t + 1, COPIES));

    let mut mean = vec![0.0; h];
    let mut axes = [vec![0.0; h], vec![0.0; h]];
    if h > 2 {
        let share = principal(&states, &mut mean, &mut axes);
        to.add("axes", "axes", &[2, h], &axes.concat());
        to.add("mean", "mean", &[1, h], &mean);
        to.add("share", "share of the variance", &[1, 2], &share);
    } else {
        (0..h).for_each(|unit| axes[unit][unit] = 1.0);
    }
    let mut places = Vec::new();
    let mut most = if h > 2 { 0.0 } else { 1.0_f64 };
    for n in 0..batch.min(1 + POINTS / n_steps) {
        // The sequence shown, then the others in their order.
        let b = if n == 0 { query.sequence } else { n - usize::from(n <= query.sequence) };
        for axis in &axes {
            for t in 0..n_steps {
                let place = dot(axis, &states[(t * batch + b) * h..][..h]) - dot(axis, &mean);
                most = most.max(place.abs());
                places.push(place);
            }
        }
    }
    let titles = if h > 2 { ["component 1", "component 2"] } else { ["unit 1", "unit 2"] };
    to.header.sequences = places.len() / (2 * n_steps);
    to.add("x", titles[0], &[n_steps], &places[..n_steps]);
    to.add("y", titles[1], &[n_steps], &places[n_steps..2 * n_steps]);
    to.add("others", "other sequences", &[to.header.sequences - 1, 2, n_steps], &places[2 * n_steps..]);
    to.add("reach", "reach", &[1], &[most]);
    if let Some(following) = following {
        let (flow, fixed) = flow(session, row, following, most)?;
        to.add("flow", "flow", &[flow.len() / 4, 4], &flow);
        to.add("fixed", "fixed points", &[fixed.len() / 3, 3], &fixed);
        to.add("at", "t", &[1], &[t as f64]);
    }
    Ok(())
}

/// The mean of states, their first two principal components, and their shares of the variance: orthogonal iteration.
fn principal(states: &[f64], mean: &mut [f64], axes: &mut [Vec<f64>; 2]) -> [f64; 2] {
    let h = mean.len();
    let total = states.len() / h;
    let kept = STATES.min(total);
    let mut sample: Vec<f64> = Vec::new();
    (0..kept).for_each(|n| sample.extend_from_slice(&states[n * total / kept * h..][..h]));
    sample.chunks_exact(h).for_each(|of| add(mean, 1.0 / kept as f64, of));
    sample.chunks_exact_mut(h).for_each(|of| add(of, -1.0, mean));
    // Any two vectors to begin with.
    (0..h)
        .for_each(|unit| (0..2).for_each(|axis| axes[axis][unit] = circle(0.16 * ((axis + 1) * (unit + 1)) as f64)[0]));
    let mut variance = [0.0; 2];
    for _ in 0..(WORK / (4 * kept * h)).clamp(20, 300) {
        let before = variance[1];
        for axis in 0..2 {
            let from = std::mem::replace(&mut axes[axis], vec![0.0; h]);
            sample.chunks_exact(h).for_each(|state| add(&mut axes[axis], dot(state, &from), state));
            variance[axis] = dot(&axes[axis], &from);
            if axis == 1 {
                let along = dot(&axes[0], &axes[1]);
                let [first, second] = &mut *axes;
                add(second, -along, first);
            }
            let size = norm(&axes[axis]);
            let scale = if size > 1e-12 * norm(&sample) { 1.0 / size } else { 0.0 };
            axes[axis].iter_mut().for_each(|value| *value *= scale);
        }
        if (variance[1] - before).abs() <= 1e-12 * variance[0] {
            break;
        }
    }
    let all = dot(&sample, &sample);
    variance.map(|of| if all > 0.0 { of / all } else { 0.0 })
}

/// Flow and fixed points of a layer of two units, see [`portrait`]. Fixed points by Newton's method from a grid of states, with
/// differences for the Jacobian.
fn flow(session: &mut Session, row: usize, mut following: Following, reach: f64) -> Result<(Vec<f64>, Vec<f64>)> {
    const ROUNDS: usize = 10;
    // As far apart as f32 needs for a slope.
    let apart = 4e-3 * reach;
    let mut points = Vec::new();
    let mut arrows = Vec::new();
    for (n, to) in [(STARTS, &mut points), (ARROWS, &mut arrows)] {
        let at = |k: usize| reach * (2.0 * (k as f64 + 0.5) / n as f64 - 1.0);
        to.extend((0..n * n).map(|k| [at(k % n), at(k / n)]));
    }
    let mut map = |states: &[[f64; 2]]| -> Result<Vec<f64>> {
        let of_row = &mut following.state0[row];
        of_row.fill(0.0);
        of_row.iter_mut().zip(states.as_flattened()).for_each(|(to, from)| *to = *from);
        let y = following.run(session)?.rows[row].y;
        Ok(session.engine().read_f64(y))
    };
    let mut flow = Vec::new();
    for (from, to) in arrows.iter().zip(map(&arrows)?.as_chunks::<2>().0) {
        flow.extend_from_slice(from);
        flow.extend_from_slice(to);
    }
    let mut fixed: Vec<f64> = Vec::new();
    let mut around = Vec::new();
    for round in 0..=ROUNDS {
        around.clear();
        for &[x, y] in &points {
            around.extend([[x, y], [x - apart, y], [x + apart, y], [x, y - apart], [x, y + apart]]);
        }
        for (at, of) in points.iter_mut().zip(map(&around)?.as_chunks::<10>().0) {
            let [a, b, c, d] =
                [(4, 2), (8, 6), (5, 3), (9, 7)].map(|(plus, minus)| (of[plus] - of[minus]) / (2.0 * apart));
            let (dx, dy) = (of[0] - at[0], of[1] - at[1]);
            if round == ROUNDS {
                let is_new = fixed
                    .as_chunks::<3>()
                    .0
                    .iter()
                    .all(|old| libm::hypot(old[0] - at[0], old[1] - at[1]) > 0.02 * reach);
                let is_inside = at[0].abs().max(at[1].abs()) <= 1.1 * reach;
                if is_new && is_inside && libm::hypot(dx, dy) < 1e-5 * reach {
                    let (half, determinant) = (0.5 * (a + d), a * d - b * c);
                    let root = half * half - determinant;
                    let modulus = if root < 0.0 { determinant.sqrt() } else { half.abs() + root.sqrt() };
                    fixed.extend_from_slice(&[at[0], at[1], modulus]);
                }
                continue;
            }
            // (I − J) · step = F(h) − h. Far away all is flat, and nothing leads back from there.
            let determinant = (1.0 - a) * (1.0 - d) - b * c;
            let step = [(1.0 - d) * dx + b * dy, (1.0 - a) * dy + c * dx];
            for (value, step) in at.iter_mut().zip(step) {
                *value = (*value + step / determinant).max(-1.5 * reach).min(1.5 * reach);
            }
        }
    }
    Ok((flow, fixed))
}
