"""The grids that ship load with the components that ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data import data_root
from harness.discovery import load as discover
from harness.errors import GridError
from harness.grid import Context, load

ROOT = Path(__file__).parents[2]
GRIDS = [ROOT / "ablations.yaml", *sorted((ROOT / "grids").glob("*.yaml"))]


@pytest.mark.parametrize("path", GRIDS, ids=lambda p: p.name)
def test_a_shipped_grid_loads_and_has_a_baseline(path: Path):
    registry, context = discover(third_party=False).registry, Context(data_root(), "fp32", 1)
    try:
        study = load(path, registry, context)
    except GridError as error:
        if all("harness data fetch" in (m.hint or "") or "looked for" in (m.hint or "") for m in error.mistakes):
            pytest.skip(f"data is missing: {error.mistakes[0].message}")
        if not all("put the authors'" in (m.hint or "") for m in error.mistakes):
            raise
        # All but the data: its videos are to be had by hand alone.
        study = load(path, registry, context, ["dataset={name: toy_videos, window: 60}"])
    assert study.baseline is not None
    assert len(study.cells) >= 3
    assert all(len(cell.trials) >= 2 for cell in study.cells)
