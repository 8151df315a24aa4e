"""A few frames a second of a video, chosen by the frames' own time stamps.

Videos of phones and screens have a variable frame rate, so every n-th frame is not every so many seconds.
Importing this module imports no decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import ConfigError, DataError
from .video import VideoInfo, probe, read_frames, time_stamps

Array: TypeAlias = "np.ndarray[Any, Any]"

_BYTES = 64 << 20
_EARLY = 0.75e-3
"""Seconds by which a frame may come after the time it is asked for: Matroska rounds times to milliseconds.

Not a whole one, as NTSC's frames stand at multiples of 1.001 seconds.
"""
_FASTEST = 240.0


@dataclass(frozen=True, slots=True)
class Sampled:
    """Which frames of a video are looked at: picks int64 [T] (increasing, from 0) and their times float64 [T].

    Times are seconds from the first frame. `info` is of the whole file; `info.short` > 0 says that its end is missing.
    """

    picks: Array
    times: Array
    info: VideoInfo

    def __len__(self) -> int:
        return len(self.picks)


def frame_times(path: Path, info: VideoInfo) -> Array:
    """Seconds from the first frame to every shown frame, float64 [info.frames], not decreasing.

    By the time stamps of the packets; i / fps where they are missing or all the same. Nothing is decoded.
    Raises DataError if the file cannot be read, if its frames are not those of `info`, or if neither time stamps nor
    a frame rate are known.
    """
    stamps = time_stamps(path)
    if stamps is not None and len(stamps) != info.frames:
        raise DataError(f"'{path}' changed while it was read: it has {len(stamps):,} frames, not {info.frames:,}")
    if stamps is not None and len(stamps) and np.isfinite(stamps).all() and (len(stamps) == 1 or np.ptp(stamps) > 0):
        return np.asarray(stamps - stamps[0])
    if info.frames > 1 and not 0 < info.fps < np.inf:
        raise DataError(
            f"'{path}' has neither time stamps nor a frame rate, so no time can be told of its frames",
            hint="write the file again, for instance as H.264 in an mp4",
        )
    return np.arange(info.frames) / (info.fps or 1.0)


def sample(path: Path, fps: float = 2.0, info: VideoInfo | None = None) -> Sampled:
    """For k = 0, 1, ... the frame that is shown at k / fps seconds, each at most once; nothing is decoded.

    So a video of fewer frames a second than `fps` gives all of its frames, once. `info` saves the call of `probe`.
    Raises ConfigError if fps is not in (0, 240]; DataError if the file cannot be read or has no frame.
    """
    if not 0 < fps <= _FASTEST:
        raise ConfigError(f"a video is sampled at {fps} frames a second", hint=f"give a number up to {_FASTEST:g}")
    info = probe(path) if info is None else info
    times = frame_times(path, info)
    if not len(times):
        raise DataError(f"'{path}' has no frame that is shown", hint="take the file away")
    lasts = 1 / info.fps if info.fps > 0 else 0.0
    # A frame is taken if a whole k lies between its own time and the next one's, both in units of 1 / fps.
    first = np.ceil((times - _EARLY) * fps)
    after = np.append(first[1:], np.ceil((times[-1] + max(lasts, 2 * _EARLY) - _EARLY) * fps))
    picks = np.flatnonzero(after > first).astype(np.int64)
    return Sampled(picks, times[picks], info)


def sampled_frames(path: Path, sampled: Sampled, size: tuple[int, int], limit: int = _BYTES) -> Iterator[Array]:
    """Blocks uint8 [n, 3, height, width] that together are the sampled frames, in order; at most `limit` bytes each.

    `size` = (height, width): frames are squashed to it while they are decoded, so proportions are not kept, nothing
    is cut off, and 4K frames are never held at full size. Memory does not grow with the video's length.
    Raises DataError as `read_frames` does.
    """
    picks = [int(i) for i in sampled.picks]
    for block in read_frames(path, picks, size=size, info=sampled.info, limit=limit):
        yield np.ascontiguousarray(block.transpose(0, 3, 1, 2))
