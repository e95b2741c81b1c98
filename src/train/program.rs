//! Programs: a plan for one purpose and one size, with the slots that go in and come out.

use super::optimisers::{OptimiserSpec, Vectors};
use crate::graph::{Graph, Mark, Plan};
use crate::kernels::{Call, copy, cross_entropy, mean_squared_error, norm, update};
use crate::nn::{Inputs, Model, Pass, Recorded};
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
        let states = if model.cell.block().is_some() { 0 } else { model.cell.states };
        let carried = part(model.rows().count() * states * batch * model.hidden);
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
    /// For each state, its total adjoint `[T, B, ·]`, where they are kept.
    pub totals: Vec<Tensor>,
}

impl Row {
    /// State `index` at every timestep, `[T, B, ·]`: h, then c; the stream, then what the block keeps.
    pub fn state(&self, index: usize) -> Tensor {
        if index == 0 { self.y } else { self.saved[index - 1] }
    }

    /// ∂L/∂s_t of state `index`, `[T, B, ·]`.
    ///
    /// # Panics
    /// For a program that does not keep them.
    pub fn total(&self, index: usize) -> Tensor {
        self.totals[index]
    }
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
    /// `[U, B, S]`: how a decoder with attention reads the source, where it is kept.
    pub alignment: Option<Tensor>,
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
    /// Per row: its initial states, `[S, B, H]`; none for residual blocks, and in a stream.
    pub state0: Vec<Tensor>,
    /// In a stream: what is written ahead of its timesteps, and what is read behind those before.
    pub handed_on: Vec<(Tensor, Tensor)>,
    /// `[T·B, O]`: logits or values.
    pub output: Tensor,
    /// Lowest layer first; gates are not kept.
    pub rows: Vec<Row>,
    /// Length of the longest chain of calls, a loop over time as long as its timesteps; and if those that are linear in their state were
    /// done in a tree.
    pub depth: [usize; 2],
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
        let pass = model.layers(&mut graph, &bound, inputs, [n_steps, batch], &state0);
        let recorded = &pass.rows;
        // The backward pass turns gates into their adjoints.
        let own_gates: Vec<Tensor> = recorded.iter().filter_map(|row| row.gates.filter(|_| probe)).collect();
        let gates: Vec<Tensor> = match model.cell.gated {
            true => self.whole(&mut graph, recorded, &own_gates, true),
            false => Vec::new(),
        };
        let keep = !matches!(purpose, Purpose::Train { .. });
        let rows = if keep { self.joined(&mut graph, recorded) } else { recorded.clone() };

        let h = self.readout(&mut graph, &pass);
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

        own_gates.iter().for_each(|&gates| graph.want(gates));
        let mut totals = Totals::default();
        if keep {
            totals = self.keep_totals(&mut graph, recorded, own_gates.len());
        }
        if probe {
            recorded.iter().for_each(|row| graph.want(row.y));
            keep_states(&mut graph, &rows);
            pass.alignment.iter().for_each(|&alignment| graph.pin(alignment));
        }
        let adjoints = graph.differentiate();
        let d_gates: Vec<Tensor> = adjoints[..own_gates.len()].iter().copied().flatten().collect();
        let d_gates = match d_gates.len() == own_gates.len() {
            true => self.whole(&mut graph, recorded, &d_gates, false),
            false => Vec::new(),
        };
        let totals = self.joined_totals(&mut graph, recorded, totals.of(&adjoints));

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
            model.keep(&mut graph, recorded, &carried);
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
            rows: place_rows(&plan, &rows, &gates, &d_gates, &totals),
            alignment: pass.alignment.filter(|_| probe).map(place),
            plan,
        }
    }

    /// Records and plans a pass forward, and back from adjoints of the output at every timestep.
    pub fn compile_seeded(&self) -> Seeded {
        let Self { model, n_steps, batch, .. } = *self;
        let mut graph = Graph::new();
        let inputs = self.inputs(&mut graph);
        let bound = model.bind_fixed(&mut graph, &self.layout.places);
        let pass = model.layers(&mut graph, &bound, inputs, [n_steps, batch], &[]);
        let shape = [n_steps * batch, model.outputs];
        let (output, d_output) = (graph.slot("output", &shape), graph.slot("d_output", &shape));
        let read = self.readout(&mut graph, &pass);
        model.head(&mut graph, &bound, read, output);
        graph.seed(output, d_output);
        let totals = self.keep_totals(&mut graph, &pass.rows, 0);
        let rows = self.joined(&mut graph, &pass.rows);
        // What is handed over is an input of the decoder, all of it.
        let states = if model.decoder.is_some() { model.cell.states } else { 1 };
        for row in &pass.rows {
            (0..states).for_each(|index| graph.want(row.state(index)));
        }
        keep_states(&mut graph, &rows);
        let adjoints = graph.differentiate();
        let totals = self.joined_totals(&mut graph, &pass.rows, totals.of(&adjoints));
        let plan = graph.plan();
        Seeded {
            batch,
            inputs: place_inputs(&plan, inputs),
            output: plan.place(output),
            d_output: plan.place(d_output),
            rows: place_rows(&plan, &rows, &[], &[], &totals),
            plan,
        }
    }

    /// Records and plans a pass forward from given initial states, or in a stream that has `read` so many timesteps.
    pub fn compile_stretch(&self, read: Option<usize>) -> Stretch {
        let Self { model, n_steps, batch, .. } = *self;
        let mut graph = Graph::new();
        let inputs = self.inputs(&mut graph);
        let bound = model.bind_fixed(&mut graph, &self.layout.places);
        let shape = [model.cell.states, batch, model.hidden];
        let state0: Vec<Tensor> = match model.hands_on() && read.is_none() {
            true => model.rows().map(|_| graph.slot("initial state", &shape)).collect(),
            false => Vec::new(),
        };
        let size = [n_steps, batch];
        let pass = match read {
            Some(read) => model.layers_after(&mut graph, &bound, inputs, size, read),
            None => model.layers(&mut graph, &bound, inputs, size, &state0),
        };
        pass.handed_on.iter().flat_map(|&(before, after)| [before, after]).for_each(|tensor| graph.pin(tensor));
        let output = graph.slot("output", &[n_steps * batch, model.outputs]);
        let read = self.readout(&mut graph, &pass);
        model.head(&mut graph, &bound, read, output);
        // The call that writes a second state is a loop, too.
        let writes_state = |call: &Call| {
            let mut states = pass.rows.iter().filter(|_| model.cell.states > 1).map(|row| row.state(1));
            states.any(|state| call.written().any(|written| written == state))
        };
        let steps_of = |call: &Call| match call.entry.parts {
            Some(parts) => Some(parts(call, 1).len()),
            None => writes_state(call).then_some(n_steps),
        };
        let depth = [false, true].map(|is_tree| {
            graph.depth(|call| match steps_of(call) {
                Some(steps) if is_tree && model.cell.recurrent.is_empty() => {
                    steps.next_power_of_two().ilog2().max(1) as usize
                }
                Some(steps) => steps,
                None => 1,
            })
        });
        let rows = self.joined(&mut graph, &pass.rows);
        keep_states(&mut graph, &rows);
        let plan = graph.plan();
        Stretch {
            depth,
            inputs: place_inputs(&plan, inputs),
            state0: state0.iter().map(|&state| plan.place(state)).collect(),
            handed_on: pass.handed_on.iter().map(|&(before, after)| (plan.place(before), plan.place(after))).collect(),
            output: plan.place(output),
            rows: place_rows(&plan, &rows, &[], &[], &[]),
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
    fn readout(&self, graph: &mut Graph, pass: &Pass) -> Tensor {
        let Self { model, n_steps, batch, .. } = *self;
        let (d, h) = (model.directions(), model.hidden);
        let whole = pass.read;
        let first = if self.last_only { n_steps - 1 } else { 0 };
        let all = whole.outer(first, n_steps - first);
        if !(model.bidirectional && self.form.last_only) {
            return all;
        }
        let earlier = n_steps - 1 - first;
        let read = graph.activation("final states", &[earlier + 1, batch, d * h]);
        graph.record(copy::forward(all.columns(0, h), read.columns(0, h), false));
        let backwards = whole.columns(h, h);
        graph.record(copy::forward(backwards.outer(0, 1), read.outer(earlier, 1).columns(h, h), false));
        if earlier > 0 {
            graph.record(copy::forward(backwards.outer(0, earlier), read.outer(0, earlier).columns(h, h), false));
        }
        read
    }

    /// One tensor over all T timesteps for each row, from those of its parts: a part that is all of it as it is, unless a copy is
    /// asked for.
    fn whole(&self, graph: &mut Graph, recorded: &[Recorded], parts: &[Tensor], copies: bool) -> Vec<Tensor> {
        let (per_part, n) = (self.model.rows().count(), parts.len());
        let row = |at: usize| {
            if n == per_part && !copies {
                return parts[at];
            }
            let mut extents = parts[at].shape.extents();
            extents[0] = self.n_steps;
            let whole = graph.slot("of all timesteps", &extents);
            for (part, of) in parts[at..].iter().zip(&recorded[at..]).step_by(per_part) {
                graph.record(copy::forward(*part, whole.outer(of.first, part.shape.extent(0)), false));
            }
            whole
        };
        (0..per_part.min(n)).map(row).collect()
    }

    /// The rows over all timesteps: those of an encoder and a decoder are put one after the other.
    fn joined(&self, graph: &mut Graph, recorded: &[Recorded]) -> Vec<Recorded> {
        let mut rows: Vec<Recorded> = recorded[..self.model.rows().count()].to_vec();
        for index in 0..=self.model.cell.saved.len() {
            let parts: Vec<Tensor> = recorded.iter().map(|row| row.state(index)).collect();
            for (row, whole) in rows.iter_mut().zip(self.whole(graph, recorded, &parts, false)) {
                *(if index == 0 { &mut row.y } else { &mut row.saved[index - 1] }) = whole;
            }
        }
        rows
    }

    /// As [`Blueprint::joined`], for the totals of each part.
    fn joined_totals(&self, graph: &mut Graph, recorded: &[Recorded], totals: Vec<Vec<Tensor>>) -> Vec<Vec<Tensor>> {
        let per_part = self.model.rows().count();
        let mut rows = vec![Vec::new(); per_part.min(totals.len())];
        for state in 0..totals.first().map_or(0, Vec::len) {
            let parts: Vec<Tensor> = totals.iter().map(|row| row[state]).collect();
            for (row, whole) in rows.iter_mut().zip(self.whole(graph, recorded, &parts, false)) {
                row.push(whole);
            }
        }
        rows
    }

    /// Asks for the total adjoints of all states: those of a stream are adjoints that the graph has anyway, and the kernels of time loops
    /// keep the others. `before` counts the adjoints that were asked for before.
    fn keep_totals(&self, graph: &mut Graph, recorded: &[Recorded], before: usize) -> Totals {
        let Self { model, batch, .. } = *self;
        let is_stream = model.cell.block().is_some();
        let mut totals = Totals { streams: is_stream.then_some(before), kept: Vec::new() };
        for row in recorded {
            let name = format!("∂L/∂h of layer {}", row.layer);
            if is_stream {
                graph.want(row.y);
                let kept = (1..model.cell.states).map(|index| {
                    let state = row.state(index);
                    let kept = graph.slot(&name, &state.shape.extents());
                    graph.keep_totals(state, kept);
                    kept
                });
                totals.kept.push(kept.collect());
            } else {
                let n_steps = row.y.shape.extent(0);
                let kept = graph.slot(&name, &[model.cell.states, n_steps, batch, model.hidden]);
                graph.keep_totals(row.y, kept);
                let shape = Shape::new(&[n_steps, batch, model.hidden]);
                totals
                    .kept
                    .push((0..model.cell.states).map(|index| Tensor { shape, ..kept.outer(index, 1) }).collect());
            }
        }
        totals
    }
}

/// Where the total adjoints of the states will be.
#[derive(Default)]
struct Totals {
    /// Where the adjoints of the streams begin, among those that the graph was asked for.
    streams: Option<usize>,
    /// Per row, what kernels keep.
    kept: Vec<Vec<Tensor>>,
}

impl Totals {
    /// Per row and state, once the graph has been differentiated.
    fn of(&self, adjoints: &[Option<Tensor>]) -> Vec<Vec<Tensor>> {
        let row = |(row, kept): (usize, &Vec<Tensor>)| {
            let stream = self.streams.map(|first| adjoints[first + row].expect("every loss depends on the stream"));
            stream.into_iter().chain(kept.iter().copied()).collect()
        };
        self.kept.iter().enumerate().map(row).collect()
    }
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
    d_gates: &[Tensor],
    totals: &[Vec<Tensor>],
) -> Vec<Row> {
    let place = |tensor: &Tensor| plan.place(*tensor);
    let row = |(index, recorded): (usize, &Recorded)| Row {
        layer: recorded.layer,
        reverse: recorded.reverse,
        y: place(&recorded.y),
        saved: recorded.saved.iter().map(place).collect(),
        gates: gates.get(index).map(place),
        d_gates: d_gates.get(index).map(place),
        totals: totals.get(index).map_or(Vec::new(), |totals| totals.iter().map(place).collect()),
    };
    recorded.iter().enumerate().map(row).collect()
}
