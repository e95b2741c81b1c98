//! Networks: layers and architectures, as graphs.
//!
//! Floor 4. [`ARCHITECTURES`] lists the cells and the residual blocks; a [`Model`] stacks one, knows the names, shapes and places of its
//! parameters (PyTorch's, so that a state dict loads unchanged), and records its forward pass. [`INITS`] lists the initialisations. Knows
//! no data and no optimiser.

mod decoder;
mod init;

pub use decoder::{Attention, DECODERS, Decoder, bahdanau, bahdanau_memory, luong};
pub use init::{INITS, Init, InitSpec, Initial, eigenvalues, find_init, spectral_radius};

use crate::graph::Graph;
use crate::kernels::Call;
use crate::kernels::recurrence::{Cell, Channel, Layer, Params};
use crate::kernels::residual::{Block, Scribe, Sizes, Spec, Start};
use crate::kernels::{carry, copy, gather, product};
use crate::options::{Chosen, Kind};
use crate::shape::Tensor;

/// Declares a module for each architecture of residual blocks, and the table.
macro_rules! architectures {
    (with { $($block:ident)* } cells { $($cell:ident)* } others { $($stem:ident)* }) => {
        $(pub mod $block;)*

        /// Every architecture: the cells of the kernels, and the residual blocks.
        pub static ARCHITECTURES: &[&Cell] = &[$(&crate::kernels::$cell::CELL,)* $(&$block::CELL,)*];
    };
}

unroll_base::stems! {
    architectures
    transformer
    mamba
    retnet
    rwkv
}

/// The architectures of recurrent layers.
pub fn cells() -> impl Iterator<Item = &'static Cell> {
    crate::kernels::CELLS.iter().copied()
}

/// The architecture of an id.
pub fn find(id: &str) -> Option<&'static Cell> {
    ARCHITECTURES.iter().copied().find(|cell| cell.id == id)
}

/// A named tensor in the flat vector of all parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// PyTorch's name, such as `rnn.weight_ih_l0`.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// First element in the flat vector.
    pub offset: usize,
}

impl Parameter {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a model sees at each timestep, in a graph.
#[derive(Clone, Copy, Debug)]
pub enum Inputs {
    /// `[T, B, I]`.
    Features(Tensor),
    /// `[T, B]` symbols, fed as one-hot vectors.
    Symbols(Tensor),
}

/// A stack of layers of one architecture with a linear head: the `torch.nn.Module` with members `rnn` and `head`, or with `embed`,
/// `blocks`, `norm` and `head` where the layers are residual blocks.
#[derive(Clone, Debug)]
pub struct Model {
    /// The cell.
    pub cell: &'static Cell,
    /// Options of the cell.
    pub options: Chosen,
    /// I, or V for symbols.
    pub inputs: usize,
    /// H.
    pub hidden: usize,
    /// L.
    pub layers: usize,
    /// D = 2 when true.
    pub bidirectional: bool,
    /// O.
    pub outputs: usize,
    /// W: the adjoint of the state is cut every W steps, counted from the end.
    pub window: Option<usize>,
    /// The largest T that it is made for: that of its task.
    pub length: usize,
    /// The second half of an encoder-decoder, if it is one.
    pub decoder: Option<Decoder>,
}

/// One layer and direction, as recorded: what a scene can show. An encoder-decoder has two of each, one after the other in time.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its first timestep.
    pub first: usize,
    /// k of `_l{k}`.
    pub layer: usize,
    /// True for the direction from the end to the start.
    pub reverse: bool,
    /// h, `[T, B, H]`, or as many timesteps as it computes.
    pub y: Tensor,
    /// What else the cell keeps, in the order of [`Cell::saved`].
    pub saved: Vec<Tensor>,
    /// Its gates, until the backward pass; those of a recurrent layer.
    pub gates: Option<Tensor>,
}

/// All layers, as recorded.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Lowest layer first.
    pub rows: Vec<Recorded>,
    /// What the head reads, `[T, B, D·H]`.
    pub read: Tensor,
    /// `[U, B, S]`: the weights with which each step of a decoder reads the source, where it has attention.
    pub alignment: Option<Tensor>,
    /// What a stream hands on, where one was recorded: what is written ahead of a timestep, and what is read behind the one before.
    pub handed_on: Vec<(Tensor, Tensor)>,
}

impl Recorded {
    /// State `index` at every timestep, `[T, B, H]`: h, then c.
    pub fn state(&self, index: usize) -> Tensor {
        if index == 0 { self.y } else { self.saved[index - 1] }
    }
}

/// A block's view of a graph.
struct BlockScribe<'a> {
    graph: &'a mut Graph,
    bound: &'a Bound,
    /// What stands before the names of its parameters.
    prefix: String,
    handed_on: &'a mut Vec<(Tensor, Tensor)>,
}

impl Scribe for BlockScribe<'_> {
    fn activation(&mut self, name: &str, shape: &[usize]) -> Tensor {
        self.graph.activation(&format!("{}{name}", self.prefix), shape)
    }

    fn record(&mut self, call: Call) {
        self.graph.record(call);
    }

    fn parameter(&self, name: &str) -> Tensor {
        self.bound.get(&format!("{}{name}", self.prefix))
    }

    fn hand_on(&mut self, before: Tensor, after: Tensor) {
        self.handed_on.push((before, after));
    }
}

/// Where a model finds its parameters in a graph.
pub struct Bound {
    tensors: Vec<(String, Tensor)>,
}

impl Bound {
    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Tensor {
        self.find(name).unwrap_or_else(|| panic!("no parameter {name}"))
    }

    /// The tensor of a name, if the model has it.
    pub fn find(&self, name: &str) -> Option<Tensor> {
        self.tensors.iter().find(|(n, _)| n == name).map(|(_, tensor)| *tensor)
    }
}

impl Model {
    /// The interval that a channel's values lie in, if there is one: an Elman state without tanh has none.
    pub fn range(&self, channel: &Channel) -> Option<[f32; 2]> {
        let bounded = !self.options.has("nonlinearity") || self.options.choice("nonlinearity") == "tanh";
        channel.range.filter(|_| bounded)
    }

    /// The chosen one of the cell's nonlinearities, by number; 0 for a cell without a choice.
    pub fn nonlinearity(&self) -> u32 {
        let option = self.cell.options.iter().find(|option| option.name == "nonlinearity");
        let Some(Kind::Choice { among, .. }) = option.map(|option| option.kind) else { return 0 };
        let chosen = self.options.choice("nonlinearity");
        among.iter().position(|(id, _)| *id == chosen).expect("checked by its option") as u32
    }

    /// True when a network that begins in the middle of a sequence needs no more than the states before it.
    pub fn hands_on(&self) -> bool {
        self.cell.block().is_none() && self.decoder.is_none()
    }

    /// True when it can read one timestep after the other, without seeing the end of the sequence.
    pub fn streams(&self) -> bool {
        !self.bidirectional && self.decoder.is_none()
    }

    /// D.
    pub fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// What the first layer of a stack, or of that of a parameter, reads at each timestep: I, and the context of Bahdanau attention.
    fn fed(&self, stack: &str) -> usize {
        let has_context = self.decoder.is_some_and(|decoder| decoder.attention == Attention::Bahdanau);
        self.inputs + if has_context && stack.starts_with("decoder") { self.hidden } else { 0 }
    }

    /// Suffix of the names of a layer and direction.
    pub fn suffix(layer: usize, reverse: bool) -> String {
        format!("_l{layer}{}", if reverse { "_reverse" } else { "" })
    }

    /// Every layer and direction, in PyTorch's order.
    pub fn rows(&self) -> impl Iterator<Item = (usize, bool)> {
        let directions = self.directions();
        (0..self.layers * directions).map(move |row| (row / directions, row % directions == 1))
    }

    /// What the blocks of a residual architecture see: block `layer` of a pass over T timesteps of B sequences.
    fn sizes(&self, layer: usize, [n_steps, batch]: [usize; 2]) -> Sizes<'_> {
        let Self { hidden: width, layers, length, ref options, .. } = *self;
        Sizes { n_steps, batch, width, layers, layer, length, read: None, options }
    }

    /// Says what is wrong with sizes and options that do not fit together: field, what was expected, what came.
    pub fn misfit(&self) -> Option<[String; 3]> {
        self.misfit_of(self.length)
    }

    /// The same for sequences of another length than the task's.
    pub fn misfit_of(&self, n_steps: usize) -> Option<[String; 3]> {
        (self.cell.block()?.check)(&self.sizes(0, [n_steps, 1]))
    }

    /// The longest sequence that it can read; `None` where there is no end.
    pub fn longest(&self) -> Option<usize> {
        let fits = |n_steps| self.misfit_of(n_steps).is_none();
        // Nobody streams a million timesteps; who can read those has no end.
        let (mut fit, mut misfit) = (self.length, 1 << 20);
        if fits(misfit) {
            return None;
        }
        while misfit - fit > 1 {
            let middle = usize::midpoint(fit, misfit);
            *(if fits(middle) { &mut fit } else { &mut misfit }) = middle;
        }
        Some(fit)
    }

    /// The parameters of an architecture of residual blocks, with the block that each belongs to.
    fn specs(&self, block: &Block) -> Vec<(usize, String, Spec)> {
        let sizes = |layer| self.sizes(layer, [self.length, 1]);
        let whole = |spec: Spec| (0, spec.name.to_owned(), spec);
        let mut specs = vec![
            whole(Spec::new("embed.weight", &[self.hidden, self.inputs], block.embedding)),
            whole(Spec::new("embed.bias", &[self.hidden], Start::Zeros)),
        ];
        for layer in 0..self.layers {
            let named = |spec: Spec| (layer, format!("blocks.{layer}.{}", spec.name), spec);
            specs.extend((block.parameters)(&sizes(layer)).into_iter().map(named));
        }
        specs.extend((block.around)(&sizes(0)).into_iter().map(whole));
        specs
    }

    /// Names, shapes and places of the parameters, in PyTorch's order.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (g, h, d) = (self.cell.blocks.len(), self.hidden, self.directions());
        let mut parameters = Vec::new();
        let mut offset = 0;
        let mut add = |name: String, shape: &[usize]| {
            let parameter = Parameter { name, shape: shape.to_vec(), offset };
            offset += parameter.len();
            parameters.push(parameter);
        };
        if let Some(block) = self.cell.block() {
            self.specs(block).into_iter().for_each(|(_, name, spec)| add(name, &spec.shape));
        }
        let stacks = ["rnn"].into_iter().chain(self.decoder.map(|_| "decoder"));
        let recurrent_rows = stacks.flat_map(|stack| self.rows().map(move |row| (stack, row)));
        for (stack, (layer, reverse)) in recurrent_rows.filter(|_| self.cell.block().is_none()) {
            let suffix = Self::suffix(layer, reverse);
            let inputs = if layer == 0 { self.fed(stack) } else { d * h };
            add(format!("{stack}.weight_ih{suffix}"), &[g * h, inputs]);
            let recurrent = !self.cell.recurrent.is_empty();
            if recurrent {
                add(format!("{stack}.weight_hh{suffix}"), &[g * h, h]);
            }
            add(format!("{stack}.bias_ih{suffix}"), &[g * h]);
            if recurrent {
                add(format!("{stack}.bias_hh{suffix}"), &[g * h]);
            }
        }
        for (name, shape) in self.decoder.iter().flat_map(|decoder| decoder.parameters(h)) {
            add(name.to_owned(), &shape);
        }
        add("head.weight".to_owned(), &[self.outputs, d * h]);
        add("head.bias".to_owned(), &[self.outputs]);
        parameters
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.parameters().last().map_or(0, |last| last.offset + last.len())
    }

    /// A model always has parameters.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Declares the parameters in a graph, at their places in the persistent segment: values from its start, gradients from `gradients`.
    pub fn bind(&self, graph: &mut Graph, places: &[usize], gradients: usize) -> Bound {
        let declare = |(p, place): (Parameter, &usize)| {
            let tensor = graph.parameter(&p.name, &p.shape, *place, gradients + place);
            (p.name, tensor)
        };
        Bound { tensors: self.parameters().into_iter().zip(places).map(declare).collect() }
    }

    /// Declares the parameters in a graph whose loss is not differentiated by them.
    pub fn bind_fixed(&self, graph: &mut Graph, places: &[usize]) -> Bound {
        let declare = |(p, place): (Parameter, &usize)| {
            let tensor = graph.persistent(&p.name, &p.shape, *place);
            (p.name, tensor)
        };
        Bound { tensors: self.parameters().into_iter().zip(places).map(declare).collect() }
    }

    /// Records all layers. `state0` holds, per layer and direction, the initial states `[S, B, H]`, or is empty for zeros; residual blocks
    /// begin with zeros.
    pub fn layers(&self, graph: &mut Graph, bound: &Bound, x: Inputs, size: [usize; 2], state0: &[Tensor]) -> Pass {
        match (self.cell.block(), self.cell.time_loop()) {
            (Some(block), _) => self.stream(block, graph, bound, x, size, None),
            (None, Some(time_loop)) => {
                if let Some(decoder) = &self.decoder {
                    return decoder.record(self, time_loop, graph, bound, x, size);
                }
                let rows = self.recur(time_loop, graph, bound, "rnn", x, size, state0, None);
                let last = rows.last().expect("a model has a layer").y;
                let read = graph.whole(last.buffer);
                Pass { rows, read, alignment: None, handed_on: Vec::new() }
            }
            (None, None) => unreachable!("a layer is one or the other"),
        }
    }

    /// As [`Model::layers`], in a stream that has `read` so many timesteps.
    pub fn layers_after(&self, graph: &mut Graph, bound: &Bound, x: Inputs, size: [usize; 2], read: usize) -> Pass {
        if let Some(block) = self.cell.block() {
            return self.stream(block, graph, bound, x, size, Some(read));
        }
        let (states, [n_steps, batch]) = (self.cell.states, size);
        let shape = [states, batch, self.hidden];
        let state0: Vec<Tensor> = self.rows().map(|_| graph.slot("initial state", &shape)).collect();
        let mut pass = self.layers(graph, bound, x, size, &state0);
        for (row, state0) in pass.rows.iter().zip(state0) {
            let pair = |index| (state0.outer(index, 1), row.state(index).outer(n_steps - 1, 1));
            pass.handed_on.extend((0..states).map(pair));
        }
        pass
    }

    /// Records the embedding and all residual blocks.
    fn stream(
        &self,
        block: &Block,
        graph: &mut Graph,
        bound: &Bound,
        x: Inputs,
        [n_steps, batch]: [usize; 2],
        read: Option<usize>,
    ) -> Pass {
        let shape = [n_steps, batch, self.hidden];
        let mut stream = graph.activation("embedded input", &shape);
        let (weight, bias) = (bound.get("embed.weight"), bound.get("embed.bias"));
        graph.record(match x {
            Inputs::Features(x) => {
                product::linear(product::plain(x.flat()), product::transposed(weight), bias, stream.flat())
            }
            Inputs::Symbols(symbols) => gather::linear(symbols, weight, bias, stream),
        });
        let (mut rows, mut pairs) = (Vec::new(), Vec::new());
        let handed_on = &mut pairs;
        for layer in 0..self.layers {
            let sizes = Sizes { read, ..self.sizes(layer, [n_steps, batch]) };
            if let Some(enter) = block.enter.filter(|_| layer == 0) {
                enter(&mut BlockScribe { graph, bound, prefix: String::new(), handed_on }, &sizes, stream);
            }
            let y = graph.activation(&format!("stream after layer {layer}"), &shape);
            let mut scribe = BlockScribe { graph, bound, prefix: format!("blocks.{layer}."), handed_on };
            let saved = (block.record)(&mut scribe, &sizes, stream, y);
            rows.push(Recorded { first: 0, layer, reverse: false, y, saved, gates: None });
            stream = y;
        }
        let normalised = graph.activation("normalised stream", &shape);
        let sizes = self.sizes(self.layers, [n_steps, batch]);
        (block.leave)(&mut BlockScribe { graph, bound, prefix: String::new(), handed_on }, &sizes, stream, normalised);
        Pass { rows, read: normalised, alignment: None, handed_on: pairs }
    }

    /// Records all recurrent layers, with the parameters of a stack of them. The first one reads a context, too, where there is one.
    #[allow(clippy::too_many_arguments)]
    fn recur(
        &self,
        time_loop: fn(&Layer) -> Call,
        graph: &mut Graph,
        bound: &Bound,
        stack: &str,
        x: Inputs,
        [n_steps, batch]: [usize; 2],
        state0: &[Tensor],
        context: Option<Tensor>,
    ) -> Vec<Recorded> {
        let (g, h, d) = (self.cell.blocks.len(), self.hidden, self.directions());
        let nonlinearity = self.nonlinearity();
        let mut rows = Vec::new();
        let mut x = x;
        for layer in 0..self.layers {
            let output = graph.activation(&format!("h of layer {layer}"), &[n_steps, batch, d * h]);
            for direction in 0..d {
                let suffix = Self::suffix(layer, direction == 1);
                let parameter = |name: &str| bound.get(&format!("{stack}.{name}{suffix}"));
                let gates =
                    graph.activation(&format!("gates of layer {layer}"), &[n_steps, batch, self.cell.width * h]);
                let (input, whole) = (gates.columns(0, g * h), parameter("weight_ih"));
                let context = context.filter(|_| layer == 0);
                let fed = whole.shape.columns() - context.map_or(0, |context| context.shape.columns());
                let weight = whole.columns(0, fed);
                graph.record(match x {
                    Inputs::Features(x) => product::linear(
                        product::plain(x.flat()),
                        product::transposed(weight),
                        parameter("bias_ih"),
                        input.flat(),
                    ),
                    Inputs::Symbols(symbols) => gather::linear(symbols, weight, parameter("bias_ih"), input),
                });
                if let Some(context) = context {
                    let weight = product::transposed(whole.columns(fed, context.shape.columns()));
                    graph.record(product::forward(product::plain(context.flat()), weight, input.flat(), true));
                }
                let save = |name: &&str| graph.activation(&format!("{name} of layer {layer}"), &[n_steps, batch, h]);
                let saved: Vec<_> = self.cell.saved.iter().map(save).collect();
                let y = output.columns(direction * h, h);
                let params = Params {
                    n_steps: n_steps as u32,
                    batch: batch as u32,
                    hidden: h as u32,
                    reverse: direction as u32,
                    window: self.window.unwrap_or(0) as u32,
                    nonlinearity,
                    silent: 0,
                    fresh: 0,
                    first: 0,
                    end: n_steps as u32,
                };
                graph.record(time_loop(&Layer {
                    gates,
                    weight_hh: bound.find(&format!("{stack}.weight_hh{suffix}")),
                    bias_hh: bound.find(&format!("{stack}.bias_hh{suffix}")),
                    state0: state0.get(layer * d + direction).copied(),
                    y,
                    saved: saved.clone(),
                    params,
                }));
                rows.push(Recorded { first: 0, layer, reverse: direction == 1, y, saved, gates: Some(gates) });
            }
            x = Inputs::Features(output);
        }
        rows
    }

    /// Records the linear head on `h` `[…, D·H]`; returns `[…, O]`.
    pub fn head(&self, graph: &mut Graph, bound: &Bound, h: Tensor, output: Tensor) {
        let weight = product::transposed(bound.get("head.weight"));
        graph.record(product::linear(product::plain(h.flat()), weight, bound.get("head.bias"), output.flat()));
    }

    /// Records the initial states from carried ones: per row `[S, B, H]`, zero where `starts` is 1.
    pub fn carried(&self, graph: &mut Graph, carried: &[Tensor], starts: Tensor) -> Vec<Tensor> {
        let (states, batch) = (self.cell.states, starts.shape.len());
        let row = |&from: &Tensor| {
            let s0 = graph.activation("carried state", &[states, batch, self.hidden]);
            graph.record(carry::forward(from, starts, s0));
            s0
        };
        carried.iter().map(row).collect()
    }

    /// Records the copies of the last states, to carry them to the next batch.
    pub fn keep(&self, graph: &mut Graph, rows: &[Recorded], carried: &[Tensor]) {
        for (row, &to) in rows.iter().zip(carried) {
            for state in 0..self.cell.states {
                let all = row.state(state);
                let last = if row.reverse { 0 } else { all.shape.extent(0) - 1 };
                graph.record(copy::forward(all.outer(last, 1), to.outer(state, 1), false));
            }
        }
    }
}
