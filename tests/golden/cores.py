"""Makes cores.json: values and gradients of every recurrent core, from PyTorch in f64.

    python cores.py           compare with cores.json (exit status 1 when they differ)
    python cores.py --write   make cores.json; entries that do not differ stay as they are

No random number is drawn. Element n of parameter number k is 0.5·sin(0.7(n+1) + 1.3k); element n of an input is
cos(0.37 n). The loss of an output y of N elements is Σ_n y_n cos(0.11 n) / N + ½ mean(y²). Modules below hold their
parameters in the order in which k counts.

Letters: B batch, T timesteps, I input features, H hidden units.
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

T, B, I, H = 7, 2, 3, 4
FILE = Path(__file__).with_name("cores.json")


def digits(value):
    """A number as the file holds it: 15 significant digits."""
    return float(f"{float(value):.15g}")


def all_digits(values):
    return [digits(value) for value in values]


def fill(module):
    """Sets the parameters by formula; returns the module."""
    for k, parameter in enumerate(module.parameters()):
        n = torch.arange(parameter.numel(), dtype=torch.float64)
        parameter.data = (0.5 * torch.sin(0.7 * (n + 1) + 1.3 * k)).reshape(parameter.shape)
    return module


def wave(*shape):
    """An input by formula."""
    return torch.cos(0.37 * torch.arange(math.prod(shape), dtype=torch.float64)).reshape(shape)


class Weights(nn.Module):
    """Named parameters of given shapes, filled."""

    def __init__(self, **shapes):
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name.replace(".", "_"), nn.Parameter(torch.zeros(shape)))
        fill(self)


def record(module, y):
    """Loss, outputs and gradients of one core."""
    weight = torch.cos(0.11 * torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape)
    loss = (y * weight).sum() / y.numel() + 0.5 * (y * y).mean()
    module.zero_grad()
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    return {
        "loss": digits(loss),
        "y_sum": digits(y.sum()),
        "y_last": all_digits(y.flatten()[-3:]),
        "grad_l2": {name: digits(gradient.norm()) for name, gradient in gradients.items()},
        "grad_sum": {name: digits(gradient.sum()) for name, gradient in gradients.items()},
    }


def recurrent(make):
    """One layer; and two layers in both directions."""
    x = wave(T, B, I).requires_grad_()
    layer = fill(make(I, H))
    single = record(layer, layer(x)[0])
    single["dx_l2_per_t"] = all_digits(x.grad.norm(dim=(1, 2)))

    stack = fill(make(I, H, num_layers=2, bidirectional=True))
    y, state = stack(wave(T, B, I))
    h_n = state[0] if isinstance(state, tuple) else state
    double = record(stack, y)
    double["param_names_shapes"] = [[name, list(p.shape)] for name, p in stack.named_parameters()]
    double["h_n_shape"] = list(h_n.shape)
    double["h_n_sum"] = all_digits(h_n.sum(dim=(1, 2)))
    return single, double


def ten_steps(make_optimiser, max_norm=1e9):
    """Ten updates of an LSTM that shall make Σ_h h_T equal to [0.3, −0.2]."""
    layer = fill(nn.LSTM(I, H))
    optimiser = make_optimiser(layer.parameters())
    x, target = wave(T, B, I), torch.tensor([0.3, -0.2])
    losses, norms = [], []
    for _ in range(10):
        y, _ = layer(x)
        loss = ((y[-1].sum(-1) - target) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(layer.parameters(), max_norm))
        optimiser.step()
        losses.append(loss.detach())
    return {
        "loss": all_digits(losses),
        "grad_norm0": digits(norms[0]),
        "param_sum": digits(sum(p.sum() for p in layer.parameters())),
        "param_l2": digits(math.sqrt(sum((p * p).sum().item() for p in layer.parameters()))),
    }


def optimisers():
    adam, adamw, rmsprop, sgd = torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.SGD
    return {
        "adam_lr0.01": ten_steps(lambda p: adam(p, lr=0.01)),
        "adam_lr0.01_clip0.1": ten_steps(lambda p: adam(p, lr=0.01), 0.1),
        "adamw_lr0.01_wd0.1": ten_steps(lambda p: adamw(p, lr=0.01, weight_decay=0.1)),
        "adam_lr0.01_wd0.1(L2)": ten_steps(lambda p: adam(p, lr=0.01, weight_decay=0.1)),
        "rmsprop_lr0.01": ten_steps(lambda p: rmsprop(p, lr=0.01)),
        "rmsprop_lr0.01_mom0.9": ten_steps(lambda p: rmsprop(p, lr=0.01, momentum=0.9)),
        "sgd_lr0.1": ten_steps(lambda p: sgd(p, lr=0.1)),
        "sgd_lr0.1_mom0.9": ten_steps(lambda p: sgd(p, lr=0.1, momentum=0.9)),
        "sgd_lr0.1_nesterov0.9": ten_steps(lambda p: sgd(p, lr=0.1, momentum=0.9, nesterov=True)),
        "sgd_lr0.1_clip0.1": ten_steps(lambda p: sgd(p, lr=0.1), 0.1),
    }


def cross_entropies():
    logits, target = 2 * wave(4, 5), torch.tensor([0, 3, -100, 4])
    return {
        "mean_ignore-100": digits(F.cross_entropy(logits, target)),
        "sum": digits(F.cross_entropy(logits, target, reduction="sum")),
        "ls0.1": digits(F.cross_entropy(logits, target, label_smoothing=0.1)),
    }


def positive(x):
    """g of Feng et al. 2024 (arXiv:2410.01201): x + ½ above zero, the logistic function below."""
    return torch.where(x >= 0, x + 0.5, torch.sigmoid(x))


class MinGru(Weights):
    """h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ h̃_t: here z = 1 overwrites. Gates see x alone."""

    def __init__(self, squash=positive):
        super().__init__(wz=(H, I), bz=(H,), wh=(H, I), bh=(H,))
        self.squash = squash

    def forward(self, x):
        h, outputs = torch.zeros(x.shape[1], H), []
        for x_t in x:
            z = torch.sigmoid(x_t @ self.wz.T + self.bz)
            h = (1 - z) * h + z * self.squash(x_t @ self.wh.T + self.bh)
            outputs.append(h)
        return torch.stack(outputs)

    def in_log_space(self, x):
        """The parallel form of the paper's Appendix B, for `positive`."""
        k, candidate = x @ self.wz.T + self.bz, x @ self.wh.T + self.bh
        log_candidate = torch.where(candidate >= 0, (F.relu(candidate) + 0.5).log(), -F.softplus(-candidate))
        log_decay = (-F.softplus(k)).cumsum(0)
        return (log_decay + torch.logcumsumexp(log_candidate - F.softplus(-k) - log_decay, 0)).exp()


class MinLstm(Weights):
    """h_t = f/(f+i) ⊙ h_{t−1} + i/(f+i) ⊙ h̃_t."""

    def __init__(self):
        super().__init__(wf=(H, I), bf=(H,), wi=(H, I), bi=(H,), wh=(H, I), bh=(H,))

    def forward(self, x):
        h, outputs = torch.zeros(x.shape[1], H), []
        for x_t in x:
            f = torch.sigmoid(x_t @ self.wf.T + self.bf)
            i = torch.sigmoid(x_t @ self.wi.T + self.bi)
            h = f / (f + i) * h + i / (f + i) * positive(x_t @ self.wh.T + self.bh)
            outputs.append(h)
        return torch.stack(outputs)


class Qrnn(Weights):
    """h_t = f_t ⊙ h_{t−1} + (1 − f_t) ⊙ z_t: f-pooling with a window of one (Bradbury et al. 2016, arXiv:1611.01576)."""

    def __init__(self):
        super().__init__(wf=(H, I), bf=(H,), wz=(H, I), bz=(H,))

    def forward(self, x):
        h, outputs = torch.zeros(x.shape[1], H), []
        for x_t in x:
            f = torch.sigmoid(x_t @ self.wf.T + self.bf)
            h = f * h + (1 - f) * torch.tanh(x_t @ self.wz.T + self.bz)
            outputs.append(h)
        return torch.stack(outputs)


class Mamba(Weights):
    """A Mamba block (Gu and Dao 2023, arXiv:2312.00752): model width 4, inner width E = 8, N = 3 states, Δ of rank 1.

    `exact` discretises B by zero-order hold, (e^{ΔA} − 1)/A · B; otherwise by Euler, Δ·B, as the published code does.
    """

    inner, states, taps, rank = 8, 3, 4, 1

    def __init__(self, exact):
        e, n, r = self.inner, self.states, self.rank
        super().__init__(
            in_proj=(2 * e, 4), conv_w=(e, self.taps), conv_b=(e,), x_proj=(r + 2 * n, e), dt_w=(e, r), dt_b=(e,),
            A_log=(e, n), D=(e,), out_proj=(4, e),
        )
        self.exact = exact

    def forward(self, x):
        length, batch, _ = x.shape
        u, gate = (x @ self.in_proj.T).split(self.inner, -1)
        padded = torch.cat([torch.zeros(self.taps - 1, batch, self.inner), u])
        u = F.silu(sum(padded[j : j + length] * self.conv_w[:, j] for j in range(self.taps)) + self.conv_b)
        low_rank, b, c = (u @ self.x_proj.T).split([self.rank, self.states, self.states], -1)
        dt = F.softplus(low_rank @ self.dt_w.T + self.dt_b)
        a = -torch.exp(self.A_log)
        h, outputs = torch.zeros(batch, self.inner, self.states), []
        for t in range(length):
            decay = torch.exp(dt[t][:, :, None] * a)
            step = (decay - 1) / a if self.exact else dt[t][:, :, None]
            h = decay * h + step * b[t][:, None, :] * u[t][:, :, None]
            outputs.append((h * c[t][:, None, :]).sum(-1) + self.D * u[t])
        return (torch.stack(outputs) * F.silu(gate)) @ self.out_proj.T


class Wkv(Weights):
    """The core of RWKV-4 (Peng et al. 2023, arXiv:2305.13048) in its plain form, decay e^{−e^w}."""

    def __init__(self):
        super().__init__(w=(4,), u=(4,), k=(T, B, 4), v=(T, B, 4))

    def forward(self):
        decay = torch.exp(-torch.exp(self.w))
        weighted, total, outputs = torch.zeros(B, 4), torch.zeros(B, 4), []
        for k, v in zip(self.k, self.v):
            now = torch.exp(self.u + k)
            outputs.append((weighted + now * v) / (total + now))
            weighted, total = decay * weighted + torch.exp(k) * v, decay * total + torch.exp(k)
        return torch.stack(outputs)


class Retention(Weights):
    """Retention (Sun et al. 2023, arXiv:2307.08621): two heads of width 2, γ = 1 − 2^{−5−head}, neither scaled nor normed."""

    gamma = 1 - 2.0 ** (-5 - torch.arange(2.0))

    def __init__(self):
        super().__init__(q=(T, B, 2, 2), k=(T, B, 2, 2), v=(T, B, 2, 2))

    def forward(self):
        state, outputs = torch.zeros(B, 2, 2, 2), []
        for q, k, v in zip(self.q, self.k, self.v):
            state = self.gamma[:, None, None] * state + k[..., :, None] * v[..., None, :]
            outputs.append((q[..., None] * state).sum(-2))
        return torch.stack(outputs)

    def in_parallel(self):
        lag = torch.arange(T)[:, None] - torch.arange(T)
        decay = torch.where(lag >= 0, self.gamma[:, None, None] ** lag.clamp(min=0), 0.0)
        return torch.einsum("bhts,sbhe->tbhe", torch.einsum("tbhd,sbhd->bhts", self.q, self.k) * decay, self.v)


class CausalAttention(nn.Module):
    """Causal self-attention with two heads (Vaswani et al. 2017, arXiv:1706.03762), over `[T, B, 4]`."""

    heads = 2

    def __init__(self, width=4):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        fill(self)

    def forward(self, x):
        x = x.transpose(0, 1)
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.c_attn(x).split(width, 2)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)
        future = torch.ones(length, length).triu(1).bool()
        mixed = scores.masked_fill(future, -torch.inf).softmax(-1) @ v
        return self.c_proj(mixed.transpose(1, 2).reshape(batch, length, width)).transpose(0, 1)


class Bahdanau(Weights):
    """Additive attention (Bahdanau et al. 2014, arXiv:1409.0473): score v·tanh(W q + U k)."""

    def __init__(self):
        super().__init__(Wa=(5, 4), Ua=(5, 3), va=(5,))

    def forward(self, query, keys):
        self.alpha = (torch.tanh(query @ self.Wa.T + keys @ self.Ua.T) @ self.va).softmax(0)
        return (self.alpha[..., None] * keys).sum(0)


class Luong(Weights):
    """General attention (Luong et al. 2015, arXiv:1508.04025): score hᵀ W k, then tanh(W_c [context; h])."""

    def __init__(self):
        super().__init__(Wa=(4, 3), Wc=(4, 7))

    def forward(self, h, keys):
        self.alpha = torch.einsum("bd,de,tbe->tb", h, self.Wa, keys).softmax(0)
        context = (self.alpha[..., None] * keys).sum(0)
        return torch.tanh(torch.cat([context, h], -1) @ self.Wc.T)


def make():
    out = {}
    cells = {
        "rnn_tanh": nn.RNN,
        "rnn_relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
        "lstm": nn.LSTM,
        "gru": nn.GRU,
    }
    for name, cell in cells.items():
        out[f"{name}_1L"], out[f"{name}_2L_bi"] = recurrent(cell)
    out["opt"] = optimisers()
    out["ce"] = cross_entropies()

    x = wave(T, B, I)
    gru, plain, lstm = MinGru(), MinGru(squash=lambda candidate: candidate), MinLstm()
    out["minGRU_g"], out["minGRU_plain"], out["minLSTM_g"] = (record(m, m(x)) for m in (gru, plain, lstm))
    out["minGRU_logspace_maxdiff"] = digits((gru.in_log_space(x) - gru(x)).abs().max())

    qrnn = Qrnn()
    out["qrnn"] = record(qrnn, qrnn(x))

    euler, exact = Mamba(exact=False), Mamba(exact=True)
    out["mamba1_euler"], out["mamba1_exactZOH"] = (record(m, m(wave(T, B, 4))) for m in (euler, exact))

    wkv, retention = Wkv(), Retention()
    out["rwkv4_wkv"], out["retention_core"] = record(wkv, wkv()), record(retention, retention())
    out["retention_core"]["par_vs_rec"] = digits((retention.in_parallel() - retention()).abs().max())

    attention, norm = CausalAttention(), fill(nn.LayerNorm(4))
    out["causal_mha"] = record(attention, attention(wave(T, B, 4)))
    for name, module in {"bahdanau": Bahdanau(), "luong_general": Luong()}.items():
        out[name] = record(module, module(wave(2, 4), wave(6, 2, 3)))
        out[name]["alpha_b0"] = all_digits(module.alpha[:, 0])
    out["layernorm"] = record(norm, norm(wave(3, 2, 4)))

    half = torch.tensor(0.5)
    out["act"] = {
        "gelu_erf(0.5)": digits(F.gelu(half)),
        "gelu_tanh(0.5)": digits(F.gelu(half, approximate="tanh")),
        "silu(0.5)": digits(F.silu(half)),
        "softplus(0.5)": digits(F.softplus(half)),
    }
    return out


def differences(path, old, new):
    """Paths at which two trees differ: structure exactly, numbers by more than 1e-12 relative (1e-15 absolute)."""
    if isinstance(old, dict) and isinstance(new, dict):
        if list(old) != list(new):
            return [f"{path}: keys {list(old)} became {list(new)}"]
        return [line for key in old for line in differences(f"{path}/{key}", old[key], new[key])]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [line for k, pair in enumerate(zip(old, new)) for line in differences(f"{path}/{k}", *pair)]
    if isinstance(old, (int, float)) and isinstance(new, (int, float)):
        return [] if math.isclose(old, new, rel_tol=1e-12, abs_tol=1e-15) else [f"{path}: {old} became {new}"]
    return [] if old == new else [f"{path}: {old} became {new}"]


if __name__ == "__main__":
    made = make()
    if "--write" in sys.argv:
        old = json.loads(FILE.read_text())
        kept = {name: old[name] if name in old and not differences("", old[name], value) else value for name, value in made.items()}
        entries = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items())
        FILE.write_text(f"{{\n{entries}\n}}\n")
    wrong = differences("", json.loads(FILE.read_text()), made)
    print("\n".join(wrong) or f"cores.json: {len(made)} entries, as made by torch {torch.__version__}")
    sys.exit(1 if wrong else 0)
