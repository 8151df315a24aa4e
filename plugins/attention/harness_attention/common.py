"""What the blocks share: checks of their options, the width of a bottleneck, a norm, and the gate functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import ConfigError

Gate: TypeAlias = Literal["sigmoid", "hardsigmoid"]
_GATES: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "hardsigmoid": nn.Hardsigmoid}


def make_gate(block: str, gate: str) -> nn.Module:
    """sigmoid: 1 / (1 + exp(-z)). hardsigmoid: min(max(z + 3, 0), 6) / 6 (Howard et al. 2019, arXiv:1905.02244).

    Raises ConfigError for any other name.
    """
    require_one_of(block, "gate", gate, tuple(_GATES))
    return _GATES[gate]()


def bottleneck(block: str, channels: int, reduction: int) -> int:
    """max(1, round(channels / reduction)), halves upwards; not rounded to a multiple of anything.

    Python's own `round` goes to the even number at halves (40 / 16 -> 2), where timm's blocks go up (3).
    Raises ConfigError if channels or reduction is less than 1.
    """
    require_positive(block, "channels", channels)
    require_positive(block, "reduction", reduction)
    return max(1, (2 * channels + reduction) // (2 * reduction))


def normalise(bn: nn.BatchNorm2d, y: Tensor) -> Tensor:
    """`bn` of y [B, C, H, W], in training too where y has a single value a channel: one image, and a map of 1x1.

    Such a value has no variance to normalise with, and torch refuses it. It is normalised with the running statistics,
    which stay as they are.
    """
    if bn.training and y.numel() == y.shape[1]:
        return F.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, False, 0.0, bn.eps)
    out: Tensor = bn(y)
    return out


def require_positive(block: str, option: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"attention '{block}': {option} is {value}", hint=f"{option} is at least 1")


def require_odd(block: str, option: str, value: int) -> None:
    if value < 1 or value % 2 == 0:
        raise ConfigError(
            f"attention '{block}': {option} is {value}",
            hint=f"{option} is odd and positive, so that the window has a middle: 3, 5, 7",
        )


def require_one_of(block: str, option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"attention '{block}': {option} is '{value}'", hint=f"known: {', '.join(known)}")


def require_heads(block: str, channels: int, heads: int) -> None:
    require_positive(block, "heads", heads)
    if channels % heads:
        raise ConfigError(
            f"attention '{block}': heads is {heads}, and there are {channels} channels",
            hint="heads divides the number of channels",
        )


def require_probability(block: str, option: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ConfigError(
            f"attention '{block}': {option} is {value:g}", hint=f"{option} is a probability, at least 0 and below 1"
        )
