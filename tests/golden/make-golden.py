"""Writes golden.json beside this file: what PyTorch computes for small networks, losses and optimizers.

    python3 tests/golden/make-golden.py

golden_values.py says how they are made; make-golden-images.py makes those of convolutional networks.
Weights have our layout, [inputs, units]; PyTorch's linear layers use the transpose.
"""

import math

import torch
import torch.nn.functional as F
from golden_values import deviation, float32_normal, leaves, numbers, write

SEED = 20240917
ROWS, INPUTS, HIDDEN, CLASSES = 7, 12, 9, 5
STEPS = 10
# Nothing that a comparison with zero decides may come closer to zero than this, so that rounding cannot decide it.
KINK = 1e-3

ACTIVATIONS = {
    "linear": (0.0, lambda x: x),
    "relu": (0.0, F.relu),
    "leakyRelu": (0.3, lambda x: F.leaky_relu(x, 0.3)),
    "sigmoid": (0.0, torch.sigmoid),
    "tanh": (0.0, torch.tanh),
    "gelu": (0.0, F.gelu),
}

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd with momentum": (torch.optim.SGD, dict(lr=0.05, momentum=0.9)),
    "sgd with Nesterov momentum and weight decay": (
        torch.optim.SGD,
        dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    ),
    "adam": (torch.optim.Adam, dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8)),
    "adam with other constants": (torch.optim.Adam, dict(lr=5e-3, betas=(0.8, 0.98), eps=1e-7)),
    "adamW": (torch.optim.AdamW, dict(lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2)),
}


def activations():
    cases = []
    points = [-20, -9, -5, -3.7, -2.5, -1.5, -1, -0.75, -0.625, -0.5, -0.1, -1e-3, 1e-3, 0.05, 0.3, 0.5, 0.62, 0.63]
    points += [0.9, 1, 1.7, 2.2, 3.3, 5, 9, 20]
    slopes = [(name, slope, function) for name, (slope, function) in ACTIVATIONS.items()]
    slopes.append(("leakyRelu", 0.01, lambda x: F.leaky_relu(x, 0.01)))
    for name, slope, function in slopes:
        x = torch.tensor(points, dtype=torch.float32).double().requires_grad_()
        d_output = torch.linspace(-2, 2, len(points), dtype=torch.float32).double()
        y = function(x)
        y.backward(d_output)
        cases.append(
            {
                "activation": name,
                "negativeSlope": slope,
                "input": numbers(x),
                "dOutput": numbers(d_output),
                "output": numbers(y),
                "dInput": numbers(x.grad),
            }
        )
    return cases


def make_network(seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = float32_normal(generator, ROWS, INPUTS)
    # Exact zeros, as in images.
    inputs[torch.rand(ROWS, INPUTS, generator=generator) < 0.3] = 0.0
    targets = torch.randint(0, CLASSES, (ROWS,), generator=generator)
    parameters = {
        "0.weights": float32_normal(generator, INPUTS, HIDDEN, scale=math.sqrt(2 / INPUTS)),
        "0.bias": float32_normal(generator, HIDDEN, scale=0.1),
        "1.weights": float32_normal(generator, HIDDEN, CLASSES, scale=math.sqrt(2 / HIDDEN)),
        "1.bias": float32_normal(generator, CLASSES, scale=0.1),
    }
    return inputs, targets, parameters


def forward(parameters, inputs, function):
    hidden = inputs @ parameters["0.weights"] + parameters["0.bias"]
    return hidden, function(hidden) @ parameters["1.weights"] + parameters["1.bias"]


def run_network(inputs, targets, parameters, function, smoothing, dtype):
    weights = leaves(parameters, dtype)
    x = inputs.to(dtype).requires_grad_()
    _, logits = forward(weights, x, function)
    loss = F.cross_entropy(logits, targets, label_smoothing=smoothing)
    loss.backward()
    values = {"logits": logits.detach(), "loss": loss.detach(), "dInput": x.grad}
    return values | {name: value.grad for name, value in weights.items()}


def networks(inputs, targets, parameters):
    cases = []
    for name, (slope, function) in ACTIVATIONS.items():
        for smoothing in (0.0, 0.1):
            values = run_network(inputs.clone(), targets, parameters, function, smoothing, torch.float64)
            values32 = run_network(inputs.clone(), targets, parameters, function, smoothing, torch.float32)
            cases.append(
                {
                    "activation": name,
                    "negativeSlope": slope,
                    "labelSmoothing": smoothing,
                    "correct": int((values["logits"].argmax(1) == targets).sum()),
                    "logits": numbers(values["logits"]),
                    "loss": numbers(values["loss"]),
                    "dInput": numbers(values["dInput"]),
                    "gradients": {key: numbers(values[key]) for key in parameters},
                    "float32Deviation": deviation(values, values32),
                }
            )
    return cases


def mean_squared_error():
    generator = torch.Generator().manual_seed(SEED + 1)
    predictions = float32_normal(generator, 6, 11).requires_grad_()
    targets = float32_normal(generator, 6, 11)
    loss = F.mse_loss(predictions, targets)
    loss.backward()
    return {
        "rows": 6,
        "columns": 11,
        "predictions": numbers(predictions),
        "targets": numbers(targets),
        "loss": numbers(loss)[0],
        "dPredictions": numbers(predictions.grad),
    }


def train(inputs, targets, parameters, make, options, dtype):
    weights = leaves(parameters, dtype)
    optimizer = make(weights.values(), **options)
    losses, nearest = [], math.inf
    for _ in range(STEPS):
        optimizer.zero_grad()
        hidden, logits = forward(weights, inputs.to(dtype), F.relu)
        nearest = min(nearest, hidden.abs().min().item())
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        losses.append(loss.detach().double())
        optimizer.step()
    return {"losses": torch.stack(losses), **{key: value.detach() for key, value in weights.items()}}, nearest


def optimizers(inputs, targets, parameters):
    """None when a hidden unit of some step lies at the kink of ReLU."""
    cases = []
    for name, (make, options) in OPTIMIZERS.items():
        values, nearest = train(inputs, targets, parameters, make, options, torch.float64)
        if nearest < KINK:
            return None
        values32, _ = train(inputs, targets, parameters, make, options, torch.float32)
        cases.append(
            {
                "name": name,
                "kind": "sgd" if make is torch.optim.SGD else "adam",
                "options": {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()},
                "losses": numbers(values["losses"]),
                "parameters": {key: numbers(values[key]) for key in parameters},
                "float32Deviation": deviation(values, values32),
            }
        )
    return cases


def main():
    torch.set_num_threads(1)
    # The first seed whose hidden units keep clear of zero in every step of every optimizer.
    for seed in range(SEED, SEED + 10_000):
        network = make_network(seed)
        trained = optimizers(*network)
        if trained:
            break
    else:
        raise SystemExit("No seed keeps clear of the kinks.")
    inputs, targets, parameters = network
    golden = {
        "madeBy": f"make-golden.py with PyTorch {torch.__version__}, seed {seed}",
        "activations": activations(),
        "network": {
            "rows": ROWS,
            "inputs": numbers(inputs),
            "targets": targets.tolist(),
            "shapes": {name: list(value.shape) for name, value in parameters.items()},
            "parameters": {name: numbers(value) for name, value in parameters.items()},
            "cases": networks(inputs, targets, parameters),
        },
        "meanSquaredError": mean_squared_error(),
        "optimizers": trained,
    }
    write("golden.json", golden)


main()
