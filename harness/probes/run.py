"""Evaluations of the stored trials of a study: what was measured before under the same signature stays as it is."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from .. import environment, gallery
from ..contracts import Evaluation
from ..grid.capacity import wraps
from ..registry import Registry
from ..store import Store, measured_before
from ..trial import Record, Study, Trial
from . import gates, knockout, maps
from .opened import Opened, Opener

Measure = Callable[[Opened], Evaluation]
Job = tuple[Mapping[str, object], Measure]


def evaluate_study(
    study: Study,
    store: Store,
    registry: Registry,
    device: str,
    threads: int,
    data_root: Path,
    told: Callable[[Trial, int, int], None] | None = None,
) -> None:
    """Measure what `study.evaluate` asks for of every finished trial, unless it was measured before.

    What goes wrong is a warning that names trial and probe, since trained results must reach their report. `told` hears
    of every trial in which something is to be measured, with its place among all that are done.
    """
    done = [r for t in study.trials() if (r := store.record(t.id)) is not None and r.status == "ok"]
    opener = Opener(store, registry, data_root, device)
    with environment.pinned(threads, False):
        for place, record in enumerate(done, 1):
            opened: Opened | None = None
            for name in study.evaluate:
                try:
                    job = _job(name, record, store, registry, device)
                    stored = functools.partial(store.evaluation, record.id, name)
                    if job is None or measured_before(stored, job[0]):
                        continue
                    if opened is None and told is not None:
                        told(record.trial, place, len(done))
                    opened = opened or opener.open(record)
                    store.write_evaluation(record.id, job[1](opened))
                except Exception as error:
                    message = f"'{name}' of trial '{record.id}' could not be measured: {type(error).__name__}: {error}"
                    warnings.warn(message, RuntimeWarning, stacklevel=2)
    if gallery.NAME in study.evaluate:
        gallery.make_gallery(study, store, registry, data_root)


def _job(name: str, record: Record, store: Store, registry: Registry, device: str) -> Job | None:
    """What would be measured and how; None where a probe says nothing about a trial."""
    total = record.sizes.get("test", 0)
    if name == maps.NAME and record.classes:
        items = store.items(record.id)
        if items is None or "target" not in items.values:
            return None
        chosen = maps.choose(items, record.classes)
        return maps.signature(chosen, total, device), lambda opened: maps.measure_maps(opened, chosen)
    if not record.sites:
        return None
    if name == knockout.NAME:
        most = knockout.item_count(record, device)
        signature = knockout.signature(total, most, device)
        return signature, lambda opened: knockout.measure_knockout(opened, most)
    attention = record.trial.config.attention
    target = registry.get("attention", attention.name).load()
    # A block that wraps another is a control of it: a convolution, or gates that are not its input's own.
    if name == gates.NAME and not wraps(attention) and getattr(target, "domain", "image") == "image":
        return gates.signature(total, device), gates.measure_gates
    return None
