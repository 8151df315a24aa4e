"""Two studies side by side: the rows that both have, those that one has alone, and what lies between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .claims.numbers import seed_values
from .contracts import Metric
from .errors import ConfigError
from .plain import dotted
from .planning import cause, make, task_of
from .registry import Registry
from .stats import Interval, mean_interval, paired_difference, welch_difference
from .store import Store
from .trial import Cell, Record, Study, Trial, to_plain

Method = Literal["paired", "welch", "same trials", "shared trials", "none"]


@dataclass(frozen=True, slots=True)
class Side:
    """A study with the records of its trials, by their ids, and the metrics of its task."""

    study: Study
    records: Mapping[str, Record]
    metrics: tuple[Metric, ...]
    select: str


@dataclass(frozen=True, slots=True)
class Change:
    """One metric of one row: its mean over seeds on both sides, and B - A with a 95 % interval.

    paired: Student's t over the `seeds` that both have, and the means of both sides are over these alone, so that B - A
    is their difference. welch: without pairing. "same trials", "shared trials": all or some trials are the very same on
    both sides, so the two are no independent samples and there is no interval. none: a side has no finished seed, or
    too few for an interval. Where it is not paired, each mean is over all finished seeds of its side.
    """

    a: Interval
    b: Interval
    difference: float | None
    low: float | None
    high: float | None
    method: Method
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Both:
    """A row with the same configuration in both studies; `notes`: where code, data, seeds or folds differ."""

    a: str
    b: str
    changes: Mapping[str, Change]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Differs:
    """A dotted key of the configuration and its two values as text; "–" where a side does not have the key."""

    key: str
    own: str
    other: str


@dataclass(frozen=True, slots=True)
class Alone:
    """A row that one study has alone, the other's row that is nearest to it, and every key in which they differ."""

    row: str
    nearest: str
    differs: tuple[Differs, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`metrics`: those that both tasks have; `primary` is among them."""

    a: str
    b: str
    primary: str
    metrics: tuple[Metric, ...]
    both: tuple[Both, ...]
    only_a: tuple[Alone, ...] = field(default=())
    only_b: tuple[Alone, ...] = field(default=())


def side(name: str, store: Store, registry: Registry) -> Side:
    """What a store holds of a study. Raises StoreError if it knows no such study."""
    study = store.study(name)
    done = make(study, store).done
    task = task_of(study, registry, done.values(), store.root)
    return Side(study, done, tuple(task.metrics), task.select)


def compare(a: Side, b: Side) -> Comparison:
    """Raises ConfigError if the tasks of the two studies have no metric in common."""
    other = {m.name: m for m in b.metrics}
    metrics = tuple(m for m in a.metrics if (m.unit, m.better) == _form(other.get(m.name)))
    if not metrics:
        raise ConfigError(
            f"'{a.study.name}' and '{b.study.name}' have no metric in common",
            hint=f"{', '.join(m.name for m in a.metrics)}; {', '.join(other)}",
        )
    names = [m.name for m in metrics]
    primary = next((s for s in (a.select, b.select) if s in names), names[0])
    left, right = ({_shape(c): c for c in side.study.cells} for side in (a, b))
    both = tuple(_both(a, b, cell, right[key], metrics) for key, cell in left.items() if key in right)
    only_a = tuple(_alone(cell, b.study.cells) for key, cell in left.items() if key not in right)
    only_b = tuple(_alone(cell, a.study.cells) for key, cell in right.items() if key not in left)
    return Comparison(a.study.name, b.study.name, primary, metrics, both, only_a, only_b)


def _form(metric: Metric | None) -> tuple[str, str] | None:
    return None if metric is None else (metric.unit, metric.better)


def _shape(cell: Cell) -> str:
    """The hash of the row's configuration, whatever its seeds and folds."""
    trial = cell.trials[0]
    return Trial(dataclasses.replace(trial.config, seed=0, fold=0), trial.provenance).config_id


def _both(a: Side, b: Side, left: Cell, right: Cell, metrics: Sequence[Metric]) -> Both:
    ids_a, ids_b = {t.id for t in left.trials}, {t.id for t in right.trials}
    shared = ids_a & ids_b
    folds_a, folds_b = ({t.config.fold for t in cell.trials} for cell in (left, right))
    seeds_a, seeds_b = ({t.config.seed for t in cell.trials} for cell in (left, right))
    notes = []
    if left.trials[0].provenance != right.trials[0].provenance:
        notes.append(f"only code or data differ: {cause(left.trials[0].provenance, right.trials[0].provenance)}")
    if folds_a != folds_b:
        notes.append(f"folds differ: {_listed(folds_a)} and {_listed(folds_b)}")
    if seeds_a != seeds_b:
        notes.append(f"seeds differ: {_listed(seeds_a)} and {_listed(seeds_b)}")
    if shared and ids_a != ids_b:
        notes.append(f"{len(shared)} trials are in both")
    for side, cell in ((a, left), (b, right)):
        done = sum(1 for t in cell.trials if (r := side.records.get(t.id)) is not None and r.status == "ok")
        if done < len(cell.trials):
            notes.append(f"{done} of {len(cell.trials)} trials of '{side.study.name}' are finished")
    if any(_numbers(a, i) != _numbers(b, i) for i in shared):
        notes.append("the same trials have other results in the two stores")
    method: Method | None = ("same trials" if ids_a == ids_b else "shared trials") if shared else None
    changes = {
        m.name: _change(
            seed_values(left, a.records, m.name), seed_values(right, b.records, m.name), method, folds_a == folds_b
        )
        for m in metrics
    }
    return Both(left.label, right.label, changes, tuple(notes))


def _numbers(side: Side, trial_id: str) -> Mapping[str, float] | None:
    record = side.records.get(trial_id)
    return None if record is None else record.metrics


def _listed(numbers: set[int]) -> str:
    return ", ".join(str(n) for n in sorted(numbers))


def _change(a: Mapping[int, float], b: Mapping[int, float], given: Method | None, pairable: bool) -> Change:
    left, right = mean_interval(list(a.values())), mean_interval(list(b.values()))
    if left.mean is None or right.mean is None:
        return Change(left, right, None, None, None, given or "none")
    plain = right.mean - left.mean
    if given is not None:
        return Change(left, right, plain, None, None, given)
    common = tuple(sorted(a.keys() & b.keys()))
    # With few common seeds out of many, what pairing saves is less than what leaving the others out costs.
    if pairable and len(common) == min(len(a), len(b)):
        own, other = ({s: side[s] for s in common} for side in (a, b))
        found = paired_difference(other, own)
        left, right = mean_interval(list(own.values())), mean_interval(list(other.values()))
        return Change(left, right, found.mean, found.low, found.high, "paired", common)
    ends = welch_difference(list(b.values()), list(a.values()))
    low, high = ends or (None, None)
    return Change(left, right, plain, low, high, "welch" if ends else "none")


def _alone(cell: Cell, others: Sequence[Cell]) -> Alone:
    own = dict(dotted(_config(cell)))
    best: tuple[str, tuple[Differs, ...]] | None = None
    for other in others:
        theirs = dict(dotted(_config(other)))
        keys = dict.fromkeys((*own, *theirs))
        found = tuple(
            Differs(k, own.get(k, "–"), theirs.get(k, "–")) for k in keys if own.get(k, "–") != theirs.get(k, "–")
        )
        if best is None or len(found) < len(best[1]):
            best = (other.label, found)
    return Alone(cell.label, *(best or ("", ())))


def _config(cell: Cell) -> Any:
    plain = to_plain(cell.trials[0].config)
    return {k: v for k, v in plain.items() if k not in ("seed", "fold")}
