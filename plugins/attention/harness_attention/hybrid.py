"""Channel and spatial attention together, one after the other or side by side.

With Mc = MLP(mean_hw) + MLP(max_hw) [B, C, 1, 1] (channel.py), Ms = BN(conv([mean_c; max_c])) [B, 1, H, W]
(spatial.py) and the gate s:

sequential, channel first:  u = x * s(Mc(x)),  y = u * s(Ms(u))        (CBAM)
sequential, spatial first:  u = x * s(Ms(x)),  y = u * s(Mc(u))
parallel, add:              y = x * s(Mc(x) + Ms(x))
parallel, multiply:         y = x * s(Mc(x)) * s(Ms(x))
parallel, max:              y = x * max(s(Mc(x)), s(Ms(x)))

Source: Woo et al. 2018, "CBAM", arXiv:1807.06521, eq. 1, and section 4.1 for the other order and for gates in
parallel; the sum of logits under one gate is Park et al. 2018, "BAM", arXiv:1807.06514, eq. 2. `max` is original.
Differs: what channel.py and spatial.py say; BAM's identity (1 + s(.)), its dilated convolutions and its norm in the
MLP are left out, so that only the way of combining differs from CBAM.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from harness_attention.channel import ChannelLogits
from harness_attention.common import Gate, make_gate, require_one_of
from harness_attention.spatial import SpatialLogits

Order = Literal["channel_first", "spatial_first"]
Combine = Literal["add", "multiply", "max"]


class HybridSequential(nn.Module):
    """Channel attention, then spatial attention on its result; `order` turns it round.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: the sum of `channel` and `spatial`, in either order.
    Source: arXiv:1807.06521, eq. 1. Differs: see the module.
    Raises: ConfigError if channels or reduction < 1, kernel_size is not odd and positive, or a name is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        kernel_size: int = 7,
        order: Order = "channel_first",
        mlp_bias: bool = False,
        gate: Gate = "sigmoid",
    ) -> None:
        super().__init__()
        require_one_of("hybrid_sequential", "order", order, ("channel_first", "spatial_first"))
        self.order = order
        self.channel = ChannelLogits("hybrid_sequential", channels, reduction, mlp_bias)
        self.spatial = SpatialLogits("hybrid_sequential", kernel_size)
        self.channel_gate = make_gate("hybrid_sequential", gate)
        self.spatial_gate = make_gate("hybrid_sequential", gate)

    def forward(self, x: Tensor) -> Tensor:
        if self.order == "channel_first":
            return self._gate_places(self._gate_channels(x))
        return self._gate_channels(self._gate_places(x))

    def _gate_channels(self, x: Tensor) -> Tensor:
        scale: Tensor = self.channel_gate(self.channel(x))
        return x * scale

    def _gate_places(self, x: Tensor) -> Tensor:
        scale: Tensor = self.spatial_gate(self.spatial(x))
        return x * scale


class HybridParallel(nn.Module):
    """Channel and spatial gates that both read the raw input; `combine` says how they meet.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: the sum of `channel` and `spatial`, whatever `combine` is.
    Source: arXiv:1807.06514, eq. 2 (add); arXiv:1807.06521, section 4.1. Differs: see the module.
    Raises: ConfigError if channels or reduction < 1, kernel_size is not odd and positive, or a name is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        kernel_size: int = 7,
        combine: Combine = "add",
        mlp_bias: bool = False,
        gate: Gate = "sigmoid",
    ) -> None:
        super().__init__()
        require_one_of("hybrid_parallel", "combine", combine, ("add", "multiply", "max"))
        self.combine = combine
        self.channel = ChannelLogits("hybrid_parallel", channels, reduction, mlp_bias)
        self.spatial = SpatialLogits("hybrid_parallel", kernel_size)
        self.gate = make_gate("hybrid_parallel", gate)

    def forward(self, x: Tensor) -> Tensor:
        channel, spatial = self.channel(x), self.spatial(x)
        if self.combine == "add":
            summed: Tensor = self.gate(channel + spatial)
            return x * summed
        channel_scale: Tensor = self.gate(channel)
        spatial_scale: Tensor = self.gate(spatial)
        if self.combine == "multiply":
            return x * channel_scale * spatial_scale
        return x * torch.maximum(channel_scale, spatial_scale)
