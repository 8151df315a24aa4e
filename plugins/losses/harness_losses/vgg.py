"""The first layers of VGG-16 and VGG-19, frozen, from torchvision's weights, a file, or at random.

Source: Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, columns D and E. Layers have the names that Keras gives
them, `block{b}_conv{c}`, and include their ReLU. Differs: nothing behind the chosen layer is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from harness.errors import ConfigError

Net: TypeAlias = Literal["vgg16", "vgg19"]

TITLES: Mapping[str, str] = {"vgg16": "VGG-16", "vgg19": "VGG-19"}
_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_SEED = 1409_1556


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution of 3 x 3; `index` is its place in torchvision's `features`, `pooled` a max-pool in front."""

    name: str
    index: int
    inputs: int
    outputs: int
    pooled: bool


def convolutions(net: Net) -> tuple[Convolution, ...]:
    """All of a network. Raises ConfigError for an unknown one."""
    if net not in _BLOCKS:
        raise ConfigError(f"unknown net '{net}'", hint=f"known: {', '.join(_BLOCKS)}")
    found: list[Convolution] = []
    index, inputs = 0, 3
    for block, (count, width) in enumerate(zip(_BLOCKS[net], _WIDTHS, strict=True)):
        for i in range(count):
            found.append(Convolution(f"block{block + 1}_conv{i + 1}", index, inputs, width, block > 0 and i == 0))
            index, inputs = index + 2, width
        index += 1
    return tuple(found)


def up_to(net: Net, layer: str) -> tuple[Convolution, ...]:
    """The convolutions that a layer needs, itself the last. Raises ConfigError for an unknown layer."""
    known = convolutions(net)
    names = [c.name for c in known]
    if layer not in names:
        raise ConfigError(f"{TITLES[net]} has no layer '{layer}'", hint=f"known: {', '.join(names)}")
    return known[: names.index(layer) + 1]


class Normalise(nn.Module):
    """x in [0, 1] less ImageNet's mean, over its standard deviation, channel by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Features(nn.Module):
    """What one layer makes of frames; frozen, and without a draw from torch's random stream while it is built.

    Shapes: x [N, 3, H, W] in [0, 1] -> [N, K, ceil or floor of H / 2**(block - 1), the same of W], >= 0.
    `normalised`: the layout of the activation-normalised VGG-19, which has a convolution of 1 x 1 instead of the
    normalisation, reflects frames at their edges, and rounds sizes up where it pools.
    """

    def __init__(self, layers: tuple[Convolution, ...], normalised: bool = False) -> None:
        super().__init__()
        self.prepare: nn.Module = _empty(3, 3, 1) if normalised else Normalise()
        edges = "reflect" if normalised else "zeros"
        for c in layers:
            self.add_module(c.name, _empty(c.inputs, c.outputs, 3, edges))
        self.pool = nn.MaxPool2d(2, ceil_mode=normalised)
        self._layers = layers
        self.eval().requires_grad_(False)
        self.to(memory_format=torch.channels_last)

    def layers(self) -> list[nn.Conv2d]:
        return [cast(nn.Conv2d, self.get_submodule(c.name)) for c in self._layers]

    def forward(self, x: Tensor) -> Tensor:
        # A quarter faster on a CPU than with the channels in front.
        x = self.prepare(x.contiguous(memory_format=torch.channels_last))
        for c, convolution in zip(self._layers, self.layers(), strict=True):
            x = convolution(self.pool(x) if c.pooled else x).relu_()
        return x


def _empty(inputs: int, outputs: int, size: int, edges: str = "zeros") -> nn.Conv2d:
    """A convolution whose numbers are yet to come: torch would draw some from its random stream."""
    make: Any = nn.utils.skip_init
    made: nn.Conv2d = make(nn.Conv2d, inputs, outputs, size, padding=size // 2, padding_mode=edges)
    return made


def random_features(net: Net, layer: str) -> Features:
    """torchvision's initialisation (Kaiming, fan out) from a generator of its own: the same in every process."""
    features = Features(up_to(net, layer))
    generator = torch.Generator().manual_seed(_SEED)
    for convolution in features.layers():
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        nn.init.zeros_(cast(Tensor, convolution.bias))
    return features


def loaded_features(net: Net, layer: str, state: Mapping[str, Tensor]) -> Features:
    """The layers from a state dict: torchvision's, or that of the activation-normalised VGG-19.

    The first layers alone are enough; what else is in it is not looked at.
    Raises: ConfigError if the layer is not in it, or it is of another network.
    """
    layers = up_to(net, layer)
    normalised = _is_normalised(state)
    if normalised and net != "vgg19":
        raise ConfigError("it holds the activation-normalised VGG-19", hint="write `net: vgg19`")
    if not normalised:
        _refuse_others(net, state)
    features = Features(layers, normalised)
    if normalised:
        _copy(state, "0", features.prepare)
    for k, (place, convolution) in enumerate(zip(layers, features.layers(), strict=True)):
        pools = sum(c.pooled for c in layers[: k + 1])
        _copy(state, f"{2 + 3 * k + pools}" if normalised else f"features.{place.index}", convolution)
    return features


def _is_normalised(state: Mapping[str, Tensor]) -> bool:
    return "0.weight" in state and tuple(state["0.weight"].shape) == (3, 3, 1, 1)


def _refuse_others(net: Net, state: Mapping[str, Tensor]) -> None:
    """VGG-16 and VGG-19 share the places of their first convolutions, and differ from the third block on."""
    places = {f"features.{c.index}.weight" for c in convolutions(net)}
    other = [key for key in state if key.startswith("features.") and key.endswith(".weight") and key not in places]
    if other:
        raise ConfigError(
            f"it holds '{other[0]}', where {TITLES[net]} has no convolution",
            hint="choose the `net` that the file was made with; those with batch norm do not serve",
        )


def _copy(state: Mapping[str, Tensor], key: str, convolution: nn.Module) -> None:
    for part, own in convolution.named_parameters():
        name = f"{key}.{part}"
        if name not in state:
            raise ConfigError(
                f"it has no '{name}'",
                hint="the first layers of torchvision's state dict, 'features.0.weight' and so on, up to the layer",
            )
        if state[name].shape != own.shape:
            raise ConfigError(f"'{name}' is {list(state[name].shape)} in it, and {list(own.shape)} is needed")
        if not torch.isfinite(state[name]).all():
            raise ConfigError(f"'{name}' holds numbers that are not finite")
        with torch.no_grad():
            own.copy_(state[name])
