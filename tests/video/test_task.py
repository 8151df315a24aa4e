"""The task of video prediction: what a model is shown, what is measured, and what numbers cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.contracts import DatasetInfo, Items, Spec
from harness.errors import ConfigError, DataError
from harness.tasks import frames as measures
from harness.tasks.video_claims import two_levels
from harness.tasks.video_figures import shown
from harness.tasks.video_prediction import VideoPrediction


def info(length: int = 20, channels: int = 1, size: int = 16) -> DatasetInfo:
    return DatasetInfo("f", {"inputs": Spec("TCHW", (length, channels, size, size), "uint8")}, {})


def clips(count: int = 5, length: int = 6, channels: int = 1) -> Tensor:
    return torch.rand(count, length, channels, 8, 8, generator=torch.Generator().manual_seed(1))


def measured(task: VideoPrediction, predicted: Tensor, all_frames: Tensor) -> Items:
    index = torch.arange(len(all_frames))
    return task.measure({"frames": predicted}, {"inputs": all_frames, "index": index}, ())


class Clips:
    """A split of given bytes."""

    lengths = None

    def __init__(self, data: Tensor) -> None:
        self._data = data
        self.ids = [f"test/{i}" for i in range(len(data))]

    def __len__(self) -> int:
        return len(self._data)

    def batch(self, index: Sequence[int], draw: int) -> dict[str, Tensor]:
        rows = torch.tensor(list(index))
        return {"inputs": self._data[rows], "index": rows}

    def resident(self) -> None:
        return None


def test_next_frame_shows_all_but_the_last_and_asks_for_all_but_the_first():
    task = VideoPrediction()
    io = task.io(info())
    assert (io.inputs["inputs"].shape[0], io.outputs["logits"].shape[0], io.horizon) == (19, 19, 0)
    assert io.sees == {"inputs": 0}
    batch = {"inputs": clips(), "index": torch.arange(5)}
    assert torch.equal(task.present(batch)["inputs"], batch["inputs"][:, :-1])
    output = {"logits": torch.zeros(5, 5, 1, 8, 8)}
    got, target, mask = task.pair(output, batch, "unit")
    assert torch.equal(target, batch["inputs"][:, 1:])
    assert mask is None
    assert bool((got == 0.5).all())


def test_rollout_shows_the_given_frames_alone_and_forbids_nothing_of_them():
    task = VideoPrediction(protocol="rollout", given=2)
    io = task.io(info(length=6))
    assert (io.inputs["inputs"].shape[0], io.outputs["logits"].shape[0], io.horizon) == (2, 4, 4)
    assert io.sees is None
    batch = {"inputs": clips(), "index": torch.arange(5)}
    assert torch.equal(task.present(batch)["inputs"], batch["inputs"][:, :2])
    assert torch.equal(task.pair({"frames": clips()[:, 2:]}, batch, "unit")[1], batch["inputs"][:, 2:])


def test_what_the_model_is_shown_never_holds_a_target_that_it_has_not_answered():
    for task in (VideoPrediction(), VideoPrediction(protocol="rollout", given=3)):
        batch = {"inputs": clips(), "index": torch.arange(5), "target": torch.zeros(5)}
        task.io(info(length=6))
        seen = task.present(batch)
        assert set(seen) == {"inputs", "index"}
        assert not bool((seen["inputs"] == batch["inputs"][:, -1:]).flatten(2).all(dim=2).any())


def test_metrics_are_those_of_loops_over_clips_and_frames():
    task, truth = VideoPrediction(), clips()
    task.io(info(length=6, size=8))
    predicted = clips(5, 5) * 1.4 - 0.2  # beyond [0, 1] on both sides
    found = task.summarise(measured(task, predicted, truth))
    squares, absolutes, psnr, ssim = [], [], [], []
    for n in range(5):
        for t in range(5):
            p, y = predicted[n, t].double(), truth[n, t + 1].double()
            square = float(((p.clamp(0, 1) - y) ** 2).mean())
            squares.append(square)
            absolutes.append(float((p.clamp(0, 1) - y).abs().mean()))
            psnr.append(10 * np.log10(1 / square))
            ssim.append(float(measures.ssim(p.clamp(0, 1)[None], y[None])))
    assert found["mse"] == pytest.approx(np.mean(squares), rel=1e-5)
    assert found["mse_frame"] == pytest.approx(64 * np.mean(squares), rel=1e-5)
    assert found["mae"] == pytest.approx(np.mean(absolutes), rel=1e-5)
    assert found["mae_frame"] == pytest.approx(64 * np.mean(absolutes), rel=1e-5)
    assert found["psnr"] == pytest.approx(np.mean(psnr), rel=1e-6)
    assert found["psnr_pooled"] == pytest.approx(10 * np.log10(1 / np.mean(squares)), rel=1e-6)
    assert found["psnr"] > found["psnr_pooled"]
    assert found["ssim"] == pytest.approx(np.mean(ssim), abs=1e-6)


def test_every_number_has_a_metric_with_a_definition_and_every_metric_a_number():
    task, truth = VideoPrediction(), clips()
    found = task.summarise(measured(task, clips(5, 5), truth))
    assert set(found) == {m.name for m in task.metrics}
    assert all(m.definition for m in task.metrics)


def test_a_perfect_prediction_scores_best_in_every_metric():
    task, truth = VideoPrediction(), clips()
    perfect = task.summarise(measured(task, truth[:, 1:], truth))
    other = task.summarise(measured(task, truth[:, :-1], truth))
    for metric in task.metrics:
        better = perfect[metric.name] > other[metric.name]
        assert better if metric.better == "higher" else perfect[metric.name] < other[metric.name], metric.name


def test_items_hold_the_metric_of_every_clip_so_that_clips_can_be_resampled():
    task, truth = VideoPrediction(), clips()
    items = measured(task, clips(5, 5), truth)
    found = task.summarise(items)
    for name in ("psnr", "ssim", "mse", "mae", "sharpness"):
        assert items.values[name].shape == (5,)
        assert float(items.values[name].mean()) == pytest.approx(found[name])
        assert items.values[f"{name}_t"].shape == (5, 5)


def test_floors_are_the_last_frame_the_mean_frame_and_black():
    data = (clips(7) * 255).to(torch.uint8)
    truth = data.float() / 255
    task = VideoPrediction()
    floors = {name: task.summarise(items) for name, items in task.floors(Clips(data)).items()}
    assert set(floors) == {"copy_last", "mean_frame", "black"}
    assert floors["copy_last"]["mse"] == pytest.approx(float((truth[:, 1:] - truth[:, :-1]).square().mean()), rel=1e-5)
    mean = truth.mean(dim=(0, 1))
    assert floors["mean_frame"]["mse"] == pytest.approx(float((truth[:, 1:] - mean).square().mean()), rel=1e-5)
    assert floors["black"]["mse"] == pytest.approx(float(truth[:, 1:].square().mean()), rel=1e-5)
    free = VideoPrediction(protocol="rollout", given=2)
    copied = free.summarise(free.floors(Clips(data))["copy_last"])
    assert copied["mse"] == pytest.approx(float((truth[:, 2:] - truth[:, 1:2]).square().mean()), rel=1e-5)


def test_the_first_clips_are_kept_for_pictures_in_whatever_batches_they_come():
    task, truth = VideoPrediction(), clips(5, 20)
    predicted = clips(5, 19)
    figures = {f.key: f for f in task.figures(measured(task, predicted, truth))}
    strip = figures["frames"].data
    assert strip["images"].shape == (3, 5, 8, 8)
    assert strip["columns"].tolist() == [f"frame {i}" for i in (0, 5, 10, 15, 18)]
    expected = (truth[:3, 1:][:, [0, 5, 10, 15, 18], 0] * 255).round()
    assert np.abs(strip["reference"].astype(int) - expected.numpy()).max() <= 1
    assert figures["clips"].data["images"].shape == (3, 19, 8, 8)
    assert figures["errors"].data["colour"].tolist() == ["heat"]
    late = task.measure({"frames": predicted}, {"inputs": truth, "index": torch.arange(10, 15)}, ())
    assert {f.key for f in task.figures(late)} == {"horizon"}


def test_the_activation_of_the_last_layer_becomes_a_heat_map():
    task, truth = VideoPrediction(), clips(4, 6)
    output = {"frames": clips(4, 5), "activation": torch.rand(4, 5, 4, 4)}
    items = task.measure(output, {"inputs": truth, "index": torch.arange(4)}, ())
    figure = next(f for f in task.figures(items) if f.key == "activation")
    assert figure.data["images"].shape == (3, 5, 4, 4)
    assert figure.data["images"].max() == 255


def test_an_activation_of_another_form_is_left_out():
    task, truth = VideoPrediction(), clips(4, 6)
    for shape in ((4, 2, 4, 4), (4, 5, 3, 4, 4)):
        items = task.measure(
            {"frames": clips(4, 5), "activation": torch.rand(shape)}, {"inputs": truth, "index": torch.arange(4)}, ()
        )
        assert "activation" not in {f.key for f in task.figures(items)}


@pytest.mark.parametrize(("mse", "mean", "frames"), [(0.0008, 46.22, 19), (0.0008, 33.0, 19), (0.06, 14.5, 10)])
def test_two_levels_of_psnr_have_the_mean_and_the_mse_that_were_asked_for(mse: float, mean: float, frames: int):
    found = two_levels(mse, mean, frames)
    assert found is not None
    psnr = np.array([found[0]] * (frames - 1) + [found[1]])
    assert psnr.mean() == pytest.approx(mean)
    assert (10 ** (-psnr / 10)).mean() == pytest.approx(mse)


def test_frames_on_show_are_every_fifth_and_the_last():
    assert shown(19) == [0, 5, 10, 15, 18]
    assert shown(10) == [0, 2, 4, 7, 9]
    assert shown(1) == [0]
    assert shown(100)[-1] == 99


def test_the_claimed_numbers_cannot_both_be_pooled_and_a_mean_over_frames_is_explained():
    task = VideoPrediction()
    (sentence,) = task.identities({"mse": 0.0008, "psnr_pooled": 46.22})
    assert "30.97 dB" in sentence
    assert "2.39e-05" in sentence
    assert "33.5 times" in sentence
    (remark,) = task.remarks({"mse": 0.0008, "psnr": 46.22})
    assert "11.5 dB" in remark
    assert "18 of 19 frames at 47.8 dB and one at 18.3 dB" in remark
    assert "one frame of the future" in remark
    (milder,) = task.remarks({"mse": 0.0008, "psnr": 33.0})
    assert "future" not in milder
    free = VideoPrediction(protocol="rollout")
    free.io(info(length=20))
    (free_remark,) = free.remarks({"mse": 0.0008, "psnr": 46.22})
    assert "9 of 10 frames" in free_remark
    assert "future" not in free_remark
    assert task.identities({"mse": 0.0008, "psnr": 46.22}) == []
    assert len(task.identities({"mse": 0.0008, "psnr": 20.0})) == 1
    assert task.identities({"mse": 0.0187, "psnr_pooled": 17.28, "psnr": 17.5, "ssim": 0.739, "mae": 0.04}) == []
    assert task.remarks({"mse": 0.0187, "psnr": 17.5}) == ()
    assert len(task.identities({"mse": 0.04, "mae": 0.01})) == 1
    assert len(task.identities({"ssim": 1.2})) == 1


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (DatasetInfo("f", {"inputs": Spec("CHW", (1, 8, 8), "uint8")}, {}), "needs clips"),
        (DatasetInfo("f", {}, {}), "needs clips"),
        (
            DatasetInfo("f", {"inputs": Spec("TCHW", (9, 1, 8, 8), "uint8", (0.5,), (0.5,))}, {}),
            "without normalisation",
        ),
        (info(length=1), "too short"),
        (info(size=6), "at least 7 pixels"),
    ],
)
def test_data_that_do_not_fit_are_refused(found: DatasetInfo, words: str):
    with pytest.raises(ConfigError, match=words):
        VideoPrediction().io(found)
    with pytest.raises(ConfigError, match="too short for rollout with 20 given"):
        VideoPrediction(protocol="rollout", given=20).io(info(length=20))
    with pytest.raises(ConfigError, match="given is 0"):
        VideoPrediction(given=0)


def test_a_model_that_answers_other_frames_is_refused():
    with pytest.raises(ConfigError, match="frames"):
        measured(VideoPrediction(), clips(5, 4), clips())


def test_lpips_without_its_weights_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    task = VideoPrediction(lpips="alex")  # a report knows its task without the network's weights
    assert task.metrics[-1].name == "lpips"
    with pytest.raises(DataError, match="no network") as caught:
        task.io(info())
    assert "alexnet-owt-7be5be79.pth" in (caught.value.hint or "")
    assert str(tmp_path) in (caught.value.hint or "")


def test_lpips_is_zero_for_equal_frames_and_grows_with_the_error(monkeypatch: pytest.MonkeyPatch):
    import torchvision

    weights = {k: 0.1 * torch.randn(v.shape) for k, v in torchvision.models.alexnet(weights=None).state_dict().items()}
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda *a, **k: weights)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *a, **k: weights, raising=False)
    task = VideoPrediction(lpips="alex")
    task.io(info(length=3, size=40))
    truth = torch.rand(1, 3, 1, 40, 40)
    equal, near, far = (
        task.summarise(measured(task, (truth[:, 1:] + e * torch.rand(1, 2, 1, 40, 40)).clamp(0, 1), truth))["lpips"]
        for e in (0.0, 0.1, 0.9)
    )
    assert equal == pytest.approx(0, abs=1e-6)
    assert 0 < near < far
