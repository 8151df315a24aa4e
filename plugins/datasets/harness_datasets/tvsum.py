"""TVSum: 50 videos of ten categories, whose every frame 20 people scored; as features, as videos, or by place alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from harness.contracts import DatasetInfo
from harness.data import require
from harness.errors import DataError

from . import _annotations, _plans, _summary_h5
from ._annotations import CATEGORIES, NAME, VIDEOS, Annotated, Overview
from ._folds import Splits
from ._plans import Choice, Extras, Plan, Target
from ._scored import ScoredDataset, ScoredVideo, specs
from ._video_files import FileFrames

Array: TypeAlias = "np.ndarray[Any, Any]"
Inputs: TypeAlias = Literal["features", "videos", "clock"]

VERSION = 1
"""Rises when this code changes any item or what evaluation sees of it."""
FEATURES = "tvsum/eccv16_dataset_tvsum_google_pool5.h5"
ANNOTATIONS = "tvsum/ydata-tvsum50-anno.tsv"
VIDEO_FOLDER = "tvsum/videos"
_STEP = 15
_SHOT = 60
"""Frames: the people scored pieces of two seconds, and nearly all videos have 30 frames a second."""


class Tvsum(ScoredDataset):
    """50 videos of 1 to 11 minutes, ten categories, scored from 1 to 5 by 20 people each; about two frames a second.

    inputs `features`: features float32 [B, T, D] of the field's HDF5 file (`video_1` is the first video of the
    annotations, and so on), at its picks; target is its gtscore; shots and people's summaries are the file's.
    inputs `videos`: frames uint8 [B, T, 3, size, size] of `<id>.mp4`, .mkv or .webm, `fps` of them a second, squashed
    to a square; shots are found by kernel temporal segmentation of colours, the same for every model. A video that is
    missing or damaged is left out and named, or refused under `strict`.
    inputs `clock`: features float32 [B, T, 8] of the frame's place alone, of every 15th frame: how far one gets without
    looking; shots are pieces of 60 frames. It needs nothing but the annotations.
    target float32 [B, T]: without gtscore, the mean over the 20 people, (mean - 1) / 4 (`scaled`), or from 0 to 1 in
    every video (`minmax`, which gtscore can be spread by as well).
    Options: splits, `disjoint` (five folds of 32 videos to train with, 8 to choose by, 10 to test, drawn with
    `split_seed`) or `canonical` (the five published ones: 40, none, 10; 34 videos are tested); window, frames of a
    stretch to train with (null: whole videos); features, annotations (.tsv, or .mat) and videos, paths below the data
    folder or absolute.
    Evaluation sees: annotators float32 [20, T], picks int64 [T], n_frames, change_points int64 [S, 2], category,
    best_user (False); with features user_summary uint8 [U, n_frames], with videos times float64 [T] in seconds.
    Source: Song et al. 2015, doi:10.1109/CVPR.2015.7299154. Raises: DataError that names file and key if a file is
    missing or not what it should be, ConfigError for an option out of range.
    """

    name = NAME

    def __init__(
        self,
        root: Path,
        *,
        inputs: Inputs = "features",
        features: str = FEATURES,
        annotations: str = ANNOTATIONS,
        videos: str = VIDEO_FOLDER,
        splits: Splits = "disjoint",
        split_seed: int = 0,
        target: Target = "scaled",
        fps: float = 2.0,
        size: int = 224,
        window: int | None = None,
        strict: bool = False,
    ) -> None:
        choice = Choice(inputs, splits, split_seed, target, fps, size, window, strict)
        plan = _plan(choice, _Places.below(root, annotations, features, videos))
        super().__init__(NAME, _plans.opened(NAME, plan, choice))

    @classmethod
    def describe(
        cls,
        root: Path,
        *,
        inputs: Inputs = "features",
        features: str = FEATURES,
        annotations: str = ANNOTATIONS,
        videos: str = VIDEO_FOLDER,
        splits: Splits = "disjoint",
        split_seed: int = 0,
        target: Target = "scaled",
        fps: float = 2.0,
        size: int = 224,
        window: int | None = None,
        strict: bool = False,
    ) -> DatasetInfo:
        choice = Choice(inputs, splits, split_seed, target, fps, size, window, strict)
        plan = _plan(choice, _Places.below(root, annotations, features, videos))
        return _plans.describe(NAME, VERSION, plan, choice, tuple(CATEGORIES))

    @classmethod
    def local_files(cls, root: Path) -> tuple[tuple[Path, str], ...]:
        return tuple((root / name, "") for name in (ANNOTATIONS, FEATURES))

    @classmethod
    def by_hand(cls, root: Path) -> str:
        places = _Places.below(root, ANNOTATIONS, FEATURES, VIDEO_FOLDER)
        return f"put {places.annotations_by_hand}; {places.features_by_hand}; or {places.videos_by_hand}"


@dataclass(frozen=True, slots=True)
class _Places:
    """Where things are looked for, and what to put there."""

    annotations: Path
    features: Path
    videos: Path

    @classmethod
    def below(cls, root: Path, annotations: str, features: str, videos: str) -> _Places:
        return cls(*(_plans.place(root, name) for name in (annotations, features, videos)))

    @property
    def annotations_by_hand(self) -> str:
        return f"the authors' annotations (github.com/yalesong/tvsum, 'ydata-tvsum50-anno.tsv') at '{self.annotations}'"

    @property
    def features_by_hand(self) -> str:
        source = "github.com/KaiyangZhou/pytorch-vsumm-reinforce, 'eccv16_dataset_tvsum_google_pool5.h5'"
        return f"features ({source}) at '{self.features}' (for `inputs: features`)"

    @property
    def videos_by_hand(self) -> str:
        return f"the authors' videos as '<id>.mp4' into '{self.videos}' (for `inputs: videos`)"


def _plan(choice: Choice, places: _Places) -> Plan:
    forms = {"features": _from_features, "videos": _from_videos, "clock": _from_place}
    choice.check(NAME, tuple(forms))
    require(NAME, [places.annotations], places.annotations_by_hand)
    return forms[choice.inputs](choice, places, _annotations.overview(places.annotations))


def _from_features(choice: Choice, places: _Places, known: Overview) -> Plan:
    require(NAME, [places.features], places.features_by_hand)
    found = _summary_h5.overview(NAME, places.features, VIDEOS)
    for k, (ours, theirs) in enumerate(zip(found.frames, known.frames, strict=True), 1):
        if ours != theirs:
            raise DataError(
                f"{NAME}: '{places.features}', 'video_{k}/n_frames' is {ours:,}, but video {k} of "
                f"'{places.annotations}', '{known.ids[k - 1]}', has {theirs:,} frames",
                hint="videos of the two files belong together by their order, so one of the files is another's",
            )
    mended = [f"{NAME}: {m}" for m in found.mended if m]
    if mended and choice.strict:
        raise DataError(mended[0], hint="mend 'change_points' in the file, or leave 'strict' out")

    def videos() -> list[ScoredVideo | None]:
        stored = _summary_h5.read(NAME, places.features, VIDEOS)
        pairs = zip(_annotations.read(places.annotations), stored, strict=True)
        return [
            ScoredVideo(
                a.id,
                _plans.target(s.gtscore, choice.target),
                _extras(a, s.picks, change_points=s.change_points, user_summary=s.user_summary),
                s.features,
            )
            for a, s in pairs
        ]

    content = {"annotations": known.content, "features": found.content}
    shots = f"{NAME}: people's summaries, and shots where it has them, are those of the file of features"
    return Plan(found.lengths, content, specs(None, found.width, _plans.RATE), (shots, *mended), videos)


def _from_videos(choice: Choice, places: _Places, known: Overview) -> Plan:
    found = _plans.files(NAME, places.videos, known.ids, known.frames, choice, f"put {places.videos_by_hand}")
    size = (choice.size, choice.size)

    def videos() -> list[ScoredVideo | None]:
        made: list[ScoredVideo | None] = []
        for a, file in zip(_annotations.read(places.annotations), found.files, strict=True):
            if file is None:
                made.append(None)
                continue
            sampled = file.sampled
            extras = _extras(a, sampled.picks, times=sampled.times)
            source = FileFrames(file, size)
            made.append(ScoredVideo(a.id, _mean(a, sampled.picks, choice), Extras(extras.arrays, file), source=source))
        return made

    content = {"annotations": known.content, "videos": found.marks}
    shots = f"{NAME}: shots were found by kernel temporal segmentation of the sampled frames' colours"
    return Plan(found.lengths, content, specs(size, None, choice.fps), (shots, *found.notes), videos)


def _from_place(choice: Choice, places: _Places, known: Overview) -> Plan:
    def videos() -> list[ScoredVideo | None]:
        made: list[ScoredVideo | None] = []
        for a in _annotations.read(places.annotations):
            frames = a.scores.shape[1]
            picks = np.arange(0, frames, _STEP)
            starts = np.arange(0, frames, _SHOT)
            extras = _extras(a, picks, change_points=np.stack([starts, np.r_[starts[1:], frames] - 1], axis=1))
            made.append(ScoredVideo(a.id, _mean(a, picks, choice), extras, clock(len(picks))))
        return made

    notes = (
        f"{NAME}: a model sees nothing of the videos, but where in its video a frame lies",
        f"{NAME}: shots are pieces of {_SHOT} frames, two seconds of most videos, and not those of other papers",
    )
    lengths = tuple(-(-n // _STEP) for n in known.frames)
    width = clock(1).shape[1]
    return Plan(lengths, {"annotations": known.content}, specs(None, width, _plans.RATE), notes, videos)


def clock(total: int) -> Array:
    """What is known of `total` frames without looking: float32 [total, 8].

    With t = (i + 1/2) / total: t; |t - 1/2|; sin and cos of 2 pi t; sin and cos of 4 pi t; log(total) / 7; and
    log(1 + frames to the nearer end) / 7, as openings and credits last some seconds however long the video is.
    """
    i = np.arange(total, dtype=np.float64)
    t = (i + 0.5) / total
    waves = [wave(2 * np.pi * k * t) for k in (1, 2) for wave in (np.sin, np.cos)]
    length = np.full(total, np.log(total) / 7)
    return np.stack([t, abs(t - 0.5), *waves, length, np.log1p(np.minimum(i, i[::-1])) / 7], axis=1).astype(np.float32)


def _mean(video: Annotated, picks: Array, choice: Choice) -> Array:
    mean = video.scores[:, picks].mean(axis=0, dtype=np.float64)
    return _plans.target((mean - 1) / 4, choice.target)


def _extras(video: Annotated, picks: Array, **more: Array) -> Extras:
    order: Sequence[str] = tuple(CATEGORIES)
    arrays: Mapping[str, Array] = {
        "annotators": video.scores[:, picks].astype(np.float32),
        "picks": picks.astype(np.int64),
        "n_frames": np.asarray(video.scores.shape[1], dtype=np.int64),
        "category": np.asarray(order.index(video.category), dtype=np.int64),
        "best_user": np.asarray(False),
        **more,
    }
    return Extras(arrays)
