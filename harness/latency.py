"""Latency of all rows of a study, measured in turn, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from . import environment
from .contracts import IO
from .data import without_initial_weights
from .registry import Registry
from .restore import from_plain
from .store import Store
from .trial import Record, Study

LATENCY_ROWS = 100
"""Models of at most so many rows are held in memory together, to be timed in turn."""

LATENCY_SPREAD = 1.5
"""Quartiles further apart than this factor were measured on a busy machine."""


def measure_latency(study: Study, store: Store, registry: Registry, device: str) -> None:
    """Time one forward pass of every row's model in turn, unless it was measured for the same rows here before.

    What goes wrong here is a warning and an empty column: the trained results must reach their report.
    """
    rows: dict[str, Record] = {}
    for cell in study.cells[:LATENCY_ROWS]:
        records = (store.record(t.id) for t in cell.trials)
        done = next((r for r in records if r is not None and r.status == "ok"), None)
        if done is not None:
            rows[cell.key] = done
    threads = environment.cores()
    signature = {
        "rows": {key: record.id for key, record in rows.items()},
        "device": device,
        "threads": threads,
        "versions": environment.versions(),
    }
    before = store.latency(study.name)
    if not rows or (before.get("signature") == signature and _calm(before)):
        return
    try:
        measured = _latencies(rows, registry, device, threads)
    except Exception as error:
        warnings.warn(f"latency could not be measured: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)
        return
    store.write_latency(study.name, {"signature": signature, "rows": measured})


def _calm(measured: Mapping[str, Any]) -> bool:
    """Were the quartiles near each other? Where they were not, something else ran, and the next call measures again."""
    rows = measured.get("rows", {}).values()
    return all(row["high_ms"] <= LATENCY_SPREAD * row["low_ms"] for row in rows)


def _latencies(rows: Mapping[str, Record], registry: Registry, device: str, threads: int) -> Mapping[str, Any]:
    from . import measure
    from .assembly import build_model

    with environment.pinned(threads, False), without_initial_weights():
        models = {}
        for key, record in rows.items():
            io = from_plain(IO, record.io, "record.io")
            models[key] = (build_model(record.trial.config, registry, io)[0], io)
        return measure.latency(models, device)
