"""Models whose scores can be told from the picture by anybody: the brighter a frame, the higher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.contracts import IO


class Mean(nn.Module):
    """[N, 3, H, W] -> [N, 1]: the mean of a frame, in [0, 1] where it comes as bytes."""

    def forward(self, frames: Tensor) -> Tensor:
        scale = 255 if frames.dtype == torch.uint8 else 1
        return frames.float().flatten(1).mean(1, keepdim=True) / scale


class Bright(nn.Module):
    """`front` False: a model that must see all frames at once. `factor` -1: the darker, the higher; 0: all alike."""

    def __init__(self, io: IO, *, front: bool = True, factor: float = 1.0) -> None:
        super().__init__()
        self.mean, self.front, self.factor = Mean(), front, factor
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if "features" in batch:
            bright = batch["features"][..., 0]
        else:
            frames = batch["inputs"]
            bright = self.mean(frames.flatten(0, 1)).view(frames.shape[:2])
        return {"logits": torch.where(batch["mask"], self.factor * bright, 0)}

    def groups(self) -> Mapping[str, nn.Module]:
        return {"mean": self.mean}

    def prefix(self) -> tuple[str, str, str] | None:
        return ("mean", "inputs", "features") if self.front else None


class Odd(Bright):
    """Answers of the wrong length, or no numbers."""

    def __init__(self, io: IO, *, nothing: bool = False) -> None:
        super().__init__(io)
        self.nothing = nothing

    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Any]:
        logits = super().forward(batch)["logits"]
        return {"logits": logits * float("nan") if self.nothing else logits[:, 1:]}
