"""Blocks for images, each with one fault; `Good` has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.errors import ConfigError, DataError


class Good(nn.Module):
    """y = x * sigmoid(w * mean_hw(x) + b), one weight and bias a channel."""

    domain = "image"

    def __init__(self, channels: int, *, start: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), start))
        self.bias = nn.Parameter(0.1 * torch.randn(channels, 1, 1))

    def gate(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.weight * x.mean(dim=(2, 3), keepdim=True) + self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class InPlace(Good):
    """Right, and writes into what it gets."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(self.gate(x))


class Wide(Good):
    """Takes multiples of 256 channels alone, and says so."""

    def __init__(self, channels: int, *, start: float = 1.0) -> None:
        if channels % 256:
            raise ConfigError(f"attention 'wide': {channels} channels", hint="a multiple of 256")
        super().__init__(channels, start=start)


class NoDomain(Good):
    domain = "pictures"


class Turned(Good):
    """Height and width change places."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).transpose(2, 3)


class NormOverBatch(Good):
    """A norm over the batch of vectors [B, C], which refuses one item in training."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.norm(x.mean(dim=(2, 3))))[..., None, None] * self.gate(x)


class Squeezed(Good):
    """Takes the batch's axis away where it is one item."""

    def gate(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.weight[:, 0, 0] * x.mean(dim=(2, 3)).squeeze(0))[:, :, None, None] + self.bias


class NormOverMap(Good):
    """A norm over the places of a map, which refuses a single place in training."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0.1 * self.norm(x)


class EightGroups(Good):
    """Eight groups of channels, whatever their number."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.norm = nn.GroupNorm(8, channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.norm(x))


class Sixties(Good):
    """No fault: takes multiples of 64 channels alone, and says so."""

    def __init__(self, channels: int) -> None:
        if channels % 64:
            raise ConfigError(f"{channels} channels are no multiple of 64")
        super().__init__(channels)


class RootOfZero(Good):
    """The gradient of a root at 0 is infinite."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * x.square().mean(dim=(2, 3), keepdim=True).sqrt()


class Detached(Good):
    """One weight is taken out of the graph."""

    def gate(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.weight.detach() * x.mean(dim=(2, 3), keepdim=True) + self.bias)


class BiasBeforeNorm(Good):
    """A bias that the norm behind it takes out again."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.conv, self.norm = nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.norm(self.conv(x))


class Mixed(Good):
    """Takes the mean over the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - 0.5 * x.mean(dim=0, keepdim=True))


class BareSigmoid(Good):
    """Its last operation needs its own result, which timm overwrites when it adds the shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.weight * x + self.bias)


class OwnStream(Good):
    """Starts from a stream that no seed reaches."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.bias.data = torch.from_numpy(np.random.default_rng().normal(size=(channels, 1, 1)).astype(np.float32))


class LooseTensor(Good):
    """A tensor that is in no state_dict."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.loose = torch.rand(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.loose


class Remark:
    """An object, of which a checkpoint must hold none."""


class ObjectInState(Good):
    def get_extra_state(self) -> Any:
        return Remark()

    def set_extra_state(self, state: Any) -> None:
        return None


class FewBits(Good):
    """A detour through large numbers, which costs bfloat16 all its digits."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x + 1000) - 1000)


class View(Good):
    """`view` needs channels first."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(x.shape[0], -1).view(x.shape))


class Branch(Good):
    """A branch on values, which no graph can hold."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if bool(torch.isfinite(x).all()) else x


class NoOnnx(Good):
    """An operation that ONNX does not have."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.special.digamma(2 + x.abs())


class NoModule:
    domain = "image"

    def __init__(self, channels: int) -> None:
        self.channels = channels


class Untyped(Good):
    def __init__(self, channels: int, *, ratio=4) -> None:  # type: ignore[no-untyped-def]
        super().__init__(channels)


class WrongDefault(Good):
    def __init__(self, channels: int, *, ratio: int = "four") -> None:  # type: ignore[assignment]
        super().__init__(channels)


class NoDefault(Good):
    def __init__(self, channels: int, *, ratio: int) -> None:
        super().__init__(channels)


class Open(Good):
    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels)


class RefusesAll(Good):
    """Skips itself, or would, if want of data were an excuse for a block."""

    def __init__(self, channels: int) -> None:
        raise DataError("there are no weights", hint="download them")


class RefusesMaps(Good):
    def forward(self, x: Tensor) -> Tensor:
        raise DataError("there are no weights")


class EndsTheTest(Good):
    def forward(self, x: Tensor) -> Tensor:
        pytest.skip("not today")
