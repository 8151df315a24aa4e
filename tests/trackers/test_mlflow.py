"""MLflow's tracker against MLflow itself, with a store of files in a folder."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from cli.programs import environment, harness
from trackers.made_up import curve, failed, record, study, trial

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="needs MLflow: pip install mlflow-skinny"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MLflow writes to `mlruns` here. Recent versions want to be told that files are meant."""
    for name, value in settings(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return tmp_path


def settings(folder: Path) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": (folder / "mlruns").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}


def tracker() -> Any:
    from harness.trackers.mlflow import Mlflow

    return Mlflow()


def client() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient
    return MlflowClient()


def runs(name: str = "made-up") -> list[Any]:
    here = client()
    experiment = here.get_experiment_by_name(name)
    return list(here.search_runs([experiment.experiment_id]))


def steps(run: Any, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client().get_metric_history(run.info.run_id, metric)]


def folder(place: Path, of: Any) -> Path:
    found = place / "runs" / "trials" / of.id
    found.mkdir(parents=True, exist_ok=True)
    return found


def test_a_trial_becomes_a_run_with_parameters_metrics_and_tags(place: Path):
    se = trial("se", seed=3, reduction=8)
    mine = study({"none": [trial()], "se(reduction=8)": [se]})
    told = tracker()
    told.harness_trial_started(se, folder(place, se), mine)
    for epoch, values in enumerate(curve(2), 1):
        told.harness_epoch_finished(se, epoch, values)
    told.harness_trial_finished(record(se))
    (run,) = runs()
    assert (run.info.status, run.info.run_name) == ("FINISHED", "se(reduction=8) seed 3")
    expected = {"attention": "se", "attention.reduction": "8", "train.stages.0.optimizer.lr": "0.1", "seed": "3"}
    assert expected.items() <= run.data.params.items()
    assert {"harness.trial": se.id, "harness.study": "made-up", "harness.row": "se(reduction=8)"}.items() <= (
        run.data.tags.items()
    )
    assert steps(run, "train/loss") == [(1, 1.0), (2, 0.5)]
    assert steps(run, "test/top1") == [(2, 0.9)]
    assert run.data.metrics["cost/macs"] == 5.0


def test_a_failed_trial_is_a_failed_run_with_its_reason(place: Path):
    told, mine = tracker(), trial()
    told.harness_trial_started(mine, folder(place, mine), study({"none": [mine]}))
    told.harness_trial_finished(failed(mine, "RuntimeError: diverged\n" + "x" * 9000))
    (run,) = runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["harness.reason"].startswith("RuntimeError: diverged")


def test_a_trial_that_goes_on_goes_on_in_its_run_and_no_epoch_is_there_twice(place: Path):
    mine = trial()
    whole = study({"none": [mine]})
    first = tracker()
    first.harness_trial_started(mine, folder(place, mine), whole)
    values = curve(4)
    for epoch in (1, 2):
        first.harness_epoch_finished(mine, epoch, values[epoch - 1])
    first._leave()  # what the end of the interpreter calls
    assert [r.info.status for r in runs()] == ["KILLED"]
    second = tracker()
    second.harness_trial_started(mine, folder(place, mine), whole)
    assert [r.info.status for r in runs()] == ["RUNNING"]
    second.harness_epoch_finished(mine, 2, values[1])  # told again
    second.harness_epoch_finished(mine, 4, values[3])  # 3 was trained, and the program died before it was told
    second.harness_trial_finished(record(mine, epochs=4))
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert sorted(steps(run, "val/top1")) == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]


def test_several_trials_at_a_time_keep_to_their_runs(place: Path):
    told, trials = tracker(), [trial(seed=s) for s in (0, 1)]
    whole = study({"none": trials})
    for mine in trials:
        told.harness_trial_started(mine, folder(place, mine), whole)
    for mine in trials:
        told.harness_epoch_finished(mine, 1, {"train/loss": float(mine.config.seed)})
    found = {r.info.run_name: steps(r, "train/loss") for r in runs()}
    assert found == {"none seed 0": [(1, 0.0)], "none seed 1": [(1, 1.0)]}


@pytest.mark.parametrize("note", ["{", "[]", '{"store": "elsewhere", "run": "x"}', '{"run": 3}'])
def test_a_note_that_leads_nowhere_is_a_new_run(place: Path, note: str):
    told, mine = tracker(), trial()
    (folder(place, mine) / "mlflow.json").write_text(note)
    told.harness_trial_started(mine, folder(place, mine), study({"none": [mine]}))
    assert len(runs()) == 1


def test_a_run_that_was_deleted_is_not_woken(place: Path):
    told, mine = tracker(), trial()
    told.harness_trial_started(mine, folder(place, mine), study({"none": [mine]}))
    client().delete_run(runs()[0].info.run_id)
    tracker().harness_trial_started(mine, folder(place, mine), study({"none": [mine]}))
    assert [r.info.status for r in runs()] == ["RUNNING"]


def test_numbers_and_names_that_mlflow_may_not_like(place: Path):
    told, mine = tracker(), trial()
    told.harness_trial_started(mine, folder(place, mine), study({"none": [mine]}))
    told.harness_epoch_finished(mine, 1, {"train/a(b)[0]": math.nan, "lr": math.inf, "größe": 1})
    (run,) = runs()
    assert math.isnan(steps(run, "train/a_b_.0")[0][1])
    assert steps(run, "gr__e") == [(1, 1.0)]


def test_the_note_holds_no_address(place: Path):
    told, mine = tracker(), trial()
    told.harness_trial_started(mine, folder(place, mine), study({"none": [mine]}))
    assert "mlruns" not in (folder(place, mine) / "mlflow.json").read_text()


def test_a_server_that_is_not_there_is_an_error_before_anything_trains(tmp_path: Path):
    (tmp_path / "grid.yaml").write_text(GRID)
    changes = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = harness(tmp_path, "ablate", "--grid", "grid.yaml", "--tracker", "mlflow", **changes)
    assert done.returncode == 2, done.stderr
    assert "error: tracker 'mlflow' cannot use its store" in done.stderr
    assert "hint: set MLFLOW_TRACKING_URI" in done.stderr
    assert not (tmp_path / "runs").exists()


GRID = """\
study: tiny
dataset: digits
model: resnet20
train: {epochs: 8, batch_size: 512}
seeds: 1
evaluate: []
axes: {attention: [none]}
"""


@pytest.mark.slow
def test_a_study_that_was_interrupted_and_goes_on_is_one_finished_run(place: Path):
    """The real program, twice, with a real Ctrl-C between."""
    (place / "grid.yaml").write_text(GRID)
    asked = ("ablate", "--grid", "grid.yaml", "--workers", "1", "--device", "cpu")
    changes = {**settings(place), "HARNESS_TRACKERS": "mlflow"}
    child = subprocess.Popen(
        [sys.executable, "-u", "-m", "harness", *asked],
        cwd=place,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if "epoch 2/8" in line:
            break
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 130, errors
    assert [r.info.status for r in runs("tiny")] == ["KILLED"]
    done = harness(place, *asked, **changes)
    assert done.returncode == 0, done.stderr
    (run,) = runs("tiny")
    assert run.info.status == "FINISHED"
    (path,) = (place / "runs" / "trials").glob("*/record.json")
    stored = json.loads(path.read_text())
    assert sorted(steps(run, "train/loss")) == [(i, c["train/loss"]) for i, c in enumerate(stored["curve"], 1)]
    assert run.data.metrics["test/top1"] == stored["metrics"]["top1"]
    assert run.data.tags["harness.trial"] == path.parent.name
    assert os.listdir(path.parent / "..") == [path.parent.name]
