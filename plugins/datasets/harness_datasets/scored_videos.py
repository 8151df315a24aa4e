"""Anybody's own videos, with scores over time by one annotator or several."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.contracts import DatasetInfo, SplitName
from harness.data import VIDEO_SUFFIXES, digest, fingerprint, stratified_holdout
from harness.errors import ConfigError, DataError

from . import _score_table, _videos
from ._clips import between
from ._opened import SPLITS
from ._plans import Extras
from ._score_table import Table
from ._scored import Array, FrameSplit, ScoredDataset, ScoredVideo, specs
from ._video_files import FileFrames, SampledFile, look

_NAME = "scored_videos"
_VERSION = 1
"""Rises when any frame or target changes."""
_NAMED = 20


@dataclass(frozen=True, slots=True)
class _Options:
    fps: float
    size: tuple[int, int]
    window: int | None
    val: float
    test: float
    split_seed: int
    strict: bool
    low: float | None
    high: float | None

    def check(self) -> None:
        between(_NAME, "fps", self.fps, 0.001, 240)
        between(_NAME, "split_seed", self.split_seed, 0, 2**63 - 1)
        for pixels in self.size:
            between(_NAME, "size", pixels, 1, 4096)
        if self.window is not None:
            between(_NAME, "window", self.window, 1, 1_000_000)
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test < 1):
            raise ConfigError(
                f"{_NAME}: options 'val' and 'test' are {self.val:g} and {self.test:g}",
                hint="give fractions whose sum is below 1",
            )
        if (self.low is None) != (self.high is None):
            raise ConfigError(f"{_NAME}: of the options 'low' and 'high' only one is given", hint="give both or none")
        if self.low is not None and self.high is not None and not -1e30 <= self.low < self.high <= 1e30:
            raise ConfigError(
                f"{_NAME}: options 'low' and 'high' are {self.low:g} and {self.high:g}",
                hint="give the least and the greatest score that an annotator could have given",
            )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is used: the files by the name that the table gives them, their splits, and the range of its scores."""

    table: Table
    files: Mapping[str, SampledFile]
    splits: Mapping[SplitName, Sequence[str]]
    low: float
    high: float
    notes: tuple[str, ...]

    def annotators(self, name: str) -> Array:
        found = self.files[name].sampled
        return self.table.annotators(name, found.picks, found.times, found.info)


class ScoredVideos(ScoredDataset):
    """Videos in a folder and a CSV of their scores: mp4, mkv, webm, avi, mov and what else the decoders read.

    inputs: uint8 [B, T, 3, height, width], `fps` frames a second, squashed to `size` (proportions are not kept);
    target: the mean over annotators, scaled from (low, high) to [0, 1].
    The CSV (UTF-8, commas) has a first line with `video` (path from the folder on, or absolute), `time` (seconds from
    the first frame) or `frame` (from 0), `score`, and where wanted `annotator` and `split` (train, val or test, which
    is used as it is). A score holds from its time until the annotator's next one; before the first the first holds.
    extras: annotators float32 [A, T] as they are in the file, by name; picks, n_frames, times.
    Options: path, of the folder, absolute or below the data folder; scores, the CSV, from the folder on or absolute;
    fps; size, one number or [height, width]; window, sampled frames of a training item (null: whole videos); val and
    test, the fractions of all videos of the table that are drawn with `split_seed` where there is no column `split`;
    strict: refuse videos that are damaged, shortened, missing or have no score, which are otherwise left out after
    drawing, so that no other changes its split, and named in the report; low and high, the ends of the scale (null: 0
    and 1 if all scores lie there, else the file's own extremes). A table has 32 MB and a million scores at most.
    Source: original.
    Raises: DataError that names file and line for every mistake in the CSV, and if too few videos are left; ConfigError
    for an option out of range.
    """

    def __init__(
        self,
        root: Path,
        *,
        path: str,
        scores: str = "scores.csv",
        fps: float = 2.0,
        size: int | tuple[int, int] = 224,
        window: int | None = 60,
        val: float = 0.2,
        test: float = 0.2,
        split_seed: int = 0,
        strict: bool = False,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        options = _Options(fps, _pair(size), window, val, test, split_seed, strict, low, high)
        plan = _plan(root, path, scores, options)
        splits = {
            split: FrameSplit([_video(plan, name, options) for name in names], window if split == "train" else None)
            for split, names in plan.splits.items()
        }
        super().__init__(_NAME, [splits])

    @staticmethod
    def describe(
        root: Path,
        *,
        path: str,
        scores: str = "scores.csv",
        fps: float = 2.0,
        size: int | tuple[int, int] = 224,
        window: int | None = 60,
        val: float = 0.2,
        test: float = 0.2,
        split_seed: int = 0,
        strict: bool = False,
        low: float | None = None,
        high: float | None = None,
    ) -> DatasetInfo:
        options = _Options(fps, _pair(size), window, val, test, split_seed, strict, low, high)
        plan = _plan(root, path, scores, options)
        sizes: dict[str, int] = {str(split): len(names) for split, names in plan.splits.items()}
        if window is not None:
            sizes["train"] = sum(-(-len(plan.files[name].sampled) // window) for name in plan.splits["train"])
        videos = [[split, name, plan.files[name].mark] for split, names in plan.splits.items() for name in names]
        mark = fingerprint(
            {"version": f"{_NAME}/{_VERSION}", "videos": videos, "scores": digest(plan.table.path), "window": window,
             "fps": fps, "size": list(options.size), "range": [plan.low, plan.high]}
        )  # fmt: skip
        return DatasetInfo(mark, specs(options.size, None, fps), sizes, notes=plan.notes)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if len(size) != 2:
        raise ConfigError(f"{_NAME}: option 'size' is {list(size)}", hint="give one number, or [height, width]")
    return size[0], size[1]


def _plan(root: Path, path: str, scores: str, options: _Options) -> _Plan:
    """Which videos are used in which split, without decoding them."""
    options.check()
    folder = (root / Path(path).expanduser()).absolute()
    if not folder.is_dir():
        raise DataError(
            f"{_NAME}: there is no folder '{folder}'",
            hint="its option 'path' is a folder, absolute or below the data folder (HARNESS_DATA)",
        )
    table = _score_table.read(folder / Path(scores).expanduser())
    below = {p for p in _videos._below(folder, _NAME) if p.lower().endswith(VIDEO_SUFFIXES)}
    files, notes = _look(folder, table, below, options)
    low, high, told = _range(table, options)
    splits, drawn = _divide(table, files, notes, options)
    plan = _Plan(table, files, splits, low, high, tuple(note for note in (*notes, told, drawn) if note))
    for name in files:
        plan.annotators(name)  # so that a score behind a video's end is found before anything trains
    return plan


def _look(folder: Path, table: Table, below: set[str], options: _Options) -> tuple[dict[str, SampledFile], list[str]]:
    """The usable videos by name, and notes of all others. Raises DataError under strict, or if there is none."""
    # A name may be too long for any file, which os.path takes for a file that is not there.
    absent = dict.fromkeys(name for name in table.videos if not os.path.isfile(folder / name))
    names = [name for name in table.videos if name not in absent]
    seen = look([folder / name for name in names], options.fps)
    files = {name: found for name, found in zip(names, seen, strict=True) if isinstance(found, SampledFile)}
    faults = {name: found for name, found in zip(names, seen, strict=True) if isinstance(found, str)}
    _check_apart(table, files)
    for k, name in enumerate(absent):
        shown = name if len(name) < 256 else f"{name[:80]}…"
        close = difflib.get_close_matches(shown, below, 1) if k < _NAMED else []
        mean = f", did you mean '{close[0]}'?" if close else ""
        faults[name] = f"{table.path}:{table.videos[name].line}: there is no video '{shown}' in '{folder}'{mean}"
    real = {os.path.realpath(folder / name) for name in names}
    unscored = sorted(p for p in below if os.path.realpath(folder / p) not in real)
    notes = []
    if faults:
        told = [faults[name] for name in sorted(faults, key=lambda name: table.videos[name].line)]
        if options.strict or not files:
            hint = "mend the files or the table" + (", or leave 'strict' out" if options.strict else "")
            raise DataError(f"{_NAME}: {len(told)} of {len(table.videos)} videos cannot be used: {told[0]}", hint=hint)
        notes.append(f"{_NAME}: {len(told)} of {len(table.videos)} videos left out: {_listed(told, '; ')}")
    if unscored:
        note = f"'{table.path}' has no scores for {len(unscored)} of the videos in the folder: {_listed(unscored)}"
        if options.strict:
            raise DataError(f"{_NAME}: {note}", hint="score them, take them away, or leave 'strict' out")
        notes.append(f"{_NAME}: {note}; left out")
    return files, notes


def _check_apart(table: Table, files: Mapping[str, SampledFile]) -> None:
    """Raises DataError for one video under two names, since a test video could be trained with."""
    names: dict[str, str] = {}
    for name, file in files.items():
        first = names.setdefault(file.content, name)
        if first != name:
            raise DataError(
                f"{table.path}:{table.videos[name].line}: '{name}' is the same video as '{first}'",
                hint="give a video one name, and its scores under it",
            )


def _listed(names: Sequence[str], between: str = ", ") -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return between.join(names[:_NAMED]) + more


def _range(table: Table, options: _Options) -> tuple[float, float, str]:
    least, most = table.extent()
    if options.low is not None and options.high is not None:
        for given in (least, most):
            if not options.low <= given.score <= options.high:
                raise DataError(
                    f"{table.path}:{given.line}: 'score' is {given.score:g}, which is off the scale",
                    hint=f"the options 'low' and 'high' say that it goes from {options.low:g} to {options.high:g}",
                )
        return options.low, options.high, ""
    if least.score >= 0 and most.score <= 1:
        return 0.0, 1.0, ""
    if least.score == most.score:
        raise DataError(
            f"{table.path}:{least.line}: every score is {least.score:g}, so nothing can be learnt",
            hint="give other scores, or say what the scale is: options 'low' and 'high'",
        )
    told = f"scores were scaled from their extremes, {least.score:g} and {most.score:g}, to 0 and 1"
    return least.score, most.score, f"{_NAME}: {told}; options 'low' and 'high' give another scale"


def _divide(
    table: Table, files: Mapping[str, SampledFile], notes: Sequence[str], options: _Options
) -> tuple[dict[SplitName, list[str]], str]:
    """Names of the usable videos by split. Raises DataError if a split that there should be has none."""
    names = sorted(table.videos)
    given = bool(table.videos[names[0]].split)
    every: Mapping[SplitName, list[str]]
    if given:
        every = {split: [n for n in names if table.videos[n].split == split] for split in SPLITS}
    else:
        every = _drawn(names, options)
    splits = {split: [name for name in every[split] if name in files] for split in SPLITS}
    for split in SPLITS:
        if (every[split] or split == "train") and not splits[split]:
            other = (
                "give another video this split" if given else "take them out of the table to divide the others alone"
            )
            raise DataError(
                f"{_NAME}: '{table.path}' leaves no video for '{split}' that can be used"
                + (f" ({notes[0].removeprefix(f'{_NAME}: ')})" if notes else ""),
                hint=f"mend the videos that were left out, or {other}",
            )
    if given:
        return splits, ""
    told = ", ".join(f"{split} {len(splits[split])}" for split in SPLITS)
    rest = f", of which {len(files)} can be used" if len(files) < len(names) else ""
    return splits, f"{_NAME}: {len(names)} videos were divided by drawing with seed {options.split_seed}{rest}: {told}"


def _drawn(names: Sequence[str], options: _Options) -> dict[SplitName, list[str]]:
    """All names of the table, so that a video that cannot be used changes no other's split."""
    wanted: dict[SplitName, float] = {"test": options.test, "val": options.val}
    counts = {split: max(1, round(share * len(names))) for split, share in wanted.items() if share > 0}
    if sum(counts.values()) >= len(names):
        raise DataError(
            f"{_NAME}: the table has {len(names)} videos, too few to draw {' and '.join(counts)} from",
            hint="add videos, set 'val' or 'test' to 0, or give the table a column 'split'",
        )
    stay = np.arange(len(names))
    splits: dict[SplitName, list[str]] = {split: [] for split in SPLITS}
    for i, (split, count) in enumerate(counts.items()):
        # Another stream for each split, so that they are independent of one another.
        keep, held = stratified_holdout([0] * len(stay), count, (options.split_seed + (i << 40)) % 2**63)
        splits[split] = [names[int(r)] for r in stay[held]]
        stay = stay[keep]
    splits["train"] = [names[int(r)] for r in stay]
    return splits


def _video(plan: _Plan, name: str, options: _Options) -> ScoredVideo:
    file, scores = plan.files[name], plan.annotators(name)
    mean = scores.astype(np.float64).mean(axis=0)
    target = np.clip((mean - plan.low) / (plan.high - plan.low), 0, 1).astype(np.float32)
    told = {
        "annotators": scores,
        "picks": file.sampled.picks,
        "n_frames": np.asarray(file.sampled.info.frames, dtype=np.int64),
        "times": file.sampled.times,
    }
    return ScoredVideo(name, target, Extras(told, file), source=FileFrames(file, options.size))
