"""Writes golden-schedules.json beside this file: the learning rates of PyTorch's schedulers, step by step.

    python3 tests/golden/make-golden-schedules.py

Each case says how the schedule is made here (its function, first rate and options) and which rates PyTorch has. PyTorch
works them out in float64, each from the one before, so its own roundings add up over the steps.
"""

import torch
from golden_values import write

OPTIM = torch.optim.lr_scheduler
PEAK = 0.7


def rates_of(make, steps, rate=PEAK):
    """The rates of so many steps, with one step of the scheduler after each of the optimizer's."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def with_warmup(optimizer, warmup, factor, total, least):
    rise = OPTIM.LinearLR(optimizer, start_factor=factor, total_iters=warmup)
    fall = OPTIM.CosineAnnealingLR(optimizer, T_max=total - warmup, eta_min=least)
    return OPTIM.SequentialLR(optimizer, [rise, fall], milestones=[warmup])


def case(function, options, make, steps):
    return dict(function=function, rate=PEAK, options=options, rates=rates_of(make, steps))


CASES = [
    case("stepDecay", dict(stepSize=7, gamma=0.3), lambda o: OPTIM.StepLR(o, 7, gamma=0.3), 40),
    case("stepDecay", dict(stepSize=1), lambda o: OPTIM.StepLR(o, 1, gamma=0.1), 8),
    case("exponentialDecay", dict(decayRate=0.93), lambda o: OPTIM.ExponentialLR(o, 0.93), 60),
    case("cosineDecay", dict(totalSteps=25), lambda o: OPTIM.CosineAnnealingLR(o, 25), 25),
    case(
        "cosineDecay",
        dict(totalSteps=30, minLearningRate=0.01),
        lambda o: OPTIM.CosineAnnealingLR(o, 30, eta_min=0.01),
        30,
    ),
    case(
        "cosineDecay",
        dict(totalSteps=24, warmup=6, initialLearningRate=PEAK * 0.25, minLearningRate=0.02),
        lambda o: with_warmup(o, 6, 0.25, 24, 0.02),
        24,
    ),
    case(
        "cosineDecay",
        dict(restarts=dict(firstPeriod=8), minLearningRate=0.03),
        lambda o: OPTIM.CosineAnnealingWarmRestarts(o, 8, eta_min=0.03),
        30,
    ),
    case(
        "cosineDecay",
        dict(restarts=dict(firstPeriod=5, periodFactor=2)),
        lambda o: OPTIM.CosineAnnealingWarmRestarts(o, 5, T_mult=2),
        60,
    ),
]


def one_cycle(total):
    """A cycle is stepped through to its end and not beyond."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = OPTIM.OneCycleLR(optimizer, PEAK, total_steps=total, cycle_momentum=False)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(total - 1):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return dict(function="oneCycle", rate=PEAK, options=dict(totalSteps=total), rates=rates)


def plateau(values, ours, **theirs):
    """The rate after each epoch, by the metric's value in it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = OPTIM.ReduceLROnPlateau(optimizer, **theirs)
    rates = []
    for value in values:
        scheduler.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return dict(rate=PEAK, options=ours, values=values, rates=rates)


# Falls, stalls, falls by less than any threshold, rises, and falls again.
LOSSES = [2.0, 1.5, 1.2, 1.2, 1.19995, 1.1999, 1.3, 1.1, 1.1, 1.1, 1.1, 1.1, 1.05, 1.04, 1.04, 1.2, 1.04, 1.04, 1.03]
ACCURACIES = [round(1 - loss / 2.5, 6) for loss in LOSSES]

PLATEAUS = [
    plateau(LOSSES + [1.03] * 20, {}),
    plateau(LOSSES, dict(factor=0.5, patience=1), factor=0.5, patience=1),
    plateau(LOSSES, dict(factor=0.5, patience=0, cooldown=2), factor=0.5, patience=0, cooldown=2),
    plateau(
        LOSSES,
        dict(factor=0.3, patience=1, threshold=0.02, thresholdMode="abs", minLearningRate=0.05),
        factor=0.3,
        patience=1,
        threshold=0.02,
        threshold_mode="abs",
        min_lr=0.05,
    ),
    plateau(
        ACCURACIES,
        dict(monitor="validationAccuracy", factor=0.4, patience=2, threshold=0.01),
        mode="max",
        factor=0.4,
        patience=2,
        threshold=0.01,
    ),
    plateau(
        ACCURACIES,
        dict(monitor="loss", mode="max", factor=0, patience=1, threshold=0.05, thresholdMode="abs", cooldown=1),
        mode="max",
        factor=0.0,
        patience=1,
        threshold=0.05,
        threshold_mode="abs",
        cooldown=1,
    ),
    # Falls until they are too small to count.
    plateau([1.0] * 30, dict(factor=0.05, patience=0), factor=0.05, patience=0),
]

write(
    "golden-schedules.json",
    dict(
        madeBy=f"make-golden-schedules.py with PyTorch {torch.__version__}",
        schedules=CASES + [one_cycle(20), one_cycle(100)],
        plateaus=PLATEAUS,
    ),
)
