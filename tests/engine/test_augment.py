"""Augmentations: pure in (seed, epoch, item), right in value, and independent of each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine.trials import CONFIG, registry
from torchvision.transforms import functional as TF

from harness.assembly import assemble
from harness.augment.ops import ColorJitter, Crop, Erasing, Flip
from harness.augment.pipeline import Pipeline, uniforms
from harness.contracts import Spec
from harness.errors import ConfigError
from harness.trial import Choice

SPEC = {"inputs": Spec("CHW", (3, 8, 8), "uint8", (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))}


def images(n: int, channels: int = 3, size: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (n, channels, size, size), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def draws(values: list[float]):
    return lambda n: torch.tensor([values[:n]])


def test_draws_are_uniform_and_independent_of_batch_order_and_size():
    u = uniforms(torch.arange(20_000), 3, key=7)
    assert u.shape == (20_000, 3)
    assert u.min() >= 0
    assert u.max() < 1
    assert torch.allclose(u.mean(0), torch.full((3,), 0.5), atol=0.01)
    assert torch.allclose(u.var(0), torch.full((3,), 1 / 12), atol=0.003)
    assert torch.corrcoef(u.T).triu(1).abs().max() < 0.02
    assert torch.equal(uniforms(torch.tensor([5, 3]), 3, 7), u[[5, 3]])
    assert not torch.equal(uniforms(torch.arange(10), 3, 8), u[:10])


def test_an_items_picture_does_not_depend_on_its_batch():
    augments = [("crop", Crop()), ("flip", Flip()), ("color_jitter", ColorJitter()), ("erasing", Erasing(p=0.9))]
    pipeline = Pipeline(SPEC, augments, seed=0, channels_last=False)
    x, index = images(16), torch.arange(16)
    together = pipeline({"inputs": x, "index": index}, epoch=3)["inputs"]
    alone = pipeline({"inputs": x[9:10], "index": index[9:10]}, epoch=3)["inputs"]
    assert torch.allclose(together[9:10], alone, atol=1e-6)
    assert not torch.equal(together, pipeline({"inputs": x, "index": index}, epoch=4)["inputs"])


def test_all_frames_of_a_clip_get_the_same_draws_and_a_clip_of_one_frame_is_an_image():
    augments = [("crop", Crop()), ("flip", Flip()), ("color_jitter", ColorJitter()), ("erasing", Erasing(p=0.9))]
    pipeline = Pipeline({"inputs": Spec("TCHW", (5, 3, 8, 8), "uint8")}, augments, seed=0, channels_last=True)
    x, index = images(8), torch.arange(8)
    still = pipeline({"inputs": x[:, None].expand(-1, 5, -1, -1, -1), "index": index}, epoch=3)["inputs"]
    image = Pipeline({"inputs": Spec("CHW", (3, 8, 8), "uint8")}, augments, 0, False)
    alone = image({"inputs": x, "index": index}, epoch=3)["inputs"]
    assert still.shape == (8, 5, 3, 8, 8)
    for t in range(5):
        assert torch.allclose(still[:, t], alone, atol=1e-6)


def test_an_augmentation_that_stands_twice_draws_twice(tmp_path: Path):
    once, twice = (
        assemble(replace(CONFIG, augment=(Choice.of("erasing", p=1.0),) * n), registry(), tmp_path).prepare
        for n in (1, 2)
    )
    batch = {"inputs": images(16, channels=1), "index": torch.arange(16)}
    assert not torch.equal(once(batch, 1)["inputs"], twice(batch, 1)["inputs"])


def test_leaving_one_augmentation_out_leaves_the_draws_of_the_others():
    x, index = images(16), torch.arange(16)
    with_jitter = Pipeline(SPEC, [("color_jitter", ColorJitter(0, 0, 0)), ("crop", Crop())], 0, False)
    without = Pipeline(SPEC, [("crop", Crop())], 0, False)
    batch = {"inputs": x, "index": index}
    assert torch.allclose(with_jitter(batch, 1)["inputs"], without(batch, 1)["inputs"], atol=1e-6)


def test_evaluation_only_scales_and_normalises():
    x = images(4)
    pipeline = Pipeline(SPEC, [("flip", Flip(p=1.0))], seed=0, channels_last=True)
    ready = pipeline({"inputs": x, "index": torch.arange(4)})["inputs"]
    expected = TF.normalize(x.float() / 255, [0.5, 0.4, 0.3], [0.2, 0.2, 0.2])
    assert torch.allclose(ready, expected, atol=1e-6)
    assert ready.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", ["reflect", "zero"])
def test_crop_cuts_the_window_that_a_loop_would(mode: str):
    x = images(32).float() / 255
    u = uniforms(torch.arange(32), 2, 5)
    got = Crop(3, mode)(x, lambda n: u)
    for i in range(32):
        padded = TF.pad(x[i], [3], padding_mode="reflect" if mode == "reflect" else "constant")
        top, left = int(u[i, 0] * 7), int(u[i, 1] * 7)
        assert torch.equal(got[i], padded[:, top : top + 8, left : left + 8])


def test_flip_mirrors_about_the_asked_share():
    x = images(400).float()
    got = Flip(p=0.25)(x, lambda n: uniforms(torch.arange(400), n, 1))
    mirrored = (got == x.flip(-1)).all(dim=(1, 2, 3))
    assert ((got == x).all(dim=(1, 2, 3)) | mirrored).all()
    assert 0.18 < mirrored.float().mean() < 0.32


def test_colour_jitter_equals_torchvisions_adjustments_in_that_order():
    x = images(1).float() / 255
    got = ColorJitter(0.4, 0.3, 0.2)(x, draws([0.9, 0.2, 0.7]))
    expected = TF.adjust_brightness(x, 1 + 0.4 * 0.8)
    expected = TF.adjust_contrast(expected, 1 + 0.3 * -0.6)
    expected = TF.adjust_saturation(expected, 1 + 0.2 * 0.4)
    assert torch.allclose(got, expected, atol=1e-4)


def test_erasing_fills_one_rectangle_of_the_asked_area():
    x = torch.full((200, 3, 32, 32), -1.0)
    got = Erasing(p=1.0, scale=(0.1, 0.3))(x, lambda n: uniforms(torch.arange(200), n, 2))
    for changed in (got != -1).any(dim=1):
        rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
        assert changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    share = (got != -1).any(1).float().mean((1, 2))
    assert 0.05 < share.min() < share.max() < 0.35
    assert torch.equal(Erasing(p=0.0)(x, lambda n: uniforms(torch.arange(200), n, 2)), x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Crop(0), "padding is 0"),
        (lambda: Flip(1.5), "p is 1.5"),
        (lambda: ColorJitter(brightness=2), "brightness is 2"),
        (lambda: Erasing(scale=(0.5, 0.1)), "scale"),
        (lambda: Erasing(ratio=(0.0, 1.0)), "ratio"),
        (lambda: Crop(4)(torch.zeros(1, 1, 4, 4), uniform=None), "cannot be reflected"),
    ],
)
def test_values_out_of_range_are_refused(make, message: str):
    with pytest.raises(ConfigError, match=message):
        make()
