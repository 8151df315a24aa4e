"""Random numbers as a function of (key, item, position): the same on every device, whatever the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def uniforms(index: Tensor, n: int, key: int) -> Tensor:
    """[B, n] float32 in [0, 1): a hash of (key, item, position), the same on every device.

    SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195) over a counter, its upper 24 bits as the fraction.
    A stateless hash, because a generator's stream would depend on batch size and order.
    """
    import torch  # imported here, as a grid is read and data is listed without it

    position = torch.arange(n, device=index.device, dtype=torch.int64)
    x = _mix(_mix(index.to(torch.int64)[:, None] + key) + position)
    return _shift(x, 40).to(torch.float32) * 2.0**-24


def _shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)  # int64 shifts copy the sign; the mask makes the shift logical


def _signed(constant: int) -> int:
    return constant - 2**64 if constant >= 2**63 else constant


def _mix(x: Tensor) -> Tensor:
    x = x + _signed(0x9E3779B97F4A7C15)
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)
