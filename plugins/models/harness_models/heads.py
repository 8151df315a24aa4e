"""From the hidden states of a clip to the values of its frames."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TemporalPadding = Literal["causal", "same"]


class FrameHead(nn.Conv2d):
    """A convolution of each frame by itself. Shapes: x [T, B, C, H, W] -> [T, B, Cout, H, W]."""

    def __init__(self, channels: int, channels_out: int, kernel: int) -> None:
        super().__init__(channels, channels_out, kernel, padding=kernel // 2)

    def run(self, x: Tensor, carried: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The values of all frames; nothing is carried from one call to the next."""
        values: Tensor = self(x.flatten(0, 1))
        return values.view(*x.shape[:2], *values.shape[1:]), None


class TemporalHead(nn.Module):
    """A Conv3d over time and space, computed as one convolution of the frames and a sum over time.

    `causal` pads with k - 1 zero frames on the left, so that output t reads frames t - k + 1 to t; `same` pads with
    (k - 1) / 2 on both sides, so that it reads as many later frames.
    Shapes: x [T, B, C, H, W] -> [T, B, Cout, H, W]; `weight` [k·Cout, C, k, k] holds the k slices in time of a
    Conv3d's weight [Cout, C, k, k, k], one after the other, because `channels_last` is for four axes. It starts as
    PyTorch's Conv3d does.
    """

    def __init__(self, channels: int, channels_out: int, kernel: int, padding: TemporalPadding) -> None:
        super().__init__()
        self.kernel, self.padding = kernel, padding
        bound = 1 / math.sqrt(channels * kernel**3)
        self.weight = nn.Parameter(torch.empty(kernel * channels_out, channels, kernel, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels_out).uniform_(-bound, bound))

    def run(self, x: Tensor, carried: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The values of all frames, and what the frames after them need of these.

        `carried` is what an earlier call gave for the frames before; None stands for zeros before the first frame.
        """
        parts = F.conv2d(x.flatten(0, 1), self.weight, padding=self.kernel // 2)
        parts = parts.view(*x.shape[:2], self.kernel, -1, *parts.shape[-2:])  # [T, B, k, Cout, H, W]
        steps = len(x)
        if carried is not None:
            parts = torch.cat([carried, parts])
        now = self.kernel // 2 if self.padding == "same" else self.kernel - 1
        values = None
        for tap, part in enumerate(parts.unbind(2)):
            moved = _shifted(part, now - tap)
            values = moved if values is None else values + moved
        if values is None:
            raise ValueError("a kernel has at least one tap")
        return values[-steps:] + self.bias.view(-1, 1, 1).to(parts.dtype), parts[max(0, len(parts) - self.kernel + 1) :]


def _shifted(x: Tensor, later: int) -> Tensor:
    """x [T, ...] `later` steps later (earlier, if negative), with zeros where nothing is known."""
    if later == 0:
        return x
    count = len(x)
    if abs(later) >= count:
        return torch.zeros_like(x)
    gap = torch.zeros_like(x[: abs(later)])
    return torch.cat([gap, x[: count - later]] if later > 0 else [x[-later:], gap])
