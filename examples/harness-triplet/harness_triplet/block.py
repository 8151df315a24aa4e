"""Triplet attention: y = (g_hw(x) + g_cw(x) + g_hc(x)) / 3, g(x) = x * sigmoid(norm(conv_k([max(x); mean(x)]))).

Each gate g takes maximum and mean over the one of the axes C, H, W that it does not name, and convolves the resulting
two maps over the other two axes; so channels and places gate each other, without a bottleneck.

Source: Misra et al. 2021, "Rotate to Attend: Convolutional Triplet Attention Module", arXiv:2010.03045, section 3.
Differs: running statistics of the norm move at torch's usual 0.1 an update (authors' code: 0.01). The gate over places
may be left out (`places: false`), as with `no_spatial` of the authors' code.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from harness.errors import ConfigError
from torch import Tensor, nn


class Gate(nn.Module):
    """Gate x by what its axis A looks like at each place of the other two.

    Shapes: x [B, A, P, Q] -> same shape; maximum and mean are taken over A.
    Cost: 2 k^2 weights, and 2 of a norm.
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)
        scale: Tensor = self.gate(self._normalised(self.conv(pooled)))
        return x * scale

    def _normalised(self, z: Tensor) -> Tensor:
        if self.bn.training and z.numel() == 1:
            # One image, and a single value left of it: it has no variance, and torch refuses to normalise it.
            bn = self.bn
            return nn.functional.batch_norm(z, bn.running_mean, bn.running_var, bn.weight, bn.bias, False, 0.0, bn.eps)
        normalised: Tensor = self.bn(z)
        return normalised


class TripletAttention(nn.Module):
    """Gate every value three times: by its place, by its channel and column, and by its row and channel.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: 6 k^2 + 6 weights, whatever the number of channels; 4 k^2 + 4 without `places`.
    Source: arXiv:2010.03045, section 3. Differs: see the module.
    Raises: ConfigError if channels < 1, or kernel_size is not odd and positive.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(self, channels: int, *, kernel_size: int = 7, places: bool = True) -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"attention 'triplet': channels is {channels}", hint="channels is at least 1")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(
                f"attention 'triplet': kernel_size is {kernel_size}",
                hint="kernel_size is odd and positive, so that the window has a middle: 3, 5, 7",
            )
        self.cw = Gate(kernel_size)
        self.hc = Gate(kernel_size)
        self.hw = Gate(kernel_size) if places else None

    def forward(self, x: Tensor) -> Tensor:
        # The axis that is pooled over is turned to the place of the channels, and back again.
        total: Tensor = self.cw(x.transpose(1, 2)).transpose(1, 2) + self.hc(x.transpose(1, 3)).transpose(1, 3)
        if self.hw is not None:
            total = total + self.hw(x)
        # A product or a sum is the last operation: models add their shortcut to it in place.
        return total / (2 if self.hw is None else 3)
