#!/usr/bin/python3
"""PyTorch: seconds of a training epoch of 60,000 MNIST images, as one JSON line.

    python3 pytorch.py DIR [--network 784-128-10] [--optimizer adam|nesterov] [--batch 128] [--threads 1]

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


def network_of(widths):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


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
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    pixels = read(f"{arguments.dir}/train-images-idx3-ubyte", 16).reshape(-1, 784)
    images = torch.from_numpy(pixels).float() / 255
    labels = torch.from_numpy(read(f"{arguments.dir}/train-labels-idx1-ubyte", 8).astype(numpy.int64))
    network = network_of([int(width) for width in arguments.network.split("-")])
    optimizer = optimizer_of(arguments.optimizer, network.parameters())
    for _ in range(2):
        seconds = epoch_seconds(network, optimizer, images, labels, arguments.batch)
    print(json.dumps({"seconds": seconds, "version": torch.__version__}))


main()
