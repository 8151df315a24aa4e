"""Efficient Channel Attention: y = x * gate(conv1d_k(mean_hw(x))), one kernel of k weights slid over the channels.

k = |(log2(C) + 1) / 2|_odd, the nearest odd number, the larger one at ties.

Source: Wang et al. 2020, "ECA-Net", arXiv:1910.03151, eq. 9 (block) and eq. 12 (k, with gamma 2 and b 1).
Differs: k is at least 3 as in timm (the formula gives 1 below 8 channels, and a kernel of 1 sees no neighbour); k may
be set by hand; the gate may be a hard sigmoid.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import Tensor, nn

from harness_attention.common import Gate, make_gate, require_odd, require_positive


def adaptive_kernel(channels: int) -> int:
    """The odd kernel size for so many channels: 3 up to 127 channels, 5 up to 2047, 7 up to 32767."""
    whole = int((math.log2(channels) + 1) / 2)
    return max(3, whole if whole % 2 else whole + 1)


class EfficientChannel(nn.Module):
    """Gate channels with a 1-d convolution over their means.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: k weights; `kernel_size` None: k grows with log2(C).
    Source: arXiv:1910.03151, eq. 9 and 12. Differs: see the module.
    Raises: ConfigError if channels < 1, kernel_size is not odd and positive, or the gate is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(self, channels: int, *, kernel_size: int | None = None, gate: Gate = "sigmoid") -> None:
        super().__init__()
        require_positive("eca", "channels", channels)
        size = adaptive_kernel(channels) if kernel_size is None else kernel_size
        require_odd("eca", "kernel_size", size)
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)
        self.gate = make_gate("eca", gate)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3))[:, None, :]  # [B, 1, C]: the channels are the line that the kernel slides along
        scale: Tensor = self.gate(self.conv(means))
        return x * scale[:, 0, :, None, None]
