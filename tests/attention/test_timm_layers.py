"""timm's layers as a block: equal to timm's to the bit, shapes kept, gradients, and clear words for what is none."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
from timm.layers import EcaModule, SEModule, create_attn, get_attn
from timm.layers.cbam import CbamModule
from torch import nn

import harness_attention
from harness.errors import ConfigError
from harness.registry import Registry
from harness_attention.controls import gate_paths
from harness_attention.timm_layers import LAYERS, REFUSED, TimmAttention

REGISTRY = Registry("tests")
harness_attention.harness_register(REGISTRY)
NEEDED: dict[str, dict[str, Any]] = {"ge": {"use_mlp": False}, "bat": {"block_size": 4}, "halo": {"block_size": 4}}
"""What a layer does not work without on these maps."""
every_layer = pytest.mark.parametrize("layer", LAYERS)


def build(layer: str, channels: int = 16, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    block: nn.Module = REGISTRY.build("attention", "timm", channels, layer=layer, **NEEDED.get(layer, {}), **options)
    return block


def test_every_name_that_timm_knows_is_a_layer_or_refused() -> None:
    known = set(re.findall(r"attn_type == '(\w+)'", inspect.getsource(get_attn)))
    assert known == {*LAYERS, *REFUSED}


@every_layer
@pytest.mark.parametrize("shape", [(2, 16, 8, 8), (2, 16, 4, 12), (3, 64, 8, 4)])
@pytest.mark.parametrize("training", [True, False])
def test_shape_is_kept_and_gradients_reach_input_and_weights(layer: str, shape: tuple[int, ...], training: bool):
    block = build(layer, shape[1]).train(training)
    x = torch.randn(shape, requires_grad=True)
    y = block(x)
    assert y.shape == x.shape
    assert torch.isfinite(y).all()
    y.sin().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize(
    ("layer", "options", "kind"),
    [
        ("se", {}, SEModule),
        ("se", {"rd_ratio": 0.25, "rd_divisor": 1, "gate_layer": "hard_sigmoid"}, SEModule),
        ("eca", {}, EcaModule),
        ("cbam", {"spatial_kernel_size": 3}, CbamModule),
    ],
)
def test_a_layer_equals_timms_own_class_to_the_bit_with_the_same_weights(
    layer: str, options: dict[str, Any], kind: Any
):
    block = build(layer, 32, **options).eval()
    theirs = kind(32, **options).eval()
    theirs.load_state_dict({k.removeprefix("layer."): v for k, v in block.state_dict().items()})
    x = torch.randn(4, 32, 7, 5)
    assert torch.equal(block(x), theirs(x))
    grads = [torch.autograd.grad(m(x).square().sum(), list(m.parameters())) for m in (block, theirs)]
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@every_layer
def test_the_same_seed_gives_the_weights_that_timm_gives(layer: str) -> None:
    block = build(layer)
    torch.manual_seed(0)
    theirs = create_attn(layer, 16, **NEEDED.get(layer, {}))
    assert {f"layer.{k}" for k in theirs.state_dict()} == set(block.state_dict())
    assert all(torch.equal(block.state_dict()[f"layer.{k}"], v) for k, v in theirs.state_dict().items())


@every_layer
def test_every_option_of_a_layer_reaches_it(layer: str) -> None:
    options = {p.name: p.default for p in TimmAttention.takes(layer)}
    assert not {"channels", "device", "stride", "feat_size", "act_layer"} & set(options)
    block: Any = REGISTRY.build("attention", "timm", 16, layer=layer, **{**options, **NEEDED.get(layer, {})})
    assert isinstance(block.layer, nn.Module)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"layer": "esse"}, "attention 'timm': unknown layer 'esse'", "did you mean 'ese'?"),
        ({"layer": "nothing_like"}, "attention 'timm': unknown layer 'nothing_like'", "known: se, ese"),
        ({"layer": "sk"}, "attention 'timm': layer 'sk' is no block to put behind others: it is a conv", "use one of"),
        ({"layer": "splat"}, "attention 'timm': layer 'splat' is no block to put", "has it of its own"),
        ({"layer": "bottleneck"}, "attention 'timm': layer 'bottleneck' is no block", "use one of"),
        ({"layer": "ese", "gate_layr": "x"}, "attention 'timm' with layer 'ese' has no option", "'gate_layer'"),
        ({"layer": "ese", "rd_ratio": 0.5}, "attention 'timm' with layer 'ese' has no option 'rd_ratio'", "it takes"),
        ({"layer": "se", "rd_ratio": "x"}, "attention 'timm' with layer 'se': option 'rd_ratio' is 'x', which", ""),
        ({"layer": "se", "stride": 2}, "attention 'timm' with layer 'se' has no option 'stride'", ""),
        ({"layer": 3}, "attention 'timm' with layer '3': option 'layer' is 3, which is no str", ""),
        ({}, "attention 'timm' needs the option 'layer'", ""),
        ({"layer": "ge"}, "attention 'timm': layer 'ge' cannot be built for 16 channels: TypeError", "use_mlp: false"),
        ({"layer": "se", "gate_layer": "nope"}, "attention 'timm': layer 'se' cannot be built for 16 channels", "set"),
        ({"layer": "halo", "num_heads": 3}, "attention 'timm': layer 'halo' cannot be built for 16", "channels"),
    ],
)
def test_what_is_no_layer_or_option_is_named(options: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        REGISTRY.build("attention", "timm", 16, **options)
    assert caught.value.message.startswith(message)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("layer", ["bat", "halo"])
def test_a_map_that_squares_do_not_fill_is_named(layer: str) -> None:
    with pytest.raises(ConfigError, match=rf"layer '{layer}' cuts maps into squares of 4, and this one is 6x8"):
        build(layer)(torch.zeros(2, 16, 6, 8))


def test_gates_are_told_to_controls() -> None:
    assert gate_paths(build("se")) == ("layer.gate",)
    assert gate_paths(build("cbam")) == ("layer.channel.gate", "layer.spatial.gate")
    assert gate_paths(build("gca")) == ()  # it has one and adds without it
    assert gate_paths(build("nl")) == ()


def test_shuffled_gates_are_those_of_other_items() -> None:
    block = build("se").eval()
    x = torch.randn(4, 16, 5, 5)
    gates = block(x) / x
    shuffled: nn.Module = REGISTRY.build("attention", "shuffled_gate", 16, of=block)
    torch.testing.assert_close(shuffled(x) / x, gates.roll(2, 0))
