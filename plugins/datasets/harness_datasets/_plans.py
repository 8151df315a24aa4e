"""What TVSum and SumMe share: from checked files to folds of scored videos, and to what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from harness.contracts import DatasetInfo, Spec, Split, SplitName
from harness.data import fingerprint
from harness.errors import ConfigError, DataError

from . import _folds, _video_files
from ._clips import between
from ._opened import SPLITS
from ._scored import FeatureSplit, FrameSplit, ScoredVideo
from ._video_files import SampledFile

Array: TypeAlias = "np.ndarray[Any, Any]"
Target: TypeAlias = Literal["scaled", "minmax"]

RATE = 2.0
"""Of the field's picks, every 15th frame, in videos of 30 frames a second as nearly all are."""
_DRIFT = 30
"""Frames by which a file may differ from its annotations; each person scored stretches of about 60."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The options that say which numbers come out; `strict` alone does not."""

    inputs: str
    splits: _folds.Splits
    split_seed: int
    target: Target
    fps: float
    size: int
    window: int | None
    strict: bool

    def check(self, name: str, forms: Sequence[str]) -> None:
        if self.inputs not in forms:
            raise ConfigError(f"{name}: option 'inputs' is '{self.inputs}'", hint=f"one of {', '.join(forms)}")
        if self.target not in ("scaled", "minmax"):
            raise ConfigError(f"{name}: option 'target' is '{self.target}'", hint="give 'scaled' or 'minmax'")
        if not 0 < self.fps <= 240:
            raise ConfigError(f"{name}: option 'fps' is {self.fps:g}", hint="give frames a second, up to 240")
        between(name, "size", self.size, 1, 4096)
        if self.window is not None:
            between(name, "window", self.window, 1, 1_000_000)

    def told(self) -> dict[str, Any]:
        seen = {"fps": self.fps, "size": self.size} if self.inputs == "videos" else {}
        drawn = {"split_seed": self.split_seed} if self.splits == "disjoint" else {}
        return (
            {"inputs": self.inputs, "splits": self.splits, "target": self.target, "window": self.window} | seen | drawn
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known before anything is opened.

    `lengths`: sampled frames of every video, None for one that is not there. `content`: all that these, targets and
    frames follow from. `videos` opens them, in the same order.
    """

    lengths: tuple[int | None, ...]
    content: Mapping[str, Any]
    specs: Mapping[str, Spec]
    notes: tuple[str, ...]
    videos: Callable[[], Sequence[ScoredVideo | None]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Extras:
    """What evaluation alone sees of a video; the shots of a `file` are looked for when they are asked for."""

    arrays: Mapping[str, Array]
    file: SampledFile | None = None

    def __call__(self) -> Mapping[str, Array]:
        if self.file is None:
            return dict(self.arrays)
        return {**self.arrays, "change_points": self.file.change_points(int(self.arrays["n_frames"]))}


def describe(name: str, version: int, plan: Plan, choice: Choice, classes: tuple[str, ...] = ()) -> DatasetInfo:
    """Sizes are those of fold 0. Raises DataError if a fold has no video to train with or to test."""
    folds = _present(name, plan, choice)
    mark = fingerprint({"version": f"{name}/{version}", "content": dict(plan.content), "options": choice.told()})
    sizes = {part: sum(_items(plan.lengths[i], part, choice) for i in folds[0][part]) for part in SPLITS}
    notes = (_folds.note(name, choice.splits, choice.split_seed), *plan.notes)
    return DatasetInfo(mark, plan.specs, {str(part): n for part, n in sizes.items()}, classes, len(folds), notes)


def opened(name: str, plan: Plan, choice: Choice) -> list[Mapping[SplitName, Split]]:
    """The splits of every fold. Raises DataError as `describe`."""
    folds, videos = _present(name, plan, choice), plan.videos()
    kind = FrameSplit if choice.inputs == "videos" else FeatureSplit

    def split(part: SplitName, places: Sequence[int]) -> Split:
        return kind([v for i in places if (v := videos[i]) is not None], choice.window if part == "train" else None)

    return [{part: split(part, fold[part]) for part in SPLITS} for fold in folds]


def _items(length: int | None, part: SplitName, choice: Choice) -> int:
    return 1 if length is None or part != "train" or choice.window is None else -(-length // choice.window)


def _present(name: str, plan: Plan, choice: Choice) -> list[dict[SplitName, tuple[int, ...]]]:
    """The folds without the videos that are not there, so that these change no other video's place."""
    found: list[dict[SplitName, tuple[int, ...]]] = []
    for k, fold in enumerate(_folds.folds(name, choice.splits, choice.split_seed)):
        found.append({part: tuple(i for i in fold[part] if plan.lengths[i] is not None) for part in SPLITS})
        for part in SPLITS:
            if fold[part] and not found[-1][part]:
                raise DataError(
                    f"{name}: fold {k} has no video left for '{part}'; {plan.lengths.count(None)} of "
                    f"{len(plan.lengths)} are missing or damaged",
                    hint="put the missing videos there",
                )
    return found


def target(scores: Array, how: Target) -> Array:
    """float32 [T] in [0, 1]: `scaled` leaves scores that lie there, `minmax` spreads them from 0 to 1.

    Scores that lie outside are spread whatever `how` says; of scores that are all the same, `minmax` makes 0.
    """
    y = np.asarray(scores, dtype=np.float64)
    low, high = float(y.min()), float(y.max())
    if how == "minmax" or low < 0 or high > 1:
        y = (y - low) / (high - low) if high > low else np.zeros_like(y)
    return y.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Files:
    """The videos that are there, in the order of the annotations, and what reports should say of the others."""

    files: tuple[SampledFile | None, ...]
    notes: tuple[str, ...]

    @property
    def lengths(self) -> tuple[int | None, ...]:
        return tuple(None if f is None else len(f.sampled) for f in self.files)

    @property
    def marks(self) -> list[str | None]:
        return [None if f is None else f.mark for f in self.files]


def files(name: str, folder: Path, ids: Sequence[str], frames: Sequence[int], choice: Choice, by_hand: str) -> Files:
    """Find and look at `<id>.mp4`, .mkv or .webm of every video, which has so many `frames` by its annotations.

    Raises DataError if there is none; under `strict` also for the first that is missing or cannot be used.
    """
    paths = _video_files.find(folder, ids)
    there = [p for p in paths if p is not None]
    if not there:
        kinds = ", ".join(_video_files.SUFFIXES)
        raise DataError(f"{name}: there is no video in '{folder}', such as '{ids[0]}' ({kinds})", hint=by_hand)
    seen = dict(zip(there, _video_files.look(there, choice.fps), strict=True))
    found: list[SampledFile | None] = []
    missing, faults, drifts = [], [], []
    for video, path, counted in zip(ids, paths, frames, strict=True):
        item = f"there is no '{video}' in '{folder}'" if path is None else seen[path]
        drift = 0 if isinstance(item, str) else item.sampled.info.frames - counted
        if abs(drift) > _DRIFT:
            item = f"'{path}' has {counted + drift:,} frames, but its annotations are of {counted:,}"
        elif drift:
            drifts.append(abs(drift))
        if isinstance(item, str):
            if choice.strict:
                raise DataError(f"{name}: {item}", hint="put the whole video there, or leave 'strict' out")
            missing += [video] if path is None else []
            faults += [f"{name}: left out, as it cannot be used: {item}"] if path is not None else []
        # Frames that nobody scored are not looked at.
        found.append(None if isinstance(item, str) else item.until(counted))
    notes = list(faults)
    if missing:
        notes.append(f"{name}: left out, as not there ({len(missing)} of {len(ids)} videos): {', '.join(missing)}")
    if drifts:
        told = f"(at most {max(drifts)}; such files: {len(drifts)})"
        notes.append(f"{name}: files have a few frames more or fewer than were annotated {told}")
    return Files(tuple(found), tuple(notes))


def place(root: Path, name: str) -> Path:
    """A path that an option names: absolute, or below the data folder."""
    return (root / Path(name).expanduser()).absolute()
