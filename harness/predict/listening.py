"""What a prediction gives back, and what it tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from ..errors import HarnessError
from .selection import Keyframe

if TYPE_CHECKING:
    import numpy as np

Step: TypeAlias = Literal["frames", "pictures", "images"]
"""Scoring the sampled frames; writing the keyframes at full size; classifying images."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """One video that is done: `frames` were scored, `keyframes` stand in order of time; `page` is its index.html.

    `warnings` are sentences that the page shows too, for instance that the file's end is missing.
    """

    path: Path
    page: Path
    frames: int
    keyframes: tuple[Keyframe, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """One image: `probabilities` float64 [K] of all classes; `top` are (class, probability), the highest first.

    `notes` are words for what had to be done to it (turned, enlarged); `explained` is its picture of where the model
    looked, if it was asked for.
    """

    path: Path
    top: tuple[tuple[str, float], ...]
    probabilities: np.ndarray[Any, Any]
    notes: tuple[str, ...] = ()
    explained: Path | None = None

    @property
    def label(self) -> str:
        return self.top[0][0]

    @property
    def probability(self) -> float:
        return self.top[0][1]


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that could not be used; the others were done all the same."""

    path: Path
    error: HarnessError


@dataclass(frozen=True, slots=True)
class Predictions:
    """All videos in the order in which they were given, or all images; `page` is the index.html of the images.

    `warnings` are sentences about the trial that hold for all images; those of a video are its own.
    """

    videos: tuple[Predicted, ...]
    failures: tuple[Failure, ...]
    images: tuple[Classified, ...] = ()
    page: Path | None = None
    warnings: tuple[str, ...] = ()


class Listener(Protocol):
    """Is told of every video, in order: started, progress a few times, and then finished or failed.

    Of images: progress, with the folder that they are written to as its path, and failed.
    """

    def started(self, path: Path, number: int, total: int) -> None:
        """The `number`th of `total` videos, counted from 1."""
        ...

    def progress(self, path: Path, step: Step, done: int, total: int) -> None: ...

    def finished(self, video: Predicted) -> None: ...

    def failed(self, failure: Failure) -> None: ...


class Silence:
    """Nobody listens."""

    def started(self, path: Path, number: int, total: int) -> None: ...

    def progress(self, path: Path, step: Step, done: int, total: int) -> None: ...

    def finished(self, video: Predicted) -> None: ...

    def failed(self, failure: Failure) -> None: ...
