"""1 - Spearman's rank correlation, made differentiable by soft ranks.

r_i = 1/2 + sum_j s((x_i - x_j) / (temperature d)), with the logistic function s and the standard deviation d of the
item's own predictions; j runs over all real entries, i too, which adds 1/2. As the temperature falls to 0 these are the
ranks 1..n, ties shared. The loss is 1 - Pearson's correlation of r with the target's average ranks.

Source: ranks as sums of logistic functions of differences are the position function of Qin, Liu and Li 2010, "A general
approximation framework for direct optimization of information retrieval measures", Information Retrieval 13(4), which
approximates measures of retrieval with it, not rank correlation. Differs: ascending ranks, ties, differences in units
of d, Pearson on top. For soft ranks by projection, in O(n log n), see Blondel et al. 2020, arXiv:2002.08871.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from harness.errors import ConfigError
from harness_losses.common import masked_mean
from harness_losses.frames import exactly
from harness_losses.sequences import sequences

SHARPEST, SOFTEST = 1e-6, 10.0


class Spearman:
    """1 - soft rank correlation along time: 0 for the same order, 2 for the opposite one; the mean over items.

    Shapes: output [B, T] of any scale, target [B, T], mask [B, T] (True = real) -> scalar, float32 at least.
    An item whose target is constant, or with fewer than 2 real entries, has no rank correlation and is left out of the
    mean; where none is left, the loss and its gradient are 0.
    `temperature`: width of the logistic function in standard deviations of the item's predictions, in [1e-6, 10]. Small
    ones come closer to the true correlation, but leave entries without near neighbours next to no gradient. At 0.1 the
    value was within 2e-2 of the true one for T = 60, 3e-3 for 300 and 1e-3 for 1294 (normal and uniform noise, its
    sigmoid, smooth curves); where few outliers make up the standard deviation (Cauchy noise) it was off by up to 0.14.
    `inputs`: what the model's output is read as. The loss depends on order and relative distance alone, so it is `unit`
    where it is summed with losses of scores, and `logits` where a sigmoid that saturates would swallow the gradient.
    The standard deviation is differentiated too. So the gradient is that of the value computed, and stretching all
    predictions changes nothing and is not rewarded; held constant, it would add a pull towards larger predictions.
    Like that of anything free of scale, the gradient grows as 1 / d where predictions are nearly equal (`clip_norm`).
    At a constant prediction, where no correlation is defined, the loss is 1, and the gradient is one of moderate size
    towards the target's order: that of the covariance with d = 1.
    Cost: O(B T²) time and memory: one float32 [B, T, T] is kept for the backward pass, and three live at the
    peak: 77 MiB for B = 4, T = 1294.
    Source, and what differs: see the module.
    Raises: ConfigError if temperature is outside its range, `inputs` is unknown, or the shapes do not fit.
    """

    def __init__(self, *, temperature: float = 0.1, inputs: Literal["unit", "logits"] = "unit") -> None:
        if not SHARPEST <= temperature <= SOFTEST:
            raise ConfigError(
                f"loss 'spearman': temperature is {temperature:g}",
                hint=f"it lies in [{SHARPEST:g}, {SOFTEST:g}], in standard deviations of the prediction; 0.1 is usual",
            )
        if inputs not in ("unit", "logits"):
            raise ConfigError(f"loss 'spearman': inputs is '{inputs}'", hint="known: unit, logits")
        self.expects: Literal["logits", "unit"] = inputs
        self.temperature = float(temperature)

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        output, target, real = sequences("spearman", output, target, mask)
        with exactly(output):
            count = real.sum(1, keepdim=True).clamp(min=1)
            scaled, constant = _standardised(output, real, count)
            soft = _soft_ranks(scaled / self.temperature, real) / count
            true = _ranks(target, real) / count
            spread = true.square().sum(1)
            ranked = spread > 0
            spread = torch.where(ranked, spread, 1.0)
            # The soft ranks of a constant have no spread to divide by; that of the target keeps the gradient in size.
            own = torch.where(constant, spread, soft.square().sum(1))
            return masked_mean(1.0 - (soft * true).sum(1) / (own * spread).sqrt(), ranked)


def _standardised(x: Tensor, real: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """x over its standard deviation, centred, 0 where not real; and which items are constant, up to rounding.

    Shapes: x [B, T], real [B, T] bool, count [B, 1] -> [B, T], [B] bool.
    """
    centred = (x - x.sum(1, keepdim=True) / count).masked_fill(~real, 0.0)
    peak = centred.detach().abs().amax(1, keepdim=True)
    constant = peak <= 16 * torch.finfo(x.dtype).eps * x.detach().abs().amax(1, keepdim=True)
    # In units of the largest, so that no square leaves the range of floats; it cancels, in the gradient too.
    centred = centred / torch.where(constant, 1.0, peak)
    variance = centred.square().sum(1, keepdim=True) / count
    return centred / torch.where(constant, 1.0, variance).sqrt(), constant.squeeze(1)


def _soft_ranks(x: Tensor, real: Tensor) -> Tensor:
    """r - (n + 1) / 2 of every real entry, 0 elsewhere. Shapes: x [B, T], real [B, T] bool -> [B, T].

    Since s(a) = 1/2 + tanh(a / 2) / 2, and tanh is odd, the mean of r is (n + 1) / 2 exactly: nothing cancels.
    """
    half = x / 2
    steps = (half[:, :, None] - half[:, None, :]).tanh_()
    return steps.masked_fill(~real[:, None, :], 0.0).sum(2).masked_fill(~real, 0.0) / 2


def _ranks(target: Tensor, real: Tensor) -> Tensor:
    """Average ranks less their mean (n + 1) / 2, exact; 0 where not real. Shapes: [B, T], [B, T] bool -> [B, T]."""
    placed = target.detach().masked_fill(~real, torch.inf).contiguous()
    order = placed.sort(1).values
    below = torch.searchsorted(order, placed)
    up_to = torch.searchsorted(order, placed, right=True)
    centred = (below + up_to - real.sum(1, keepdim=True)).masked_fill(~real, 0)
    return centred.to(target.dtype) / 2
