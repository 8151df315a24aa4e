"""Which videos lie in a folder, which of them can be used, and which frames belong to which split."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from harness.contracts import SplitName
from harness.data import VIDEO_SUFFIXES, VideoInfo, digest, fingerprint, probe, remembered, stratified_holdout
from harness.data.video import MomentaryError
from harness.errors import DataError

from ._clips import SPLITS
from ._listing import _PARTS, _SPLIT_FOLDERS, _hidden

NAME = "video_folder"
MEND = "mend the file or take it away, or leave 'strict' out"


@dataclass(frozen=True, slots=True)
class Video:
    """`path` below the source, its part ("train", "val", "test" or "all"), and what the door says of it."""

    path: str
    part: str
    info: VideoInfo


@dataclass(frozen=True, slots=True)
class Damaged:
    """A video that cannot be used, and why."""

    path: str
    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """The whole videos of a source by path, those that are damaged, and how many other files lie there.

    `content` hashes names and bytes of all videos, damaged or not, and of nothing else.
    """

    videos: tuple[Video, ...]
    damaged: tuple[Damaged, ...]
    other: int
    content: str

    @property
    def parts(self) -> set[str]:
        """Those of the layout, which follows from names alone: a part whose videos are all damaged is one of them."""
        return {v.part for v in self.videos} | {d.part for d in self.damaged}


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
    paths = _below(source) if source.is_dir() else [source.name]
    chosen = [p for p in paths if p.lower().endswith(VIDEO_SUFFIXES)]
    if not chosen:
        raise DataError(f"{NAME}: there is no video in '{source}'", hint=f"it reads {', '.join(VIDEO_SUFFIXES)}")
    parts = _parts(source, chosen)
    content = _content(source, chosen)
    seen = json.loads(remembered(f"videos-2:{source.absolute()}", content, lambda: _look(files(source), chosen)))
    videos, damaged = [], []
    for path in chosen:
        reason = seen[path] if isinstance(seen[path], str) else undecodable(content, path)
        if reason:
            damaged.append(Damaged(path, parts[path], reason))
        else:
            videos.append(Video(path, parts[path], VideoInfo(**seen[path])))
    return Found(tuple(videos), tuple(damaged), len(paths) - len(chosen), content)


def _below(source: Path, dataset: str = NAME) -> list[str]:
    """Every file that is not hidden, sorted; links are followed."""
    paths, visited = [], set()
    try:
        for folder, below, names in os.walk(source, followlinks=True):
            seen = os.stat(folder)
            if (seen.st_dev, seen.st_ino) in visited:  # a link that leads back up
                below.clear()
                continue
            visited.add((seen.st_dev, seen.st_ino))
            paths += [Path(folder, name).relative_to(source).as_posix() for name in names]
    except OSError as error:
        raise DataError(f"{dataset}: cannot read '{source}': {error.strerror or error}") from error
    return sorted(p for p in paths if not _hidden(p))


def _content(source: Path, chosen: Sequence[str]) -> str:
    """A hash of the names and bytes of these videos; bytes are read again only where a file was changed."""
    stamp = hashlib.sha256()
    for path in chosen:
        file = files(source) / path
        try:
            s = file.stat()
        except OSError as error:
            raise DataError(f"{NAME}: cannot read '{file}': {error.strerror or error}") from error
        own = [path, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino]
        stamp.update(json.dumps(own).encode(errors="surrogatepass"))
    return remembered(
        f"videos:{source.absolute()}",
        stamp.hexdigest(),
        lambda: fingerprint({"videos": [[path, digest(files(source) / path)] for path in chosen]}),
    )


def undecodable(content: str, path: str, reason: str = "") -> str:
    """Why a video turned out damaged when it was decoded, "" if it did not; a `reason` is remembered from now on."""

    def answer() -> str:
        if not reason:
            raise LookupError  # so that nothing is remembered
        return reason

    try:
        return remembered(f"undecodable:{content}:{path}", "2", answer)
    except LookupError:
        return ""


def _look(folder: Path, paths: Sequence[str]) -> str:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return json.dumps(dict(zip(paths, pool.map(lambda p: _one(folder / p), paths), strict=True)))


def _one(path: Path) -> str | dict[str, float]:
    try:
        info = probe(path)
    except MomentaryError:
        raise  # remembered, it would cost the video for ever
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


def usable(source: Path, found: Found, part: str, span: int) -> list[Video]:
    """The videos of a part that are whole and long enough. Raises DataError if there is none."""
    own = [v for v in found.videos if v.part == part]
    long = [v for v in own if v.info.frames >= span]
    if not long:
        reasons = {d.path: d.reason for d in found.damaged if d.part == part}
        reasons |= {v.path: f"'{files(source) / v.path}' has {v.info.frames} frames" for v in own}
        role = f"for '{part}'" if part in ("val", "test") else "to train with"
        raise DataError(
            f"{NAME}: no video {role} in '{source}' is whole and has the {span} frames of a clip: "
            f"{reasons[min(reasons)]}",
            hint="ask for fewer 'frames' or a smaller 'step'" if own else "mend the files or take them away",
        )
    return long


def check_decoded(content: str, faults: Iterable[tuple[str, DataError | None]], strict: bool) -> None:
    """Remember which videos turned out damaged, and raise one DataError for all that could not be decoded."""
    damaged: dict[str, DataError] = {}
    momentary: dict[str, DataError] = {}
    for path, error in faults:
        if error is not None:
            (momentary if isinstance(error, MomentaryError) else damaged).setdefault(path, error)
    for path, error in damaged.items():
        undecodable(content, path, error.message)
    failed = momentary or damaged
    if not failed:
        return
    names = [f"'{path}'" for path in failed]
    more = f" (and {len(names) - 4} more)" if len(names) > 4 else ""
    all_of_them = f"; {len(names)} videos failed: {', '.join(names[:4])}{more}" if len(names) > 1 else ""
    first = next(iter(failed.values()))
    again = "run again: from now on the report names what is damaged, and the rest is used"
    hint = first.hint if momentary else MEND if strict else again
    raise DataError(f"{NAME}: {first.message}{all_of_them}", hint=hint) from first


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
