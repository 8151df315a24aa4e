"""Anybody's own videos, cut into clips."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Literal

import numpy as np

from harness.contracts import DatasetInfo, SplitName
from harness.data import StoredArrays, cache_root, filled_arrays, fingerprint, read_frames
from harness.errors import ConfigError, DataError

from . import _clips
from ._clips import Array, ClipDataset, Part, StoredClips, between
from ._videos import MEND, NAME, Found, Stretch, Video, by_time, by_video, check_decoded, files, find, usable, whole

VERSION = 2
"""Rises when this code or the door's decoders change any clip."""
_BLOCK = 16 << 20


class VideoFolder(ClipDataset):
    """Clips of the videos in a folder, or of one video: mp4, mkv, webm, avi, mov, mpg, ts, wmv, flv, ogv, 3gp, gif.

    inputs: uint8 [B, T, C, height, width], RGB or grey. Frames are resized while they are decoded until they cover the
    size (bilinear, proportions kept), and the centre is cut out; all are decoded once into an array in the cache folder
    (height * width * C bytes a frame).
    Layouts: `split/.../video` with split folders train, val and test, which are used as they are (one in which no video
    can be used is an error, not replaced); or any other tree. The layout follows from the names of all videos, damaged
    ones too.
    Options: path, of the folder or video, absolute or below the data folder; frames of a clip; size in pixels, one
    number or [height, width]; channels; stride, frames between the starts of two clips of a video (null: a clip begins
    where the last one ended; clips that overlap are for training alone: in val and test, where each clip counts as an
    observation of its own, the stride is at least a clip); step, every so many frames one is taken; val and test, the
    fractions that are taken from
    the training videos where there is no such split folder; split_by: `video` draws whole videos with `split_seed`,
    `time` takes the end of each video (train, gap, val, gap, test; a gap has the frames of one clip), `auto` is
    `video` where there are enough videos for every split, else `time`; strict: refuse a damaged or shortened video,
    which is otherwise left out and named in the report.
    What a video holds is read from its packets, and its first picture is decoded; it is looked at once and remembered.
    Source: original.
    Raises: DataError for a missing source, if nothing is left for a split, for videos that turn out damaged when they
    are decoded (all at once; the next run leaves them out), or if the machine fails to read one, which is not
    remembered; ConfigError for a range.
    """

    name = NAME

    def __init__(
        self,
        root: Path,
        *,
        path: str,
        frames: int = 20,
        size: int | tuple[int, int] = 64,
        channels: Literal[1, 3] = 3,
        stride: int | None = None,
        step: int = 1,
        val: float = 0.1,
        test: float = 0.2,
        split_by: Literal["auto", "video", "time"] = "auto",
        split_seed: int = 0,
        strict: bool = False,
    ) -> None:
        cut = _Cut(frames, _pair(size), channels, frames * step if stride is None else stride, step)
        cut.check()
        source = _source(root, path)
        plan = _plan(source, cut, val, test, split_by, split_seed, strict)
        arrays = _arrays(source, plan, cut, strict)
        splits: dict[SplitName, _clips.ClipSplit] = {}
        for split, stretches in plan.stretches.items():
            ids, starts = _starts(split, stretches, cut)
            own = Part(arrays, {"frames": split}, {"starts": np.asarray(starts, dtype=np.int64)})
            splits[split] = StoredClips(ids, own, frames, step, channels)
        super().__init__(splits)

    @classmethod
    def describe(
        cls,
        root: Path,
        *,
        path: str,
        frames: int = 20,
        size: int | tuple[int, int] = 64,
        channels: Literal[1, 3] = 3,
        stride: int | None = None,
        step: int = 1,
        val: float = 0.1,
        test: float = 0.2,
        split_by: Literal["auto", "video", "time"] = "auto",
        split_seed: int = 0,
        strict: bool = False,
    ) -> DatasetInfo:
        cut = _Cut(frames, _pair(size), channels, frames * step if stride is None else stride, step)
        cut.check()
        plan = _plan(_source(root, path), cut, val, test, split_by, split_seed, strict)
        sizes: dict[str, int] = {split: len(_starts(split, s, cut)[1]) for split, s in plan.stretches.items()}
        mark = fingerprint(
            {"version": f"video_folder/{VERSION}", **_told(plan, cut), "cut": [frames, cut.stride, step]}
        )
        return DatasetInfo(mark, _clips.specs(frames, channels, *cut.size), sizes, notes=plan.notes)


@dataclass(frozen=True, slots=True)
class _Cut:
    frames: int
    size: tuple[int, int]
    channels: int
    stride: int
    step: int

    @property
    def span(self) -> int:
        """Frames of the video from a clip's first to its last."""
        return (self.frames - 1) * self.step + 1

    def check(self) -> None:
        between(NAME, "frames", self.frames, 2, 10_000)
        between(NAME, "step", self.step, 1, 10_000)
        between(NAME, "stride", self.stride, 1, 100_000_000)
        for pixels in self.size:
            between(NAME, "size", pixels, 1, 4096)
        if self.channels not in (1, 3):
            raise ConfigError(f"{NAME}: option 'channels' is {self.channels}", hint="give 1 (grey) or 3 (RGB)")


@dataclass(frozen=True, slots=True)
class _Plan:
    found: Found
    stretches: Mapping[SplitName, Sequence[Stretch]]
    notes: tuple[str, ...]


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if len(size) != 2:
        raise ConfigError(f"{NAME}: option 'size' is {list(size)}", hint="give one number, or [height, width]")
    return size[0], size[1]


def _source(root: Path, path: str) -> Path:
    source = (root / Path(path).expanduser()).absolute()
    if not source.exists():
        raise DataError(
            f"{NAME}: there is no '{source}'",
            hint="its option 'path' is a folder or a video, absolute or below the data folder (HARNESS_DATA)",
        )
    return source


def _plan(source: Path, cut: _Cut, val: float, test: float, by: str, seed: int, strict: bool) -> _Plan:
    """Which frames belong to which split, without decoding them."""
    between(NAME, "split_seed", seed, 0, 2**63 - 1)
    if by not in ("auto", "video", "time"):
        raise ConfigError(f"{NAME}: option 'split_by' is '{by}'", hint="give 'auto', 'video' or 'time'")
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise ConfigError(
            f"{NAME}: options 'val' and 'test' are {val:g} and {test:g}", hint="give fractions whose sum is below 1"
        )
    found = find(source)
    notes = [f"{NAME}: left out, as it is damaged: {d.reason}" for d in found.damaged]
    if found.damaged and strict:
        some = f"{NAME}: {len(found.damaged)} of the videos cannot be used"
        raise DataError(f"{some}: {found.damaged[0].reason}", hint=MEND)
    parts = {part: usable(source, found, part, cut.span) for part in sorted(found.parts)}
    if short := len(found.videos) - sum(map(len, parts.values())):
        notes.append(f"{NAME}: {short} videos of less than {cut.span} frames were left out")
    if found.other:
        notes.append(f"{NAME}: {found.other} files that are no video were left out")
    fractions: dict[SplitName, float] = {"test": test, "val": val}
    wanted = {s: f for s, f in fractions.items() if f > 0 and s not in parts}
    taken, note = _divide(source, parts["train" if "train" in parts else "all"], wanted, by, seed, cut)
    stretches = {s: taken[s] if s in taken else whole(parts.get(s, [])) for s in _clips.SPLITS}
    return _Plan(found, stretches, (*notes, *([note] if note else [])))


def _divide(
    source: Path, videos: Sequence[Video], wanted: Mapping[SplitName, float], by: str, seed: int, cut: _Cut
) -> tuple[dict[SplitName, list[Stretch]], str]:
    if not wanted:
        return {"train": whole(videos)}, ""
    taken = None if by == "time" else by_video(videos, wanted, seed)
    if taken is None and by == "video":
        raise DataError(
            f"{NAME}: '{source}' has {len(videos)} videos to draw {' and '.join(wanted)} from, which is too few",
            hint="use `split_by: time`, or set 'val' or 'test' to 0",
        )
    if taken is not None:
        told = ", ".join(f"{name} {len(taken[name])}" for name in _clips.SPLITS if name in taken)
        return taken, f"{NAME}: {len(videos)} videos were divided by drawing with seed {seed}: {told}"
    taken = by_time(videos, wanted, cut.span)
    for name, stretches in taken.items():
        if not stretches:
            raise DataError(
                f"{NAME}: no video in '{source}' is long enough to be divided in time: '{name}' gets no clip of "
                f"{cut.span} frames",
                hint="ask for fewer 'frames', a larger 'val' or 'test', or set one of them to 0",
            )
    order = ", ".join(name for name in _clips.SPLITS if name in taken)
    return taken, f"{NAME}: each video was divided in time ({order}), with {cut.span} unused frames between"


def _told(plan: _Plan, cut: _Cut) -> dict[str, object]:
    """All that the stored frames follow from."""
    rows = [[split, s.video.path, s.first, s.count] for split, some in plan.stretches.items() for s in some]
    return {"content": plan.found.content, "size": list(cut.size), "channels": cut.channels, "stretches": rows}


def _starts(split: SplitName, stretches: Sequence[Stretch], cut: _Cut) -> tuple[list[str], list[int]]:
    """Names of the clips (the video and the frame there) and their first rows in the split's array."""
    # Scores of clips that overlap are not independent, and the intervals of the report take them for that.
    stride = cut.stride if split == "train" else max(cut.stride, cut.span)
    ids, rows, before = [], [], 0
    for s in stretches:
        for i in range(0, s.count - cut.span + 1, stride):
            ids.append(f"{s.video.path}@{s.first + i:05d}")
            rows.append(before + i)
        before += s.count
    return ids, rows


def _arrays(source: Path, plan: _Plan, cut: _Cut, strict: bool) -> StoredArrays:
    height, width = cut.size
    counts = {split: sum(s.count for s in some) for split, some in plan.stretches.items()}
    shapes = {str(split): ((count, cut.channels, height, width), "|u1") for split, count in counts.items()}

    def fill(out: Mapping[str, Array]) -> None:
        needed = sum(array.nbytes for array in out.values())
        # The arrays lie in files with holes, and a disk that is full would end the process, not the writing.
        if shutil.disk_usage(cache_root()).free < needed:
            raise DataError(
                f"{NAME}: there is no room for {needed:,} bytes of decoded frames in '{cache_root()}'",
                hint="ask for a smaller 'size', or set HARNESS_CACHE to a folder with room",
            )
        jobs: list[tuple[Stretch, Array]] = []
        for split, some in plan.stretches.items():
            first = 0
            for s in some:
                jobs.append((s, out[split][first : first + s.count]))
                first += s.count
        with ThreadPoolExecutor(min(8, cpu_count() or 1)) as pool:
            faults = list(pool.map(lambda job: _fault(source, job[0], job[1], cut), jobs))
        check_decoded(plan.found.content, zip([s.video.path for s, _ in jobs], faults, strict=True), strict)

    return filled_arrays(f"video_folder-{fingerprint({'version': VERSION, **_told(plan, cut)})}", shapes, fill)


def _fault(source: Path, stretch: Stretch, out: Array, cut: _Cut) -> DataError | None:
    # Returned and not raised: one broken video must not keep the others from being decoded, and found broken as well.
    try:
        _decode(source, stretch, out, cut)
    except DataError as error:
        return error
    return None


def _decode(source: Path, stretch: Stretch, out: Array, cut: _Cut) -> None:
    """Fill uint8 [count, C, h, w]. Raises DataError."""
    video, (height, width) = stretch.video, cut.size
    scale = max(height / video.info.height, width / video.info.width)
    tall = max(height, round(video.info.height * scale))
    wide = max(width, round(video.info.width * scale))
    top, left = (tall - height) // 2, (wide - width) // 2
    row = 0
    for block in read_frames(
        files(source) / video.path,
        range(stretch.first, stretch.first + stretch.count),
        size=(tall, wide),
        grey=cut.channels == 1,
        info=video.info,
        limit=_BLOCK,
    ):
        cropped = block[:, top : top + height, left : left + width]
        out[row : row + len(block)] = cropped.transpose(0, 3, 1, 2)
        row += len(block)
