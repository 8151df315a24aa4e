"""Small real attention blocks, and the shapes that a classifier is built from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from harness.contracts import IO, Spec


class Gate(nn.Module):
    """Per-channel gate of the pooled map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Conv2d(channels, channels, 1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.scale(x.mean((2, 3), keepdim=True)))


class Times(nn.Module):
    """Multiply by one number, kept as a parameter."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Factory:
    """Remembers what it was asked for."""

    domain = "image"

    def __init__(self, make: Callable[[int], nn.Module]) -> None:
        self.make = make
        self.asked: list[tuple[str, int]] = []

    def __call__(self, channels: int, /, *, site: str = "") -> nn.Module:
        self.asked.append((site, channels))
        return self.make(channels)


@pytest.fixture
def gates() -> Factory:
    return Factory(Gate)


@pytest.fixture
def times() -> Callable[[float], Factory]:
    return lambda factor: Factory(lambda channels: Times(factor))


@pytest.fixture
def image_io() -> Callable[..., IO]:
    def make(size: int = 32, channels: int = 3, classes: int = 10) -> IO:
        return IO(
            {"inputs": Spec("CHW", (channels, size, size), "uint8")}, {"logits": Spec("K", (classes,), "float32")}
        )

    return make
