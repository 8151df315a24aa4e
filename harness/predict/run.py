"""One trial's model on one video after the other: sample, score, choose, draw; images go another way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import sample
from ..errors import ConfigError, DataError, HarnessError
from ..store import make_folder
from ..trial import Record
from .folder import Writer
from .images import run_images
from .listening import Failure, Listener, Predicted, Predictions, Silence
from .reading import image_reading_of, reading_of
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
    explain: bool = False,
) -> Predictions:
    """Score every video, and write a folder below `out` for each; or classify images, see `images.run_images`.

    `load` gives the model of the record's trial, and is called once there is a video. A video that cannot be done, for
    whatever reason, is among the failures, and the others are done. A file whose end is missing is scored up to there,
    with a warning.
    Raises ConfigError for a trial whose model cannot look at videos, or for `explain` with one whose model does;
    StoreError where `out` cannot be written.
    """
    images = image_reading_of(record)
    if images is not None:
        return run_images(record, images, load, inputs, out, wish, device, listener, explain)
    reading, told = reading_of(record), listener or Silence()
    if explain:
        raise ConfigError(
            f"--explain shows where a classifier of images looked, and trial '{record.id}' scores videos",
            hint="leave it out, or name a trial of task classification",
        )
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
