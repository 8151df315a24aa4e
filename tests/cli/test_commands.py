"""The commands as a user runs them, in processes of their own."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import ablate_command, group

GRID = """\
study: tiny
dataset: digits
model: resnet20
train: {epochs: EPOCHS, batch_size: 128, optimizer: {name: sgd, lr: 0.1}}
seeds: 2
axes:
  attention: [none, se]
evaluate: []
"""


def harness(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "160", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def write_grid(folder: Path, text: str = GRID, epochs: int = 1) -> None:
    (folder / "grid.yaml").write_text(text.replace("EPOCHS", str(epochs)))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of four trials."""
    folder = tmp_path_factory.mktemp("study")
    write_grid(folder)
    done = harness(folder, "ablate", "--grid", "grid.yaml")
    assert done.returncode == 0, done.stderr
    assert "[4/4]" in done.stdout
    assert "no clear difference" in done.stdout or "se" in done.stdout
    return folder


def record_files(folder: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in (folder / "runs" / "trials").glob("*/record.json")}


def test_a_study_leaves_records_events_and_every_file_of_the_report(study: Path):
    assert len(record_files(study)) == 4
    trial = next((study / "runs" / "trials").iterdir())
    names = {p.name for p in trial.iterdir()}
    assert {"record.json", "items.h5", "figures.h5", "last.pt", "events"} <= names
    assert any((trial / "events").iterdir())
    report = study / "reports" / "tiny"
    assert {p.name for p in report.iterdir()} == {
        "report.html", "report.md", "table.csv", "table.tex", "records.csv", "figures",
    }  # fmt: skip
    latency = json.loads((study / "runs" / "studies" / "latency" / "tiny.json").read_text())
    assert set(latency["rows"]) == {"none", "se"}


def test_tensorboard_reads_the_events_of_a_trial(study: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trial = next((study / "runs" / "trials").iterdir())
    events = EventAccumulator(str(trial / "events"))
    events.Reload()
    record = json.loads((trial / "record.json").read_text())
    tags = set(events.Tags()["tensors"]) | set(events.Tags()["scalars"])
    assert {"train/loss", "val/top1", "test/top1"} <= tags
    assert record["status"] == "ok"


def test_a_second_call_trains_nothing(study: Path):
    before = record_files(study)
    done = harness(study, "ablate", "--grid", "grid.yaml")
    assert done.returncode == 0
    assert "4 trials, 4 done already" in done.stdout
    assert "training" not in done.stdout
    assert record_files(study) == before


def test_another_study_with_the_same_trials_trains_only_what_is_new(study: Path):
    (study / "other.yaml").write_text(GRID.replace("tiny", "other").replace("EPOCHS", "1").replace("se]", "se, eca]"))
    done = harness(study, "ablate", "--grid", "other.yaml", "--dry-run")
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "2 done, 0 to run" in lines["se"]
    assert "0 done, 2 to run" in lines["eca"]
    assert "2 trials to train, about" in done.stdout
    assert not (study / "runs" / "studies" / "other.json").exists()


def test_a_dry_run_stops_measuring_and_says_which_rows_it_did_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ablate_command, "MEASURE_FOR", 0.0)
    write_grid(tmp_path)
    where = ("--runs", str(tmp_path / "runs"), "--grid", str(tmp_path / "grid.yaml"))
    done = CliRunner().invoke(group, ["ablate", *where, "--dry-run"], catch_exceptions=False)
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}

    assert done.exit_code == 0
    assert "updates of" in lines["none"]
    assert "not measured" in lines["se"]
    assert "4 trials to train, about" in done.stdout
    assert "for 2 of them" in done.stdout


@pytest.mark.slow
def test_a_study_asked_for_in_another_form_is_told_that_its_report_goes(tmp_path: Path):
    write_grid(tmp_path, GRID.replace("[none, se]", "[none]").replace("seeds: 2", "seeds: 1"))
    assert "note:" not in harness(tmp_path, "ablate", "--grid", "grid.yaml").stdout
    assert "note:" not in harness(tmp_path, "ablate", "--grid", "grid.yaml", "--set", "seeds=2").stdout
    other = harness(tmp_path, "ablate", "--grid", "grid.yaml", "--set", "train.batch_size=64")
    assert "note: 'tiny' was last asked for with other trials; its report will be replaced" in other.stdout
    idle = harness(tmp_path, "ablate", "--grid", "grid.yaml", "--dry-run")
    assert "nothing to train" in idle.stdout


def test_report_writes_the_same_bytes_again_without_training(study: Path):
    path = study / "reports" / "tiny" / "report.html"
    before = path.read_bytes()
    path.unlink()
    done = harness(study, "report", "tiny")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before
    missing = harness(study, "report", "tinny")
    assert missing.returncode == 2
    assert "no study 'tinny'" in missing.stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_exits_with_130_and_the_next_call_goes_on(tmp_path: Path, workers: str):
    write_grid(tmp_path, GRID.replace("seeds: 2", "seeds: 1"), epochs=10)  # more than a busy machine reads late
    command = [sys.executable, "-u", "-m", "harness", "ablate", "--grid", "grid.yaml", "--workers", workers]
    child = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if "epoch 2/10" in line:
            break
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert "everything so far is kept" in errors
    assert "Traceback" not in errors
    done = harness(tmp_path, "ablate", "--grid", "grid.yaml", "--workers", workers)
    assert done.returncode == 0, done.stderr
    again = [line for line in done.stdout.splitlines() if "seed 0: epoch 1/10" in line and line.startswith("none")]
    assert again == [], "the first epoch of the interrupted trial was trained a second time"


def test_failed_trials_exit_with_1_are_kept_and_run_again_only_when_asked(tmp_path: Path):
    text = GRID.replace("EPOCHS", "1").replace("seeds: 2", "seeds: 1").replace("lr: 0.1", "lr: 1e30")
    write_grid(tmp_path, text)
    done = harness(tmp_path, "ablate", "--grid", "grid.yaml", "--workers", "1")
    assert done.returncode == 1
    assert "diverged in epoch 1" in done.stdout
    assert "2 of 2 trials failed" in done.stderr
    assert (tmp_path / "reports" / "tiny" / "report.html").exists()
    before = record_files(tmp_path)
    again = harness(tmp_path, "ablate", "--grid", "grid.yaml", "--workers", "1")
    assert again.returncode == 1
    assert "0 done already" in again.stdout
    assert "2 trials failed before; --retry-failed runs them again" in again.stdout
    assert record_files(tmp_path) == before
    assert harness(tmp_path, "ablate", "--grid", "grid.yaml", "--workers", "1", "--retry-failed").returncode == 1
    assert record_files(tmp_path) != before


def test_a_bad_grid_exits_with_2_names_every_mistake_and_writes_nothing(tmp_path: Path):
    write_grid(tmp_path, GRID.replace("resnet20", "resnt20").replace("[none, se]", "[none, see]"))
    done = harness(tmp_path, "ablate", "--grid", "grid.yaml")
    assert done.returncode == 2
    assert "grid.yaml:3: model: unknown model 'resnt20'" in done.stderr
    assert "hint: did you mean 'resnet20'?" in done.stderr
    assert "grid.yaml:7: axes.attention[1]: unknown attention 'see'" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_what_does_not_fit_together_is_refused_before_anything_trains(tmp_path: Path):
    text = GRID.replace("EPOCHS", "1").replace("train: {", "train: {freeze: [encoder], ")
    write_grid(tmp_path, text)
    done = harness(tmp_path, "ablate", "--grid", "grid.yaml")
    assert done.returncode == 2
    assert "row 'none': unknown group 'encoder'" in done.stderr
    assert not (tmp_path / "runs" / "trials").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ablate", "--grid", "nowhere.yaml"], "nowhere.yaml"),
        (["ablate"], "--grid"),
        (["ablate", "--grid", "grid.yaml", "--device", "cuda:9"], "device 'cuda:9' is not here"),
        (["ablate", "--grid", "grid.yaml", "--device", "tpu"], "unknown device 'tpu'"),
        (["ablate", "--grid", "grid.yaml", "--workers", "0"], "neither a positive number nor 'auto'"),
        (["ablate", "--grid", "grid.yaml", "--set", "train.epoch=3"], "epoch"),
        (["abate"], "did you mean 'ablate'?"),
        (["list", "atention"], "did you mean 'attention'?"),
        (["show", "attention", "spatail"], "did you mean 'spatial'?"),
        (["data", "fetch", "cifar"], "unknown dataset 'cifar'"),
    ],
)
def test_bad_input_exits_with_2_and_a_message(tmp_path: Path, arguments: list[str], message: str):
    write_grid(tmp_path)
    done = harness(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_list_and_show_tell_what_a_grid_can_name(tmp_path: Path):
    listed = harness(tmp_path, "--no-plugins", "list", "attention")
    for name in ("none", "se", "eca", "spatial", "channel", "hybrid_sequential", "hybrid_parallel"):
        assert f" {name} " in listed.stdout
    shown = harness(tmp_path, "show", "attention", "se")
    for text in ("arXiv:1709.01507", "reduction", "16", "ablation-harness", "contract:", "[B, C, H, W]"):
        assert text in shown.stdout


def test_doctor_names_versions_devices_and_plugins(tmp_path: Path):
    done = harness(tmp_path, "--no-plugins", "doctor", HARNESS_DATA=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    for text in ("torch", "device (auto)", "harness_attention", "ok", f"{tmp_path / 'data'} (not there yet)"):
        assert text in done.stdout


def test_data_tells_what_is_missing_and_what_is_built_in(tmp_path: Path):
    listed = harness(tmp_path, "data", "list", HARNESS_DATA=str(tmp_path))
    rows = {line.split()[0]: line for line in listed.stdout.splitlines() if line.strip()}
    assert "built in" in rows["digits"]
    assert "missing" in rows["cifar10"]
    checked = harness(tmp_path, "data", "verify", "mnist", HARNESS_DATA=str(tmp_path))
    assert checked.returncode == 2
    assert "missing" in checked.stdout


def test_verify_without_names_goes_through_every_dataset(tmp_path: Path):
    done = harness(tmp_path, "data", "verify", HARNESS_DATA=str(tmp_path))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for name in ("cifar10", "cifar100", "mnist", "fashion_mnist"):
        assert name in done.stdout


def test_the_version_is_told_also_where_the_program_is_not_installed(tmp_path: Path):
    assert harness(tmp_path, "--version").stdout.strip()
    code = (
        "import importlib.metadata as m\n"
        "def missing(name): raise m.PackageNotFoundError(name)\n"
        "m.version = missing\nimport sys\nfrom harness.cli import main\nsys.argv[1:] = ['--version']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "source\n"), done.stderr


@pytest.mark.slow
def test_a_terminal_gets_bars(tmp_path: Path):
    write_grid(tmp_path, epochs=2)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "harness", "ablate", "--grid", "grid.yaml", "--workers", "1"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    child = subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    screen = b""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.5)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            screen += part
        elif child.poll() is not None:
            break
    text = screen.decode(errors="replace")
    assert time.monotonic() < deadline, (
        f"still at work after five minutes:\n{text}"
    )  # closing the terminal would end it
    assert child.wait(timeout=60) == 0, text
    os.close(ours)
    for shown in ("study", "none seed 0", "━", "loss ", "report:"):
        assert shown in text
