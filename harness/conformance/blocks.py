"""The kit's own blocks of attention, and how any block is built and handed to a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ..registry import Registry
from .findings import Broken


class Gate(nn.Module):
    """The kit's own block, for blocks that wrap another one and for models: y = x * sigmoid(W mean_hw(x) + b)."""

    domain = "image"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = x * self.gate(self.conv(x.mean(dim=(2, 3), keepdim=True)))
        return gated


class TemporalGate(nn.Module):
    """The kit's own block for sequences: y = x * sigmoid(W x + b), 0 under padding."""

    domain = "temporal"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y: Tensor = x * self.gate(self.linear(x))
        return y if mask is None else y.masked_fill(~mask[..., None], 0)


GATES: Mapping[str, type[nn.Module]] = {"image": Gate, "temporal": TemporalGate}


def make_block(registry: Registry, name: str, channels: int, options: Mapping[str, Any]) -> nn.Module:
    """A block with its options; a block that it wraps (`of`: a name, a mapping with `name`, None) is built first."""
    component = registry.get("attention", name)
    options = dict(options)
    if any(o.name == "of" for o in component.options()):
        inner = options.get("of")
        inner = {"name": inner} if isinstance(inner, str) else inner
        if isinstance(inner, Mapping):
            rest = {k: v for k, v in inner.items() if k != "name"}
            options["of"] = make_block(registry, str(inner["name"]), channels, rest)
        else:
            options["of"] = Gate(channels)
    block = component.load()(channels, **options)
    if not isinstance(block, nn.Module):
        raise Broken(f"built, it is a {type(block).__name__}, and no torch.nn.Module")
    return block


class Maker:
    """The block for one place after the other (contracts.AttentionFactory)."""

    def __init__(self, domain: Any, make: Callable[[int], nn.Module]) -> None:
        self.domain, self._make = domain, make
        self.made: list[nn.Module] = []

    def __call__(self, channels: int, /, *, site: str = "") -> nn.Module:
        self.made.append(self._make(channels))
        return self.made[-1]
