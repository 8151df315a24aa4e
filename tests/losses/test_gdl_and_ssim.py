"""Pixel losses, GDL and SSIM: slow references, other libraries, numbers by hand; what they reward, what they miss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from losses.pictures import build, clips, close
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from harness.errors import ConfigError


def blurred(x: Tensor) -> Tensor:
    """A box of 3 x 3 over [N, 1, H, W], with the border repeated."""
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), torch.full((1, 1, 3, 3), 1 / 9, dtype=x.dtype))


def square() -> Tensor:
    """A white square on black [1, 1, 24, 24]."""
    x = torch.zeros(1, 1, 24, 24, dtype=torch.float64)
    x[..., 8:16, 8:16] = 1.0
    return x


def test_pixel_losses_worked_out_by_hand() -> None:
    output, target = torch.tensor([[0.5, 1.0, 0.0, 0.2]]).double(), torch.tensor([[0.0, 0.9, 0.0, 0.6]]).double()
    close(build("mse")(output, target), (0.25 + 0.01 + 0.16) / 4)
    close(build("mae")(output, target), (0.5 + 0.1 + 0.4) / 4)


def test_pixel_losses_equal_torchs() -> None:
    output, target = clips(2, 3, 4, 5)
    close(build("mse")(output, target), F.mse_loss(output, target))
    close(build("mae")(output, target), F.l1_loss(output, target))


def test_gdl_of_two_by_two_worked_out_by_hand() -> None:
    true = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).double().view(1, 1, 2, 2)
    predicted = torch.tensor([[0.2, 0.5], [0.4, 1.0]]).double().view(1, 1, 2, 2)
    # |differences| down: true 0.5 0.5, predicted 0.2 0.5; across: true 1.0 0.0, predicted 0.3 0.6
    apart = [0.3, 0.0, 0.7, 0.6]
    close(build("gdl")(predicted, true), sum(apart) / 4)
    close(build("gdl", reduction="sum")(predicted, true), sum(apart))
    close(build("gdl", alpha=2.0)(predicted, true), sum(a**2 for a in apart) / 4)


def slow_gdl(predicted: Any, true: Any, alpha: float) -> tuple[float, int]:
    """Equation 6 of Mathieu et al. as it stands, over one plane: the sum, and the number of its terms."""
    total, terms = 0.0, 0
    for i in range(true.shape[0]):
        for j in range(true.shape[1]):
            if i > 0:
                total += abs(abs(true[i, j] - true[i - 1, j]) - abs(predicted[i, j] - predicted[i - 1, j])) ** alpha
                terms += 1
            if j > 0:
                total += abs(abs(true[i, j - 1] - true[i, j]) - abs(predicted[i, j - 1] - predicted[i, j])) ** alpha
                terms += 1
    return total, terms


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_gdl_equals_equation_6_as_a_loop(alpha: float) -> None:
    output, target = clips(2, 3, 2, 5, 4)
    found = [
        slow_gdl(p.numpy(), t.numpy(), alpha) for p, t in zip(output.flatten(0, 2), target.flatten(0, 2), strict=True)
    ]
    total = sum(s for s, _ in found)
    close(build("gdl", alpha=alpha)(output, target), total / sum(n for _, n in found))
    close(build("gdl", alpha=alpha, reduction="sum")(output, target), total / 6)  # 2 x 3 frames


def test_gdl_does_not_see_a_constant_or_an_inverted_picture() -> None:
    target = square()
    assert build("gdl")(target * 0.5 + 0.3, target * 0.5) == 0
    assert build("gdl")(1.0 - target, target) == 0


@pytest.mark.parametrize("size", [1, 7])
def test_gdl_takes_narrow_frames_of_two_and_refuses_one(size: int) -> None:
    build("gdl")(*clips(1, 1, 2, 7))
    with pytest.raises(ConfigError, match=f"at least 2 x 2 pixels, and these have 1 x {size}"):
        build("gdl")(*clips(1, 1, 1, size))


@pytest.mark.parametrize("name", ["gdl", "ssim"])
def test_losses_of_frames_punish_blur_more_than_a_dimmer_picture_of_equal_mse(name: str) -> None:
    target = square()
    soft = blurred(target)
    # Dimmed until the squared error is that of the blurred one.
    dim = target * (1.0 - math.sqrt(float((soft - target).square().sum() / target.square().sum())))
    close(build("mse")(dim, target), build("mse")(soft, target))
    loss = build(name)
    assert 0 < float(loss(dim, target)) < float(loss(soft, target)) < float(loss(blurred(blurred(soft)), target))


def waves() -> tuple[Tensor, Tensor]:
    i, j = np.mgrid[0:20, 0:24].astype(float)
    x = 0.5 + 0.5 * np.sin(0.7 * i + 0.3 * j)
    y = 0.8 * x + 0.1 * (1 + np.cos(0.11 * i * j))
    return torch.from_numpy(x)[None, None], torch.from_numpy(y)[None, None]


def test_ssim_equals_scikit_images() -> None:
    # structural_similarity(x, y, data_range=1.0, use_sample_covariance=False, …) of scikit-image 0.26.0, with
    # gaussian_weights=True, sigma=1.5 for the first number and win_size=7 for the second.
    close(1.0 - build("ssim")(*waves()), 0.9447675095408398, atol=1e-12)
    close(1.0 - build("ssim", window="uniform", window_size=7)(*waves()), 0.9568781820055341, atol=1e-12)


@pytest.mark.parametrize("gaussian", [True, False])
def test_ssim_equals_torchmetrics_where_the_window_lies_in_the_frame(gaussian: bool) -> None:
    output, target = clips(4, 3, 17, 20)
    _, places = structural_similarity_index_measure(
        output, target, gaussian_kernel=gaussian, kernel_size=11, sigma=1.5, data_range=1.0, return_full_image=True
    )  # it mirrors frames at their edges, and the places there are left out
    loss = build("ssim", window="gaussian" if gaussian else "uniform")
    close(loss(output, target), 1.0 - places[..., 5:-5, 5:-5].mean(), atol=1e-6)


def test_ssim_keeps_no_float64_which_mps_lacks_and_loses_no_digit_in_either_type() -> None:
    loss = build("ssim")
    assert [b.dtype for b in loss.buffers()] == [torch.float32]
    exact = 1.0 - 0.9447675095408398  # see above
    close(loss(*waves()), exact, atol=1e-12)
    close(loss.double()(*waves()), exact, atol=1e-12)  # though its buffer went through float32
    close(build("ssim")(*(x.float() for x in waves())), exact, atol=1e-6)


def test_ssim_at_one_place_worked_out_by_hand() -> None:
    output, target = clips(1, 1, 3, 3)
    x, y = output.flatten(), target.flatten()
    s_xy = ((x - x.mean()) * (y - y.mean())).mean()
    top = (2 * x.mean() * y.mean() + 1e-4) * (2 * s_xy + 9e-4)
    bottom = (x.mean() ** 2 + y.mean() ** 2 + 1e-4) * (x.var(correction=0) + y.var(correction=0) + 9e-4)
    close(build("ssim", window="uniform", window_size=3)(output, target), 1.0 - top / bottom)


def test_ssim_of_an_inverted_picture_is_above_1_and_of_black_against_noise_near_1() -> None:
    target = clips(1, 1, 30, 30)[1]
    assert 1.5 < float(build("ssim")(1.0 - target, target)) < 2
    assert 0.95 < float(build("ssim")(torch.zeros_like(target), target)) < 1


def test_frames_smaller_than_the_window_are_an_error() -> None:
    with pytest.raises(ConfigError, match="at least 11 x 11 pixels, and these have 12 x 10"):
        build("ssim")(*clips(1, 1, 12, 10))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("gdl", {"alpha": 0.5}, "alpha is 0.5"),
        ("gdl", {"alpha": math.nan}, "alpha is nan"),
        ("gdl", {"alpha": math.inf}, "alpha is inf"),
        ("ssim", {"window_size": 10}, "window_size is 10"),
        ("ssim", {"window_size": 1}, "window_size is 1"),
        ("ssim", {"sigma": 0.0}, "sigma is 0"),
    ],
)
def test_options_out_of_range_are_errors(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=f"loss '{name}': {words}"):
        build(name, **options)
