"""What a study still has to do: which trials are done, which are stale and why, which will run; checked beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import GridError, HarnessError
from .registry import Registry
from .store import Store
from .trial import Config, Provenance, Record, Study, Trial

PREFLIGHT = 200
"""At most so many different models are built before anything trains; the rest is checked when its turn comes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`done` by trial id; `pending` in the order in which they will run; `stale`: cell key -> cause."""

    study: Study
    done: Mapping[str, Record]
    pending: tuple[Trial, ...]
    stale: Mapping[str, str]

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
    return Plan(study, done, tuple(pending), _stale(study, pending, store))


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


def preflight(plan: Plan, registry: Registry, data_root: Path) -> None:
    """Build every different model of the pending trials once. Raises GridError with all that cannot be built."""
    from .assembly import assemble, freeze, plain_options

    seen: set[tuple[object, ...]] = set()
    mistakes: list[HarnessError] = []
    labels = {t.id: c.label for c in plan.study.cells for t in c.trials}
    for trial in plan.pending:
        key = _shape(trial.config)
        if key in seen or len(seen) >= PREFLIGHT:
            continue
        seen.add(key)
        try:
            parts = assemble(trial.config, registry, data_root)
            for stage in trial.config.train.stages:
                freeze(parts.model, parts.contract.groups(), stage)
                registry.build("optimizer", stage.optimizer.name, parts.model, **plain_options(stage.optimizer))
        except HarnessError as error:
            mistakes.append(HarnessError(f"row '{labels[trial.id]}': {error.message}", error.hint))
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
        config.train.stages,
    )
