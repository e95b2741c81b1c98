//! Programs: a plan for one purpose and one size, with the slots that go in and come out.

use super::optimisers::{OptimiserSpec, Vectors};
use crate::graph::{Graph, Mark, Plan};
use crate::kernels::{copy, cross_entropy, mean_squared_error, norm, update};
use crate::nn::{Inputs, Model, Recorded};
use crate::shape::{Shape, Tensor};
use crate::tasks::{Form, Input, Target};

/// Where the losses of the probe count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossAt {
    /// As in training.
    Task,
    /// At the last timestep.
    Last,
    /// At every timestep that has a target.
    All,
    /// At one timestep.
    Step(usize),
}

/// The persistent segment: what outlives a run.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Offset of each parameter: a multiple of 64 elements, so that no two share a binding of WebGPU.
    pub places: Vec<usize>,
    /// Elements of all parameters, gaps included. What lies in the gaps is 0 and stays so.
    pub parameters: usize,
    /// Offset of the gradient.
    pub gradient: usize,
    /// Offsets of the optimiser's moments.
    pub moments: [usize; 2],
    /// Offset of the carried states: per layer and direction `[S, B, H]`.
    pub carried: usize,
    /// Offset of the hyperparameters.
    pub hyper: usize,
    /// Offset of the norm, the clip coefficient and the largest element.
    pub norm: usize,
    /// Length of the segment.
    pub len: usize,
}

impl Layout {
    /// The segment of a model with batches of B sequences. Parts begin at multiples of 64 elements.
    pub fn new(model: &Model, batch: usize) -> Self {
        fn part(len: &mut usize, elements: usize) -> usize {
            let start = *len;
            *len += elements.next_multiple_of(64);
            start
        }
        let mut len = 0;
        let places: Vec<usize> = model.parameters().iter().map(|parameter| part(&mut len, parameter.len())).collect();
        let parameters = len;
        let mut part = |elements: usize| part(&mut len, elements);
        let gradient = part(parameters);
        let moments = [part(parameters), part(parameters)];
        let carried = part(model.rows().count() * model.cell.states * batch * model.hidden);
        let hyper = part(update::HYPER);
        let norm = part(update::NORM);
        Self { places, parameters, gradient, moments, carried, hyper, norm, len }
    }
}

/// What a program is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Training steps on the task's batches, and evaluation by their first part.
    Train {
        /// Read and keep the carried states.
        carry: bool,
    },
    /// Forward, backward and update on a caller's batch, with ∂L/∂h kept.
    Caller,
    /// Forward and backward without weight gradients; every timestep is scored, every channel and ∂L/∂h kept.
    Probe,
}

/// One layer and direction of a program; all tensors are planned.
#[derive(Clone, Debug)]
pub struct Row {
    /// k of `_l{k}`.
    pub layer: usize,
    /// True for the direction from the end to the start.
    pub reverse: bool,
    /// h, `[T, B, H]`.
    pub y: Tensor,
    /// What else the cell keeps.
    pub saved: Vec<Tensor>,
    /// `[T, B, W·H]`: its gates, where they are kept.
    pub gates: Option<Tensor>,
    /// `[T, B, W·H]`: the adjoints of the pre-activations, where they are kept.
    pub d_gates: Option<Tensor>,
    /// `[S, T, B, H]`: total adjoints of the states, where they are kept.
    pub totals: Option<Tensor>,
}

/// The slots for the target.
#[derive(Clone, Copy, Debug)]
pub enum TargetSlot {
    /// `[N]` classes.
    Classes(Tensor),
    /// `[N, O]` values.
    Values(Tensor),
}

/// A plan with its slots.
#[derive(Clone, Debug)]
pub struct Program {
    /// The plan.
    pub plan: Plan,
    /// T.
    pub n_steps: usize,
    /// B.
    pub batch: usize,
    /// True when only the last timestep is scored: N = B, else N = T·B.
    pub last_only: bool,
    /// Features or symbols.
    pub inputs: Inputs,
    /// Classes or values.
    pub target: TargetSlot,
    /// `[N]`: weights of the loss.
    pub weight: Tensor,
    /// `[B]`: 1 where the state starts at zero, if states are carried.
    pub starts: Option<Tensor>,
    /// `[N, O]`: logits or values.
    pub output: Tensor,
    /// `[N, V]`, for classes.
    pub probabilities: Option<Tensor>,
    /// ∂L/∂output, `[N, O]`, where it is kept.
    pub d_output: Option<Tensor>,
    /// `[N]`.
    pub losses: Tensor,
    /// Loss, accuracy, Σ of the weights.
    pub result: Tensor,
    /// Lowest layer first.
    pub rows: Vec<Row>,
}

/// A plan without a loss: forward, and backward from adjoints of the output that the caller writes. The parameters are fixed.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// The plan.
    pub plan: Plan,
    /// B.
    pub batch: usize,
    /// Features or symbols.
    pub inputs: Inputs,
    /// `[T·B, O]`: logits or values.
    pub output: Tensor,
    /// `[T·B, O]`: their adjoints.
    pub d_output: Tensor,
    /// Lowest layer first; gates are not kept.
    pub rows: Vec<Row>,
}

/// A plan forward alone, from initial states that the caller writes. The parameters are fixed.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// The plan.
    pub plan: Plan,
    /// Features or symbols.
    pub inputs: Inputs,
    /// Per row: its initial states, `[S, B, H]`.
    pub state0: Vec<Tensor>,
    /// `[T·B, O]`: logits or values.
    pub output: Tensor,
    /// Lowest layer first; gates are not kept.
    pub rows: Vec<Row>,
}

/// Everything that a program is made from.
pub struct Blueprint<'a> {
    /// The network.
    pub model: &'a Model,
    /// The data.
    pub form: &'a Form,
    /// The persistent segment.
    pub layout: &'a Layout,
    /// T.
    pub n_steps: usize,
    /// B.
    pub batch: usize,
    /// True when only the last timestep is scored.
    pub last_only: bool,
    /// The optimiser of purposes that update.
    pub optimiser: &'static OptimiserSpec,
}

impl Blueprint<'_> {
    /// Records and plans the program.
    pub fn compile(&self, purpose: Purpose) -> Program {
        let Self { model, form, layout, n_steps, batch, .. } = *self;
        let mut graph = Graph::new();
        let probe = matches!(purpose, Purpose::Probe);
        let carry = matches!(purpose, Purpose::Train { carry: true });

        let inputs = self.inputs(&mut graph);
        let bound = match probe {
            true => model.bind_fixed(&mut graph, &layout.places),
            false => model.bind(&mut graph, &layout.places, layout.gradient),
        };
        let per_row = model.cell.states * batch * model.hidden;
        let carried: Vec<Tensor> = (0..if carry { model.rows().count() } else { 0 })
            .map(|row| {
                let shape = [model.cell.states, batch, model.hidden];
                graph.persistent("carried state", &shape, layout.carried + row * per_row)
            })
            .collect();
        let starts = carry.then(|| graph.slot("starts", &[batch]));
        let state0 = starts.map_or(Vec::new(), |starts| model.carried(&mut graph, &carried, starts));
        let recorded = model.recur(&mut graph, &bound, inputs, [n_steps, batch], &state0);
        // The backward pass turns gates into their adjoints.
        let kept = recorded.iter().filter(|_| probe && model.cell.gated).map(|row| {
            let gates = graph.slot(&format!("gates of layer {}", row.layer), &row.gates.shape.extents());
            graph.record(copy::forward(row.gates, gates, false));
            gates
        });
        let kept: Vec<Tensor> = kept.collect();

        let h = self.readout(&mut graph, &recorded);
        let scored = h.shape.rows();
        let output = graph.slot("output", &[scored, model.outputs]);
        model.head(&mut graph, &bound, h, output);

        graph.mark(Mark::Loss);
        let weight = graph.slot("weight", &[scored]);
        let losses = graph.slot("losses", &[scored]);
        let result = graph.slot("loss", &[3]);
        let d_output = graph.activation("d_output", &[scored, model.outputs]);
        if probe {
            graph.pin(d_output);
        }
        let (target, probabilities) = match form.target {
            Target::Class(v) => {
                let target = graph.index_slot("target", &[scored]);
                let probabilities = graph.slot("probabilities", &[scored, v]);
                let (read, write) = ([output, target, weight], [probabilities, losses, result]);
                graph.record(cross_entropy::forward(read, write, Some(d_output)));
                (TargetSlot::Classes(target), Some(probabilities))
            }
            Target::Value(n) => {
                let target = graph.slot("target", &[scored, n]);
                let (read, write) = ([output, target, weight], [losses, result]);
                graph.record(mean_squared_error::forward(read, write, Some(d_output), form.tolerance));
                (TargetSlot::Values(target), None)
            }
        };

        let keep = !matches!(purpose, Purpose::Train { .. });
        let totals = if keep { self.keep_totals(&mut graph, &recorded) } else { Vec::new() };
        if probe {
            recorded.iter().for_each(|row| graph.want(row.gates));
            want_states(&mut graph, &recorded);
        }
        let d_gates = graph.differentiate();

        if !probe {
            graph.mark(Mark::Clip);
            let flat = [layout.parameters];
            let vectors = Vectors {
                parameters: graph.persistent("parameters", &flat, 0),
                gradient: graph.persistent("gradient", &flat, layout.gradient),
                moments: layout.moments.map(|offset| graph.persistent("moment", &flat, offset)),
                hyper: graph.persistent("hyperparameters", &[update::HYPER], layout.hyper),
                norm: graph.persistent("gradient norm", &[update::NORM], layout.norm),
            };
            graph.record(norm::forward(vectors.gradient, vectors.hyper, vectors.norm));
            graph.mark(Mark::Update);
            (self.optimiser.record)(&mut graph, &vectors);
            model.keep(&mut graph, &recorded, &carried);
        }

        let plan = graph.plan();
        let place = |tensor| plan.place(tensor);
        Program {
            n_steps,
            batch,
            last_only: self.last_only,
            inputs: place_inputs(&plan, inputs),
            target: match target {
                TargetSlot::Classes(target) => TargetSlot::Classes(place(target)),
                TargetSlot::Values(target) => TargetSlot::Values(place(target)),
            },
            weight: place(weight),
            starts: starts.map(place),
            output: place(output),
            probabilities: probabilities.map(place),
            d_output: probe.then(|| place(d_output)),
            losses: place(losses),
            result: place(result),
            rows: place_rows(&plan, &recorded, &kept, &d_gates, &totals),
            plan,
        }
    }

    /// Records and plans a pass forward, and back from adjoints of the output at every timestep.
    pub fn compile_seeded(&self) -> Seeded {
        let Self { model, n_steps, batch, .. } = *self;
        let mut graph = Graph::new();
        let inputs = self.inputs(&mut graph);
        let bound = model.bind_fixed(&mut graph, &self.layout.places);
        let recorded = model.recur(&mut graph, &bound, inputs, [n_steps, batch], &[]);
        let shape = [n_steps * batch, model.outputs];
        let (output, d_output) = (graph.slot("output", &shape), graph.slot("d_output", &shape));
        let read = self.readout(&mut graph, &recorded);
        model.head(&mut graph, &bound, read, output);
        graph.seed(output, d_output);
        let totals = self.keep_totals(&mut graph, &recorded);
        want_states(&mut graph, &recorded);
        graph.differentiate();
        let plan = graph.plan();
        Seeded {
            batch,
            inputs: place_inputs(&plan, inputs),
            output: plan.place(output),
            d_output: plan.place(d_output),
            rows: place_rows(&plan, &recorded, &[], &[], &totals),
            plan,
        }
    }

    /// Records and plans a pass forward from given initial states.
    pub fn compile_stretch(&self) -> Stretch {
        let Self { model, n_steps, batch, .. } = *self;
        let mut graph = Graph::new();
        let inputs = self.inputs(&mut graph);
        let bound = model.bind_fixed(&mut graph, &self.layout.places);
        let shape = [model.cell.states, batch, model.hidden];
        let state0: Vec<Tensor> = model.rows().map(|_| graph.slot("initial state", &shape)).collect();
        let recorded = model.recur(&mut graph, &bound, inputs, [n_steps, batch], &state0);
        let output = graph.slot("output", &[n_steps * batch, model.outputs]);
        let read = self.readout(&mut graph, &recorded);
        model.head(&mut graph, &bound, read, output);
        keep_states(&mut graph, &recorded);
        let plan = graph.plan();
        Stretch {
            inputs: place_inputs(&plan, inputs),
            state0: state0.iter().map(|&state| plan.place(state)).collect(),
            output: plan.place(output),
            rows: place_rows(&plan, &recorded, &[], &[], &[]),
            plan,
        }
    }

    /// The slots for what the model sees.
    fn inputs(&self, graph: &mut Graph) -> Inputs {
        let Self { form, n_steps, batch, .. } = *self;
        match form.input {
            Input::Features(n) => Inputs::Features(graph.slot("input", &[n_steps, batch, n])),
            Input::Symbols(_) => Inputs::Symbols(graph.index_slot("input", &[n_steps, batch])),
        }
    }

    /// What the head reads, `[T, B, D·H]` or the last timestep of it: the output of the last layer, all directions side by side.
    ///
    /// Where the task asks at the end alone, the last timestep has the final state of each direction, as in `h_n` of PyTorch: that of
    /// the backwards one is its state at the first timestep, which has seen everything, while that at the last has seen one input.
    fn readout(&self, graph: &mut Graph, recorded: &[Recorded]) -> Tensor {
        let Self { model, n_steps, batch, .. } = *self;
        let (d, h) = (model.directions(), model.hidden);
        let last = recorded.last().expect("a model has a layer").y;
        let all = Tensor::whole(last.buffer, Shape::new(&[n_steps, batch, d * h]));
        let first = if self.last_only { n_steps - 1 } else { 0 };
        let all = all.outer(first, n_steps - first);
        if !(model.bidirectional && self.form.last_only) {
            return all;
        }
        let earlier = n_steps - 1 - first;
        let read = graph.activation("final states", &[earlier + 1, batch, d * h]);
        graph.record(copy::forward(all.columns(0, h), read.columns(0, h), false));
        let backwards = Tensor::whole(last.buffer, Shape::new(&[n_steps, batch, d * h])).columns(h, h);
        graph.record(copy::forward(backwards.outer(0, 1), read.outer(earlier, 1).columns(h, h), false));
        if earlier > 0 {
            graph.record(copy::forward(backwards.outer(0, earlier), read.outer(0, earlier).columns(h, h), false));
        }
        read
    }

    /// Slots for the total adjoints of all states, in the order of the rows.
    fn keep_totals(&self, graph: &mut Graph, recorded: &[Recorded]) -> Vec<Tensor> {
        let shape = [self.model.cell.states, self.n_steps, self.batch, self.model.hidden];
        let keep = |row: &Recorded| {
            let kept = graph.slot(&format!("∂L/∂h of layer {}", row.layer), &shape);
            graph.keep_totals(row.y, kept);
            kept
        };
        recorded.iter().map(keep).collect()
    }
}

/// Asks for the adjoints of all states, and keeps the states.
fn want_states(graph: &mut Graph, recorded: &[Recorded]) {
    recorded.iter().for_each(|row| graph.want(row.y));
    keep_states(graph, recorded);
}

fn keep_states(graph: &mut Graph, recorded: &[Recorded]) {
    for row in recorded {
        graph.pin(row.y);
        row.saved.iter().for_each(|&saved| graph.pin(saved));
    }
}

fn place_inputs(plan: &Plan, inputs: Inputs) -> Inputs {
    match inputs {
        Inputs::Features(x) => Inputs::Features(plan.place(x)),
        Inputs::Symbols(x) => Inputs::Symbols(plan.place(x)),
    }
}

/// The rows with their places; all but what was recorded may be missing.
fn place_rows(
    plan: &Plan,
    recorded: &[Recorded],
    gates: &[Tensor],
    d_gates: &[Option<Tensor>],
    totals: &[Tensor],
) -> Vec<Row> {
    let place = |tensor: &Tensor| plan.place(*tensor);
    let row = |(index, recorded): (usize, &Recorded)| Row {
        layer: recorded.layer,
        reverse: recorded.reverse,
        y: place(&recorded.y),
        saved: recorded.saved.iter().map(place).collect(),
        gates: gates.get(index).map(place),
        d_gates: d_gates.get(index).and_then(|d_gates| d_gates.as_ref().map(place)),
        totals: totals.get(index).map(place),
    };
    recorded.iter().enumerate().map(row).collect()
}
