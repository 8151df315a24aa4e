"""Small real trials for tests of the engine: ResNet-20 on scikit-learn's digits, a few epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.discovery import load
from harness.engine import Run, run_trial
from harness.registry import Registry
from harness.store import Store
from harness.trial import Choice, Config, Provenance, Recipe, Record, Stage, Term, Trial

STAGE = Stage(2, Choice.of("sgd", lr=0.1), Choice("cosine"))
CONFIG = Config(
    task=Choice("classification"),
    dataset=Choice("digits"),
    model=Choice("resnet20"),
    attention=Choice("none"),
    placement="residual",
    loss=(Term(Choice("cross_entropy"), 1.0, "cross_entropy"),),
    augment=(Choice.of("crop", padding=1),),
    train=Recipe((STAGE,), batch_size=128),
    seed=0,
)


def registry() -> Registry:
    return load(third_party=False).registry


def trial(**changes: Any) -> Trial:
    return Trial(replace(CONFIG, **changes), Provenance((), 1, "digits"))


def recipe(**changes: Any) -> Recipe:
    return replace(CONFIG.train, **changes)


def run(root: Path, one: Trial, known: Registry | None = None) -> tuple[Record, list[Mapping[str, float]]]:
    """Train one trial in this process, keep its record, and return it with the values of its epochs."""
    epochs: list[Mapping[str, float]] = []
    store = Store(root)
    sink = store.sink(one, lambda epoch, values: epochs.append(values), lambda done, total, loss: None)
    record = run_trial(one, known or registry(), sink, Run(root / "data", "cpu", 1))
    store.write_record(record)
    return record, epochs
