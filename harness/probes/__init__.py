"""What trained models do with their attention, measured of stored trials: gates, knock-outs, maps."""

from __future__ import annotations

from pathlib import Path

from ..registry import Registry
from ..store import Store
from ..trial import Study


def evaluate_study(study: Study, store: Store, registry: Registry, device: str, threads: int, data_root: Path) -> None:
    """Measure what `study.evaluate` asks for of every finished trial, unless it was measured before."""
    if study.evaluate:
        from .run import evaluate  # torch is imported only where something is measured

        evaluate(study, store, registry, device, threads, data_root)
