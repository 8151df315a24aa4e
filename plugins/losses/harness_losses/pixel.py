"""Losses of single pixels: mean squared and mean absolute error.

Both reward the mean (or the median) of what may come next, hence the blur that the other losses on frames work against:
Mathieu et al. 2016, arXiv:1511.05440, section 1.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from harness_losses.common import masked_mean, spread
from harness_losses.frames import paired


class MeanSquaredError:
    """Mean over elements of (y - t)², for values in [0, 1]; a perfect prediction costs 0, the worst one 1.

    Shapes: output [B, ...], target of the same shape, mask [B, ...] (True = real), whose axes are the first ones of
    output -> scalar. Differs: a mean over all elements, not a sum over the pixels of a frame (that is C H W times it).
    Raises: ConfigError if the shapes do not fit.
    """

    expects: Literal["logits", "unit"] = "unit"

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        difference, real = _difference("mse", output, target, mask)
        return masked_mean(difference.square(), real)


class MeanAbsoluteError:
    """Mean over elements of |y - t|, for values in [0, 1]; a perfect prediction costs 0, the worst one 1.

    Shapes, differences and errors as for `mse`. The gradient where y = t is 0.
    """

    expects: Literal["logits", "unit"] = "unit"

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        difference, real = _difference("mae", output, target, mask)
        return masked_mean(difference.abs(), real)


def _difference(loss: str, output: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Element by element, 0 where the mask is False, and the mask in the same shape."""
    output, target = paired(loss, output, target)
    if mask is None:
        return output - target, None
    real = spread(loss, mask, output)
    # Emptied after the subtraction: the gradient there is 0 whatever the padding holds, NaN included.
    return (output - target).masked_fill(~real, 0.0), real
