"""A quick look at what a block costs, beside others, at typical places of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .. import environment, measure
from ..contracts import IO, Spec
from ..errors import ConfigError
from .attention import block_of
from .blocks import make_block
from .findings import NotChecked
from .running import Subject

SHAPES = ((64, 56, 56), (256, 14, 14), (512, 7, 7))
"""C, H, W of three stages of a ResNet for images of 224 pixels."""
SEQUENCES = ((256, 120), (512, 600))
"""C, T: a minute of video at two frames a second, and five."""
RIVALS: Mapping[str, Sequence[str]] = {"image": ("none", "se", "hybrid_sequential"), "temporal": ("none", "global")}
KNOWN_AS = {"hybrid_sequential": "hybrid_sequential (CBAM)"}
ROUNDS, BUDGET = 40, 2.0


@dataclass(frozen=True, slots=True)
class Cost:
    """One block at one place. `shape` is that of an item; MACs of one item; milliseconds of a forward pass."""

    block: str
    shape: tuple[int, ...]
    parameters: int
    macs: float
    median_ms: float
    low_ms: float
    high_ms: float
    rounds: int


class _Alone(nn.Module):
    """A block as a model of one input."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        y: Tensor = self.block(batch["inputs"])
        return y


def bench(subject: Subject, device: str = "cpu") -> tuple[str, tuple[Cost, ...]]:
    """(the definition of the numbers, the costs of a block and of those it is compared with), by shape.

    Batch 1, all blocks in turn within each round. Raises ConfigError if the component is no block of attention, or if
    it takes none of the shapes.
    """
    if subject.component.kind != "attention":
        raise ConfigError(
            f"--bench compares blocks of attention, and '{subject.component.name}' is of kind {subject.component.kind}",
            hint="leave --bench out",
        )
    temporal = getattr(subject.target, "domain", "image") == "temporal"
    found: list[Cost] = []
    refused = ""
    with environment.pinned(environment.cores(), False):
        for size in SEQUENCES if temporal else SHAPES:
            try:
                blocks = _blocks(subject, size[0], "temporal" if temporal else "image")
            except NotChecked as reason:
                refused = str(reason)
                continue
            found += _costs(blocks, (size[1], size[0]) if temporal else size, device)
    if not found:
        raise ConfigError(f"attention '{subject.component.name}' cannot be timed: {refused}", hint="set its options")
    return measure.LATENCY, tuple(found)


def _blocks(subject: Subject, channels: int, domain: str) -> dict[str, nn.Module]:
    from ..discovery import load

    shipped = load(third_party=False).registry
    blocks = {subject.component.name: block_of(subject, channels)}
    for name in RIVALS[domain]:
        blocks.setdefault(name, make_block(shipped, name, channels, {}))
    return blocks


def _costs(blocks: Mapping[str, nn.Module], shape: tuple[int, ...], device: str) -> list[Cost]:
    spec = Spec("CHW" if len(shape) == 3 else "TK", shape, "float32")
    io = IO({"inputs": spec}, {"y": spec})
    macs = {name: measure.block_macs(block, shape) for name, block in blocks.items()}
    models: dict[str, Any] = {name: (_Alone(block), io) for name, block in blocks.items()}
    times = measure.latency(models, device, 1, ROUNDS, 5, BUDGET)
    return [
        Cost(
            KNOWN_AS.get(name, name),
            shape,
            sum(p.numel() for p in block.parameters()),
            macs[name],
            times[name]["median_ms"],
            times[name]["low_ms"],
            times[name]["high_ms"],
            times[name]["rounds"],
        )
        for name, block in blocks.items()
    ]
