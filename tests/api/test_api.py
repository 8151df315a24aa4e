"""The program as a library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

import harness
from harness import discovery, hookimpl
from harness.errors import GridError, StoreError
from harness.latency import measure_latency
from harness.planning import cause, make
from harness.store import Store
from harness.trial import Provenance, Record, Trial

GRID = {
    "study": "library",
    "dataset": "digits",
    "model": "resnet20",
    "train": {"epochs": 1, "batch_size": 128},
    "seeds": 2,
    "axes": {"attention": ["none", "eca"]},
    "claims": [
        {"metric": "parameters", "where": {"attention": "none"}, "reported": 0.27, "unit": "M", "source": "He 2016"},
        {"metric": "parameters", "where": {"attention": "none"}, "reported": 25.6, "unit": "M", "source": "someone"},
    ],
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> harness.api.StudyResult:
    folder = tmp_path_factory.mktemp("library")
    return harness.ablate(GRID, runs=folder / "runs", reports=folder / "reports", workers=1)


def runs_of(result: harness.api.StudyResult) -> Path:
    return result.report.parents[2] / "runs"


def test_a_mapping_gives_a_result_with_a_table(result: harness.api.StudyResult):
    table = result.table()
    assert table.index.tolist() == ["none", "eca"]
    assert table.loc["none", "parameters"] == 269_434
    assert table.loc["eca", "attention_parameters"] == 27
    assert (table["n"] == 2).all()
    assert result.failed == ()


def test_claims_are_judged_in_the_report(result: harness.api.StudyResult):
    text = (result.report.parent / "report.md").read_text()
    assert "reproduced" in text
    assert "impossible" in text
    assert "269,434" in text


def test_a_stored_trial_loads_into_the_model_that_was_tested(result: harness.api.StudyResult):
    record = next(r for r in result.records.values() if r.trial.config.attention.name == "eca")
    model, trial = harness.load_trial(record.id[:8], runs=runs_of(result))
    assert trial == record.trial
    assert not model.training
    with torch.inference_mode():
        assert model({"inputs": torch.zeros(2, 1, 8, 8)})["logits"].shape == (2, 10)
    with pytest.raises(StoreError, match="no finished trial starts with 'ffff0000'"):
        harness.load_trial("ffff0000", runs=runs_of(result))


def test_a_mistake_in_a_mapping_raises_without_line_numbers():
    with pytest.raises(GridError, match=r"axes\.attention\[1\]: unknown attention 'ecaa'"):
        harness.ablate({**GRID, "axes": {"attention": ["none", "ecaa"]}})


def test_a_changed_block_makes_its_rows_stale_and_says_why(result: harness.api.StudyResult):
    store = Store(runs_of(result))
    record = next(r for r in result.records.values() if r.trial.config.attention.name == "eca")
    edited = tuple((n, "0" * 16 if n == "attention eca" else d) for n, d in record.trial.provenance.sources)

    def with_edit(trial: Trial) -> Trial:
        if trial.config.attention.name != "eca":
            return trial
        return Trial(trial.config, Provenance(edited, trial.provenance.core, trial.provenance.dataset))

    from dataclasses import replace

    study = result.study
    cells = tuple(replace(c, trials=tuple(with_edit(t) for t in c.trials)) for c in study.cells)
    plan = make(replace(study, cells=cells), store)
    assert len(plan.pending) == 2
    assert dict(plan.stale) == {"eca": "the source of attention eca changed"}


def test_the_cause_of_staleness_names_all_that_changed():
    before, now = Provenance((("loss bce", "a"),), 1, "x"), Provenance((("loss bce", "b"),), 2, "y")
    text = cause(before, now)
    for part in ("the source of loss bce changed", "results version went from 1 to 2", "the data changed"):
        assert part in text


def test_rows_with_different_inputs_are_timed_each_with_its_own(tmp_path: Path):
    root = tmp_path / "pictures"
    for split in ("train", "test"):
        for name in ("a", "b"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(6):
                Image.new("RGB", (20, 20), (40 * i, 99, 10)).save(folder / f"{i}.png")
    grid = small(axes={"dataset": ["digits", {"name": "image_folder", "path": str(root), "size": 16}]})
    result = harness.ablate(grid, runs=tmp_path / "r", reports=tmp_path / "p", workers=1)
    assert not result.failed, result.failed[0].reason
    assert (result.table()["latency_ms"] > 0).all()


def test_a_latency_that_was_measured_on_a_busy_machine_is_measured_again(result: harness.api.StudyResult):
    store = Store(runs_of(result))
    calm = store.latency("library")
    rows = {**calm["rows"], "eca": {**calm["rows"]["eca"], "low_ms": 1.0, "high_ms": 20.0, "rounds": -1}}
    store.write_latency("library", {**calm, "rows": rows})
    measure_latency(result.study, store, harness.load_registry(), "cpu")
    assert store.latency("library")["rows"]["eca"]["rounds"] == 40


def test_a_latency_that_cannot_be_measured_leaves_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*arguments: object, **options: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("harness.measure.latency", broken)
    with pytest.warns(RuntimeWarning, match="latency could not be measured: MemoryError: no room"):
        result = harness.ablate(small(), runs=tmp_path / "r", reports=tmp_path / "p", workers=1)
    assert "Latency was not measured" in result.report.with_suffix(".md").read_text()


def tracker(seen: list[str], broken: bool = False) -> ModuleType:
    module = ModuleType("a_tracker")

    @hookimpl
    def harness_trial_started(trial: Trial, directory: Path) -> None:
        seen.append(f"started in {directory.name == trial.id}")

    @hookimpl
    def harness_epoch_finished(trial: Trial, epoch: int, values: Mapping[str, float]) -> None:
        seen.append(f"epoch {epoch} with {'train/loss' in values}")
        if broken:
            raise RuntimeError("the server is down")

    @hookimpl
    def harness_trial_finished(record: Record) -> None:
        seen.append(f"finished {record.status}")

    for hook in (harness_trial_started, harness_epoch_finished, harness_trial_finished):
        setattr(module, hook.__name__, hook)
    return module


def small(**changes: Any) -> dict[str, Any]:
    return {**GRID, "claims": [], "seeds": 1, "axes": {"attention": ["none"]}, **changes}


def test_trackers_hear_of_every_trial_in_the_parent(tmp_path: Path):
    plugins, seen = discovery.load(third_party=False), []
    plugins.manager.register(tracker(seen))
    harness.ablate(small(), runs=tmp_path / "r", reports=tmp_path / "p", plugins=plugins)
    assert seen == ["started in True", "epoch 1 with True", "finished ok"]


def test_a_tracker_that_raises_is_left_out_and_stops_nothing(tmp_path: Path):
    plugins, seen = discovery.load(third_party=False), []
    plugins.manager.register(tracker(seen, broken=True))
    with pytest.warns(RuntimeWarning, match="tracker 'a_tracker' failed in harness_epoch_finished and is left out"):
        result = harness.ablate(small(), runs=tmp_path / "r", reports=tmp_path / "p", plugins=plugins)
    assert seen == ["started in True", "epoch 1 with True"]
    assert not result.failed
