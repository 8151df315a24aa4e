"""Blocks of attention that break their word, and a model that keeps its blocks where nobody looks."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.contracts import IO, AttentionFactory


class Image(nn.Module):
    domain = "image"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))


class Pooled(Image):
    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x.mean((2, 3), keepdim=True)


class OneMap(Image):
    def forward(self, x: Tensor) -> Tensor:
        return (self.scale * x).mean(1, keepdim=True)


class Halved(Image):
    def forward(self, x: Tensor) -> Tensor:
        return (self.scale * x)[:, ::2]


class OverItems(Image):
    """Right for one item alone."""

    def forward(self, x: Tensor) -> Tensor:
        return (self.scale * x).mean(0, keepdim=True)


class InTraining(Image):
    """Right in evaluation mode."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.scale * x
        return y.mean((2, 3), keepdim=True) if self.training else y


class Pair(Image):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.scale * x, self.scale


class Mixed(Image):
    """Multiplies what does not go together."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.cat([self.scale, self.scale], 1)


class Large(Image):
    """Fails only where many items come at once, which no trial with two of them sees."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 50:
            raise RuntimeError("too many items for me")
        return self.scale * x


class Counting(Image):
    """Right; a wrong way of trying it out would move its statistics, its number of calls or the random stream."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.norm = nn.BatchNorm2d(channels)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        random.random()
        return self.norm(x + 0 * torch.rand_like(x))


class InPlace(Image):
    """Right, and writes into what it gets, as nn.ReLU(inplace=True) does."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(self.scale.sigmoid())


class Temporal(nn.Module):
    domain = "temporal"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))


class Summary(Temporal):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return (self.scale * x).mean(1, keepdim=True)


class RealOnes(Temporal):
    """Drops what stands under padding, where there is any."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.scale * x
        return y if mask is None else y[mask][None]


class Hiding(nn.Module):
    """A model whose blocks have names of its own, and a part named `attention` that is none of them."""

    def __init__(self, io: IO) -> None:
        super().__init__()
        channels = io.inputs["inputs"].shape[0]
        assert channels is not None
        self.stem = nn.Conv2d(channels, 8, 3, padding=1)
        self.native = nn.ModuleDict({"attention": Native()})
        self.head = nn.Linear(8, int(io.outputs["logits"].shape[0] or 0))
        self.added = nn.ModuleList()

    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        x, _ = self.native["attention"](self.stem(batch["inputs"]))
        for block in self.added:
            x = block(x=x)
        return {"logits": self.head(x.mean((2, 3))).float()}

    def attach(self, factory: AttentionFactory, placement: str | Sequence[str]) -> Sequence[str]:
        self.added.append(factory(8, site="stem"))
        return ("stem",)

    def groups(self) -> Mapping[str, nn.Module]:
        return {"backbone": nn.ModuleList([self.stem, self.added]), "head": self.head}

    def prefix(self) -> Any:
        return None


class Native(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.mean()
