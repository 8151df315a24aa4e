"""The blocks of later papers against their equations, written out slowly with loops over pixels and channels."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import harness_attention
from harness.registry import Registry

B, C, H, W = 2, 6, 5, 3
Scalar = Callable[[float], float]
REGISTRY = Registry("tests")
harness_attention.harness_register(REGISTRY)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def hardsigmoid(z: float) -> float:
    return min(max(z + 3, 0.0), 6.0) / 6


GATES = pytest.mark.parametrize(("gate", "scalar"), [("sigmoid", sigmoid), ("hardsigmoid", hardsigmoid)])


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(0)
    return 2 * torch.randn(B, C, H, W, dtype=torch.float64)


def build(name: str, channels: int, **options: Any) -> nn.Module:
    torch.manual_seed(3)
    block: nn.Module = REGISTRY.build("attention", name, channels, **options)
    return block


def built(name: str, **options: Any) -> nn.Module:
    """A block with every parameter, norms included, away from its initial value."""
    block = build(name, C, **options).double().requires_grad_(False)
    for p in block.parameters():
        p.copy_(torch.randn_like(p) * 0.7)
    return block


def check(out: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(out, expected, rtol=0.0, atol=1e-12)


def mean(values: Tensor) -> float:
    return sum(float(v) for v in values.flatten()) / values.numel()


def each(function: Callable[[int, int, int, int], float]) -> Tensor:
    out = torch.zeros(B, C, H, W, dtype=torch.float64)
    for b in range(B):
        for c in range(C):
            for i in range(H):
                for j in range(W):
                    out[b, c, i, j] = function(b, c, i, j)
    return out


def linear(layer: nn.Module, v: list[float]) -> list[float]:
    """A 1x1 convolution at one place."""
    weight = layer.weight[:, :, 0, 0]
    bias = layer.bias if layer.bias is not None else torch.zeros(len(weight))
    return [sum(float(weight[o, k]) * v[k] for k in range(len(v))) + float(bias[o]) for o in range(len(weight))]


def relu(v: list[float]) -> list[float]:
    return [max(0.0, u) for u in v]


def pointwise(layer: nn.Module, maps: Tensor) -> Tensor:
    """A 1x1 convolution at every place of [B, C, h, w]."""
    out = torch.zeros(len(maps), len(layer.weight), *maps.shape[2:], dtype=torch.float64)
    for b in range(len(maps)):
        for i in range(maps.shape[2]):
            for j in range(maps.shape[3]):
                out[b, :, i, j] = torch.tensor(linear(layer, maps[b, :, i, j].tolist()), dtype=torch.float64)
    return out


def batch_norm(bn: nn.Module, maps: Tensor) -> Tensor:
    """With the statistics of this batch."""
    out = torch.zeros_like(maps)
    for k in range(maps.shape[1]):
        centre = mean(maps[:, k])
        variance = mean((maps[:, k] - centre) ** 2)
        out[:, k] = bn.weight[k] * (maps[:, k] - centre) / math.sqrt(variance + bn.eps) + bn.bias[k]
    return out


def dilated(layer: nn.Module, maps: Tensor, dilation: int) -> Tensor:
    """A 3x3 convolution with zeros outside, whose nine places lie `dilation` apart."""
    weight, out = layer.weight, torch.zeros_like(maps)
    for b in range(len(maps)):
        for o in range(maps.shape[1]):
            for i in range(H):
                for j in range(W):
                    total = float(layer.bias[o])
                    for u in (-1, 0, 1):
                        for v in (-1, 0, 1):
                            row, column = i + u * dilation, j + v * dilation
                            if 0 <= row < H and 0 <= column < W:
                                for k in range(maps.shape[1]):
                                    total += float(weight[o, k, u + 1, v + 1]) * float(maps[b, k, row, column])
                    out[b, o, i, j] = total
    return out


@GATES
@pytest.mark.parametrize("mlp_bias", [True, False])
@pytest.mark.parametrize("options", [{}, {"reduction": 2, "min_width": 1}], ids=str)
def test_coord_is_its_equations(x: Tensor, gate: str, scalar: Scalar, mlp_bias: bool, options: dict[str, int]) -> None:
    block = built("coord", gate=gate, mlp_bias=mlp_bias, **options)
    assert len(block.conv1.weight) == (3 if options else 8)
    lines = torch.zeros(B, C, H + W, 1, dtype=torch.float64)
    for b in range(B):
        for c in range(C):
            for i in range(H):
                lines[b, c, i, 0] = mean(x[b, c, i, :])
            for j in range(W):
                lines[b, c, H + j, 0] = mean(x[b, c, :, j])
    hidden = batch_norm(block.bn1, pointwise(block.conv1, lines)).contiguous()
    for at, v in enumerate(hidden.flatten().tolist()):
        hidden.view(-1)[at] = v * hardsigmoid(v)
    rows, columns = pointwise(block.conv_h, hidden[:, :, :H]), pointwise(block.conv_w, hidden[:, :, H:])

    def value(b: int, c: int, i: int, j: int) -> float:
        return float(x[b, c, i, j]) * scalar(float(rows[b, c, i, 0])) * scalar(float(columns[b, c, j, 0]))

    check(block(x), each(value))


@GATES
@pytest.mark.parametrize("e_lambda", [1e-4, 0.5])
def test_simam_is_the_inverse_of_the_least_energy(x: Tensor, gate: str, scalar: Scalar, e_lambda: float) -> None:
    def energy(b: int, c: int, i: int, j: int) -> float:
        plane, t = x[b, c], float(x[b, c, i, j])
        centre = mean(plane)
        variance = sum((float(v) - centre) ** 2 for v in plane.flatten()) / (H * W - 1)
        return 4 * (variance + e_lambda) / ((t - centre) ** 2 + 2 * variance + 2 * e_lambda)

    block = built("simam", gate=gate, e_lambda=e_lambda)
    check(block(x), each(lambda b, c, i, j: float(x[b, c, i, j]) * scalar(1 / energy(b, c, i, j))))


def test_simam_on_a_map_of_one_place_gates_evenly() -> None:
    x = torch.randn(2, 3, 1, 1)
    torch.testing.assert_close(build("simam", 3)(x), x * torch.tensor(0.5).sigmoid())


def test_simam_does_not_overflow_in_float16() -> None:
    x = (1000 * torch.randn(1, 4, 8, 8)).half()
    out = build("simam", 4)(x)
    assert out.dtype == torch.float16
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out.float(), build("simam", 4)(x.float()), rtol=2e-3, atol=0.0)


def context_logits(block: nn.Module, image: Tensor) -> list[float]:
    """z of one image: a softmax over its places, a layer norm over the channels within."""
    places = [image[:, i, j].tolist() for i in range(H) for j in range(W)]
    raised = [math.exp(linear(block.conv_attn, place)[0]) for place in places]
    context = [sum(r * p[c] for r, p in zip(raised, places, strict=True)) / sum(raised) for c in range(C)]
    hidden = linear(block.fc1, context)
    centre = sum(hidden) / len(hidden)
    variance = sum((h - centre) ** 2 for h in hidden) / len(hidden)
    normed = [
        float(block.norm.weight[k]) * (h - centre) / math.sqrt(variance + 1e-6) + float(block.norm.bias[k])
        for k, h in enumerate(hidden)
    ]
    return linear(block.fc2, relu(normed))


@GATES
def test_gc_multiplies_with_a_gate(x: Tensor, gate: str, scalar: Scalar) -> None:
    block = built("gc", reduction=2, gate=gate)
    z = [context_logits(block, image) for image in x]
    check(block(x), each(lambda b, c, i, j: float(x[b, c, i, j]) * scalar(z[b][c])))


def test_gc_adds_without_a_gate(x: Tensor) -> None:
    block = built("gc", reduction=2, fusion="add")
    z = [context_logits(block, image) for image in x]
    check(block(x), each(lambda b, c, i, j: float(x[b, c, i, j]) + z[b][c]))


def test_gc_of_width_1_no_longer_depends_on_its_input(x: Tensor) -> None:
    block, other = built("gc", reduction=6), 3 * x + 1
    check(block(x) / x, block(other) / other)


def test_gc_that_is_added_starts_as_the_identity() -> None:
    x = torch.randn(2, 32, 5, 4)
    assert torch.equal(build("gc", 32, fusion="add")(x), x)
    assert not torch.equal(build("gc", 32, fusion="multiply")(x), x)


@GATES
@pytest.mark.parametrize("mlp_bias", [True, False])
@pytest.mark.parametrize("combine", ["add", "max"])
def test_scse_is_its_equations(x: Tensor, gate: str, scalar: Scalar, mlp_bias: bool, combine: str) -> None:
    block = built("scse", reduction=2, gate=gate, mlp_bias=mlp_bias, combine=combine)
    z = [linear(block.fc2, relu(linear(block.fc1, [mean(image[c]) for c in range(C)]))) for image in x]

    def value(b: int, c: int, i: int, j: int) -> float:
        pixel = x[b, :, i, j].tolist()
        channel, place = pixel[c] * scalar(z[b][c]), pixel[c] * scalar(linear(block.conv, pixel)[0])
        return channel + place if combine == "add" else max(channel, place)

    check(block(x), each(value))


@GATES
@pytest.mark.parametrize(("combine", "dilation"), [("add", 1), ("add", 4), ("multiply", 2)])
def test_bam_is_its_equations(x: Tensor, gate: str, scalar: Scalar, combine: str, dilation: int) -> None:
    block = built("bam", reduction=2, gate=gate, combine=combine, dilation=dilation)
    means = torch.tensor([[[[mean(image[c])]] for c in range(C)] for image in x], dtype=torch.float64)
    branch = block.channel
    channel = pointwise(branch.fc2, batch_norm(branch.bn, pointwise(branch.fc1, means)).clamp(min=0))
    branch = block.spatial
    maps = batch_norm(branch.bn0, pointwise(branch.reduce, x)).clamp(min=0)
    maps = batch_norm(branch.bn1, dilated(branch.conv1, maps, dilation)).clamp(min=0)
    maps = batch_norm(branch.bn2, dilated(branch.conv2, maps, dilation)).clamp(min=0)
    places = pointwise(branch.last, maps)

    def value(b: int, c: int, i: int, j: int) -> float:
        mc, ms = float(channel[b, c, 0, 0]), float(places[b, 0, i, j])
        return float(x[b, c, i, j]) * (1 + scalar(mc + ms if combine == "add" else mc * ms))

    check(block(x), each(value))


@pytest.mark.parametrize("name", ["bam", "spatial"])
def test_a_single_value_in_training_leaves_the_running_statistics_as_they_are(name: str) -> None:
    block, x = build(name, 16), torch.randn(1, 16, 1, 1)
    before = copy.deepcopy(block.state_dict())
    in_training = block(x)
    assert all(torch.equal(before[key], value) for key, value in block.state_dict().items())
    assert torch.equal(in_training, block.eval()(x))


def test_one_larger_image_moves_only_the_norms_of_bams_spatial_branch() -> None:
    # The channel branch has one value an image, and a single value has no variance.
    block = build("bam", 16)
    before = copy.deepcopy(block.state_dict())
    block(torch.randn(1, 16, 4, 4))
    moved = {key for key, value in block.state_dict().items() if not torch.equal(before[key], value)}
    assert {key.rpartition(".")[0] for key in moved} == {"spatial.bn0", "spatial.bn1", "spatial.bn2"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gc", [{"fusion": "multiply"}, {"fusion": "add"}]),
        ("scse", [{"combine": "add"}, {"combine": "max"}]),
        ("bam", [{"combine": "add"}, {"combine": "multiply"}, {"dilation": 1}]),
    ],
)
def test_the_options_of_a_block_make_a_difference(x: Tensor, name: str, options: list[dict[str, Any]]) -> None:
    outputs = [built(name, reduction=2, **o)(x) for o in options]
    for at, a in enumerate(outputs):
        for b in outputs[at + 1 :]:
            assert (a - b).abs().max() > 1e-2
