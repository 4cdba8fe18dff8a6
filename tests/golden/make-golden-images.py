"""Writes golden-images.json beside this file: what PyTorch computes for the ops of convolutional networks.

    python3 tests/golden/make-golden-images.py

golden_values.py says how they are made. All numbers have our layouts: images [rows, height, width, channels], weights
[kernelHeight, kernelWidth, channels, filters]; PyTorch's are [rows, channels, height, width] and [filters, channels,
kernelHeight, kernelWidth].

Padding "same" is TensorFlow's, with the odd row at the bottom and the odd column at the right: PyTorch pads the input.
Its momentum of batch normalization is 1 - ours, and its running variance is divided by n - 1, ours by n: both converted.
"""

import math

import torch
import torch.nn.functional as F
from golden_values import deviation, float32_normal, leaves, numbers, write

SEED = 20250301
# Neither a sum before ReLU may come closer to zero nor two candidates for a maximum closer to each other, in single ops
# and in training runs, which have a hundred thousand of them: float32 rounds these by less than 1e-6.
KINK, TRAINED_KINK = 1e-3, 1e-5

# Rows, image, kernel, strides, padding, filters, whether there is a bias, activation, whether a 2 × 2 max-pool follows.
CONVOLUTIONS = [
    (2, (7, 6, 3), (3, 3), (1, 1), "valid", 4, True, "linear", False),
    (2, (7, 6, 3), (3, 3), (1, 1), "same", 4, False, "linear", False),
    (2, (7, 6, 3), (3, 3), (2, 2), "same", 5, True, "relu", False),
    (2, (7, 6, 3), (3, 2), (2, 1), "valid", 3, False, "linear", False),
    (2, (8, 8, 1), (5, 5), (1, 1), "same", 6, True, "relu", True),
    (1, (5, 5, 8), (3, 3), (1, 1), "valid", 16, True, "linear", False),
    (2, (5, 4, 2), (1, 1), (2, 2), "valid", 9, True, "linear", False),
    # More samples than one part of a gradient has.
    (19, (5, 4, 2), (3, 3), (1, 1), "same", 3, True, "relu", True),
]
# Kind, rows, image, window, strides, padding.
POOLS = [
    ("max", 2, (6, 7, 3), (2, 2), (2, 2), "valid"),
    ("max", 2, (7, 7, 3), (3, 3), (2, 2), "valid"),
    ("max", 2, (6, 5, 3), (3, 3), (2, 2), "same"),
    ("average", 2, (6, 7, 3), (2, 2), (2, 2), "valid"),
    ("average", 2, (6, 5, 3), (3, 3), (2, 2), "same"),
    ("average", 3, (5, 4, 9), (5, 4), (1, 1), "valid"),
]
# Rows, image.
NORMALIZED = [(4, (3, 2, 5)), (19, (2, 2, 3)), (7, (1, 1, 9))]
MOMENTUM, EPSILON = 0.9, 1e-3

STEPS, CLASSES, TRAINED_ROWS, TRAINED_IMAGE = 10, 5, 20, (8, 8, 1)
OPTIMIZERS = {
    "sgd with momentum": (torch.optim.SGD, dict(lr=0.05, momentum=0.9)),
    "adam": (torch.optim.Adam, dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8)),
}


def first_images(images):
    """Channels first: from our layout to PyTorch's."""
    return images.permute(0, 3, 1, 2)


def last_images(images):
    return images.permute(0, 2, 3, 1)


def first_weights(weights):
    return weights.permute(3, 2, 0, 1)


def pad_same(images, kernel, strides, value=0.0):
    """Channels first."""
    amounts = []
    for size, side, stride in zip(images.shape[2:], kernel, strides):
        missing = max((math.ceil(size / stride) - 1) * stride + side - size, 0)
        amounts.append((missing // 2, missing - missing // 2))
    (top, bottom), (left, right) = amounts
    return F.pad(images, (left, right, top, bottom), value=value)


def geometry(rows, image, kernel, strides, padding):
    return {"rows": rows, "image": image, "kernel": kernel, "strides": strides, "padding": padding}


def gap(images, kernel, strides):
    """How far the two largest values of a window are apart, the least over all windows; channels first."""
    windows = F.unfold(images.flatten(0, 1).unsqueeze(1), kernel, stride=strides)
    first, second = windows.topk(2, dim=1).values.unbind(1)
    return (first - second).min().item()


def pool_gap(sums):
    """The gap of the 2 × 2 windows whose maximum ReLU lets through: the others have no gradient."""
    windows = F.unfold(sums.detach().flatten(0, 1).unsqueeze(1), 2, stride=2).transpose(1, 2).flatten(0, 1)
    first, second = windows[windows.max(1).values > 0].topk(2, dim=1).values.unbind(1)
    return (first - second).min().item()


def both_precisions(run):
    """The values of run(dtype) in float64, with their deviation in float32."""
    values, values32 = run(torch.float64), run(torch.float32)
    return values, deviation(values, values32)


def convolve(tensors, case, dtype):
    """Values by name, and how far all is from kinks."""
    rows, image, kernel, strides, padding, filters, bias, activation, pool = case
    own = leaves(tensors, dtype)
    x = first_images(own["input"])
    x = pad_same(x, kernel, strides) if padding == "same" else x
    sums = F.conv2d(x, first_weights(own["weights"]), own["bias"] if bias else None, strides)
    clear = math.inf
    if pool:
        clear = pool_gap(sums)
        sums = F.max_pool2d(sums, 2)
    if activation == "relu":
        clear = min(clear, sums.detach().abs().min().item())
    output = last_images(F.relu(sums) if activation == "relu" else sums)
    output.backward(tensors["dOutput"].to(dtype).reshape(output.shape))
    gradients = {"dInput": own["input"].grad, "dWeights": own["weights"].grad}
    if bias:
        gradients["dBias"] = own["bias"].grad
    return {"output": output.detach(), **gradients}, clear


def output_size(image, kernel, strides, padding):
    sides = zip(image, kernel, strides)
    return [math.ceil(size / stride) if padding == "same" else (size - side) // stride + 1 for size, side, stride in sides]


def convolution(case, seed):
    """None when something is at a kink."""
    rows, image, kernel, strides, padding, filters, bias, activation, pool = case
    generator = torch.Generator().manual_seed(seed)
    height, width = [side // 2 if pool else side for side in output_size(image, kernel, strides, padding)]
    fan_in = math.prod(kernel) * image[2]
    tensors = {
        "input": float32_normal(generator, rows, *image),
        "weights": float32_normal(generator, *kernel, image[2], filters, scale=1 / math.sqrt(fan_in)),
        "dOutput": float32_normal(generator, rows, height, width, filters),
    }
    if bias:
        tensors["bias"] = float32_normal(generator, filters, scale=0.1)
    if convolve(tensors, case, torch.float64)[1] < KINK:
        return None
    values, deviations = both_precisions(lambda dtype: convolve(tensors, case, dtype)[0])
    return {
        **geometry(rows, image, kernel, strides, padding),
        "filters": filters,
        "activation": activation,
        "pool": pool,
        "inputs": {name: numbers(value) for name, value in tensors.items()},
        "outputs": {name: numbers(value) for name, value in values.items()},
        "float32Deviation": deviations,
    }


def pool_values(kind, kernel, strides, padding, x):
    if kind == "max":
        x = pad_same(x, kernel, strides, -math.inf) if padding == "same" else x
        return F.max_pool2d(x, kernel, strides), x
    ones = torch.ones_like(x)
    if padding == "same":
        x, ones = pad_same(x, kernel, strides), pad_same(ones, kernel, strides)
    # PyTorch divides by the window's size; ours by how much of it lies in the image.
    return F.avg_pool2d(x, kernel, strides) / F.avg_pool2d(ones, kernel, strides), x


def pooling(case, seed):
    """None when two candidates for a maximum are too close."""
    kind, rows, image, kernel, strides, padding = case
    generator = torch.Generator().manual_seed(seed)
    x = float32_normal(generator, rows, *image)
    d_output = float32_normal(generator, rows, *output_size(image, kernel, strides, padding), image[2])

    def run(dtype):
        own = x.to(dtype).clone().requires_grad_()
        output = last_images(pool_values(kind, kernel, strides, padding, first_images(own))[0])
        output.backward(d_output.to(dtype))
        return {"output": output.detach(), "dInput": own.grad}

    padded = pool_values(kind, kernel, strides, padding, first_images(x))[1]
    if kind == "max" and gap(padded, kernel, strides) < KINK:
        return None
    values, deviations = both_precisions(run)
    return {
        "kind": kind,
        **geometry(rows, image, kernel, strides, padding),
        "inputs": {"input": numbers(x), "dOutput": numbers(d_output)},
        "outputs": {name: numbers(value) for name, value in values.items()},
        "float32Deviation": deviations,
    }


def normalize(x, own):
    """Batch normalization of a training step; channels first. Updates the moving statistics as ours are updated."""
    count = x.numel() // x.shape[1]
    mean, variance = own["movingMean"].detach().clone(), own["movingVariance"].detach().clone()
    output = F.batch_norm(x, mean, variance, own["gamma"], own["beta"], True, 1 - MOMENTUM, EPSILON)
    with torch.no_grad():
        kept = MOMENTUM * own["movingVariance"]
        own["movingVariance"].copy_(kept + (variance - kept) * ((count - 1) / count))
        own["movingMean"].copy_(mean)
    return output


def statistics(generator, channels):
    return {
        "gamma": float32_normal(generator, channels, scale=0.3) + 1,
        "beta": float32_normal(generator, channels, scale=0.3),
        "movingMean": float32_normal(generator, channels, scale=0.5),
        "movingVariance": float32_normal(generator, channels).abs() + 0.5,
    }


def as_float32(tensors):
    """Sums of float32 numbers need not be float32 themselves."""
    return {name: value.float().double() for name, value in tensors.items()}


def batch_normalization(rows, image, seed):
    generator = torch.Generator().manual_seed(seed)
    channels = image[2]
    # Means away from zero, so that they are something.
    tensors = as_float32(
        {
            "input": float32_normal(generator, rows, *image) + float32_normal(generator, channels, scale=2),
            "dOutput": float32_normal(generator, rows, *image),
            **statistics(generator, channels),
        }
    )

    def train(dtype):
        own = leaves(tensors, dtype)
        output = last_images(normalize(first_images(own["input"]), own))
        output.backward(own["dOutput"].detach())
        return {
            "output": output.detach(),
            "dInput": own["input"].grad,
            "dGamma": own["gamma"].grad,
            "dBeta": own["beta"].grad,
            "movingMean": own["movingMean"].detach(),
            "movingVariance": own["movingVariance"].detach(),
        }

    values, deviations = both_precisions(train)
    return {
        "rows": rows,
        "image": image,
        "inputs": {name: numbers(value) for name, value in tensors.items()},
        "outputs": {name: numbers(value) for name, value in values.items()},
        "float32Deviation": deviations,
    }


def folding(bias, seed):
    """Batch normalization by moving statistics behind a convolution of 3 × 3, padding same."""
    rows, image, filters, kernel, strides = 2, (5, 4, 2), 7, (3, 3), (1, 1)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        "input": float32_normal(generator, rows, *image),
        "weights": float32_normal(generator, *kernel, image[2], filters, scale=0.3),
        **statistics(generator, filters),
    }
    if bias:
        tensors["bias"] = float32_normal(generator, filters, scale=0.1)
    tensors = as_float32(tensors)

    def evaluate(dtype):
        own = {name: value.to(dtype) for name, value in tensors.items()}
        padded = pad_same(first_images(own["input"]), kernel, strides)
        sums = F.conv2d(padded, first_weights(own["weights"]), own.get("bias"))
        moving = own["movingMean"], own["movingVariance"]
        return {"output": last_images(F.batch_norm(sums, *moving, own["gamma"], own["beta"], False, 0, EPSILON))}

    values, deviations = both_precisions(evaluate)
    return {
        **geometry(rows, image, kernel, strides, "same"),
        "filters": filters,
        "inputs": {name: numbers(value) for name, value in tensors.items()},
        "outputs": {name: numbers(value) for name, value in values.items()},
        "float32Deviation": deviations,
    }


def make_network(seed):
    """Conv 3 × 3 (4 filters), relu, max-pool, conv 3 × 3 (6, no bias), batch norm, relu, max-pool, flatten, dense."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(1, 256, (TRAINED_ROWS, *TRAINED_IMAGE), generator=generator)
    targets = torch.randint(0, CLASSES, (TRAINED_ROWS,), generator=generator)
    parameters = {
        "0.weight": float32_normal(generator, 3, 3, 1, 4, scale=math.sqrt(2 / 9)),
        "0.bias": float32_normal(generator, 4, scale=0.1),
        "2.weight": float32_normal(generator, 3, 3, 4, 6, scale=math.sqrt(2 / 36)),
        **{f"3.{name}": value for name, value in statistics(generator, 6).items()},
        "7.weight": float32_normal(generator, 24, CLASSES, scale=math.sqrt(2 / 24)),
        "7.bias": float32_normal(generator, CLASSES, scale=0.1),
    }
    return pixels, targets, as_float32(parameters)


def forward(own, pixels, dtype, training):
    """Logits, and how far all is from kinks."""
    # Pixels are divided in float32, as ours are.
    x = first_images((pixels.float() / 255).to(dtype))
    first = F.conv2d(x, first_weights(own["0.weight"]), own["0.bias"], padding=1)
    x = F.max_pool2d(F.relu(first), 2)
    second = F.conv2d(x, first_weights(own["2.weight"]), padding=1)
    norm = {name[2:]: value for name, value in own.items() if name.startswith("3.")}
    if training:
        second = normalize(second, norm)
    else:
        moving = norm["movingMean"], norm["movingVariance"]
        second = F.batch_norm(second, *moving, norm["gamma"], norm["beta"], False, 0, EPSILON)
    x = last_images(F.max_pool2d(F.relu(second), 2)).flatten(1)
    nearest = [value.detach().abs().min().item() for value in (first, second)]
    return x @ own["7.weight"] + own["7.bias"], min(*nearest, pool_gap(first), pool_gap(second))


def train(network, make, options, dtype):
    pixels, targets, parameters = network
    own = leaves(parameters, dtype)
    moving = ("3.movingMean", "3.movingVariance")
    optimizer = make([value for name, value in own.items() if name not in moving], **options)
    losses, clear = [], math.inf
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits, margin = forward(own, pixels, dtype, True)
        clear = min(clear, margin)
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        losses.append(loss.detach().double())
        optimizer.step()
    with torch.no_grad():
        answers = forward(own, pixels, dtype, False)[0].softmax(1)
    return {"losses": torch.stack(losses), "answers": answers, **{name: own[name].detach() for name in parameters}}, clear


def training():
    """Of the first seed that keeps clear of kinks in every step of both optimizers."""
    for seed in range(SEED, SEED + 10_000):
        network = make_network(seed)
        clear = min(train(network, make, options, torch.float64)[1] for make, options in OPTIMIZERS.values())
        if clear > TRAINED_KINK:
            break
    else:
        raise SystemExit("No seed keeps clear of the kinks.")
    pixels, targets, parameters = network
    runs = []
    for name, (make, options) in OPTIMIZERS.items():
        values, deviations = both_precisions(lambda dtype: train(network, make, options, dtype)[0])
        runs.append(
            {
                "name": name,
                "kind": "sgd" if make is torch.optim.SGD else "adam",
                "options": options,
                "losses": numbers(values["losses"]),
                "answers": numbers(values["answers"]),
                "parameters": {key: numbers(values[key]) for key in parameters},
                "float32Deviation": deviations,
            }
        )
    return {
        "seed": seed,
        "rows": TRAINED_ROWS,
        "image": TRAINED_IMAGE,
        "momentum": MOMENTUM,
        "epsilon": EPSILON,
        "pixels": pixels.flatten().tolist(),
        "targets": targets.tolist(),
        "parameters": {name: numbers(value) for name, value in parameters.items()},
        "runs": runs,
    }


def first_clear(make):
    """The first result over the seeds that is not at a kink."""
    return next(result for seed in range(SEED, SEED + 1000) if (result := make(seed)))


def main():
    torch.set_num_threads(1)
    golden = {
        "madeBy": f"make-golden-images.py with PyTorch {torch.__version__}, seeds from {SEED}",
        "convolutions": [first_clear(lambda seed: convolution(case, seed)) for case in CONVOLUTIONS],
        "pools": [first_clear(lambda seed: pooling(case, seed)) for case in POOLS],
        "batchNormalization": {
            "momentum": MOMENTUM,
            "epsilon": EPSILON,
            "training": [batch_normalization(rows, image, SEED) for rows, image in NORMALIZED],
            "folding": [folding(bias, SEED) for bias in (True, False)],
        },
        "training": training(),
    }
    write("golden-images.json", golden)


main()
