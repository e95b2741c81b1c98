"""A peer of the bench: the same networks in PyTorch, on one thread of the processor.

Each line of standard input is a request in JSON, each line of output its answer; the first line of output names the version. Arrays are
base64 of little-endian 32-bit numbers, in the layouts of `src/workload.ts`.
"""

import base64
import json
import sys
import time

import torch

torch.set_num_threads(1)


def say(**answer):
    print(json.dumps(answer), flush=True)


def array(text, dtype, *shape):
    # The numbers are copied: the bytes are not ours to write.
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=dtype).reshape(shape).clone()


def create(workload, weights):
    hidden, inputs, outputs = workload["H"], workload["I"], workload["O"]
    kind = {"elman": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[workload["cell"]]
    rnn, head = kind(inputs, hidden), torch.nn.Linear(hidden, outputs)
    values = {
        rnn.weight_ih_l0: "weightIh",
        rnn.weight_hh_l0: "weightHh",
        rnn.bias_ih_l0: "biasIh",
        rnn.bias_hh_l0: "biasHh",
        head.weight: "headWeight",
        head.bias: "headBias",
    }
    with torch.no_grad():
        for parameter, name in values.items():
            parameter.copy_(array(weights[name], torch.float32, *parameter.shape))
    adam = torch.optim.Adam(values.keys(), lr=workload["learningRate"], fused=True)

    def step(x, y):
        adam.zero_grad(set_to_none=True)
        states, _ = rnn(x)
        if workload["form"] == "adding":
            loss = torch.nn.functional.mse_loss(head(states[-1]), y)
        else:
            loss = torch.nn.functional.cross_entropy(head(states.flatten(0, 1)), y)
        loss.backward()
        adam.step()
        return loss.item()

    return step


def batch(workload, x, y):
    n_steps, rows = workload["T"], workload["B"]
    if workload["form"] == "adding":
        return array(x, torch.float32, n_steps, rows, workload["I"]), array(y, torch.float32, rows, 1)
    symbols = array(x, torch.int32, n_steps, rows).long()
    return torch.nn.functional.one_hot(symbols, workload["I"]).float(), array(y, torch.int32, -1).long()


say(version=f"{torch.__version__}, native")
for line in sys.stdin:
    request = json.loads(line)
    match request["do"]:
        case "create":
            workload, batches = request["workload"], []
            step = create(workload, request["weights"])
            say()
        case "batch":
            batches.append(batch(workload, request["x"], request["y"]))
            say()
        case "train":
            start = time.perf_counter()
            for k in range(request["from"], request["from"] + request["count"]):
                loss = step(*batches[k % len(batches)])
            say(loss=loss, ms=1000 * (time.perf_counter() - start))
        case "time":
            say(ms=1000 * time.process_time())
