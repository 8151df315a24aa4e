"""Trackers are plugins that live on the hooks of a running study. TensorBoard ships with the program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..hookspecs import hookimpl

if TYPE_CHECKING:
    from ..registry import Registry
    from ..trial import Record, Trial

_writers: dict[str, Any] = {}


@hookimpl
def harness_register(registry: Registry) -> None:
    """Trackers declare no components."""


@hookimpl
def harness_trial_started(trial: Trial, directory: Path) -> None:
    from tensorboard.summary import Writer

    _writers[trial.id] = Writer(str(directory / "events"))


@hookimpl
def harness_epoch_finished(trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
    writer = _writers.get(trial.id)
    if writer is not None:
        for name, value in values.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()  # an interrupt must not take back what was told


@hookimpl
def harness_trial_finished(record: Record) -> None:
    writer = _writers.pop(record.id, None)
    if writer is not None:
        for name, value in record.metrics.items():
            writer.add_scalar(f"test/{name}", value, record.chosen_epoch)
        writer.close()
