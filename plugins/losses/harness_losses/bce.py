"""Binary cross-entropy: mean over all elements of -(t log p + (1 - t) log(1 - p)), p = sigmoid(z) or given.

Class indices are turned into one-against-the-rest targets, so that K classes are K yes-or-no questions.

Source: as a classification loss, Wightman et al. 2021, "ResNet strikes back", arXiv:2110.00476, section 2.2.
Differs: the targets stay as they are (that paper turns mixed ones into 0 and 1); smoothing of class indices is as in
timm's BinaryCrossEntropy: e / K for the others and 1 - e + e / K for the true class.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.errors import ConfigError
from harness_losses.common import masked_mean, require_smoothing, spread

EPSILON = 1e-7
"""With `inputs: unit`, p is clamped to [EPSILON, 1 - EPSILON] first, so a loss is at most 16.1 nats an element.

Outside that range the gradient is 0. Where a model ends in a sigmoid, `inputs: logits` is exact and loses nothing.
"""


class BinaryCrossEntropy:
    """Mean over elements of the binary cross-entropy, in nats.

    Shapes: output [B, ...] logits, or values in [0, 1] with `inputs: unit`; target of the same shape in [0, 1], or
    integer class indices of the shape of output without its last axis K (one-hot encoded along it);
    mask [B, ...] (True = real), whose axes are the first ones of output -> scalar.
    `label_smoothing` e: class indices become 1 - e + e / K and e / K; other targets t become t (1 - e) + e / 2.
    Source, and what differs: see the module.
    Raises: ConfigError if label_smoothing is outside [0, 1), `inputs` is unknown, or the shapes do not fit.
    """

    def __init__(self, *, inputs: Literal["logits", "unit"] = "logits", label_smoothing: float = 0.0) -> None:
        if inputs not in ("logits", "unit"):
            raise ConfigError(f"loss 'bce': inputs is '{inputs}'", hint="known: logits, unit")
        require_smoothing("bce", label_smoothing)
        self.expects: Literal["logits", "unit"] = inputs
        self.label_smoothing = float(label_smoothing)

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        indices = _is_indices(output, target)
        real = None
        if mask is not None:
            real = spread("bce", mask, output)
            # Padding may hold anything, and 0 * NaN is NaN, in the gradient too: it is emptied before it is read.
            output = output.masked_fill(~real, 0.5)
            if mask.ndim <= target.ndim:
                target = target.masked_fill(~spread("bce", mask, target), 0)
        wanted = self._one_hot(output, target) if indices else self._dense(output, target)
        if self.expects == "logits":
            return masked_mean(F.binary_cross_entropy_with_logits(output, wanted, reduction="none"), real)
        # Written out, since autocast refuses torch's binary_cross_entropy whatever the type of its input.
        p = output.clamp(EPSILON, 1.0 - EPSILON)
        return masked_mean(-(wanted * p.log() + (1.0 - wanted) * (-p).log1p()), real)

    def _dense(self, output: Tensor, target: Tensor) -> Tensor:
        return target.to(output.dtype) * (1.0 - self.label_smoothing) + self.label_smoothing / 2

    def _one_hot(self, output: Tensor, target: Tensor) -> Tensor:
        hot = torch.zeros_like(output).scatter_(-1, target.long()[..., None], 1.0)
        return hot * (1.0 - self.label_smoothing) + self.label_smoothing / output.shape[-1]


def _is_indices(output: Tensor, target: Tensor) -> bool:
    """False for a target of every element, True for class indices. Raises ConfigError for anything else."""
    if target.shape == output.shape:
        return False
    if target.is_floating_point() or target.shape != output.shape[:-1]:
        raise ConfigError(
            f"loss 'bce': target {target.dtype} {list(target.shape)} does not fit output {list(output.shape)}",
            hint="give a target for every element, or one integer class index an item",
        )
    return True
