"""A small study from grid to report: terms left out one by one, a leaking row, balance, free run, resuming."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine.trials import registry, run

import harness
from harness.api import StudyResult
from harness.data import data_root
from harness.engine import Run, run_trial
from harness.errors import HarnessError
from harness.grid import Context, load
from harness.store import Store, TrialSink
from harness.trial import Choice, Config, Provenance, Recipe, Record, Stage, Term, Trial

GRID: dict[str, Any] = {
    "study": "video-small",
    "task": "video_prediction",
    "dataset": {
        "name": "moving_digits", "size": 16, "digit_size": 8, "digits": 1, "frames": 6, "train_size": 16,
        "val_size": 4, "test_size": 6,
    },
    "model": {"name": "convlstm", "hidden": [4], "kernels": [3]},
    "loss": {"bce": 1.0},
    "train": {"epochs": 2, "batch_size": 4, "optimizer": {"name": "adamw", "lr": 0.01}, "clip_norm": 1.0},
    "seeds": 2,
}  # fmt: skip


def study(tmp_path: Path, **changes: Any) -> StudyResult:
    return harness.ablate(
        {**GRID, **changes}, runs=tmp_path / "runs", reports=tmp_path / "reports", device="cpu", workers=1
    )


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return study(
        tmp_path_factory.mktemp("padded"),
        axes={"model.temporal_padding": ["causal", "same"]},
        reach={"psnr": 1.0},
        claims=[
            {"metric": "psnr_pooled", "where": {"model.temporal_padding": "same"}, "reported": 46.22, "unit": "dB",
             "source": "claim, pooled"},
            {"metric": "mse", "where": {"model.temporal_padding": "same"}, "reported": 0.0008,
             "source": "claim, pooled"},
        ],
    )  # fmt: skip


def test_every_trial_is_audited_and_padding_same_leaks_exactly_one_frame(padded: StudyResult):
    assert not padded.failed
    for record in padded.records.values():
        (audit,) = record.audits
        same = dict(record.trial.config.model.options).get("temporal_padding") == "same"
        assert (audit.outcome, audit.mark) == (("failed", "LEAKS 1 frame") if same else ("passed", ""))


def test_a_row_that_leaks_is_marked_in_every_table_and_never_ranked(padded: StudyResult):
    text = (padded.report.parent / "report.md").read_text().replace("\\_", "_")
    tables = [block for block in text.split("\n\n") if block.startswith("| row") and "temporal_padding=same" in block]
    assert len(tables) >= 2
    for table in tables:
        for line in table.splitlines():
            assert ("LEAKS 1 frame" in line) == line.startswith("| temporal_padding=same"), line
    table = padded.table().set_index("row")
    assert "LEAKS" in str(table.loc["temporal_padding=same", "marks"])
    assert table.loc["temporal_padding=same", "verdict"] not in ("better", "worse", "no clear difference")


def test_claimed_numbers_that_exclude_each_other_are_called_impossible(padded: StudyResult):
    text = (padded.report.parent / "report.md").read_text()
    assert "impossible" in text
    assert "33.5 times apart" in text


def test_strips_animations_and_horizon_reach_the_report(padded: StudyResult):
    folder = padded.report.parent / "figures"
    assert list(folder.glob("*.gif"))
    keys = {f.key for f in padded.evidence.figures(next(iter(padded.records)))}
    assert keys == {"horizon", "frames", "errors", "clips", "activation"}


def test_the_floors_stand_in_every_record_and_the_gradient_before_and_after_clipping_in_its_curve(padded: StudyResult):
    for record in padded.records.values():
        assert set(record.floors) == {"copy_last", "mean_frame", "black"}
        for epoch in record.curve:
            assert epoch["grad/clipped"] <= min(1.0, epoch["grad/norm"]) + 1e-6


def trial(**changes: Any) -> Trial:
    """One trial of the grid, without a report."""
    config = Config(
        task=Choice.of("video_prediction"),
        dataset=Choice.of("moving_digits", **{k: v for k, v in GRID["dataset"].items() if k != "name"}),
        model=Choice.of("convlstm", hidden=(4,), kernels=(3,)),
        attention=Choice("none"),
        placement="residual",
        loss=(Term(Choice("bce"), 1.0, "bce"), Term(Choice("gdl"), 3.0, "gdl")),
        augment=(),
        train=Recipe((Stage(2, Choice.of("adamw", lr=0.01), Choice("cosine"), clip_norm=1.0),), batch_size=4),
        seed=0,
    )
    return Trial(replace(config, **changes), Provenance((), 1, "moving_digits"))


def recipe(**changes: Any) -> Recipe:
    return replace(trial().config.train, **changes)


def trained(root: Path, one: Trial) -> Record:
    record, _ = run(root, one)
    assert record.status == "ok", record.traceback
    return record


def test_terms_are_left_out_one_by_one():
    """The rows of `leave_one_out`; that each is trained is `test_grid_designs`' and the engine's to show."""
    grid = {**GRID, "design": "leave_one_out", "axes": {"loss": {"bce": 1.0, "gdl": 0.5, "ssim": 0.1}}}
    planned = load(grid, registry(), Context(data_root(), "fp32", 1))
    assert {c.label: tuple(t.key for t in c.trials[0].config.loss) for c in planned.cells} == {
        "all": ("bce", "gdl", "ssim"),
        "without bce": ("gdl", "ssim"),
        "without gdl": ("bce", "ssim"),
        "without ssim": ("bce", "gdl"),
    }


def test_a_ledger_is_kept_of_three_terms_and_none_of_one(tmp_path: Path):
    loss = tuple(Term(Choice(name), 0.5, name) for name in ("bce", "gdl", "ssim"))
    for epoch in trained(tmp_path, trial(loss=loss)).curve:
        assert sum(epoch[f"ledger/{t}/share"] for t in ("bce", "gdl", "ssim")) == pytest.approx(1)
        for a, b in itertools.combinations(("bce", "gdl", "ssim"), 2):
            assert -1 <= epoch[f"ledger/{a}~{b}/cosine"] <= 1
    (alone,) = {k for e in trained(tmp_path, trial(loss=loss[:1])).curve for k in e if "ledger" in k} or {"none"}
    assert alone == "none"


def test_balanced_terms_have_shares_as_their_coefficients_and_another_id(tmp_path: Path):
    plain, balanced = trial(), trial(train=recipe(balance="gradient_norm"))
    assert plain.id != balanced.id
    curve = trained(tmp_path, balanced).curve[-1]
    assert curve["ledger/bce/share"] == pytest.approx(0.25)
    assert curve["ledger/gdl/share"] == pytest.approx(0.75)
    assert trained(tmp_path, plain).curve[-1]["ledger/gdl/share"] != pytest.approx(0.75, abs=0.01)


def test_random_features_are_marked(tmp_path: Path):
    random = Choice.of("perceptual", layer="block1_conv1", weights="random", frames=2)
    record = trained(tmp_path, trial(loss=(Term(random, 1.0, "perceptual"),)))
    assert record.marks == ("random VGG-16",)


def test_a_free_run_is_trained_and_measured_to_its_horizon(tmp_path: Path):
    record = trained(tmp_path, trial(task=Choice.of("video_prediction", protocol="rollout", given=2)))
    assert record.audits == ()
    items = Store(tmp_path).items(record.id)
    assert items is not None
    assert items.values["psnr_t"].shape == (6, 4)


@pytest.mark.parametrize(("after", "mark"), [(0, ""), (1, "LEAKS 1 frame"), (2, "LEAKS 2 frames")])
def test_a_foreign_model_with_a_conv3d_trains_under_channels_last_and_is_audited(tmp_path: Path, after: int, mark: str):
    known = registry()
    known.add("model", "foreign", "video.planted:Foreign")
    one = trial(model=Choice.of("foreign", after=after))
    assert one.config.train.channels_last
    record, _ = run(tmp_path, one, known)
    assert record.status == "ok", record.traceback
    assert [a.mark for a in record.audits] == [mark]


def test_a_loss_of_another_task_is_refused_before_anything_trains(tmp_path: Path):
    with pytest.raises(HarnessError, match="cross_entropy"):
        study(tmp_path, loss="cross_entropy")
    assert not list((tmp_path / "runs").glob("trials/*/record.json"))


def test_rows_of_different_protocols_are_refused_in_one_study(tmp_path: Path):
    with pytest.raises(HarnessError, match="different tasks"):
        study(
            tmp_path, axes={"task.protocol": ["next_frame", "rollout"]}, task={"name": "video_prediction", "given": 2}
        )


def test_clips_of_two_frames_are_trained_and_audited(tmp_path: Path):
    data = {**GRID["dataset"], "frames": 2}
    record = trained(
        tmp_path, trial(dataset=Choice.of("moving_digits", **{k: v for k, v in data.items() if k != "name"}))
    )
    assert [a.outcome for a in record.audits] == ["passed"]


def test_one_term_is_the_same_training_balanced_or_not():
    alone = (Term(Choice("bce"), 1.0, "bce"),)
    assert trial(loss=alone).id == trial(loss=alone, train=recipe(balance="gradient_norm")).id
    assert trial().id != trial(train=recipe(balance="gradient_norm")).id


class Stopped(BaseException):
    """Ends a trial from within, right after an epoch was kept."""


def test_a_balanced_trial_on_drawn_clips_resumes_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = trial(train=recipe(balance="gradient_norm"))
    whole = trained(tmp_path / "whole", one)
    kept = TrialSink.checkpoint

    def dying(self: TrialSink, *args: Any) -> None:
        kept(self, *args)
        raise Stopped

    monkeypatch.setattr(TrialSink, "checkpoint", dying)
    with pytest.raises(Stopped):
        run(tmp_path / "killed", one)
    monkeypatch.setattr(TrialSink, "checkpoint", kept)
    again = trained(tmp_path / "killed", one)
    assert whole.metrics == again.metrics
    first, second = (Store(tmp_path / part).weights(whole)["model"] for part in ("whole", "killed"))
    assert all(torch.equal(first[k], second[k]) for k in first)
    for a, b in zip(whole.curve, again.curve, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


@pytest.mark.slow
def test_a_compiled_trial_keeps_its_ledger_and_trains_as_an_eager_one(tmp_path: Path):
    one = trial(train=recipe(balance="gradient_norm"))
    eager = trained(tmp_path / "eager", one)
    compiled = trained(tmp_path / "compiled", trial(train=recipe(balance="gradient_norm", compile=True)))
    assert compiled.curve[-1]["ledger/gdl/share"] == pytest.approx(0.75)
    assert compiled.curve[-1]["train/loss"] == pytest.approx(eager.curve[-1]["train/loss"], rel=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible")
@pytest.mark.parametrize("padding", ["causal", "same"])
def test_on_a_gpu_clips_are_drawn_and_models_audited_as_on_a_cpu(tmp_path: Path, padding: str):
    one = trial(model=Choice.of("convlstm", hidden=(4,), kernels=(3,), temporal_padding=padding))
    sink = Store(tmp_path).sink(one, lambda epoch, values: None, lambda done, total, loss: None)
    record = run_trial(one, registry(), sink, Run(tmp_path / "data", "cuda:0", 2))
    assert record.status == "ok", record.traceback
    assert [a.mark for a in record.audits] == (["LEAKS 1 frame"] if padding == "same" else [""])
    on_cpu = trained(tmp_path / "cpu", one)
    assert record.floors == pytest.approx(on_cpu.floors)
    assert record.metrics["psnr"] == pytest.approx(on_cpu.metrics["psnr"], abs=0.5)
