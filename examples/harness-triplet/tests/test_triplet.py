"""The block keeps the promises of attention, and computes what its formula says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from harness import HarnessError, load_registry
from harness.conformance import check


def build(channels: int, **options: Any) -> Any:
    return load_registry().build("attention", "triplet", channels, **options)


def test_it_keeps_the_promises_of_attention() -> None:
    report = check("attention", "triplet")
    assert report.ok, str(report)


C, H, W = range(3)


def slow_gate(x: torch.Tensor, part: Any, *axes: int) -> torch.Tensor:
    """One gate of x [C, H, W] in evaluation mode, value by value.

    `axes`: the one that is pooled, then the two that the window slides along, as its rows and its columns.
    """
    size, reach = part.conv.kernel_size[0], part.conv.kernel_size[0] // 2
    moved = x.permute(axes)
    out = torch.empty_like(moved)
    for i in range(moved.shape[1]):
        for j in range(moved.shape[2]):
            z = 0.0
            for a in range(size):
                for b in range(size):
                    p, q = i + a - reach, j + b - reach
                    if 0 <= p < moved.shape[1] and 0 <= q < moved.shape[2]:
                        line = [float(v) for v in moved[:, p, q]]
                        z += float(part.conv.weight[0, 0, a, b]) * max(line)
                        z += float(part.conv.weight[0, 1, a, b]) * sum(line) / len(line)
            bn = part.bn
            z = (z - float(bn.running_mean)) / math.sqrt(float(bn.running_var) + bn.eps)
            z = z * float(bn.weight) + float(bn.bias)
            out[:, i, j] = moved[:, i, j] / (1 + math.exp(-z))
    return out.permute([axes.index(axis) for axis in (C, H, W)])


@torch.no_grad()
@pytest.mark.parametrize("places", [True, False])
def test_it_computes_its_formula(places: bool) -> None:
    torch.manual_seed(0)
    block = build(4, kernel_size=3, places=places)
    for part in block.children():  # a norm as it is after training, not the one that does nothing
        torch.nn.init.uniform_(part.bn.running_mean, -0.5, 0.5)
        torch.nn.init.uniform_(part.bn.running_var, 0.5, 2.0)
        torch.nn.init.uniform_(part.bn.weight, 0.5, 2.0)
        torch.nn.init.uniform_(part.bn.bias, -0.5, 0.5)
    block.eval()
    x = torch.randn(2, 4, 5, 6)
    for item, got in zip(x, block(x), strict=True):
        terms = [slow_gate(item, block.cw, H, C, W), slow_gate(item, block.hc, W, H, C)]
        if places:
            terms.append(slow_gate(item, block.hw, C, H, W))
        torch.testing.assert_close(got, sum(terms[1:], terms[0]) / len(terms))


def test_its_size_does_not_depend_on_the_channels() -> None:
    for channels in (1, 64):
        assert sum(p.numel() for p in build(channels).parameters()) == 6 * 7**2 + 6
        assert sum(p.numel() for p in build(channels, places=False).parameters()) == 4 * 7**2 + 4


@pytest.mark.parametrize("size", [4, 0, -3])
def test_a_window_without_a_middle_is_refused(size: int) -> None:
    with pytest.raises(HarnessError, match=f"kernel_size is {size}"):
        build(4, kernel_size=size)
