"""Concurrent squeeze-and-excitation: channels gated and places gated, side by side, and the two results combined.

u = x * gate(W2 relu(W1 mean_hw(x))) (se.py), v = x * gate(w . x), w one weight a channel;  y = u + v, or max(u, v)

Source: Roy, Navab, Wachinger 2018, "Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional
Networks", arXiv:1803.02579, section 2 (the sum).
Differs: `max`, of the two gated maps, is the authors' later code; where x is negative it takes the smaller gate. The
reduction is 16 as in the other blocks here (paper: 2); both parts have biases by default, as in that code (the paper
has none); the gate may be a hard sigmoid.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness_attention.common import Gate, bottleneck, make_gate, require_one_of

Combine = Literal["add", "max"]


class ConcurrentSqueezeExcitation(nn.Module):
    """Gate channels by their means and places by a weighted sum of their channels; `combine` says how they meet.

    With `add` the two gates sum to at most 2, and about 1 at the start.
    Shapes: x [B, C, H, W] float -> same shape.
    Cost: 2 C m + C weights, and C + m + 1 biases with `mlp_bias`; m = max(1, round(C / reduction)).
    Source: arXiv:1803.02579, section 2. Differs: see the module.
    Raises: ConfigError if channels or reduction < 1, or a name is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        combine: Combine = "add",
        mlp_bias: bool = True,
        gate: Gate = "sigmoid",
    ) -> None:
        super().__init__()
        require_one_of("scse", "combine", combine, ("add", "max"))
        width = bottleneck("scse", channels, reduction)
        self.combine = combine
        self.fc1 = nn.Conv2d(channels, width, 1, bias=mlp_bias)
        self.fc2 = nn.Conv2d(width, channels, 1, bias=mlp_bias)
        self.conv = nn.Conv2d(channels, 1, 1, bias=mlp_bias)
        self.channel_gate = make_gate("scse", gate)
        self.spatial_gate = make_gate("scse", gate)

    def forward(self, x: Tensor) -> Tensor:
        channel: Tensor = self.channel_gate(self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))))
        spatial: Tensor = self.spatial_gate(self.conv(x))
        if self.combine == "add":
            return x * (channel + spatial)
        return torch.maximum(x * channel, x * spatial)
