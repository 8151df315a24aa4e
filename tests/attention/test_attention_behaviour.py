"""What every block for images keeps: shape, type and layout; gradients; determinism; errors that a user can mend."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import harness_attention
from harness.errors import ConfigError
from harness.registry import Registry
from harness_attention.channel import ChannelLogits
from harness_attention.spatial import SpatialLogits

REGISTRY = Registry("tests")
harness_attention.harness_register(REGISTRY)
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("none", {}),
    ("se", {}),
    ("eca", {}),
    ("channel", {}),
    ("spatial", {}),
    ("hybrid_sequential", {}),
    ("hybrid_sequential", {"order": "spatial_first"}),
    ("hybrid_parallel", {"combine": "add"}),
    ("hybrid_parallel", {"combine": "multiply"}),
    ("hybrid_parallel", {"combine": "max"}),
    ("coord", {}),
    ("simam", {}),
    ("gc", {"fusion": "multiply"}),
    ("gc", {"fusion": "add"}),
    ("scse", {"combine": "add"}),
    ("scse", {"combine": "max"}),
    ("bam", {"combine": "add"}),
    ("bam", {"combine": "multiply"}),
]
LARGEST = {"scse-add": 2.0, "bam-add": 2.0, "bam-multiply": 2.0, "gc-add": float("inf")}
"""The largest factor of a block's output to its input, where it is not 1; `gc` with `add` has no gate."""
USELESS = (
    "conv1.bias",
    "conv_attn.bias",
    "spatial.reduce.bias",
    "spatial.conv1.bias",
    "spatial.conv2.bias",
    "channel.fc1.bias",
)
"""Constants before a softmax or a batch norm, which take them out again: kept as in the authors' code."""
every_variant = pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "-".join(v.values())
)
every_gate = pytest.mark.parametrize("gate", ["sigmoid", "hardsigmoid"])
with_parameters = pytest.mark.parametrize(
    ("name", "options"),
    [v for v in VARIANTS if v[0] not in ("none", "simam")],
    ids=lambda v: v if isinstance(v, str) else "-".join(v.values()),
)


def build(name: str, channels: int, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    block: nn.Module = REGISTRY.build("attention", name, channels, **options)
    return block


@pytest.fixture
def deterministic() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def test_these_variants_cover_every_block_for_images_that_is_registered() -> None:
    images = {c.name for c in REGISTRY.components("attention") if c.load().domain == "image"}
    images -= {"matched_conv", "timm"}  # it wraps a block; it has layers: test_controls.py, test_timm_layers.py
    assert {name for name, _ in VARIANTS} == images


@every_variant
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "shape", [(2, 16, 8, 8), (2, 16, 5, 11), (1, 16, 4, 4), (3, 64, 1, 1), (1, 3, 7, 2), (1, 1, 1, 1)]
)
def test_shape_is_kept_and_values_are_finite(
    name: str, options: dict[str, Any], shape: tuple[int, ...], training: bool
) -> None:
    block = build(name, shape[1], **options).train(training)
    x = torch.randn(shape)
    y = block(x)
    assert y.shape == x.shape
    assert torch.isfinite(y).all()
    largest = LARGEST.get("-".join([name, *options.values()]), 1.0)
    assert (y.abs() <= largest * x.abs()).all()  # every gate lies in [0, 1]


@every_variant
def test_bf16_and_channels_last_are_kept(name: str, options: dict[str, Any]) -> None:
    block = build(name, 32, **options).eval()
    x = torch.randn(2, 32, 6, 5)
    expected = block(x)
    y = (
        copy.deepcopy(block)
        .bfloat16()
        .to(memory_format=torch.channels_last)(x.bfloat16().contiguous(memory_format=torch.channels_last))
    )
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.float(), expected, rtol=0.03, atol=0.03)


@every_variant
def test_training_runs_under_bf16_autocast(name: str, options: dict[str, Any]) -> None:
    block = build(name, 32, **options)
    x = torch.randn(2, 32, 6, 5)
    expected = copy.deepcopy(block)(x)
    leaf = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = block(leaf)
    y.float().square().mean().backward()
    assert torch.isfinite(leaf.grad).all()
    torch.testing.assert_close(y.detach().float(), expected.detach(), rtol=0.05, atol=0.05)


@with_parameters
def test_every_parameter_gets_a_gradient(name: str, options: dict[str, Any]) -> None:
    reduction = {} if name in ("se", "eca", "channel", "spatial") else {"reduction": 4}
    block = build(name, 32, **options, **reduction)
    if name == "gc":
        nn.init.normal_(block.fc2.weight)  # with `add` it starts at 0, and what stands before it has no gradient yet
    block(torch.randn(4, 32, 6, 5)).square().mean().backward()
    for parameter_name, parameter in block.named_parameters():
        assert parameter.grad is not None, parameter_name
        if name in ("gc", "bam", "coord") and parameter_name in USELESS:
            continue
        assert parameter.grad.abs().max() > 0, parameter_name


@every_variant
@every_gate
def test_gradients_equal_finite_differences(name: str, options: dict[str, Any], gate: str) -> None:
    ungated = name == "none" or options == {"fusion": "add"}
    gates = {} if ungated else {"gate": gate}
    block = build(name, 4, **options, **gates).double()
    if name == "gc":
        nn.init.normal_(block.fc2.weight)
    x = torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))


@every_variant
def test_backward_is_deterministic_with_tied_maxima(deterministic: None, name: str, options: dict[str, Any]) -> None:
    # ReLU leaves whole planes of zeros: every pixel of such a plane is its maximum.
    torch.manual_seed(5)
    x = torch.randn(4, 32, 6, 5).relu()
    x[:, :8] = 0
    gradients = []
    for _ in range(3):
        block = build(name, 32, **options)
        leaf = x.clone().requires_grad_()
        block(leaf).square().sum().backward()
        gradients.append([leaf.grad, *(p.grad for p in block.parameters())])
    for other in gradients[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients[0], other, strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_variant
def test_backward_on_cuda_is_not_refused_and_repeats_to_the_bit(
    deterministic: None, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    x = torch.randn(64, 64, 16, 16, device="cuda").relu()
    gradients = []
    for _ in range(3):
        block = build(name, 64, **options).cuda()
        leaf = x.clone().requires_grad_()
        block(leaf).square().sum().backward()
        gradients.append([leaf.grad, *(p.grad for p in block.parameters())])
    for other in gradients[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients[0], other, strict=True))


@every_variant
def test_an_image_in_evaluation_does_not_depend_on_the_others_of_its_batch(name: str, options: dict[str, Any]) -> None:
    block = build(name, 16, **options)
    block(torch.randn(4, 16, 6, 5))
    block.eval()
    x = torch.randn(3, 16, 6, 5)
    together = block(x)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], block(x[i : i + 1]), rtol=0.0, atol=1e-6)
    x[1:] = 100 * x[1:] + 7
    torch.testing.assert_close(block(x)[:1], together[:1], rtol=0.0, atol=1e-6)


@every_variant
def test_every_gate_is_a_module_that_a_hook_can_reach(name: str, options: dict[str, Any]) -> None:
    block, x = build(name, 16, **options).eval(), torch.randn(3, 16, 6, 5)
    gates = [m for m in block.modules() if isinstance(m, nn.Sigmoid | nn.Hardsigmoid)]
    assert bool(gates) == (name != "none" and options != {"fusion": "add"})
    before, batches = block(x), []

    def close(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        batches.append(len(out))
        return torch.zeros_like(out)

    for gate in gates:
        gate.register_forward_hook(close)
    closed = block(x)
    assert set(batches) <= {3}  # the images lie along the first axis
    # nothing but the gates lets the input through; bam adds it beside its gate
    torch.testing.assert_close(closed, x if name == "bam" else torch.zeros_like(x) if gates else before)


@every_variant
@pytest.mark.parametrize("level", [0.0, 3.0])
def test_constant_maps_have_finite_gradients(name: str, options: dict[str, Any], level: float) -> None:
    block, x = build(name, 16, **options), torch.full((2, 16, 4, 5), level, requires_grad=True)
    y = block(x)
    y.sum().backward()
    assert torch.isfinite(y).all()
    assert torch.isfinite(x.grad).all()


def test_equal_maxima_of_a_map_share_their_gradient_evenly() -> None:
    logits = ChannelLogits("channel", 1, 1, mlp_bias=False).double()
    with torch.no_grad():
        logits.fc1.weight.fill_(1.0)
        logits.fc2.weight.fill_(1.0)
    x = torch.tensor([[[[3.0, 1.0], [3.0, 3.0]]]], dtype=torch.float64, requires_grad=True)
    logits(x).sum().backward()
    # each pixel gets 1/4 of the mean; the three maxima get 1/3 of the maximum each
    expected = torch.tensor([[[[1 / 4 + 1 / 3, 1 / 4], [1 / 4 + 1 / 3, 1 / 4 + 1 / 3]]]], dtype=torch.float64)
    torch.testing.assert_close(x.grad, expected, rtol=0.0, atol=1e-15)


def test_one_pixel_in_training_is_normalised_with_the_running_statistics() -> None:
    torch.manual_seed(0)
    logits = SpatialLogits("spatial", 3)
    for _ in range(5):
        logits(torch.randn(8, 4, 6, 6) + 1)
    x, before = torch.randn(1, 4, 1, 1), logits.bn.running_mean.clone()
    in_training = logits.train()(x)
    assert torch.equal(logits.bn.running_mean, before)
    assert torch.equal(in_training, logits.eval()(x))


def test_two_pixels_in_training_use_the_statistics_of_the_batch() -> None:
    torch.manual_seed(0)
    logits = SpatialLogits("spatial", 1)
    out = logits(torch.randn(2, 4, 1, 1)).detach()
    torch.testing.assert_close(out.mean(), torch.tensor(0.0), rtol=0.0, atol=1e-6)
    assert logits.bn.running_mean != 0


@every_variant
def test_a_stored_block_loads_into_a_fresh_one(name: str, options: dict[str, Any]) -> None:
    block = build(name, 16, **options)
    block(torch.randn(4, 16, 5, 5))  # moves the running statistics away from their initial values
    fresh = REGISTRY.build("attention", name, 16, **options)
    fresh.load_state_dict(block.state_dict(), strict=True)
    x = torch.randn(2, 16, 5, 5)
    assert torch.equal(block.eval()(x), fresh.eval()(x))


@pytest.mark.parametrize(
    ("name", "channels", "options", "words"),
    [
        ("none", 0, {}, ["'none'", "channels is 0"]),
        ("se", 0, {}, ["'se'", "channels is 0"]),
        ("eca", -1, {}, ["'eca'", "channels is -1"]),
        ("channel", 0, {}, ["'channel'", "channels is 0"]),
        ("spatial", 0, {}, ["'spatial'", "channels is 0"]),
        ("hybrid_sequential", 0, {}, ["'hybrid_sequential'", "channels is 0"]),
        ("hybrid_parallel", 0, {}, ["'hybrid_parallel'", "channels is 0"]),
        ("se", 8, {"reduction": 0}, ["'se'", "reduction is 0", "at least 1"]),
        ("channel", 8, {"reduction": -4}, ["'channel'", "reduction is -4"]),
        ("hybrid_sequential", 8, {"reduction": 0}, ["'hybrid_sequential'", "reduction is 0"]),
        ("hybrid_parallel", 8, {"reduction": 0}, ["'hybrid_parallel'", "reduction is 0"]),
        ("eca", 8, {"kernel_size": 4}, ["'eca'", "kernel_size is 4", "odd"]),
        ("spatial", 8, {"kernel_size": 6}, ["'spatial'", "kernel_size is 6", "odd"]),
        ("spatial", 8, {"kernel_size": -1}, ["'spatial'", "kernel_size is -1"]),
        ("hybrid_sequential", 8, {"kernel_size": 2}, ["'hybrid_sequential'", "kernel_size is 2"]),
        ("hybrid_parallel", 8, {"kernel_size": 0}, ["'hybrid_parallel'", "kernel_size is 0"]),
        ("se", 8, {"gate": "relu"}, ["'se'", "gate is 'relu'", "hardsigmoid"]),
        ("hybrid_sequential", 8, {"order": "both"}, ["'hybrid_sequential'", "order is 'both'", "spatial_first"]),
        ("hybrid_parallel", 8, {"combine": "mean"}, ["'hybrid_parallel'", "combine is 'mean'", "multiply"]),
        ("coord", 0, {}, ["'coord'", "channels is 0"]),
        ("coord", 8, {"reduction": 0}, ["'coord'", "reduction is 0"]),
        ("coord", 8, {"min_width": 0}, ["'coord'", "min_width is 0"]),
        ("coord", 8, {"gate": "tanh"}, ["'coord'", "gate is 'tanh'"]),
        ("simam", 0, {}, ["'simam'", "channels is 0"]),
        ("simam", 8, {"e_lambda": 0.0}, ["'simam'", "e_lambda is 0", "positive"]),
        ("simam", 8, {"e_lambda": float("nan")}, ["'simam'", "e_lambda is nan"]),
        ("simam", 8, {"e_lambda": float("inf")}, ["'simam'", "e_lambda is inf"]),
        ("simam", 8, {"gate": "tanh"}, ["'simam'", "gate is 'tanh'"]),
        ("gc", 0, {}, ["'gc'", "channels is 0"]),
        ("gc", 8, {"reduction": 0}, ["'gc'", "reduction is 0"]),
        ("gc", 8, {"fusion": "concat"}, ["'gc'", "fusion is 'concat'", "multiply"]),
        ("gc", 8, {"gate": "tanh"}, ["'gc'", "gate is 'tanh'"]),
        ("gc", 8, {"fusion": "add", "gate": "hardsigmoid"}, ["'gc'", "'add' has no gate", "multiply"]),
        ("scse", 0, {}, ["'scse'", "channels is 0"]),
        ("scse", 8, {"reduction": -1}, ["'scse'", "reduction is -1"]),
        ("scse", 8, {"combine": "mean"}, ["'scse'", "combine is 'mean'", "max"]),
        ("scse", 8, {"gate": "tanh"}, ["'scse'", "gate is 'tanh'"]),
        ("bam", 0, {}, ["'bam'", "channels is 0"]),
        ("bam", 8, {"reduction": 0}, ["'bam'", "reduction is 0"]),
        ("bam", 8, {"dilation": 0}, ["'bam'", "dilation is 0"]),
        ("bam", 8, {"combine": "max"}, ["'bam'", "combine is 'max'", "multiply"]),
        ("bam", 8, {"gate": "tanh"}, ["'bam'", "gate is 'tanh'"]),
    ],
)
def test_bad_options_are_errors_that_name_block_option_and_remedy(
    name: str, channels: int, options: dict[str, Any], words: list[str]
) -> None:
    target = REGISTRY.get("attention", name).load()
    with pytest.raises(ConfigError) as caught:
        target(channels, **options)
    assert caught.value.hint
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("none", {}),
        ("se", {"reduction": 16, "mlp_bias": True, "gate": "sigmoid"}),
        ("eca", {"kernel_size": None, "gate": "sigmoid"}),
        ("channel", {"reduction": 16, "mlp_bias": False, "gate": "sigmoid"}),
        ("spatial", {"kernel_size": 7, "gate": "sigmoid"}),
        (
            "hybrid_sequential",
            {"reduction": 16, "kernel_size": 7, "order": "channel_first", "mlp_bias": False, "gate": "sigmoid"},
        ),
        (
            "hybrid_parallel",
            {"reduction": 16, "kernel_size": 7, "combine": "add", "mlp_bias": False, "gate": "sigmoid"},
        ),
        ("coord", {"reduction": 32, "min_width": 8, "mlp_bias": True, "gate": "sigmoid"}),
        ("simam", {"e_lambda": 1e-4, "gate": "sigmoid"}),
        ("gc", {"reduction": 16, "fusion": "multiply", "gate": "sigmoid"}),
        ("scse", {"reduction": 16, "combine": "add", "mlp_bias": True, "gate": "sigmoid"}),
        ("bam", {"reduction": 16, "dilation": 4, "combine": "add", "gate": "sigmoid"}),
    ],
)
def test_options_and_defaults_are_the_documented_ones(name: str, options: dict[str, Any]) -> None:
    component = REGISTRY.get("attention", name)
    assert {o.name: o.default for o in component.options()} == options
    assert not list(component.mistakes(options))
    assert component.load().domain == "image"


def test_the_planner_refuses_values_of_the_wrong_type() -> None:
    wrong = {"reduction": 2.5, "kernel_size": "7", "combine": "mean", "mlp_bias": 1, "gate": True}
    assert [key for key, _ in REGISTRY.get("attention", "hybrid_parallel").mistakes(wrong)] == list(wrong)


def test_every_component_has_a_summary_and_a_source() -> None:
    assert all(c.summary and c.source for c in REGISTRY.components("attention"))


def test_registering_imports_no_torch() -> None:
    code = (
        "import sys, harness_attention as p; from harness.registry import Registry; r = Registry('x');"
        "p.harness_register(r); assert len(r.names('attention')) >= 13; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
