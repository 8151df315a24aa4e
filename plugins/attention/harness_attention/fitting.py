"""The convolution whose size comes closest to a given number of parameters, or of multiply-accumulates."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

KERNELS = (1, 3, 5, 7)
TOLERANCE = 0.02
"""How far the size may be from the wanted one, as a fraction of that."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`between` > 0: 1x1 convolutions C -> between -> C. Else one convolution c_in -> c_out. `count`: its size."""

    count: float
    c_in: int
    c_out: int
    kernel: int
    bias: bool
    between: int = 0

    @property
    def said(self) -> str:
        inner = f"{self.between} -> " if self.between else ""
        bias = "" if self.bias else " without bias"
        return f"{self.kernel}x{self.kernel} {self.c_in} -> {inner}{self.c_out}{bias}"


@functools.cache
def fit(channels: int, wanted: float, places: int = 0) -> Shape | None:
    """The best shape within 2 %, or None.

    `places` 0: parameters are counted. Else multiply-accumulates on a map of so many places, where biases cost nothing.
    Two convolutions over all channels go before any single one. Among equally close ones the convolution that reaches
    most channels wins, then the smaller kernel.
    """
    for family in (_pairs, _singles):
        found = min(family(channels, wanted, places), key=lambda s: _order(s, wanted), default=None)
        if found is not None and abs(found.count - wanted) <= TOLERANCE * wanted:
            return found
    return None


def _order(shape: Shape, wanted: float) -> tuple[float, int, int, bool]:
    return abs(shape.count - wanted), -min(shape.c_in, shape.c_out), shape.kernel, shape.bias


def _pairs(channels: int, wanted: float, places: int) -> Iterator[Shape]:
    each = 2 * channels * max(1, places)
    for bias in (False, True) if not places else (False,):
        fixed, more = (channels, 1) if bias else (0, 0)
        between = max(1, round((wanted - fixed) / (each + more)))
        yield Shape(between * (each + more) + fixed, channels, channels, 1, bias, between)


def _singles(channels: int, wanted: float, places: int) -> Iterator[Shape]:
    for kernel in KERNELS:
        for bias in (False, True) if not places else (False,):
            for c_out in range(1, channels + 1):
                each = kernel**2 * c_out * max(1, places)
                fixed = c_out if bias else 0
                c_in = min(channels, max(1, round((wanted - fixed) / each)))
                yield Shape(c_in * each + fixed, c_in, c_out, kernel, bias)
