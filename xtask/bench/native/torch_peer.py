"""The same training steps in PyTorch (cuDNN where there is a card): one line of milliseconds for each line of standard input.

A line is `cell hidden batch steps`; the answer is `median minimum`. The first line of output names the device.
"""

import sys
import time

import torch

cuda = torch.cuda.is_available()
device = torch.device("cuda" if cuda else "cpu")
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
name = torch.cuda.get_device_name() if cuda else f"the CPU, {torch.get_num_threads()} threads"
print(f"PyTorch {torch.__version__} on {name}", flush=True)


def wait():
    if cuda:
        torch.cuda.synchronize()


for line in sys.stdin:
    cell, hidden, batch, n_steps = line.split()
    hidden, batch, n_steps = int(hidden), int(batch), int(n_steps)
    rnn = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](2, hidden).to(device)
    head = torch.nn.Linear(hidden, 1).to(device)
    parameters = [*rnn.parameters(), *head.parameters()]
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=cuda)
    x = torch.rand(n_steps, batch, 2, device=device)
    y = torch.rand(batch, 1, device=device)

    def step():
        adam.zero_grad(set_to_none=True)
        output, _ = rnn(x)
        loss = torch.nn.functional.mse_loss(head(output[-1]), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()

    for _ in range(3):
        step()
    wait()
    start = time.perf_counter()
    step()
    wait()
    n = max(1, min(200, int(0.2 / (time.perf_counter() - start))))
    samples = []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(n):
            step()
        wait()
        samples.append((time.perf_counter() - start) * 1000 / n)
    samples.sort()
    print(f"{samples[len(samples) // 2]} {samples[0]}", flush=True)
