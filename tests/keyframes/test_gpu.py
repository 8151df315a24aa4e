"""The same small trial of keyframes on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from engine.trials import registry
from keyframes.trials import FROZEN, TUNED, recipe, trial

from harness.engine import Run, run_trial
from harness.store import Store
from harness.trial import Choice, Record

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible"),
]


def on(device: str, root: Path, attention: str) -> Record:
    one = trial(train=recipe(FROZEN, TUNED), attention=Choice.of(attention, heads=2))
    sink = Store(root).sink(one, lambda epoch, values: None, lambda done, total, loss: None)
    return run_trial(one, registry(), sink, Run(root / "data", device, 1))


@pytest.mark.parametrize("attention", ["local", "global", "dual"])
def test_two_stages_on_features_and_frames_agree_with_the_cpu(tmp_path: Path, attention: str):
    cpu, gpu = (on(device, tmp_path / device, attention) for device in ("cpu", "cuda"))
    assert cpu.status == gpu.status == "ok", (cpu.reason, gpu.reason)
    assert gpu.metrics["mse"] == pytest.approx(cpu.metrics["mse"], abs=1e-3)
    assert gpu.floors["human"]["spearman"] == pytest.approx(cpu.floors["human"]["spearman"])
