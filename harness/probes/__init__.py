"""What trained models do with their attention, measured of stored trials: gates, knock-outs, maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..registry import Registry
from ..store import Store
from ..trial import Study, Trial


def evaluate_study(
    study: Study,
    store: Store,
    registry: Registry,
    device: str,
    threads: int,
    data_root: Path,
    told: Callable[[Trial, int, int], None] | None = None,
) -> None:
    """Measure what `study.evaluate` asks for of every finished trial, unless it was measured before; see `run`."""
    if study.evaluate:
        from .run import evaluate  # torch is imported only where something is measured

        evaluate(study, store, registry, device, threads, data_root, told)
