//! What the fused recurrences share: their sizes, the order of time, truncation, and the description of a cell.
//!
//! A recurrent layer is one product over all timesteps for the input part, one kernel that owns the time loop, and products
//! over all timesteps for the weight gradients. A cell supplies the pointwise step and its adjoint, and describes itself for
//! menus, pictures and initialisation.

use super::residual::Block;
use super::simd;
use super::{Call, Real, Rows, RowsMut, Tape};
use crate::options::{Chosen, OptionSpec};
use crate::shape::Tensor;
use bytemuck::{Pod, Zeroable};

/// Rows of the batch that one workgroup of the shaders owns.
pub const ROWS: u32 = 8;

/// Sizes and switches of every recurrence.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// T.
    pub n_steps: u32,
    /// B.
    pub batch: u32,
    /// H.
    pub hidden: u32,
    /// 1: time runs from T − 1 to 0.
    pub reverse: u32,
    /// W: the adjoint of the state is cut every W steps, counted from the end; 0 for never.
    pub window: u32,
    /// Elman: 0 tanh, 1 ReLU, 2 identity.
    pub nonlinearity: u32,
    /// Backwards: timesteps at the start whose output nobody reads. `d_y` is `[T − silent, B, H]`, for those after them.
    pub silent: u32,
    /// Backwards: 1 when nobody reads the states after the last step, so that `d_state` enters as zero, whatever it holds.
    pub fresh: u32,
    /// First step of the part of the loop that is computed.
    pub first: u32,
    /// The step after its last one: T for the whole loop. Backwards, the loop runs from here to `first`.
    pub end: u32,
}

impl Params {
    /// The timestep that is computed as number `step`.
    #[inline]
    pub fn time(&self, step: usize) -> usize {
        if self.reverse == 0 { step } else { self.n_steps as usize - 1 - step }
    }

    /// Operations of the products of a time loop with `blocks` blocks of H units, in either direction.
    pub fn flop(&self, blocks: usize) -> u64 {
        let hidden = u64::from(self.hidden);
        2 * self.steps().len() as u64 * u64::from(self.batch) * blocks as u64 * hidden * hidden
    }

    /// The steps that are computed, in the order of the forward pass.
    #[inline]
    pub fn steps(&self) -> std::ops::Range<usize> {
        self.first as usize..self.end as usize
    }

    /// True when the adjoint does not pass from `step` to the one before it.
    #[inline]
    pub fn is_cut(&self, step: usize) -> bool {
        self.window > 0 && step > 0 && (self.n_steps as usize - step).is_multiple_of(self.window as usize)
    }

    /// The row of `d_y` for row `row` of the output, if anybody reads that.
    #[inline]
    pub fn reads<'a, F: Copy>(&self, d_y: &Rows<'a, F>, row: usize) -> Option<&'a [F]> {
        row.checked_sub((self.silent * self.batch) as usize).map(|row| d_y.row(row))
    }

    /// The start of a backward pass: adjoints of states that nobody reads are zero.
    pub fn start<F: Real>(&self, d_state: &mut RowsMut<F>) {
        if self.fresh == 1 && self.end == self.n_steps {
            d_state.data.fill(F::ZERO);
        }
    }
}

/// The operands of one recurrent layer and direction, as a model hands them over.
#[derive(Clone, Debug)]
pub struct Layer {
    /// `[T, B, W·H]`: the input part of the pre-activations with `bias_ih` in its first G blocks; a gated cell turns it into its gates.
    pub gates: Tensor,
    /// `[G·H, H]`, for a cell whose gates read the state.
    pub weight_hh: Option<Tensor>,
    /// `[G·H]`, beside it.
    pub bias_hh: Option<Tensor>,
    /// `[S, B, H]`, or `None` for zeros.
    pub state0: Option<Tensor>,
    /// h at every timestep, `[T, B, H]`; its rows may be apart.
    pub y: Tensor,
    /// What else the forward pass keeps, in the order of [`Cell::saved`].
    pub saved: Vec<Tensor>,
    /// Sizes and switches.
    pub params: Params,
}

/// What a channel of a scene shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Signed state.
    State,
    /// 0 to 1.
    Gate,
    /// What a gate lets in.
    Candidate,
}

/// Where the values of a channel lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The output h.
    Output,
    /// A block of the gates.
    Gates {
        /// Columns `block·H .. (block + 1)·H`.
        block: usize,
    },
    /// Something else that the forward pass keeps.
    Saved {
        /// Index in [`Cell::saved`].
        tensor: usize,
    },
}

/// One quantity per timestep and unit that a scene can show.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// h, c, i, f, g, o, r, z, n.
    pub id: &'static str,
    /// Title for people.
    pub title: &'static str,
    /// What it is.
    pub role: Role,
    /// The interval that its values lie in, if there is one.
    pub range: Option<[f32; 2]>,
    /// Where its values lie.
    pub source: Source,
    /// Index of the state whose total adjoint ∂L/∂s_t is taken, if it is one.
    pub state: Option<usize>,
}

/// One unit at one timestep: m is the state that carries the memory, c of an LSTM, else h.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unit {
    /// Its gates, in the order of [`Layer::gates`].
    pub gates: [f64; 4],
    /// Its gates one step before.
    pub gates_before: [f64; 4],
    /// m_t.
    pub state: f64,
    /// m_{t−1}.
    pub before: f64,
    /// As [`Params::nonlinearity`].
    pub nonlinearity: u32,
}

/// The share of one unit in ∂m_t/∂m_{t−1} = diag(direct) + Σ_k diag(blocks_k) W_k diag(source), over the blocks W_k of `weight_hh`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slope {
    /// Past all weights: the open keep gate.
    pub direct: f64,
    /// From each pre-activation of this unit to its m_t.
    pub blocks: [f64; 4],
    /// From its m_{t−1} to the h_{t−1} that the weights read, with the gates of t−1 held.
    pub source: f64,
}

/// A recurrent cell. An entry of the architecture table.
pub struct Cell {
    /// Kebab-case id.
    pub id: &'static str,
    /// Title in menus.
    pub title: &'static str,
    /// One or two sentences.
    pub summary: &'static str,
    /// LaTeX.
    pub equations: &'static [&'static str],
    /// Papers, with DOI or arXiv number.
    pub sources: &'static [&'static str],
    /// Options of its own, read beside those of every model.
    pub options: &'static [OptionSpec],
    /// Name of each block of `weight_ih`, in PyTorch's order. G is their number.
    pub blocks: &'static [&'static str],
    /// True when the blocks are gates with names to show.
    pub gated: bool,
    /// S: 1 for h, 2 for h and c.
    pub states: usize,
    /// The block whose open gate keeps the state (f of the LSTM, z of the GRU).
    pub keep: Option<usize>,
    /// Names of what is kept and of what is admitted, where they share one whole between them.
    pub shares: Option<[&'static str; 2]>,
    /// True when the gate that this block is named after is the other one, 1 − kept, as z of the minGRU: its bias shuts what keeps.
    pub overwrites: bool,
    /// The block whose open gate lets new content in, where it is a gate of its own (i of the LSTM).
    pub admit: Option<usize>,
    /// The block whose open gate lets the memory out, where it is a gate of its own (o of the LSTM).
    pub emit: Option<usize>,
    /// For each block of `weight_hh`, the block of [`Layer::gates`] whose adjoint is that of its product. Empty when there is no such
    /// weight: the gates read the input alone.
    pub recurrent: &'static [usize],
    /// The slope of one step, for one unit.
    pub slope: fn(&Unit) -> Slope,
    /// W, at least G: blocks of [`Layer::gates`].
    pub width: usize,
    /// What the forward pass keeps beside h and the gates, each `[T, B, H]`.
    pub saved: &'static [&'static str],
    /// What a scene can show.
    pub channels: &'static [Channel],
    /// What a layer is made of.
    pub body: Body,
    /// The weights with which each timestep reads the others, if it does.
    pub attention: Option<Attention>,
    /// Ids of panels whose picture has no meaning here, each with a sentence: what there is in its place.
    pub absent: &'static [(&'static str, &'static str)],
}

/// From what the layer keeps of one sequence, each `[T, ·]` in the order of [`Cell::saved`], T and the options: for each head a matrix
/// `[T, T]`, row t the timestep that reads.
pub type Attention = fn(&[Vec<f64>], usize, &Chosen) -> Vec<Vec<f64>>;

/// What a layer is made of.
pub enum Body {
    /// A product over all timesteps for the input part, the fused kernel of the time loop, products for the weight gradients.
    Recurrent(fn(&Layer) -> Call),
    /// A residual block.
    Residual(Block),
}

impl Cell {
    /// The kernel of the time loop, for a recurrent layer.
    pub fn time_loop(&self) -> Option<fn(&Layer) -> Call> {
        match self.body {
            Body::Recurrent(forward) => Some(forward),
            Body::Residual(_) => None,
        }
    }

    /// The block, for an architecture of residual blocks.
    pub fn block(&self) -> Option<&Block> {
        match &self.body {
            Body::Recurrent(_) => None,
            Body::Residual(block) => Some(block),
        }
    }

    /// Name of what the keep gate keeps.
    pub fn kept(&self) -> Option<&'static str> {
        Some(self.shares.map_or(self.blocks[self.keep?], |[kept, _]| kept))
    }

    /// The block of `weight_hh` that makes new content: that of the candidate, or the only one.
    pub fn candidate(&self) -> usize {
        let of = |channel: &Channel| match (channel.role, channel.source) {
            (Role::Candidate, Source::Gates { block }) => Some(block),
            _ => None,
        };
        self.channels.iter().find_map(of).unwrap_or(0)
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// h₀ of row `b` is row `b` of the state operand; c₀ is row `B + b`.
#[inline]
pub fn initial<'a, F: Copy>(state0: &Option<Rows<'a, F>>, row: usize) -> Option<&'a [F]> {
    state0.as_ref().map(|state| state.row(row))
}

/// The rows of the timestep before and of this one, in one buffer. `before` is `None` at the first step.
pub fn split<'a, F>(rows: &'a mut RowsMut<'_, F>, params: &Params, step: usize) -> (Option<&'a [F]>, &'a mut [F]) {
    let block = params.batch as usize * rows.stride;
    let now = params.time(step) * block;
    match (step, params.reverse) {
        (0, _) => (None, &mut rows.data[now..]),
        (_, 0) => {
            let (before, current) = rows.data.split_at_mut(now);
            (Some(&before[now - block..]), current)
        }
        _ => {
            let (current, before) = rows.data.split_at_mut(now + block);
            (Some(&*before), &mut current[now..])
        }
    }
}

/// Σ_k w[k]·h[k], the plain way.
pub fn dot<F: Real>(w: &[F], h: &[F]) -> F {
    let mut sum = F::ZERO;
    for (&w, &h) in w.iter().zip(h) {
        sum += w * h;
    }
    sum
}

/// ∂L/∂y as far as anybody reads the output: `[T − silent, B, H]`, and the parameters with that number. `None` when nobody does.
pub fn d_y(tape: &mut dyn Tape, params: &Params, y: Tensor) -> Option<(Tensor, Params)> {
    let (d_y, silent) = tape.tail(y)?;
    Some((d_y, Params { silent: silent as u32, ..*params }))
}

/// The adjoint of the states after the last step: what reads them, or zero. Returns the buffer that the backward kernel
/// turns into the adjoint of the initial states, and the parameters that say what it holds.
///
/// `others` holds, for states beyond h, the tensor `[T, B, H]` whose row of the last step may have readers.
pub fn d_state(tape: &mut dyn Tape, params: &Params, states: usize, others: &[Tensor]) -> (Tensor, Params) {
    use crate::shape::Shape;
    let (batch, hidden) = (params.batch as usize, params.hidden as usize);
    let d_state = tape.temporary("d_state", Shape::new(&[states, batch, hidden]));
    let last = params.time(params.n_steps as usize - 1);
    let read: Vec<_> = others.iter().map(|state| tape.adjoint(state.outer(last, 1))).collect();
    let fresh = read.iter().all(Option::is_none);
    if !fresh {
        tape.record(super::fill::forward(d_state, 0.0));
    }
    for (index, d_last) in read.into_iter().enumerate() {
        if let Some(d_last) = d_last {
            tape.record(super::copy::forward(d_last, d_state.outer(index + 1, 1), true));
        }
    }
    (d_state, Params { fresh: u32::from(fresh), ..*params })
}

/// The parts of a time loop, each of at most `steps` steps, in the order in which they run.
pub fn parts(call: &Call, steps: u32) -> Vec<Call> {
    let params: Params = call.params();
    let mut parts: Vec<Call> = (params.first..params.end)
        .step_by(steps.max(1) as usize)
        .map(|first| call.with(Params { first, end: (first + steps).min(params.end), ..params }))
        .collect();
    if call.entry.label.ends_with(".backward") {
        parts.reverse();
    }
    parts
}

/// Adds the products of the recurrent weight. `d_a` holds the adjoints of the pre-activations, `[T, B, n]` for the first n rows of the
/// weight, then for those after them, and so on: ∂L/∂W += Σ_t d_aᵀ h_{t−1} and ∂L/∂b += Σ_t d_a.
pub fn weight_gradients(
    tape: &mut dyn Tape,
    params: &Params,
    [weight, bias]: [Tensor; 2],
    d_a: &[Tensor],
    y: Tensor,
    h0: Option<Tensor>,
) {
    use super::product::{forward as product, plain, transposed};
    let n = params.n_steps as usize;
    let d_weight = tape.contribute(weight);
    let d_bias = tape.contribute(bias);
    let mut first = 0;
    for d_a in d_a {
        let rows = d_a.shape.columns();
        if let Some((d_weight, mut accumulate)) = d_weight {
            let d_weight = d_weight.outer(first, rows);
            if n > 1 {
                let (later, earlier) = if params.reverse == 0 { (1, 0) } else { (0, 1) };
                let d_a = d_a.outer(later, n - 1).flat();
                let h_prev = y.outer(earlier, n - 1).flat();
                tape.record(product(transposed(d_a), plain(h_prev), d_weight, accumulate));
                accumulate = true;
            }
            if let Some(h0) = h0 {
                let d_a = d_a.outer(params.time(0), 1).flat();
                tape.record(product(transposed(d_a), plain(h0.flat()), d_weight, accumulate));
            } else if n == 1 && !accumulate {
                tape.record(super::fill::forward(d_weight, 0.0));
            }
        }
        if let Some((d_bias, accumulate)) = d_bias {
            tape.record(super::row_sum::forward(d_a.flat(), d_bias.outer(first, rows), accumulate));
        }
        first += rows;
    }
}

/// Flushes the first `rows` rows of an adjoint.
pub fn flush_rows(state: &mut RowsMut<f32>, rows: usize) {
    for b in 0..rows {
        simd::each([], [state.row(b)], [], |[], [d]| ([simd::flush(d)], []));
    }
}

/// The weight of a recurrence, packed once a call, with room for the left factor of a step. Its columns are in `P` parts, whose products
/// have places of their own.
pub struct StepProduct<'a, const P: usize = 1> {
    terms: usize,
    columns: [usize; P],
    parts: [&'a mut [f32]; P],
    left: &'a mut [f32],
}

impl<'a, const P: usize> StepProduct<'a, P> {
    /// Elements of scratch memory.
    pub fn scratch(batch: usize, terms: usize, columns: [usize; P]) -> usize {
        let parts: usize = columns.iter().map(|&columns| simd::packed_len(terms, columns)).sum();
        parts + simd::packed_left_len(batch, terms)
    }

    /// Packs `weight`, `[terms, Σ columns]`.
    pub fn new(
        weight: simd::Strided,
        batch: usize,
        terms: usize,
        columns: [usize; P],
        scratch: &mut &'a mut [f32],
    ) -> Self {
        let mut first = 0;
        let parts = columns.map(|columns| {
            let packed = simd::take(scratch, simd::packed_len(terms, columns));
            let weight = simd::Strided { data: &weight.data[first * weight.columns..], ..weight };
            simd::pack(weight, 0, terms, columns, packed);
            first += columns;
            packed
        });
        Self { terms, columns, parts, left: simd::take(scratch, simd::packed_left_len(batch, terms)) }
    }

    /// Takes the left factor from columns of `rows`, span after span: where one begins, and its terms.
    pub fn read(&mut self, batch: usize, rows: &[f32], stride: usize, spans: &[[usize; 2]]) {
        let mut at = 0;
        for &[first, terms] in spans {
            simd::pack_left_part(rows, stride, first, terms, batch, self.left, [at, self.terms]);
            at += terms;
        }
    }

    /// Left factor · a part of the weight, or added to what is there, for `batch` rows.
    pub fn write(&self, part: usize, batch: usize, to: simd::Target) {
        simd::multiply_packed(batch, self.columns[part], self.terms, self.left, self.parts[part], to);
    }
}

impl StepProduct<'_> {
    /// rows · weight, or added to what is there, for `batch` rows.
    pub fn run(&mut self, batch: usize, rows: &[f32], stride: usize, to: simd::Target) {
        self.read(batch, rows, stride, &[[0, self.terms]]);
        self.write(0, batch, to);
    }
}
