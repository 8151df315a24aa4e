"""Made-up videos whose importance is known: real H.264 files, written on first use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from harness.contracts import DatasetInfo, SplitName
from harness.data import RemoteFile, cache_root, fingerprint
from harness.errors import ConfigError, DataError

from . import _scenes
from ._clips import between
from ._opened import SPLITS
from ._scenes import Scene
from ._scored import Array, FrameSplit, ScoredDataset, ScoredVideo, specs
from ._video_files import FileFrames, SampledFile, forget, look

_NAME = "toy_videos"
_VERSION = 1
"""Rises when any frame, score or annotation changes."""


@dataclass(frozen=True, slots=True)
class _Options:
    sizes: Mapping[SplitName, int]
    scenes: int
    size: int
    annotators: int
    noise: float
    seed: int

    def check(self, window: int | None) -> None:
        between(_NAME, "train", self.sizes["train"], 1, 10_000)
        between(_NAME, "val", self.sizes["val"], 0, 10_000)
        between(_NAME, "test", self.sizes["test"], 0, 10_000)
        between(_NAME, "scenes", self.scenes, 1, 1000)
        between(_NAME, "size", self.size, 32, 512)
        between(_NAME, "annotators", self.annotators, 1, 100)
        between(_NAME, "noise", self.noise, 0, 10)
        between(_NAME, "seed", self.seed, 0, 2**63 - 1)
        if window is not None:
            between(_NAME, "window", window, 1, 1_000_000)
        if self.size % 2:
            raise ConfigError(f"{_NAME}: option 'size' is {self.size}", hint="H.264 needs an even number of pixels")

    def plan(self, split: SplitName) -> list[tuple[Scene, ...]]:
        return [_scenes.plan(self.seed, split, i, self.scenes) for i in range(self.sizes[split])]


class ToyVideos(ScoredDataset):
    """Videos of 20 to 40 seconds, of scenes with hard cuts between; nothing to download.

    inputs: uint8 [B, T, 3, size, size], 2 of the 10 frames a second; target: the true importance of each frame.
    A scene of 2 to 5 s shows one of four patterns (stripes, a chessboard, discs, rings), which drifts; its colours,
    place, angle, size and motion are drawn anew and tell nothing. Kind k has interest a[k] in 0.1, 0.4, 0.7, 1.0, and
    a scene's importance is the root of a * (1.1 - max(a of the scene before, a of the scene behind)): what stands out
    counts. So neither a frame's position nor the frame alone tells its score; both facts are tested.
    extras: annotators float32 [A, T], on the scale 1 to 5, each the truth plus noise of standard deviation `noise` (in
    units of [0, 1]) that is constant over 2 seconds; picks, n_frames, times; change_points, the true cuts.
    The files lie in the cache folder and are read like any other videos. Their bytes depend on the encoder's build,
    so the fingerprint is of the generator and the options, not of them.
    Options: train, val and test, numbers of videos; scenes of a video; size in pixels; window, sampled frames of a
    training item (null: whole videos); annotators; noise; seed.
    Source: original.
    Raises: ConfigError for an option out of range; DataError if the files cannot be written or read.
    """

    def __init__(
        self,
        root: Path,
        *,
        train: int = 32,
        val: int = 8,
        test: int = 20,
        scenes: int = 8,
        size: int = 96,
        window: int | None = None,
        annotators: int = 5,
        noise: float = 0.15,
        seed: int = 0,
    ) -> None:
        options = _Options({"train": train, "val": val, "test": test}, scenes, size, annotators, noise, seed)
        options.check(window)
        videos = {split: options.plan(split) for split in SPLITS}
        ready = _files(options, videos)
        splits = {
            split: FrameSplit(
                [_video(options, split, i, own, ready[split][i]) for i, own in enumerate(videos[split])],
                window if split == "train" else None,
            )
            for split in SPLITS
        }
        super().__init__(_NAME, [splits])

    @staticmethod
    def describe(
        root: Path,
        *,
        train: int = 32,
        val: int = 8,
        test: int = 20,
        scenes: int = 8,
        size: int = 96,
        window: int | None = None,
        annotators: int = 5,
        noise: float = 0.15,
        seed: int = 0,
    ) -> DatasetInfo:
        options = _Options({"train": train, "val": val, "test": test}, scenes, size, annotators, noise, seed)
        options.check(window)
        sizes: dict[str, int] = {str(split): count for split, count in options.sizes.items()}
        if window is not None:
            sizes["train"] = sum(-(-sum(s.count for s in own) // window) for own in options.plan("train"))
        mark = fingerprint(
            {"version": f"{_NAME}/{_VERSION}", "train": train, "val": val, "test": test, "scenes": scenes, "size": size,
             "window": window, "annotators": annotators, "noise": noise, "seed": seed}
        )  # fmt: skip
        note = f"{_NAME}: made-up videos; the fingerprint is of their generator, as their bytes depend on the encoder"
        return DatasetInfo(mark, specs((size, size), None, float(_scenes.RATE)), sizes, notes=(note,))

    @staticmethod
    def files() -> tuple[RemoteFile, ...]:
        return ()


def _video(options: _Options, split: SplitName, number: int, scenes: Sequence[Scene], file: SampledFile) -> ScoredVideo:
    target = _scenes.truth(scenes)
    told = {
        "annotators": _scenes.annotators(target, options.annotators, options.noise, options.seed, split, number),
        "picks": file.sampled.picks,
        "n_frames": np.asarray(file.sampled.info.frames, dtype=np.int64),
        "times": file.sampled.times,
        "change_points": _scenes.shots(scenes),
    }
    source = FileFrames(file, (options.size, options.size))
    return ScoredVideo(_stem(split, number), target, partial(dict[str, Array], told), source=source)


def _stem(split: SplitName, number: int) -> str:
    return f"{split}-{number:04d}"


def _files(
    options: _Options, videos: Mapping[SplitName, Sequence[Sequence[Scene]]]
) -> dict[SplitName, list[SampledFile]]:
    """Every video, written where it is not there whole: of several processes one writes and the others wait."""
    import filelock

    # How many videos there are is left out of the name, so that studies of different sizes share files.
    drawn = {"version": _VERSION, "scenes": options.scenes, "size": options.size, "seed": options.seed}
    folder = cache_root() / _NAME / fingerprint(drawn)
    wanted = [
        (split, folder / f"{_stem(split, i)}.mp4", own) for split in SPLITS for i, own in enumerate(videos[split])
    ]
    found = _whole(wanted)
    if None in found:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder / ".lock"):
                missing = [job for job, file in zip(wanted, _whole(wanted), strict=True) if file is None]
                _write(folder, missing, options.size)
                for _, path, _ in missing:
                    forget(path)
        except OSError as error:
            raise DataError(
                f"{_NAME}: cannot write videos to '{folder}': {error.strerror or error}",
                hint="set HARNESS_CACHE to a folder with room that can be written to",
            ) from error
        found = _whole(wanted)
    ready: dict[SplitName, list[SampledFile]] = {split: [] for split in SPLITS}
    for (split, path, _), file in zip(wanted, found, strict=True):
        if file is None:
            raise DataError(f"{_NAME}: '{path}' was written and cannot be read", hint="look at `harness doctor`")
        ready[split].append(file)
    return ready


_Job = tuple[SplitName, Path, Sequence[Scene]]


def _whole(wanted: Sequence[_Job]) -> list[SampledFile | None]:
    """Of each file what is sampled from it; None where it is missing, damaged or not the one that is wanted."""
    there = [path for _, path, _ in wanted if path.is_file()]
    seen = dict(zip(there, look(there, float(_scenes.RATE)), strict=True))
    found: list[SampledFile | None] = []
    for _, path, scenes in wanted:
        file = seen.get(path, "")
        whole = isinstance(file, SampledFile) and len(file.sampled) == sum(s.count for s in scenes)
        found.append(file if isinstance(file, SampledFile) and whole else None)
    return found


def _write(folder: Path, jobs: Sequence[_Job], size: int) -> None:
    # The lock is ours, so whatever another process left half-written belongs to one that was killed.
    for left in folder.glob(".*.part"):
        left.unlink(missing_ok=True)

    def one(job: _Job) -> None:
        _, path, scenes = job
        handle, part = tempfile.mkstemp(dir=folder, prefix=f".{path.stem}.", suffix=".part")
        os.close(handle)
        try:
            _scenes.write(Path(part), scenes, size)
            Path(part).chmod(0o644)  # mkstemp shuts everyone else out of what may be a shared cache
            with Path(part).open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(one, jobs))
