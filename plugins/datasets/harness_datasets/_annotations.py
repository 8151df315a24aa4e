"""TVSum's annotations: 50 videos, each scored by 20 people, frame by frame; from the authors' tsv or MATLAB file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from harness.data import digest, remembered
from harness.errors import DataError

Array: TypeAlias = "np.ndarray[Any, Any]"

NAME = "tvsum"
VIDEOS, ANNOTATORS = 50, 20
CATEGORIES: Mapping[str, str] = {
    "VT": "changing vehicle tire",
    "VU": "getting vehicle unstuck",
    "GA": "grooming an animal",
    "MS": "making sandwich",
    "PK": "parkour",
    "PR": "parade",
    "FM": "flash mob gathering",
    "BK": "beekeeping",
    "BT": "attempting bike tricks",
    "DS": "dog show",
}
_LARGEST = 1 << 30
_FRAMES = 10_000_000
_HINT = "get the file again: its authors publish it as part of 'ydata-tvsum50-v1_1'"


@dataclass(frozen=True, slots=True)
class Annotated:
    """One video: its id, the code of its category, and scores uint8 [20, frames], all 1 to 5."""

    id: str
    category: str
    scores: Array


@dataclass(frozen=True, slots=True)
class Overview:
    """Ids, categories and numbers of frames in the order of the file; `content` hashes them and all scores."""

    ids: tuple[str, ...]
    categories: tuple[str, ...]
    frames: tuple[int, ...]
    content: str


def overview(path: Path) -> Overview:
    """What a file holds; read once and remembered. Raises DataError."""

    def look() -> str:
        videos = read(path)
        mark = hashlib.sha256()
        for v in videos:
            mark.update(f"{v.id}\t{v.category}\t{v.scores.shape}\n".encode())
            mark.update(v.scores.tobytes())
        rows = [[v.id, v.category, v.scores.shape[1]] for v in videos]
        return json.dumps({"videos": rows, "content": mark.hexdigest()})

    kept = json.loads(remembered(f"tvsum-annotations-1:{path.absolute()}", digest(path), look))
    ids, categories, frames = zip(*kept["videos"], strict=True)
    return Overview(ids, categories, frames, kept["content"])


def read(path: Path) -> tuple[Annotated, ...]:
    """All 50 videos of a .tsv or .mat file (MATLAB 7.3, which is HDF5), in its order. Raises DataError."""
    try:
        if path.stat().st_size > _LARGEST:
            raise _wrong(path, f"has more than {_LARGEST:,} bytes")
        videos = tuple(_from_mat(path) if path.suffix.lower() == ".mat" else _from_tsv(path))
    except OSError as error:
        raise DataError(f"{NAME}: cannot read '{path}': {error.strerror or error}", hint=_HINT) from error
    if len(videos) != VIDEOS or len({v.id for v in videos}) != VIDEOS:
        raise _wrong(path, f"has annotations of {len({v.id for v in videos})} videos, not of {VIDEOS}")
    return videos


def _wrong(path: Path, what: str) -> DataError:
    return DataError(f"{NAME}: '{path}' {what}", hint=_HINT)


def _from_tsv(path: Path) -> Iterator[Annotated]:
    rows: dict[str, list[Array]] = {}
    codes: dict[str, str] = {}
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            where = f"line {number}"
            fields = line.strip().split(b"\t")
            if len(fields) != 3:
                raise _wrong(path, f"{where}: it has {len(fields)} columns, not 3 (video, category, scores)")
            video, code = (f.decode("utf-8", errors="replace") for f in fields[:2])
            if code not in CATEGORIES:
                raise _wrong(path, f"{where}: the category of '{video[:40]}' is '{code[:40]}', which is not known")
            if codes.setdefault(video, code) != code:
                raise _wrong(path, f"{where}: '{video[:40]}' has two categories, '{codes[video]}' and '{code}'")
            scores = _digits(fields[2])
            if scores is None:
                raise _wrong(path, f"{where}: the scores of '{video[:40]}' are no list of whole numbers from 1 to 5")
            others = rows.setdefault(video, [])
            if others and len(others[0]) != len(scores):
                raise _wrong(path, f"{where}: '{video}' has {len(scores):,} scores here and {len(others[0]):,} above")
            others.append(scores)
    for video, own in rows.items():
        if len(own) != ANNOTATORS:
            raise _wrong(path, f"has {len(own)} lines of '{video[:40]}', not {ANNOTATORS}")
        yield Annotated(video, codes[video], np.stack(own))


def _digits(text: bytes) -> Array | None:
    """`4,4,1` as uint8, None if it is anything else than digits 1 to 5 with commas between."""
    codes = np.frombuffer(text, dtype=np.uint8)
    scores = codes[::2] - np.uint8(ord("0"))
    if len(codes) % 2 == 0 or (codes[1::2] != ord(",")).any() or not ((scores >= 1) & (scores <= 5)).all():
        return None
    return scores


def _from_mat(path: Path) -> Iterator[Annotated]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            group = file["tvsum50"]
            for k in range(len(group["video"])):
                yield _mat_video(path, file, group, k)
    # h5py turns damage into whatever its C library stumbled over.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        what = f"is damaged, or not the MATLAB 7.3 file of the authors: {error}"
        raise DataError(f"{NAME}: '{path}' {what}", hint=_HINT) from error


def _mat_video(path: Path, file: Any, group: Any, k: int) -> Annotated:
    def field(key: str) -> Any:
        found = file[group[key][k, 0]]
        if found.size > _FRAMES * ANNOTATORS:
            raise ValueError(f"'{key}' of row {k + 1} has the shape {found.shape}")
        return found[()]

    video, code = ("".join(map(chr, field(key).ravel()[:40])) for key in ("video", "category"))
    where = f"row {k + 1}, '{video}'"
    if code not in CATEGORIES:
        raise _wrong(path, f"{where}: the category is '{code}', which is not known")
    frames, scores = int(field("nframes").item()), field("user_anno")
    if scores.shape != (ANNOTATORS, frames):
        raise _wrong(path, f"{where}: 'user_anno' has the shape {scores.shape}, not {(ANNOTATORS, frames)}")
    if not ((scores >= 1) & (scores <= 5) & (scores == np.floor(scores))).all():
        raise _wrong(path, f"{where}: 'user_anno' has other values than whole numbers from 1 to 5")
    return Annotated(video, code, scores.astype(np.uint8))
