"""Blocks that stand in for another block, to tell what of its gain is attention and what is capacity.

A control wraps a block: `{name: shuffled_gate, of: {name: se, reduction: 8}}`. The program builds the wrapped block
first, under the seed that it has in its own row, and hands it over as `of`.

Source: original; a convolution of equal size in place of a block is the usual control for capacity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import ConfigError
from harness_attention.common import require_one_of, require_positive
from harness_attention.fitting import TOLERANCE, Shape, fit

Match: TypeAlias = Literal["parameters", "macs"]


class IdentityGate(nn.Module):
    """The block is there with all its weights, and does nothing: y = x.

    The model computes what it computes without attention, and its other weights train as they do there, bit by bit.
    A difference to the baseline is therefore a fault of the pairing, and none of the block.

    Shapes: x, whatever `of` takes -> x itself.
    Cost: the parameters of `of`, none of which ever gets a gradient; no MACs.
    Source: original.
    """

    domain: ClassVar[Literal["any"]] = "any"
    inert: ClassVar[bool] = True

    def __init__(self, channels: int, *, of: nn.Module) -> None:
        super().__init__()
        _check("identity_gate", channels, of)
        self.block = of

    @staticmethod
    def refuses(block: nn.Module) -> str:
        """Why there can be no such control of a block; empty: there can."""
        return ""

    def forward(self, x: Tensor, *rest: Any) -> Tensor:
        return x


class Rolled:
    """A forward hook that gives every item the gate of the item half a batch further.

    An object and not a closure, so that copies of the model have their own.
    """

    def __init__(self) -> None:
        self.batch = 0

    def __call__(self, module: nn.Module, args: Any, gate: Tensor) -> Tensor:
        if not isinstance(gate, Tensor) or gate.dim() < 2 or gate.shape[0] != self.batch or self.batch < 2:
            return gate
        return torch.roll(gate, max(1, self.batch // 2), 0)


class ShuffledGate(nn.Module):
    """The block with gates of other items: what every gate puts out is rolled over the batch by half of it.

    Weights, gate values and their spread over a batch stay those of the block; only the tie between an item and its
    gate is cut. If that costs nothing, the block's gain does not come from looking at the item.

    Gates are the modules nn.Sigmoid and nn.Hardsigmoid in the block, or those whose paths the block lists in an
    attribute `gates`. A gate whose output has no batch axis in front (the same for all items, or items folded into
    another axis) is left as it is, and so is a batch of one item.

    Differs from a random shuffle: the partner is fixed, B // 2 places further in the batch (at least 1). A shuffle
    would draw from the random stream, and rows of one seed would no longer train on the same draws. Batches of
    training are in random order, so the partner is a random one there; in evaluation it depends on the order of the
    split: an item's output hangs on the batch that it is in, and where a split is sorted by class, a partner may be of
    the same class more often than by chance.

    Shapes: those of `of`.
    Cost: that of `of`.
    Source: original.
    Raises: ConfigError if the block has no gate, or `gates` names something else than a module of the block.
    """

    domain: ClassVar[Literal["any"]] = "any"

    def __init__(self, channels: int, *, of: nn.Module) -> None:
        super().__init__()
        _check("shuffled_gate", channels, of, self.refuses)
        self.block = of
        self.roll = Rolled()
        for path in gate_paths(of):
            of.get_submodule(path).register_forward_hook(self.roll)

    @staticmethod
    def refuses(block: nn.Module) -> str:
        """Why there can be no such control of a block; empty: there can."""
        if gate_paths(block):
            return ""
        return f"{type(block).__name__} has no gate (nn.Sigmoid, nn.Hardsigmoid, or modules that it lists in `gates`)"

    @staticmethod
    def told(blocks: Sequence[ShuffledGate]) -> Sequence[str]:
        """A sentence for the record about all blocks of one model."""
        return (
            "shuffled_gate rolls gates over the batch by half of it, so an item's output depends on its batch, in"
            " evaluation as well",
        )

    def forward(self, x: Tensor, *rest: Any) -> Tensor:
        self.roll.batch = x.shape[0]
        y: Tensor = self.block(x, *rest)
        return y


def gate_paths(block: nn.Module) -> tuple[str, ...]:
    """Where the gates of a block are. Raises ConfigError if its attribute `gates` names no module of it."""
    modules = dict(block.named_modules())
    listed = getattr(block, "gates", None)
    if listed is None:
        # A block may be a gate itself only if it has one inside: without a path there is nothing to tell it from.
        return tuple(name for name, m in modules.items() if name and isinstance(m, (nn.Sigmoid, nn.Hardsigmoid)))
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise ConfigError(f"{type(block).__name__}.gates is no list of paths", hint="for instance ('gate',)")
    for name in listed:
        if not name or name not in modules:
            raise ConfigError(
                f"{type(block).__name__}.gates names '{name}', which is no module of the block",
                hint=f"its modules are {', '.join(n for n in modules if n) or 'none'}",
            )
    return tuple(dict.fromkeys(listed))


class MatchedConv(nn.Module):
    """A plain convolution of the block's size in its place: y = x + conv(x).

    conv is two 1x1 convolutions C -> m -> C with a ReLU between them, if these come within 2 % of the block; else one
    k x k convolution (k of 1, 3, 5, 7) from the first c_in to the first c_out channels, whichever numbers come closest;
    with biases or without. The last convolution begins at zero, so that the network begins as the baseline does: with
    torch's own start, sums of many such blocks without a norm made training unstable, and a control that diverges says
    nothing of capacity. The wrapped block is counted and thrown away.

    Matched are the parameters (`match: parameters`) or the multiply-accumulates of one item (`match: macs`), each
    block by itself, and never both. What is not counted as a MAC (biases, sums, gating) is not matched.

    Shapes: x [B, C, H, W] float -> same shape.
    Cost: within 2 % of the block's.
    Source: original.
    Raises: ConfigError if the block has nothing to match, or no convolution comes within 2 %.
    """

    domain: ClassVar[Literal["image"]] = "image"

    def __init__(
        self,
        channels: int,
        *,
        of: nn.Module,
        match: Match = "parameters",
        measured: tuple[float, int] | None = None,
    ) -> None:
        """`measured`: MACs of the block for one item, and places (H * W) of its map; needed for `match: macs`."""
        super().__init__()
        require_one_of("matched_conv", "match", match, ("parameters", "macs"))
        _check("matched_conv", channels, of, self.refuses)
        if match == "macs" and measured is None:
            raise ConfigError("matched_conv: the MACs of the block are not known", hint="use match: parameters")
        self.match, self.block_name = match, type(of).__name__
        count, places = (float(count_of(of)), 0) if match == "parameters" or measured is None else measured
        shape = fit(channels, count, places)
        if shape is None:
            size = "" if match == "parameters" else f" on a map of {places:,} places"
            raise ConfigError(
                f"matched_conv: no convolution of {channels} channels comes within {TOLERANCE:.0%} of {count:,.0f}"
                f" {_UNITS[match]}, those of {self.block_name}{size}",
                hint="use match: parameters" if match == "macs" else "leave matched_conv out for this block",
            )
        self.shape, self.wanted = shape, count
        self.conv = _layers(channels, shape)

    @staticmethod
    def refuses(block: nn.Module) -> str:
        """Why there can be no such control of a block; empty: there can."""
        if getattr(block, "domain", "image") != "image":
            return f"{type(block).__name__} works on sequences, and a convolution of images cannot take its place"
        if not count_of(block):
            return f"{type(block).__name__} has no parameters that a convolution could have in its place"
        return ""

    @staticmethod
    def told(blocks: Sequence[MatchedConv]) -> Sequence[str]:
        """A sentence for the record about all blocks of one model."""
        first = blocks[0]
        have, wanted = sum(b.shape.count for b in blocks), sum(b.wanted for b in blocks)
        forms = dict.fromkeys(b.shape.said for b in blocks)
        return (
            f"matched_conv of {first.block_name}: {have:,.0f} {_UNITS[first.match]} in {len(blocks)} blocks that have"
            f" {wanted:,.0f} as {first.block_name} (each within {TOLERANCE:.0%}): {', '.join(forms)}",
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x[:, : self.shape.c_in])
        return x + F.pad(y, (0, 0, 0, 0, 0, x.shape[1] - self.shape.c_out))


_UNITS = {"parameters": "parameters", "macs": "MACs"}


def count_of(block: nn.Module) -> int:
    """Parameters of a block."""
    return sum(p.numel() for p in block.parameters())


def _check(name: str, channels: int, of: nn.Module, refuses: Callable[[nn.Module], str] | None = None) -> None:
    require_positive(name, "channels", channels)
    if not isinstance(of, nn.Module):
        raise ConfigError(f"{name}: `of` is {of!r}, and no block", hint="in a grid: {name: se, reduction: 8}")
    why_not = refuses(of) if refuses else ""
    if why_not:
        raise ConfigError(f"{name}: {why_not}", hint=f"leave {name} out for this block")


def _layers(channels: int, shape: Shape) -> nn.Module:
    if shape.between:
        first = nn.Conv2d(channels, shape.between, 1, bias=shape.bias)
        last = nn.Conv2d(shape.between, channels, 1, bias=shape.bias)
        return nn.Sequential(first, nn.ReLU(), _zero(last))
    k = shape.kernel
    return _zero(nn.Conv2d(shape.c_in, shape.c_out, k, padding=k // 2, bias=shape.bias))


def _zero(conv: nn.Conv2d) -> nn.Conv2d:
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
