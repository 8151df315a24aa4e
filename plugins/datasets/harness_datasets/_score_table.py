"""Scores of videos over time, read from a CSV that people write by hand."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from harness.data import VideoInfo
from harness.errors import DataError

Array: TypeAlias = "np.ndarray[Any, Any]"

COLUMNS = ("video", "time", "frame", "score", "annotator", "split")
_FORM = "the first line is 'video,time,score' or 'video,frame,score', and may also have 'annotator' and 'split'"
_SPLITS = ("train", "val", "test")
_BYTES = 32 * 10**6
_LINES = 1_000_000
"""Scores of a file; one takes some hundred bytes of memory, however few it has in the file."""
_ANNOTATORS = 1000
"""Of a video, as every one of them has a score for every sampled frame."""
_EARLY = 1e-3
"""Seconds by which a frame may come before a score and still have it: containers round times to milliseconds."""
_LATE = 1.0
"""Seconds behind a video's end at which a score may still stand, as people round up."""
_GREATEST = 1e30


@dataclass(frozen=True, slots=True)
class Given:
    """A score from a time (seconds) or frame on, and the line of the file that says so."""

    at: float
    score: float
    line: int


@dataclass(slots=True)
class Scored:
    """What a file says of one video: its first line there, its split ("" where there is no such column), its scores.

    `given` has one list an annotator, in the order of time once the whole file was read.
    """

    line: int
    split: str
    given: dict[str, list[Given]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A whole file: `videos` by the path that it gives, normalised; `frames`: scores stand at frames, not seconds."""

    path: Path
    frames: bool
    videos: Mapping[str, Scored]

    def annotators(self, video: str, picks: Array, times: Array, info: VideoInfo) -> Array:
        """float32 [A, T], the annotators by name: a score holds until the next, and the first one before it as well.

        Raises DataError for a score behind the end of the video.
        """
        given = self.videos[video].given
        rate = info.fps if info.fps > 0 else 1.0
        end = info.frames + rate * _LATE if self.frames else max(info.duration, float(times[-1])) + _LATE
        rows = []
        for name in sorted(given):
            late = given[name][-1]
            if late.at > end:
                has = f"{info.frames:,} frames" if self.frames else f"{info.duration:.1f} seconds"
                raise _wrong(
                    self.path,
                    late.line,
                    f"'{video}' has {has}, so there is nothing at {late.at:g}",
                    "frames are counted from 0" if self.frames else "times are seconds from the video's first frame",
                )
            at, scores = np.array([g.at for g in given[name]]), np.array([g.score for g in given[name]], np.float32)
            where = picks if self.frames else times + _EARLY
            rows.append(scores[np.maximum(np.searchsorted(at, where, side="right") - 1, 0)])
        return np.asarray(rows, dtype=np.float32)

    def extent(self) -> tuple[Given, Given]:
        """The least and the greatest score of the file."""
        every = [g for video in self.videos.values() for row in video.given.values() for g in row]
        return min(every, key=lambda g: g.score), max(every, key=lambda g: g.score)


def read(path: Path) -> Table:
    """Read and check a whole file. Raises DataError that names file and line of the first mistake."""
    rows = _rows(path)
    header, columns = list[str](), dict[str, int]()
    for line, header in rows:
        columns = _columns(path, line, [name.strip() for name in header])
        break
    if not columns:
        raise _wrong(path, 1, "the file is empty", _FORM)
    frames, videos = "frame" in columns, dict[str, Scored]()
    for count, (line, row) in enumerate(rows, 1):
        if count > _LINES:
            raise _wrong(path, line, f"there are more than {_LINES:,} scores", "leave out scores that repeat the last")
        if len(row) != len(header):
            raise _wrong(path, line, f"there are {len(row)} values, not {len(header)}", "check commas and quotes")
        values = {name: row[place].strip() for name, place in columns.items()}
        _add(path, line, values, frames, videos)
    if not videos:
        raise _wrong(path, 1, "there is a first line, but no score", _FORM)
    for name, scored in videos.items():
        for row_of in scored.given.values():
            row_of.sort(key=lambda g: (g.at, g.line))
            for before, now in pairwise(row_of):
                if before.at == now.at:
                    what = "frame" if frames else "time"
                    raise _wrong(
                        path,
                        now.line,
                        f"'{name}' has had a score for {what} {now.at:g} in line {before.line}",
                        "give one score a time; scores of several people need the column 'annotator'",
                    )
    return Table(path, frames, videos)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, values) of every row that is not blank."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _wrong(
                path, max(reader.line_num, 1), f"no row of a CSV: {error}", "check commas and quotes"
            ) from error
        if row is None:
            return
        if any(value.strip() for value in row):
            yield reader.line_num, row


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _BYTES:
            raise DataError(
                f"'{path}' has {path.stat().st_size:,} bytes, and a table of scores at most {_BYTES:,}",
                hint="leave out scores that repeat the last",
            )
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read '{path}': {error.strerror or error}", hint="the option 'scores' names a CSV in the folder"
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _wrong(path, line, "the text is not UTF-8", "save the table as 'CSV UTF-8'") from error


def _columns(path: Path, line: int, names: list[str]) -> dict[str, int]:
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        raise _wrong(path, line, "the values are not divided by commas", "save the table with commas")
    for name in names:
        if name not in COLUMNS:
            raise _wrong(path, line, f"unknown column '{name[:80]}'", _FORM)
        if names.count(name) > 1:
            raise _wrong(path, line, f"the column '{name}' is there twice", _FORM)
    for name in ("video", "score"):
        if name not in names:
            raise _wrong(path, line, f"there is no column '{name}'", _FORM)
    if ("time" in names) == ("frame" in names):
        both = (
            "there are both columns 'time' and 'frame'" if "time" in names else "there is no column 'time' or 'frame'"
        )
        raise _wrong(path, line, both, _FORM)
    return {name: place for place, name in enumerate(names)}


def _add(path: Path, line: int, values: Mapping[str, str], frames: bool, videos: dict[str, Scored]) -> None:
    name, split = values["video"], values.get("split", "")
    if not name or "\0" in name:
        raise _wrong(path, line, "there is no name of a video", "give its path, from the folder on")
    if "split" in values and split not in _SPLITS:
        raise _wrong(path, line, f"unknown split '{split[:80]}'", f"one of {', '.join(_SPLITS)}")
    if values.get("annotator") == "":
        raise _wrong(path, line, "there is no name of an annotator", "name one, or leave the column out")
    scored = videos.setdefault(os.path.normpath(name), Scored(line, split))
    if scored.split != split:
        raise _wrong(
            path, line, f"'{name}' is in split '{split}' here and in '{scored.split}' in line {scored.line}",
            "a video belongs to one split",
        )  # fmt: skip
    at = _number(path, line, "frame" if frames else "time", values["frame" if frames else "time"])
    if at < 0 or (frames and at != int(at)):
        raise _wrong(
            path, line, f"'{'frame' if frames else 'time'}' is {at:g}",
            "frames are counted from 0 in whole numbers" if frames else "times are seconds from the first frame",
        )  # fmt: skip
    score = _number(path, line, "score", values["score"])
    scored.given.setdefault(values.get("annotator", ""), []).append(Given(at, score, line))
    if len(scored.given) > _ANNOTATORS:
        raise _wrong(path, line, f"'{name[:80]}' has more than {_ANNOTATORS:,} annotators", "leave some out")


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not abs(value) <= _GREATEST:
        raise _wrong(path, line, f"'{column}' is '{text[:80]}'", "give a finite number, with a point: 0.5")
    return value


def _wrong(path: Path, line: int, what: str, hint: str) -> DataError:
    return DataError(f"{path}:{line}: {what}", hint=hint)
