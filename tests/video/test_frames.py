"""What is measured on frames, against scikit-image 0.26's numbers and against slow, obvious loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.tasks import frames

# skimage.metrics.structural_similarity(a, b, data_range=1.0) and peak_signal_noise_ratio on the two pictures below.
SSIM, SSIM_INVERTED, PSNR = 0.9323057024951553, -0.946135684425402, 17.99181007839213


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    y, x = np.mgrid[0:24, 0:20]
    a = np.sin(0.7 * x + 0.3 * y) * 0.5 + 0.5
    b = np.clip(a + 0.2 * np.cos(1.3 * x - 0.9 * y), 0, 1)
    return torch.from_numpy(a)[None, None], torch.from_numpy(b)[None, None]


def test_ssim_is_that_of_scikit_image():
    a, b = pictures()
    assert float(frames.ssim(a, b)) == pytest.approx(SSIM, abs=1e-9)
    assert float(frames.ssim(a, 1 - a)) == pytest.approx(SSIM_INVERTED, abs=1e-9)
    assert float(frames.ssim(a, a)) == pytest.approx(1.0, abs=1e-12)


def test_ssim_of_colour_frames_is_the_mean_over_channels_and_of_each_frame_alone():
    a, b = pictures()
    stacked = frames.ssim(torch.cat([a, a, 1 - a], 1), torch.cat([b, a, a], 1))
    assert float(stacked) == pytest.approx((SSIM + 1 + SSIM_INVERTED) / 3, abs=1e-9)
    assert frames.ssim(torch.cat([a, a]), torch.cat([b, a])).tolist() == pytest.approx([SSIM, 1.0], abs=1e-9)


def test_psnr_is_that_of_scikit_image_and_capped_where_nothing_differs():
    a, b = pictures()
    assert float(frames.psnr((a - b).square().mean())) == pytest.approx(PSNR, abs=1e-9)
    assert float(frames.psnr(torch.tensor(0.0))) == frames.CEILING


def test_sharpness_is_the_loop_over_pixels_of_its_definition():
    a, b = pictures()
    total, count = 0.0, 0
    for i in range(1, 24):
        for j in range(1, 20):
            true = abs(b[0, 0, i, j] - b[0, 0, i - 1, j]) + abs(b[0, 0, i, j] - b[0, 0, i, j - 1])
            own = abs(a[0, 0, i, j] - a[0, 0, i - 1, j]) + abs(a[0, 0, i, j] - a[0, 0, i, j - 1])
            total, count = total + abs(float(true - own)), count + 1
    assert float(frames.sharpness(a, b)) == pytest.approx(10 * math.log10(count / total), abs=1e-9)


def test_a_blurred_prediction_is_less_sharp_than_one_that_is_off_by_noise_of_the_same_error():
    torch.manual_seed(0)
    truth = (torch.rand(1, 1, 32, 32) > 0.5).double()
    blurred = torch.nn.functional.avg_pool2d(truth, 3, stride=1, padding=1)
    error = float((blurred - truth).square().mean()) ** 0.5
    noisy = truth + error * torch.where(torch.rand_like(truth) > 0.5, 0.5, -0.5)
    assert float(frames.sharpness(blurred, truth)) < float(frames.sharpness(noisy, truth))
