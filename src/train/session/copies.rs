//! What panels ask of a session: passes over copies of probe sequences, and parameters read and changed by hand.

use super::super::program::{Blueprint, LossAt, Seeded, Stretch};
use super::{SIZES, Session, check_memory, flat};
use crate::error::{Error, Result};
use crate::graph::Mark;
use crate::nn::{Inputs, Model, spectral_radius};
use crate::options::Value;
use crate::tasks::Input;
use nalgebra::DMatrix;
use std::ops::Range;

impl Session {
    /// Some timesteps of copies of probe sequences: features `[T, n, I]`, or symbols `[T, n]`. Copy n is sequence `sequences[n]`.
    #[inline(never)]
    pub fn probe_inputs(&self, steps: Range<usize>, sequences: &[usize]) -> (Vec<f32>, Vec<u32>) {
        let (mut features, mut symbols, probe) = (Vec::new(), Vec::new(), &self.probe_batch);
        for at in steps.flat_map(|t| sequences.iter().map(move |s| t * probe.batch + s)) {
            match self.task.form().input {
                Input::Features(width) => features.extend_from_slice(&probe.features[at * width..][..width]),
                Input::Symbols(_) => symbols.push(probe.symbols[at]),
            }
        }
        (features, symbols)
    }

    /// Forward and backward on copies of probe sequences. Copy n is sequence `sequences[n]`; `d_output` `[T, n, O]` holds the adjoints of
    /// the output, logits or values. The slots can be read until the next run.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the copies need more memory than a session may take.
    pub fn run_copies(&mut self, sequences: &[usize], d_output: &[f32]) -> Result<()> {
        let (probe, n) = (&self.probe_batch, sequences.len());
        if self.copies.as_ref().is_none_or(|program| program.batch != n) {
            let program = self.blueprint(probe.n_steps, n).compile_seeded();
            check_memory(SIZES, program.plan.bytes() as u64 + self.bytes())?;
            self.engine.reserve(&program.plan);
            self.copies = Some(program);
        }
        let (features, symbols) = self.probe_inputs(0..self.probe_batch.n_steps, sequences);
        self.write_inputs(self.copies_program().inputs, &features, &symbols);
        let program = self.copies.as_ref().expect("compiled above");
        self.engine.write(program.d_output, d_output);
        self.engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Backward));
        Ok(())
    }

    /// Forward alone on `[T, B]` inputs, features or symbols, from given initial states: per row `[S, B, H]`, or none for zeros. The
    /// slots can be read until the next run.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that needs more memory than a session may take.
    pub fn run_stretch(
        &mut self,
        [n_steps, batch]: [usize; 2],
        features: &[f32],
        symbols: &[u32],
        state0: &[Vec<f64>],
    ) -> Result<Stretch> {
        let program = self.blueprint(n_steps, batch).compile_stretch(None);
        check_memory(SIZES, program.plan.bytes() as u64 + self.bytes())?;
        self.engine.reserve(&program.plan);
        self.run_stretch_of(&program, features, symbols, state0);
        Ok(program)
    }

    /// As [`Session::run_stretch`], with a program that has been made.
    pub(super) fn run_stretch_of(&mut self, program: &Stretch, features: &[f32], symbols: &[u32], state0: &[Vec<f64>]) {
        self.write_inputs(program.inputs, features, symbols);
        for (at, &slot) in program.state0.iter().enumerate() {
            let zeros = || vec![0.0; slot.shape.len()];
            self.engine.write_f64(slot, &state0.get(at).cloned().unwrap_or_else(zeros));
        }
        self.engine.run(&program.plan, program.plan.range(Mark::Forward, Mark::Forward));
    }

    /// What programs of a size of their own are made from.
    pub(super) fn blueprint(&self, n_steps: usize, batch: usize) -> Blueprint<'_> {
        let (model, form, layout) = (&self.model, self.task.form(), &self.layout);
        Blueprint { model, form, layout, n_steps, batch, last_only: false, optimiser: self.config.optimiser.spec }
    }

    fn write_inputs(&mut self, inputs: Inputs, features: &[f32], symbols: &[u32]) {
        match inputs {
            Inputs::Features(slot) => self.engine.write(slot, features),
            Inputs::Symbols(slot) => self.engine.write_index(slot, symbols),
        }
    }

    /// The program of the copies.
    ///
    /// # Panics
    /// Before the first [`Session::run_copies`].
    pub fn copies_program(&self) -> &Seeded {
        self.copies.as_ref().expect("the copies have run")
    }

    /// ∂l/∂output of each probe sequence's own loss l at each timestep, `[T, B, O]`; 0 where there is no target. Runs the probe.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the probe has no target anywhere.
    pub fn own_d_output(&mut self) -> Result<Vec<f32>> {
        self.run_probe(LossAt::All)?;
        let program = self.probe_program();
        // The loss is a mean over the positions that count.
        let total = self.engine.scalar(program.result, 2) as f32;
        let mut values = Vec::new();
        self.engine.read(program.d_output.expect("the probe keeps it"), &mut values);
        values.iter_mut().for_each(|value| *value *= total);
        Ok(values)
    }

    /// The values of one parameter, row-major.
    ///
    /// # Panics
    /// When there is no parameter of that name.
    pub fn parameter(&self, name: &str) -> Vec<f64> {
        let at = self.place(name);
        self.engine.read_f64(flat(self.layout.places[at], self.parameters[at].len()))
    }

    /// Replaces the values of one parameter. The optimiser's moments stay.
    ///
    /// # Panics
    /// When there is no parameter of that name.
    pub fn set_parameter(&mut self, name: &str, values: &[f64]) {
        let at = self.place(name);
        self.engine.write_f64(flat(self.layout.places[at], self.parameters[at].len()), values);
    }

    fn place(&self, name: &str) -> usize {
        self.parameters.iter().position(|p| p.name == name).unwrap_or_else(|| panic!("no parameter {name}"))
    }

    /// The mean over the units of one row of the keep gate's bias, b_ih + b_hh, its sign such that more of it keeps more; `None` for a cell
    /// without such a gate.
    pub fn keep_bias(&self, layer: usize, reverse: bool) -> Option<f64> {
        let (from, hidden) = (self.model.cell.keep? * self.model.hidden, self.model.hidden);
        let suffix = Model::suffix(layer, reverse);
        let mut sum = 0.0;
        for of in ["ih", "hh"] {
            let name = format!("rnn.bias_{of}{suffix}");
            if self.parameters.iter().any(|parameter| parameter.name == name) {
                sum += self.parameter(&name)[from..][..hidden].iter().sum::<f64>();
            }
        }
        Some(self.keep_sign() * sum / hidden as f64)
    }

    /// −1 where the bias of the keep gate's block shuts it.
    fn keep_sign(&self) -> f64 {
        if self.model.cell.overwrites { -1.0 } else { 1.0 }
    }

    /// Moves the keep gate's bias of every row so that its mean over the units is `value`; differences between units stay.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the cell has no gate that keeps its state.
    pub fn set_keep_bias(&mut self, value: f64) -> Result<()> {
        let (Some(block), hidden) = (self.model.cell.keep, self.model.hidden) else {
            return Err(Error::invalid(
                "change.keepBias",
                "a cell with a gate that keeps its state",
                self.model.cell.title,
            ));
        };
        let rows: Vec<_> = self.model.rows().collect();
        for (layer, reverse) in rows {
            let by = self.keep_sign() * (value - self.keep_bias(layer, reverse).expect("a keep gate"));
            let name = format!("rnn.bias_ih{}", Model::suffix(layer, reverse));
            let mut bias = self.parameter(&name);
            bias[block * hidden..][..hidden].iter_mut().for_each(|b| *b += by);
            self.set_parameter(&name, &bias);
        }
        Ok(())
    }

    /// Rescales one block of W_hh of one row so that its spectral radius is `radius`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such row or block, or its spectral radius is 0.
    pub fn set_spectral_radius(&mut self, row: usize, block: usize, radius: f64) -> Result<()> {
        let (rows, blocks, h) = (self.model.rows().count(), self.model.cell.recurrent.len(), self.model.hidden);
        if blocks == 0 {
            return Err(Error::invalid(
                "change.spectralRadius",
                "a cell with recurrent weights W_hh",
                self.model.cell.title,
            ));
        }
        for (field, at, count) in [("change.row", row, rows), ("change.block", block, blocks)] {
            if at >= count {
                return Err(Error::invalid(field, format!("a whole number from 0 to {}", count - 1), at));
            }
        }
        let (layer, reverse) = self.model.rows().nth(row).expect("checked above");
        let name = format!("rnn.weight_hh{}", Model::suffix(layer, reverse));
        let mut weight = self.parameter(&name);
        let values = &mut weight[block * h * h..][..h * h];
        let now = spectral_radius(&DMatrix::from_row_slice(h, h, values)).unwrap_or(0.0);
        if !(now > 0.0 && now.is_finite()) {
            return Err(Error::invalid(
                "change.spectralRadius",
                "a matrix whose spectral radius is above 0",
                Value::from(now),
            ));
        }
        values.iter_mut().for_each(|value| *value *= radius / now);
        self.set_parameter(&name, &weight);
        Ok(())
    }
}
