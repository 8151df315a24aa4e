from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a cache folder of its own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HARNESS_CACHE", str(folder))
    return folder


@pytest.fixture
def real_data() -> Path:
    """The folder of real data, or a skip."""
    folder = os.environ.get("HARNESS_DATA", "")
    if not folder:
        pytest.skip("HARNESS_DATA is not set, so there is no real data")
    return Path(folder)
