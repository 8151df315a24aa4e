"""Can a trial's model look at a video or an image, and how: by what its record says that it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..contracts import IO, Spec
from ..errors import ConfigError, StoreError
from ..restore import from_plain
from ..trial import Record

RATE = 2.0
"""Frames a second where the record does not say it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Frames of `size` (height, width), `rate` of them a second."""

    size: tuple[int, int]
    rate: float
    io: IO


@dataclass(frozen=True, slots=True)
class ImageReading:
    """Images uint8 of `shape` (C, H, W), C 1 or 3; `classes` are the names of the K outputs."""

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    io: IO


def image_reading_of(record: Record) -> ImageReading | None:
    """None if the trial does not classify images.

    Raises ConfigError if it does, and reads another kind of image than a file has; StoreError if the trial failed.
    """
    if record.status != "ok":
        raise StoreError(f"trial '{record.id}' {record.status}: {record.reason}", hint="name a trial that is done")
    io = from_plain(IO, record.io, "record.io")
    logits, images = io.outputs.get("logits"), io.inputs.get("inputs")
    if logits is None or images is None or logits.axes != "K" or images.axes != "CHW":
        return None
    sides = tuple(n for n in images.shape if n is not None)
    others = sorted(set(io.inputs) - {"inputs"})
    if len(sides) != 3 or sides[0] not in (1, 3) or images.dtype != "uint8" or others:
        also = f", and also {_told({k: io.inputs[k] for k in others})}" if others else ""
        raise ConfigError(
            f"trial '{record.id}' reads {images.dtype} images of {list(images.shape)}{also}, and an image file gives "
            "uint8 [C, H, W] of one size, grey or colour",
            hint="name a trial that was trained on grey or colour images",
        )
    count = logits.shape[0] or len(record.classes)
    classes = record.classes if len(record.classes) == count else tuple(str(i) for i in range(count))
    return ImageReading((sides[0], sides[1], sides[2]), classes, io)


def reading_of(record: Record) -> Reading:
    """Raises ConfigError if the model gives no score a frame, or reads something else than frames; StoreError if the
    trial failed."""
    if record.status != "ok":
        raise StoreError(f"trial '{record.id}' {record.status}: {record.reason}", hint="name a trial that is done")
    io = from_plain(IO, record.io, "record.io")
    name = f"trial '{record.id}' ({record.trial.config.model.name}, task {record.trial.config.task.name})"
    logits = io.outputs.get("logits")
    if logits is None or logits.axes != "T":
        raise ConfigError(
            f"{name} gives out {_told(io.outputs)}, and `predict` needs 'logits' of axes T: a score for every frame",
            hint="`predict` finds keyframes and classifies images; name a trial of task keyframes or classification",
        )
    if "inputs" not in io.inputs and "features" in io.inputs:
        raise ConfigError(
            f"{name} was trained on ready-made features, so its model cannot look at a video",
            hint="train it on the form of the dataset that has frames, with a backbone, and name that trial",
        )
    frames = io.inputs.get("inputs")
    others = sorted(set(io.inputs) - {"inputs", "mask"})
    fixed = frames is not None and frames.axes == "TCHW" and None not in frames.shape[1:]
    if frames is None or not fixed or frames.shape[1] != 3 or others:
        raise ConfigError(
            f"{name} reads {_told(io.inputs)}, and a video gives 'inputs' of axes TCHW: colour frames of one size",
            hint="name a trial that was trained on frames",
        )
    height, width = (int(n) for n in frames.shape[2:] if n is not None)
    return Reading((height, width), frames.rate or RATE, io)


def _told(specs: Mapping[str, Spec]) -> str:
    return ", ".join(f"'{key}' of axes {spec.axes}" for key, spec in specs.items()) or "nothing"
