"""The four hooks. A plugin implements any of them with `harness.hookimpl`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from .registry import Registry
    from .trial import Record, Study, Trial

hookspec = pluggy.HookspecMarker("harness")
hookimpl = pluggy.HookimplMarker("harness")


@hookspec
def harness_register(registry: Registry) -> None:
    """Declare components with `registry.add(...)`; called once, before anything is planned; import no torch here."""


@hookspec
def harness_trial_started(trial: Trial, directory: Path, study: Study) -> None:
    """A trial of `study` starts or goes on; called in the parent process; a tracker may write below `directory`."""


@hookspec
def harness_epoch_finished(trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
    """An epoch (counted from 1) ended with these values; called in the parent process."""


@hookspec
def harness_trial_finished(record: Record) -> None:
    """A trial ended, whatever its status; called in the parent process after the record was stored."""
