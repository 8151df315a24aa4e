"""Classifiers of images with one place for attention, each with one fault; `Good` has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.contracts import IO
from harness.errors import ConfigError


class Place(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.attention = block


class Good(nn.Module):
    """A convolution, attention, the mean over places, a linear layer."""

    def __init__(self, io: IO, *, width: int = 16) -> None:
        super().__init__()
        if io.inputs["inputs"].axes != "CHW" or io.outputs["logits"].axes != "K":
            raise ConfigError("images with labels are needed")
        channels, classes = io.inputs["inputs"].shape[0] or 1, io.outputs["logits"].shape[0] or 1
        self.conv = nn.Conv2d(channels, width, 3, 2, 1)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, classes)
        self.places = nn.ModuleDict()
        self.width = width

    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        x = self.norm(self.conv(batch["inputs"])).relu()
        for place in self.places.values():
            x = place.attention(x)
        return self.answer(x)

    def answer(self, x: Tensor) -> Mapping[str, Tensor]:
        return {"logits": self.head(x.mean(dim=(2, 3))).float()}

    def groups(self) -> Mapping[str, nn.Module]:
        backbone = nn.ModuleList([self.conv, self.norm, self.places])
        return {"backbone": backbone, "backbone.stem": self.conv, "head": self.head}

    def attach(self, factory: Any, placement: str | Sequence[str]) -> Sequence[str]:
        if factory.domain != "image":
            raise ConfigError("image attention is needed")
        if not isinstance(placement, str) and list(placement) != ["stem"]:
            raise ConfigError(f"no place is called {placement}")
        self.places["stem"] = Place(factory(self.width, site="stem"))
        return ["stem"]

    def prefix(self) -> tuple[str, str, str] | None:
        return None


class Fails(Good):
    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


class Half(Good):
    """The head is not float32."""

    def answer(self, x: Tensor) -> Mapping[str, Tensor]:
        return {"logits": super().answer(x)["logits"].double()}


class NeedsAttention(Good):
    """Trains nothing where there is no attention."""

    def answer(self, x: Tensor) -> Mapping[str, Tensor]:
        found = super().answer(x)
        return found if len(self.places) else {"logits": found["logits"].detach().requires_grad_()}


class Renames(Good):
    """A name of the plain model is another with attention."""

    def attach(self, factory: Any, placement: str | Sequence[str]) -> Sequence[str]:
        sites = super().attach(factory, placement)
        self.scale, old = nn.Linear(1, 1), self.norm
        self.norm = nn.Sequential(old)
        return sites


class Idle(Good):
    """Its block is never run."""

    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return self.answer(self.norm(self.conv(batch["inputs"])).relu())


class Discards(Good):
    """Its block is run, and the result thrown away."""

    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        x = self.norm(self.conv(batch["inputs"])).relu()
        for place in self.places.values():
            place.attention(x)
        return self.answer(x)


class DiscardsInTraining(Good):
    """Its block counts in evaluation alone, so that it never trains."""

    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        x = self.norm(self.conv(batch["inputs"])).relu()
        for place in self.places.values():
            gated = place.attention(x)
            x = x + 0 * gated if self.training else gated
        return self.answer(x)


class ZeroBranch(Good):
    """No fault: what comes behind its block starts at zero, as the last norm of a residual branch often does."""

    def __init__(self, io: IO, *, width: int = 16) -> None:
        super().__init__(io, width=width)
        self.last = nn.BatchNorm2d(width)
        nn.init.zeros_(self.last.weight)

    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        x = self.norm(self.conv(batch["inputs"])).relu()
        branch = x
        for place in self.places.values():
            branch = place.attention(branch)
        return self.answer(x + self.last(branch))

    def groups(self) -> Mapping[str, nn.Module]:
        backbone = nn.ModuleList([self.conv, self.norm, self.last, self.places])
        return {"backbone": backbone, "backbone.stem": self.conv, "head": self.head}


class AnyPlace(Good):
    """Takes a place that is not there."""

    def attach(self, factory: Any, placement: str | Sequence[str]) -> Sequence[str]:
        return super().attach(factory, "block")


class OneBlock(Good):
    """Knows the inside of one kind of block."""

    def forward(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        for place in self.places.values():
            place.attention.conv.weight.requires_grad_(True)
        return super().forward(batch)


class Ungrouped(Good):
    """No group holds the head."""

    def groups(self) -> Mapping[str, nn.Module]:
        return {k: v for k, v in super().groups().items() if k != "head"}


class Outside(Good):
    """A group that is not in the one above it."""

    def groups(self) -> Mapping[str, nn.Module]:
        return {**super().groups(), "backbone.head": self.head}


class WrongPrefix(Good):
    def prefix(self) -> tuple[str, str, str] | None:
        return ("front", "inputs", "features")


class BatchMean(Good):
    """Takes the batch's mean off, in evaluation as well."""

    def answer(self, x: Tensor) -> Mapping[str, Tensor]:
        return super().answer(x - 0.5 * x.mean(dim=0, keepdim=True))


class LooseTensor(Good):
    def __init__(self, io: IO) -> None:
        super().__init__(io)
        self.loose = torch.rand(1)

    def answer(self, x: Tensor) -> Mapping[str, Tensor]:
        return super().answer(x * self.loose)
