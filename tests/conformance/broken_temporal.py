"""Blocks for sequences, each with one fault; `Good` and `Causal` have none."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Good(nn.Module):
    """y_t = x_t * sigmoid(W x_t + b), 0 under padding."""

    domain = "temporal"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x if mask is None else x.masked_fill(~mask[..., None], 0)
        y = x * torch.sigmoid(self.linear(self.mixed(x, mask)))
        return y if mask is None else y.masked_fill(~mask[..., None], 0)


class Causal(Good):
    """Reads the sum of all frames up to its own."""

    causal = True

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x.cumsum(dim=1)


class FirstFrames(Good):
    """Gives out fewer frames than it reads."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = super().forward(x, mask)
        return y[:, :12]


class NormOverBatch(Good):
    """Refuses a batch of one item in training."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.norm = nn.BatchNorm1d(channels)

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x + self.norm(x[:, 0])[:, None]


class Squeezed(Good):
    """Takes the batch's axis away where it is one item."""

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x + x[:, 0].squeeze(0)[:, None, :]


class TwoFrames(Good):
    """Looks at the difference to the frame before, and needs two of them."""

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if x.shape[1] == 1:
            raise ValueError("two frames are needed")
        return x


class WideGroups(Good):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.norm = nn.GroupNorm(16, channels)

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.norm(x.flatten(0, 1)).view_as(x)


class RootOfZero(Good):
    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x.square().mean(dim=2, keepdim=True).sqrt() + x


class Detached(Good):
    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        self.linear.bias.requires_grad_(False)
        return x


class Mixed(Good):
    """Takes the mean over the batch."""

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x + (x[:, :1].mean(dim=0, keepdim=True))


class MeanOverPadding(Good):
    """Divides by the number of all frames, padded ones included."""

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x + x.mean(dim=1, keepdim=True)


class Unpadded(Good):
    """Leaves something under padding."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = super().forward(x, mask)
        return y if mask is None else y + (~mask[..., None]).to(y.dtype)


class NotCausal(Good):
    """Says that it looks back only, and sums over all frames."""

    causal = True

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x + x.sum(dim=1, keepdim=True)


class Halves(Good):
    """Refuses a width of its model, without a word that could be understood."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None and not self.training and x.shape[1] == 9:
            raise RuntimeError("shape mismatch")
        return super().forward(x, mask)
