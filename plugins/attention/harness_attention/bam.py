"""Bottleneck attention: y = x * (1 + gate(Mc(x) + Ms(x))), a channel branch and a branch of dilated convolutions.

Mc = W2 relu(BN(W1 mean_hw(x))) [B, C, 1, 1], W1 [m, C], W2 [C, m]
Ms = conv1x1(relu(BN(conv3x3_d(relu(BN(conv3x3_d(relu(BN(conv1x1(x)))))))))) [B, 1, H, W], m channels within, d the
dilation; every convolution and W1, W2 with a bias.

Source: Park et al. 2018, "BAM: Bottleneck Attention Module", arXiv:1807.06514, eq. 1-4, sum of the branches.
Differs: batch norms stand within the branches and not at their ends, as in the authors' code; that code multiplies the
branches: `combine: multiply`. The mean is over the whole map (that code: over windows of H x H, which a map that is
not square breaks); the gate may be a hard sigmoid. The paper puts a block between stages, three in a ResNet; here it
stands where `placement` says.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from harness_attention.common import Gate, bottleneck, make_gate, normalise, require_one_of, require_positive

Combine = Literal["add", "multiply"]


class ChannelBranch(nn.Module):
    """x [B, C, H, W] -> [B, C, 1, 1]. Its norm sees one value an image: see `normalise` for a batch of 1."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, width, 1)
        self.bn = nn.BatchNorm2d(width)
        self.fc2 = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.relu(normalise(self.bn, self.fc1(x.mean(dim=(2, 3), keepdim=True)))))
        return out


class SpatialBranch(nn.Module):
    """x [B, C, H, W] -> [B, 1, H, W]."""

    def __init__(self, channels: int, width: int, dilation: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1)
        self.bn0 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(normalise(self.bn0, self.reduce(x)))
        x = F.relu(normalise(self.bn1, self.conv1(x)))
        x = F.relu(normalise(self.bn2, self.conv2(x)))
        out: Tensor = self.last(x)
        return out


class BottleneckAttention(nn.Module):
    """Amplify x by up to 2 where a channel branch and a spatial branch together say so; `combine` says how they meet.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: 3 C m + 18 m^2 + 13 m + C + 1 parameters; m = max(1, round(C / reduction)).
    Source: arXiv:1807.06514, eq. 1-4. Differs: see the module.
    Raises: ConfigError if channels, reduction or dilation < 1, or a name is unknown.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        dilation: int = 4,
        combine: Combine = "add",
        gate: Gate = "sigmoid",
    ) -> None:
        super().__init__()
        require_one_of("bam", "combine", combine, ("add", "multiply"))
        require_positive("bam", "dilation", dilation)
        width = bottleneck("bam", channels, reduction)
        self.combine = combine
        self.channel = ChannelBranch(channels, width)
        self.spatial = SpatialBranch(channels, width, dilation)
        self.gate = make_gate("bam", gate)

    def forward(self, x: Tensor) -> Tensor:
        channel, spatial = self.channel(x), self.spatial(x)
        scale: Tensor = self.gate(channel + spatial if self.combine == "add" else channel * spatial)
        return x * (1 + scale)
