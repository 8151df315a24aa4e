"""Our blocks against timm's, with the same weights, and against the parameter counts known for ResNet-50."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import timm
import timm.layers
import torch
from timm.layers import EcaModule, GlobalContext, SqueezeExcite
from timm.layers.cbam import CbamModule, ChannelAttn, SpatialAttn
from timm.layers.coord_attn import CoordAttn
from torch import nn

import harness_attention
from harness.registry import Registry
from harness_attention.common import bottleneck
from harness_attention.eca import adaptive_kernel

TOLERANCE = {"rtol": 0.0, "atol": 1e-6}
RESNET50 = [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3  # channels at the ends of its sixteen residual branches
GATES = [("sigmoid", "sigmoid"), ("hardsigmoid", "hard_sigmoid")]  # our name, timm's name


@pytest.fixture
def registry() -> Registry:
    registry = Registry("tests")
    harness_attention.harness_register(registry)
    return registry


def copy_weights(theirs: nn.Module, ours: nn.Module, prefixes: Mapping[str, str]) -> None:
    """Load timm's weights under our names; strict, so that no tensor is left out on either side."""
    state = {}
    for key, value in theirs.state_dict().items():
        prefix = max((p for p in prefixes if key.startswith(p)), key=len)
        state[prefixes[prefix] + key.removeprefix(prefix)] = value.clone()
    ours.load_state_dict(state, strict=True)


def assert_same_training(ours: nn.Module, theirs: nn.Module, channels: int) -> None:
    """Equal outputs and equal gradients of the input in training, then equal outputs in evaluation."""
    torch.manual_seed(1)
    x = torch.randn(4, channels, 9, 6)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, expected = ours(a), theirs(b)
    torch.testing.assert_close(out, expected, **TOLERANCE)
    assert not torch.equal(out, x)
    out.square().mean().backward()
    expected.square().mean().backward()
    torch.testing.assert_close(a.grad, b.grad, **TOLERANCE)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), **TOLERANCE)


@pytest.mark.parametrize("channels", [3, 40, 64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("gate", "gate_layer"), GATES)
def test_se_equals_timms_with_the_same_weights(
    registry: Registry, channels: int, bias: bool, gate: str, gate_layer: str
) -> None:
    theirs = SqueezeExcite(channels, rd_ratio=1 / 16, rd_divisor=1, bias=bias, gate_layer=gate_layer)
    ours = registry.build("attention", "se", channels, mlp_bias=bias, gate=gate)
    copy_weights(theirs, ours, {"": ""})
    assert_same_training(ours, theirs, channels)


@pytest.mark.parametrize("rd_channels", [1, 4, 10])
def test_se_equals_timms_with_the_width_given(registry: Registry, rd_channels: int) -> None:
    theirs = SqueezeExcite(40, rd_channels=rd_channels)
    ours = registry.build("attention", "se", 40, reduction=40 // rd_channels)
    copy_weights(theirs, ours, {"": ""})
    assert_same_training(ours, theirs, 40)


@pytest.mark.parametrize("channels", [3, 40, 64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("gate", "gate_layer"), GATES)
def test_hybrid_sequential_equals_timms_cbam_with_the_same_weights(
    registry: Registry, channels: int, bias: bool, gate: str, gate_layer: str
) -> None:
    theirs = CbamModule(channels, rd_ratio=1 / 16, mlp_bias=bias, gate_layer=gate_layer)
    ours = registry.build("attention", "hybrid_sequential", channels, mlp_bias=bias, gate=gate)
    copy_weights(
        theirs, ours, {"channel.": "channel.", "spatial.conv.conv.": "spatial.conv.", "spatial.conv.bn.": "spatial.bn."}
    )
    assert_same_training(ours, theirs, channels)


@pytest.mark.parametrize("bias", [True, False])
def test_channel_equals_timms_channel_half_of_cbam(registry: Registry, bias: bool) -> None:
    theirs = ChannelAttn(32, rd_ratio=1 / 4, mlp_bias=bias)
    ours = registry.build("attention", "channel", 32, reduction=4, mlp_bias=bias)
    copy_weights(theirs, ours, {"": "logits."})
    assert_same_training(ours, theirs, 32)


@pytest.mark.parametrize("kernel_size", [3, 7])
def test_spatial_equals_timms_spatial_half_of_cbam(registry: Registry, kernel_size: int) -> None:
    theirs = SpatialAttn(kernel_size)
    ours = registry.build("attention", "spatial", 32, kernel_size=kernel_size)
    copy_weights(theirs, ours, {"conv.conv.": "logits.conv.", "conv.bn.": "logits.bn."})
    assert_same_training(ours, theirs, 32)


@pytest.mark.parametrize("channels", [3, 64, 256])
@pytest.mark.parametrize(("gate", "gate_layer"), GATES)
def test_eca_equals_timms_with_the_same_weights(registry: Registry, channels: int, gate: str, gate_layer: str) -> None:
    theirs = EcaModule(channels, gate_layer=gate_layer)
    ours = registry.build("attention", "eca", channels, gate=gate)
    copy_weights(theirs, ours, {"": ""})
    assert_same_training(ours, theirs, channels)


def test_eca_equals_timms_with_the_kernel_given(registry: Registry) -> None:
    theirs = EcaModule(None, kernel_size=9)
    ours = registry.build("attention", "eca", 32, kernel_size=9)
    copy_weights(theirs, ours, {"": ""})
    assert_same_training(ours, theirs, 32)


@pytest.mark.parametrize(("channels", "reduction"), [(3, 32), (40, 4), (256, 16)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("gate", "gate_layer"), GATES)
def test_coord_equals_timms_with_the_same_weights(
    registry: Registry, channels: int, reduction: int, bias: bool, gate: str, gate_layer: str
) -> None:
    width = max(8, channels // reduction)
    theirs = CoordAttn(channels, rd_channels=width, bias=bias, gate_layer=gate_layer)
    ours = registry.build("attention", "coord", channels, reduction=reduction, mlp_bias=bias, gate=gate)
    copy_weights(theirs, ours, {"": ""})
    assert_same_training(ours, theirs, channels)


@pytest.mark.parametrize(("channels", "reduction"), [(3, 1), (40, 8), (64, 16)])
@pytest.mark.parametrize(("gate", "gate_layer"), GATES)
def test_gc_equals_timms_with_the_same_weights(
    registry: Registry, channels: int, reduction: int, gate: str, gate_layer: str
) -> None:
    theirs = GlobalContext(channels, rd_ratio=1 / reduction, gate_layer=gate_layer)
    ours = registry.build("attention", "gc", channels, reduction=reduction, gate=gate)
    copy_weights(theirs, ours, {"": "", "mlp_scale.": ""})
    assert_same_training(ours, theirs, channels)


def test_gc_that_is_added_equals_timms_with_the_same_weights(registry: Registry) -> None:
    theirs = GlobalContext(40, fuse_add=True, fuse_scale=False, rd_ratio=1 / 8)
    nn.init.normal_(theirs.mlp_add.fc2.weight)  # 0 at the start
    ours = registry.build("attention", "gc", 40, reduction=8, fusion="add")
    copy_weights(theirs, ours, {"": "", "mlp_add.": ""})
    assert_same_training(ours, theirs, 40)


def test_a_perturbed_weight_breaks_the_parity(registry: Registry) -> None:
    theirs = SqueezeExcite(64, rd_divisor=1)
    ours = registry.build("attention", "se", 64)
    copy_weights(theirs, ours, {"": ""})
    with torch.no_grad():
        ours.fc2.bias[0] += 1e-3
    with pytest.raises(AssertionError):
        assert_same_training(ours, theirs, 64)


@pytest.mark.parametrize("reduction", [1, 2, 3, 4, 8, 12, 16, 32])
def test_width_is_timms_with_divisor_1_for_every_channel_count(reduction: int) -> None:
    widths = [bottleneck("se", c, reduction) for c in range(1, 600)]
    assert widths == [timm.layers.make_divisible(c * (1 / reduction), 1, round_limit=0.0) for c in range(1, 600)]
    # to the nearest whole number, and never to multiples of 8
    assert all(abs(w - max(1.0, c / reduction)) <= 0.5 for c, w in enumerate(widths, start=1))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "options", "total"),
    [
        ("none", {}, 0),
        ("se", {}, 2_530_992),
        ("se", {"mlp_bias": False}, 2_514_944),
        ("eca", {}, 86),
        ("channel", {}, 2_514_944),
        ("channel", {"mlp_bias": True}, 2_530_992),
        ("spatial", {}, 1_600),
        ("hybrid_sequential", {}, 26_045_066 - 23_528_522),
        ("hybrid_sequential", {"mlp_bias": True}, 2_532_592),
        ("hybrid_sequential", {"mlp_bias": True, "order": "spatial_first"}, 2_532_592),
        ("hybrid_parallel", {"mlp_bias": True, "combine": "add"}, 2_532_592),
        ("hybrid_parallel", {"mlp_bias": True, "combine": "multiply"}, 2_532_592),
        ("hybrid_parallel", {"mlp_bias": True, "combine": "max"}, 2_532_592),
        ("coord", {}, 1_917_832),
        ("coord", {"reduction": 16}, 3_805_456),
        ("simam", {}, 0),
        ("gc", {}, 2_548_000),
        ("gc", {"fusion": "add"}, 2_548_000),
        ("gc", {"reduction": 8}, 5_065_776),
        ("scse", {}, 2_546_112),
        ("scse", {"combine": "max"}, 2_546_112),
    ],
)
def test_parameters_added_to_resnet50_are_the_published_ones(
    registry: Registry, name: str, options: dict[str, object], total: int
) -> None:
    assert sum(count(registry.build("attention", name, c, **options)) for c in RESNET50) == total


@pytest.mark.parametrize("combine", ["add", "multiply"])
def test_bam_at_the_ends_of_three_stages_adds_what_the_authors_adds(registry: Registry, combine: str) -> None:
    assert sum(count(registry.build("attention", "bam", c, combine=combine)) for c in (256, 512, 1024)) == 358_067


@pytest.mark.parametrize(("channels", "reduction"), [(64, 16), (256, 8), (96, 4)])
def test_parameters_of_one_block_follow_the_formulas(registry: Registry, channels: int, reduction: int) -> None:
    weights, biases = 2 * channels**2 // reduction, channels // reduction + channels
    build = registry.build
    assert count(build("attention", "se", channels, reduction=reduction)) == weights + biases
    assert count(build("attention", "channel", channels, reduction=reduction)) == weights
    assert count(build("attention", "spatial", channels)) == 98 + 2
    assert count(build("attention", "spatial", channels, kernel_size=3)) == 18 + 2
    assert count(build("attention", "hybrid_sequential", channels, reduction=reduction)) == weights + 100
    assert count(build("attention", "hybrid_parallel", channels, reduction=reduction)) == weights + 100
    m = channels // reduction
    assert count(build("attention", "scse", channels, reduction=reduction)) == weights + biases + channels + 1
    assert count(build("attention", "gc", channels, reduction=reduction)) == weights + 3 * m + 2 * channels + 1
    bam = 3 * channels * m + 18 * m**2 + 13 * m + channels + 1
    assert count(build("attention", "bam", channels, reduction=reduction)) == bam
    m = max(8, m)
    coord = 3 * channels * m + 2 * m
    assert count(build("attention", "coord", channels, reduction=reduction)) == coord + 2 * channels + m
    assert count(build("attention", "coord", channels, reduction=reduction, mlp_bias=False)) == coord


def test_cbam_adds_what_timms_cbam_adds_to_a_whole_resnet(registry: Registry) -> None:
    with torch.device("meta"):
        plain = timm.create_model("resnet26", num_classes=10)
        with_cbam = timm.create_model("resnet26", num_classes=10, block_args={"attn_layer": "cbam"})
    ends = [m.num_features for n, m in plain.named_modules() if n.endswith("bn3")]
    assert len(ends) == 8
    added = sum(count(registry.build("attention", "hybrid_sequential", c)) for c in ends)
    assert added == count(with_cbam) - count(plain)


def test_eca_kernel_is_the_odd_number_nearest_to_the_formula() -> None:
    assert {c: adaptive_kernel(c) for c in (16, 32, 64, 256, 512, 1024, 2048)} == {
        **{16: 3, 32: 3, 64: 3},
        **{256: 5, 512: 5, 1024: 5, 2048: 7},
    }
    for c in range(8, 5000):
        k, exact = adaptive_kernel(c), (math.log2(c) + 1) / 2
        assert k % 2 == 1
        assert abs(k - exact) <= 1
        assert k == EcaModule(c).conv.kernel_size[0]


@pytest.mark.parametrize("channels", [1, 3, 7])
def test_eca_kernel_never_falls_below_3(channels: int) -> None:
    assert adaptive_kernel(channels) == 3
