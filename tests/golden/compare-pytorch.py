"""Repeats in PyTorch the steps that compare-pytorch.mjs describes in a JSON file, and compares the losses.

    python3 compare-pytorch.py RUN.json

Prints the largest difference and PASS or FAIL; the exit status is 0 or 1.
"""

import gzip
import json
import struct
import sys

try:
    import torch
    import torch.nn.functional as F
except ModuleNotFoundError as error:
    print(f"{sys.executable} has no PyTorch ({error}). Set PYTHON to an interpreter that has it.", file=sys.stderr)
    sys.exit(2)

LIMIT = 1e-4


def read_safetensors(path):
    """The F32 tensors of a file by name."""
    with open(path, "rb") as file:
        content = bytearray(file.read())
    (header_bytes,) = struct.unpack_from("<Q", content)
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + header_bytes]).items():
        if name != "__metadata__":
            start = 8 + header_bytes + entry["data_offsets"][0]
            count = (entry["data_offsets"][1] - entry["data_offsets"][0]) // 4
            values = torch.frombuffer(content, dtype=torch.float32, count=count, offset=start)
            tensors[name] = values.reshape(entry["shape"]).clone()
    return tensors


def read_idx(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        content = bytearray(file.read())
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    return torch.frombuffer(content, dtype=torch.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def main():
    with open(sys.argv[1]) as file:
        run = json.load(file)
    images, labels, order = read_idx(run["images"]), read_idx(run["labels"]), torch.tensor(run["order"])
    tensors = read_safetensors(run["weights"])
    layers = []
    for index in sorted({int(name.split(".")[0]) for name in tensors}):
        weight, bias = tensors[f"{index}.weight"], tensors[f"{index}.bias"]
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers += [layer, torch.nn.ReLU()]
    model = torch.nn.Sequential(torch.nn.Flatten(), *layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=run["learningRate"])

    worst, worst_step = 0.0, 0
    for step, ours in enumerate(run["losses"]):
        batch = order[step * run["batchSize"] : (step + 1) * run["batchSize"]]
        loss = F.cross_entropy(model(images[batch].float() / 255), labels[batch].long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        difference = abs(loss.item() - ours)
        # Written so that NaN is the worst of all.
        if not difference <= worst:
            worst, worst_step = difference, step
    first, last = run["losses"][0], run["losses"][-1]
    passed = worst <= LIMIT
    print(f"loss {first:.4f} to {last:.4f}; PyTorch {torch.__version__} differs by at most {worst:.2e} (step {worst_step})")
    print(f"{'PASS' if passed else 'FAIL'}: the limit is {LIMIT:g}")
    sys.exit(0 if passed else 1)


main()
