"""What the scripts that make golden values have in common.

Inputs and weights are float32 numbers. PyTorch computes on them in float64, so that the values are exact for our
purpose and the tests' tolerances are about our roundings alone. Nine significant digits carry a float32 exactly. Where
errors travel through many operations, the files also say how far PyTorch's own float32 run ends from its float64 run:
the yardstick for ours.
"""

import json
import pathlib

import torch


def numbers(tensor):
    """A tensor as a flat row-major list of numbers with nine significant digits."""
    return [float(f"{value:.9g}") for value in tensor.detach().double().flatten().tolist()]


def float32_normal(generator, *shape, scale=1.0):
    return (torch.randn(*shape, generator=generator, dtype=torch.float32) * scale).double()


def deviation(values, values32):
    """The largest difference between the float64 and the float32 run, by name."""
    return {key: float(f"{(values[key] - values32[key].double()).abs().max().item():.3g}") for key in values}


def leaves(parameters, dtype=torch.float64):
    return {name: value.detach().to(dtype).clone().requires_grad_() for name, value in parameters.items()}


def write(name, golden):
    """Writes a file beside this one."""
    path = pathlib.Path(__file__).with_name(name)
    path.write_text(json.dumps(golden, separators=(",", ":")).replace('},{"', '},\n{"') + "\n")
    print(f"{path}: {path.stat().st_size} bytes; {golden['madeBy']}")
