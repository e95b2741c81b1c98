"""Makes odd.json: loss, outputs, gradients and state gradients of whole networks at odd sizes.

    python odd.py

Every size divides badly: H 13, 33, 65, 130, T 17, 41, B 1, 3, 5, 7, one to three layers. Inputs and parameters come from
formulas.py. The numbers are those of f64; f32 runs beside it, and its distance is recorded as what any f32 engine can
hope for.

Three forms of task:
  adding    x [T, B, 2]: a value and a marker. y [B]: the sum of the two marked values. Mean squared error, last step.
  symbols   x [T, B] of V = 6 symbols, fed as one-hot vectors. y [B]: one of C = 4 classes. Cross-entropy, last step.
  per-step  x [T, B] of V = 7 symbols, fed as one-hot vectors. y [T, B]: one of C = 7 classes, some of them ignored;
            mask [T, B] of weights in [0, 1). Cross-entropy, weighted mean over the targets that are not ignored.
"""

from itertools import product
from pathlib import Path

import torch

from formulas import IGNORED, MASK, X, Y, Network, below, digest, digits, loss_of, symbols, uniform, write

# cell, H, T, B, L, form
CONFIGURATIONS = [
    ("rnn-tanh", 13, 17, 1, 1, "adding"),
    ("rnn-tanh", 33, 41, 3, 2, "symbols"),
    ("rnn-tanh", 65, 17, 7, 3, "per-step"),
    ("rnn-tanh", 130, 41, 5, 1, "per-step"),
    ("rnn-relu", 13, 41, 5, 2, "per-step"),
    ("rnn-relu", 33, 17, 7, 1, "symbols"),
    ("rnn-relu", 65, 41, 1, 1, "adding"),
    ("rnn-relu", 130, 17, 3, 3, "adding"),
    ("lstm", 13, 41, 7, 3, "symbols"),
    ("lstm", 33, 17, 5, 2, "adding"),
    ("lstm", 65, 41, 3, 1, "per-step"),
    ("lstm", 130, 17, 1, 2, "symbols"),
    ("gru", 13, 17, 3, 2, "per-step"),
    ("gru", 33, 41, 1, 3, "adding"),
    ("gru", 65, 17, 5, 1, "symbols"),
    ("gru", 130, 41, 7, 2, "per-step"),
]

# Parameters lie within gain/√H. PyTorch's own start is gain 1, which has spectral radius 0.58 and lets the early
# timesteps vanish from a sum in f32; √3 is radius 1, and gates halve what passes.
GAIN = {"rnn-tanh": 1.7, "rnn-relu": 1.7, "lstm": 3.0, "gru": 3.0}

# Form: input size, output size.
SIZES = {"adding": (2, 1), "symbols": (6, 4), "per-step": (7, 7)}


def batch(form, n_steps, size):
    """Network input [T, B, I], targets ([T, B] classes with −100 ignored, or [T, B, 1]) and weights [T, B]."""
    dtype = torch.get_default_dtype()
    last_step = torch.zeros(n_steps, size, dtype=dtype)
    last_step[-1] = 1
    if form == "adding":
        # Values are uniform(X, t·B + b). Markers: t = hash(Y, b) mod ⌊T/2⌋ and ⌊T/2⌋ + hash(Y, B + b) mod ⌈T/2⌉.
        half = n_steps // 2
        first = below(Y, half, size)
        second = half + below(Y, n_steps - half, 2 * size)[size:]
        values, rows = uniform(X, n_steps, size), torch.arange(size)
        x = torch.zeros(n_steps, size, 2, dtype=dtype)
        x[:, :, 0] = values.to(dtype)
        x[first, rows, 1] = 1
        x[second, rows, 1] = 1
        total = (values[first, rows] + values[second, rows]).float().to(dtype)
        return x, total.expand(n_steps, size).unsqueeze(-1), last_step
    if form == "symbols":
        _, x = symbols(SIZES[form][0], n_steps, size)
        return x, below(Y, SIZES[form][1], size).expand(n_steps, size), last_step
    # A target is ignored where hash(Y, T·B + n) is a multiple of 4.
    _, x = symbols(SIZES[form][0], n_steps, size)
    n = n_steps * size
    y = below(Y, SIZES[form][1], n)
    y[below(Y, 4, 2 * n)[n:] == 0] = -100
    return x, y.reshape(n_steps, size), uniform(MASK, n_steps, size).to(dtype)


def run(cell, hidden, n_steps, size, layers, form, dtype):
    """One pass forward and back. Returns loss, scored outputs, gradients by name, and ‖∂L/∂h_t‖ [L][T]."""
    torch.set_default_dtype(dtype)
    n_inputs, n_outputs = SIZES[form]
    x, y, mask = batch(form, n_steps, size)
    network = Network(cell, n_inputs, hidden, layers, n_outputs, GAIN[cell] / hidden**0.5)

    outputs = network(x)
    loss = loss_of(outputs, y, mask)
    loss.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}

    network.zero_grad()
    by_hand, states = network.unrolled(x)
    loss_of(by_hand, y, mask).backward()
    if dtype == torch.float64:
        assert (by_hand - outputs).abs().max() < 1e-12, "the loop by hand is not torch's layer"
        for name, parameter in network.named_parameters():
            error = (parameter.grad - gradients[name]).norm() / gradients[name].norm()
            assert error < 1e-11, f"gradient of {name} by hand is off by {error}"
    hidden_norms = torch.stack([torch.stack([h.grad.norm() for h in row]) for row in states])
    return loss.detach(), (outputs if form == "per-step" else outputs[-1]).detach(), gradients, hidden_norms


def relative(a, b):
    return float((a.double() - b).norm() / b.norm())


def covered():
    """Every size and form occurs with every cell; every H occurs with both T."""
    seen = [set(column) for column in zip(*CONFIGURATIONS)]
    assert seen[1:] == [{13, 33, 65, 130}, {17, 41}, {1, 3, 5, 7}, {1, 2, 3}, {"adding", "symbols", "per-step"}]
    for cell in seen[0]:
        columns = [set(column) for column in zip(*(c for c in CONFIGURATIONS if c[0] == cell))]
        assert columns[1:] == seen[1:], cell
    assert {c[1:3] for c in CONFIGURATIONS} == set(product(seen[1], seen[2]))


def make():
    covered()
    out = {}
    for configuration in CONFIGURATIONS:
        cell, hidden, n_steps, size, layers, form = configuration
        loss, outputs, gradients, states = run(*configuration, torch.float64)
        loss_32, outputs_32, gradients_32, states_32 = run(*configuration, torch.float32)
        worst = {
            "loss": relative(loss_32, loss),
            "outputs": relative(outputs_32, outputs),
            "gradient": max(relative(gradients_32[name], gradients[name]) for name in gradients),
            "hidden": float(((states_32.double() - states) / states).abs().max()),
        }
        assert worst["loss"] < 1e-6 and worst["gradient"] < 1e-5 and worst["hidden"] < 1e-4, worst
        assert all(1e-7 < g.norm() < 1e3 for g in gradients.values()), "a gradient is dead or explodes"
        name = f"{cell}_h{hidden}_t{n_steps}_b{size}_l{layers}_{form}"
        print(name, f"loss {loss:.4f} state gradients {states.min():.1e} to {states.max():.1e}",
              f"gradients {min(g.norm() for g in gradients.values()):.1e} to",
              f"{max(g.norm() for g in gradients.values()):.1e}", {k: f"{v:.0e}" for k, v in worst.items()})
        out[name] = {
            "cell": cell, "H": hidden, "T": n_steps, "B": size, "L": layers, "form": form,
            "I": SIZES[form][0], "O": SIZES[form][1], "bound": GAIN[cell] / hidden**0.5, "ignored": IGNORED,
            "loss": digits(loss, 15), "outputs": digest(outputs),
            "gradients": {name: digest(gradient) for name, gradient in gradients.items()},
            "hidden": [[digits(v, 8) for v in row] for row in states],
            "torch_f32": {key: digits(value, 2) for key, value in worst.items()},
        }
    return out


if __name__ == "__main__":
    write(Path(__file__).with_name("odd.json"), make())
