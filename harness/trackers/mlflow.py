"""MLflow: one run a trial, in the experiment of its study's name (or MLFLOW_EXPERIMENT_NAME).

Where it writes is MLflow's own business: MLFLOW_TRACKING_URI, else MLflow's default in this folder. The client that
names its run in every call is used, since several trials run at a time.
"""

from __future__ import annotations

import atexit
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..hookspecs import hookimpl
from ..plain import digest
from ..trial import Record, Study, Trial
from . import wording

NOTE = "mlflow.json"
EPOCH = "epoch"
"""A metric that is logged last of every epoch: its steps say which epochs a run has."""
_STATUS = {"ok": "FINISHED", "failed": "FAILED", "skipped": "KILLED"}
_BATCH = 100  # parameters a request, which is MLflow's limit
_LONGEST = 500  # letters of a parameter, which every version takes


@dataclass(slots=True)
class _Run:
    id: str
    epochs: set[int]


class Mlflow:
    """Parameters, metrics by epoch, final metrics, tags and the status of every trial.

    Raises ConfigError if the library is not installed, or if it cannot use its store or server.
    """

    def __init__(self) -> None:
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise ConfigError(
                f"tracker 'mlflow' needs the library MLflow: {error}", hint="pip install 'ablation-harness[mlflow]'"
            ) from error
        try:
            with _hasty():
                self._client = MlflowClient()
                self._client.search_experiments(max_results=1)
        except Exception as error:  # an unreachable server, a store that this installation cannot use, …
            raise ConfigError(
                f"tracker 'mlflow' cannot use its store: {_first_line(error)}",
                hint="set MLFLOW_TRACKING_URI to a server or to sqlite:///mlflow.db, which needs the extra `mlflow`",
            ) from error
        self._runs: dict[str, _Run] = {}
        atexit.register(self._leave)

    @hookimpl
    def harness_trial_started(self, trial: Trial, directory: Path, study: Study) -> None:
        run = self._known(directory) or self._new(trial, directory, study)
        self._runs[trial.id] = run
        tags = {"trial": trial.id, "study": study.name, "row": wording.row(trial, study), "seed": trial.config.seed}
        for key, value in {**tags, "fold": trial.config.fold}.items():
            self._client.set_tag(run.id, f"harness.{key}", str(value))

    @hookimpl
    def harness_epoch_finished(self, trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
        run = self._runs.get(trial.id)
        if run is not None:
            self._epoch(run, epoch, values)

    @hookimpl
    def harness_trial_finished(self, record: Record) -> None:
        run = self._runs.pop(record.id, None)
        if run is None:  # trained by another process, which told of it
            return
        for epoch, values in enumerate(record.curve, 1):
            self._epoch(run, epoch, values)  # those that were trained, but not told before an interrupt
        self._log(run, wording.results(record), record.chosen_epoch)
        if record.reason:
            self._client.set_tag(run.id, "harness.reason", wording.reason(record))
        self._client.set_terminated(run.id, status=_STATUS[record.status])

    def _known(self, directory: Path) -> _Run | None:
        """The run of an interrupted or failed trial, if this server still has it."""
        note = wording.read_note(directory / NOTE)
        if note.get("store") != self._store() or not isinstance(note.get("run"), str):
            return None
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_run(note["run"])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if found.info.lifecycle_stage != "active":
            return None
        self._client.update_run(found.info.run_id, status="RUNNING")
        history = self._client.get_metric_history(found.info.run_id, EPOCH)
        return _Run(found.info.run_id, {m.step for m in history})

    def _new(self, trial: Trial, directory: Path, study: Study) -> _Run:
        from mlflow.entities import Param

        created = self._client.create_run(self._experiment(study.name), run_name=wording.name(trial, study))
        run = _Run(created.info.run_id, set())
        wording.write_note(directory / NOTE, {"store": self._store(), "run": run.id})
        params = [Param(k, v[:_LONGEST]) for k, v in _safe(wording.parameters(trial)).items()]
        for i in range(0, len(params), _BATCH):
            self._client.log_batch(run.id, params=params[i : i + _BATCH])
        return run

    def _store(self) -> str:
        """Tells one store or server from another; not the address itself, which may hold a password."""
        return digest(self._client.tracking_uri)[:16]

    def _experiment(self, study: str) -> str:
        wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME") or study
        found = self._client.get_experiment_by_name(wanted)
        if found is None:
            try:
                return str(self._client.create_experiment(wanted))
            except Exception:
                found = self._client.get_experiment_by_name(wanted)
                if found is None:  # else: another process has just made it
                    raise
        return str(found.experiment_id)

    def _epoch(self, run: _Run, epoch: int, values: Mapping[str, float]) -> None:
        if epoch not in run.epochs:
            self._log(run, {**values, EPOCH: epoch}, epoch)
            run.epochs.add(epoch)

    def _log(self, run: _Run, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._client.log_batch(run.id, metrics=[Metric(k, float(v), now, step) for k, v in _safe(values).items()])

    def _leave(self) -> None:
        """What is still under way when the program ends was interrupted; MLflow would show it as running for ever."""
        with _hasty(), suppress(Exception):
            for run in self._runs.values():
                self._client.set_terminated(run.id, status="KILLED")


@contextmanager
def _hasty() -> Iterator[None]:
    """Ask once more at most: by default MLflow tries a server that is not there for minutes."""
    limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    set_here = [name for name in limits if name not in os.environ]
    os.environ.update({name: limits[name] for name in set_here})
    try:
        yield
    finally:
        for name in set_here:
            os.environ.pop(name, None)


def _safe(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys in the letters that MLflow takes: `loss[0].loss` becomes `loss.0.loss`."""
    return {re.sub(r"[^\w\-. :/]", "_", re.sub(r"\[(\d+)\]", r".\1", k), flags=re.ASCII): v for k, v in values.items()}


def _first_line(error: BaseException) -> str:
    return next(iter(_lines(error)), type(error).__name__)


def _lines(error: BaseException) -> Iterable[str]:
    return (line.strip() for line in str(error).splitlines() if line.strip())
