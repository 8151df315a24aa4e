"""One trial's model on a person's own images: read, classify, explain, show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..errors import ConfigError, DataError, HarnessError
from ..store import make_folder
from ..trial import Record
from .cautions import cautions
from .classifying import Classifier
from .explaining import Explained
from .grid import MOST
from .images_folder import Folder, withdrawn
from .listening import Classified, Failure, Listener, Predictions, Silence
from .pictures import find_images, read
from .reading import ImageReading
from .selection import Wish
from .stills import fitted

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import nn

Array: TypeAlias = "np.ndarray[Any, Any]"
TOP = 5
"""Classes an image that are listed, unless another number is asked for."""
THUMB = 320


def run_images(
    record: Record,
    reading: ImageReading,
    load: Callable[[], nn.Module],
    inputs: Sequence[Path],
    out: Path,
    wish: Wish | None = None,
    device: str = "cpu",
    listener: Listener | None = None,
    explain: bool = False,
) -> Predictions:
    """Classify every image, and write tables, a sheet and a page to `out`; with `explain` a picture for each image.

    `wish.top` is the number of classes that are listed for each image. An image that cannot be read is among the
    failures, and the others are done. Memory: one batch of pixels, one image at its own size, and K numbers an image.
    Raises ConfigError for what suits videos alone, or for a model that cannot be explained; StoreError where `out`
    cannot be written; DataError if the device has too little memory.
    """
    _check(wish)
    told = listener or Silence()
    make_folder(out)
    old = withdrawn(out)
    paths, failures = find_images(inputs, leave={out.resolve() / name for name in old})
    for failure in failures:
        told.failed(failure)
    if not paths:
        return Predictions((), tuple(failures))
    classifier = Classifier(load(), reading, device, record.trial.config.train.channels_last, explain)
    told_of = cautions(record, classifier.model)
    folder = Folder(out, record, reading, device, explain, old, told_of, classifier.together)
    folder.begin(paths)
    work = _Work(classifier, record.sites if explain else None, (wish.top if wish else None) or TOP, failures, told)
    for one, explained, thumb in work.classified(paths, out):
        folder.add(one, explained, thumb)
    page = folder.finish(failures)
    return Predictions((), tuple(failures), tuple(folder.done), page, told_of if folder.done else ())


def _check(wish: Wish | None) -> None:
    if wish is None:
        return
    if wish.distinct:
        raise ConfigError("--distinct leaves out frames of a video that look alike, and this trial classifies images")
    if wish.share is not None:
        raise ConfigError(
            "--share is a part of a video's frames, and this trial classifies images", hint="--top K lists K classes"
        )


@dataclass(slots=True)
class _Read:
    path: Path
    pixels: Array
    notes: tuple[str, ...]
    thumb: Image | None


@dataclass(slots=True)
class _Work:
    """`sites` are those of the attention that is explained; None: nothing is."""

    classifier: Classifier
    sites: Sequence[str] | None
    top: int
    failures: list[Failure]
    told: Listener

    def classified(
        self, paths: Sequence[Path], out: Path
    ) -> Iterator[tuple[Classified, Explained | None, Image | None]]:
        """In order, the first with a small picture; what cannot be used goes to `failures`."""
        self.told.progress(out, "images", 0, len(paths))
        for some in self._batches(paths, out):
            pixels = np.stack([r.pixels for r in some])
            found = self.classifier(pixels)
            finite = np.isfinite(found).all(axis=1)
            for k in np.flatnonzero(~finite):
                self._fail(some[k].path, DataError(f"the model's outputs for '{some[k].path}' are no finite numbers"))
            kept = np.flatnonzero(finite)
            explained: list[Explained | None] = [None] * len(kept)
            if self.sites is not None and len(kept):
                explained = [*self.classifier.explained(pixels, found.argmax(axis=1), self.sites, kept.tolist())]
            for k, shown in zip(kept, explained, strict=True):
                yield self._one(some[k], found[k]), shown, some[k].thumb

    def _batches(self, paths: Sequence[Path], out: Path) -> Iterator[list[_Read]]:
        shape, held, good = self.classifier.reading.shape, list[_Read](), 0
        for number, path in enumerate(paths, start=1):
            try:
                seen = read(path, shape)
            except Exception as error:
                self._fail(path, error)
            else:
                # The picture itself may be large, and a batch of them would be larger than memory.
                thumb = fitted(seen.whole, THUMB, THUMB).copy() if good < MOST else None
                held.append(_Read(path, seen.pixels, seen.notes, thumb))
                good += 1
            if len(held) == self.classifier.together:
                yield held
                held = []
            self.told.progress(out, "images", number, len(paths))
        if held:
            yield held

    def _one(self, seen: _Read, probabilities: Array) -> Classified:
        order = np.argsort(-probabilities, kind="stable")[: self.top]
        names = self.classifier.reading.classes
        top = tuple((names[k], float(probabilities[k])) for k in order)
        return Classified(seen.path, top, probabilities, seen.notes)

    def _fail(self, path: Path, error: Exception) -> None:
        if not isinstance(error, HarnessError):
            cause, error = error, DataError(f"'{path}' could not be done: {type(error).__name__}: {error}")
            error.__cause__ = cause
        self.failures.append(Failure(path, error))
        self.told.failed(self.failures[-1])
