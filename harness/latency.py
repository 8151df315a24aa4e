"""Latency of all rows of a study, measured in turn, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import environment
from .contracts import IO
from .data import without_initial_weights
from .registry import Registry
from .restore import from_plain
from .store import Store
from .trial import Record, Study

if TYPE_CHECKING:
    from torch import nn

LATENCY_ROWS = 100
"""Models of at most so many rows are held in memory together, to be timed in turn."""

BATCHED_ROUNDS = 20
BATCHED_SECONDS = 8.0
"""At the training batch, a row gets about so many seconds; a large model is timed in fewer rounds, and that is told."""

LATENCY_SPREAD = 1.5
"""Quartiles further apart than this factor were measured on a busy machine."""


def measure_latency(study: Study, store: Store, registry: Registry, device: str) -> None:
    """Time one forward pass of every row's model in turn, unless it was measured for the same rows here before.

    First with one item, then with as many as a training batch has; on CUDA with the memory that it takes.
    What goes wrong here is a warning and an empty column: the trained results must reach their report.
    """
    rows: dict[str, Record] = {}
    for cell in study.cells[:LATENCY_ROWS]:
        records = (store.record(t.id) for t in cell.trials)
        done = next((r for r in records if r is not None and r.status == "ok"), None)
        if done is not None:
            rows[cell.key] = done
    threads = environment.cores()
    batches = {key: record.trial.config.train.batch_size for key, record in rows.items()}
    signature = {
        "rows": {key: record.id for key, record in rows.items()},
        "device": device,
        "threads": threads,
        "versions": environment.versions(),
        "batches": batches,
    }
    before = store.latency(study.name)
    if not rows or (before.get("signature") == signature and before.get("batched") and _calm(before)):
        return
    from . import measure

    try:
        models = _models(rows, registry)
        with environment.pinned(threads, False):
            measured = measure.latency(models, device)
    except Exception as error:
        warnings.warn(f"latency could not be measured: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)
        return
    batched: Mapping[str, Any] = {}
    try:
        with environment.pinned(threads, False):
            batched = measure.latency(models, device, batches, BATCHED_ROUNDS, 2, BATCHED_SECONDS)
    except Exception as error:  # all rows together may need more memory at the training batch than there is
        what = f"the cost of a training batch could not be measured: {type(error).__name__}: {error}"
        warnings.warn(what, RuntimeWarning, stacklevel=2)
    store.write_latency(study.name, {"signature": signature, "rows": measured, "batched": batched})


def _calm(measured: Mapping[str, Any]) -> bool:
    """Were the quartiles near each other? Where they were not, something else ran, and the next call measures again."""
    rows = (*measured.get("rows", {}).values(), *measured.get("batched", {}).values())
    return all(row["high_ms"] <= LATENCY_SPREAD * row["low_ms"] for row in rows)


def _models(rows: Mapping[str, Record], registry: Registry) -> dict[str, tuple[nn.Module, IO]]:
    from .assembly import build_model

    with without_initial_weights():
        models = {}
        for key, record in rows.items():
            io = from_plain(IO, record.io, "record.io")
            models[key] = (build_model(record.trial.config, registry, io)[0], io)
    return models
