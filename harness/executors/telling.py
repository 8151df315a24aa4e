"""Passes what a running study tells to every plugin that has hooks for it, and to one listener."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ..discovery import Plugins
from ..store import Store
from ..trial import Record, Study, Trial
from . import Listener


class Telling:
    """A listener; a tracker that raises is left out from then on, with a warning."""

    def __init__(self, plugins: Plugins, study: Study, store: Store, listener: Listener | None) -> None:
        self._manager, self._study, self._store, self._listener = plugins.manager, study, store, listener

    def _call(self, hook: str, **arguments: Any) -> None:
        plugins = [p for p in self._manager.get_plugins() if hasattr(p, hook)]
        for plugin in plugins:
            alone = self._manager.subset_hook_caller(hook, [p for p in plugins if p is not plugin])
            try:
                alone(**arguments)
            except Exception as error:  # a tracker is foreign code; results do not depend on it
                name = getattr(plugin, "__name__", None) or str(self._manager.get_name(plugin))
                self._manager.unregister(plugin)
                message = f"tracker '{name.removeprefix('tracker ')}' failed in {hook} and is left out"
                warnings.warn(f"{message}: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)

    def started(self, trial: Trial) -> None:
        directory = self._store.directory(trial.id)
        self._call("harness_trial_started", trial=trial, directory=directory, study=self._study)
        if self._listener:
            self._listener.started(trial)

    def progress(self, trial: Trial, done: int, total: int, loss: float) -> None:
        if self._listener:
            self._listener.progress(trial, done, total, loss)

    def epoch(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
        self._call("harness_epoch_finished", trial=trial, epoch=epoch, values=values)
        if self._listener:
            self._listener.epoch(trial, epoch, values)

    def finished(self, record: Record) -> None:
        self._call("harness_trial_finished", record=record)
        if self._listener:
            self._listener.finished(record)

    def measuring(self, trial: Trial, done: int, total: int) -> None:
        if self._listener:
            self._listener.measuring(trial, done, total)
