"""What only a GPU can show. Skipped where there is none; every test here is marked `gpu`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine.trials import STAGE, recipe, registry, trial

from harness.engine import Run, run_trial
from harness.store import Store
from harness.trial import Choice, Record, Trial

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible"),
]


class Stopped(BaseException):
    """Ends a trial from within, as a kill between two epochs would."""


def run(root: Path, one: Trial, stop_after: int = 0) -> Record:
    def epoch(number: int, values: object) -> None:
        if number == stop_after:
            raise Stopped

    sink = Store(root).sink(one, epoch, lambda done, total, loss: None)
    return run_trial(one, registry(), sink, Run(root / "data", "cuda:0", 2))


@pytest.mark.parametrize("attention", ["none", "se", "hybrid_sequential", "hybrid_parallel"])
def test_a_deterministic_trial_resumes_to_the_same_bits(tmp_path: Path, attention: str):
    stages = (replace(STAGE, epochs=3),)
    one = trial(attention=Choice(attention), train=recipe(stages=stages, deterministic=True, precision="bf16"))
    whole = run(tmp_path / "whole", one)
    assert whole.status == "ok", whole.reason
    with pytest.raises(Stopped):
        run(tmp_path / "cut", one, stop_after=1)
    resumed = run(tmp_path / "cut", one)
    assert resumed.metrics == whole.metrics
    weights = [torch.load(tmp_path / w / "trials" / one.id / "last.pt")["model"] for w in ("whole", "cut")]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])


def test_compiled_and_eager_training_agree(tmp_path: Path):
    eager = run(tmp_path / "eager", trial())
    compiled = run(tmp_path / "compiled", trial(train=recipe(compile=True)))
    assert compiled.status == "ok", compiled.reason
    assert compiled.curve[0]["train/loss"] == pytest.approx(eager.curve[0]["train/loss"], rel=0.05)


def test_peak_memory_is_the_allocators(tmp_path: Path):
    record = run(tmp_path, trial())
    assert 1e6 < record.cost["peak_memory"] < 2e9
    assert "gpu" in record.environment
