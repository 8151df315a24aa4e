"""Latency of all rows of a study, measured in turn, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

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

TRIES = 3
"""So often at most the same rows are measured, as long as a busy machine spoils it or it fails."""

Rows: TypeAlias = Mapping[str, Any]
_Models: TypeAlias = "dict[str, tuple[nn.Module, IO]]"


def measure_latency(study: Study, store: Store, registry: Registry, device: str) -> None:
    """Time one forward pass of every row's model in turn, unless it was measured for the same rows here before.

    First with one item, then with as many as a training batch has; on CUDA with the memory that it takes. A part that
    failed, or that a busy machine spoiled, is measured again by the next calls, `TRIES` times in all.
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
    state: dict[str, Any] = {"signature": signature}
    if before.get("signature") == signature:
        state |= before
    due = [part for part in _PARTS if rows and not _settled(state, part)]
    if not due:
        return
    from . import measure

    passes: dict[str, Callable[[_Models], Rows]] = {
        "rows": lambda models: measure.latency(models, device),
        "batched": lambda models: measure.latency(models, device, batches, BATCHED_ROUNDS, 2, BATCHED_SECONDS),
    }
    models: _Models = {}
    while due:
        part = due.pop(0)
        tries = _tries(state, part) + 1
        state["tries"] = {**state.get("tries", {}), part: tries}
        try:
            models = models or _models(rows, registry)
            with environment.pinned(threads, False):
                found = passes[part](models)
        except Exception as error:  # all rows together may need more memory at the training batch than there is
            what = f"{_PARTS[part]} could not be measured: {type(error).__name__}: {error} (try {tries} of {TRIES})"
            warnings.warn(what, RuntimeWarning, stacklevel=2)
            state["failed"] = {**state.get("failed", {}), part: f"{type(error).__name__}: {error}"}
            if part == "rows":  # what fails with one item fails with many
                state["tries"] |= {p: _tries(state, p) + 1 for p in due}
                due = []
        else:
            state["failed"] = {p: why for p, why in state.get("failed", {}).items() if p != part}
            # The calmer of two, whatever their medians.
            state[part] = min((r for r in (found, state.get(part)) if r), key=_spread)
        store.write_latency(study.name, {"rows": {}, "batched": {}, **state})


_PARTS = {"rows": "latency", "batched": "the cost of a training batch"}


def _settled(state: Mapping[str, Any], part: str) -> bool:
    """Were the quartiles near each other, or has it been tried often enough?"""
    measured = state.get(part)
    return bool(measured and _spread(measured) <= LATENCY_SPREAD) or _tries(state, part) >= TRIES


def _tries(state: Mapping[str, Any], part: str) -> int:
    """Files of earlier versions hold no number; what was measured for them was one try."""
    return int(state.get("tries", {}).get(part, 1 if state.get(part) else 0))


def _spread(measured: Rows) -> float:
    """The largest ratio of two quartiles among the rows."""
    return max(float(row["high_ms"]) / max(float(row["low_ms"]), 1e-9) for row in measured.values())


def _models(rows: Mapping[str, Record], registry: Registry) -> _Models:
    from .assembly import build_model

    with without_initial_weights():
        models: _Models = {}
        for key, record in rows.items():
            io = from_plain(IO, record.io, "record.io")
            models[key] = (build_model(record.trial.config, registry, io)[0], io)
    return models
