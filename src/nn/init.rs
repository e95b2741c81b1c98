//! Initialisations: what the parameters are before the first step.
//!
//! Every entry starts from PyTorch's default and changes what its name says. Numbers are drawn in f64, parameter after parameter in
//! PyTorch's order, and rounded once.

use super::{Model, Parameter};
use crate::kernels::recurrence::Cell;
use crate::kernels::residual::{Block, Start};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::rng::{Rng, Stream};
use nalgebra::{DMatrix, Schur};

/// An entry of [`INITS`].
pub struct InitSpec {
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
    /// Options.
    pub options: &'static [OptionSpec],
    /// Whether it is defined for a cell.
    pub suits: fn(&Cell) -> bool,
    apply: fn(&mut Draft, &Chosen),
}

impl std::fmt::Debug for InitSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// An entry with its options chosen.
#[derive(Clone, Debug)]
pub struct Init {
    /// The entry.
    pub spec: &'static InitSpec,
    /// Its options.
    pub options: Chosen,
}

/// The parameters of a model before the first step, flat.
pub struct Initial {
    /// One for each element.
    pub values: Vec<f64>,
}

/// Parameters on their way to their first values.
struct Draft<'a> {
    model: &'a Model,
    parameters: Vec<Parameter>,
    values: Vec<f64>,
    rng: Rng,
    /// T, for defaults that depend on the length of the sequence.
    n_steps: usize,
}

impl Init {
    /// Draws the first values. `n_steps` is T.
    pub fn draw(&self, model: &Model, seed: u64, n_steps: usize) -> Initial {
        let parameters = model.parameters();
        let mut draft = Draft {
            model,
            values: vec![0.0; model.len()],
            parameters,
            rng: Rng::at(seed, Stream::Parameters, 0),
            n_steps,
        };
        match model.cell.block() {
            None => draft.torch(),
            Some(block) => draft.blocks(block),
        }
        (self.spec.apply)(&mut draft, &self.options);
        Initial { values: draft.values }
    }
}

/// Sets the values of a block: what draws them, rows, columns, which block, the values.
type SetBlock<'a> = dyn FnMut(&mut Rng, usize, usize, usize, &mut [f64]) + 'a;

impl Draft<'_> {
    /// U(−1/√H, 1/√H) for the recurrent part, U(−1/√fan_in, 1/√fan_in) for the head, as for the other linear layers of a cell
    /// without recurrent weights.
    fn torch(&mut self) {
        for parameter in &self.parameters {
            let model = self.model;
            let fan_in = match (parameter.name.as_str(), model.cell.recurrent.is_empty()) {
                (name, _) if name.starts_with("head.") => model.directions() * model.hidden,
                (name, _) if name.starts_with("attention.") => parameter.shape[1],
                (_, false) => model.hidden,
                (name, true) if name.split('_').any(|part| part == "l0") => model.fed(name),
                (_, true) => model.directions() * model.hidden,
            };
            let bound = 1.0 / (fan_in as f64).sqrt();
            for value in &mut self.values[parameter.offset..][..parameter.len()] {
                *value = self.rng.range(-bound, bound);
            }
        }
    }

    /// As the architecture says; the head as PyTorch's linear layers.
    fn blocks(&mut self, block: &Block) {
        let (model, rng) = (self.model, &mut self.rng);
        let specs = model.specs(block);
        for (at, parameter) in self.parameters.iter().enumerate() {
            let bound = 1.0 / (model.hidden as f64).sqrt();
            let (layer, start) =
                specs.get(at).map_or((0, Start::Uniform(bound)), |(layer, _, spec)| (*layer, spec.start));
            let sizes = model.sizes(layer, [model.length, 1]);
            for (index, value) in self.values[parameter.offset..][..parameter.len()].iter_mut().enumerate() {
                *value = match start {
                    Start::Zeros => 0.0,
                    Start::Ones => 1.0,
                    Start::Normal(sigma) => sigma * rng.normal(),
                    Start::Uniform(bound) => rng.range(-bound, bound),
                    Start::Of(value) => value(&sizes, index, rng.uniform()),
                };
            }
        }
    }

    /// Calls `set` for each block of each parameter of a stack whose name there starts with `prefix`: rows, columns, block and values.
    fn each_block(&mut self, prefix: &str, set: &mut SetBlock) {
        let blocks = self.model.cell.blocks.len();
        let starts = |p: &&Parameter| {
            let own = ["rnn.", "decoder."].iter().find_map(|stack| p.name.strip_prefix(stack));
            own.is_some_and(|name| name.starts_with(prefix))
        };
        for parameter in self.parameters.iter().filter(starts) {
            let values = &mut self.values[parameter.offset..][..parameter.len()];
            let columns = parameter.shape.get(1).copied().unwrap_or(1);
            let len = values.len() / blocks;
            for (block, values) in values.chunks_exact_mut(len).enumerate() {
                set(&mut self.rng, len / columns, columns, block, values);
            }
        }
    }

    fn zero_biases(&mut self) {
        self.each_block("bias", &mut |_, _, _, _, values| values.fill(0.0));
    }

    /// Sets the biases of the keep gate so that their sum opens it by the values: `bias_ih` gets them, `bias_hh` zero.
    fn keep_bias(&mut self, mut value: impl FnMut(&mut Rng) -> f64) {
        let cell = self.model.cell;
        let sign = if cell.overwrites { -1.0 } else { 1.0 };
        self.bias_of(cell.keep.expect("suits"), |rng| sign * value(rng));
    }

    /// Sets the sum of both biases of one block: `bias_ih` gets the values, `bias_hh` zero.
    fn bias_of(&mut self, gate: usize, mut value: impl FnMut(&mut Rng) -> f64) {
        self.each_block("bias_ih", &mut |rng, _, _, block, values| {
            if block == gate {
                values.iter_mut().for_each(|v| *v = value(rng));
            }
        });
        self.each_block("bias_hh", &mut |_, _, _, block, values| {
            if block == gate {
                values.fill(0.0);
            }
        });
    }
}

/// A matrix that is uniform among the orthogonal ones, row-major: the Q of a Gaussian matrix, with the signs of R's
/// diagonal taken out (Mezzadri 2007, arXiv:math-ph/0609050).
fn orthogonal(rng: &mut Rng, n: usize) -> DMatrix<f64> {
    let gaussian = DMatrix::from_fn(n, n, |_, _| rng.normal());
    let (mut q, r) = gaussian.qr().unpack();
    for column in 0..n {
        if r[(column, column)] < 0.0 {
            q.column_mut(column).neg_mut();
        }
    }
    q
}

/// Real and imaginary parts of all eigenvalues, by the Schur form: power iteration fails on complex pairs.
///
/// `None` when the iteration finds no end, as with numbers that are not finite. Where eigenvalues coincide up to rounding, it needs a
/// coarser idea of zero.
#[inline(never)]
pub fn eigenvalues(matrix: &DMatrix<f64>) -> Option<Vec<[f64; 2]>> {
    let rounds = 100 + 30 * matrix.nrows();
    let schur = [f64::EPSILON, 1e-12].iter().find_map(|&zero| Schur::try_new(matrix.clone(), zero, rounds))?;
    let values: Vec<[f64; 2]> = schur.complex_eigenvalues().iter().map(|z| [z.re, z.im]).collect();
    values.iter().flatten().all(|part| part.is_finite()).then_some(values)
}

/// Largest absolute value of an eigenvalue; `None` as with [`eigenvalues`].
pub fn spectral_radius(matrix: &DMatrix<f64>) -> Option<f64> {
    Some(eigenvalues(matrix)?.iter().map(|z| libm::hypot(z[0], z[1])).fold(0.0, f64::max))
}

fn is_recurrent_layer(cell: &Cell) -> bool {
    cell.time_loop().is_some()
}

fn has_recurrent_weight(cell: &Cell) -> bool {
    !cell.recurrent.is_empty()
}

fn has_keep_gate(cell: &Cell) -> bool {
    cell.keep.is_some()
}

/// Every initialisation.
pub static INITS: &[InitSpec] = &[
    InitSpec {
        id: "pytorch",
        title: "PyTorch default",
        summary: "All weights and biases uniform in ±1/√H. The spectral radius of W_hh is then about 0.58, so that the gradient \
                  of an Elman network vanishes by design, and the gates of an LSTM stand half open.",
        equations: &[r"W, b \sim U(-1/\sqrt{H}, 1/\sqrt{H})"],
        sources: &["PyTorch, torch.nn.RNN, LSTM and GRU"],
        options: &[],
        suits: is_recurrent_layer,
        apply: |_, _| {},
    },
    InitSpec {
        id: "own",
        title: "As published",
        summary: "The initialisation that belongs to the architecture, as its paper or the code of its authors has it.",
        equations: &[r"\theta_0 \text{ as published}"],
        sources: &["See the architecture"],
        options: &[],
        suits: |cell| cell.block().is_some(),
        apply: |_, _| {},
    },
    InitSpec {
        id: "orthogonal",
        title: "Orthogonal",
        summary: "W_hh is a random rotation times a gain, one for each gate, with zero biases: without the nonlinearity, the \
                  gradient keeps its length at gain 1.",
        equations: &[r"W_{hh} = \text{gain} \cdot Q, \quad Q^\top Q = I"],
        sources: &["Saxe, McClelland and Ganguli 2014, arXiv:1312.6120", "Mezzadri 2007, arXiv:math-ph/0609050"],
        options: &[OptionSpec {
            name: "gain",
            title: "Gain",
            help: "Every singular value of W_hh. Above 1 the gradient can explode.",
            kind: Kind::Number { min: 0.0, max: 10.0, default: 1.0, log: false },
        }],
        suits: has_recurrent_weight,
        apply: |draft, options| {
            let gain = options.number("gain");
            draft.each_block("weight_hh", &mut |rng, n, _, _, values| {
                let q = orthogonal(rng, n);
                for (at, value) in values.iter_mut().enumerate() {
                    *value = gain * q[(at / n, at % n)];
                }
            });
            draft.zero_biases();
        },
    },
    InitSpec {
        id: "identity",
        title: "Identity (IRNN)",
        summary: "W_hh is the identity and biases are zero: with ReLU the state, and its gradient, is handed on unchanged until \
                  something is learnt.",
        equations: &[r"W_{hh} = I, \quad b = 0, \quad W_{ih} \sim N(0, \sigma^2)"],
        sources: &["Le, Jaitly and Hinton 2015, arXiv:1504.00941"],
        options: &[OptionSpec {
            name: "sigma",
            title: "Input σ",
            help: "Standard deviation of W_ih.",
            kind: Kind::Number { min: 0.0001, max: 1.0, default: 0.1, log: true },
        }],
        suits: |cell| is_recurrent_layer(cell) && cell.keep.is_none(),
        apply: |draft, options| {
            let sigma = options.number("sigma");
            draft.each_block("weight_hh", &mut |_, n, _, _, values| {
                for (at, value) in values.iter_mut().enumerate() {
                    *value = if at / n == at % n { 1.0 } else { 0.0 };
                }
            });
            draft.each_block("weight_ih", &mut |rng, _, _, _, values| {
                values.iter_mut().for_each(|v| *v = sigma * rng.normal());
            });
            draft.zero_biases();
        },
    },
    InitSpec {
        id: "xavier",
        title: "Xavier",
        summary: "Weights uniform so that the variance of a layer's output equals that of its input, one draw for each gate; \
                  zero biases.",
        equations: &[r"W \sim U(-a, a), \quad a = \sqrt{6 / (\text{fan}_{in} + \text{fan}_{out})}"],
        sources: &["Glorot and Bengio 2010, PMLR 9:249"],
        options: &[],
        suits: is_recurrent_layer,
        apply: |draft, _| {
            draft.each_block("weight", &mut |rng, rows, columns, _, values| {
                let bound = (6.0 / (rows + columns) as f64).sqrt();
                values.iter_mut().for_each(|v| *v = rng.range(-bound, bound));
            });
            draft.zero_biases();
        },
    },
    InitSpec {
        id: "forget-bias",
        title: "Forget bias",
        summary: "PyTorch's default, but the gate that keeps the state (f of the LSTM, z of the GRU) starts open: its two biases \
                  sum to this value. The cheapest remedy against forgetting.",
        equations: &[r"b_{if} + b_{hf} = \text{bias}"],
        sources: &[
            "Gers, Schmidhuber and Cummins 2000, doi:10.1162/089976600300015015",
            "Jozefowicz, Zaremba and Sutskever 2015, PMLR 37:2342",
        ],
        options: &[OptionSpec {
            name: "forgetBias",
            title: "Bias",
            help: "0 leaves the gate half open; 1 keeps 73 % a step, 3 keeps 95 %, 5 keeps 99.3 %.",
            kind: Kind::Number { min: -10.0, max: 10.0, default: 1.0, log: false },
        }],
        suits: has_keep_gate,
        apply: |draft, options| {
            let value = options.number("forgetBias");
            draft.keep_bias(|_| value);
        },
    },
    InitSpec {
        id: "chrono",
        title: "Chrono",
        summary: "The keeping gate's biases are drawn so that the units remember for 2 to T_max steps; the LSTM's input gate gets \
                  the opposite.",
        equations: &[r"b_f \sim \ln U(1, T_{max} - 1), \quad b_i = -b_f"],
        sources: &["Tallec and Ollivier 2018, arXiv:1804.11188"],
        options: &[OptionSpec {
            name: "tMax",
            title: "Longest memory",
            help: "T_max in timesteps; nothing means the length of the task.",
            kind: Kind::Maybe { min: 3.0, max: 100_000.0, default: None },
        }],
        suits: has_keep_gate,
        apply: |draft, options| {
            let t_max = options.maybe("tMax").unwrap_or(draft.n_steps as f64).max(3.0);
            let cell = draft.model.cell;
            let mut drawn = Vec::new();
            draft.keep_bias(|rng| {
                let bias = libm::log(rng.range(1.0, t_max - 1.0));
                drawn.push(bias);
                bias
            });
            if let Some(admit) = cell.admit {
                let mut drawn = drawn.into_iter();
                draft.bias_of(admit, |_| -drawn.next().expect("as many units"));
            }
        },
    },
    InitSpec {
        id: "spectral",
        title: "Spectral radius",
        summary: "PyTorch's default, with W_hh rescaled (each gate by itself) so that its largest eigenvalue has this absolute \
                  value: the rate at which a linear network forgets.",
        equations: &[r"\max_i |\lambda_i(W_{hh})| = \rho"],
        sources: &["Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063"],
        options: &[OptionSpec {
            name: "rho",
            title: "Radius ρ",
            help: "Below 1 a linear network vanishes, above 1 it can explode.",
            kind: Kind::Number { min: 0.0, max: 10.0, default: 1.0, log: false },
        }],
        suits: has_recurrent_weight,
        apply: |draft, options| {
            let rho = options.number("rho");
            draft.each_block("weight_hh", &mut |_, n, _, _, values| {
                let matrix = DMatrix::from_row_slice(n, n, values);
                let radius = spectral_radius(&matrix).expect("a random matrix has a Schur form");
                // A nilpotent matrix has no radius to scale; W_hh of one draw never is.
                let scale = if radius > 0.0 { rho / radius } else { 0.0 };
                values.iter_mut().for_each(|v| *v *= scale);
            });
        },
    },
];

/// The entry of an id.
pub fn find_init(id: &str) -> Option<&'static InitSpec> {
    INITS.iter().find(|spec| spec.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::find;

    fn model(cell: &str, hidden: usize) -> Model {
        let cell = find(cell).expect("known");
        Model {
            cell,
            options: Chosen::defaults(cell.options),
            inputs: 3,
            hidden,
            layers: 2,
            bidirectional: false,
            outputs: 2,
            window: None,
            length: 50,
            decoder: None,
        }
    }

    fn draw(model: &Model, id: &str, changes: &[(&str, f64)]) -> Vec<f64> {
        let spec = find_init(id).expect("known");
        let changes: Vec<_> =
            changes.iter().map(|&(name, value)| (name.to_owned(), crate::options::Value::Number(value))).collect();
        let options = Chosen::defaults(spec.options).with("init", spec.options, &changes).expect("valid");
        Init { spec, options }.draw(model, 5, 50).values
    }

    fn block<'a>(model: &Model, values: &'a [f64], name: &str, block: usize) -> &'a [f64] {
        let parameter = model.parameters().into_iter().find(|p| p.name == name).expect("known");
        let len = parameter.len() / model.cell.blocks.len();
        &values[parameter.offset + block * len..][..len]
    }

    #[test]
    fn pytorch_fills_its_interval_evenly() {
        let model = model("lstm", 40);
        let values = draw(&model, "pytorch", &[]);
        let bound = 1.0 / 40.0_f64.sqrt();
        assert!(values.iter().all(|v| v.abs() <= bound));
        let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.05);
    }

    #[test]
    fn orthogonal_blocks_have_all_singular_values_at_the_gain() {
        for cell in ["elman", "lstm", "gru"] {
            let model = model(cell, 9);
            let values = draw(&model, "orthogonal", &[("gain", 1.5)]);
            for index in 0..model.cell.blocks.len() {
                let w = DMatrix::from_row_slice(9, 9, block(&model, &values, "rnn.weight_hh_l1", index));
                let gram = w.transpose() * &w;
                let off = (gram - DMatrix::identity(9, 9) * 2.25).abs().max();
                assert!(off < 1e-12, "{cell}: {off}");
            }
        }
    }

    #[test]
    fn spectral_radius_is_the_asked_one_also_for_complex_pairs() {
        let rotation = DMatrix::from_row_slice(2, 2, &[0.0, -0.7, 0.7, 0.0]);
        assert!((spectral_radius(&rotation).unwrap() - 0.7).abs() < 1e-12);
        let model = model("gru", 12);
        let values = draw(&model, "spectral", &[("rho", 1.1)]);
        for index in 0..3 {
            let w = DMatrix::from_row_slice(12, 12, block(&model, &values, "rnn.weight_hh_l0", index));
            assert!((spectral_radius(&w).unwrap() - 1.1).abs() < 1e-9);
        }
    }

    #[test]
    fn eigenvalues_end_for_matrices_on_which_the_iteration_stalls() {
        let shift = DMatrix::from_fn(6, 6, |i, j| f64::from(u8::from((i + 1) % 6 == j)));
        let nearly = DMatrix::from_fn(9, 9, |i, j| if i == j { 0.81 } else { 1e-17 * (i * 7 % 5 + j) as f64 });
        for (matrix, modulus) in [(shift, 1.0), (nearly, 0.81), (DMatrix::zeros(4, 4), 0.0)] {
            let Some(values) = eigenvalues(&matrix) else { continue };
            values.iter().for_each(|z| assert!((libm::hypot(z[0], z[1]) - modulus).abs() < 1e-9, "{values:?}"));
        }
        assert!(eigenvalues(&DMatrix::from_element(5, 5, f64::NAN)).is_none());
        assert_eq!(spectral_radius(&DMatrix::zeros(4, 4)), Some(0.0));
    }

    #[test]
    fn forget_bias_and_chrono_set_the_sum_of_both_biases() {
        for (cell, keep) in [("lstm", 1), ("gru", 1)] {
            let model = model(cell, 8);
            let values = draw(&model, "forget-bias", &[("forgetBias", 1.0)]);
            assert!(block(&model, &values, "rnn.bias_ih_l1", keep).iter().all(|&b| b == 1.0));
            assert!(block(&model, &values, "rnn.bias_hh_l1", keep).iter().all(|&b| b == 0.0));
            let values = draw(&model, "chrono", &[]);
            let drawn = block(&model, &values, "rnn.bias_ih_l0", keep);
            assert!(drawn.iter().all(|&b| (0.0..=libm::log(49.0)).contains(&b)));
            if let Some(admit) = model.cell.admit {
                let admitted = block(&model, &values, "rnn.bias_ih_l0", admit);
                assert!(drawn.iter().zip(admitted).all(|(f, i)| *f == -i));
            }
        }
    }
}
