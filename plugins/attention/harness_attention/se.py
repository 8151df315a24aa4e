"""Squeeze-and-Excitation: y = x * gate(W2 relu(W1 mean_hw(x))), W1 [C/r, C], W2 [C, C/r].

Source: Hu, Shen, Sun 2018, "Squeeze-and-Excitation Networks", arXiv:1709.01507, eq. 2-4.
Differs: both layers have a bias by default, as in timm and the authors' code (the paper's equation has none); the
gate may be a hard sigmoid. The width is not rounded to multiples of 8 as timm's is by default.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from harness_attention.common import Gate, bottleneck, make_gate


class SqueezeExcitation(nn.Module):
    """Gate channels with a small MLP over their means.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: 2 C m weights, and C + m biases with `mlp_bias`; m = max(1, round(C / reduction)).
    Source: arXiv:1709.01507, eq. 2-4. Differs: see the module.
    Raises: ConfigError if channels or reduction < 1, or the gate is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(self, channels: int, *, reduction: int = 16, mlp_bias: bool = True, gate: Gate = "sigmoid") -> None:
        super().__init__()
        width = bottleneck("se", channels, reduction)
        # 1x1 convolutions and not linear layers: weights of timm's and torchvision's SE then load as they are.
        self.fc1 = nn.Conv2d(channels, width, 1, bias=mlp_bias)
        self.fc2 = nn.Conv2d(width, channels, 1, bias=mlp_bias)
        self.gate = make_gate("se", gate)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean(dim=(2, 3), keepdim=True)
        scale: Tensor = self.gate(self.fc2(F.relu(self.fc1(squeezed))))
        return x * scale
