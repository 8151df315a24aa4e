"""Features of a frozen front: the same results as frames give, computed once, never where the front is trained."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine.trials import registry, run
from keyframes.trials import CONFIG, FROZEN, MODEL, TUNED, recipe, trial

from harness import front, measure
from harness.assembly import Parts, assemble, begin_stage
from harness.contracts import Frames
from harness.data import stored_features
from harness.engine import Run, run_trial
from harness.evaluation import evaluate
from harness.loading import Loader
from harness.store import Store
from harness.trial import Choice


@pytest.fixture(autouse=True)
def _own_features(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Videos are shared with other tests, features are not: what is computed here is counted."""
    folder = tmp_path_factory.mktemp("features")
    real = front.stored_features
    monkeypatch.setattr(front, "stored_features", lambda f, s, compute, _=None: real(f, s, compute, folder))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sequences of which features were computed."""
    found: list[int] = []
    real = front._features

    def counted(module: torch.nn.Module, split: Frames, i: int, device: str) -> np.ndarray[Any, Any]:
        found.append(i)
        return real(module, split, i, device)

    monkeypatch.setattr(front, "_features", counted)
    return found


def ready(root: Path, **changes: Any) -> tuple[Parts, dict[str, Loader]]:
    config = replace(CONFIG, **changes)
    parts = assemble(config, registry(), root)
    begin_stage(parts, registry(), config.train.stages[0], 1)
    splits = {name: parts.dataset.split(name, 0) for name in ("train", "val", "test")}  # type: ignore[arg-type]
    return parts, {name: Loader(split, "cpu", 4, 0) for name, split in splits.items()}


def weights(root: Path, one: Any) -> Mapping[str, torch.Tensor]:
    state = Store(root).sink(one, lambda e, v: None, lambda d, t, x: None).resume()
    assert state is not None
    return dict(state["model"])


def test_batches_of_features_are_what_the_front_makes_of_the_batches_of_frames(tmp_path: Path):
    parts, loaders = ready(tmp_path)
    fed = front.Feeder(parts, loaders).loaders((FROZEN,))
    front.hold(parts.model)
    pairs = list(zip(loaders["train"].training(3), fed["train"].training(3), strict=True))
    assert len(pairs) >= 2
    for frames, features in pairs:
        assert "inputs" not in features
        made, mask = parts.model.featured(frames)  # type: ignore[operator]
        assert torch.equal(frames["position"], features["position"])
        assert torch.allclose(made, features["features"], atol=1e-5)
        assert mask is None or torch.equal(mask, features["mask"])


def test_a_trial_on_features_learns_what_a_trial_on_frames_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[int]
):
    # Not Adam, which makes a whole step of a gradient that is nothing but rounding.
    one = trial(train=recipe(replace(FROZEN, optimizer=Choice.of("sgd", lr=0.05))))
    quick, _ = run(tmp_path / "features", one)
    assert quick.status == "ok", quick.reason
    assert len(computed) == 4 + 2 + 3  # windows of a video share its features
    monkeypatch.setattr(front.Feeder, "loaders", lambda self, stages, names=None: self._loaders)
    plain, _ = run(tmp_path / "frames", one)
    assert plain.status == "ok", plain.reason
    a, b = weights(tmp_path / "features", one), weights(tmp_path / "frames", one)
    assert a.keys() == b.keys()
    assert all(torch.allclose(a[k].double(), b[k].double(), atol=1e-5) for k in a)
    assert quick.metrics["mse"] == pytest.approx(plain.metrics["mse"], abs=1e-4)


def test_trials_of_other_heads_compute_no_feature_again(tmp_path: Path, computed: list[int]):
    run(tmp_path, trial())
    first = len(computed)
    mlp = Choice.of("frame_mlp", backbone="test_resnet", pretrained=False, dim=16, hidden=16)
    for changes in ({"loss": (replace(CONFIG.loss[0], loss=Choice.of("bce", inputs="unit")),)}, {"model": mlp}):
        record, _ = run(tmp_path, trial(**changes))
        assert record.status == "ok", record.reason
    assert first
    assert len(computed) == first


def test_a_stage_that_trains_the_backbone_gets_frames(tmp_path: Path, computed: list[int]):
    parts, loaders = ready(tmp_path)
    feeder = front.Feeder(parts, loaders)
    assert isinstance(feeder.loaders((FROZEN,))["train"].split, front.Fronted)
    assert feeder.loaders((FROZEN, TUNED)) is loaders
    # Once it was trained, another stage that freezes it does not bring the first features back.
    assert feeder.loaders((TUNED, FROZEN)) is loaders
    assert feeder.loaders((TUNED,), ["test"]) == {"test": loaders["test"]}


def test_two_stages_train_what_they_say_and_the_record_tells_it(tmp_path: Path):
    one = trial(train=recipe(FROZEN, TUNED))
    record, _ = run(tmp_path, one)
    assert record.status == "ok", record.reason
    assert record.cost["trainable_2"] - record.cost["trainable_1"] == record.parts["backbone.layer4"] > 0
    assert record.cost["trainable_1"] == record.parts["head"]
    assert record.cost["parameters"] == record.parts["backbone"] + record.parts["head"]
    plain = assemble(one.config, registry(), tmp_path).model.state_dict()
    tested = weights(tmp_path, one)
    changed = {k for k in plain if not torch.equal(plain[k], tested[k])}
    assert any(k.startswith("backbone.net.layer4") for k in changed)
    assert not any(k.startswith("backbone.net.") and not k.startswith("backbone.net.layer4") for k in changed)
    assert not any("running_" in k for k in changed)


class Stopped(BaseException):
    """Ends a trial right after an epoch was kept."""


def test_stages_on_features_and_on_frames_resume_to_the_same_bits(tmp_path: Path):
    one = trial(train=recipe(FROZEN, TUNED), attention=Choice.of("dual", heads=2))
    whole, _ = run(tmp_path / "whole", one)
    assert whole.status == "ok", whole.reason

    def stop(epoch: int, values: object) -> None:
        if epoch < 4:
            raise Stopped

    for _ in range(3):
        sink = Store(tmp_path / "cut").sink(one, stop, lambda done, total, loss: None)
        with pytest.raises(Stopped):
            run_trial(one, registry(), sink, Run(tmp_path / "data", "cpu", 1))
    resumed, epochs = run(tmp_path / "cut", one)
    assert len(epochs) == 1
    assert resumed.metrics == whole.metrics
    before, after = weights(tmp_path / "whole", one), weights(tmp_path / "cut", one)
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_augmented_frames_are_trained_on_as_frames_and_evaluated_as_features(tmp_path: Path):
    parts, loaders = ready(tmp_path, augment=(Choice("flip"),))
    fed = front.Feeder(parts, loaders).loaders((FROZEN,))
    assert fed["train"] is loaders["train"]
    assert isinstance(fed["val"].split, front.Fronted)
    batch = parts.prepare(next(iter(loaders["train"].training(0))), 0)
    assert batch["inputs"].dtype == torch.float32
    assert float(batch["inputs"].max()) <= 1
    assert parts.prepare(next(iter(loaders["val"].evaluation())))["inputs"].dtype == torch.uint8


def test_whole_videos_are_evaluated_one_by_one_so_padding_touches_no_result(tmp_path: Path):
    parts, loaders = ready(tmp_path)
    assert all(batch["mask"].all() and len(batch["index"]) == 1 for batch in loaders["test"].evaluation())
    assert evaluate(parts, loaders["test"]).ids == tuple(loaders["test"].split.ids)


def test_another_weight_or_statistic_is_another_front_and_another_head_is_not(tmp_path: Path):
    def mark(**changes: Any) -> str:
        parts, _ = ready(tmp_path, **changes)
        return front.identity(parts.contract.groups()["backbone"], "cpu")

    plain = mark()
    assert mark() == plain
    assert mark(attention=Choice("none"), model=Choice.of(MODEL.name, **{**MODEL.as_dict(), "dim": 24})) == plain
    assert mark(seed=1) != plain  # random weights of another seed
    parts, _ = ready(tmp_path)
    next(b for n, b in parts.model.named_buffers() if n.endswith("running_mean")).add_(1e-3)
    assert front.identity(parts.contract.groups()["backbone"], "cpu") != plain


def test_a_sketch_has_the_shapes_of_the_features_and_computes_none(tmp_path: Path, computed: list[int]):
    parts, loaders = ready(tmp_path)
    sketched = front.Feeder(parts, loaders, sketch=True).loaders((FROZEN,))
    assert not computed
    real = front.Feeder(parts, loaders).loaders((FROZEN,))
    for a, b in zip(sketched["train"].training(0), real["train"].training(0), strict=True):
        assert {k: (v.shape, v.dtype) for k, v in a.items()} == {k: (v.shape, v.dtype) for k, v in b.items()}


class Odd(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mean(dim=(1, 2, 3))[:1, None]


def test_a_front_that_gives_no_row_a_frame_is_named(tmp_path: Path):
    _, loaders = ready(tmp_path)
    with pytest.raises(Exception, match=r"front gives \[1, 1\] for"):
        front.Fronted(loaders["val"].split, Odd(), "features", "cpu", "mark", tmp_path)


class Scaled(torch.nn.Module):
    """What it does hangs on an attribute that its repr does not show."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor


def test_an_option_that_no_weight_and_no_repr_shows_is_part_of_the_identity():
    one, two = (torch.nn.Sequential(Scaled(factor), torch.nn.Flatten()) for factor in (1, 2))
    assert repr(one) == repr(two)
    assert front.identity(one, "cpu") != front.identity(two, "cpu")
    assert front.identity(one, "cpu") == front.identity(torch.nn.Sequential(Scaled(1), torch.nn.Flatten()), "cpu")


def test_a_front_with_a_hook_is_not_cached_as_what_it_runs_may_be_trained_elsewhere(tmp_path: Path):
    parts, loaders = ready(tmp_path)
    parts.contract.groups()["backbone"].register_forward_hook(lambda module, args, output: output)
    assert front.Feeder(parts, loaders).loaders((FROZEN,)) is loaders


def test_the_first_trial_of_a_front_is_charged_no_more_time_or_memory_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    began: list[str] = []
    features, memory = front._features, measure.PeakMemory.start

    def computed(*arguments: Any) -> np.ndarray[Any, Any]:
        began.append("features")
        return features(*arguments)

    def start(self: measure.PeakMemory) -> None:
        began.append("memory")
        memory(self)

    monkeypatch.setattr(front, "_features", computed)
    monkeypatch.setattr(measure.PeakMemory, "start", start)
    run(tmp_path, trial())
    assert began == ["features"] * 9 + ["memory"]


# ------------------------------------------------------------------------------------------------- the files


def test_features_are_kept_as_they_were_and_computed_once(tmp_path: Path):
    array = np.random.default_rng(0).random((5, 3), dtype=np.float32)
    calls: list[int] = []

    def compute() -> np.ndarray[Any, Any]:
        calls.append(1)
        return array

    for _ in range(2):
        found = stored_features("front", "video", compute, tmp_path)
        assert np.array_equal(found, array)
        assert not found.flags.writeable
    assert len(calls) == 1


@pytest.mark.parametrize("harm", ["cut", "changed", "text", "empty"])
def test_a_damaged_file_of_features_is_computed_again(tmp_path: Path, harm: str):
    array = np.ones((50, 30), dtype=np.float32)
    stored_features("front", "video", lambda: array, tmp_path)
    path = tmp_path / "front" / "video.h5"
    content = path.read_bytes()
    one = content.rfind(np.float32(1).tobytes())
    path.unlink()  # a file that is mapped is not written to
    path.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "changed": content[:one] + np.float32(2).tobytes() + content[one + 4 :],
            "text": b"no HDF5",
            "empty": b"",
        }[harm]
    )
    again = stored_features("front", "video", lambda: array + 1, tmp_path)
    assert np.array_equal(again, array + 1)


def test_a_kill_leaves_nothing_that_counts(tmp_path: Path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom harness.data import stored_features\n"
        "stored_features('front', 'video', lambda: os._exit(9), Path(sys.argv[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    assert not list(tmp_path.glob("front/video.h5"))
    found = stored_features("front", "video", lambda: np.ones((2, 2), dtype=np.float32), tmp_path)
    assert found.shape == (2, 2)


def test_of_two_processes_one_computes_and_the_other_waits(tmp_path: Path):
    code = (
        "import sys, time\nfrom pathlib import Path\nimport numpy as np\nfrom harness.data import stored_features\n"
        "def compute():\n    print('computed', flush=True)\n    time.sleep(1)\n    return np.ones((2, 2), np.float32)\n"
        "stored_features('front', 'video', compute, Path(sys.argv[1]))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(2)]
    said = [p.communicate(timeout=60)[0] for p in both]
    assert all(p.returncode == 0 for p in both)
    assert b"".join(said).count(b"computed") == 1


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str):
    with pytest.raises(Exception, match="is no name for features"):
        stored_features(name, "video", lambda: np.ones((1, 1), dtype=np.float32), tmp_path)


def test_what_computing_raises_is_not_blamed_on_the_cache(tmp_path: Path):
    def broken() -> np.ndarray[Any, Any]:
        raise OSError(5, "the drive is gone")

    with pytest.raises(OSError, match="the drive is gone"):
        stored_features("front", "video", broken, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "front").write_text("a file")
    with pytest.raises(Exception, match="cannot"):
        stored_features("front", "video", lambda: np.ones((1, 1), dtype=np.float32), tmp_path)
