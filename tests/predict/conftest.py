from __future__ import annotations

from pathlib import Path

import pytest
from predict.stored import components, frames, store_trial

from harness.registry import Registry
from harness.trial import Choice


@pytest.fixture(scope="session")
def registry() -> Registry:
    return components()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """A store with two finished trials: `tiny`, a keyframe_transformer, and `bright`, which likes bright frames."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def tiny(runs: Path, registry: Registry) -> str:
    return store_trial(runs, frames(), registry=registry, marks=("random backbone",)).id


@pytest.fixture(scope="session")
def bright(runs: Path, registry: Registry) -> str:
    return store_trial(runs, frames(16, 16), Choice.of("bright"), registry).id
