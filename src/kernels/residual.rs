//! Residual blocks: how an architecture describes itself that is not a recurrence between two products.
//!
//! A stream of H features runs through the layers at every timestep, and each layer adds to it: y = x + f(x). What f mixes over time
//! (a scan, attention, a convolution) is its own business: it records calls. Ahead of the first block an embedding makes the stream;
//! behind the last, `leave` makes what the head reads. He et al. 2016 (arXiv:1512.03385); Vaswani et al. 2017 (arXiv:1706.03762).

use super::recurrence::{Body, Cell, Channel, Role, Slope, Source};
use super::{Call, copy};
use crate::options::Chosen;
use crate::shape::Tensor;

/// The sizes of a model, as its blocks see them.
#[derive(Clone, Copy, Debug)]
pub struct Sizes<'a> {
    /// T of what is recorded.
    pub n_steps: usize,
    /// B.
    pub batch: usize,
    /// H, the features of the stream.
    pub width: usize,
    /// L.
    pub layers: usize,
    /// k: which block.
    pub layer: usize,
    /// The largest T that the model is made for: that of its task.
    pub length: usize,
    /// In a stream, how many timesteps were read before those that are recorded; `None` where a sequence begins.
    pub read: Option<usize>,
    /// The architecture's own options.
    pub options: &'a Chosen,
}

/// What a parameter is before the first step.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// 0.
    Zeros,
    /// 1.
    Ones,
    /// N(0, σ²).
    Normal(f64),
    /// U(−a, a).
    Uniform(f64),
    /// A function of the place in the flat tensor and of a number from U(0, 1) drawn for it.
    Of(fn(&Sizes, usize, f64) -> f64),
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name, behind that of its block.
    pub name: &'static str,
    /// Extents.
    pub shape: Vec<usize>,
    /// What it is before the first step.
    pub start: Start,
}

impl Spec {
    /// A parameter.
    pub fn new(name: &'static str, shape: &[usize], start: Start) -> Self {
        Self { name, shape: shape.to_vec(), start }
    }
}

/// What a block records on.
pub trait Scribe {
    /// Memory between two calls.
    fn activation(&mut self, name: &str, shape: &[usize]) -> Tensor;
    /// Appends a call.
    fn record(&mut self, call: Call);
    /// A parameter, by the name in its [`Spec`].
    fn parameter(&self, name: &str) -> Tensor;
    /// Says what a stream hands on: `before` gets what `after` held when the timesteps before had been read, zeros at the beginning.
    fn hand_on(&mut self, before: Tensor, after: Tensor);
}

/// x `[T, B, W]` behind the last `count` timesteps before it, `[count + T, B, W]`: a stream hands them on, and the last `kept` of all.
/// Where a sequence begins, x alone.
pub fn behind(scribe: &mut dyn Scribe, sizes: &Sizes, x: Tensor, count: usize, kept: usize) -> Tensor {
    if sizes.read.is_none() {
        return x;
    }
    let all = count + sizes.n_steps;
    let whole = scribe.activation("earlier and now", &[all, sizes.batch, x.shape.columns()]);
    scribe.record(copy::forward(x, whole.outer(count, sizes.n_steps), false));
    scribe.hand_on(whole.outer(0, count), whole.outer(all - kept, kept));
    whole
}

/// How an architecture of residual blocks is built.
pub struct Block {
    /// The parameters of a block; `blocks.{k}.` stands before their names.
    pub parameters: fn(&Sizes) -> Vec<Spec>,
    /// Records y = x + f(x), both `[T, B, H]`, and returns what it keeps, in the order of [`super::recurrence::Cell::saved`], each
    /// `[T, B, ·]`. Where the cell has a second state, that is the first of these, and the call that writes it keeps its total adjoints
    /// ([`super::Tape::totals`]).
    ///
    /// In a stream ([`Sizes::read`]), whatever the next timestep needs must be handed on, by [`Scribe::hand_on`] or [`behind`].
    ///
    /// The stream is copied to y and added to there, so that the adjoint of y is that of the whole stream.
    pub record: fn(&mut dyn Scribe, &Sizes, x: Tensor, y: Tensor) -> Vec<Tensor>,
    /// How the embedding begins: its weight `[H, I]`; its bias begins with 0.
    pub embedding: Start,
    /// Parameters before the first block and behind the last, with their whole names.
    pub around: fn(&Sizes) -> Vec<Spec>,
    /// Changes the embedded input in place.
    pub enter: Option<fn(&mut dyn Scribe, &Sizes, x: Tensor)>,
    /// Records what the head reads, `[T, B, H]`, from the stream.
    pub leave: fn(&mut dyn Scribe, &Sizes, x: Tensor, y: Tensor),
    /// Says what is wrong with sizes and options that do not fit together: field, what was expected, what came.
    pub check: fn(&Sizes) -> Option<[String; 3]>,
}

/// What every scene of residual blocks begins with.
pub const STREAM: Channel = Channel {
    id: "h",
    title: "stream after the block",
    role: Role::State,
    range: None,
    source: Source::Output,
    state: Some(0),
};

/// The description of an architecture of residual blocks, without what only a recurrence has; its table entry fills in the rest.
pub const fn cell(block: Block) -> Cell {
    Cell {
        id: "",
        title: "",
        summary: "",
        equations: &[],
        sources: &[],
        options: &[],
        blocks: &[],
        gated: false,
        states: 1,
        keep: None,
        shares: None,
        overwrites: false,
        admit: None,
        emit: None,
        recurrent: &[],
        slope: |_| Slope { direct: 0.0, blocks: [0.0; 4], source: 0.0 },
        width: 0,
        saved: &[],
        channels: &[STREAM],
        body: Body::Residual(block),
        attention: None,
        absent: &[],
    }
}

/// [`Block::check`] of blocks whose option `heads` shares the features out: it must divide H.
pub fn check_heads(sizes: &Sizes) -> Option<[String; 3]> {
    let heads = sizes.options.integer("heads");
    let expected = || format!("a divisor of model.hidden, {}", sizes.width);
    (!sizes.width.is_multiple_of(heads)).then(|| ["model.heads".to_owned(), expected(), heads.to_string()])
}
