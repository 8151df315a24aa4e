"""Which of the scored frames are keyframes: the highest scores, and on request no two that look alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..errors import ConfigError

Array: TypeAlias = "np.ndarray[Any, Any]"

ALIKE = 0.95
"""Cosine of two frames' descriptors above which they are near-duplicates.

Of neighbouring samples of one shot the median is 0.95 to 1.00 in real films, of frames more than five seconds apart
0.3 to 0.95. The features of the model's own backbone have no such fixed scale: those of an untrained ResNet-18 are
above 0.9 for any two frames.
"""
SHARE = 0.15
"""Of the sampled frames, the part that become keyframes where nothing else is asked for."""
APART = 2.0
"""Seconds that two keyframes lie apart when near-duplicates are left out."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How many keyframes: `top`, or else a `share` (SHARE) of the sampled frames; `distinct`: no near-duplicates.

    Of images: `top` classes are listed for each, and the others are not meant.

    Raises ConfigError for a number below 1 or a share outside (0, 1].
    """

    top: int | None = None
    share: float | None = None
    distinct: bool = False

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise ConfigError(f"top is {self.top}, but there is at least one keyframe", hint="leave it out for 15 %")
        if self.share is not None and not 0 < self.share <= 1:
            raise ConfigError(f"share is {self.share:g}, but it is a part of the frames", hint="for instance 0.15")

    def count(self, frames: int) -> int:
        """Of so many sampled frames; a share is rounded up, as in the metric precision15."""
        if self.top is not None:
            return min(self.top, frames)
        # 0.15 times some multiples of 20 is a little more than the whole number that it should be.
        return max(1, math.ceil((self.share or SHARE) * frames - 1e-9))

    def rule(self) -> str:
        """A sentence for the page."""
        many = f"the {self.top}" if self.top is not None else f"{100 * (self.share or SHARE):g} % of the"
        text = f"{many} sampled frames, those with the highest scores; of equal scores the earlier one"
        return f"{text}. {DISTINCT}" if self.distinct else text


DISTINCT = (
    f"From the highest score down, a frame is left out if it lies within {APART:g} seconds of one already taken, or if "
    f"it looks like one: the cosine of their descriptors of colours and layout is above {ALIKE:g}"
)


@dataclass(frozen=True, slots=True)
class Keyframe:
    """`number` counts in order of time from 1, `rank` by score from 1; `frame` is the frame's place in the video."""

    number: int
    rank: int
    frame: int
    seconds: float
    score: float
    file: str


def chosen(scores: Array, times: Array, count: int, looks: Array | None = None) -> Array:
    """Places of the keyframes, int64 [K], from the highest score down; K <= `count`.

    scores, times [T]. `looks` [T, D] asks for distinct ones (see DISTINCT), which may be fewer.
    """
    order = np.argsort(-scores, kind="stable")
    if looks is None:
        return order[:count]
    length = np.linalg.norm(looks, axis=1, keepdims=True)
    unit = np.divide(looks, length, out=np.zeros_like(looks), where=length > 0)
    taken = np.zeros(count, dtype=np.int64)
    kept = np.zeros((count, looks.shape[1]), dtype=unit.dtype)
    n = 0
    for i in order:
        if n == count:
            break
        if np.all(np.abs(times[taken[:n]] - times[i]) >= APART) and np.all(kept[:n] @ unit[i] <= ALIKE):
            taken[n], kept[n] = i, unit[i]
            n += 1
    return taken[:n]


def shown(ranks: Sequence[int], most: int) -> set[int]:
    """Places of the `most` highest ranks, for pictures that cannot show all."""
    return set(sorted(range(len(ranks)), key=lambda k: ranks[k])[:most])
