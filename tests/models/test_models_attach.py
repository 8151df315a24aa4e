"""Attention attached to finished networks: names, weights, places, copies."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from harness.contracts import IO, Spec
from harness.errors import ConfigError
from harness_models.cifar import resnet20
from harness_models.probe import channels_of
from harness_models.timm_models import timm_classifier

PLACEMENTS = ["residual", "block", "stage", ["layer1.0", "layer3.*"]]


def _images(size=32, n=2):
    return {"inputs": torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))}


@pytest.mark.parametrize("placement", PLACEMENTS, ids=str)
@pytest.mark.parametrize("build", [resnet20, lambda io: timm_classifier(io, "resnet18", stem="cifar")])
def test_shared_weights_equal_those_of_the_plain_model_of_the_same_seed(build, placement, image_io, gates):
    torch.manual_seed(3)
    plain = build(image_io())
    torch.manual_seed(3)
    model = build(image_io())
    model.attach(gates, placement)
    ours, theirs = model.state_dict(), plain.state_dict()
    assert set(theirs) < set(ours)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert all(".attention." in name for name in set(ours) - set(theirs))
    assert all(path.endswith(".attention") for path, m in model.named_modules() if type(m).__name__ == "Gate")


@pytest.mark.parametrize("placement", PLACEMENTS, ids=str)
def test_blocks_that_multiply_by_one_leave_logits_and_gradients_exactly_equal(placement, image_io, times):
    plain = resnet20(image_io())
    model = copy.deepcopy(plain)
    model.attach(times(1.0), placement)
    plain(_images())["logits"].square().sum().backward()
    model(_images())["logits"].square().sum().backward()
    assert torch.equal(plain(_images())["logits"], model(_images())["logits"])
    expected = dict(plain.named_parameters())
    assert all(torch.equal(p.grad, expected[n].grad) for n, p in model.named_parameters() if n in expected)


@pytest.mark.parametrize("arch", [None, "resnet18", "resnet26", "seresnet18", "skresnet18", "legacy_seresnet18"])
def test_a_zero_at_residual_leaves_relu_of_the_shortcut(arch, image_io, times):
    model = resnet20(image_io()) if arch is None else timm_classifier(image_io(), arch)
    model.attach(times(0.0), "residual")
    model.eval()
    stage = model.net.layer2
    channels = stage[0].conv1.in_channels if hasattr(stage[0].conv1, "in_channels") else stage[0].conv1.conv.in_channels
    x = torch.randn(2, channels, 8, 8)
    shortcut = getattr(stage[0], "downsample", None) or stage[0].shortcut
    with torch.no_grad():
        first = stage[0](x)
        assert torch.equal(first, F.relu(shortcut(x)))
        assert torch.equal(stage[1](first), first)


def test_block_acts_after_the_addition_and_stage_after_the_last_block(image_io, times):
    plain = resnet20(image_io()).eval()
    on_blocks, on_stages = copy.deepcopy(plain), copy.deepcopy(plain)
    on_blocks.attach(times(0.5), ["layer1.0"])
    on_stages.attach(times(0.5), "stage")
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(on_blocks.net.layer1[0](x), 0.5 * plain.net.layer1[0](x))
    assert torch.equal(on_stages.net.layer1(x), 0.5 * plain.net.layer1(x))
    assert torch.equal(on_stages.net.layer1[2](x), plain.net.layer1[2](x))


def test_a_copy_runs_its_own_attention(image_io, times):
    model = resnet20(image_io()).eval()
    model.attach(times(1.0), "residual")
    before = model(_images())["logits"]
    average = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in average.named_parameters():
            if name.endswith("attention.factor"):
                parameter.fill_(0.0)
    assert torch.equal(model(_images())["logits"], before)
    assert not torch.allclose(average(_images())["logits"], before)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("attention.factor"):
                parameter.fill_(0.0)
    assert torch.equal(model(_images())["logits"], average(_images())["logits"])


def test_weights_survive_a_round_trip_through_the_state_dict(image_io, gates):
    torch.manual_seed(1)
    model = resnet20(image_io()).eval()
    model.attach(gates, "residual")
    torch.manual_seed(2)
    other = resnet20(image_io()).eval()
    other.attach(gates, "residual")
    assert not torch.equal(model(_images())["logits"], other(_images())["logits"])
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(_images())["logits"], other(_images())["logits"])


@pytest.mark.parametrize("training", [True, False])
def test_finding_the_channels_leaves_model_and_random_stream_untouched(training, image_io):
    model = timm_classifier(image_io(), "resnet18", drop_rate=0.5, drop_path=0.5)
    model.train(training)
    model.net.layer2.eval()
    state = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    random = torch.get_rng_state()
    found = channels_of(model.net, ["layer4", "layer1.0"], (3, 32, 32))
    assert found == {"layer1.0": 64, "layer4": 512}
    assert list(found) == ["layer1.0", "layer4"]
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize(("size", "channels"), [(16, 16), (32, 32), (16, 8)])
def test_a_map_as_high_as_it_has_channels_is_still_told_from_channels_last(size, channels):
    layer = torch.nn.Conv2d(3, channels, 3, 2, 1)
    net = torch.nn.Sequential(layer, _ChannelsLast(), _ChannelsFirst(), torch.nn.AdaptiveAvgPool2d(1))
    assert channels_of(net, ["0", "2"], (3, 2 * size, 2 * size)) == {"0": channels, "2": channels}
    with pytest.raises(ConfigError, match="channels last"):
        channels_of(net, ["1"], (3, 2 * size, 2 * size))


class _ChannelsLast(torch.nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


class _ChannelsFirst(torch.nn.Module):
    def forward(self, x):
        return x.permute(0, 3, 1, 2)


def test_blocks_are_made_in_the_order_in_which_they_run_whatever_the_order_of_the_list(image_io, gates):
    model = resnet20(image_io())
    sites = model.attach(gates, ["layer3.0", "layer1", "layer1.0", "layer2.*.bn2"])
    expected = [
        ("layer1.0", 16),
        ("layer1", 16),
        ("layer2.0.bn2", 32),
        ("layer2.1.bn2", 32),
        ("layer2.2.bn2", 32),
        ("layer3.0", 64),
    ]
    assert gates.asked == expected
    assert list(sites) == [site for site, _ in expected]


@pytest.mark.parametrize(
    ("placement", "message", "hint"),
    [
        ("residuel", "unknown placement 'residuel'", "did you mean 'residual'"),
        ("everywhere", "unknown placement 'everywhere'", "residual, block, stage"),
        (["layer4.0"], "no site 'layer4.0'", "did you mean 'layer"),
        (["layer9.*"], "no site 'layer9.*'", ""),
        ([], "empty list", "at least one site"),
        (["linear"], "'linear' of CifarResNet gives out 1x10", "convolutional"),
    ],
)
def test_a_place_that_is_not_there_is_refused_with_a_hint(placement, message, hint, image_io, gates):
    model = resnet20(image_io())
    before = set(model.state_dict())
    with pytest.raises(ConfigError) as caught:
        model.attach(gates, placement)
    assert message in caught.value.message
    assert caught.value.hint is not None
    assert hint in caught.value.hint
    assert set(model.state_dict()) == before


def test_a_site_takes_one_block(image_io, gates):
    model = resnet20(image_io())
    model.attach(gates, "block")
    with pytest.raises(ConfigError, match=r"'layer1\.0' is taken"):
        model.attach(gates, "block")


def test_nothing_is_attached_if_one_block_cannot_be_made(image_io, gates):
    def refuse_64(channels):
        if channels == 64:
            raise ConfigError("too many channels")
        return torch.nn.Identity()

    gates.make = refuse_64
    model = resnet20(image_io())
    with pytest.raises(ConfigError, match="too many channels"):
        model.attach(gates, "stage")
    assert len(model.sites) == 0
    assert not any(m._forward_hooks for m in model.modules())


def test_temporal_attention_is_refused(image_io, gates):
    gates.domain = "temporal"
    with pytest.raises(ConfigError, match="'temporal'"):
        resnet20(image_io()).attach(gates, "stage")


def test_attention_takes_type_and_mode_of_the_model(image_io, gates):
    model = resnet20(image_io()).double().eval()
    model.attach(gates, "stage")
    attention = model.groups()["attention"]
    assert {p.dtype for p in attention.parameters()} == {torch.float64}
    assert not any(m.training for m in model.modules())
    assert model({"inputs": torch.zeros(1, 3, 32, 32).double()})["logits"].dtype == torch.float32


def test_groups_split_the_model_and_hold_the_attention_of_their_stage(image_io, gates):
    model = timm_classifier(image_io(), "convnext_atto")
    model.attach(gates, "block")
    groups = model.groups()
    backbone, head = ({id(p) for p in groups[name].parameters()} for name in ("backbone", "head"))
    assert not backbone & head
    assert backbone | head == {id(p) for p in model.parameters()}
    assert head == {id(p) for p in model.net.head.fc.parameters()}
    stages = [name for name in groups if name.startswith("backbone.")]
    assert stages == [f"backbone.stages.{i}" for i in range(4)]
    attention = {id(p) for p in groups["attention"].parameters()}
    parts = [{id(p) for p in groups[name].parameters()} & attention for name in stages]
    assert all(parts)
    assert set().union(*parts) == attention
    assert sum(map(len, parts)) == len(attention)


def test_groups_hold_parameters_that_belong_to_no_submodule(image_io):
    model = timm_classifier(image_io(), "vit_tiny_patch16_224")
    groups = model.groups()
    backbone = {id(p) for p in groups["backbone"].parameters()}
    assert id(model.net.cls_token) in backbone
    assert backbone | {id(p) for p in groups["head"].parameters()} == {id(p) for p in model.parameters()}


def test_freezing_a_group_freezes_the_model_itself(image_io, gates):
    model = resnet20(image_io())
    model.attach(gates, "residual")
    for parameter in model.groups()["backbone"].parameters():
        parameter.requires_grad_(False)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {"net.linear.weight", "net.linear.bias"}


def test_a_compiled_model_is_one_graph_with_equal_logits(image_io, gates):
    model = resnet20(image_io()).eval()
    model.attach(gates, "residual")
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(_images())["logits"], model(_images())["logits"])


def test_an_exported_model_keeps_its_attention(image_io, gates):
    model = resnet20(image_io()).eval()
    model.attach(gates, "residual")
    program = torch.export.export(model, (_images(),))
    torch.testing.assert_close(program.module()(_images())["logits"], model(_images())["logits"])
    assert set(program.state_dict) == set(model.state_dict())


@pytest.mark.parametrize(
    ("io", "message"),
    [
        (IO({"inputs": Spec("TCHW", (4, 3, 8, 8), "uint8")}, {"logits": Spec("K", (10,), "float32")}), "'TCHW'"),
        (IO({"inputs": Spec("CHW", (3, None, 8), "uint8")}, {"logits": Spec("K", (10,), "float32")}), "fixed shape"),
        (IO({}, {"logits": Spec("K", (10,), "float32")}), "there are none"),
        (IO({"inputs": Spec("CHW", (3, 8, 8), "uint8")}, {"scores": Spec("T", (None,), "float32")}), "scores"),
    ],
)
def test_inputs_and_outputs_of_another_task_are_refused(io, message):
    with pytest.raises(ConfigError, match=message):
        resnet20(io)
    with pytest.raises(ConfigError, match=message):
        timm_classifier(io, "resnet18")
