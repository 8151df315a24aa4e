"""Digits that move over a black canvas and bounce off its walls: the generator of the field, on any device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from harness.contracts import DatasetInfo, SplitName
from harness.data import fingerprint, uniforms
from harness.errors import ConfigError

from . import _clips
from ._clips import Array, ClipSplit, between, coloured
from ._images import ItemNames

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contracts import Batch

VERSION = "moving/1"
"""Rises when this code changes any clip."""
_WITHOUT_FLOAT64 = frozenset({"mps"})
_DRAWS = 4  # of a digit: which one, start down, start to the right, direction


@dataclass(frozen=True, slots=True)
class Motion:
    """How clips are made; the options of the data sets that say so."""

    digits: int
    speed: float
    size: int
    frames: int
    channels: int

    def check(self, dataset: str, digit: int) -> None:
        """Raise ConfigError if an option is out of range for digits of so many pixels."""
        between(dataset, "digits", self.digits, 1, 64)
        between(dataset, "speed", self.speed, 0, 1)
        between(dataset, "size", self.size, digit, 1024)
        between(dataset, "frames", self.frames, 2, 1000)
        if self.channels not in (1, 3):
            raise ConfigError(f"{dataset}: option 'channels' is {self.channels}", hint="give 1 or 3")


class MovingClips(ClipSplit):
    """Clips that are drawn when they are asked for, from the digits uint8 [N, h, h] of this split alone.

    `fresh`: another draw gives other clips; without it the clips are always the same. `key` tells the streams of two
    splits or seeds apart.
    """

    def __init__(
        self, ids: Sequence[str], arrays: Mapping[str, Array], motion: Motion, key: Mapping[str, Any], fresh: bool
    ) -> None:
        super().__init__(ids, arrays)
        self._motion, self._key, self._fresh = motion, dict(key), fresh

    def generate(self, arrays: Mapping[str, Tensor], index: Tensor, draw: int) -> Batch:
        # Hashed, because the streams of keys that are near each other overlap.
        key = int(fingerprint({**self._key, "draw": draw if self._fresh else 0})[:15], 16)
        uniform = uniforms(index, _DRAWS * self._motion.digits, key)
        return {"inputs": clips(arrays["digits"], uniform, self._motion), "index": index}


def clips(digits: Tensor, uniform: Tensor, motion: Motion) -> Tensor:
    """uint8 [B, T, C, size, size] of digits uint8 [N, h, h] and numbers [B, 4 * digits] in [0, 1).

    A digit starts anywhere with equal chance, and in any direction. Each frame adds the velocity, `speed` times the
    free canvas (size - h); at a wall the coordinate is set to the wall and its velocity turned round (a mirror would
    give back the way that led beyond the wall). Coordinates are cut off to whole pixels. Where digits meet, the
    brighter pixel counts. Computed in float64, so that a CPU and a GPU agree; where a device has none, on the CPU.
    Source: Srivastava et al. 2015, arXiv:1502.04681, as in OpenSTL's MovingMNIST. Differs: the stream of random
    numbers.
    """
    import torch
    from torch.nn.functional import pad

    free = motion.size - digits.shape[-1]
    exact = uniform.to("cpu") if uniform.device.type in _WITHOUT_FLOAT64 else uniform
    u = exact.to(torch.float64).view(len(uniform), motion.digits, _DRAWS)
    which = (u[..., 0] * len(digits)).long().to(digits.device)
    path = (free * _path(u[..., 1:3], u[..., 3] * (2 * math.pi), motion)).long().to(digits.device)
    row = torch.arange(len(u), device=digits.device)[:, None]

    def drawn(k: int) -> Tensor:
        # A digit in the middle of so much black has its picture at every place as one window of it.
        windows = pad(digits[which[:, k]], (free,) * 4).unfold(1, motion.size, 1).unfold(2, motion.size, 1)
        return windows[row, free - path[:, :, k, 0], free - path[:, :, k, 1]]

    canvas = reduce(torch.maximum, (drawn(k) for k in range(motion.digits)))
    return coloured(canvas[:, :, None], motion.channels)


def _path(start: Tensor, angle: Tensor, motion: Motion) -> Tensor:
    """[B, T, digits, 2], down and to the right, in units of the free canvas."""
    import torch

    place, velocity = start, motion.speed * torch.stack([angle.sin(), angle.cos()], -1)
    places = []
    for _ in range(motion.frames):
        place = place + velocity
        hit = (place <= 0) | (place >= 1)
        place = place.clamp(0, 1)
        velocity = torch.where(hit, -velocity, velocity)
        places.append(place)
    return torch.stack(places, 1)


def splits(
    name: str, arrays: Mapping[SplitName, Mapping[str, Array]], sizes: Mapping[str, int], motion: Motion, seed: int
) -> dict[SplitName, ClipSplit]:
    """Generated train, val and test; `arrays` has the digits of each."""
    return {
        split: MovingClips(
            ItemNames(split, range(sizes[split])),
            arrays[split],
            motion,
            {"dataset": name, "split": split, "seed": seed},
            fresh=split == "train",
        )
        for split in _clips.SPLITS
    }


def check_sizes(name: str, sizes: Mapping[str, int], val_digits: int, available: int, seed: int) -> None:
    """Raise ConfigError if numbers of clips or of validation digits are out of range."""
    for split, size in sizes.items():
        between(name, f"{split}_size", size, 1 if split == "train" else 0, 10**9)
    between(name, "val_digits", val_digits, 1 if sizes["val"] else 0, available - 1)
    between(name, "seed", seed, 0, 2**63 - 1)


def information(
    content: str,
    motion: Motion,
    sizes: Mapping[str, int],
    options: Mapping[str, int | float | str | None],
    notes: Sequence[str],
) -> DatasetInfo:
    """`options` are those that change a clip beside the motion and the sizes."""
    told = {"version": VERSION, "content": content, "sizes": dict(sizes), "options": dict(options)}
    mark = fingerprint({**told, "motion": {**asdict(motion), "speed": float(motion.speed)}})
    return DatasetInfo(
        mark,
        _clips.specs(motion.frames, motion.channels, motion.size, motion.size),
        dict(sizes),
        notes=tuple(notes),
    )
