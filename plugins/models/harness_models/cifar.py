"""The ResNets for 32-pixel images.

Paper: He et al. 2016, "Deep Residual Learning for Image Recognition", arXiv:1512.03385, section 4.2.
Equation: y = relu(F(x) + shortcut(x)), F = norm(conv3x3(relu(norm(conv3x3(x))))); 6n + 2 layers.
Differs: nothing; names of parameters are those of the widely used published weights (akamaster/pytorch_resnet_cifar10).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from harness.contracts import IO
from harness_models.image import ImageClassifier, class_count, image_shape
from harness_models.weights import load_weights


class Subsample(nn.Module):
    """Option A: every second pixel, with zero channels added on both sides; no weights.

    Shapes: x [B, C, H, W] -> [B, C + 2·pad, ⌈H/2⌉, ⌈W/2⌉].
    """

    def __init__(self, pad: int) -> None:
        super().__init__()
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut. Shapes: [B, Cin, H, W] -> [B, Cout, ⌈H/stride⌉, ⌈W/stride⌉]."""

    def __init__(self, channels_in: int, channels: int, stride: int, shortcut: Literal["A", "B"]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels and shortcut == "A":
            self.shortcut = Subsample((channels - channels_in) // 2)
        elif channels_in != channels:
            projection = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(branch)) + self.shortcut(x))


class CifarResNet(nn.Module):
    """A ResNet of 6·n + 2 layers with 16, 32 and 64 channels. Shapes: [B, C, H, W] -> logits [B, K].

    Convolutions and the classifier start as in He et al. 2015 (normal, fan in).
    """

    def __init__(self, channels_in: int, classes: int, n: int, shortcut: Literal["A", "B"] = "A") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, n, 1, shortcut)
        self.layer2 = _stage(16, 32, n, 2, shortcut)
        self.layer3 = _stage(32, 64, n, 2, shortcut)
        self.linear = nn.Linear(64, classes)
        self.feature_info = [{"module": f"layer{i}", "num_chs": c} for i, c in ((1, 16), (2, 32), (3, 64))]
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _stage(channels_in: int, channels: int, n: int, stride: int, shortcut: Literal["A", "B"]) -> nn.Sequential:
    first = BasicBlock(channels_in, channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1, shortcut) for _ in range(n - 1)))


def _classifier(io: IO, depth: int, shortcut: Literal["A", "B"], weights: str | None) -> ImageClassifier:
    net = CifarResNet(image_shape(io)[0], class_count(io), (depth - 2) // 6, shortcut)
    notes = [] if weights is None else [load_weights(net, weights, ["linear"])]
    return ImageClassifier(net, ["linear"], io, notes)


def resnet20(io: IO, shortcut: Literal["A", "B"] = "A", weights: str | None = None) -> ImageClassifier:
    """269,722 parameters with 3 channels, 10 classes and option A. `weights` is a local file (see `load_weights`)."""
    return _classifier(io, 20, shortcut, weights)


def resnet32(io: IO, shortcut: Literal["A", "B"] = "A", weights: str | None = None) -> ImageClassifier:
    """As `resnet20`, with 5 blocks a stage."""
    return _classifier(io, 32, shortcut, weights)


def resnet44(io: IO, shortcut: Literal["A", "B"] = "A", weights: str | None = None) -> ImageClassifier:
    """As `resnet20`, with 7 blocks a stage."""
    return _classifier(io, 44, shortcut, weights)


def resnet56(io: IO, shortcut: Literal["A", "B"] = "A", weights: str | None = None) -> ImageClassifier:
    """As `resnet20`, with 9 blocks a stage."""
    return _classifier(io, 56, shortcut, weights)


def resnet110(io: IO, shortcut: Literal["A", "B"] = "A", weights: str | None = None) -> ImageClassifier:
    """As `resnet20`, with 18 blocks a stage."""
    return _classifier(io, 110, shortcut, weights)
