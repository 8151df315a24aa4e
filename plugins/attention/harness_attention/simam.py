"""SimAM: every value is gated by how far it lies from the mean of its map; no parameters.

With d = (x - mean_hw(x))^2 and v = sum_hw(d) / (H W - 1):  y = x * gate(d / (4 (v + lambda)) + 1/2)

Source: Yang et al. 2021, "SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks", ICML,
PMLR 139, section 3: the argument of the gate is the inverse of a neuron's least energy.
Differs: v is divided by H W - 1 as in the authors' code (the paper: H W), and by 1 for a map of 1x1, where d is 0 and
the code has 0 / 0; d and v are computed in float32 where x is narrower; the gate may be a hard sigmoid.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from harness.errors import ConfigError
from harness_attention.common import Gate, make_gate, require_positive


class SimpleAttention(nn.Module):
    """Gate every value by its distance from the mean of its own map.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: no parameters. `e_lambda`: added to the variance of a map, in the square of x's unit.
    Source: Yang et al. 2021, ICML, PMLR 139, section 3. Differs: see the module.
    Raises: ConfigError if channels < 1, e_lambda is not a positive number, or the gate is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(self, channels: int, *, e_lambda: float = 1e-4, gate: Gate = "sigmoid") -> None:
        super().__init__()
        require_positive("simam", "channels", channels)
        if not (e_lambda > 0 and math.isfinite(e_lambda)):
            raise ConfigError(
                f"attention 'simam': e_lambda is {e_lambda:g}",
                hint="e_lambda is positive, so that a constant map has no 0 / 0: 1e-4",
            )
        self.e_lambda = e_lambda
        self.gate = make_gate("simam", gate)

    def forward(self, x: Tensor) -> Tensor:
        # A square of float16 overflows above 256, and the mean of a large map keeps too few bits in bfloat16.
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        squares = (wide - wide.mean(dim=(2, 3), keepdim=True)).square()
        variance = squares.sum(dim=(2, 3), keepdim=True) / max(1, x.shape[2] * x.shape[3] - 1)
        scale: Tensor = self.gate(squares / (4 * (variance + self.e_lambda)) + 0.5)
        return x * scale.to(x.dtype)
