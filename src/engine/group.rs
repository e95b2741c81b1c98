//! The weight gradients of a step as one dispatch of the GPU.
//!
//! They are independent of each other, and each is a sum over timesteps and batch: C = Σ AᵀB over one or two pairs of factors, where B
//! may also be ones (a bias) or one-hot symbols. A bias is summed along with the weights that read the same A. A [`Group`] is a table of
//! such jobs for `shaders/group.wgsl`, cut into tiles of C that workgroups take in turns. Each workgroup also measures what it writes,
//! so that no dispatch reads the gradient again for its norm: the optimiser puts these parts together
//! ([`crate::kernels::update::coefficient`]).

use crate::graph::{ARENA, INDEX, PERSISTENT, Plan};
use crate::kernels::{Call, Rectangle, copy, fill, gather, norm, position, product, row_sum, update};
use crate::shape::Tensor;
use std::ops::Range;

/// The entry point of its shader, [`crate::kernels::GROUP_SHADER`].
pub const POINT: &str = "gradients";
/// What its dispatch is called.
pub const LABEL: &str = "group.gradients";

/// Side of the square of C that a workgroup computes.
const TILE: u32 = 64;
/// Rows of a C of at most [`FEW`] columns that a workgroup computes.
const THIN_ROWS: u32 = 16;
/// Columns of a thin C.
const FEW: u32 = 4;

/// What B is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// A matrix `[k, n]` in the arena: offset and stride.
    Matrix([u32; 2]),
    /// A column of ones.
    Ones,
    /// One row for each symbol, 1 at its place: offset in the index segment.
    OneHot(u32),
    /// One row for each timestep, as often as the batch has sequences, 1 at its place.
    Steps(u32),
}

/// Two factors of a sum: Aᵀ B.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// A, `[k, m]` in the arena: offset and stride.
    pub a: [u32; 2],
    /// B.
    pub b: Factor,
    /// Terms of the sum.
    pub k: u32,
}

/// One C, `[m, n]` in the persistent segment.
#[derive(Clone, Debug)]
pub struct Job {
    /// Rows.
    pub m: u32,
    /// Columns.
    pub n: u32,
    /// First element.
    pub c: u32,
    /// Elements between two rows and between two columns: a thin C may be computed in the other direction.
    pub strides: [u32; 2],
    /// What is summed; nothing for a C of zeros.
    pub pairs: Vec<Pair>,
    /// First elements of up to two vectors that receive Σ Aᵀ1: the biases whose weights these are.
    pub sums: [Option<u32>; 2],
    /// What it was recorded as.
    output: Tensor,
    is_swapped: bool,
}

/// The weight gradients of a plan.
#[derive(Clone, Debug)]
pub struct Group {
    /// The calls that it stands for; the last of them measures the norm.
    pub calls: Range<usize>,
    /// What it computes.
    pub jobs: Vec<Job>,
    /// Offset of the norm's result.
    pub norm: u32,
}

impl Job {
    fn new(output: Tensor, [m, n]: [u32; 2], is_swapped: bool) -> Self {
        let strides = if is_swapped { [1, output.stride] } else { [output.stride, 1] };
        Self { m, n, c: output.offset, strides, pairs: Vec::new(), sums: [None; 2], output, is_swapped }
    }

    /// Rows and columns of a tile of C.
    fn tile(&self) -> [u32; 2] {
        match self.n {
            0..=FEW => [THIN_ROWS, FEW],
            _ => [TILE, TILE],
        }
    }

    /// Tiles of C.
    pub fn tiles(&self) -> u32 {
        let [rows, columns] = self.tile();
        self.m.div_ceil(rows) * self.n.div_ceil(columns)
    }
}

impl Group {
    /// The weight gradients of a plan, if all of them can be grouped: calls of `calls` side by side up to the one that measures the norm.
    pub fn of(plan: &Plan, calls: Range<usize>) -> Option<Self> {
        let is_norm = |call: &Call| std::ptr::eq(call.entry, &norm::FORWARD);
        let end = calls.start + plan.calls()[calls.clone()].iter().position(is_norm)?;
        let measure = &plan.calls()[end];
        let gradient = measure.tensor(0);
        let range = gradient.offset..gradient.offset + gradient.shape.len() as u32;
        let is_gradient = |tensor: Tensor| tensor.buffer == PERSISTENT && range.contains(&tensor.offset);
        let start = plan.calls()[calls.start..end].iter().position(|call| call.written().any(is_gradient))?;
        let start = calls.start + start;
        let mut jobs = Vec::new();
        for call in &plan.calls()[start..end] {
            if !call.written().all(is_gradient) {
                return None;
            }
            add(&mut jobs, call)?;
        }
        let jobs = with_sums(jobs);
        Some(Self { calls: start..end + 1, jobs, norm: measure.tensor(2).offset })
    }

    /// Tiles of all jobs.
    pub fn tiles(&self) -> u32 {
        self.jobs.iter().map(Job::tiles).sum()
    }

    /// Workgroups: each measures a part of the gradient.
    pub fn workgroups(&self) -> u32 {
        self.tiles().clamp(1, update::PARTS as u32)
    }

    /// Bytes of all factors and of what is written, once each.
    pub fn bytes(&self) -> u64 {
        let pair = |job: &Job, pair: &Pair| {
            let columns = if matches!(pair.b, Factor::Matrix(_)) { job.n } else { 0 };
            let symbols = u32::from(matches!(pair.b, Factor::OneHot(_)));
            u64::from(pair.k) * u64::from(job.m + columns + symbols)
        };
        let written = |job: &Job| u64::from(job.m) * (u64::from(job.n) + job.sums.iter().flatten().count() as u64);
        let job = |job: &Job| written(job) + job.pairs.iter().map(|of| pair(job, of)).sum::<u64>();
        4 * self.jobs.iter().map(job).sum::<u64>()
    }

    /// The table of the shader: for each job its first tile, m, n, c, both strides, its first and last pair, and both sums;
    /// then for each pair the offset and stride of A and of B, and k. Ones have neither, one-hot symbols no stride, and
    /// timesteps, instead of an offset, the batch as stride.
    pub fn table(&self) -> Vec<u32> {
        let (mut jobs, mut pairs, mut tile) = (Vec::new(), Vec::<Pair>::new(), 0);
        for job in &self.jobs {
            let first = pairs.len() as u32;
            pairs.extend(&job.pairs);
            let [rows, columns] = job.strides;
            jobs.extend([tile, job.m, job.n, job.c, rows, columns, first, pairs.len() as u32]);
            jobs.extend(job.sums.map(|sum| sum.unwrap_or(u32::MAX)));
            tile += job.tiles();
        }
        for pair in pairs {
            let [b, stride] = match pair.b {
                Factor::Matrix(place) => place,
                Factor::Ones => [u32::MAX, 0],
                Factor::OneHot(symbols) => [symbols, 0],
                Factor::Steps(batch) => [u32::MAX, batch],
            };
            jobs.extend([pair.a[0], pair.a[1], b, stride, pair.k]);
        }
        jobs
    }

    /// The plain twin of the shader: the sums of all jobs, on the segments of a memory. The norm is left to its call.
    pub fn reference(&self, persistent: &mut [f32], arena: &[f32], index: &[u32]) {
        for job in &self.jobs {
            for (i, j) in (0..job.m).flat_map(|i| (0..job.n).map(move |j| (i, j))) {
                let mut sum = 0.0;
                for pair in &job.pairs {
                    for l in 0..pair.k {
                        let a = arena[(pair.a[0] + l * pair.a[1] + i) as usize];
                        sum += a * match pair.b {
                            Factor::Matrix([b, stride]) => arena[(b + l * stride + j) as usize],
                            Factor::Ones => 1.0,
                            Factor::OneHot(symbols) => f32::from(u8::from(index[(symbols + l) as usize] == j)),
                            Factor::Steps(batch) => f32::from(u8::from(l / batch == j)),
                        };
                    }
                }
                persistent[(job.c + i * job.strides[0] + j * job.strides[1]) as usize] = sum;
            }
            for (first, i) in job.sums.into_iter().flatten().flat_map(|first| (0..job.m).map(move |i| (first, i))) {
                let rows = job.pairs.iter().flat_map(|pair| (0..pair.k).map(move |l| pair.a[0] + l * pair.a[1]));
                persistent[(first + i) as usize] = rows.map(|row| arena[(row + i) as usize]).sum();
            }
        }
    }
}

fn place(tensor: Tensor) -> [u32; 2] {
    [tensor.offset, tensor.stride]
}

/// Adds what a call computes to the table; `None` when it is nothing that a job can be.
fn add(jobs: &mut Vec<Job>, call: &Call) -> Option<()> {
    let is = |entry| std::ptr::eq(call.entry, entry);
    if is(&product::FORWARD) {
        let params: product::Params = call.params();
        let (a, b, c) = (call.tensor(0), call.tensor(1), call.tensor(2));
        let fits = params.a_transposed == 1 && params.b_transposed == 0 && call.operands[3].is_none();
        if !fits || a.buffer != ARENA || b.buffer != ARENA {
            return None;
        }
        let is_swapped = params.m <= FEW && params.n > FEW;
        let size = if is_swapped { [params.n, params.m] } else { [params.m, params.n] };
        let (a, b) = if is_swapped { (b, a) } else { (a, b) };
        let pair = Pair { a: place(a), b: Factor::Matrix(place(b)), k: params.k };
        return sum(jobs, Job::new(c, size, is_swapped), pair, params.accumulate);
    }
    if is(&row_sum::FORWARD) {
        let params: Rectangle = call.params();
        let (x, y) = (call.tensor(0), call.tensor(1));
        if x.buffer != ARENA {
            return None;
        }
        // A vector is a column here.
        let column = Tensor { stride: 1, ..y };
        let pair = Pair { a: place(x), b: Factor::Ones, k: params.rows };
        return sum(jobs, Job::new(column, [params.columns, 1], false), pair, params.accumulate);
    }
    if is(&gather::BACKWARD) {
        let params: gather::Params = call.params();
        let (symbols, d_y, d_w) = (call.tensor(0), call.tensor(1), call.tensor(2));
        if symbols.buffer != INDEX || d_y.buffer != ARENA {
            return None;
        }
        let pair = Pair { a: place(d_y), b: Factor::OneHot(symbols.offset), k: params.rows };
        return sum(jobs, Job::new(d_w, [params.n, params.vocabulary], false), pair, params.accumulate);
    }
    if is(&position::BACKWARD) {
        let params: position::Params = call.params();
        let (d_y, d_weight) = (call.tensor(0), call.tensor(1));
        if d_y.buffer != ARENA {
            return None;
        }
        let pair = Pair { a: place(d_y), b: Factor::Steps(params.batch), k: params.n_steps * params.batch };
        return sum(jobs, Job::new(d_weight, [params.columns, params.positions], true), pair, params.accumulate);
    }
    if is(&fill::FORWARD) {
        let tensor = call.tensor(0);
        let size = [tensor.shape.rows() as u32, tensor.shape.columns() as u32];
        if !fill::is_zero(call) {
            return None;
        }
        jobs.push(Job::new(tensor, size, false));
        return Some(());
    }
    if is(&copy::FORWARD) {
        let (x, y) = (call.tensor(0), call.tensor(1));
        // What another job computes is computed again, for jobs do not wait for each other.
        let of = jobs.iter().find(|job| job.output.offset == x.offset && job.output.shape.len() == x.shape.len())?;
        let is_vector = of.n == 1 && call.params::<Rectangle>().accumulate == 0;
        let again = Job { c: y.offset, output: Tensor { stride: 1, ..y }, ..of.clone() };
        jobs.push(again);
        return is_vector.then_some(());
    }
    None
}

/// A new job, or one pair more of the job that has the same C.
fn sum(jobs: &mut Vec<Job>, job: Job, pair: Pair, accumulate: u32) -> Option<()> {
    let same = |other: &&mut Job| {
        let is_same = [other.m, other.n, other.c] == [job.m, job.n, job.c] && other.strides == job.strides;
        is_same && other.is_swapped == job.is_swapped
    };
    let job = match accumulate {
        0 => {
            jobs.push(job);
            jobs.last_mut()
        }
        _ => jobs.iter_mut().find(same),
    }?;
    job.pairs.push(pair);
    Some(())
}

/// The jobs, with each sum of rows in a job that reads the same rows anyway, where there is one.
fn with_sums(jobs: Vec<Job>) -> Vec<Job> {
    let is_sum = |job: &Job| !job.pairs.is_empty() && job.pairs.iter().all(|pair| pair.b == Factor::Ones);
    let (sums, mut others): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(is_sum);
    for sum in sums {
        let rows = |job: &Job| job.pairs.iter().map(|pair| (pair.a, pair.k)).collect::<Vec<_>>();
        let fits = |job: &&mut Job| job.m == sum.m && rows(job) == rows(&sum);
        let free = others.iter_mut().find(fits).and_then(|job| job.sums.iter_mut().find(|sum| sum.is_none()));
        match free {
            Some(place) => *place = Some(sum.c),
            None => others.push(sum),
        }
    }
    others
}
