"""A perceptual distance as an optional metric, by torchmetrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import DataError

FILES = {
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
"""What torchvision calls the weights of these networks."""


class Lpips:
    """Zhang et al. 2018, arXiv:1801.03924, eq. 1, one number a frame.

    Shapes: two [N, C, H, W] in [0, 1] -> [N]. Grey frames are repeated to three channels. The networks' ImageNet
    weights come from torchvision, the linear weights with torchmetrics. Raises: DataError if torchvision's file is
    neither in its folder nor can be fetched.
    """

    def __init__(self, net: Literal["alex", "vgg", "squeeze"]) -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        try:
            with torch.random.fork_rng(devices=[]):  # the layers are made at random before the weights are loaded
                metric = LearnedPerceptualImagePatchSimilarity(net_type=net, normalize=True)
        except (OSError, RuntimeError) as error:  # URLError is an OSError; a damaged file raises RuntimeError
            folder = Path(torch.hub.get_dir()) / "checkpoints"
            raise DataError(
                f"task 'video_prediction': the weights for lpips '{net}' cannot be had: {error}",
                hint=f"put '{FILES[net]}' of torchvision into '{folder}', or leave `lpips` out",
            ) from error
        self._net: nn.Module = metric.net.eval().requires_grad_(False)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        net: Any = self._net.to(a.device)
        found: list[Tensor] = []
        for x, y in zip(torch.split(a.float(), 256), torch.split(b.float(), 256), strict=True):
            found.append(net(*(f.expand(-1, 3, -1, -1) if f.shape[1] == 1 else f for f in (x, y)), normalize=True))
        return torch.cat([f.reshape(-1) for f in found]).double()
