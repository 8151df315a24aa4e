"""No attention: y = x. Source: original."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from harness_attention.common import require_positive


class NoAttention(nn.Module):
    """Hand the input on, unchanged.

    A model gets no block at all for `none`; this one serves whoever builds blocks by name.

    Shapes: x [B, C, H, W] -> x itself.
    Cost: nothing.
    Source: original.
    Raises: ConfigError if channels < 1.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(self, channels: int) -> None:
        super().__init__()
        require_positive("none", "channels", channels)

    def forward(self, x: Tensor) -> Tensor:
        return x
