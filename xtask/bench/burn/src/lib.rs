//! Burn on its flex backend, as a peer of the bench: the same networks, losses and optimiser, built of Burn's tensors.
//!
//! The gates are one product on the input and one on the state, as in the other peers' cells; Burn's own recurrent modules take two
//! products for each gate. Weights keep PyTorch's layout and are transposed once a step. Both of PyTorch's biases are kept.
//! One-hot symbols are a lookup of rows (`select`), the loss of a class reads its one logarithm (`gather`).

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use wasm_bindgen::prelude::wasm_bindgen;

/// The version of Burn, as the manifest pins it.
#[wasm_bindgen]
pub fn version() -> Option<String> {
    let pinned = include_str!("../Cargo.toml").split_once("burn = { version = \"=")?.1;
    Some(pinned.split_once('"')?.0.to_owned())
}

/// In PyTorch's layouts, names and gate order.
#[derive(Module, Debug)]
struct Network {
    /// [G·H, I]
    weight_ih: Param<Tensor<2>>,
    /// [G·H, H]
    weight_hh: Param<Tensor<2>>,
    /// [1, G·H]
    bias_ih: Param<Tensor<2>>,
    /// [1, G·H]
    bias_hh: Param<Tensor<2>>,
    /// [O, H]
    head_weight: Param<Tensor<2>>,
    /// [1, O]
    head_bias: Param<Tensor<2>>,
}

#[derive(Clone, Copy)]
enum Cell {
    Elman,
    Gru,
    Lstm,
}

/// The input of all timesteps.
enum Input {
    /// [T·B, I]
    Values(Tensor<2>),
    /// [T·B]
    Symbols(Tensor<1, Int>),
}

/// A network and its optimiser.
#[wasm_bindgen]
pub struct Peer {
    cell: Cell,
    hidden: usize,
    steps: usize,
    batch: usize,
    rate: f64,
    device: Device,
    network: Option<Network>,
    adam: ModuleOptimizer,
}

#[wasm_bindgen]
impl Peer {
    /// `sizes` are H, T, B, I and O; `weights` are PyTorch's six tensors, one behind the other.
    #[wasm_bindgen(constructor)]
    pub fn new(cell: &str, sizes: &[usize], weights: &[f32], rate: f64) -> Result<Self, String> {
        let &[hidden, steps, batch, inputs, outputs] = sizes else { return Err("expected five sizes".to_owned()) };
        let (cell, gates) = match cell {
            "elman" => (Cell::Elman, 1),
            "gru" => (Cell::Gru, 3),
            "lstm" => (Cell::Lstm, 4),
            _ => return Err(format!("expected elman, gru or lstm, got {cell}")),
        };
        let device = Device::flex().autodiff();
        let mut rest = weights;
        let mut next = |rows: usize, columns: usize| {
            let (values, others) = rest.split_at(rows * columns);
            rest = others;
            let data = TensorData::new(values.to_vec(), [rows, columns]);
            Param::from_tensor(Tensor::<2>::from_data(data, &device))
        };
        let network = Network {
            weight_ih: next(gates * hidden, inputs),
            weight_hh: next(gates * hidden, hidden),
            bias_ih: next(1, gates * hidden),
            bias_hh: next(1, gates * hidden),
            head_weight: next(outputs, hidden),
            head_bias: next(1, outputs),
        };
        let adam = AdamConfig::new().with_epsilon(1e-8).init();
        Ok(Self { cell, hidden, steps, batch, rate, device, network: Some(network), adam })
    }

    /// One step of training on values [T, B, I] and targets [B, 1]; the loss before it.
    #[wasm_bindgen(js_name = stepOnValues)]
    pub fn step_on_values(&mut self, x: &[f32], y: &[f32]) -> f32 {
        let rows = self.steps * self.batch;
        let x = Tensor::from_data(TensorData::new(x.to_vec(), [rows, x.len() / rows]), &self.device);
        let y = Tensor::<2>::from_data(TensorData::new(y.to_vec(), [self.batch, 1]), &self.device);
        self.step(Input::Values(x), |outputs| (outputs - y).square().mean(), false)
    }

    /// One step of training on symbols [T, B] and classes [T, B]; the loss before it.
    #[wasm_bindgen(js_name = stepOnSymbols)]
    pub fn step_on_symbols(&mut self, x: &[i32], y: &[i32]) -> f32 {
        let rows = self.steps * self.batch;
        let x = Tensor::<1, Int>::from_data(TensorData::new(x.to_vec(), [rows]), &self.device);
        let y = Tensor::<2, Int>::from_data(TensorData::new(y.to_vec(), [rows, 1]), &self.device);
        self.step(Input::Symbols(x), |outputs| -log_softmax(outputs, 1).gather(1, y).mean(), true)
    }
}

impl Peer {
    fn step(&mut self, x: Input, loss: impl FnOnce(Tensor<2>) -> Tensor<1>, all_steps: bool) -> f32 {
        let network = self.network.take().expect("put back at the end of every step");
        let top = self.forward(&network, x, all_steps);
        let outputs = top.matmul(network.head_weight.val().transpose()) + network.head_bias.val();
        let loss = loss(outputs);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.network = Some(self.adam.step(self.rate, network, gradients));
        loss.into_scalar()
    }

    /// The state of the last timestep [B, H], or of all [T·B, H].
    fn forward(&self, network: &Network, x: Input, all_steps: bool) -> Tensor<2> {
        let (n, rows) = (self.hidden, self.batch);
        let weight_ih = network.weight_ih.val().transpose();
        let weight_hh = network.weight_hh.val().transpose();
        let (bias_ih, bias_hh) = (network.bias_ih.val(), network.bias_hh.val());
        // The part of the input for all timesteps at once.
        let from_input = match x {
            Input::Values(x) => x.matmul(weight_ih),
            Input::Symbols(x) => weight_ih.select(0, x),
        };
        let from_input = match self.cell {
            // The reset gate multiplies what comes from the state with its bias.
            Cell::Gru => from_input + bias_ih,
            Cell::Elman | Cell::Lstm => from_input + bias_ih + bias_hh.clone(),
        };
        let mut h = Tensor::<2>::zeros([rows, n], &self.device);
        let mut c = h.clone();
        let mut states = Vec::new();
        let gate = |a: &Tensor<2>, at: usize| a.clone().narrow(1, at * n, n);
        for (t, a) in from_input.split(rows, 0).into_iter().enumerate() {
            let from_state = h.clone().matmul(weight_hh.clone());
            h = match self.cell {
                Cell::Elman => (a + from_state).tanh(),
                Cell::Lstm => {
                    let a = a + from_state;
                    c = sigmoid(gate(&a, 1)) * c + sigmoid(gate(&a, 0)) * gate(&a, 2).tanh();
                    sigmoid(gate(&a, 3)) * c.clone().tanh()
                }
                Cell::Gru => {
                    let from_state = from_state + bias_hh.clone();
                    let reset = sigmoid(gate(&a, 0) + gate(&from_state, 0));
                    let keep = sigmoid(gate(&a, 1) + gate(&from_state, 1));
                    let new = (gate(&a, 2) + reset * gate(&from_state, 2)).tanh();
                    new.clone() + keep * (h - new)
                }
            };
            if all_steps || t + 1 == self.steps {
                states.push(h.clone());
            }
        }
        Tensor::cat(states, 0)
    }
}
