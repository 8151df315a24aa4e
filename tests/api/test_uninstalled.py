"""A package that is gone: its trials are in the store, its components in the grid, and its code nowhere."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import harness
from harness import discovery, planning
from harness.api import StudyResult
from harness.errors import ConfigError, GridError
from harness.store import Store

ENTRY = """
from harness import hookimpl


@hookimpl
def harness_register(registry):
    registry.add("attention", "triplet_gate", "harness_gate_block:Gate", summary="a gate")
"""
BLOCK = """
from torch import nn


class Gate(nn.Module):
    domain = "image"

    def __init__(self, channels: int, reduction: int = 12, slope: float = 0.125):
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * self.fc(x).sigmoid()
"""
GRID = {
    "study": "gone",
    "dataset": "digits",
    "model": "resnet20",
    "train": {"epochs": 1},
    "axes": {"attention": ["none", "triplet_gate"]},
}


class Uninstalled:
    """A study that was trained with a package, and how its report read then."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site-packages"
        info = self.site / "harness_gate-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: harness-gate\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text("[harness]\ngate = harness_gate_entry\n")
        (self.site / "harness_gate_entry.py").write_text(ENTRY)
        (self.site / "harness_gate_block.py").write_text(BLOCK)
        sys.path.insert(0, str(self.site))
        importlib.invalidate_caches()
        try:
            self.result = harness.ablate(GRID, runs=self.runs, reports=folder / "reports", workers=1)
        finally:
            self.leave()
        self.before = self.result.report.with_suffix(".md").read_text()

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def leave(self) -> None:
        sys.path[:] = [p for p in sys.path if p != str(self.site)]
        for name in [n for n in sys.modules if n.startswith("harness_gate_")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def report(self) -> StudyResult:
        return harness.api.build_report("gone", Store(self.runs), self.folder / "again", harness.load_registry())


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Uninstalled:
    return Uninstalled(tmp_path_factory.mktemp("gone"))


def test_a_report_that_is_written_again_says_the_same(gone: Uninstalled):
    assert gone.result.failed == ()
    assert "attention.slope" in gone.before
    assert "0.125" in gone.before
    assert gone.report().report.with_suffix(".md").read_text() == gone.before


def test_defaults_are_those_of_the_study_and_not_of_today(gone: Uninstalled, monkeypatch: pytest.MonkeyPatch):
    """A newer version has others; what was trained had these."""
    monkeypatch.syspath_prepend(str(gone.site))
    block = gone.site / "harness_gate_block.py"
    block.write_text(BLOCK.replace("0.125", "0.5"))
    try:
        assert gone.report().report.with_suffix(".md").read_text() == gone.before
    finally:
        block.write_text(BLOCK)
        gone.leave()


def test_a_grid_that_names_it_is_told_the_package(gone: Uninstalled):
    plugins = discovery.load()
    with pytest.raises(GridError) as caught:
        harness.api.prepare(GRID, Store(gone.runs), plugins, "cpu")
    (mistake,) = caught.value.mistakes
    assert mistake.message.endswith("unknown attention 'triplet_gate'")
    assert mistake.hint == "it came from harness-gate 0.1.0, which is not installed"
    with pytest.raises(GridError) as caught:
        harness.api.prepare(GRID, Store(gone.folder / "another"), plugins, "cpu")
    assert "did you mean" not in str(caught.value), "identity_gate is another thing, and no misspelling"


def test_a_package_that_is_there_and_left_out_is_no_uninstalled_one(gone: Uninstalled, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(gone.site))
    with pytest.raises(GridError) as caught:
        harness.api.prepare(GRID, Store(gone.runs), discovery.load(third_party=False), "cpu")
    hint = "it came from harness-gate 0.1.0; harness-gate 0.1.0 is installed, and was left out or no longer has it"
    assert caught.value.mistakes[0].hint == hint


def test_so_is_whoever_opens_its_trial(gone: Uninstalled):
    study, store = gone.result.study, Store(gone.runs)
    plan = planning.make(study, store)
    (trial,) = study.cells[1].trials
    assert trial.id in plan.done
    with pytest.raises(ConfigError, match="unknown attention 'triplet_gate'") as caught:
        harness.load_trial(trial.id, runs=gone.runs)
    assert caught.value.hint == "it came from harness-gate 0.1.0, which is not installed"
