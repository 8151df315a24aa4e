"""Structural similarity as a loss: 1 - SSIM.

SSIM = (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x² + m_y² + C1) (s_x² + s_y² + C2)) at each place of a sliding window, with
weighted means m, variances s² and covariance s_xy; C1 = (0.01 L)², C2 = (0.03 L)², and the data range L is 1.

Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", eq. 13, section
III.B. Differs: see `Ssim`.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import ConfigError
from harness_losses.common import masked_mean
from harness_losses.frames import exactly, framed

Window: TypeAlias = Literal["gaussian", "uniform"]

C1 = 0.01**2
C2 = 0.03**2


class Ssim(nn.Module):
    """1 - SSIM, for values in [0, 1]: 0 for equal frames, 1 for frames without common structure, 2 at most.

    Shapes: output [B, C, H, W] or [B, T, C, H, W] in [0, 1], target of the same shape, mask [B] or [B, T]
    (True = real) -> scalar. The mean over places and channels of a frame, then over frames.
    `window`: `gaussian` of `window_size` pixels (odd) with standard deviation `sigma`, as in the source; or `uniform`,
    which leaves `sigma` unused. Data range 1. Only places where the whole window lies in the frame count, so the outer
    (window_size - 1) / 2 pixels weigh less; variances are the population's, divided by the weights' sum.
    Source: see the module. Differs: every channel by itself, where the source takes luminance alone; no downsampling of
    large pictures. scikit-image's default is another: uniform, 7 pixels, variances of the sample.
    Raises: ConfigError if window_size is even, below 3 or larger than a frame, sigma <= 0, or the shapes do not fit.
    """

    expects: Literal["logits", "unit"] = "unit"
    weights: Tensor

    def __init__(self, *, window: Window = "gaussian", window_size: int = 11, sigma: float = 1.5) -> None:
        super().__init__()
        if window not in ("gaussian", "uniform"):
            raise ConfigError(f"loss 'ssim': window is '{window}'", hint="known: gaussian, uniform")
        if window_size < 3 or window_size % 2 == 0:
            raise ConfigError(
                f"loss 'ssim': window_size is {window_size}", hint="it is odd and at least 3; 11 is usual"
            )
        if not 0.0 < sigma < math.inf:
            raise ConfigError(f"loss 'ssim': sigma is {sigma:g}", hint="it is above 0; 1.5 is usual")
        self._made_of = (window, window_size, float(sigma))
        # A buffer, so that a GPU need not wait for a copy at every update; not of float64, which MPS does not have.
        self.register_buffer("weights", weights_of(*self._made_of).float(), persistent=False)

    def forward(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        predicted, true, real = framed("ssim", output, target, mask, least=len(self.weights))
        weights = self.weights
        if predicted.dtype == torch.float64:
            weights = weights_of(*self._made_of).to(predicted.device)
        return masked_mean(1.0 - ssim_map(predicted, true, weights).flatten(1).mean(1), real)


def weights_of(window: Window, size: int, sigma: float) -> Tensor:
    """[K] float64: the window along one axis; it sums to 1."""
    places = torch.arange(size, dtype=torch.float64) - size // 2
    raw = torch.exp(-0.5 * (places / sigma) ** 2) if window == "gaussian" else torch.ones_like(places)
    return raw / raw.sum()


def ssim_map(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """SSIM at every place of the window, data range 1; computed in the type of x, under autocast too.

    Shapes: x, y [N, C, H, W], weights [K] -> [N, C, H - K + 1, W - K + 1].
    """
    # Depthwise and along one axis after the other: 35 times as fast on a CPU as the moments of frames one by one.
    # Contiguous, since cuDNN takes channels-last ones and may round to TF32, which a difference of squares cannot bear.
    moments = torch.cat([x, y, x * x, y * y, x * y], dim=1).contiguous()
    taps = weights.to(x.dtype).expand(moments.shape[1], 1, 1, -1)
    with exactly(x):
        moments = F.conv2d(moments, taps.mT, groups=len(taps))
        moments = F.conv2d(moments, taps, groups=len(taps))
    m_x, m_y, xx, yy, xy = moments.chunk(5, dim=1)
    common = (2 * m_x * m_y + C1) * (2 * (xy - m_x * m_y) + C2)
    found: Tensor = common / ((m_x**2 + m_y**2 + C1) * (xx - m_x**2 + yy - m_y**2 + C2))
    return found
