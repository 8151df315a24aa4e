"""Coordinate attention: one gate for rows and one for columns, both per channel, from means along the other axis.

h = mean_w(x) [B, C, H], w = mean_h(x) [B, C, W];  [f_h, f_w] = hardswish(BN(W1 [h, w])), one W1 [m, C] for both;
y = x * gate(Wh f_h) * gate(Ww f_w), with the first gate spread along W and the second along H.

Source: Hou, Zhou, Feng 2021, "Coordinate Attention for Efficient Mobile Network Design", arXiv:2103.02907, eq. 4-9.
Differs: the width is C / reduction to the nearest whole number and at least `min_width` (authors' code: rounded down,
at least 8); the gate may be a hard sigmoid. timm's has no bias (`mlp_bias: false`) and another width, C / 24.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness_attention.common import Gate, bottleneck, make_gate, require_positive


class CoordinateAttention(nn.Module):
    """Gate every channel along its rows and along its columns.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: 3 C m weights, 2 m of a batch norm, and 2 C + m biases with `mlp_bias`;
    m = max(`min_width`, round(C / reduction)).
    Source: arXiv:2103.02907, eq. 4-9. Differs: see the module.
    Raises: ConfigError if channels, reduction or min_width < 1, or the gate is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 32,
        min_width: int = 8,
        mlp_bias: bool = True,
        gate: Gate = "sigmoid",
    ) -> None:
        super().__init__()
        require_positive("coord", "min_width", min_width)
        width = max(min_width, bottleneck("coord", channels, reduction))
        self.conv1 = nn.Conv2d(channels, width, 1, bias=mlp_bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv_h = nn.Conv2d(width, channels, 1, bias=mlp_bias)
        self.conv_w = nn.Conv2d(width, channels, 1, bias=mlp_bias)
        self.gate_h = make_gate("coord", gate)
        self.gate_w = make_gate("coord", gate)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        lines = torch.cat([x.mean(dim=3), x.mean(dim=2)], dim=2)[..., None]  # [B, C, H + W, 1]: rows, then columns
        # The norm never sees a single value: H + W is at least 2, so batch 1 with a map of 1x1 trains as well.
        hidden = F.hardswish(self.bn1(self.conv1(lines)))
        rows, columns = torch.split(hidden, [height, width], dim=2)
        scale_h: Tensor = self.gate_h(self.conv_h(rows))
        scale_w: Tensor = self.gate_w(self.conv_w(columns)).transpose(2, 3)
        return x * scale_h * scale_w
