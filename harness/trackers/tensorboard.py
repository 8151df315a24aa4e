"""TensorBoard: the curve and the test result of every trial, in `events/` of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..hookspecs import hookimpl
from ..trial import Record, Trial


class TensorBoard:
    """One writer a running trial; a trial that goes on adds a file of events to its folder."""

    def __init__(self) -> None:
        self._writers: dict[str, Any] = {}

    @hookimpl
    def harness_trial_started(self, trial: Trial, directory: Path) -> None:
        from tensorboard.summary import Writer

        self._writers[trial.id] = Writer(str(directory / "events"))

    @hookimpl
    def harness_epoch_finished(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
        writer = self._writers.get(trial.id)
        if writer is not None:
            for name, value in values.items():
                writer.add_scalar(name, value, epoch)
            writer.flush()  # an interrupt must not take back what was told

    @hookimpl
    def harness_trial_finished(self, record: Record) -> None:
        writer = self._writers.pop(record.id, None)
        if writer is not None:
            for name, value in record.metrics.items():
                writer.add_scalar(f"test/{name}", value, record.chosen_epoch)
            writer.close()
