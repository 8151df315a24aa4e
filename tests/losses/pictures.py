"""Losses by name, clips at random, and the first layers of VGG with random numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import harness_losses
from harness.registry import Registry
from harness_losses.vgg import Net, convolutions

REGISTRY = Registry("tests")
harness_losses.harness_register(REGISTRY)


def build(name: str, **options: Any) -> Any:
    return REGISTRY.build("loss", name, **options)


def clips(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, *shape, generator=generator, dtype=torch.float64).to(dtype)
    return output, target


def close(a: Tensor, b: Tensor | float, atol: float = 1e-7) -> None:
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype), rtol=atol, atol=atol)


def first_layers(net: Net = "vgg16", upto: str = "block2_conv2") -> dict[str, Tensor]:
    """The first layers of torchvision's state dict, with random numbers."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for c in convolutions(net):
        scale = (2 / (9 * c.inputs)) ** 0.5
        state[f"features.{c.index}.weight"] = torch.randn(c.outputs, c.inputs, 3, 3, generator=generator) * scale
        state[f"features.{c.index}.bias"] = torch.randn(c.outputs, generator=generator) * 0.1
        if c.name == upto:
            break
    return state
