"""Video files that belong to known videos: which are there and whole, what is sampled of them, their frames, shots."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import metadata
from os import cpu_count
from os.path import isfile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from harness.data import (
    Sampled,
    VideoInfo,
    cached_arrays,
    digest,
    fingerprint,
    frame_descriptors,
    kernel_segments,
    remembered,
    sample,
    sampled_frames,
    shots,
)
from harness.data.video import MomentaryError
from harness.errors import DataError

Array: TypeAlias = "np.ndarray[Any, Any]"

SUFFIXES = (".mp4", ".mkv", ".webm")
_SEEN = (64, 64)
_PENALTY = 0.5
"""Of `kernel_segments` for `frame_descriptors`, which vary less than the features of a network that 1 is for; gives
shots of about three seconds in edited films."""


@dataclass(frozen=True, slots=True)
class SampledFile:
    """One video, of which some frames are looked at; `content` is the hash of its bytes."""

    path: Path
    content: str
    sampled: Sampled

    @property
    def mark(self) -> str:
        """A hash of the file and of which frames are sampled."""
        return fingerprint({"content": self.content, "picks": self.sampled.picks.tolist()})

    def change_points(self, n_frames: int) -> Array:
        """Shots by kernel segmentation, inclusive ranges int64 [S, 2] of `n_frames`; found once. Raises DataError."""

        def find() -> dict[str, Array]:
            return {"segments": kernel_segments(frame_descriptors(self.frames(_SEEN)), penalty=_PENALTY)}

        segments = cached_arrays(f"segments-2-{self.mark}", find)["segments"]
        return shots(segments, self.sampled.picks, n_frames)

    def until(self, n_frames: int) -> SampledFile:
        """Without the sampled frames that lie beyond the first `n_frames`."""
        s, keep = self.sampled, self.sampled.picks < n_frames
        return replace(self, sampled=replace(s, picks=s.picks[keep], times=s.times[keep]))

    def frames(self, size: tuple[int, int]) -> Iterator[Array]:
        """Blocks uint8 [n, 3, height, width] of all sampled frames in order. Raises DataError.

        A file that turns out damaged is left out from then on (see `look`).
        """
        count = 0
        try:
            for block in sampled_frames(self.path, self.sampled, size):
                count += len(block)
                yield block
        except MomentaryError:
            raise
        except DataError as error:
            if self._now() != self.content:
                raise DataError(f"'{self.path}' changed while it was read", hint="run again") from error
            _damaged(self.content, error.message)
            again = "run again: from now on the report names it, and the rest is used; or mend the file"
            raise DataError(error.message, hint=again) from error
        if count != len(self.sampled):
            raise DataError(f"'{self.path}' gave {count:,} frames, not {len(self.sampled):,}", hint="run again")

    def _now(self) -> str:
        # Not `digest`, which believes the file's size and times.
        try:
            with self.path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class FileFrames:
    """The frames of a file at one size, as `_scored.FrameSource` has them."""

    file: SampledFile
    size: tuple[int, int]

    @property
    def key(self) -> str:
        return fingerprint({"frames": self.file.mark, "size": list(self.size)})

    def frames(self) -> Iterator[Array]:
        return self.file.frames(self.size)


def find(folder: Path, names: Sequence[str]) -> list[Path | None]:
    """`<name>.mp4`, .mkv or .webm in the folder, None where there is none, or where a name leads out of the folder."""
    paths = ([folder / f"{name}{suffix}" for suffix in SUFFIXES if Path(name).name == name] for name in names)
    # Path.is_file raises an error for names that are too long.
    return [next((p for p in some if isfile(p)), None) for some in paths]


def look(paths: Sequence[Path], fps: float) -> list[SampledFile | str]:
    """What is sampled of each file, or the reason why it cannot be used; nothing is decoded, and both are remembered.

    Raises MomentaryError if the machine fails to read a file, which says nothing about it.
    """
    with ThreadPoolExecutor(min(8, cpu_count() or 1)) as pool:
        return list(pool.map(lambda path: _look(path, fps), paths))


def forget(path: Path) -> None:
    """No fault of this file's content is remembered any more: it was just written, and is as good as it can be."""
    content = digest(path)
    if _damaged(content):
        remembered(_fault(content), "none", str)


def _look(path: Path, fps: float) -> SampledFile | str:
    content = digest(path)
    name = f"sampled-1:{_decoders()}:{fps!r}:{path.absolute()}"
    seen = json.loads(remembered(name, content, lambda: json.dumps(_sample(path, fps))))
    reason = seen if isinstance(seen, str) else _damaged(content)
    if reason:
        return reason
    picks, times = np.array(seen["picks"], dtype=np.int64), np.array(seen["times"], dtype=np.float64)
    return SampledFile(path, content, Sampled(picks, times, VideoInfo(**seen["info"])))


def _sample(path: Path, fps: float) -> str | dict[str, Any]:
    try:
        found = sample(path, fps)
    except MomentaryError:
        raise  # remembered, it would cost the video for ever
    except DataError as error:
        return error.message
    if found.info.short:
        return (
            f"'{path}' is cut off: {found.info.short:.1f} of {found.info.duration:.1f} seconds are missing at its end"
        )
    return {"picks": found.picks.tolist(), "times": found.times.tolist(), "info": asdict(found.info)}


def _damaged(content: str, reason: str = "") -> str:
    """Why a file turned out damaged when it was decoded, "" if it did not; a `reason` is remembered from now on."""

    def answer() -> str:
        if not reason:
            raise LookupError  # so that nothing is remembered
        return reason

    try:
        return remembered(_fault(content), "1", answer)
    except LookupError:
        return ""


def _fault(content: str) -> str:
    return f"undecodable:{_decoders()}:{content}"


@cache
def _decoders() -> str:
    """Their versions, as another one may read what this one cannot; none is imported."""
    told = []
    for name in ("av", "decord"):
        try:
            told.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            told.append(f"no {name}")
    return ", ".join(told)
