"""Which videos lie in a folder, which of them can be used, and which frames belong to which split."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from harness.contracts import SplitName
from harness.data import VIDEO_SUFFIXES, VideoInfo, digest, probe, remembered, stratified_holdout
from harness.errors import DataError

from ._clips import SPLITS
from ._listing import _PARTS, _SPLIT_FOLDERS, _of_folder

NAME = "video_folder"


@dataclass(frozen=True, slots=True)
class Video:
    """`path` below the source, its part ("train", "val", "test" or "all"), and what the door says of it."""

    path: str
    part: str
    info: VideoInfo


@dataclass(frozen=True, slots=True)
class Found:
    """The whole videos of a source by path, those that are damaged with the reason, and how many other files lie there.

    `content` hashes names and bytes of everything.
    """

    videos: tuple[Video, ...]
    damaged: tuple[tuple[str, str], ...]
    other: int
    content: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """`count` frames of a video from `first` on, which belong to one split."""

    video: Video
    first: int
    count: int


def files(source: Path) -> Path:
    """The folder that the paths of a source lie below; a source may be one video."""
    return source if source.is_dir() else source.parent


def find(source: Path) -> Found:
    """Look at every video of a folder, or at the one that it is; what was seen is remembered. Raises DataError."""
    if source.is_dir():
        try:
            paths, content = _of_folder(source)
        except DataError as error:
            raise DataError(error.message.replace("image_folder", NAME), error.hint) from error
    else:
        paths, content = [source.name], digest(source)
    chosen = [p for p in paths if p.lower().endswith(VIDEO_SUFFIXES)]
    if not chosen:
        raise DataError(f"{NAME}: there is no video in '{source}'", hint=f"it reads {', '.join(VIDEO_SUFFIXES)}")
    seen = json.loads(remembered(f"videos-1:{source.absolute()}", content, lambda: _look(files(source), chosen)))
    good: dict[str, VideoInfo] = {}
    damaged = []
    for path in chosen:
        reason = seen[path] if isinstance(seen[path], str) else undecodable(content, path)
        if reason:
            damaged.append((path, reason))
        else:
            good[path] = VideoInfo(**seen[path])
    parts = _parts(source, list(good))
    videos = tuple(Video(path, parts[path], info) for path, info in sorted(good.items()))
    return Found(videos, tuple(damaged), len(paths) - len(chosen), content)


def undecodable(content: str, path: str, reason: str = "") -> str:
    """Why a video turned out damaged when it was decoded, "" if it did not; a `reason` is remembered from now on."""

    def answer() -> str:
        if not reason:
            raise LookupError  # so that nothing is remembered
        return reason

    try:
        return remembered(f"undecodable:{content}:{path}", "1", answer)
    except LookupError:
        return ""


def _look(folder: Path, paths: Sequence[str]) -> str:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return json.dumps(dict(zip(paths, pool.map(lambda p: _one(folder / p), paths), strict=True)))


def _one(path: Path) -> str | dict[str, float]:
    try:
        info = probe(path)
    except DataError as error:
        return error.message
    if info.short:
        return f"'{path}' is cut off: {info.short:.1f} of {info.duration:.1f} seconds are missing at its end"
    return asdict(info)


def _parts(source: Path, paths: Sequence[str]) -> dict[str, str]:
    split_up = {p: PurePosixPath(p).parts for p in paths}
    skip = 0
    # Archives are often unpacked into one folder that wraps everything.
    while (
        paths and all(len(p) > skip + 1 for p in split_up.values()) and len({p[skip] for p in split_up.values()}) == 1
    ):
        if split_up[paths[0]][skip] in _PARTS:
            break
        skip += 1
    tops = {p[skip] for p in split_up.values()}
    if not any(len(p) > skip + 1 and p[skip] == "train" for p in split_up.values()):
        return dict.fromkeys(paths, "all")
    if odd := sorted(tops - _PARTS.keys()):
        raise DataError(
            f"{NAME}: '{odd[0]}' lies beside 'train' in '{source}', but is no split",
            hint=f"splits are {_SPLIT_FOLDERS}; move it away, or leave out the split folders altogether",
        )
    return {path: _PARTS[p[skip]] for path, p in split_up.items()}


def by_video(
    videos: Sequence[Video], parts: Mapping[SplitName, float], seed: int
) -> dict[SplitName, list[Stretch]] | None:
    """Whole videos for each split, drawn by `seed`; None if there are too few to give each of `parts` one."""
    counts = {name: max(1, round(fraction * len(videos))) for name, fraction in parts.items()}
    if sum(counts.values()) >= len(videos):
        return None
    stay = np.arange(len(videos))
    taken: dict[SplitName, list[Stretch]] = {}
    for i, (name, count) in enumerate(counts.items()):
        # Another stream for each split, so that they are independent of one another.
        keep, held = stratified_holdout([0] * len(stay), count, seed + (i << 40))
        taken[name] = whole([videos[int(r)] for r in stay[held]])
        stay = stay[keep]
    return {"train": whole([videos[int(r)] for r in stay]), **taken}


def by_time(videos: Sequence[Video], parts: Mapping[SplitName, float], span: int) -> dict[SplitName, list[Stretch]]:
    """Of every video the beginning for train, then val, then test, with `span` frames between that nobody uses."""
    shares: list[tuple[SplitName, float]] = [("train", 1 - sum(parts.values()))]
    shares += [(name, parts[name]) for name in SPLITS if name in parts]
    ends = np.cumsum([share for _, share in shares])
    found: dict[SplitName, list[Stretch]] = {name: [] for name, _ in shares}
    for video in videos:
        usable = max(0, video.info.frames - span * len(parts))
        edges = [0, *(round(usable * float(e)) for e in ends[:-1]), usable]
        for i, (name, _) in enumerate(shares):
            if edges[i + 1] - edges[i] >= span:
                found[name].append(Stretch(video, edges[i] + i * span, edges[i + 1] - edges[i]))
    return found


def whole(videos: Sequence[Video]) -> list[Stretch]:
    return [Stretch(v, 0, v.info.frames) for v in videos]
