"""Controls: an identity with weights, gates of other items, and convolutions of the block's size."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import harness_attention
from harness.errors import ConfigError
from harness.registry import Registry
from harness_attention.controls import IdentityGate, MatchedConv, ShuffledGate, gate_paths
from harness_attention.fitting import fit

REGISTRY = Registry("test")
harness_attention.harness_register(REGISTRY)
BLOCKS = ("se", "spatial", "hybrid_sequential", "hybrid_parallel", "eca", "channel")
CHANNELS = (16, 64, 256, 2048)


def build(name: str, channels: int = 16, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    block: nn.Module = REGISTRY.build("attention", name, channels, **options)
    return block


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def images(batch: int = 6, channels: int = 16, side: int = 5) -> Tensor:
    return torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(1))


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Own(nn.Module):
    """A gate of its own, which it names; the softmax is none of torch's gates."""

    gates = ("pick",)

    def __init__(self) -> None:
        super().__init__()
        self.pick = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.pick(x.mean((2, 3), keepdim=True))


# ------------------------------------------------------------------------------------------------ identity_gate


def test_the_identity_holds_the_blocks_weights_and_hands_on_its_input_itself():
    block = build("hybrid_sequential")
    gate = IdentityGate(16, of=block)
    x = images()
    assert gate(x) is x
    assert count(gate) == count(block) > 0
    assert gate(x, None) is x


# ------------------------------------------------------------------------------------------------ shuffled_gate


@pytest.mark.parametrize(("batch", "by"), [(2, 1), (3, 1), (6, 3), (7, 3)])
def test_every_item_gets_the_gate_of_the_item_half_a_batch_away(batch: int, by: int):
    block, x = build("se").eval(), images(batch)
    gates = block(x) / x
    assert torch.allclose(ShuffledGate(16, of=copy.deepcopy(block))(x), x * gates.roll(by, 0), atol=1e-6)
    assert not torch.allclose(x * gates.roll(by, 0), x * gates)


@pytest.mark.parametrize("name", BLOCKS)
def test_one_item_keeps_its_own_gate_and_two_do_not(name: str):
    block, x = build(name).eval(), images(2)
    shuffled = ShuffledGate(16, of=copy.deepcopy(block)).eval()
    assert torch.equal(shuffled(x[:1]), block(x[:1]))
    assert not torch.allclose(shuffled(x), block(x))


def test_shuffling_draws_nothing_from_the_random_stream():
    shuffled, x = ShuffledGate(16, of=build("se")), images()
    before = torch.get_rng_state()
    assert torch.equal(shuffled(x), shuffled(x))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_block_may_name_its_gates_and_a_wrong_name_is_told():
    own, x = Own(), images()
    wanted = x * own.pick(x.mean((2, 3), keepdim=True)).roll(3, 0)
    assert torch.allclose(ShuffledGate(16, of=own)(x), wanted)
    wrong = Own()
    wrong.gates = ("pik",)
    with pytest.raises(ConfigError, match="names 'pik'") as caught:
        ShuffledGate(16, of=wrong)
    assert "pick" in str(caught.value.hint)


def test_both_gates_of_a_hybrid_are_found():
    assert set(gate_paths(build("hybrid_sequential"))) == {"channel_gate", "spatial_gate"}


def test_a_gate_without_a_batch_axis_is_left_alone():
    class Static(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.gate = nn.Parameter(torch.randn(1, 16, 1, 1)), nn.Sigmoid()

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gate(self.weight)

    block, x = Static(), images()
    wanted = block(x)
    assert torch.equal(ShuffledGate(16, of=block)(x), wanted)


def test_a_block_without_gates_has_no_shuffled_control():
    with pytest.raises(ConfigError, match="Nothing has no gate") as caught:
        ShuffledGate(16, of=Nothing())
    assert "leave shuffled_gate out" in str(caught.value.hint)


def test_a_copy_of_the_model_shuffles_by_itself():
    shuffled, x = ShuffledGate(16, of=build("se")), images()
    copied = copy.deepcopy(shuffled)
    assert copied.roll is not shuffled.roll
    shuffled.roll.batch = 99
    assert torch.equal(copied(x), shuffled(x))


# ------------------------------------------------------------------------------------------------ matched_conv


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("name", BLOCKS)
def test_the_convolution_has_the_blocks_parameters_within_2_percent(name: str, channels: int):
    block = build(name, channels)
    conv = MatchedConv(channels, of=block)
    assert abs(count(conv) - count(block)) <= 0.02 * count(block)
    assert count(conv) == conv.shape.count
    x = images(1, channels, 3)
    assert conv(x).shape == x.shape
    assert f"{count(conv):,} parameters" in MatchedConv.told([conv])[0]


def test_all_channels_are_convolved_where_the_size_allows_it():
    conv = MatchedConv(64, of=build("se", 64))
    assert (conv.shape.between, count(conv)) == (4, count(build("se", 64)))


def test_channels_that_are_not_convolved_pass_unchanged():
    conv = MatchedConv(64, of=build("eca", 64))
    x = images(2, 64)
    assert torch.equal(conv(x), x), "it begins as the baseline does"
    torch.nn.init.normal_(conv.conv.weight)
    y, out = conv(x), conv.shape.c_out
    assert torch.equal(y[:, out:], x[:, out:])
    assert not torch.equal(y[:, :out], x[:, :out])
    assert torch.allclose(y[:, :out], x[:, :out] + conv.conv(x[:, : conv.shape.c_in]))


def test_multiply_accumulates_are_matched_where_that_is_possible():
    block = build("spatial", 16)
    conv = MatchedConv(16, of=block, match="macs", measured=(98 * 25, 25))
    kernels = sum(p.numel() for n, p in conv.named_parameters() if n.endswith("weight"))
    assert abs(kernels * 25 - 98 * 25) <= 0.02 * 98 * 25
    with pytest.raises(ConfigError, match="within 2% of 32 MACs") as caught:
        MatchedConv(16, of=build("se", 16), match="macs", measured=(32, 1024))
    assert caught.value.hint == "use match: parameters"
    with pytest.raises(ConfigError, match="not known"):
        MatchedConv(16, of=block, match="macs")


def test_a_block_that_has_nothing_to_match_is_refused():
    with pytest.raises(ConfigError, match="no parameters"):
        MatchedConv(16, of=Nothing())
    with pytest.raises(ConfigError, match="works on sequences"):
        MatchedConv(16, of=build("global", 16))
    with pytest.raises(ConfigError, match="no convolution of 1 channels"):
        MatchedConv(1, of=build("eca", 1))
    with pytest.raises(ConfigError, match="and no block"):
        IdentityGate(16, of="se")  # type: ignore[arg-type]


def test_no_shape_is_invented_where_none_comes_close():
    assert fit(1, 3.0) is None
    assert fit(64, 8.0, 100) is None
    assert fit(64, 800.0, 100) is not None
