"""Real CIFAR-10: the published network through our dataset and evaluation, and the README's grid on real images."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from engine.trials import CONFIG, recipe, registry

import harness
from harness.assembly import assemble
from harness.data import data_root
from harness.engine import evaluate
from harness.errors import HarnessError
from harness.loading import Loader
from harness.trial import Choice

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture
def root() -> Path:
    if "HARNESS_DATA" not in os.environ:
        pytest.skip("HARNESS_DATA is not set")
    try:
        registry().get("dataset", "cifar10").load().describe(data_root())
    except HarnessError as error:
        pytest.skip(str(error))
    return data_root()


def test_the_published_resnet20_scores_its_published_accuracy(root: Path):
    if not (root / "weights" / "resnet20-12fca82f.th").exists():
        pytest.skip(f"there is no weights/resnet20-12fca82f.th in {root}")
    config = replace(
        CONFIG,
        dataset=Choice.of("cifar10", normalise="imagenet"),
        model=Choice.of("resnet20", weights="resnet20-12fca82f.th"),
        train=recipe(batch_size=500),
    )
    parts = assemble(config, registry(), root)
    items = evaluate(parts, Loader(parts.dataset.split("test"), "cpu", 500, 0))
    assert len(items.ids) == 10_000
    assert parts.task.summarise(items)["top1"] == pytest.approx(0.9173, abs=1e-9)
    assert any("resnet20-12fca82f.th" in note for note in parts.notes)


def test_the_readmes_grid_runs_on_real_images(root: Path, tmp_path: Path):
    overrides = (
        "study=real",
        "dataset={name: cifar10, train_size: 512, val: 500}",
        "train.epochs=1",
        "train.schedule=cosine",
        "seeds=1",
        "axes.attention=[none, hybrid_sequential]",
    )
    result = harness.ablate(
        ROOT / "ablations.yaml", runs=tmp_path / "r", reports=tmp_path / "p", workers=2, overrides=overrides
    )
    assert not result.failed
    for record in result.records.values():
        assert record.sizes == {"train": 512, "val": 500, "test": 10_000}
        assert record.metrics["top1"] > 0.1, "better than chance after eight updates"
    text = (result.report.parent / "report.md").read_text()
    assert "airplane" in text
    assert "cifar10:" in text, "the note on the copy's hashes stands in the report"
