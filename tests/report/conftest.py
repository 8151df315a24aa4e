"""One report of a study with problems, built once for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from report.evidence import with_problems

from harness.report import build


@pytest.fixture(scope="session")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("problems")
    build(with_problems(), out)
    return out
