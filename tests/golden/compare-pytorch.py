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

# How far a step's loss may be off, and an epoch's mean loss, as a share of it.
STEP_LIMIT, EPOCH_LIMIT = 1e-4, 0.02


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


class Flatten(torch.nn.Module):
    """To rows in the order of [height, width, channels], in which our dense layers hold their weights."""

    def forward(self, images):
        return images.permute(0, 2, 3, 1).flatten(1)


def modules_of(index, config, tensors):
    """A layer of a model's configuration. Convolutions stride by one: PyTorch knows no other padding "same"."""
    kind = config["type"]
    if kind == "maxPooling2d":
        return [torch.nn.MaxPool2d(config["poolSize"], config["strides"])]
    weight, bias = tensors[f"{index}.weight"], tensors[f"{index}.bias"]
    if kind == "conv2d":
        layer = torch.nn.Conv2d(weight.shape[1], weight.shape[0], config["kernelSize"], padding=config["padding"])
    else:
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    # The loss has the softmax.
    return [layer, torch.nn.ReLU()] if config["activation"] == "relu" else [layer]


def model_of(layers, tensors):
    first_dense = next(index for index, config in enumerate(layers) if config["type"] == "dense")
    modules = [modules_of(index, config, tensors) for index, config in enumerate(layers)]
    modules.insert(first_dense, [Flatten()])
    return torch.nn.Sequential(*(module for several in modules for module in several))


def main():
    with open(sys.argv[1]) as file:
        run = json.load(file)
    images, labels = read_idx(run["images"]).unsqueeze(1), read_idx(run["labels"]).long()
    model = model_of(run["layers"], read_safetensors(run["weights"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=run["learningRate"])

    def step(batch):
        loss = F.cross_entropy(model(images[batch].float() / 255), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    losses = []
    for order in run["orders"]:
        batches = torch.tensor(order).split(run["batchSize"])
        found = [step(batch) for batch in batches]
        if run["per"] == "epoch":
            found = [sum(loss * len(batch) for loss, batch in zip(found, batches)) / len(order)]
        losses += found

    limit = STEP_LIMIT if run["per"] == "step" else EPOCH_LIMIT
    worst, worst_index = 0.0, 0
    for index, (ours, theirs) in enumerate(zip(run["losses"], losses)):
        difference = abs(ours - theirs) / (1 if run["per"] == "step" else theirs)
        # Written so that NaN is the worst of all.
        if not difference <= worst:
            worst, worst_index = difference, index
    first, last = run["losses"][0], run["losses"][-1]
    passed = worst <= limit
    where = f"PyTorch {torch.__version__} differs by at most {worst:.2e} ({run['per']} {worst_index})"
    print(f"loss {first:.4f} to {last:.4f}; {where}")
    print(f"{'PASS' if passed else 'FAIL'}: the limit is {limit:g}")
    sys.exit(0 if passed else 1)


main()
