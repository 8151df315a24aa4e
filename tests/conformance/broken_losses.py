"""Losses, each with one fault; `Good` has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Good:
    """Mean squared error of values in [0, 1], as a mean over items."""

    expects: Any = "unit"

    def costs(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target) ** 2

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        if output.shape != target.shape:
            raise ValueError("output and target have one shape")
        if mask is None:
            return self.costs(output, target).mean()
        real = mask.reshape(*mask.shape, *(1 for _ in range(output.ndim - mask.ndim))).expand_as(output)
        costs = self.costs(output.masked_fill(~real, 0.5), target.masked_fill(~real, 0.5))
        return costs[real].mean()


class NoExpectation(Good):
    expects = "probabilities"


class Uncallable:
    expects = "unit"


class Vector(Good):
    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return (output - target) ** 2


class LogOfZero(Good):
    def costs(self, output: Tensor, target: Tensor) -> Tensor:
        return -(target * output.log() + (1 - target) * (1 - output).log())


class Rounded(Good):
    """Rounding has no gradient."""

    def costs(self, output: Tensor, target: Tensor) -> Tensor:
        return ((20 * output).round() / 20 - target) ** 2


class HalfGradient(Good):
    """The gradient is half of what the value asks for."""

    def costs(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target) * (output - target).detach()


class Narrow(Good):
    """No fault: computes in float32, whatever comes in."""

    def costs(self, output: Tensor, target: Tensor) -> Tensor:
        return (output.float() - target.float()) ** 2


class NarrowBack(Good):
    """No fault: computes in float32, and gives the result in the type that came in."""

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().__call__(output.float(), target.float(), mask).to(output.dtype)


class NarrowHalfGradient(Good):
    """Half the gradient, in float32."""

    def costs(self, output: Tensor, target: Tensor) -> Tensor:
        gap = output.float() - target.float()
        return gap * gap.detach()


class Classes:
    """Of logits [B, K] and labels [B]; the mask [B] says which rows are real."""

    expects: Any = "logits"

    def rows(self, output: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        if output.ndim != 2 or target.shape != output.shape[:1]:
            raise ValueError("classes are needed")
        if mask is not None:
            output, target = output[mask], target[mask]
        return self.rows(output, target).mean()


class Smoothed(Classes):
    """No fault: cross-entropy of labels that are half sure."""

    smoothing = 0.5

    def rows(self, output: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output, target, reduction="none", label_smoothing=self.smoothing)


class SmoothedALittle(Smoothed):
    smoothing = 0.1


class Margin(Classes):
    """No fault: is content where the true class leads by 1."""

    def rows(self, output: Tensor, target: Tensor) -> Tensor:
        return nn.functional.multi_margin_loss(output, target, reduction="none")


class LargestRival(Classes):
    """No fault: reads the strongest of the other classes alone."""

    def rows(self, output: Tensor, target: Tensor) -> Tensor:
        own = output.gather(1, target[:, None])
        rival = output.scatter(1, target[:, None], -torch.inf).amax(1, keepdim=True)
        return (1 + rival - own).relu()[:, 0]


class MarginSummed(Margin):
    """Grows with the batch, and is zero for what is right."""

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().__call__(output, target, mask) * (len(output) if mask is None else len(output) / 2)


class MarginOfTheWrong(Margin):
    """Asks the true class to stay behind."""

    def rows(self, output: Tensor, target: Tensor) -> Tensor:
        return super().rows(-output, target)


class Insensitive(Good):
    """No fault: differences up to 0.1 cost nothing."""

    def costs(self, output: Tensor, target: Tensor) -> Tensor:
        return ((output - target).abs() - 0.1).relu()


class Upside(Good):
    """Smaller for a worse prediction."""

    def costs(self, output: Tensor, target: Tensor) -> Tensor:
        return 1 - (output - target) ** 2


class OtherScale(Good):
    """Takes the target for bytes."""

    def costs(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target / 255) ** 2


class Summed(Good):
    """Grows with the batch."""

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().__call__(output, target, mask) * (len(output) if mask is None else len(output) / 2)


class Blind(Good):
    """Takes a mask and does not look at it."""

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().__call__(output, target)


class Maskless:
    """Has no mask at all."""

    expects = "unit"

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return Good()(output, target)


class Expanded(Good):
    """|o - t|^2 = |o|^2 - 2 o.t + |t|^2, of which the products lose their digits under autocast."""

    def __call__(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None or not torch.is_autocast_enabled("cpu"):
            return super().__call__(output, target, mask)
        o, t = (output + 20).flatten(1), (target + 20).flatten(1)
        costs = (o[:, None] @ o[:, :, None] - 2 * o[:, None] @ t[:, :, None] + t[:, None] @ t[:, :, None]).float()
        return costs.mean() / o.shape[1]


class OwnStream(nn.Module):
    """A weight that starts from a stream which no seed reaches."""

    expects = "unit"

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(np.random.default_rng().uniform(0.9, 1.1)), requires_grad=False)

    def forward(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.weight.detach().to(output.dtype) * Good()(output, target, mask)


class ObjectInState(OwnStream):
    def __init__(self) -> None:
        super().__init__()
        self.weight.data.fill_(1.0)

    def get_extra_state(self) -> Any:
        return Good()

    def set_extra_state(self, state: Any) -> None:
        return None
