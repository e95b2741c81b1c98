//! The optimisers, as a table.

use crate::graph::Graph;
use crate::kernels::{adam, rmsprop, sgd, update};
use crate::options::{Chosen, Kind, OptionSpec};
use crate::shape::Tensor;

/// The flat vectors that an update works on.
#[derive(Clone, Copy, Debug)]
pub struct Vectors {
    /// `[P]`.
    pub parameters: Tensor,
    /// `[P]`.
    pub gradient: Tensor,
    /// `[P]` each, zero before the first step.
    pub moments: [Tensor; 2],
    /// Hyperparameters, in the layout of [`update`].
    pub hyper: Tensor,
    /// Result of the norm kernel.
    pub norm: Tensor,
}

/// An entry of [`OPTIMISERS`].
pub struct OptimiserSpec {
    /// Kebab-case id.
    pub id: &'static str,
    /// Title in menus.
    pub title: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// LaTeX.
    pub equations: &'static [&'static str],
    /// Papers, with DOI or arXiv number.
    pub sources: &'static [&'static str],
    /// Options, the learning rate first. All of them may change while a session runs.
    pub options: &'static [OptionSpec],
    /// Records the update.
    pub record: fn(&mut Graph, &Vectors),
    /// Its hyperparameters for update number `t`, counted from 1.
    pub hyper: fn(&Chosen, t: u64, &mut [f64; update::HYPER]),
}

impl std::fmt::Debug for OptimiserSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

const fn number(
    name: &'static str,
    title: &'static str,
    help: &'static str,
    [min, max, default]: [f64; 3],
    log: bool,
) -> OptionSpec {
    OptionSpec { name, title, help, kind: Kind::Number { min, max, default, log } }
}

const fn learning_rate(default: f64) -> OptionSpec {
    number("lr", "Learning rate", "η: how far one update goes.", [0.0, 10.0, default], true)
}

const fn weight_decay(default: f64, help: &'static str) -> OptionSpec {
    number("weightDecay", "Weight decay", help, [0.0, 1.0, default], true)
}

const BETA1: OptionSpec = number("beta1", "β₁", "Decay of the mean of the gradient.", [0.0, 0.999_999, 0.9], false);
const BETA2: OptionSpec =
    number("beta2", "β₂", "Decay of the mean of the squared gradient.", [0.0, 0.999_999, 0.999], false);
const EPSILON: OptionSpec = number("epsilon", "ε", "Added to the root of the mean square.", [1e-12, 1.0, 1e-8], true);
const MOMENTUM: OptionSpec =
    number("momentum", "Momentum", "μ: how much of the last direction is kept.", [0.0, 0.999_999, 0.0], false);

/// Records Adam's update.
fn record_adam(graph: &mut Graph, v: &Vectors, decoupled: bool) {
    graph.record(adam::forward(v.parameters, v.gradient, v.moments, v.hyper, v.norm, decoupled));
}

fn adam_hyper(options: &Chosen, t: u64, hyper: &mut [f64; update::HYPER]) {
    let (lr, beta1, beta2) = (options.number("lr"), options.number("beta1"), options.number("beta2"));
    let correction = |beta: f64| 1.0 - libm::pow(beta, t as f64);
    hyper[update::LEARNING_RATE] = lr;
    hyper[update::WEIGHT_DECAY] = options.number("weightDecay");
    hyper[update::MOMENTUM] = beta1;
    hyper[update::SQUARES] = beta2;
    hyper[update::EPSILON] = options.number("epsilon");
    hyper[update::STEP_SIZE] = lr / correction(beta1);
    hyper[update::ROOT_CORRECTION] = correction(beta2).sqrt();
}

const PENALTY: &str = "λ: adds λ·p to the gradient.";

/// Every optimiser.
pub static OPTIMISERS: &[OptimiserSpec] = &[
    OptimiserSpec {
        id: "adam",
        title: "Adam",
        summary: "Divides the mean of the gradient by the root of its mean square, element by element.",
        equations: &[
            r"m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2",
            r"p \leftarrow p - \eta \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}",
        ],
        sources: &["Kingma and Ba 2015, arXiv:1412.6980"],
        options: &[learning_rate(1e-3), BETA1, BETA2, EPSILON, weight_decay(0.0, PENALTY)],
        record: |graph, vectors| record_adam(graph, vectors, false),
        hyper: adam_hyper,
    },
    OptimiserSpec {
        id: "adamw",
        title: "AdamW",
        summary: "Adam with weight decay that acts on the weights themselves, not through the gradient.",
        equations: &[
            r"p \leftarrow (1 - \eta \lambda) p",
            r"p \leftarrow p - \eta \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}",
        ],
        sources: &["Loshchilov and Hutter 2019, arXiv:1711.05101"],
        options: &[
            learning_rate(1e-3),
            BETA1,
            BETA2,
            EPSILON,
            weight_decay(1e-2, "λ: shrinks p by the factor 1 − ηλ."),
        ],
        record: |graph, vectors| record_adam(graph, vectors, true),
        hyper: adam_hyper,
    },
    OptimiserSpec {
        id: "sgd",
        title: "SGD",
        summary: "Stochastic gradient descent, with momentum and Nesterov's form of it.",
        equations: &[r"b \leftarrow \mu b + g, \quad p \leftarrow p - \eta b"],
        sources: &["Robbins and Monro 1951, doi:10.1214/aoms/1177729586", "Sutskever et al. 2013, PMLR 28(3):1139"],
        options: &[
            learning_rate(1e-2),
            MOMENTUM,
            OptionSpec {
                name: "nesterov",
                title: "Nesterov",
                help: "Looks ahead: steps by g + μb.",
                kind: Kind::Switch { default: false },
            },
            weight_decay(0.0, PENALTY),
        ],
        record: |graph, v| graph.record(sgd::forward(v.parameters, v.gradient, v.moments[0], v.hyper, v.norm)),
        hyper: |options, _, hyper| {
            hyper[update::LEARNING_RATE] = options.number("lr");
            hyper[update::WEIGHT_DECAY] = options.number("weightDecay");
            hyper[update::MOMENTUM] = options.number("momentum");
            hyper[update::NESTEROV] = if options.switch("nesterov") { 1.0 } else { 0.0 };
        },
    },
    OptimiserSpec {
        id: "rmsprop",
        title: "RMSprop",
        summary: "Divides the gradient by the root of its mean square; the first steps are large, for the mean starts at 0.",
        equations: &[
            r"v \leftarrow \alpha v + (1 - \alpha) g^2",
            r"p \leftarrow p - \eta \, \frac{g}{\sqrt{v} + \varepsilon}",
        ],
        sources: &["Tieleman and Hinton 2012, Coursera lecture 6.5"],
        options: &[
            learning_rate(1e-2),
            number("alpha", "α", "Decay of the mean of the squared gradient.", [0.0, 0.999_999, 0.99], false),
            EPSILON,
            MOMENTUM,
            weight_decay(0.0, PENALTY),
        ],
        record: |graph, v| graph.record(rmsprop::forward(v.parameters, v.gradient, v.moments, v.hyper, v.norm)),
        hyper: |options, _, hyper| {
            hyper[update::LEARNING_RATE] = options.number("lr");
            hyper[update::WEIGHT_DECAY] = options.number("weightDecay");
            hyper[update::MOMENTUM] = options.number("momentum");
            hyper[update::SQUARES] = options.number("alpha");
            hyper[update::EPSILON] = options.number("epsilon");
        },
    },
];

/// The entry of an id.
pub fn find_optimiser(id: &str) -> Option<&'static OptimiserSpec> {
    OPTIMISERS.iter().find(|spec| spec.id == id)
}
