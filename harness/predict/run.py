"""One trial's model on one video after the other: sample, score, choose, draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import sample
from ..errors import DataError, HarnessError
from ..store import make_folder
from ..trial import Record
from .folder import Writer
from .listening import Failure, Listener, Predicted, Predictions, Silence
from .reading import reading_of
from .scoring import Frames, Scorer
from .selection import Wish, chosen
from .videos import find, folders

if TYPE_CHECKING:
    from torch import nn


def run(
    record: Record,
    load: Callable[[], nn.Module],
    inputs: Sequence[Path],
    out: Path,
    wish: Wish | None = None,
    device: str = "cpu",
    listener: Listener | None = None,
) -> Predictions:
    """Score every video, and write a folder below `out` for each.

    `load` gives the model of the record's trial, and is called once there is a video. A video that cannot be done, for
    whatever reason, is among the failures, and the others are done. A file whose end is missing is scored up to there,
    with a warning.
    Raises ConfigError for a trial whose model cannot look at videos, StoreError where `out` cannot be written.
    """
    reading, told = reading_of(record), listener or Silence()
    paths, failures = find(inputs)
    for failure in failures:
        told.failed(failure)
    make_folder(out)
    done: list[Predicted] = []
    scorer: Scorer | None = None
    for number, (path, name) in enumerate(zip(paths, folders(paths), strict=True), start=1):
        scorer = scorer or Scorer(load(), reading, device)
        told.started(path, number, len(paths))
        try:
            done.append(_one(path, Writer(out / name, path, record, wish or Wish()), scorer, told))
        except Exception as error:
            failures.append(Failure(path, _told(path, error)))
            told.failed(failures[-1])
        else:
            told.finished(done[-1])
    return Predictions(tuple(done), tuple(failures))


def _told(path: Path, error: Exception) -> HarnessError:
    if isinstance(error, HarnessError):
        return error
    found = DataError(f"'{path}' could not be done: {type(error).__name__}: {error}", hint="write the file again")
    found.__cause__ = error
    return found


def _one(path: Path, writer: Writer, scorer: Scorer, told: Listener) -> Predicted:
    frames = Frames(path, sample(path, scorer.reading.rate), scorer.reading.size)
    total = len(frames.sampled)
    told.progress(path, "frames", 0, total)
    logits, looks = scorer(frames, writer.wish.distinct, lambda done: told.progress(path, "frames", done, total))
    sampled = frames.sampled
    places = chosen(logits, sampled.times, writer.wish.count(len(sampled)), looks)
    return writer.write(sampled, logits, places, scorer, lambda done, of: told.progress(path, "pictures", done, of))
