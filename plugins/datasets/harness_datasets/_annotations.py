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

from . import _hdf5

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
_LARGEST = 1 << 28
_FRAMES = 1_000_000
_LETTERS = 200
"""Of an id, as a file of this name is looked for, and names of files end at 255 bytes."""
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

    kept = json.loads(remembered(f"tvsum-annotations-2:{path.absolute()}", digest(path), look))
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
            video, code = (f[: _LETTERS + 1].decode("utf-8", errors="replace") for f in fields[:2])
            if len(fields[0]) > _LETTERS or "\0" in video:
                raise _wrong(path, f"{where}: '{video[:40]}' is no name of a video")
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
            columns = {key: _column(file, key) for key in ("video", "category", "nframes", "user_anno")}
            counts = {column.shape for column in columns.values()}
            if counts != {(VIDEOS, 1)}:
                raise _wrong(path, f"has columns of the shapes {sorted(map(str, counts))}, not of {VIDEOS} videos")
            for k in range(VIDEOS):
                yield _mat_video(path, file, columns, k)
    except _hdf5.ERRORS as error:
        what = f"is damaged, or not the MATLAB 7.3 file of the authors: {error}"
        raise DataError(f"{NAME}: '{path}' {what}", hint=_HINT) from error


def _column(file: Any, key: str) -> Any:
    """References to what the videos have under this key, [50, 1] if the file is right."""
    import h5py

    place = "tvsum50"
    try:
        group = _hdf5.member(file, place)
        if not isinstance(group, h5py.Group):
            raise ValueError("there is no such group")
        place = f"tvsum50/{key}"
        column = _hdf5.member(group, key)
    except ValueError as error:
        raise ValueError(f"'{place}': {error}") from error
    if not isinstance(column, h5py.Dataset) or column.dtype != h5py.ref_dtype:
        raise ValueError(f"'{place}' has no references")
    return column


def _mat_video(path: Path, file: Any, columns: Mapping[str, Any], k: int) -> Annotated:
    import h5py

    def stored(key: str, most: int, kinds: str = "iuf") -> Any:
        """What is referred to, not read yet, of so many numbers at most."""
        try:
            found = _hdf5.own(file[columns[key][k, 0]], file)
            if not isinstance(found, h5py.Dataset) or found.dtype.kind not in kinds or not found.size:
                raise ValueError("it holds no such numbers")
            if found.size > most:
                raise ValueError(f"it has the shape {found.shape}")
        except (ValueError, TypeError) as error:
            raise ValueError(f"'tvsum50/{key}' of row {k + 1}: {error}") from error
        return found

    def text(key: str) -> str:
        codes = stored(key, _LETTERS, "iu")[()].ravel().tolist()
        if not all(0 < c < 0x110000 and not 0xD800 <= c < 0xE000 for c in codes):
            raise ValueError(f"'tvsum50/{key}' of row {k + 1} has codes that are no letters")
        return "".join(map(chr, codes))

    video, code = text("video"), text("category")
    where = f"row {k + 1}, '{video[:40]}'"
    if len(video.encode()) > _LETTERS:
        raise _wrong(path, f"{where} is no name of a video")
    if code not in CATEGORIES:
        raise _wrong(path, f"{where}: the category is '{code[:40]}', which is not known")
    frames, held = int(stored("nframes", 1)[()].item()), stored("user_anno", _FRAMES * ANNOTATORS)
    if held.shape != (ANNOTATORS, frames):
        raise _wrong(path, f"{where}: 'user_anno' has the shape {held.shape}, not {(ANNOTATORS, frames)}")
    scores = held[()]
    if not ((scores >= 1) & (scores <= 5) & (scores == np.floor(scores))).all():
        raise _wrong(path, f"{where}: 'user_anno' has other values than whole numbers from 1 to 5")
    return Annotated(video, code, scores.astype(np.uint8))
