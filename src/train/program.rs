//! Programs: a plan for one purpose and one size, with the slots that go in and come out.

use super::optimisers::{OptimiserSpec, Vectors};
use crate::graph::{Graph, Mark, Plan};
use crate::kernels::{copy, cross_entropy, mean_squared_error, norm, update};
use crate::nn::{Inputs, Model, Recorded};
use crate::shape::Tensor;
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
    /// `[N]`.
    pub losses: Tensor,
    /// Loss, accuracy, Σ of the weights.
    pub result: Tensor,
    /// Lowest layer first.
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

        let inputs = match form.input {
            Input::Features(n) => Inputs::Features(graph.slot("input", &[n_steps, batch, n])),
            Input::Symbols(_) => Inputs::Symbols(graph.index_slot("input", &[n_steps, batch])),
        };
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

        // The output of the last layer, all directions side by side.
        let last = recorded.last().expect("a model has a layer").y;
        let width = model.directions() * model.hidden;
        let all = Tensor::whole(last.buffer, crate::shape::Shape::new(&[n_steps, batch, width]));
        let (h, scored) = if self.last_only { (all.outer(n_steps - 1, 1), batch) } else { (all, n_steps * batch) };
        let output = graph.slot("output", &[scored, model.outputs]);
        model.head(&mut graph, &bound, h, output);

        graph.mark(Mark::Loss);
        let weight = graph.slot("weight", &[scored]);
        let losses = graph.slot("losses", &[scored]);
        let result = graph.slot("loss", &[3]);
        let (target, probabilities) = match form.target {
            Target::Class(v) => {
                let target = graph.index_slot("target", &[scored]);
                let probabilities = graph.slot("probabilities", &[scored, v]);
                let d_output = graph.activation("d_output", &[scored, v]);
                let (read, write) = ([output, target, weight], [probabilities, losses, result]);
                graph.record(cross_entropy::forward(read, write, Some(d_output)));
                (TargetSlot::Classes(target), Some(probabilities))
            }
            Target::Value(n) => {
                let target = graph.slot("target", &[scored, n]);
                let d_output = graph.activation("d_output", &[scored, n]);
                let (read, write) = ([output, target, weight], [losses, result]);
                graph.record(mean_squared_error::forward(read, write, Some(d_output), form.tolerance));
                (TargetSlot::Values(target), None)
            }
        };

        let keep = !matches!(purpose, Purpose::Train { .. });
        let mut totals = Vec::new();
        for row in recorded.iter().filter(|_| keep) {
            let shape = [model.cell.states, n_steps, batch, model.hidden];
            let kept = graph.slot(&format!("∂L/∂h of layer {}", row.layer), &shape);
            graph.keep_totals(row.y, kept);
            totals.push(kept);
        }
        if probe {
            for row in &recorded {
                graph.want(row.y);
                graph.pin(row.y);
                row.saved.iter().for_each(|&saved| graph.pin(saved));
            }
        }
        graph.differentiate();

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
        let row = |(index, recorded): (usize, &Recorded)| Row {
            layer: recorded.layer,
            reverse: recorded.reverse,
            y: place(recorded.y),
            saved: recorded.saved.iter().map(|&saved| place(saved)).collect(),
            gates: kept.get(index).map(|&gates| place(gates)),
            totals: totals.get(index).map(|&totals| place(totals)),
        };
        Program {
            n_steps,
            batch,
            last_only: self.last_only,
            inputs: match inputs {
                Inputs::Features(x) => Inputs::Features(place(x)),
                Inputs::Symbols(x) => Inputs::Symbols(place(x)),
            },
            target: match target {
                TargetSlot::Classes(target) => TargetSlot::Classes(place(target)),
                TargetSlot::Values(target) => TargetSlot::Values(place(target)),
            },
            weight: place(weight),
            starts: starts.map(place),
            output: place(output),
            probabilities: probabilities.map(place),
            losses: place(losses),
            result: place(result),
            rows: recorded.iter().enumerate().map(row).collect(),
            plan,
        }
    }
}
