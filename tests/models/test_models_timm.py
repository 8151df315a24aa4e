"""Architectures of timm: built, given attention, refused."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models import resnet

from harness.errors import ConfigError, DataError
from harness_models.timm_models import timm_classifier

# arch: (blocks, stages, what `residual` hooks onto in the first block; "" is the block itself)
FAMILIES = {
    "resnet18": (8, 4, "bn2"),
    "resnet26": (8, 4, "bn3"),
    "resnet50": (16, 4, "bn3"),
    "seresnet18": (8, 4, "se"),
    "res2net50_26w_4s": (16, 4, "bn3"),
    "resnest14d": (4, 4, "bn3"),
    "skresnet18": (8, 4, "conv2"),
    "legacy_seresnet18": (8, 4, "se_module"),
    "regnetx_002": (13, 4, ""),
    "regnety_002": (13, 4, ""),
    "efficientnet_b0": (16, 7, ""),
    "tf_efficientnet_lite0": (16, 7, ""),
    "convnext_atto": (12, 4, ""),
    "mobilenetv3_small_050": (12, 6, ""),
    "densenet121": (58, 4, ""),
    "rexnet_100": (17, 5, ""),
}
REFUSED = ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mixer_s32_224"]


@pytest.mark.parametrize("placement", ["residual", "block", "stage"])
@pytest.mark.parametrize("arch", FAMILIES)
def test_every_family_trains_with_attention_in_every_place(arch, placement, image_io, gates):
    blocks, stages, end = FAMILIES[arch]
    model = timm_classifier(image_io(32), arch)
    sites = model.attach(gates, placement)
    assert len(sites) == (stages if placement == "stage" else blocks)
    if placement == "residual":
        hooked = [path for path, m in model.net.named_modules() if m._forward_hooks]
        assert hooked[0] == f"{sites[0]}.{end}".rstrip(".")
    logits = model({"inputs": torch.randn(2, 3, 32, 32)})["logits"]
    assert logits.shape == (2, 10)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    assert all(p.grad is not None for p in model.groups()["attention"].parameters())


@pytest.mark.parametrize("placement", ["residual", "block", "stage"])
@pytest.mark.parametrize("arch", REFUSED)
def test_an_architecture_without_feature_maps_is_refused(arch, placement, image_io, gates):
    model = timm_classifier(image_io(32 if "vit" in arch else 64), arch)
    with pytest.raises(ConfigError) as caught:
        model.attach(gates, placement)
    assert "not" in caught.value.message
    assert "[B, C, H, W]" in caught.value.message
    assert "convolutional" in (caught.value.hint or "")
    assert not gates.asked


def test_an_architecture_without_feature_maps_works_plain(image_io):
    model = timm_classifier(image_io(32), "vit_tiny_patch16_224")
    assert model({"inputs": torch.zeros(1, 3, 32, 32)})["logits"].shape == (1, 10)


@pytest.mark.parametrize("placement", ["residual", "block"])
def test_an_architecture_whose_blocks_cannot_be_told_points_to_what_it_has(placement, image_io, gates):
    model = timm_classifier(image_io(32), "dla34")
    with pytest.raises(ConfigError, match="no blocks") as caught:
        model.attach(gates, placement)
    assert "placement: stage" in (caught.value.hint or "")
    assert len(model.attach(gates, "stage")) == 6


def test_images_too_small_for_an_architecture_are_refused(image_io, gates):
    model = timm_classifier(image_io(32), "inception_v3")
    with pytest.raises(ConfigError, match="cannot read one input of shape 3x32x32"):
        model.attach(gates, "stage")


@pytest.mark.parametrize(
    ("arch", "stem", "parameters"),
    [
        ("resnet50", "imagenet", 23_528_522),
        ("resnet50", "cifar", 23_520_842),
        ("resnet18", "cifar", 11_173_962),
        ("seresnet50", "imagenet", 26_059_514),
    ],
)
def test_parameters_are_those_of_the_named_architecture(arch, stem, parameters, image_io):
    model = timm_classifier(image_io(), arch, stem=stem)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_plain_model_equals_timms_own(image_io):
    torch.manual_seed(5)
    model = timm_classifier(image_io(), "resnet18").eval()
    torch.manual_seed(5)
    own = timm.create_model("resnet18", num_classes=10).eval()
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model({"inputs": x})["logits"], own(x))


def test_the_cifar_stem_keeps_the_resolution(image_io):
    model = timm_classifier(image_io(channels=1), "resnet26d", stem="cifar")
    shapes = {}
    model.net.layer1.register_forward_hook(lambda m, args, out: shapes.update(layer1=tuple(out.shape)))
    model({"inputs": torch.zeros(2, 1, 32, 32)})
    assert shapes["layer1"] == (2, 256, 32, 32)
    assert any("3x3" in note for note in model.notes)


def test_the_cifar_stem_is_refused_outside_the_resnet_family(image_io):
    with pytest.raises(ConfigError, match="'convnext_atto' has no `stem: cifar`"):
        timm_classifier(image_io(), "convnext_atto", stem="cifar")


def test_an_unknown_architecture_gets_a_suggestion(image_io):
    with pytest.raises(ConfigError, match="unknown arch 'resnet5o'") as caught:
        timm_classifier(image_io(), "resnet5o")
    assert "'resnet50'" in (caught.value.hint or "")


def test_an_unknown_tag_gets_the_list_of_tags(image_io):
    with pytest.raises(ConfigError, match="no weights with the tag 'bogus'") as caught:
        timm_classifier(image_io(), "resnet18.bogus")
    assert "resnet18.a1_in1k" in (caught.value.hint or "")


def test_an_option_that_the_architecture_does_not_take_is_refused(image_io):
    with pytest.raises(ConfigError, match=r"'vgg11_bn' cannot be built with .*drop_path_rate"):
        timm_classifier(image_io(), "vgg11_bn", drop_path=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop_path": 1.0}, "'drop_path' is 1"),
        ({"drop_rate": -0.1}, "'drop_rate' is -0.1"),
        ({"pretrained": True, "weights": "a.pt"}, "both 'pretrained' and 'weights'"),
        ({"reset_head": True}, "'reset_head' needs 'weights'"),
    ],
)
def test_options_out_of_range_or_at_odds_are_refused(options, message, image_io):
    with pytest.raises(ConfigError, match=message):
        timm_classifier(image_io(), "resnet18", **options)


def test_dropout_and_stochastic_depth_reach_the_architecture(image_io):
    model = timm_classifier(image_io(), "resnet18", drop_path=0.2, drop_rate=0.3)
    assert model.net.drop_rate == 0.3
    assert model.net.layer4[1].drop_path.drop_prob == pytest.approx(0.2)


@pytest.mark.parametrize("arch", ["seresnet18", "regnety_002", "efficientnet_b0", "mobilenetv3_small_050"])
def test_native_attention_is_kept_and_said_so(arch, image_io, gates):
    model = timm_classifier(image_io(), arch)
    assert sum("native attention kept" in note and "come after it" in note for note in model.notes) == 1


def test_an_added_block_reads_what_native_attention_gave_out(image_io, times):
    model = timm_classifier(image_io(), "seresnet18").eval()
    block = model.net.layer1[0]
    torch.nn.init.ones_(block.bn2.weight)
    x = torch.randn(2, 64, 8, 8)
    gated = block.se(block.bn2(block.conv2(block.act1(block.bn1(block.conv1(x))))))
    model.attach(times(2.0), "residual")
    torch.testing.assert_close(block(x), torch.relu(2 * gated + x))


@pytest.mark.parametrize(("arch", "twin"), [("seresnet18", "resnet18"), ("regnety_002", None)])
def test_native_attention_can_be_removed(arch, twin, image_io, gates):
    kept = timm_classifier(image_io(), arch)
    model = timm_classifier(image_io(), arch, native_attention="remove")
    assert any("se" in name.split(".") for name in kept.state_dict())
    assert not any("se" in name.split(".") for name in model.state_dict())
    assert any("native attention removed" in note for note in model.notes)
    if twin is not None:
        assert set(model.state_dict()) == set(timm_classifier(image_io(), twin).state_dict())
    model.attach(gates, "residual")
    assert model({"inputs": torch.randn(2, 3, 32, 32)})["logits"].isfinite().all()


def test_attention_inside_a_convolution_cannot_be_removed(image_io):
    with pytest.raises(ConfigError, match="SplitAttn is part of its convolutions"):
        timm_classifier(image_io(), "resnest14d", native_attention="remove")


@pytest.mark.parametrize(
    ("arch", "words"), [("resnet18", "before the addition"), ("convnext_atto", "is the output of every block")]
)
def test_the_notes_say_what_residual_meant(arch, words, image_io, gates):
    model = timm_classifier(image_io(), arch)
    model.attach(gates, "residual")
    assert words in model.placement_note
    assert model.placement_note in model.notes


def test_attention_behind_a_norm_that_starts_at_zero_learns_from_the_second_step_on(image_io, gates):
    model = timm_classifier(image_io(), "resnet18")
    model.attach(gates, "residual")
    assert isinstance(model.net.layer1[0], resnet.BasicBlock)
    x = {"inputs": torch.randn(4, 3, 32, 32)}
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(x)["logits"].square().sum().backward()
    attention = model.groups()["attention"]
    assert all(p.grad.abs().max() == 0 for p in attention.parameters())
    optimizer.step()
    model(x)["logits"].square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in attention.parameters())


def test_pretrained_weights_that_do_not_exist_are_an_error(image_io):
    bare = next(name for name in timm.list_models("resnet*") if not timm.get_pretrained_cfg(name).has_weights)
    with pytest.raises(ConfigError, match=f"no pretrained weights of '{bare}'"):
        timm_classifier(image_io(), bare, pretrained=True)


def test_pretrained_weights_that_cannot_be_had_are_an_error_and_never_random(image_io, monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataError, match="pretrained weights of 'resnet18' cannot be had") as caught:
        timm_classifier(image_io(), "resnet18", pretrained=True)
    assert "`weights: FILE`" in (caught.value.hint or "")
