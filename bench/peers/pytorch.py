#!/usr/bin/python3
"""PyTorch: seconds of a training epoch of MNIST images, as one JSON line.

    python3 pytorch.py DIR [--network 784-128-10|lenet5|mnist-cnn] [--optimizer adam|nesterov] [--batch 128]
                       [--samples 60000] [--threads 1]

DIR holds the four raw IDX files. Images stay in memory as float32, a shuffled index selects each batch. The first epoch
warms up, the second counts. With Debian's package, install libopenblas-dev too: the reference BLAS that it falls back to
needs 8 s for an epoch of 784-128-10 where OpenBLAS needs 0.45 s.
"""
import argparse
import json
import time

import numpy
import torch
from torch import nn
from torch.nn import functional


def read(path, header):
    return numpy.fromfile(path, numpy.uint8)[header:].copy()


def lenet5():
    return [
        *(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    ]


def mnist_cnn():
    """Of PyTorch's MNIST example."""
    return [
        *(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()),
        *(nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    ]


def mlp(widths):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return layers[:-1]


def network_of(name):
    convolutional = {"lenet5": lenet5, "mnist-cnn": mnist_cnn}
    layers = convolutional[name]() if name in convolutional else mlp([int(width) for width in name.split("-")])
    return nn.Sequential(*layers)


def optimizer_of(name, parameters):
    if name == "adam":
        return torch.optim.Adam(parameters, 1e-3)
    return torch.optim.SGD(parameters, 0.05, momentum=0.9, nesterov=True)


def epoch_seconds(network, optimizer, images, labels, batch):
    start = time.perf_counter()
    order = torch.randperm(len(images))
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(network(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir")
    parser.add_argument("--network", default="784-128-10")
    parser.add_argument("--optimizer", default="adam", choices=["adam", "nesterov"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--samples", type=int, default=60000)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    pixels = read(f"{arguments.dir}/train-images-idx3-ubyte", 16).reshape(-1, 784)
    images = torch.from_numpy(pixels[: arguments.samples]).float() / 255
    targets = read(f"{arguments.dir}/train-labels-idx1-ubyte", 8)[: arguments.samples]
    labels = torch.from_numpy(targets.astype(numpy.int64))
    network = network_of(arguments.network)
    optimizer = optimizer_of(arguments.optimizer, network.parameters())
    for _ in range(2):
        seconds = epoch_seconds(network, optimizer, images, labels, arguments.batch)
    print(json.dumps({"seconds": seconds, "version": torch.__version__}))


main()
