//! Panels: closer looks at one layer and direction, computed when somebody asks.
//!
//! An [`Inspection`] holds named series, so that a view can draw any cell without knowing it.

use super::{credit, factors, ledger, pace, pipe, poke, portrait, proof, spectrum, update};
use crate::error::{Error, Result};
use crate::kernels::recurrence::Channel;
use crate::shape::{Shape, Tensor};
use crate::train::{Row, Session};
use serde::Serialize;

/// What a panel asks for.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Which panel.
    pub panel: Panel,
    /// Which layer and direction, as its place among the rows of a frame; the last one when there are fewer.
    pub row: usize,
    /// Which sequence of the probe batch.
    pub sequence: usize,
    /// Which block of W_hh a spectrum is of; by default the one that makes new content.
    pub block: Option<usize>,
    /// The timestep whose outer product a ledger shows, where a poke is, and whose input a portrait's flow meets.
    pub step: Option<usize>,
    /// The unit or feature that a poke changes.
    pub unit: usize,
    /// By how much.
    pub by: f64,
    /// Milliseconds, where time is measured; NaN without a clock.
    pub now: fn() -> f64,
}

impl Query {
    /// What a panel shows by itself.
    pub fn new(panel: Panel) -> Self {
        Self { panel, row: 0, sequence: 0, block: None, step: None, unit: 0, by: 1.0, now: || f64::NAN }
    }
}

/// The panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// ‖∂y_t/∂m_k‖ or ‖∂L_t/∂m_k‖ for all pairs of timesteps.
    Credit(Of),
    /// The weights with which each timestep reads the others.
    Attention,
    /// What makes up the size of ∂m_t/∂m_{t−1}.
    Factors,
    /// How much of the state reaches the end past all weights.
    Pipe,
    /// Eigenvalues and singular values of W_hh.
    Spectrum,
    /// ∂L/∂W_hh, shared out among the timesteps.
    Ledger,
    /// What a change by hand at one timestep changes at the later ones.
    Poke(Poked),
    /// Where the state goes in the course of a sequence.
    Portrait(Traced),
    /// The gradient against finite differences of the loss.
    Proof,
    /// What the next training step will do.
    Update,
    /// What a pass forward costs at several lengths.
    Pace,
}

/// Which state a portrait traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traced {
    /// h, what the layer above reads.
    Output,
    /// The one that carries the memory.
    Memory,
}

/// What a poke changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poked {
    /// The input x_k.
    Input,
    /// The state m_k that carries the memory.
    State,
}

/// What a credit matrix differentiates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The outputs at t, logits or values: the Frobenius norm over them.
    Output,
    /// The loss at t alone.
    Loss,
}

impl Panel {
    /// Every panel by its name in queries.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("factors", Self::Factors),
        ("pipe", Self::Pipe),
        ("credit", Self::Credit(Of::Output)),
        ("credit-of-loss", Self::Credit(Of::Loss)),
        ("attention", Self::Attention),
        ("spectrum", Self::Spectrum),
        ("ledger", Self::Ledger),
        ("poke-input", Self::Poke(Poked::Input)),
        ("poke-state", Self::Poke(Poked::State)),
        ("portrait", Self::Portrait(Traced::Output)),
        ("portrait-of-memory", Self::Portrait(Traced::Memory)),
        ("proof", Self::Proof),
        ("update", Self::Update),
        ("pace", Self::Pace),
    ];
}

/// Named series about one layer and direction.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What lies where.
    pub header: InspectionHeader,
    /// The numbers; offsets of the header count elements. NaN where a number is not defined.
    pub data: Vec<f32>,
}

/// What lies where in an inspection. Field by field as in `src/web/types.d.ts`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct InspectionHeader {
    pub step: u64,
    pub n_steps: usize,
    pub row: String,
    pub state: &'static str,
    pub sequences: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<&'static str>,
    pub series: Vec<Series>,
}

/// One quantity of an inspection.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Series {
    pub id: &'static str,
    pub title: String,
    pub shape: Vec<usize>,
    pub offset: usize,
}

impl Inspection {
    /// About a row of a session, or about none, without a series.
    pub fn new(session: &Session, row: String) -> Self {
        let header = InspectionHeader {
            step: session.step(),
            n_steps: session.probe_batch().n_steps,
            row,
            state: memory(session).0.id,
            sequences: 1,
            names: Vec::new(),
            absent: None,
            series: Vec::new(),
        };
        Self { header, data: Vec::new() }
    }

    /// Names the parameters: series have a number for each.
    #[inline(never)]
    pub fn name_parameters(&mut self, session: &Session) {
        self.header.names = session.parameters().iter().map(|parameter| parameter.name.clone()).collect();
    }

    /// Appends a series.
    #[inline(never)]
    pub fn add(&mut self, id: &'static str, title: &str, shape: &[usize], values: &[f64]) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{id}");
        let offset = self.data.len();
        self.data.extend(values.iter().map(|&value| value as f32));
        self.header.series.push(Series { id, title: title.to_owned(), shape: shape.to_vec(), offset });
    }

    /// Appends series, ids with their titles, from rows that have a number for each.
    #[inline(never)]
    pub fn add_columns(&mut self, series: &[[&'static str; 2]], rows: &[Vec<f64>]) {
        for (at, [id, title]) in series.iter().enumerate() {
            self.add(id, title, &[rows.len()], &rows.iter().map(|row| row[at]).collect::<Vec<_>>());
        }
    }

    /// The numbers of a series, if there is one of that id.
    pub fn series(&self, id: &str) -> Option<&[f32]> {
        let series = self.header.series.iter().find(|series| series.id == id)?;
        Some(&self.data[series.offset..][..series.shape.iter().product()])
    }
}

/// Computes what a panel shows.
///
/// # Errors
/// [`Error::Invalid`] when there is no such sequence, or no loss to look back from.
pub fn inspect(session: &mut Session, query: Query) -> Result<Inspection> {
    let n_sequences = session.probe_batch().batch;
    if query.sequence >= n_sequences {
        let expected = format!("a whole number from 0 to {}", n_sequences - 1);
        return Err(Error::invalid("query.sequence", expected, query.sequence));
    }
    let model = session.model();
    let row = query.row.min(model.rows().count() - 1);
    let (layer, reverse) = model.rows().nth(row).expect("a model has a row");
    let mut inspection = Inspection::new(session, crate::nn::Model::suffix(layer, reverse).split_off(1));
    let name = Panel::ALL.iter().find(|(_, panel)| *panel == query.panel).expect("every panel has a name").0;
    if model.decoder.is_some() {
        let of_one_weight = match query.panel {
            Panel::Factors | Panel::Pipe | Panel::Spectrum | Panel::Ledger | Panel::Portrait(_) => true,
            Panel::Poke(poked) => poked == Poked::State,
            _ => false,
        };
        if of_one_weight {
            inspection.header.absent = Some(TWO_STACKS);
            return Ok(inspection);
        }
        if query.panel == Panel::Attention
            && let Some(result) = credit::alignment(session, query.sequence, &mut inspection)
        {
            return result.map(|()| inspection);
        }
    }
    let model = session.model();
    // What reads no other timestep but through its state.
    if query.panel == Panel::Attention && model.cell.attention.is_none() {
        inspection.header.absent = Some(NO_ATTENTION);
        return Ok(inspection);
    }
    if let Some((_, instead)) = model.cell.absent.iter().find(|(panel, _)| *panel == name) {
        inspection.header.absent = Some(instead);
        return Ok(inspection);
    }
    match query.panel {
        Panel::Credit(of) => credit::credit(session, of, row, &mut inspection)?,
        Panel::Attention => credit::attention(session, row, query.sequence, &mut inspection)?,
        Panel::Factors => factors::factors(session, row, query.sequence, &mut inspection)?,
        Panel::Pipe => pipe::pipe(session, row, query.sequence, &mut inspection)?,
        Panel::Spectrum if model.cell.recurrent.is_empty() => {
            spectrum::mean_step(session, row, query.sequence, &mut inspection)?;
        }
        Panel::Spectrum => spectrum::spectrum(session, row, query.block, &mut inspection)?,
        Panel::Ledger => ledger::ledger(session, row, query.step, &mut inspection)?,
        Panel::Poke(poked) => poke::poke(session, row, poked, query, &mut inspection)?,
        Panel::Portrait(of) => portrait::portrait(session, row, of, query, &mut inspection)?,
        Panel::Proof => proof::proof(session, &mut inspection)?,
        Panel::Update => update::update(session, &mut inspection)?,
        Panel::Pace => pace::pace(session, query.now, &mut inspection)?,
    }
    Ok(inspection)
}

/// What stands in the place of pictures of one set of weights that all timesteps share.
const TWO_STACKS: &str = "Encoder and decoder have weights of their own, so that no single W_hh takes the state through all timesteps. The \
                          ribbon, the credit of the outputs and a changed input show how both together carry it.";

/// What stands in the place of attention where there is none.
const NO_ATTENTION: &str = "This network has no weights with which one timestep reads another: all that it knows of the past has come \
                            through its state. The credit of the output shows how much of it arrives.";

/// The state that carries the memory, c of an LSTM, else h, and its index.
pub(super) fn memory(session: &Session) -> (&'static Channel, usize) {
    let mut channels = session.model().cell.channels.iter().rev();
    channels.find_map(|channel| channel.state.map(|state| (channel, state))).expect("a cell has a state")
}

/// The state that carries the memory at every timestep, `[T, B, H]`.
pub(super) fn memory_of(session: &Session, row: &Row) -> Tensor {
    row.state(memory(session).1)
}

/// One sequence of a `[T, B, n]` view: `[T, n]`.
#[inline(never)]
pub(super) fn sequence_of(session: &Session, view: Tensor, sequence: usize) -> Vec<f64> {
    let [n_steps, batch, n] = [0, 1, 2].map(|axis| view.shape.extent(axis));
    session.engine().read_f64(Tensor {
        offset: view.offset + sequence as u32 * view.stride,
        shape: Shape::new(&[n_steps, n]),
        stride: view.stride * batch as u32,
        ..view
    })
}

/// The timesteps of a row in the order in which it reads them.
pub(super) fn reading_order(n_steps: usize, reverse: bool) -> Vec<usize> {
    if reverse { (0..n_steps).rev().collect() } else { (0..n_steps).collect() }
}
