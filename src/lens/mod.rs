//! The lens: what one can see of a session.
//!
//! Floor 7. A [`Frame`] is a scene on the probe sequences: columns are timesteps, rows are layers and directions, each row has named
//! channels with values and gradients, and ribbons that say how much gradient reaches each timestep. Everything is read from
//! slots that a real forward and backward pass has just written. Changes nothing in a session.

pub mod cliff;
mod credit;
mod factors;
mod inspection;
mod ledger;
mod pace;
mod pipe;
mod poke;
mod portrait;
mod proof;
mod ribbon;
mod spectrum;
mod update;
mod vectors;

pub use inspection::{Inspection, InspectionHeader, Of, Panel, Poked, Query, Series, Traced, inspect};
pub use proof::{Agreement, Verdict, agreements};
pub use ribbon::{Fit, fit, quantile};

use crate::error::{Error, Result};
use crate::kernels::recurrence::{Channel, Role, Source};
use crate::nn::Model;
use crate::order;
use crate::shape::{Shape, Tensor};
use crate::tasks::{IGNORED, Input, Target};
use crate::train::{Diverged, LossAt, Row, Session};
use serde::Serialize;

/// What a frame shows.
#[derive(Clone, Copy, Debug)]
pub struct FrameOptions {
    /// Which sequence of the probe batch the channels show.
    pub sequence: usize,
    /// Where losses count.
    pub loss_at: LossAt,
}

/// A scene.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What lies where.
    pub header: Header,
    /// The numbers; offsets of the header count elements.
    pub data: Vec<f32>,
}

/// Where losses count, as it crosses the boundary: a word or a timestep.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum LossAtWord {
    /// `task`, `last` or `all`.
    Word(&'static str),
    /// Index of a timestep.
    Step(usize),
}

/// What lies where in a frame. Field by field as in `src/web/types.d.ts`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Header {
    pub step: u64,
    pub n_steps: usize,
    pub n_sequences: usize,
    pub sequence: usize,
    pub loss_at: LossAtWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    pub rows: Vec<RowHeader>,
    pub probe: Probe,
    pub gradient_norm: f64,
    pub clip_coefficient: f64,
    pub floor: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverged: Option<Diverged>,
}

/// One layer and direction.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct RowHeader {
    pub id: String,
    pub title: String,
    pub layer: usize,
    pub reverse: bool,
    pub units: usize,
    pub channels: Vec<ChannelHeader>,
    pub ribbons: Vec<Ribbon>,
}

/// One quantity per timestep and unit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ChannelHeader {
    pub id: &'static str,
    pub title: &'static str,
    pub role: &'static str,
    pub range: Option<[f32; 2]>,
    pub shape: [usize; 2],
    pub offset: usize,
    pub gradient_offset: Option<usize>,
}

/// How much gradient reaches each timestep of a state.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Ribbon {
    pub id: &'static str,
    pub title: String,
    pub offset: usize,
    pub fit: Option<Fit>,
}

/// The probe sequence itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Probe {
    pub input: ProbePart,
    pub target: ProbePart,
    pub output_offset: usize,
    pub mask_offset: usize,
    pub loss_offset: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said_offset: Option<usize>,
}

/// Inputs or targets of the probe sequence.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ProbePart {
    pub kind: &'static str,
    pub names: Vec<String>,
    pub offset: usize,
}

/// Runs the probe and packs the scene.
///
/// # Errors
/// [`Error::Invalid`] when there is no such sequence, or no loss counts where the options say.
pub fn frame(session: &mut Session, options: FrameOptions) -> Result<Frame> {
    let n_sequences = session.probe_batch().batch;
    if options.sequence >= n_sequences {
        return Err(Error::invalid(
            "options.sequence",
            format!("a whole number from 0 to {}", n_sequences - 1),
            options.sequence,
        ));
    }
    session.run_probe(options.loss_at)?;
    let said = session.decode_probe();
    if said.is_some() {
        session.run_probe(options.loss_at)?;
    }
    let program = session.probe_program();
    let mut packer = Packer { session: &*session, sequence: options.sequence, data: Vec::new() };
    let rows = program.rows.iter().map(|row| packer.row(row)).collect();
    let mut probe = packer.probe();
    probe.said_offset = said.map(|said| {
        let of_one = said.chunks_exact(n_sequences).map(|of_step| of_step[options.sequence] as f32);
        packer.append(of_one)
    });
    let last = session.last();
    let header = Header {
        step: session.step(),
        n_steps: program.n_steps,
        n_sequences,
        sequence: options.sequence,
        loss_at: match options.loss_at {
            LossAt::Task => LossAtWord::Word("task"),
            LossAt::Last => LossAtWord::Word("last"),
            LossAt::All => LossAtWord::Word("all"),
            LossAt::Step(step) => LossAtWord::Step(step),
        },
        window: session.config().window,
        rows,
        probe,
        gradient_norm: last.norm,
        clip_coefficient: last.coefficient,
        floor: f32::MIN_POSITIVE,
        diverged: None,
    };
    let mut frame = Frame { header, data: packer.data };
    if frame.data.iter().enumerate().any(|(at, value)| !value.is_finite() && !frame.unscored(at)) {
        frame.header.diverged = Some(session.probe_not_finite());
    }
    Ok(frame)
}

impl Frame {
    /// True for the loss of a timestep without a target, which is NaN by its definition.
    fn unscored(&self, at: usize) -> bool {
        let Probe { mask_offset, loss_offset, .. } = self.header.probe;
        let losses = loss_offset..loss_offset + self.header.n_steps;
        losses.contains(&at) && self.data[at].is_nan() && self.data[mask_offset + at - loss_offset] == 0.0
    }
}

/// Writes the numbers of a scene one after another.
struct Packer<'a> {
    session: &'a Session,
    sequence: usize,
    data: Vec<f32>,
}

impl Packer<'_> {
    /// Appends one sequence of a `[T, B, n]` view; returns where it begins.
    fn sequence_of(&mut self, view: Tensor) -> usize {
        let [n_steps, batch, n] = [0, 1, 2].map(|axis| view.shape.extent(axis));
        let one = Tensor {
            offset: view.offset + self.sequence as u32 * view.stride,
            shape: Shape::new(&[n_steps, n]),
            stride: view.stride * batch as u32,
            ..view
        };
        let start = self.data.len();
        self.session.engine().read(one, &mut self.data);
        start
    }

    fn append(&mut self, values: impl IntoIterator<Item = f32>) -> usize {
        let start = self.data.len();
        self.data.extend(values);
        start
    }

    fn row(&mut self, row: &Row) -> RowHeader {
        let model = self.session.model();
        let channels = model.cell.channels.iter().map(|channel| self.channel(model, row, channel)).collect();
        // The state that carries the memory comes first: c of an LSTM, which h only reads.
        let channels_back = model.cell.channels.iter().rev();
        let states = channels_back.filter_map(|channel| channel.state.map(|state| (channel, state)));
        let ribbons = states.map(|(channel, state)| self.ribbon(row, channel, state)).collect();
        let direction = match (model.bidirectional, row.reverse) {
            (false, _) => "",
            (true, false) => " →",
            (true, true) => " ←",
        };
        RowHeader {
            id: Model::suffix(row.layer, row.reverse).split_off(1),
            title: format!("Layer {}{direction}", row.layer + 1),
            layer: row.layer,
            reverse: row.reverse,
            units: model.hidden,
            channels,
            ribbons,
        }
    }

    fn channel(&mut self, model: &Model, row: &Row, channel: &Channel) -> ChannelHeader {
        let h = model.hidden;
        let n_steps = self.session.probe_batch().n_steps;
        let values = match channel.source {
            Source::Output => row.y,
            Source::Gates { block } => row.gates.expect("the probe keeps them").columns(block * h, h),
            Source::Saved { tensor } => row.saved[tensor],
        };
        let offset = self.sequence_of(values);
        let gradient_offset = channel.state.map(|state| self.sequence_of(row.total(state)));
        ChannelHeader {
            id: channel.id,
            title: channel.title,
            role: match channel.role {
                Role::State => "state",
                Role::Gate => "gate",
                Role::Candidate => "candidate",
            },
            range: model.range(channel),
            shape: [n_steps, values.shape.columns()],
            offset,
            gradient_offset,
        }
    }

    /// B·‖(∂L/∂s_t)_b‖₂ for each sequence b of the probe: its median and its 10 % and 90 % quantiles.
    fn ribbon(&mut self, row: &Row, channel: &Channel, state: usize) -> Ribbon {
        let probe = self.session.probe_batch();
        let width = row.total(state).shape.columns();
        let adjoints = self.session.engine().read_f64(row.total(state));
        let quantiles: Vec<[f32; 3]> = adjoints
            .chunks_exact(probe.batch * width)
            .map(|of_step| {
                let norm = |d: &[f64]| probe.batch as f64 * d.iter().map(|d| d * d).sum::<f64>().sqrt();
                let mut norms: Vec<f64> = of_step.chunks_exact(width).map(norm).collect();
                order::numbers(&mut norms);
                [0.5, 0.1, 0.9].map(|q| quantile(&norms, q))
            })
            .collect();
        let medians: Vec<f32> = quantiles.iter().map(|q| q[0]).collect();
        let offset = self.data.len();
        for which in 0..3 {
            self.data.extend(quantiles.iter().map(|q| q[which]));
        }
        let title = format!("‖∂L/∂{}‖", channel.id);
        Ribbon { id: channel.id, title, offset, fit: fit(&medians, f32::MIN_POSITIVE, row.reverse) }
    }

    fn probe(&mut self) -> Probe {
        let session = self.session;
        let (program, form, batch) = (session.probe_program(), session.form(), session.probe_batch());
        let sequence = self.sequence;
        let positions = move || (0..batch.n_steps).map(move |t| t * batch.batch + sequence);
        let input = match form.input {
            Input::Features(n) => self.append(positions().flat_map(|at| batch.features[at * n..][..n].iter().copied())),
            Input::Symbols(_) => self.append(positions().map(|at| batch.symbols[at] as f32)),
        };
        let class = |at: usize| if batch.classes[at] == IGNORED { -1.0 } else { batch.classes[at] as f32 };
        let target = match form.target {
            Target::Class(_) => self.append(positions().map(class)),
            Target::Value(n) => self.append(positions().flat_map(|at| batch.values[at * n..][..n].iter().copied())),
        };
        let shaped = |tensor: Tensor| Tensor {
            shape: Shape::new(&[batch.n_steps, batch.batch, tensor.shape.len() / (batch.n_steps * batch.batch)]),
            stride: (tensor.shape.len() / (batch.n_steps * batch.batch)) as u32,
            ..tensor
        };
        let output_offset = self.sequence_of(shaped(program.probabilities.unwrap_or(program.output)));
        let mask_offset = self.sequence_of(shaped(program.weight));
        let loss_offset = self.sequence_of(shaped(program.losses));
        for (loss, at) in self.data[loss_offset..].iter_mut().zip(positions()) {
            if batch.mask[at] == 0.0 {
                *loss = f32::NAN;
            }
        }
        Probe {
            input: ProbePart {
                kind: if matches!(form.input, Input::Features(_)) { "features" } else { "symbols" },
                names: form.input_names.clone(),
                offset: input,
            },
            target: ProbePart {
                kind: if matches!(form.target, Target::Class(_)) { "class" } else { "value" },
                names: form.target_names.clone(),
                offset: target,
            },
            output_offset,
            mask_offset,
            loss_offset,
            source: form.source,
            said_offset: None,
        }
    }
}
