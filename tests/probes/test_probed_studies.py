"""Evaluations of stored trials: complete, comparable between rows, measured once, and never in the way of a report."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm import create_model
from torch import nn

import harness
from harness.contracts import Items
from harness.data import data_root
from harness.probes import knockout, maps
from harness.probes.looking import block_of
from harness.probes.opened import Opener, spread
from harness.probes.run import evaluate_study
from harness.store import Store
from harness.trial import Record, Study

GRID: dict[str, Any] = {
    "study": "probed",
    "dataset": "digits",
    "model": "resnet20",
    "train": {"epochs": 1, "batch_size": 128},
    "axes": {"attention": ["none", "se", "spatial"]},
    "evaluate": ["gates", "knockout", "maps"],
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> harness.api.StudyResult:
    folder = tmp_path_factory.mktemp("probed")
    return harness.ablate(GRID, runs=folder / "runs", reports=folder / "reports", workers=1, device="cpu")


def store_of(result: harness.api.StudyResult) -> Store:
    return Store(result.report.parents[2] / "runs")


def record_of(result: harness.api.StudyResult, attention: str) -> Record:
    return next(r for r in result.records.values() if r.trial.config.attention.name == attention)


def again(study: Study, store: Store) -> None:
    evaluate_study(study, store, harness.load_registry(), "cpu", 1, data_root())


def written(store: Store) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in sorted(store.root.rglob("evaluations/*"))}


def test_rows_with_attention_have_all_and_the_one_without_has_grad_cam_alone(result: harness.api.StudyResult):
    store, plain = store_of(result), record_of(result, "none")
    assert store.evaluation(plain.id, "gates") is None
    assert store.evaluation(plain.id, "knockout") is None
    found = store.evaluation(plain.id, "maps")
    assert found is not None
    assert [f.key for f in found.figures] == ["gradcam"]
    for name in ("se", "spatial"):
        record = record_of(result, name)
        gates, knocked = store.evaluation(record.id, "gates"), store.evaluation(record.id, "knockout")
        assert gates is not None
        assert knocked is not None
        assert list(gates.rows) == list(record.sites)
        assert set(gates.rows[record.sites[0]]) == set(gates.definitions)
        assert list(knocked.rows) == ["none", "all", *record.sites]


def test_sigmoid_gates_lie_between_shut_and_open(result: harness.api.StudyResult):
    store = store_of(result)
    se, spatial = (store.evaluation(record_of(result, n).id, "gates") for n in ("se", "spatial"))
    assert se is not None
    assert spatial is not None
    for row in (*se.rows.values(), *spatial.rows.values()):
        assert 0 < row["mean"] < 1
        assert 0 < row["spread"] < 0.5
        assert 0 < row["entropy_channels"] <= 1
        assert 0 < row["entropy_places"] <= 1


def test_as_trained_is_the_stored_result_and_without_all_is_that_of_identities(result: harness.api.StudyResult):
    store, record = store_of(result), record_of(result, "se")
    found = store.evaluation(record.id, "knockout")
    assert found is not None
    assert found.signature["items"] == record.sizes["test"]  # digits are cheap, so every item counts
    assert found.rows["none"]["top1"] == pytest.approx(record.metrics["top1"])
    assert found.rows["none"]["cross_entropy"] == pytest.approx(record.metrics["cross_entropy"], rel=1e-4)
    for arm, sites in (("all", record.sites), (record.sites[2], record.sites[2:3])):
        assert found.rows[arm] == pytest.approx(replaced(store, record, sites), rel=1e-4)
    assert found.rows["all"]["cross_entropy"] != found.rows["none"]["cross_entropy"]


def replaced(store: Store, record: Record, sites: tuple[str, ...]) -> dict[str, float]:
    """Top-1 and the rest by a plain loop over a model whose hooks hold identities instead of the blocks."""
    model, _ = harness.load_trial(record.id, runs=store.root)
    blocks = {id(block_of(model, site)) for site in sites}
    for module in model.modules():
        for hook in module._forward_hooks.values():
            attached: Any = hook
            if id(attached.attention) in blocks:
                attached.attention = nn.Identity()
    opened = Opener(store, harness.load_registry(), data_root(), "cpu").open(record)
    raw, shown = opened.shown(range(record.sizes["test"]))
    with torch.inference_mode():
        logits = model(shown)
    return dict(opened.parts.task.summarise(opened.parts.task.measure(logits, raw, [])))


def test_taking_out_a_block_that_does_nothing_changes_nothing(result: harness.api.StudyResult):
    store, record = store_of(result), record_of(result, "se")
    opened = Opener(store, harness.load_registry(), data_root(), "cpu").open(record)
    for site in record.sites:
        block_of(opened.model, site).forward = lambda x: x  # type: ignore[method-assign]
    found = knockout.measure_knockout(opened, 100)
    assert all(row == found.rows["none"] for row in found.rows.values())
    assert found.signature["items"] == 100


def test_all_rows_show_the_same_images_the_first_of_each_class(result: harness.api.StudyResult):
    store = store_of(result)
    figures = {}
    for record in result.records.values():
        found = store.evaluation(record.id, "maps")
        assert found is not None
        figures[record.id] = found.figures[0]
    first, *others = figures.values()
    assert first.data["images"].shape == (1, 10, 96, 96, 3)
    assert first.data["images"].dtype == np.uint8
    for other in others:
        assert other.data["columns"].tolist() == first.data["columns"].tolist()
        np.testing.assert_array_equal(other.data["reference"], first.data["reference"])
        assert not np.array_equal(other.data["images"], first.data["images"])
    items = store.items(record.id)
    assert items is not None
    chosen = maps.choose(items, record.classes)
    assert [int(items.values["target"][i]) for i in chosen] == list(range(10))
    assert all(int(t) not in items.values["target"][:i] for t, i in enumerate(chosen))


def test_predictions_play_no_part_in_the_choice():
    target = np.array([2, 0, 2, 1, 0])
    chosen = [
        maps.choose(Items(("a",) * 5, {"target": target, "predicted": p}), ("x", "y", "z"))
        for p in (target, np.zeros(5, int))
    ]
    assert chosen == [[1, 3, 0], [1, 3, 0]]
    many = Items(("a",) * 100, {"target": np.arange(100)})
    assert maps.choose(many, tuple(map(str, range(100)))) == list(range(0, 100, 10))
    assert maps.choose(Items(("a",), {"target": np.array([1])}), ("x", "y")) == [0]


def test_gain_figures_have_a_column_and_a_row_a_site(result: harness.api.StudyResult):
    store, record = store_of(result), record_of(result, "spatial")
    found = store.evaluation(record.id, "maps")
    assert found is not None
    assert [f.key for f in found.figures] == ["gradcam", "places", "channels"]
    places, channels = found.figures[1:]
    assert places.data["images"].shape == (4, len(record.sites), 32, 32)
    assert places.data["columns"].tolist() == list(record.sites)
    assert places.title == "Gain of every place (dark: 0, bright: 1)"
    assert channels.data["rows"].tolist() == list(record.sites)
    assert channels.data["values"].shape == (len(record.sites), 11)
    assert (np.diff(channels.data["values"], axis=1) >= 0).all()


def test_a_second_time_measures_nothing(result: harness.api.StudyResult):
    store = store_of(result)
    before = written(store)
    assert before
    folder = result.report.parents[2]
    harness.ablate(GRID, runs=folder / "runs", reports=folder / "reports", workers=1, device="cpu")
    assert written(store) == before


def test_whoever_waits_is_told_which_trial_is_measured(result: harness.api.StudyResult):
    store, record = store_of(result), record_of(result, "se")
    (store.directory(record.id) / "evaluations" / "gates.json").write_text("{ damaged")
    heard: list[tuple[str, int, int]] = []
    arguments = (result.study, store, harness.load_registry(), "cpu", 1, data_root())
    evaluate_study(*arguments, lambda trial, place, total: heard.append((trial.id, place, total)))
    place = [t.id for t in result.study.trials()].index(record.id) + 1
    assert heard == [(record.id, place, 3)]
    heard.clear()
    evaluate_study(*arguments, lambda trial, place, total: heard.append((trial.id, place, total)))
    assert heard == []


@pytest.mark.parametrize("name", ["gates.json", "gates.h5"])
def test_a_damaged_evaluation_is_made_again(result: harness.api.StudyResult, name: str):
    store, record = store_of(result), record_of(result, "se")
    good = store.evaluation(record.id, "gates")
    path = store.directory(record.id) / "evaluations" / name
    path.write_bytes(b"{ damaged")
    untouched = {p: t for p, t in written(store).items() if record.id not in str(p)}
    again(result.study, store)
    assert store.evaluation(record.id, "gates") == good
    assert untouched.items() <= written(store).items()


def test_another_signature_is_measured_again(result: harness.api.StudyResult):
    store, record = store_of(result), record_of(result, "se")
    good = store.evaluation(record.id, "gates")
    assert good is not None
    store.write_evaluation(record.id, dataclasses.replace(good, signature={**good.signature, "version": 0}, rows={}))
    again(result.study, store)
    assert store.evaluation(record.id, "gates") == good


def test_what_goes_wrong_is_a_warning_that_names_trial_and_probe(result: harness.api.StudyResult, tmp_path: Path):
    store, record = Store(tmp_path), record_of(result, "se")
    store.write_record(record)  # no weights
    with pytest.warns(RuntimeWarning, match=rf"'gates' of trial '{record.id}' could not be measured.*no weights"):
        again(dataclasses.replace(result.study, evaluate=("gates",)), store)
    assert store.evaluation(record.id, "gates") is None


def test_nothing_is_measured_where_nothing_is_asked_for(result: harness.api.StudyResult, tmp_path: Path):
    store, record = Store(tmp_path), record_of(result, "se")
    store.write_record(record)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again(dataclasses.replace(result.study, evaluate=()), store)


def test_dear_models_are_looked_at_on_fewer_items_on_a_cpu(result: harness.api.StudyResult):
    record = record_of(result, "se")

    def dear(macs: float) -> Record:
        return dataclasses.replace(record, cost={**record.cost, "macs": macs})

    assert knockout.item_count(record, "cpu") == 2_000
    assert knockout.item_count(dear(2e8), "cpu") == 200
    assert knockout.item_count(dear(1e12), "cpu") == 100
    assert knockout.item_count(dear(1e12), "cuda:0") == 0


def test_places_are_spread_evenly():
    assert spread(3, 10) == [0, 1, 2]
    assert spread(10, 5) == [0, 2, 4, 6, 8]
    assert len(set(spread(10_000, 2_000))) == 2_000


def test_of_blocks_over_time_only_knock_outs_are_measured(tmp_path: Path):
    torch.manual_seed(0)
    torch.save(create_model("test_resnet", num_classes=1000).state_dict(), tmp_path / "weights.pth")
    small = {"backbone": "test_resnet", "dim": 16, "layers": 1, "heads": 2, "hidden": 32, "score_hidden": 8}
    grid: dict[str, Any] = {
        "study": "time",
        "task": "keyframes",
        "dataset": {"name": "toy_videos", "train": 3, "val": 1, "test": 3, "scenes": 2, "size": 32},
        "model": {"name": "keyframe_transformer", "weights": str(tmp_path / "weights.pth"), **small},
        "attention": {"name": "dual", "heads": 2},
        "placement": "stage",
        "loss": "mse",
        "train": {"batch_size": 4, "stages": [{"epochs": 1, "freeze": ["backbone"], "optimizer": "adamw"}]},
        "evaluate": ["gates", "knockout"],
    }
    result = harness.ablate(grid, runs=tmp_path / "runs", reports=tmp_path / "reports", device="cpu", workers=1)
    store, record = Store(tmp_path / "runs"), record_of(result, "dual")
    assert record.status == "ok", record.traceback
    assert store.evaluation(record.id, "gates") is None
    found = store.evaluation(record.id, "knockout")
    assert found is not None
    assert list(found.rows) == ["none", "all", *record.sites]
    assert found.rows["none"] == pytest.approx(record.metrics, abs=1e-5)
    assert found.rows["all"] != found.rows["none"]
    untouched = [r for r in result.records.values() if not r.sites]
    assert untouched
    assert all(store.evaluation(r.id, "knockout") is None for r in untouched)
