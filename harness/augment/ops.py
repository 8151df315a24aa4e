"""Augmentations of float images [B, C, H, W] in [0, 1], without a loop over samples.

Each draws through `uniform(n)` -> [B, n] in [0, 1), which depends on (seed, epoch, item, name of the augmentation),
so that leaving one out leaves the draws of all others as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError

Uniform = Callable[[int], Tensor]


class Crop:
    """Pad by `padding` pixels on every side, then cut a window of the old size at a random place."""

    def __init__(self, padding: int = 4, mode: Literal["reflect", "zero"] = "reflect") -> None:
        if padding < 1:
            raise ConfigError(f"augment 'crop': padding is {padding}, but at least 1 pixel is needed")
        self.padding, self.mode = padding, mode

    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        p, (batch, _, height, width) = self.padding, x.shape
        if self.mode == "reflect" and p >= min(height, width):
            raise ConfigError(
                f"augment 'crop': padding {p} cannot be reflected in images of {height}x{width}", hint="mode: zero"
            )
        padded = F.pad(x, (p, p, p, p), mode="reflect" if self.mode == "reflect" else "constant")
        start = (uniform(2) * (2 * p + 1)).long()
        rows = start[:, 0, None] + torch.arange(height, device=x.device)
        columns = start[:, 1, None] + torch.arange(width, device=x.device)
        # Channels last while gathering: one index then moves a whole pixel.
        pixels = padded.permute(0, 2, 3, 1)
        item = torch.arange(batch, device=x.device)[:, None, None]
        return pixels[item, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class Flip:
    """Mirror each image left to right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability("flip", p)

    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        return torch.where((uniform(1) < self.p)[:, :, None, None], x.flip(-1), x)


class ColorJitter:
    """Scale brightness, contrast and saturation by factors drawn from [1 - s, 1 + s], in this order.

    Differs from torchvision's: the order is fixed, and there is no hue. Grey images have no saturation to change.
    """

    def __init__(self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2) -> None:
        self.strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, value in self.strengths.items():
            if not 0 <= value <= 1:
                raise ConfigError(f"augment 'color_jitter': {name} is {value:g}, but must lie in [0, 1]")

    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        draws = 2 * uniform(3) - 1
        factor = [1 + s * draws[:, i, None, None, None] for i, s in enumerate(self.strengths.values())]
        x = (x * factor[0]).clamp(0, 1)
        mean = _grey(x).mean(dim=(2, 3), keepdim=True)
        x = (mean + (x - mean) * factor[1]).clamp(0, 1)
        if x.shape[1] == 3:
            grey = _grey(x)
            x = (grey + (x - grey) * factor[2]).clamp(0, 1)
        return x


class Erasing:
    """Fill one rectangle with probability `p`; its share of the area lies in `scale`, its height / width in `ratio`.

    The fill is one colour an image, drawn uniformly. Differs from Zhong et al.: a rectangle larger than the image is
    cut to it instead of being drawn again, so that the work is the same for every sample.
    """

    def __init__(
        self, p: float = 0.25, scale: tuple[float, float] = (0.02, 0.33), ratio: tuple[float, float] = (0.3, 3.3)
    ) -> None:
        self.p = _probability("erasing", p)
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ConfigError(f"augment 'erasing': scale {list(scale)} must satisfy 0 < low <= high <= 1")
        if not 0 < ratio[0] <= ratio[1]:
            raise ConfigError(f"augment 'erasing': ratio {list(ratio)} must satisfy 0 < low <= high")
        self.scale, self.log_ratio = scale, (math.log(ratio[0]), math.log(ratio[1]))

    def __call__(self, x: Tensor, uniform: Uniform) -> Tensor:
        _, channels, height, width = x.shape
        u = uniform(5 + channels)
        area = (self.scale[0] + (self.scale[1] - self.scale[0]) * u[:, 1]) * height * width
        ratio = torch.exp(self.log_ratio[0] + (self.log_ratio[1] - self.log_ratio[0]) * u[:, 2])
        h = (area * ratio).sqrt().round().clamp(1, height)
        w = (area / ratio).sqrt().round().clamp(1, width)
        top = (u[:, 3] * (height - h + 1)).floor()
        left = (u[:, 4] * (width - w + 1)).floor()
        rows = torch.arange(height, device=x.device)[None, :]
        columns = torch.arange(width, device=x.device)[None, :]
        in_rows = (rows >= top[:, None]) & (rows < (top + h)[:, None])
        in_columns = (columns >= left[:, None]) & (columns < (left + w)[:, None])
        erased = in_rows[:, None, :, None] & in_columns[:, None, None, :] & (u[:, 0] < self.p)[:, None, None, None]
        return torch.where(erased, u[:, 5:, None, None], x)


def _probability(name: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ConfigError(f"augment '{name}': p is {p:g}, but a probability lies in [0, 1]")
    return p


def _grey(x: Tensor) -> Tensor:
    """Luma of ITU-R BT.601, as torchvision computes it; grey images are their own."""
    if x.shape[1] != 3:
        return x.mean(dim=1, keepdim=True)
    return 0.2989 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]
