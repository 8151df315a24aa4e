"""Rows that cannot be trained, and trials that failed: what `ablate`, `--dry-run` and `report` say of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli.programs import harness

BLOCKS = """
import torch
from torch import nn


class Pooled(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x):
        return self.scale * x.mean((2, 3), keepdim=True)


class Mixed(Pooled):
    def forward(self, x):
        return x * torch.cat([self.scale, self.scale])


class Crowded(Pooled):
    def forward(self, x):
        if self.training and len(x) > 50:
            raise RuntimeError("too many items for me")
        return self.scale * x
"""
GRID = """\
study: bent
dataset: digits
model: resnet20
train: {{epochs: 1, batch_size: 256}}
seeds: 1
axes:
  attention: [none, {block}]
evaluate: []
"""
PLACE = "at 'sites.layer1_0.attention'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bent_blocks.py").write_text(BLOCKS)
    return tmp_path


def write(folder: Path, block: str, more: str = "") -> None:
    (folder / "grid.yaml").write_text(GRID.format(block=block) + more)


def test_a_block_that_changes_the_shape_is_refused_before_anything_trains(folder: Path):
    write(folder, "{target: 'bent_blocks:Pooled'}")
    done = harness(folder, "ablate", "--grid", "grid.yaml")
    assert done.returncode == 2
    assert (
        f"row 'Pooled (bent_blocks)': attention 'Pooled (bent_blocks)' (class Pooled) {PLACE} makes "
        "[1, 16, 1, 1] of [1, 16, 8, 8]"
    ) in done.stderr
    assert "hint: a block gives back [B, C, H, W] as it came" in done.stderr
    assert not (folder / "runs").exists()


def test_a_dry_run_says_all_it_has_to_say_and_then_that_a_row_will_fail(folder: Path):
    write(folder, "{target: 'bent_blocks:Crowded'}")
    done = harness(folder, "ablate", "--grid", "grid.yaml", "--dry-run", COLUMNS="400")
    assert done.returncode == 2, done.stderr
    label, words = "Crowded (bent_blocks)", "for an input of [256, 16, 8, 8]: RuntimeError: too many items for me"
    assert f"will fail: attention '{label}' (class Crowded) {PLACE}, {words}" in done.stdout
    assert "updates of" in done.stdout, "the row that can be trained is measured all the same"
    assert "2 trials to train, about" in done.stdout
    assert "for 1 of them" in done.stdout
    assert f"error: 1 row of 2 will fail: '{label}'" in done.stderr
    assert "the exit code is 1" in done.stderr
    assert not (folder / "runs").exists()


def test_the_other_rows_are_trained_and_the_failed_one_is_told_by_row_block_and_place(folder: Path):
    write(folder, "{target: 'bent_blocks:Mixed'}")
    done = harness(folder, "ablate", "--grid", "grid.yaml", "--workers", "1", COLUMNS="400")
    assert done.returncode == 1, done.stderr
    where = f"attention 'Mixed (bent_blocks)' (class Mixed) {PLACE}, for an input of [1, 16, 8, 8]: RuntimeError"
    assert f"row 'Mixed (bent_blocks)' will fail: {where}" in done.stderr
    assert re.search(r"none seed 0: .* on test", done.stdout)
    assert f"Mixed (bent_blocks) seed 0: failed: {where}" in done.stdout
    assert where in (folder / "reports" / "bent" / "report.md").read_text().replace("\\", "")

    # It is no success, and nothing will be done about it without being asked.
    dry = harness(folder, "ablate", "--grid", "grid.yaml", "--dry-run", COLUMNS="400")
    assert dry.returncode == 0, dry.stderr
    assert re.search(r"none \(baseline\) +1 done, 0 to run", dry.stdout)
    assert re.search(r"Mixed \(bent_blocks\) +0 done, 1 failed, 0 to run", dry.stdout)
    assert "1 trial failed before; --retry-failed runs it again" in dry.stdout
    assert f"failed: Mixed (bent_blocks): {where}" in dry.stdout
    report = (folder / "reports" / "bent" / "report.md").read_bytes()
    again = harness(folder, "ablate", "--grid", "grid.yaml", "--retry-failed", COLUMNS="400")
    assert again.returncode == 2, "nothing would come of it but a report of failures"
    assert f"row 'Mixed (bent_blocks)' fails: {where}" in again.stderr
    assert "nothing else is to be trained, so nothing was run, and what there was stays" in again.stderr
    assert (folder / "reports" / "bent" / "report.md").read_bytes() == report
    told = harness(folder, "report", "bent")
    assert told.returncode == 0
    assert "1 of 2 trials failed; see the report" in told.stderr


MACS = "controls: [{name: matched_conv, match: macs}, identity_gate]\n"
REASON = "matched_conv: no convolution of 16 channels comes within 2% of"


@pytest.mark.slow
def test_a_control_that_no_convolution_makes_is_left_out_with_the_reason(folder: Path):
    write(folder, "eca", MACS)
    dry = harness(folder, "ablate", "--grid", "grid.yaml", "--dry-run", COLUMNS="400")
    assert dry.returncode == 0, dry.stderr
    assert f"left out: eca: matched conv (macs): {REASON}" in dry.stdout
    assert "3 trials to train" in dry.stdout
    done = harness(folder, "ablate", "--grid", "grid.yaml", "--workers", "1", COLUMNS="400")
    assert done.returncode == 0, done.stderr
    assert f"left out: eca: matched conv (macs): {REASON}" in done.stdout
    assert "3 rows, 3 trials" in done.stdout
    report = (folder / "reports" / "bent" / "report.md").read_text().replace("\\", "")
    assert "1 cell of the grid left out when it was planned" in report
    assert REASON in report
    again = harness(folder, "ablate", "--grid", "grid.yaml", COLUMNS="400")
    assert again.returncode == 0, again.stderr
    assert "3 rows, 3 trials, 3 done already" in again.stdout
    assert f"left out: eca: matched conv (macs): {REASON}" in again.stdout


def test_a_matched_convolution_that_the_grid_names_itself_is_a_mistake(folder: Path):
    write(folder, "{name: matched_conv, match: macs, of: eca}")
    done = harness(folder, "ablate", "--grid", "grid.yaml")
    assert done.returncode == 2
    assert REASON in done.stderr
    assert "hint: use match: parameters" in done.stderr
