"""Gradient difference loss: are edges where they should be, and as steep?

Sum over pixels of | |Y_ij - Y_(i-1)j| - |P_ij - P_(i-1)j| |^alpha + | |Y_i(j-1) - Y_ij| - |P_i(j-1) - P_ij| |^alpha,
Y the true and P the predicted frame.

Source: Mathieu et al. 2016, arXiv:1511.05440, eq. 6. Differs: see `reduction`.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from harness.errors import ConfigError
from harness_losses.common import masked_mean
from harness_losses.frames import framed


class GradientDifference:
    """Differences between the absolute differences of neighbouring pixels, along H and along W.

    Shapes: output [B, C, H, W] or [B, T, C, H, W] in [0, 1], target of the same shape, mask [B] or [B, T]
    (True = real) -> scalar. Every channel and frame by itself; nothing is taken over the edge of a frame.
    `alpha` >= 1 is the exponent; the gradient of |.| at 0 is 0.
    `reduction`: `mean` over all differences of both axes, C ((H - 1) W + H (W - 1)) a frame, or `sum` over those of a
    frame as in the source; both are means over frames, so neither grows with B or T.
    A constant added to a frame and a picture upside down in grey cost nothing here: combine it with `mse` or `mae`.
    Source: see the module. Differs: `mean` is the default where the source sums.
    Raises: ConfigError if alpha < 1, `reduction` is unknown, or the shapes do not fit.
    """

    expects: Literal["logits", "unit"] = "unit"

    def __init__(self, *, alpha: float = 1.0, reduction: Literal["mean", "sum"] = "mean") -> None:
        if not 1.0 <= alpha < math.inf:
            raise ConfigError(f"loss 'gdl': alpha is {alpha:g}", hint="it is at least 1; 1 and 2 are usual")
        if reduction not in ("mean", "sum"):
            raise ConfigError(f"loss 'gdl': reduction is '{reduction}'", hint="known: mean, sum")
        self.alpha = float(alpha)
        self.reduction = reduction

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        predicted, true, real = framed("gdl", output, target, mask, least=2)
        down = self._apart(predicted.diff(dim=-2), true.diff(dim=-2))
        across = self._apart(predicted.diff(dim=-1), true.diff(dim=-1))
        total = down.flatten(1).sum(1) + across.flatten(1).sum(1)
        if self.reduction == "mean":
            total = total / (math.prod(down.shape[1:]) + math.prod(across.shape[1:]))
        return masked_mean(total, real)

    def _apart(self, predicted: Tensor, true: Tensor) -> Tensor:
        apart = (true.abs() - predicted.abs()).abs()
        return apart if self.alpha == 1.0 else apart**self.alpha
