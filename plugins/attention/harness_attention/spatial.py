"""Spatial attention of CBAM: y = x * gate(BN(conv_kxk([mean_c(x); max_c(x)]))), two maps in, one out.

Source: Woo et al. 2018, "CBAM: Convolutional Block Attention Module", arXiv:1807.06521, eq. 3.
Differs: batch norm after the convolution and no bias, as in the authors' code and in timm (the equation has neither);
the momentum of the batch norm is 0.1 as in timm (authors' code: 0.01); the gate may be a hard sigmoid.
The maximum is `amax`; channel.py says why.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from harness_attention.common import Gate, make_gate, normalise, require_odd, require_positive


class SpatialLogits(nn.Module):
    """What the spatial gate is applied to: x [B, C, H, W] -> [B, 1, H, W]. `block` is the name that errors give."""

    def __init__(self, block: str, kernel_size: int) -> None:
        super().__init__()
        require_odd(block, "kernel_size", kernel_size)
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return normalise(self.bn, self.conv(pooled))


class SpatialAttention(nn.Module):
    """Gate places with a convolution over the mean and the maximum of the channels.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: 2 k^2 + 2 parameters, whatever the number of channels; k = `kernel_size`.
    Source: arXiv:1807.06521, eq. 3. Differs: see the module.
    Raises: ConfigError if channels < 1, kernel_size is not odd and positive, or the gate is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(self, channels: int, *, kernel_size: int = 7, gate: Gate = "sigmoid") -> None:
        super().__init__()
        require_positive("spatial", "channels", channels)
        self.logits = SpatialLogits("spatial", kernel_size)
        self.gate = make_gate("spatial", gate)

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.gate(self.logits(x))
        return x * scale
