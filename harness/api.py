"""The program as a library: everything that the command line does, without printing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import discovery, environment, planning
from .data import data_root
from .discovery import Plugins
from .errors import ConfigError, HarnessError, StoreError
from .executors import Listener, Settings, local
from .executors.telling import Telling
from .foreign import is_target
from .grid import Context, load
from .latency import measure_latency
from .planning import Plan
from .registry import Registry
from .restore import from_plain
from .store import Store, make_folder
from .trackers.switching import switch_on
from .trial import Record, Study, Trial, Value

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from .comparing import Comparison
    from .exporting import Exported
    from .predict import Listener as PredictListener
    from .predict import Predictions, Wish
    from .report import Evidence

Grid = Path | str | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A study that ran: its records by trial id, and where the report lies."""

    study: Study
    records: Mapping[str, Record]
    report: Path
    evidence: Evidence

    @property
    def failed(self) -> tuple[Record, ...]:
        return tuple(r for r in self.records.values() if r.status == "failed")

    def table(self) -> pd.DataFrame:
        """The comparison table: one row a cell, numeric columns."""
        from .report import table

        return table(self.evidence)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where trials will run: devices, workers, threads a worker, and processes a worker that load batches."""

    devices: tuple[str, ...]
    workers: int
    threads: int
    loaders: int = 0


def load_registry(third_party: bool = True) -> Registry:
    """Every component that is installed. Plugins that cannot be loaded are left out; `harness doctor` names them."""
    return discovery.load(third_party).registry


def ablate(
    grid: Grid,
    *,
    runs: Path | str = "runs",
    reports: Path | str = "reports",
    device: str = "auto",
    workers: int | Literal["auto"] = "auto",
    retry_failed: bool = False,
    fail_fast: bool = False,
    overrides: Sequence[str] = (),
    listener: Listener | None = None,
    plugins: Plugins | None = None,
    trackers: Sequence[str] = (),
) -> StudyResult:
    """Train what is missing of a grid (a path or a mapping) and write its report.

    `trackers` are told of it beside those that HARNESS_TRACKERS names (TensorBoard, if it is not set).

    Raises HarnessError for what the user can mend; failed trials do not raise, see `StudyResult.failed`.
    """
    plugins = plugins or discovery.load()
    switch_on(plugins, trackers)
    store = Store(Path(runs))
    plan, machine = prepare(grid, store, plugins, device, workers, retry_failed, overrides)
    return execute(plan, machine, store, Path(reports), plugins, listener, fail_fast)


def prepare(
    grid: Grid,
    store: Store,
    plugins: Plugins,
    device: str = "auto",
    workers: int | Literal["auto"] = "auto",
    retry_failed: bool = False,
    overrides: Sequence[str] = (),
) -> tuple[Plan, Machine]:
    """Read and check a grid, look its trials up in the store, and decide where the rest will run."""
    with environment.collecting_seldom():
        resolved = environment.resolve_device(device)
        context = Context(data_root(), environment.auto_precision(resolved), environment.RESULTS_VERSION)
        source = Path(grid) if isinstance(grid, str) else grid
        study = load(source, _knowing(plugins.registry, store), context, overrides)
        planning.check_metrics(study, plugins.registry, "grid" if isinstance(source, Mapping) else str(source))
        plan = planning.make(study, store, retry_failed)
    plan = planning.preflight(plan, plugins.registry, context.data_root)
    return plan, machine_for(resolved, workers, len(plan.study.trials()), explicit=":" in device)


def machine_for(device: str, workers: int | Literal["auto"], trials: int, explicit: bool = False) -> Machine:
    """`auto`: on CUDA one worker a GPU (one, if a GPU was named); on a CPU workers of one to four threads each."""
    cores = environment.cores()
    if workers != "auto" and workers < 1:
        raise ConfigError(f"--workers is {workers}, but must be at least 1", hint="or `auto`")
    devices: tuple[str, ...] = (device,)
    if device.startswith("cuda"):
        import torch

        if not explicit:
            devices = tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))
        count = len(devices) if workers == "auto" else workers
        count = max(1, min(count, trials))
        threads = max(1, cores // count)
        # They load what does not fit on the GPU. On a CPU the data is mapped into memory, and they would only compete.
        return Machine(devices, count, threads, loaders=min(8, threads // 2))
    if device == "mps":
        if workers not in ("auto", 1):
            raise ConfigError(f"--workers is {workers}, but device 'mps' takes one worker", hint="leave --workers out")
        return Machine(devices, 1, cores)
    count = max(1, cores // min(4, max(1, cores // 2))) if workers == "auto" else workers
    # `trials` are all of the study, not those that are left: a study that goes on must use the same number of
    # threads, or its last trials would differ in their bits from those of a fresh run.
    count = max(1, min(count, trials))
    return Machine(devices, count, max(1, cores // count))


def execute(
    plan: Plan,
    machine: Machine,
    store: Store,
    reports: Path,
    plugins: Plugins,
    listener: Listener | None = None,
    fail_fast: bool = False,
) -> StudyResult:
    """Run what is pending, measure it, write the report. Raises StoreError if a folder cannot be written."""
    store.write_study(plan.study)
    make_folder(reports / plan.study.name)
    if plan.pending:
        settings = Settings(
            store.root,
            data_root(),
            machine.devices,
            machine.workers,
            machine.threads,
            machine.loaders,
            third_party=plugins.third_party,
            fail_fast=fail_fast,
            retry_failed=plan.retry_failed,
        )
        local.run(plan.pending, store, plugins.registry, settings, Telling(plugins, plan.study, store, listener))
    measure_latency(plan.study, store, plugins.registry, machine.devices[0])
    if plan.study.evaluate:
        from .probes.run import evaluate_study  # torch is imported only where something is measured

        told = listener.measuring if listener else None
        evaluate_study(plan.study, store, plugins.registry, machine.devices[0], machine.threads, data_root(), told)
    return build_report(plan.study.name, store, reports, plugins.registry)


def build_report(study_name: str, store: Store, reports: Path, registry: Registry) -> StudyResult:
    """Write the report of a study from what the store holds; nothing is trained or measured."""
    with environment.collecting_seldom():
        from .report import build

        study = store.study(study_name)
        evidence = evidence_of(study, store, registry)
        path = build(evidence, reports / study.name)
    return StudyResult(study, evidence.records, path, evidence)


def evidence_of(study: Study, store: Store, registry: Registry) -> Evidence:
    """All that a report reads."""
    from .report import Evidence, Latency

    plan = planning.make(study, store)
    task = planning.task_of(study, _knowing(registry, store), plan.done.values(), store.root)
    measured = store.latency(study.name)
    return Evidence(
        study=study,
        records=plan.done,
        metrics=tuple(task.metrics),
        select=task.select,
        items=store.items,
        figures=store.figures,
        latency={key: from_plain(Latency, plain, "latency") for key, plain in measured.get("rows", {}).items()},
        batched={key: from_plain(Latency, plain, "latency") for key, plain in measured.get("batched", {}).items()},
        identities=task.identities,
        remarks=task.remarks,
        resample=task.resample,
        defaults=_defaults(registry, study),
        stale=plan.stale,
        ceilings=tuple(getattr(task, "ceilings", ())),
        evaluations=store.evaluation,
        together=functools.partial(store.study_evaluation, study.name),
    )


def compare(
    study_a: str,
    study_b: str,
    *,
    runs: Path | str = "runs",
    runs_b: Path | str | None = None,
    registry: Registry | None = None,
) -> Comparison:
    """Two stored studies row by row; `runs_b` is the store of the second, if it is another.

    Raises StoreError for a study that a store does not know, ConfigError if their tasks share no metric.
    """
    from .comparing import compare, side

    plugins, other = registry or load_registry(), runs if runs_b is None else runs_b
    stores = Store(Path(runs)), Store(Path(other))
    a, b = (side(name, s, _knowing(plugins, s)) for name, s in zip((study_a, study_b), stores, strict=True))
    return compare(a, b)


def _knowing(registry: Registry, store: Store) -> Registry:
    """Its errors say of which package a name was, where trials of the store were trained with it."""
    providers = functools.cache(store.providers)
    registry.origin = lambda kind, name: discovery.came_from(providers().get(f"{kind} {name}", ""))
    return registry


def _defaults(registry: Registry, study: Study) -> Callable[[str, str], Mapping[str, Value]]:
    kept = {(kind, name): dict(options) for kind, name, options in study.defaults}

    @functools.cache
    def defaults(kind: str, name: str) -> Mapping[str, Value]:
        if (kind, name) in kept or is_target(name):
            return kept.get((kind, name), {})
        try:  # a study of an older version, which kept those of classes named by `target` alone
            options = registry.get(kind, name).options()
        except HarnessError:  # the plugin that trained it is no longer installed
            return {}
        return {o.name: o.default for o in options if not o.required}

    return defaults


def load_trial(
    trial_id: str, *, runs: Path | str = "runs", registry: Registry | None = None, changed: bool = False
) -> tuple[nn.Module, Trial]:
    """The trained model of a finished trial (evaluation mode, on the CPU) and the trial. An id may be shortened.

    Raises StoreError if there is no such trial, or if it failed; ConfigError if a class of it that is no plugin is
    gone, or has changed since. With `changed` a change is a warning.
    """
    from .assembly import stored_model

    store = Store(Path(runs))
    record = store.find(trial_id)
    if record.status != "ok":
        raise StoreError(f"trial '{record.id}' {record.status}: {record.reason}")
    return stored_model(record, store, _knowing(registry or load_registry(), store), changed)[0], record.trial


def predict(
    trial_id: str,
    inputs: Sequence[Path | str] | Path | str,
    out: Path | str,
    *,
    runs: Path | str = "runs",
    wish: Wish | None = None,
    device: str = "auto",
    listener: PredictListener | None = None,
    registry: Registry | None = None,
    explain: bool = False,
    changed: bool = False,
) -> Predictions:
    """Keyframes of videos, or classes of images (files, or folders of them; or one), by a finished trial.

    What the trial's model reads decides which. Each video gets a folder below `out`; images get tables, a sheet and a
    page in `out`, with `wish.top` classes each, and with `explain` a picture each of where the model looked.
    `changed` is that of `load_trial`.
    What cannot be done does not raise, see `Predictions.failures`; HarnessError is for what concerns all.
    """
    from .predict import run

    record = Store(Path(runs)).find(trial_id)
    resolved = environment.resolve_device(device)
    model = functools.partial(load_trial, record.id, runs=runs, registry=registry, changed=changed)
    paths = [Path(i) for i in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
    return run(record, lambda: model()[0], paths, Path(out), wish, resolved, listener, explain)


def export(
    trial_id: str,
    wanted: str,
    out: Path | str | None = None,
    *,
    runs: Path | str = "runs",
    registry: Registry | None = None,
    changed: bool = False,
) -> Exported:
    """Write a finished trial's model in a format (torch-export, onnx, safetensors), read it back and compare.

    `changed` is that of `load_trial`.
    Raises HarnessError, see `exporting.export`; nothing is left behind then.
    """
    from . import exporting

    exporting.checked(wanted)
    record = Store(Path(runs)).find(trial_id)
    model, _ = load_trial(record.id, runs=runs, registry=registry, changed=changed)
    return exporting.export(record, model, wanted, None if out is None else Path(out))
