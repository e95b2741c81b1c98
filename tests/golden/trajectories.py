"""Makes trajectories.json: the first ten losses of three small networks in training, in f64.

    python trajectories.py

H 16, one layer, T 10, B 4, six symbols as one-hot vectors. The target is the sequence's first symbol, asked at the last
step: cross-entropy. A new batch each step: its symbols are hash(3000 + step, t·B + b) mod 6. Adam with learning rate 3e-3,
gradients clipped to a global norm of 1 by torch's rule, n·1/(n + 1e-6). A loss is taken before its update.
Initial parameters come from formulas.py.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from formulas import Network, below, digits, write

HIDDEN, N_STEPS, BATCH, N_SYMBOLS = 16, 10, 4, 6
UPDATES, LEARNING_RATE, MAX_NORM = 10, 3e-3, 1.0
FIRST_BATCH = 3000
# See GAIN in odd.py; chosen so that norms lie on both sides of the clipping threshold.
GAIN = {"rnn-tanh": 1.2, "lstm": 3.0, "gru": 2.0}


def train(cell):
    bound = GAIN[cell] / HIDDEN**0.5
    network = Network(cell, N_SYMBOLS, HIDDEN, 1, N_SYMBOLS, bound)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    losses, norms = [], []
    for step in range(UPDATES):
        x = below(FIRST_BATCH + step, N_SYMBOLS, N_STEPS, BATCH)
        loss = F.cross_entropy(network(F.one_hot(x, N_SYMBOLS).double())[-1], x[0])
        optimiser.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM).item())
        optimiser.step()
        losses.append(loss.item())
    assert min(norms) < MAX_NORM < max(norms), f"{cell}: clipping always or never acts: {norms}"
    print(cell, "losses", [f"{v:.3f}" for v in losses], "norms", [f"{v:.2f}" for v in norms])
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    return {
        "cell": cell, "H": HIDDEN, "T": N_STEPS, "B": BATCH, "V": N_SYMBOLS, "bound": bound,
        "lr": LEARNING_RATE, "clip": MAX_NORM,
        "losses": [digits(v, 15) for v in losses],
        "gradient_norms": [digits(v, 15) for v in norms],
        "sum": {name: digits(parameter.sum(), 15) for name, parameter in parameters.items()},
        "norm": {name: digits(parameter.norm(), 15) for name, parameter in parameters.items()},
    }


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    write(Path(__file__).with_name("trajectories.json"), {cell: train(cell) for cell in GAIN})
