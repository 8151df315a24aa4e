"""A small study of keyframes from grid to report, and what is done with its trials afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm import create_model

import harness
from harness import front
from harness.api import StudyResult

MODEL = {
    "name": "keyframe_transformer", "backbone": "test_resnet", "dim": 16, "layers": 1, "heads": 2, "hidden": 32,
    "score_hidden": 8,
}  # fmt: skip
GRID: dict[str, Any] = {
    "study": "keyframes-small",
    "task": "keyframes",
    "dataset": {"name": "toy_videos", "train": 4, "val": 2, "test": 3, "scenes": 3, "size": 32},
    "model": MODEL,
    "placement": "stage",
    "loss": {"spearman": 1.0, "mse": 1.0},
    "train": {
        "batch_size": 4,
        "choose": "best",
        "stages": [
            {"epochs": 2, "freeze": ["backbone"], "optimizer": {"name": "adamw", "lr": 1e-3}},
            {
                "epochs": 1, "train_only": ["backbone.layer4", "head"], "freeze_bn": True, "clip_norm": 1.0,
                "optimizer": {"name": "adamw", "lr": 1e-5},
            },
        ],
    },
    "seeds": 2,
    "axes": {"attention": ["none", {"name": "dual", "heads": 2}]},
    "claims": [
        {"metric": "trainable_1", "where": {"attention": "dual"}, "reported": 4, "unit": "M", "source": "claim B"},
        {"metric": "trainable_2", "where": {"attention": "dual"}, "reported": 14, "unit": "M", "source": "claim B"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    root = tmp_path_factory.mktemp("study")
    torch.manual_seed(0)
    torch.save(create_model("test_resnet", num_classes=1000).state_dict(), root / "weights.pth")
    grid = {**GRID, "model": {**MODEL, "weights": str(root / "weights.pth")}}
    result = harness.ablate(grid, runs=root / "runs", reports=root / "reports", device="cpu", workers=1)
    assert not result.failed, result.failed[0].traceback
    return result


def text(study: StudyResult) -> str:
    return (study.report.parent / "report.md").read_text(encoding="utf-8").replace("\\", "")


def test_a_row_that_scores_every_frame_by_itself_stands_in_the_table_unasked(study: StudyResult):
    table = study.table().set_index("row")
    assert [row for row in table.index if "control" in row] == ["frame_mlp (control)"]
    assert (table["n"] == 2).all()


def test_what_needs_no_training_stands_below_the_rows(study: StudyResult):
    for name in ("random", "constant", "position"):
        assert f"| *{name}<br>no training*" in text(study)
    for name in ("target", "human", "oracle"):
        assert f"| *{name}<br>no training; knows answers*" in text(study)


def test_the_report_has_curves_tables_maps_parts_and_trainable_parameters(study: StudyResult):
    found = text(study)
    for title in (
        "Predicted and true importance", "Per-video report", "Attention over time: local, test-0000",
        "Attention over time: global, test-0000", "Parts of the models",
    ):  # fmt: skip
        assert f"## {title}" in found, title
    assert "trained in stage 2" in found
    assert "over items and seeds" in found
    names = {p.name for p in (study.report.parent / "figures").iterdir()}
    assert any(n.startswith("curves-") for n in names)
    assert any(n.startswith("map_local-0") for n in names)


def test_claims_about_what_a_stage_trains_are_judged_by_counting(study: StudyResult):
    record = next(r for r in study.records.values() if r.trial.config.attention.name == "dual")
    assert record.cost["trainable_2"] - record.cost["trainable_1"] == record.parts["backbone.layer4"]
    assert "claim B" in text(study)
    assert text(study).count("contradicted") + text(study).count("impossible") >= 2


def test_a_second_call_trains_nothing_and_computes_no_feature(study: StudyResult, monkeypatch: pytest.MonkeyPatch):
    def never(*arguments: Any) -> None:
        raise AssertionError("a feature was computed")

    monkeypatch.setattr(front, "_features", never)
    root = study.report.parents[2]
    grid = {**GRID, "model": {**MODEL, "weights": str(root / "weights.pth")}}
    again = harness.ablate(grid, runs=root / "runs", reports=root / "reports", device="cpu", workers=1)
    assert {r.started for r in again.records.values()} == {r.started for r in study.records.values()}


def test_a_stored_trial_needs_the_file_no_longer_that_its_backbone_began_with(study: StudyResult):
    root = study.report.parents[2]
    (root / "weights.pth").rename(root / "elsewhere.pth")
    try:
        for record in study.records.values():
            model, one = harness.load_trial(record.id, runs=root / "runs")
            assert one.id == record.id
            assert not model.training
    finally:
        (root / "elsewhere.pth").rename(root / "weights.pth")
