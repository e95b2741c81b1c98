"""What odd.py and trajectories.py share: numbers by formula, the module, the loss and the digest of a tensor.

The formula is a hash of two 32-bit words, so that any language makes the same numbers without storing them:

    mix(h):        h ^= h >> 16;  h *= 0x85EBCA6B;  h ^= h >> 13;  h *= 0xC2B2AE35;  h ^= h >> 16     (mod 2^32)
    hash(k, n)   = mix(mix(k + 1) + n·0x9E3779B9)                                                     (mod 2^32)
    uniform(k,n) = (hash(k, n) >> 8) / 2^24                                           in [0, 1), exact in f32
    sign(k, n)   = +1 when hash(k, n) < 2^31, else −1

`mix` is the finaliser of MurmurHash3. A sine of n would not do for weights: sin(αn + β) reshaped to a matrix has rank
two, and a transposed or shifted product could hide in it.

k = 0, 1, 2 … are the parameters in PyTorch's order; the streams below are what else is drawn.

Letters: B batch, T timesteps, I input features, H hidden units, L layers, V symbols, C classes, O outputs.
"""

import json
import math

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(1)

X, Y, MASK, FIRST_SIGN = 1000, 1001, 1002, 2000
N_SIGNS = 32
N_SAMPLES = 16
IGNORED = 0xFFFFFFFF


def mix(h):
    h = h ^ (h >> 16)
    h = (h * 0x85EBCA6B) & 0xFFFFFFFF
    h = h ^ (h >> 13)
    h = (h * 0xC2B2AE35) & 0xFFFFFFFF
    return h ^ (h >> 16)


def hashes(k, count):
    """hash(k, 0 … count−1), as 64-bit integers; no product below exceeds 2^64, and the low 32 bits are exact."""
    return mix((mix(k + 1) + torch.arange(count, dtype=torch.int64) * 0x9E3779B9) & 0xFFFFFFFF)


def uniform(k, *shape):
    """f64, but exact in f32."""
    return ((hashes(k, math.prod(shape)) >> 8).double() / 2**24).reshape(shape)


def below(k, bound, *shape):
    """Whole numbers in 0..bound: hash mod bound."""
    return (hashes(k, math.prod(shape)) % bound).reshape(shape)


class Network(nn.Module):
    """A recurrent stack `rnn` and a linear layer `head`. Parameters are f32(bound·(2·uniform − 1)), also in f64."""

    def __init__(self, cell, n_inputs, hidden, layers, n_outputs, bound):
        super().__init__()
        make = {"rnn-tanh": nn.RNN, "rnn-relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell]
        options = {"nonlinearity": "relu"} if cell == "rnn-relu" else {}
        self.cell = cell
        self.rnn = make(n_inputs, hidden, num_layers=layers, **options)
        self.head = nn.Linear(hidden, n_outputs)
        for k, parameter in enumerate(self.parameters()):
            value = bound * (2 * uniform(k, *parameter.shape) - 1)
            parameter.data = value.float().to(torch.get_default_dtype())

    def forward(self, x):
        """[T, B, I] → [T, B, O]."""
        return self.head(self.rnn(x)[0])

    def step(self, layer, x_t, h, c):
        """One timestep of one layer, by the equations. Returns h and c (None but for the LSTM)."""
        w_ih, w_hh, b_ih, b_hh = self.rnn.all_weights[layer]
        from_input, from_state = x_t @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        if self.cell == "lstm":
            i, f, g, o = (from_input + from_state).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            return torch.sigmoid(o) * torch.tanh(c), c
        if self.cell == "gru":
            (r, z, n), (r_h, z_h, n_h) = from_input.chunk(3, -1), from_state.chunk(3, -1)
            z = torch.sigmoid(z + z_h)
            return (1 - z) * torch.tanh(n + torch.sigmoid(r + r_h) * n_h) + z * h, c
        squash = torch.relu if self.cell == "rnn-relu" else torch.tanh
        return squash(from_input + from_state), c

    def unrolled(self, x):
        """The same outputs, and every h of every layer and timestep as a node of its own: `states[l][t]` is [B, H]."""
        states, below_it = [], list(x)
        for layer in range(self.rnn.num_layers):
            h = torch.zeros(x.shape[1], self.rnn.hidden_size, dtype=x.dtype)
            c, row = h, []
            for x_t in below_it:
                h, c = self.step(layer, x_t, h, c)
                h.retain_grad()
                row.append(h)
            states.append(row)
            below_it = row
        return self.head(torch.stack(below_it)), states


def symbols(n_symbols, *shape):
    """Symbols by formula and their one-hot vectors."""
    x = below(X, n_symbols, *shape)
    return x, F.one_hot(x, n_symbols).to(torch.get_default_dtype())


def loss_of(outputs, y, mask):
    """Outputs [T, B, O], class targets [T, B] (or values [T, B, O]), weights [T, B]: the weighted mean of the losses.

    Weights at an ignored target count for nothing, in the sum and in the divisor.
    """
    if y.dtype == torch.int64:
        losses = F.cross_entropy(outputs.transpose(1, 2), y, reduction="none", ignore_index=-100)
        mask = mask * (y != -100)
    else:
        losses = ((outputs - y) ** 2).mean(-1)
    return (losses * mask).sum() / mask.sum()


def digits(value, count=10):
    return float(f"{float(value):.{count}g}")


def digest(tensor):
    """What is kept of a tensor: all of it when it is small, else its norm, sums with signs, and some elements.

    `signed[j]` = Σ_n sign(2000 + j, n)·v_n. For the difference e of two tensors the mean of its squared signed sums is
    ‖e‖² in expectation, with a relative deviation of √(2/32): so signed sums measure a relative L2 error.
    """
    flat = tensor.detach().double().flatten()
    if flat.numel() <= N_SIGNS:
        return {"values": [digits(v) for v in flat]}
    signs = (1 - 2 * (hashes(FIRST_SIGN + j, flat.numel()) >> 31).double() for j in range(N_SIGNS))
    stride = flat.numel() // N_SAMPLES
    return {
        "norm": digits(flat.norm()),
        "signed": [digits((sign * flat).sum()) for sign in signs],
        "stride": stride,
        "every": [digits(v, 6) for v in flat[::stride][:N_SAMPLES]],
    }


def write(file, tree):
    """One entry a line, so that a change shows where it is."""
    lines = [f" {json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in tree.items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{file.name}: {len(tree)} entries, {file.stat().st_size} bytes, torch {torch.__version__}")
