"""Predictions of one target, from right to wrong, that losses are tried with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

FORMS = ("classes", "frames", "clips", "sequences", "values")
"""What a loss may compare, in the order in which it is tried."""
SIDE = 16
"""Pixels of a frame; small ones are refused by losses with windows."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Predictions of one target, as logits or in [0, 1]; `mask`: the shape that fits.

    `near` is right but for a fifth of its answers, `usual` half of the way from right to wrong everywhere: a loss with
    a margin is not zero there. `doubting(x, c)` brings a prediction nearer to no opinion: none is left at c = 0.
    """

    target: Tensor
    right: Tensor
    near: Tensor
    usual: Tensor
    wrong: Tensor
    mask: Tensor
    doubting: Callable[[Tensor, float], Tensor]


def pair(form: str, expects: str, items: int = 6, side: int = SIDE, channels: int = 3) -> Pair:
    """`wrong` has nothing to do with the target."""
    return _classes(expects, items) if form == "classes" else _values(form, expects, items, side, channels)


def _classes(expects: str, items: int) -> Pair:
    target = torch.arange(items) % 5
    right = 6.0 * torch.eye(5)[target] - 3.0
    wrong = 6.0 * torch.eye(5)[(target + 2) % 5] - 3.0
    near = torch.where((torch.arange(items) % 5 == 4)[:, None], wrong, right)
    # No two classes are level, since a loss that reads the largest alone has no gradient there.
    usual = torch.lerp(right, wrong, 0.5) + 0.3 * torch.randn_like(right)
    made = (right, near, usual, wrong)
    mask = torch.arange(items) < items // 2
    if expects == "logits":
        return Pair(target, *made, mask, torch.mul)
    right, near, usual, wrong = (x.sigmoid() for x in made)
    return Pair(target, right, near, usual, wrong, mask, _about_half)


def _values(form: str, expects: str, items: int, side: int, channels: int) -> Pair:
    shape = {
        "frames": (items, channels, side, side),
        "clips": (items, 4, channels, side, side),
        "sequences": (items, 12),
        "values": (items, 7),
    }[form]
    target, other = (0.05 + 0.9 * torch.rand(shape) for _ in range(2))
    near = torch.where(torch.rand(shape) < 0.2, other, target)
    made = (target, near, torch.lerp(target, other, 0.5), other)
    mask = torch.ones(shape[: 2 if form in ("clips", "sequences") else 1], dtype=torch.bool)
    mask[..., mask.shape[-1] // 2 :] = False
    if expects == "unit":
        return Pair(target, *made, mask, _about_half)
    right, near, usual, wrong = (x.logit() for x in made)
    return Pair(target, right, near, usual, wrong, mask, lambda x, c: _about_half(x.sigmoid(), c).logit())


def _about_half(x: Tensor, c: float) -> Tensor:
    return 0.5 + c * (x - 0.5)
