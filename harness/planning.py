"""What a study still has to do: which trials are done, which are stale and why, which will run; checked beforehand."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import foreign
from .contracts import Frames, SplitName, Task
from .errors import ComponentFailed, ConfigError, GridError, HarnessError, NoControl
from .importing import told
from .registry import Registry, suggest
from .store import Store
from .trial import Cell, Config, Provenance, Record, Skipped, Study, Trial, trainable_names

PREFLIGHT = 200
"""At most so many different models are built before anything trains; the rest is checked when its turn comes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`done` (with those that failed) by trial id; `pending` in the order in which they will run.

    `stale`: cell key -> cause. `doomed`: cell key -> what a component of it raised when its model was tried.
    """

    study: Study
    done: Mapping[str, Record]
    pending: tuple[Trial, ...]
    stale: Mapping[str, str]
    retry_failed: bool = False
    doomed: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[Record, ...]:
        return tuple(r for r in self.done.values() if r.status == "failed")


def make(study: Study, store: Store, retry_failed: bool = False) -> Plan:
    """Look every trial up in the store. A failed trial counts as done unless `retry_failed`."""
    done: dict[str, Record] = {}
    pending = []
    for trial in study.trials():
        record = store.record(trial.id)
        if record is None or (retry_failed and record.status == "failed"):
            pending.append(trial)
        else:
            done[trial.id] = record
    return Plan(study, done, tuple(pending), _stale(study, pending, store), retry_failed)


def _stale(study: Study, pending: Sequence[Trial], store: Store) -> dict[str, str]:
    """Cells that were trained under the same configuration, but with other code or data."""
    wanted = {t.config_id: t for t in pending}
    if not wanted:
        return {}
    older: dict[str, Provenance] = {}
    for record in store.records():
        trial = record.trial
        if trial.config_id in wanted and trial.id != wanted[trial.config_id].id:
            older[trial.config_id] = trial.provenance
    found = {}
    for cell in study.cells:
        for trial in cell.trials:
            if trial.config_id in older and trial.config_id in wanted:
                found[cell.key] = cause(older[trial.config_id], trial.provenance)
                break
    return found


def cause(before: Provenance, now: Provenance) -> str:
    """Why a trial of the same configuration must be trained again."""
    reasons = []
    old = dict(before.sources)
    changed = [name for name, digest in now.sources if old.get(name) != digest]
    if changed:
        reasons.append(f"the source of {', '.join(changed)} changed")
    if before.core != now.core:
        reasons.append(f"the core's results version went from {before.core} to {now.core}")
    if before.dataset != now.dataset:
        reasons.append("the data changed")
    return "; ".join(reasons) or "an earlier version recorded it differently"


def preflight(plan: Plan, registry: Registry, data_root: Path) -> Plan:
    """Build every different row of the pending trials once, and prepare one item for it.

    Gives the plan without the controls that cannot be made of their block, each left out with its reason. What a
    component raises beside HarnessError is a bug of its own: it stands in `doomed` and becomes a failed trial, and the
    other rows go on. Raises GridError with all else that does not fit together; and with those bugs where nothing but
    them is left to train, since that would only write a report of failures over the one that there is.
    """
    seen: set[tuple[object, ...]] = set()
    mistakes: list[HarnessError] = []
    bugs: dict[tuple[object, ...], str] = {}
    unmade: dict[str, str] = {}
    cells = {t.id: c for c in plan.study.cells for t in c.trials}
    for trial in plan.pending:
        key, cell = _shape(trial.config), cells[trial.id]
        if key in seen or len(seen) >= PREFLIGHT:
            continue
        seen.add(key)
        try:
            _try(trial.config, registry, data_root)
        except HarnessError as error:
            if isinstance(error, NoControl) and cell.control and not cell.baseline:
                unmade[cell.key] = error.message
            else:
                mistakes.append(HarnessError(f"row '{cell.label}': {error.message}", error.hint))
        except (Exception, SystemExit) as error:
            bugs[key] = _said(error, trial, registry)
    plan = _without(plan, unmade)
    doomed: dict[str, str] = {}
    for trial in plan.pending:
        if why := bugs.get(_shape(trial.config)):
            doomed.setdefault(cells[trial.id].key, why)
    if bugs and all(_shape(t.config) in bugs for t in plan.pending):
        labels = {cell.key: cell.label for cell in plan.study.cells}
        hint = "nothing else is to be trained, so nothing was run, and what there was stays"
        mistakes += [HarnessError(f"row '{labels[key]}' fails: {why}", hint) for key, why in doomed.items()]
    if mistakes:
        raise GridError(mistakes)
    return dataclasses.replace(plan, doomed=doomed)


def _said(error: BaseException, trial: Trial, registry: Registry) -> str:
    """The words of an error, with the line of the row's components that raised it where the words have none."""
    if isinstance(error, ComponentFailed):
        return str(error)
    return told(error, *(registry.get(kind, name).module for kind, name in trial.provenance.components()))


def _without(plan: Plan, unmade: Mapping[str, str]) -> Plan:
    """The plan less these cells (key -> why they cannot be made)."""
    if not unmade:
        return plan
    kept: list[Cell] = []
    skipped = list(plan.study.skipped)
    for cell in plan.study.cells:
        if cell.key in unmade:
            skipped.append(Skipped(cell.label, unmade[cell.key]))
        else:
            kept.append(cell)
    study = dataclasses.replace(plan.study, cells=tuple(kept), skipped=tuple(skipped))
    ids = {t.id for t in study.trials()}
    return dataclasses.replace(
        plan,
        study=study,
        done={key: record for key, record in plan.done.items() if key in ids},
        pending=tuple(t for t in plan.pending if t.id in ids),
        stale={key: why for key, why in plan.stale.items() if key not in unmade},
    )


def _try(config: Config, registry: Registry, data_root: Path) -> None:
    from .assembly import assemble, begin_stage, check_splits, loss_terms
    from .loading import Loader
    from .measure import example

    parts = assemble(config, registry, data_root)
    names: tuple[SplitName, ...] = ("train", "val", "test")
    splits = {name: parts.dataset.split(name, config.fold) for name in names}
    check_splits(config, {name: len(split) for name, split in splits.items()})
    loader = Loader(splits["train"], "cpu", config.train.batch_size, config.seed)
    for stage in config.train.stages:
        begin_stage(parts, registry, stage, loader.steps)
    train = splits["train"]
    # Frames say nothing that a loss could object to, and decoding a long video takes its time.
    batch = parts.prepare({**(train.lean([0], 0) if isinstance(train, Frames) else train.batch([0], 0))}, epoch=0)
    # Output of the right shape, so that a loss that is none for this task says so before anything trains.
    output = example(parts.io.outputs, 1, "cpu", varying=train.lengths[0] if train.lengths else 1)
    loss_terms(parts, output, batch)


def task_of(study: Study, registry: Registry, records: Iterable[Record] = (), store: Path | None = None) -> Task:
    """The one task of a study. `records` of a store say where its class lay, if it is one that is no plugin."""
    trial = study.cells[0].trials[0]
    choice = trial.config.task
    told: tuple[str, ...] = ()
    if foreign.is_target(choice.name) and store is not None:
        folders = {module: folder for record in records for module, folder in record.targets.items()}
        told = foreign.recall([choice.name], trial.provenance.foreign("task"), folders, store)
    task: Task = registry.build("task", choice.name, **choice.keywords())
    foreign.complete("task", choice.name, task)
    for sentence in told:
        warnings.warn(f"study '{study.name}': {sentence}", RuntimeWarning, stacklevel=2)
    return task


def check_metrics(study: Study, registry: Registry, file: str) -> None:
    """Raises GridError if rows have different tasks, or a claim or score speaks of a metric that there is not."""
    task = task_of(study, registry)
    choices = list(dict.fromkeys(t.config.task for t in study.trials()))
    if len(choices) > 1:
        what = " and ".join(c.label() for c in choices[:3])
        error = ConfigError(
            f"{file}: rows have different tasks ({what})", "their numbers compare with nothing: one study each"
        )
        raise GridError([error])
    known = [m.name for m in task.metrics] + [
        "parameters",
        "attention_parameters",
        "macs",
        "seconds",
        "peak_memory",
        "latency",
    ]
    known += trainable_names(study)
    mistakes = []
    for i, claim in enumerate(study.claims):
        if claim.metric not in known:
            place = f"{file}:{claim.line}" if claim.line else file
            mistakes.append(
                ConfigError(
                    f"{place}: claims[{i}].metric: unknown metric '{claim.metric}'", suggest(claim.metric, known)
                )
            )
    names = [m.name for m in task.metrics]
    for name, _ in study.reach:
        if name not in names:
            mistakes.append(ConfigError(f"{file}: reach: unknown metric '{name}'", suggest(name, names)))
    if mistakes:
        raise GridError(mistakes)


def _shape(config: Config) -> tuple[object, ...]:
    return (
        config.task,
        config.dataset,
        config.model,
        config.attention,
        config.placement,
        config.loss,
        config.augment,
        config.train,
        config.fold,
    )
