"""SumMe: 25 home videos, each summarised by 15 to 18 people; as the field's features, or as videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from harness.contracts import DatasetInfo
from harness.data import require
from harness.errors import DataError

from . import _folds, _plans, _summary_h5
from ._folds import Splits
from ._plans import Choice, Extras, Plan, Target
from ._scored import ScoredDataset, ScoredVideo, specs
from ._summary_h5 import Summarised
from ._video_files import FileFrames

Array: TypeAlias = "np.ndarray[Any, Any]"
Inputs: TypeAlias = Literal["features", "videos"]

NAME = "summe"
VERSION = 1
"""Rises when this code changes any item or what evaluation sees of it."""
FEATURES = "summe/eccv16_dataset_summe_google_pool5.h5"
VIDEO_FOLDER = "summe/videos"


class Summe(ScoredDataset):
    """25 videos of half a minute to 7 minutes; 15 to 18 people each said which frames belong in a summary.

    inputs `features`: features float32 [B, T, D] of the field's HDF5 file, about two frames a second; target is its
    gtscore. inputs `videos`: frames uint8 [B, T, 3, size, size] of `<video_name>.mp4`, .mkv or .webm, `fps` of them a
    second, squashed to a square; target is the share of people that chose the frame. A video that is missing or damaged
    is left out and named, or refused under `strict`. Both read shots and people's choices from the HDF5 file.
    target float32 [B, T] in [0, 1], as it stands (`scaled`) or spread from 0 to 1 in every video (`minmax`).
    Options: splits, `disjoint` (five folds of 15 videos to train with, 5 to choose by, 5 to test, drawn with
    `split_seed`) or `canonical` (the five published ones: 20, none, 5; 18 videos are tested); window, frames of a
    stretch to train with (null: whole videos); features and videos, paths below the data folder or absolute.
    Evaluation sees: annotators float32 [U, T] (0 or 1), picks int64 [T], n_frames, change_points int64 [S, 2],
    user_summary uint8 [U, n_frames], best_user (True: an F-score is that with the person it fits best), with videos
    times float64 [T] in seconds.
    Source: Gygli et al. 2014, doi:10.1007/978-3-319-10584-0_33. Raises: DataError that names file and key if a file is
    missing or not what it should be, ConfigError for an option out of range.
    """

    name = NAME

    def __init__(
        self,
        root: Path,
        *,
        inputs: Inputs = "features",
        features: str = FEATURES,
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
        super().__init__(NAME, _plans.opened(NAME, _plan(choice, root, features, videos), choice))

    @classmethod
    def describe(
        cls,
        root: Path,
        *,
        inputs: Inputs = "features",
        features: str = FEATURES,
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
        return _plans.describe(NAME, VERSION, _plan(choice, root, features, videos), choice)

    @classmethod
    def local_files(cls, root: Path) -> tuple[tuple[Path, str], ...]:
        return ((root / FEATURES, ""),)

    @classmethod
    def by_hand(cls, root: Path) -> str:
        return f"put {_features_by_hand(root / FEATURES)}; and {_videos_by_hand(root / VIDEO_FOLDER)}"


def _features_by_hand(path: Path) -> str:
    source = "github.com/KaiyangZhou/pytorch-vsumm-reinforce, 'eccv16_dataset_summe_google_pool5.h5'"
    return f"features and annotations ({source}) at '{path}'"


def _videos_by_hand(folder: Path) -> str:
    return f"the authors' videos as '<video_name>.mp4' into '{folder}' (for `inputs: videos`)"


def _plan(choice: Choice, root: Path, features: str, videos: str) -> Plan:
    choice.check(NAME, ("features", "videos"))
    path = _plans.place(root, features)
    require(NAME, [path], _features_by_hand(path))
    found = _summary_h5.overview(NAME, path, _folds.VIDEOS[NAME])
    mended = tuple(f"{NAME}: {m}" for m in found.mended if m)
    if mended and choice.strict:
        raise DataError(mended[0], hint="mend 'change_points' in the file, or leave 'strict' out")
    form = _from_features if choice.inputs == "features" else _from_videos
    return form(choice, path, _plans.place(root, videos), found, mended)


def _from_features(
    choice: Choice, path: Path, _folder: Path, found: _summary_h5.Overview, notes: tuple[str, ...]
) -> Plan:
    def videos() -> list[ScoredVideo | None]:
        stored = _summary_h5.read(NAME, path, _folds.VIDEOS[NAME])
        return [
            ScoredVideo(s.key, _plans.target(s.gtscore, choice.target), _extras(s, s.picks), s.features) for s in stored
        ]

    return Plan(found.lengths, {"features": found.content}, specs(None, found.width, _plans.RATE), notes, videos)


def _from_videos(choice: Choice, path: Path, folder: Path, found: _summary_h5.Overview, notes: tuple[str, ...]) -> Plan:
    if len({n for n in found.names if n}) < len(found.names):
        raise DataError(
            f"{NAME}: '{path}' does not name every video differently in 'video_name'",
            hint="use `inputs: features`, or a file that says which video is which",
        )
    there = _plans.files(NAME, folder, found.names, found.frames, choice, f"put {_videos_by_hand(folder)}")
    size = (choice.size, choice.size)

    def videos() -> list[ScoredVideo | None]:
        made: list[ScoredVideo | None] = []
        for s, file in zip(_summary_h5.read(NAME, path, _folds.VIDEOS[NAME]), there.files, strict=True):
            if file is None:
                made.append(None)
                continue
            picks = file.sampled.picks
            share = s.user_summary[:, picks].mean(axis=0, dtype=np.float64)
            extras = _extras(s, picks, times=file.sampled.times)
            made.append(ScoredVideo(s.key, _plans.target(share, choice.target), extras, source=FileFrames(file, size)))
        return made

    content = {"features": found.content, "videos": there.marks}
    return Plan(there.lengths, content, specs(size, None, choice.fps), (*notes, *there.notes), videos)


def _extras(video: Summarised, picks: Array, **more: Array) -> Extras:
    arrays: Mapping[str, Array] = {
        "annotators": video.user_summary[:, picks].astype(np.float32),
        "picks": picks.astype(np.int64),
        "n_frames": np.asarray(video.n_frames, dtype=np.int64),
        "change_points": video.change_points,
        "user_summary": video.user_summary,
        "best_user": np.asarray(True),
        **more,
    }
    return Extras(arrays)
