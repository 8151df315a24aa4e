"""The field's HDF5 layout for video summaries: one group a video, `video_1`, `video_2`, …

Keys: features [n, D], gtscore [n], user_summary [U, N] (0 or 1), n_frames (= N), picks [n]; optional change_points
[S, 2] (inclusive; where there are none they are found by kernel segmentation), n_steps (= n), n_frame_per_seg [S],
gtsummary [n], video_name. n sampled frames of N. At most a million frames, 100,000 of them sampled, 10,000 numbers a
frame, 100 people, and 2 GB in all; links and external storage, which lead to other files, are refused.
Source: Zhou and Qiao 2018, arXiv:1801.00054, whose files `eccv16_dataset_*_google_pool5.h5` most papers use.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from harness.data import cached_arrays, digest, kernel_segments, remembered, shots
from harness.errors import DataError

from . import _hdf5

Array: TypeAlias = "np.ndarray[Any, Any]"
T = TypeVar("T")

# Files are not to be trusted, and HDF5 may claim any size in a few bytes.
_FRAMES, _SAMPLES, _WIDTH, _USERS, _TEXT = 1_000_000, 100_000, 10_000, 100, 200
_BUDGET = 1 << 31
"""Bytes that the arrays of a file may have in memory."""
_SLACK = 15
"""Frames by which the last shot may miss the video's end; so many lie between two sampled frames."""
_HINT = "get the file again, or write it as the documentation of this dataset says"


@dataclass(frozen=True, slots=True)
class Summarised:
    """One video, as the module's docstring says; `name` is "" if the file has none.

    features, gtscore float32; user_summary uint8; change_points, picks int64. `mended`: what was put right, or "".
    """

    key: str
    name: str
    features: Array
    gtscore: Array
    user_summary: Array
    change_points: Array
    n_frames: int
    picks: Array
    mended: str


@dataclass(frozen=True, slots=True)
class Overview:
    """What a file holds: features' width, and of every video its sampled frames, frames, name and what was mended.

    `content` hashes the file's bytes.
    """

    content: str
    width: int
    lengths: tuple[int, ...]
    frames: tuple[int, ...]
    names: tuple[str, ...]
    mended: tuple[str, ...]


def overview(dataset: str, path: Path, count: int) -> Overview:
    """Read and checked once, and remembered. Raises DataError."""

    def look() -> str:
        videos = read(dataset, path, count)
        rows = [[len(v.picks), v.n_frames, v.name, v.mended] for v in videos]
        return json.dumps({"width": videos[0].features.shape[1], "videos": rows})

    content = digest(path)
    kept = json.loads(remembered(f"summary-h5-2:{count}:{path.absolute()}", content, look))
    return Overview(content, kept["width"], *zip(*kept["videos"], strict=True))


def read(dataset: str, path: Path, count: int) -> tuple[Summarised, ...]:
    """`video_1` to `video_<count>`, checked key by key. Raises DataError that names file, group and key."""
    import h5py

    def opened() -> Any:
        return h5py.File(path, "r")

    with _guarded(dataset, path, "", opened) as file:
        left = _Left(_BUDGET)
        videos = tuple(_video(_Group.of(dataset, path, file, f"video_{k}", left)) for k in range(1, count + 1))
    widths = {v.features.shape[1] for v in videos}
    if len(widths) > 1:
        other = next(v for v in videos if v.features.shape[1] != videos[0].features.shape[1])
        what = f"has {other.features.shape[1]} numbers a frame, but those of 'video_1' {videos[0].features.shape[1]}"
        raise _wrong(dataset, path, f"{other.key}/features", what)
    return videos


def _wrong(dataset: str, path: Path, key: str, what: str) -> DataError:
    return DataError(f"{dataset}: '{path}', '{key}' {what}", hint=_HINT)


def _guarded(dataset: str, path: Path, key: str, use: Callable[[], T]) -> T:
    try:
        return use()
    except _hdf5.ERRORS as error:
        place = f", '{key}'" if key else ""
        what = "is damaged, or no HDF5 file" if not key else "cannot be read"
        raise DataError(f"{dataset}: '{path}'{place} {what}: {error}", hint=_HINT) from error


@dataclass(slots=True)
class _Left:
    """What is left of a file's budget."""

    bytes: int


@dataclass(frozen=True, slots=True)
class _Group:
    """One video of a file, whose arrays are read only once their shape and type are what they should be."""

    dataset: str
    path: Path
    group: Any
    key: str
    left: _Left = field(repr=False)

    @classmethod
    def of(cls, dataset: str, path: Path, file: Any, key: str, left: _Left) -> _Group:
        import h5py

        found = _guarded(dataset, path, key, lambda: _hdf5.member(file, key))
        if not isinstance(found, h5py.Group):
            raise _wrong(dataset, path, key, "is missing" if found is None else "is no group")
        return cls(dataset, path, found, key, left)

    def wrong(self, key: str, what: str) -> DataError:
        return _wrong(self.dataset, self.path, f"{self.key}/{key}", what)

    def guarded(self, key: str, use: Callable[[], T]) -> T:
        return _guarded(self.dataset, self.path, f"{self.key}/{key}", use)

    def node(self, key: str) -> Any:
        """A stored array that is not read yet; None if there is none of this name."""
        import h5py

        found = self.guarded(key, lambda: _hdf5.member(self.group, key))
        if found is not None and not isinstance(found, h5py.Dataset):
            raise self.wrong(key, "is no array")
        return found

    def numbers(self, key: str, shape: tuple[int | range, ...], kind: type = np.float32) -> Array:
        """Finite numbers of this shape (a range: from its start on) as float32, int64 (whole) or uint8 (0 or 1)."""
        node = self.node(key)
        if node is None:
            raise self.wrong(key, "is missing")
        # Some types have no counterpart in NumPy, which shows only when they are asked for.
        stored, dtype = self.guarded(key, lambda: (node.shape, node.dtype))
        said = "×".join("n" if isinstance(n, range) else str(n) for n in shape) or "one number"
        # A single number is often stored as an array of one.
        held = () if not shape and stored == (1,) else stored
        fits = held is not None and len(held) == len(shape)
        if not fits or any(a < b.start if isinstance(b, range) else a != b for a, b in zip(held, shape, strict=True)):
            raise self.wrong(key, f"has the shape {stored}, not {said}")
        if any(isinstance(b, range) and a not in b for a, b in zip(held, shape, strict=True)):
            raise self.wrong(key, f"has the shape {stored}, which is more than any video here has")
        if dtype.kind not in "iufb":
            raise self.wrong(key, f"holds {dtype}, not numbers")
        self.left.bytes -= math.prod(held) * np.dtype(kind).itemsize
        if self.left.bytes < 0:
            raise self.wrong(key, f"has the shape {stored}, with which the file exceeds {_BUDGET >> 30} GB")
        return self.guarded(key, lambda: self._filled(key, node, kind)).reshape(held)

    def _filled(self, key: str, node: Any, kind: type) -> Array:
        out = np.empty(node.shape, dtype=kind)
        for place, values in _hdf5.blocks(node):
            if not np.isfinite(values).all():
                raise self.wrong(key, "has values that are not finite")
            if (np.abs(values) > 1e15).any():
                raise self.wrong(key, "has values beyond 1e15")
            if kind is np.int64 and (values != np.floor(values)).any():
                raise self.wrong(key, "has values that are no whole numbers")
            if kind is np.uint8 and ((values != 0) & (values != 1)).any():
                raise self.wrong(key, "has other values than 0 and 1")
            out[place] = values
        return out

    def text(self, key: str) -> str:
        node = self.node(key)
        if node is None:
            return ""
        stored, size = self.guarded(key, lambda: (node.shape, node.dtype.itemsize))
        if stored not in ((), (1,)):
            return ""
        value = b"" if size > 1000 else self.guarded(key, lambda: np.asarray(node[()]).reshape(-1)[0])
        text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
        # A file of this name is looked for, and names of files end at 255 bytes.
        if size > 1000 or len(text.encode("utf-8", errors="replace")) > _TEXT:
            raise self.wrong(key, f"has more than {_TEXT} letters")
        if any("\ud800" <= c <= "\udfff" or c == "\0" for c in text):
            raise self.wrong(key, "has letters that no name has")
        return text


def _video(group: _Group) -> Summarised:
    features = group.numbers("features", (range(1, _SAMPLES + 1), range(1, _WIDTH + 1)))
    n = len(features)
    frames = int(group.numbers("n_frames", (), np.int64))
    if frames > _FRAMES:
        raise group.wrong("n_frames", f"is {frames:,}, which is more than any video here has")
    picks = group.numbers("picks", (n,), np.int64)
    if (np.diff(picks) <= 0).any():
        raise group.wrong("picks", "does not increase")
    if picks[0] < 0 or picks[-1] >= frames:
        raise group.wrong("picks", f"reaches from {picks[0]} to {picks[-1]}, but there are {frames:,} frames")
    summary = group.numbers("user_summary", (range(1, _USERS + 1), frames), np.uint8)
    if group.node("change_points") is None:
        points = _found_shots(features, picks, frames)
        mended = f"'{group.key}' has no 'change_points', so its shots are found by kernel segmentation of the features"
    else:
        points, mended = _change_points(group, frames)
    if group.node("n_steps") is not None and (steps := int(group.numbers("n_steps", (), np.int64))) != n:
        raise group.wrong("n_steps", f"is {steps}, but 'features' has {n} rows")
    if group.node("gtsummary") is not None:
        group.numbers("gtsummary", (n,))
    gtscore = group.numbers("gtscore", (n,))
    name = group.text("video_name")
    return Summarised(group.key, name, features, gtscore, summary, points, frames, picks, mended)


def _found_shots(features: Array, picks: Array, frames: int) -> Array:
    """Shots by kernel segmentation of the features, found once."""
    known = np.ascontiguousarray(features, dtype=np.float32)
    mark = hashlib.sha256(known.reshape(-1).data)
    mark.update(str(known.shape).encode())
    key = mark.hexdigest()[:32]
    segments = cached_arrays(f"segments-features-2-{key}", lambda: {"segments": kernel_segments(known)})["segments"]
    return shots(segments, picks, frames)


def _change_points(group: _Group, frames: int) -> tuple[Array, str]:
    """Inclusive ranges int64 [S, 2] that cover 0 … frames - 1, and what was mended."""
    points = group.numbers("change_points", (range(1, _FRAMES + 1), 2), np.int64)
    if group.node("n_frame_per_seg") is not None:
        sizes = group.numbers("n_frame_per_seg", (len(points),), np.int64)
        if (sizes != points[:, 1] - points[:, 0] + 1).any():
            raise group.wrong("n_frame_per_seg", "has other lengths than the ranges in 'change_points'")
    covered = f"does not cover the frames 0 to {frames - 1} without gap and overlap"
    if points[0, 0] != 0 or (points[:, 1] < points[:, 0]).any() or (points[1:, 0] != points[:-1, 1] + 1).any():
        raise group.wrong("change_points", covered)
    missed = int(frames - 1 - points[-1, 1])
    if abs(missed) > _SLACK or points[-1, 0] >= frames:
        raise group.wrong("change_points", f"{covered}: it ends at {points[-1, 1]}")
    if not missed:
        return points, ""
    points[-1, 1] = frames - 1
    when = "early" if missed > 0 else "late"
    return points, f"the last shot of '{group.key}' ended {abs(missed)} frames {when}, which was mended"
