"""Reports that are built once for all tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from report.evidence import with_problems
from report.video import video_evidence

from harness.report import build


@pytest.fixture(scope="session")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("problems")
    build(with_problems(), out)
    return out


@pytest.fixture(scope="session")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study of video prediction in which one row sees the future."""
    out = tmp_path_factory.mktemp("moving")
    build(video_evidence(seeds=2), out)
    return out
