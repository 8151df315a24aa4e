"""Cross-entropy over exclusive classes: mean over items of -sum_k q_k log softmax(z)_k.

q is 1 at the true class; with label smoothing e it is (1 - e) there, plus e / K everywhere.

Source: label smoothing is Szegedy et al. 2016, arXiv:1512.00567, section 7. Differs: nothing.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from harness.errors import ConfigError
from harness_losses.common import masked_mean, require_smoothing, spread


class CrossEntropy:
    """-log softmax of the true class, in nats, as a mean over items.

    Shapes: output [B, K] logits, target [B] class indices (int64), mask [B] (True = real) -> scalar.
    Source: see the module. Differs: nothing.
    Raises: ConfigError if label_smoothing is outside [0, 1), or the target is no class index an item.
    """

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        require_smoothing("cross_entropy", label_smoothing)
        self.expects: Literal["logits", "unit"] = "logits"
        self.label_smoothing = float(label_smoothing)

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        # torch would read a float target of the output's shape as probabilities and train on without a word.
        if target.is_floating_point() or output.ndim != 2 or target.shape != output.shape[:1]:
            raise ConfigError(
                f"loss 'cross_entropy' needs output [B, K] and one class index an item, "
                f"not {list(output.shape)} and {target.dtype} {list(target.shape)}",
                hint="'bce' takes a target for every element",
            )
        target = target.long()
        real = None
        if mask is not None:
            real = spread("cross_entropy", mask, target)
            # Padding may hold anything, and 0 * NaN is NaN, in the gradient too: it is emptied before it is read.
            output = output.masked_fill(~real[:, None], 0.0)
            target = target.masked_fill(~real, 0)
        losses = F.cross_entropy(output, target, reduction="none", label_smoothing=self.label_smoothing)
        return masked_mean(losses, real)
