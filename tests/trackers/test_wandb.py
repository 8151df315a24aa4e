"""The tracker of Weights & Biases against the real library, which keeps its runs in a folder (WANDB_MODE=offline)."""

from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli.programs import environment, harness

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="needs Weights & Biases: pip install wandb"
)
GRID = "study: tiny\ndataset: digits\nmodel: resnet20\ntrain: {epochs: 1}\naxes: {attention: [none]}\n"
BEGIN = """
import pathlib
from trackers.made_up import curve, failed, record, study, trial
from harness.trackers.wandb import Wandb
told, values = Wandb(), curve(3)
one, other = trial("se", seed=3, reduction=8), trial()
mine = study({"none": [other], "se": [one]})
def start(of):
    folder = pathlib.Path("runs", of.id)
    folder.mkdir(parents=True, exist_ok=True)
    told.harness_trial_started(of, folder, mine)
start(one)
"""
FIRST = """
start(other)
for epoch in (1, 2):
    told.harness_epoch_finished(one, epoch, values[epoch - 1])
told.harness_epoch_finished(other, 1, values[0])
told.harness_trial_finished(failed(other))
"""
SECOND = """
told.harness_epoch_finished(one, 2, values[1])
told.harness_epoch_finished(one, 3, values[2])
told.harness_trial_finished(record(one, epochs=3))
"""


def run(folder: Path, script: str) -> str:
    here = str(Path(__file__).parents[1])
    changes = environment(Path(here), WANDB_MODE="offline", HOME=str(folder))
    command = [sys.executable, "-c", BEGIN + script]
    done = subprocess.run(command, cwd=folder, env=changes, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def records(path: Path) -> list[Any]:
    """What a `.wandb` file holds: a header of 7 bytes, then blocks of 32 KiB with pieces of records, as in LevelDB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last piece of one
            found.append(Record.FromString(whole))
            whole = b""
    return found


def steps(found: list[Any]) -> list[tuple[int, float]]:
    rows = []
    for history in (r.history for r in found if r.WhichOneof("record_type") == "history"):
        values = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in history.item}
        rows.append((values["_step"], values["train/loss"]))
    return rows


def told(found: list[Any]) -> dict[str, Any]:
    """The last value of everything in the summary."""
    updates = [u for r in found if r.WhichOneof("record_type") == "summary" for u in r.summary.update]
    return {u.key or "/".join(u.nested_key): json.loads(u.value_json) for u in updates}


def files(folder: Path, name: str) -> list[list[Any]]:
    return [records(p) for p in sorted(folder.glob(f"wandb/offline-run-*/run-{name}.wandb"))]


def test_two_trials_at_a_time_one_fails_and_one_goes_on_in_its_run(tmp_path: Path):
    assert run(tmp_path, FIRST) == ""
    notes = {p.parent.name: json.loads(p.read_text()) for p in tmp_path.glob("runs/*/wandb.json")}
    going_on = next(n["run"] for n in notes.values() if n["epoch"] == 2)
    ended = next(n["run"] for n in notes.values() if n["epoch"] == 1)
    (failed,) = files(tmp_path, ended)
    assert [r.exit.exit_code for r in failed if r.WhichOneof("record_type") == "exit"] == [1]
    assert told(failed)["harness.status"] == "failed"
    assert told(failed)["harness.reason"] == "RuntimeError: diverged in epoch 2"

    assert run(tmp_path, SECOND) == ""
    first, second = files(tmp_path, going_on)
    assert steps(first) == [(1, 1.0), (2, 0.5)]
    assert steps(second) == [(3, pytest.approx(1 / 3))]
    assert {"test/top1": 0.9, "cost/macs": 5.0, "harness.status": "ok"}.items() <= told(second).items()
    assert [r.exit.exit_code for r in second if r.WhichOneof("record_type") == "exit"] == [0]
    (head,) = [r.run for r in second if r.WhichOneof("record_type") == "run"]
    assert (head.project, head.run_group, head.display_name) == ("ablation-harness", "made-up", "se seed 3")
    config = {u.key or "/".join(u.nested_key): json.loads(u.value_json) for u in head.config.update}
    expected = {"attention": "se", "attention.reduction": "8", "harness.row": "se", "harness.study": "made-up"}
    assert expected.items() <= config.items()


def test_without_a_key_it_is_refused_before_anything_trains(tmp_path: Path):
    (tmp_path / "grid.yaml").write_text(GRID)
    changes = {"WANDB_MODE": "online", "HOME": str(tmp_path), "NETRC": str(tmp_path / "none"), "WANDB_API_KEY": ""}
    done = harness(tmp_path, "ablate", "--grid", "grid.yaml", "--tracker", "wandb", **changes)
    assert done.returncode == 2, done.stderr
    assert "tracker 'wandb' has no key for its server" in done.stderr
    assert "WANDB_MODE=offline" in done.stderr
    assert not (tmp_path / "runs").exists()
