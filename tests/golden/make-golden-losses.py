"""Writes golden-losses.json beside this file: what PyTorch computes for losses and their gradients.

    python3 tests/golden/make-golden-losses.py

golden_values.py says how they are made. Losses are sums over samples: the mean of what `reduction="none"` gives for each.
"""

import torch
import torch.nn.functional as F
from golden_values import float32_normal, numbers, write

SEED = 20241103
ROWS, CLASSES, COLUMNS = 7, 5, 4


def case(options, inputs, targets, loss_of_samples):
    """Loss and gradient of the mean over samples; `loss_of_samples` gives a loss for each."""
    inputs = inputs.clone().requires_grad_()
    losses = loss_of_samples(inputs)
    losses.mean().backward()
    return {
        **options,
        "columns": inputs.shape[1],
        "inputs": numbers(inputs),
        "targets": numbers(targets),
        "loss": numbers(losses.sum())[0],
        "gradient": numbers(inputs.grad),
    }


def cross_entropies(generator):
    logits = float32_normal(generator, ROWS, CLASSES, scale=3)
    indices = torch.randint(0, CLASSES, (ROWS,), generator=generator)
    weights = torch.tensor([0.5, 1, 2, 0, 1.25], dtype=torch.float64)
    # Sixteenths: exact in float32, and so is their sum.
    cuts = torch.randint(0, 17, (ROWS, CLASSES - 1), generator=generator).sort(1).values
    edges = torch.cat([torch.zeros(ROWS, 1), cuts, torch.full((ROWS, 1), 16)], 1)
    soft = (edges[:, 1:] - edges[:, :-1]).double() / 16
    cases = []
    for kind, targets in (("indices", indices), ("one-hot", F.one_hot(indices, CLASSES).double()), ("soft", soft)):
        for weight in (None, weights):
            for smoothing in (0.0, 0.1):

                def losses(x, targets=targets, weight=weight, smoothing=smoothing):
                    return F.cross_entropy(x, targets, weight=weight, label_smoothing=smoothing, reduction="none")

                weighted = None if weight is None else numbers(weight)
                options = {"kind": kind, "labelSmoothing": smoothing, "weights": weighted}
                cases.append(case(options, logits, targets, losses))
    return cases


def binary_cross_entropies(generator):
    logits = float32_normal(generator, ROWS, COLUMNS, scale=4)
    # Where a sigmoid and then a logarithm would overflow or lose everything.
    logits[0] = torch.tensor([90.0, -90.0, 20.0, -20.0])
    targets = torch.randint(0, 5, (ROWS, COLUMNS), generator=generator).double() / 4
    targets[0] = torch.tensor([0.0, 1.0, 1.0, 0.0])
    cases = []
    for smoothing in (0.0, 0.1):
        smoothed = targets * (1 - smoothing) + smoothing / 2

        def losses(x, smoothed=smoothed):
            return F.binary_cross_entropy_with_logits(x, smoothed, reduction="none").mean(1)

        cases.append(case({"labelSmoothing": smoothing}, logits, targets, losses))
    return cases


def regressions(generator):
    predictions = float32_normal(generator, ROWS, COLUMNS, scale=2)
    targets = float32_normal(generator, ROWS, COLUMNS)
    targets[1] = predictions[1]  # no difference, no gradient
    functions = [
        ({"op": "meanSquaredError", "delta": None}, F.mse_loss, {}),
        ({"op": "meanAbsoluteError", "delta": None}, F.l1_loss, {}),
    ]
    functions += [({"op": "huber", "delta": delta}, F.huber_loss, {"delta": delta}) for delta in (1.0, 0.25, 3.0)]
    return [
        case(options, predictions, targets, lambda x, f=f, more=more: f(x, targets, reduction="none", **more).mean(1))
        for options, f, more in functions
    ]


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    golden = {
        "madeBy": f"make-golden-losses.py with PyTorch {torch.__version__}, seed {SEED}",
        "rows": ROWS,
        "crossEntropies": cross_entropies(generator),
        "binaryCrossEntropies": binary_cross_entropies(generator),
        "regressions": regressions(generator),
    }
    write("golden-losses.json", golden)


main()
