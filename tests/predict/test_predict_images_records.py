"""Classifiers whose records say something else: no attention, no names of classes, other inputs; outputs of NaN."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from predict.stored import store_trial

from harness import api
from harness.contracts import IO, Spec
from harness.errors import ConfigError
from harness.predict import Predictions, classifying
from harness.registry import Registry
from harness.trial import Choice

COLOUR = Spec("CHW", (3, 32, 32), "uint8", mean=(0.5,) * 3, std=(0.25,) * 3)
LOGITS = {"logits": Spec("K", (10,), "float32")}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three small grey images."""
    folder = tmp_path_factory.mktemp("images")
    values = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    paths = [folder / f"{k:03d}.png" for k in range(3)]
    for path, image in zip(paths, values, strict=True):
        Image.fromarray(image).save(path)
    return paths


def predicted(classifier: tuple[Path, str], inputs: Any, out: Path, registry: Registry, **options: Any) -> Predictions:
    runs, trial = classifier
    return api.predict(trial, inputs, out, runs=runs, device="cpu", registry=registry, **options)


@pytest.fixture(scope="module")
def plain(runs: Path, registry: Registry) -> tuple[Path, str]:
    """A classifier of colour images without attention, and without names of classes, that nobody trained."""
    io = IO({"inputs": COLOUR}, LOGITS)
    return runs, store_trial(runs, io, Choice.of("resnet20"), registry, task="classification", marks=("of a test",)).id


def test_a_model_without_attention_is_explained_by_grad_cam_alone(
    plain: tuple[Path, str], images: list[Path], registry: Registry, tmp_path: Path
):
    done = predicted(plain, images[0], tmp_path / "out", registry, explain=True)
    assert done.page is not None
    page = done.page.read_text(encoding="utf-8")
    assert page.count("<figure>") == 2
    assert "gain by place" not in page
    assert "The trial is marked: of a test." in page
    assert "1 image smaller than the model" in page
    assert done.images[0].notes == ("enlarged from 8 x 8 pixels",)
    assert done.images[0].label in {str(k) for k in range(10)}


def test_an_image_whose_outputs_are_no_numbers_is_a_failure(
    plain: tuple[Path, str], images: list[Path], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    call = classifying.Classifier.__call__

    def broken(self: classifying.Classifier, pixels: Any) -> Any:
        found = call(self, pixels)
        found[1] = np.nan
        return found

    monkeypatch.setattr(classifying.Classifier, "__call__", broken)
    done = predicted(plain, images, tmp_path / "out", registry)
    assert [one.path for one in done.images] == [images[0], images[2]]
    assert [f.path for f in done.failures] == [images[1]]
    assert "are no finite numbers" in done.failures[0].error.message
    told = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [f["file"] for f in told["failures"]] == [str(images[1])]


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"inputs": Spec("CHW", (4, 8, 8), "uint8")}, "reads uint8 images of [4, 8, 8]"),
        ({"inputs": Spec("CHW", (3, 8, 8), "float32")}, "reads float32 images of [3, 8, 8]"),
        ({"inputs": Spec("CHW", (3, None, 8), "uint8")}, "reads uint8 images of [3, None, 8]"),
        ({"inputs": COLOUR, "sound": Spec("K", (4,), "float32")}, "and also 'sound' of axes K"),
    ],
)
def test_a_model_of_other_images_is_refused(
    runs: Path, registry: Registry, tmp_path: Path, inputs: dict[str, Spec], told: str
):
    trial = store_trial(runs, IO(inputs, LOGITS), Choice.of("bright"), registry, task="other").id
    with pytest.raises(ConfigError, match=re.escape(told)):
        predicted((runs, trial), tmp_path / "x.png", tmp_path / "out", registry)
    assert not (tmp_path / "out").exists()
