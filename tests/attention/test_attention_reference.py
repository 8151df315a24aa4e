"""Every block against its equation, written out slowly with loops over pixels and channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import harness_attention
from harness.registry import Registry

C, H, W = 6, 5, 3


@pytest.fixture
def registry() -> Registry:
    registry = Registry("tests")
    harness_attention.harness_register(registry)
    return registry


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(0)
    return 2 * torch.randn(2, C, H, W, dtype=torch.float64)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def hardsigmoid(z: float) -> float:
    return min(max(z + 3, 0.0), 6.0) / 6


def mean_of(plane: Tensor) -> float:
    return sum(float(v) for v in plane.flatten()) / plane.numel()


def max_of(plane: Tensor) -> float:
    return max(float(v) for v in plane.flatten())


def mlp(v: list[float], block: nn.Module) -> list[float]:
    """W2 relu(W1 v + b1) + b2, a number at a time."""
    for layer in (block.fc1, block.fc2):
        weight = layer.weight[:, :, 0, 0]
        bias = layer.bias if layer.bias is not None else torch.zeros(len(weight))
        v = [sum(float(weight[o, i]) * v[i] for i in range(len(v))) + float(bias[o]) for o in range(len(weight))]
        v = [max(0.0, u) for u in v] if layer is block.fc1 else v
    return v


def channel_logits(x: Tensor, block: nn.Module) -> Tensor:
    rows = []
    for image in x:
        average = mlp([mean_of(image[c]) for c in range(len(image))], block)
        largest = mlp([max_of(image[c]) for c in range(len(image))], block)
        rows.append([a + b for a, b in zip(average, largest, strict=True)])
    return torch.tensor(rows, dtype=torch.float64)[:, :, None, None]


def spatial_logits(x: Tensor, block: nn.Module) -> Tensor:
    """Convolution with zeros outside, then batch norm with the statistics of this batch."""
    height, width = x.shape[2:]
    size = block.conv.kernel_size[0]
    weight, half = block.conv.weight[0], size // 2
    out = torch.zeros(len(x), 1, height, width, dtype=torch.float64)
    for b, image in enumerate(x):
        for i in range(height):
            for j in range(width):
                for u in range(size):
                    for v in range(size):
                        row, column = i + u - half, j + v - half
                        if 0 <= row < height and 0 <= column < width:
                            pixel = image[:, row, column]
                            out[b, 0, i, j] += weight[0, u, v] * mean_of(pixel) + weight[1, u, v] * max_of(pixel)
    mean, variance = mean_of(out), mean_of((out - mean_of(out)) ** 2)
    return block.bn.weight * (out - mean) / math.sqrt(variance + 1e-5) + block.bn.bias


def gated(logits: Tensor, gate: Callable[[float], float]) -> Tensor:
    return torch.tensor([gate(float(z)) for z in logits.flatten()], dtype=torch.float64).reshape(logits.shape)


def built(registry: Registry, name: str, **options: Any) -> nn.Module:
    """A block with every parameter, norms included, away from its initial value."""
    torch.manual_seed(3)
    block: nn.Module = registry.build("attention", name, C, **options).double().requires_grad_(False)
    for p in block.parameters():
        p.copy_(torch.randn_like(p) * 0.7)
    return block


def check(out: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(out, expected, rtol=0.0, atol=1e-12)


GATES = pytest.mark.parametrize(("gate", "scalar"), [("sigmoid", sigmoid), ("hardsigmoid", hardsigmoid)])


def test_none_hands_on_the_input_itself(registry: Registry, x: Tensor) -> None:
    block = registry.build("attention", "none", C)
    assert block(x) is x
    assert not list(block.state_dict())


@GATES
@pytest.mark.parametrize("mlp_bias", [True, False])
def test_se_is_its_equation(registry: Registry, x: Tensor, gate: str, scalar: Any, mlp_bias: bool) -> None:
    block = built(registry, "se", reduction=2, gate=gate, mlp_bias=mlp_bias)
    rows = [mlp([mean_of(image[c]) for c in range(C)], block) for image in x]
    logits = torch.tensor(rows, dtype=torch.float64)[:, :, None, None]
    check(block(x), x * gated(logits, scalar))


@GATES
@pytest.mark.parametrize("kernel_size", [None, 1, 5])
def test_eca_is_its_equation(registry: Registry, x: Tensor, gate: str, scalar: Any, kernel_size: int | None) -> None:
    block = built(registry, "eca", gate=gate, kernel_size=kernel_size)
    kernel = block.conv.weight[0, 0]
    assert len(kernel) == (kernel_size or 3)
    logits = torch.zeros(len(x), C, 1, 1, dtype=torch.float64)
    for b in range(len(x)):
        for c in range(C):
            for u in range(len(kernel)):
                neighbour = c + u - len(kernel) // 2
                if 0 <= neighbour < C:
                    logits[b, c] += kernel[u] * mean_of(x[b, neighbour])
    check(block(x), x * gated(logits, scalar))


@GATES
@pytest.mark.parametrize("mlp_bias", [True, False])
def test_channel_is_its_equation(registry: Registry, x: Tensor, gate: str, scalar: Any, mlp_bias: bool) -> None:
    block = built(registry, "channel", reduction=3, gate=gate, mlp_bias=mlp_bias)
    check(block(x), x * gated(channel_logits(x, block.logits), scalar))


@GATES
@pytest.mark.parametrize("kernel_size", [1, 3, 7])
def test_spatial_is_its_equation(registry: Registry, x: Tensor, gate: str, scalar: Any, kernel_size: int) -> None:
    block = built(registry, "spatial", gate=gate, kernel_size=kernel_size)
    check(block(x), x * gated(spatial_logits(x, block.logits), scalar))


@GATES
def test_hybrid_sequential_gates_channels_then_places(registry: Registry, x: Tensor, gate: str, scalar: Any) -> None:
    block = built(registry, "hybrid_sequential", reduction=2, kernel_size=3, gate=gate)
    u = x * gated(channel_logits(x, block.channel), scalar)
    check(block(x), u * gated(spatial_logits(u, block.spatial), scalar))


@GATES
def test_hybrid_sequential_turned_round_gates_places_first(
    registry: Registry, x: Tensor, gate: str, scalar: Any
) -> None:
    block = built(registry, "hybrid_sequential", reduction=2, kernel_size=3, gate=gate, order="spatial_first")
    u = x * gated(spatial_logits(x, block.spatial), scalar)
    check(block(x), u * gated(channel_logits(u, block.channel), scalar))


@GATES
@pytest.mark.parametrize("combine", ["add", "multiply", "max"])
def test_hybrid_parallel_reads_both_gates_from_the_raw_input(
    registry: Registry, x: Tensor, gate: str, scalar: Any, combine: str
) -> None:
    block = built(registry, "hybrid_parallel", reduction=2, kernel_size=3, gate=gate, combine=combine)
    channel, spatial = channel_logits(x, block.channel), spatial_logits(x, block.spatial)
    expected = torch.zeros_like(x)
    for b in range(len(x)):
        for c in range(C):
            for i in range(H):
                for j in range(W):
                    mc, ms = float(channel[b, c, 0, 0]), float(spatial[b, 0, i, j])
                    scale = {
                        "add": scalar(mc + ms),
                        "multiply": scalar(mc) * scalar(ms),
                        "max": max(scalar(mc), scalar(ms)),
                    }[combine]
                    expected[b, c, i, j] = x[b, c, i, j] * scale
    check(block(x), expected)


def test_the_orders_and_combinations_differ_from_each_other(registry: Registry, x: Tensor) -> None:
    variants = [("hybrid_sequential", {"order": o}) for o in ("channel_first", "spatial_first")]
    variants += [("hybrid_parallel", {"combine": c}) for c in ("add", "multiply", "max")]
    outputs = [built(registry, name, reduction=2, **options)(x) for name, options in variants]
    for i, a in enumerate(outputs):
        for b in outputs[i + 1 :]:
            assert (a - b).abs().max() > 1e-2
