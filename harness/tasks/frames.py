"""What is measured on predicted frames, one number a frame. Frames are [N, C, H, W] in [0, 1]; peak and range are 1."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW = 7
CEILING = 100.0
"""PSNR of a frame without any error, in dB; the logarithm would be infinite."""


def psnr(mse: Tensor) -> Tensor:
    """10 log10(1 / MSE), at most 100 dB. Shapes: any -> the same."""
    return -10 * torch.log10(mse.double().clamp(min=10 ** (-CEILING / 10)))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of pairs of frames, [N].

    Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13 with K1 = 0.01, K2 = 0.03, range L = 1, averaged over channels
    and over all windows that lie within the frame. As scikit-image's default: a uniform window of 7 x 7 and sample
    covariances (n - 1). Differs from that paper's Gaussian window of 11 x 11.
    """
    a, b = a.double(), b.double()
    n = WINDOW * WINDOW
    ma, mb = _box(a), _box(b)
    va, vb = (_box(a * a) - ma * ma) * n / (n - 1), (_box(b * b) - mb * mb) * n / (n - 1)
    cov = (_box(a * b) - ma * mb) * n / (n - 1)
    c1, c2 = 0.01**2, 0.03**2
    value = ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    return value.mean(dim=(1, 2, 3))


def _box(x: Tensor) -> Tensor:
    """Means over windows, one axis after the other."""
    return F.avg_pool2d(F.avg_pool2d(x, (WINDOW, 1), stride=1), (1, WINDOW), stride=1)


def sharpness(a: Tensor, b: Tensor) -> Tensor:
    """Sharpness difference of a prediction `a` to the truth `b` in dB, [N]; higher is sharper and truer.

    Mathieu et al. 2016, arXiv:1511.05440, section 4: 10 log10(1 / mean | (|d_i b| + |d_j b|) - (|d_i a| + |d_j a|) |),
    over the pixels that have both an upper and a left neighbour; at most 100 dB.
    """
    gap = (gradient(b.double()) - gradient(a.double())).abs().mean(dim=(1, 2, 3))
    return -10 * torch.log10(gap.clamp(min=10 ** (-CEILING / 10)))


def gradient(x: Tensor) -> Tensor:
    """|difference to the pixel above| + |difference to the pixel on the left|, [N, C, H - 1, W - 1]."""
    return (x[..., 1:, 1:] - x[..., :-1, 1:]).abs() + (x[..., 1:, 1:] - x[..., 1:, :-1]).abs()
