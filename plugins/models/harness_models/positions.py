"""Where a frame stands in its sequence, added to what it shows.

Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5. Differs: the table is made for the length of every call, so
there is no longest sequence; learned positions are an option, as in Devlin et al. 2019, arXiv:1810.04805.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from harness.errors import DataError

Positional: TypeAlias = Literal["sinusoidal", "learned", "none"]

LONGEST_LEARNED = 2048
"""Learned positions there are: 17 minutes at two frames a second."""


class Positions(nn.Module):
    """Add the position: x + p(t), t counted from the first frame given.

    Shapes: x [B, T, C] float -> same shape.
    Cost: nothing, or 2048 C weights where positions are learned.
    Raises: DataError for a sequence longer than the learned positions.
    """

    table: nn.Parameter | None

    def __init__(self, channels: int, kind: Positional) -> None:
        super().__init__()
        self.kind = kind
        self.table = nn.Parameter(0.02 * torch.randn(LONGEST_LEARNED, channels)) if kind == "learned" else None

    def forward(self, x: Tensor) -> Tensor:
        length, channels = x.shape[1], x.shape[2]
        if self.table is not None:
            if length > len(self.table):
                raise DataError(
                    f"a video has {length} sampled frames, and there are {len(self.table)} learned positions",
                    hint="use `positional: sinusoidal`, which has no end, or sample fewer frames a second",
                )
            return x + self.table[:length]
        return x if self.kind == "none" else x + sinusoids(length, channels, x.device).to(x.dtype)


def sinusoids(length: int, channels: int, device: torch.device | None = None) -> Tensor:
    """[length, channels] float32: entry 2i of row t is sin(t / 10000^(2i / channels)), entry 2i + 1 its cosine."""
    rates = torch.exp(torch.arange(0, channels, 2, device=device) * (-math.log(10_000.0) / channels))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :channels]
