"""The CIFAR ResNets: sizes, shortcuts, and the published weights on the real test set."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.errors import ConfigError
from harness_models import cifar


@pytest.mark.parametrize(
    ("depth", "parameters"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_depth_and_parameters_are_those_of_the_paper(depth, parameters, image_io):
    model = getattr(cifar, f"resnet{depth}")(image_io())
    weighted = [m for m in model.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    assert len(weighted) == depth
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_option_b_adds_two_projections(image_io):
    a, b = cifar.resnet20(image_io()), cifar.resnet20(image_io(), shortcut="B")
    more = sum(p.numel() for p in b.parameters()) - sum(p.numel() for p in a.parameters())
    assert more == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    assert b({"inputs": torch.zeros(2, 3, 32, 32)})["logits"].shape == (2, 10)


def test_option_a_takes_every_second_pixel_and_pads_channels_on_both_sides():
    x = torch.arange(2 * 4 * 4, dtype=torch.float32).reshape(1, 2, 4, 4)
    y = cifar.Subsample(1)(x)
    assert y.shape == (1, 4, 2, 2)
    assert y[0, 0].abs().sum() == y[0, 3].abs().sum() == 0
    assert y[0, 1].tolist() == [[0, 2], [8, 10]]


@pytest.mark.parametrize(("size", "channels", "classes"), [(8, 1, 10), (28, 1, 10), (32, 3, 100), (33, 3, 7)])
def test_other_images_and_classes_are_read(size, channels, classes, image_io, gates):
    model = cifar.resnet20(image_io(size, channels, classes))
    model.attach(gates, "residual")
    logits = model({"inputs": torch.randn(2, channels, size, size)})["logits"]
    assert logits.shape == (2, classes)


def _data(*names: str) -> list[Path]:
    root = os.environ.get("HARNESS_DATA")
    paths = [Path(root or ".") / name for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if root is None or not path.is_file()]
    if missing:
        pytest.skip(f"HARNESS_DATA lacks {', '.join(missing)}")
    return paths


@pytest.mark.data
@pytest.mark.slow
def test_published_resnet20_scores_its_published_accuracy_on_the_real_test_set(image_io):
    test_set, _ = _data("cifar-10-batches-bin/test_batch.bin", "weights/resnet20-12fca82f.th")
    rows = np.fromfile(test_set, np.uint8).reshape(10_000, 3073)
    labels = torch.from_numpy(rows[:, 0].astype(np.int64))
    images = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy())
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    model = cifar.resnet20(image_io(), weights="resnet20-12fca82f.th").eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, 10_000, 500):
            batch = {"inputs": (images[start : start + 500].float() / 255 - mean) / std}
            right += int((model(batch)["logits"].argmax(1) == labels[start : start + 500]).sum())
    assert right == 9173
    assert any("resnet20-12fca82f.th" in note for note in model.notes)


@pytest.mark.data
def test_published_weights_fit_no_other_depth_and_no_other_classes(image_io):
    _data("weights/resnet20-12fca82f.th", "weights/resnet56-4bfd9763.th")
    assert cifar.resnet56(image_io(), weights="resnet56-4bfd9763.th").notes
    with pytest.raises(ConfigError, match=r"does not fit CifarResNet: 'layer1\.3"):
        cifar.resnet32(image_io(), weights="resnet20-12fca82f.th")
    with pytest.raises(ConfigError, match=r"'linear\.weight' is \(10, 64\) in the file and \(100, 64\)") as caught:
        cifar.resnet20(image_io(classes=100), weights="resnet20-12fca82f.th")
    assert "only the classifier differs" in (caught.value.hint or "")
