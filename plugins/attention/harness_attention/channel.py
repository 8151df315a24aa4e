"""Channel attention of CBAM: y = x * gate(MLP(mean_hw(x)) + MLP(max_hw(x))), one shared MLP = W2 relu(W1 .).

Source: Woo et al. 2018, "CBAM: Convolutional Block Attention Module", arXiv:1807.06521, eq. 2.
Differs: no bias by default, as in timm (the authors' code has one: `mlp_bias: true`); the gate may be a hard sigmoid.

The maximum over the map is `amax` in all blocks here and not `adaptive_max_pool2d`: on CUDA the latter's backward adds
atomically in an order that changes from run to run, and `torch.use_deterministic_algorithms` refuses it. `amax`
compares and divides instead: its gradient is shared evenly between equal maxima, in a fixed order.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from harness_attention.common import Gate, bottleneck, make_gate


class ChannelLogits(nn.Module):
    """What the channel gate is applied to: x [B, C, H, W] -> [B, C, 1, 1]. `block` is the name that errors give."""

    def __init__(self, block: str, channels: int, reduction: int, mlp_bias: bool) -> None:
        super().__init__()
        width = bottleneck(block, channels, reduction)
        self.fc1 = nn.Conv2d(channels, width, 1, bias=mlp_bias)
        self.fc2 = nn.Conv2d(width, channels, 1, bias=mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self._mlp(x.mean(dim=(2, 3), keepdim=True)) + self._mlp(x.amax(dim=(2, 3), keepdim=True))

    def _mlp(self, pooled: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.relu(self.fc1(pooled)))
        return out


class ChannelAttention(nn.Module):
    """Gate channels with one MLP over their means and their maxima.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: 2 C m weights, and C + m biases with `mlp_bias`; m = max(1, round(C / reduction)).
    Source: arXiv:1807.06521, eq. 2. Differs: see the module.
    Raises: ConfigError if channels or reduction < 1, or the gate is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(self, channels: int, *, reduction: int = 16, mlp_bias: bool = False, gate: Gate = "sigmoid") -> None:
        super().__init__()
        self.logits = ChannelLogits("channel", channels, reduction, mlp_bias)
        self.gate = make_gate("channel", gate)

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.gate(self.logits(x))
        return x * scale
