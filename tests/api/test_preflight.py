"""What does not fit together is refused before anything trains; a component's own bug is one failed trial."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import discovery
from harness.api import machine_for
from harness.environment import collecting_seldom
from harness.errors import ConfigError, GridError

BASE = {"study": "s", "dataset": "digits", "model": "resnet20", "train": {"epochs": 1, "batch_size": 256}, "seeds": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"epochs": 1, "schedule": {"name": "cosine", "warmup_epochs": 1.0}}}, "leaves nothing of 1 epochs"),
        ({"train": {"epochs": 1, "choose": "best"}, "dataset": {"name": "digits", "val": 0.0}}, "`choose: best` needs"),
        ({"train": {"epochs": 1, "freeze": ["trunk"]}}, "unknown group 'trunk'"),
        ({"augment": [{"name": "crop", "padding": 8}]}, "cannot be reflected in images of 8x8"),
        ({"placement": ["layer9.*"], "attention": "se"}, "has no site 'layer9.*'"),
        ({"model": {"name": "timm", "arch": "vit_tiny_patch16_224"}, "attention": "se"}, "vit_tiny|Transformer|input"),
        ({"attention": {"name": "spatial", "kernel_size": 4}}, "kernel_size is 4"),
    ],
)
def test_a_row_that_cannot_be_built_is_a_mistake_of_the_grid(tmp_path: Path, changes: dict[str, Any], message: str):
    with pytest.raises(GridError, match=message):
        harness.ablate({**BASE, **changes}, runs=tmp_path / "r", reports=tmp_path / "p")
    assert not (tmp_path / "r").exists()


def test_every_unknown_metric_of_a_claim_is_named_with_its_place(tmp_path: Path):
    text = (
        "study: s\ndataset: digits\nmodel: resnet20\ntrain: {epochs: 1}\nclaims:\n"
        "  - {metric: topp1, where: {attention: none}, reported: 1, source: a}\n"
        "  - {metric: seconds, where: {attention: none}, reported: 1, source: a}\n"
        "  - {metric: f2, where: {attention: none}, reported: 1, source: a}\n"
    )
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(GridError) as caught:
        harness.ablate(tmp_path / "grid.yaml", runs=tmp_path / "r", reports=tmp_path / "p")
    first, second = caught.value.mistakes
    assert first.message.endswith("grid.yaml:6: claims[0].metric: unknown metric 'topp1'")
    assert first.hint == "did you mean 'top1'?"
    assert "claims[2].metric: unknown metric 'f2'" in second.message


RUDE = """
from torch import nn

class Rude(nn.Module):
    domain = "image"

    def __init__(self, channels: int) -> None:
        raise ValueError("only for 7 channels")
"""


def test_a_foreign_block_that_raises_is_one_failed_trial_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "rude_block.py").write_text(RUDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins = discovery.load(third_party=False)
    plugins.registry.add("attention", "rude", "rude_block:Rude")
    grid = {**BASE, "axes": {"attention": ["none", "rude"]}}
    result = harness.ablate(grid, runs=tmp_path / "r", reports=tmp_path / "p", workers=1, plugins=plugins)
    assert {r.trial.config.attention.name: r.status for r in result.records.values()} == {
        "none": "ok",
        "rude": "failed",
    }
    (failed,) = result.failed
    why = "ValueError: only for 7 channels (rude_block.py:8)"
    assert failed.reason == f"attention 'rude' (Rude), with 16 channels for 'layer1.0': {why}"
    assert "only for 7 channels" in (result.report.parent / "report.md").read_text()


def test_a_bug_of_any_component_is_told_with_its_line_where_nothing_else_is_left_to_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "rude_model.py").write_text("class Rude:\n    def __init__(self, io):\n        {}['logits']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins = discovery.load(third_party=False)
    plugins.registry.add("model", "rude", "rude_model:Rude")
    with pytest.raises(GridError) as caught:
        harness.ablate(
            {**BASE, "model": "rude"}, runs=tmp_path / "r", reports=tmp_path / "p", workers=1, plugins=plugins
        )
    assert "row 'none' fails: KeyError: 'logits' (rude_model.py:3)" in str(caught.value)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("cores", "trials", "workers", "expected"),
    [
        (2, 18, "auto", (2, 1)),
        (2, 1, "auto", (1, 2)),
        (16, 30, "auto", (4, 4)),
        (16, 30, 3, (3, 5)),
        (1, 5, "auto", (1, 1)),
    ],
)
def test_workers_and_threads_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, trials: int, workers: Any, expected: tuple[int, int]
):
    monkeypatch.setattr("harness.environment.cores", lambda: cores)
    machine = machine_for("cpu", workers, trials)
    assert (machine.workers, machine.threads) == expected


def test_mps_takes_one_worker():
    with pytest.raises(ConfigError, match="device 'mps' takes one worker"):
        machine_for("mps", 2, 4)


def test_what_is_collected_seldom_while_planning_is_collected_as_before_afterwards():
    before = gc.get_threshold()
    with collecting_seldom():
        assert gc.get_threshold() > before
    assert gc.get_threshold() == before
