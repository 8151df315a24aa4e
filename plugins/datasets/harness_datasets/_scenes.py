"""Made-up videos of hard-cut scenes, of which each matters as far as it stands out from its neighbours.

Everything here follows from (seed, split, number), by raw draws of PCG64, which NumPy keeps the same over versions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from harness.data import fingerprint
from harness.errors import DataError

Array: TypeAlias = "np.ndarray[Any, Any]"

FPS = 10
RATE = 2
"""Sampled frames a second; scenes begin on one of them."""
INTEREST = (0.1, 0.4, 0.7, 1.0)
_SHORTEST, _LONGEST = 4, 10
"""Sampled frames of a scene: 2 to 5 seconds."""
_RUN = 4
"""Sampled frames over which an annotator's noise is constant: 2 seconds."""
_BEYOND = 0.735
"""Interest of what lies beyond the ends: with it, scenes there matter as much in the mean as those in the middle."""


@dataclass(frozen=True, slots=True)
class Scene:
    """`kind` 0..3 is what is shown, for `count` sampled frames; `looks` in [0, 1) [8] are its colours and motion."""

    kind: int
    count: int
    looks: tuple[float, ...]


class _Draws:
    """Numbers of one stream."""

    def __init__(self, *names: object) -> None:
        self._bits = np.random.PCG64(int(fingerprint({"toy_videos/1": [str(n) for n in names]}), 16))

    def below(self, n: int) -> int:
        return int(self._bits.random_raw()) % n

    def unit(self) -> float:
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def normal(self) -> float:
        """Box and Muller 1958, one of the pair."""
        return math.sqrt(-2 * math.log(1 - self.unit())) * math.cos(2 * math.pi * self.unit())


def plan(seed: int, split: str, number: int, scenes: int) -> tuple[Scene, ...]:
    """The scenes of a video.

    A kind follows any other one with equal chance and never itself, but the last one follows itself two times in five
    (and is the first scene's with 5 / 14, the chain's own share): so the most interesting kind, which is worth little
    beside itself, is worth no more in the mean than the one below it, and no order of kinds comes near the truth.
    """
    draws, made, kind = _Draws("scenes", seed, split, number), list[Scene](), 0
    for i in range(scenes):
        kind = min(draws.below(14) // 3, 3) if i == 0 else _next(kind, draws)
        count = _SHORTEST + draws.below(_LONGEST - _SHORTEST + 1)
        made.append(Scene(kind, count, tuple(draws.unit() for _ in range(8))))
    return tuple(made)


def _next(kind: int, draws: _Draws) -> int:
    if kind == 3:
        return min(draws.below(5), 3)
    step = 1 + draws.below(3)
    return (kind + step) % 4


def importance(kinds: Sequence[int]) -> list[float]:
    """Of each scene, in (0, 1]: the root of a * (1.1 - the greater a of its neighbours), a the kind's interest.

    The root changes no order; it spreads what is dull, so that annotators' noise does not bury it.
    """
    a = [_BEYOND, *(INTEREST[k] for k in kinds), _BEYOND]
    return [math.sqrt(a[i] * (1.1 - max(a[i - 1], a[i + 1]))) for i in range(1, len(a) - 1)]


def truth(scenes: Sequence[Scene]) -> Array:
    """float32 [T]: the importance of every sampled frame."""
    values = importance([s.kind for s in scenes])
    return np.repeat(np.asarray(values, dtype=np.float32), [s.count for s in scenes])


def annotators(target: Array, count: int, noise: float, seed: int, split: str, number: int) -> Array:
    """float32 [A, T] on the scale 1 to 5: target [T] plus noise that is constant over 2 seconds, rounded."""
    rows = []
    for a in range(count):
        draws = _Draws("annotator", seed, split, number, a)
        runs = [noise * draws.normal() for _ in range(-(-len(target) // _RUN))]
        rows.append(np.clip(np.rint(1 + 4 * (target + np.repeat(runs, _RUN)[: len(target)])), 1, 5))
    return np.asarray(rows, dtype=np.float32).reshape(count, len(target))


def shots(scenes: Sequence[Scene]) -> Array:
    """int64 [S, 2]: first and last frame of every scene; they cover the video."""
    ends = np.cumsum([s.count for s in scenes]) * (FPS // RATE)
    return np.stack([np.concatenate([[0], ends[:-1]]), ends - 1], axis=1).astype(np.int64)


def write(path: Path, scenes: Sequence[Scene], size: int) -> None:
    """The video as H.264 in an mp4, size x size pixels, FPS frames a second. Raises DataError if it cannot be coded."""
    import av
    from av.codec.codec import UnknownCodecError

    options = {"preset": "veryfast", "crf": "21", "g": str(2 * FPS), "x264-params": "threads=1"}
    try:
        with av.open(str(path), "w", format="mp4") as container:
            stream: Any = container.add_stream("libx264", rate=FPS, options=options)
            stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
            for scene in scenes:
                for picture in pictures(scene, size):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    except UnknownCodecError as error:
        raise DataError(
            "toy_videos: this PyAV cannot write H.264", hint="install PyAV from its wheels: pip install av"
        ) from error


def pictures(scene: Scene, size: int) -> Iterator[Array]:
    """uint8 [size, size, 3], one a frame: the kind's pattern in two colours, drifting."""
    hue, other, angle, coarse, speed, heading, left, top = scene.looks
    light = _colour(hue, 0.25, 0.95)
    dark = _colour(hue + 0.3 + 0.4 * other, 0.75, 0.45)
    period = size * (0.16 + 0.1 * coarse)
    y, x = np.mgrid[0:size, 0:size].astype(np.float64)
    turn, way = math.pi * angle, 2 * math.pi * heading
    for i in range(scene.count * (FPS // RATE)):
        far = i * size / FPS * (0.03 + 0.08 * speed)
        dx = x - size * (0.2 + 0.6 * left) - far * math.cos(way)
        dy = y - size * (0.2 + 0.6 * top) - far * math.sin(way)
        u, v = math.cos(turn) * dx + math.sin(turn) * dy, math.cos(turn) * dy - math.sin(turn) * dx
        share = np.clip(0.5 + _pattern(scene.kind, u, v, period), 0, 1)[..., None]
        yield np.rint(share * light + (1 - share) * dark).astype(np.uint8)


def _pattern(kind: int, u: Array, v: Array, period: float) -> Array:
    """Signed and about a pixel wide at edges: 0 stripes, 1 a chessboard, 2 discs, 3 rings; half of it is light."""
    if kind == 0:
        return np.asarray(np.sin(2 * math.pi * u / period) * period / 6)
    if kind == 1:
        return np.asarray(np.sin(math.pi * u / period) * np.sin(math.pi * v / period) * period / 3)
    if kind == 2:
        near = np.hypot(u - period * np.rint(u / period), v - period * np.rint(v / period))
        return np.asarray(0.4 * period - near)
    return np.asarray(np.sin(2 * math.pi * np.hypot(u, v) / period) * period / 6)


def _colour(hue: float, saturation: float, value: float) -> Array:
    """RGB in 0..255, float64 [3]."""
    channels = (abs((hue * 6 + shift) % 6 - 3) - 1 for shift in (0, 4, 2))
    return np.array([255 * value * (1 - saturation * (1 - min(max(c, 0.0), 1.0))) for c in channels])
