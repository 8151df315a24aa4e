"""The perceptual loss: features against torchvision's, errors, random weights, and real ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from losses.pictures import REGISTRY, first_layers
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from harness.errors import ConfigError
from harness_losses.vgg import Net, convolutions

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
NORMALISED = "vgg19_normalised_conv3_1.pth"

pytestmark = pytest.mark.usefixtures("folders")


def build(**options: Any) -> Any:
    return REGISTRY.build("loss", "perceptual", **options)


def torchvisions(net: str, state: dict[str, Tensor], stop: int) -> torch.nn.Sequential:
    """`features[:stop]` of torchvision's own network, with these weights; nothing behind is given memory."""
    with torch.device("meta"):
        features = getattr(torchvision.models, net)(weights=None).features[:stop]
    own = {key.removeprefix("features."): value for key, value in state.items()}
    features.load_state_dict({k: v for k, v in own.items() if k in features.state_dict()}, assign=True)
    return features


def frames(count: int, channels: int = 3, size: int = 16) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(2))


def close(a: Tensor, b: Tensor | float, part: float = 1e-5) -> None:
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype), rtol=part, atol=part)


@pytest.mark.parametrize(
    ("net", "layer", "stop"),
    [
        ("vgg16", "block1_conv1", 2),
        ("vgg16", "block2_conv2", 9),
        ("vgg16", "block3_conv3", 16),
        ("vgg19", "block3_conv4", 18),
    ],
)
def test_features_equal_torchvisions_with_the_same_weights(net: Net, layer: str, stop: int, tmp_path: Path) -> None:
    state = first_layers(net, layer)
    torch.save(state, tmp_path / "layers.pth")
    loss = build(net=net, layer=layer, file=str(tmp_path / "layers.pth"))
    x = frames(2)
    with torch.no_grad():
        expected = torchvisions(net, state, stop)((x - MEAN) / STD)
    close(loss.features(x), expected)


@pytest.mark.parametrize(
    ("net", "count", "last", "index"), [("vgg16", 13, "block5_conv3", 28), ("vgg19", 16, "block5_conv4", 34)]
)
def test_every_convolution_has_torchvisions_place(net: Net, count: int, last: str, index: int) -> None:
    with torch.device("meta"):
        features = getattr(torchvision.models, net)(weights=None).features
    found = convolutions(net)
    there = [(i, m.in_channels, m.out_channels) for i, m in enumerate(features) if isinstance(m, torch.nn.Conv2d)]
    assert [(c.index, c.inputs, c.outputs) for c in found] == there
    assert [isinstance(features[c.index - 1], torch.nn.MaxPool2d) for c in found[1:]] == [c.pooled for c in found[1:]]
    assert (len(found), found[-1].name, found[-1].index) == (count, last, index)


def test_the_value_is_the_squared_distance_over_c_h_w_as_a_mean_over_frames(layers_file: Path) -> None:
    loss = build(file=str(layers_file))
    output, target = frames(6).unflatten(0, (2, 3)), frames(7)[1:].unflatten(0, (2, 3))
    net = torchvisions("vgg16", first_layers(), 9)
    values = []
    with torch.no_grad():
        for p, t in zip(output.flatten(0, 1), target.flatten(0, 1), strict=True):
            apart = net(((p - MEAN) / STD)[None]) - net(((t - MEAN) / STD)[None])
            values.append(float(torch.linalg.vector_norm(apart) ** 2) / (128 * 8 * 8))
    close(loss(output, target), float(np.mean(values)))


def test_grey_frames_count_as_rgb_of_three_equal_channels(layers_file: Path) -> None:
    loss = build(file=str(layers_file))
    output, target = frames(2, channels=1), frames(3, channels=1)[1:]
    close(loss(output, target), loss(output.repeat(1, 3, 1, 1), target.repeat(1, 3, 1, 1)))


def test_gradients_reach_the_frames_and_no_weight(layers_file: Path) -> None:
    loss = build(file=str(layers_file)).train()
    output = frames(2).requires_grad_()
    loss(output, frames(3)[1:]).backward()
    assert (output.grad.flatten(1).abs().amax(1) > 0).all()
    assert all(not p.requires_grad and p.grad is None for p in loss.parameters())
    assert sum(p.numel() for p in loss.parameters()) == 260_160  # four convolutions, and none behind them


def test_the_gradient_equals_that_of_torchvisions_network(layers_file: Path) -> None:
    loss, net = build(file=str(layers_file)), torchvisions("vgg16", first_layers(), 9)
    target = frames(3)[1:]
    ours, theirs = frames(2).requires_grad_(), frames(2).requires_grad_()
    loss(ours, target).backward()
    F.mse_loss(net((theirs - MEAN) / STD), net((target - MEAN) / STD)).backward()
    close(ours.grad, theirs.grad)


def test_random_weights_are_the_same_each_time_marked_and_leave_the_random_stream_alone() -> None:
    torch.manual_seed(5)
    first, x = build(weights="random"), frames(1)
    drawn = torch.rand(3)
    second = build(weights="random", layer="block3_conv1")
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
    assert torch.equal(first.features(x), build(weights="random").features(x))
    shared = first.features.state_dict()
    assert all(torch.equal(value, second.features.state_dict()[key]) for key, value in shared.items())
    assert first.marks == ("random VGG-16",)
    assert build(weights="random", net="vgg19").marks == ("random VGG-19",)
    assert "random weights: distances in random features, not the published perceptual loss" in first.notes[0]


def _chosen(loss: Any) -> list[list[int]]:
    """The frames of 3 clips of 6 that one call compares."""
    output, target = (x.unflatten(0, (3, 6)) for x in frames(36, size=4).split(18))
    loss(output.requires_grad_(), target).backward()
    return [[t for t in range(6) if bool(g[t].any())] for g in output.grad]


def test_a_share_of_the_frames_is_drawn_anew_at_each_call_by_the_seed_and_leaves_the_random_stream_alone() -> None:
    def drawn(loss: Any, seed: int) -> list[list[list[int]]]:
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found = [_chosen(loss) for _ in range(6)]
        assert torch.equal(torch.get_rng_state(), before)
        return found

    loss = build(weights="random", layer="block1_conv1", frames=2)
    first, other = drawn(loss, 5), drawn(loss, 6)
    assert all(len(clip) == 2 for call in first for clip in call)
    assert len({str(call) for call in first}) > 2
    assert first != other
    assert drawn(loss, 5) == first  # as another seed was seen in between
    assert drawn(build(weights="random", layer="block1_conv1", frames=2), 6) == other  # as when resumed


def test_gradients_taken_twice_of_one_graph_are_one_draw() -> None:
    torch.manual_seed(5)
    loss = build(weights="random", layer="block1_conv1", frames=2)
    expected = [_chosen(loss) for _ in range(3)]
    torch.manual_seed(6)
    _chosen(loss)
    torch.manual_seed(5)
    assert _chosen(loss) == expected[0]
    output = frames(6, size=4)[None].requires_grad_()
    value = loss(output, torch.zeros_like(output))
    once = torch.autograd.grad(value, output, retain_graph=True)[0]
    assert torch.equal(once, torch.autograd.grad(value, output)[0])
    assert _chosen(loss) == expected[2]


def test_output_target_and_mask_are_cut_to_the_same_frames() -> None:
    torch.manual_seed(5)
    part, whole = (build(weights="random", layer="block1_conv1", frames=n) for n in (2, None))
    clip, mask = frames(12, size=4).unflatten(0, (2, 6)), torch.rand(2, 6) > 0.5
    assert part(clip, clip) == 0
    chosen = _chosen(part)[0]
    fresh = build(weights="random", layer="block1_conv1", frames=2)
    fresh(clip, clip)
    other = clip.flip(1)
    close(fresh(clip, other, mask), whole(clip[:, chosen], other[:, chosen], mask[:, chosen]))


def test_random_features_keep_a_usable_scale() -> None:
    for layer in ("block1_conv2", "block2_conv2", "block3_conv3"):
        assert 0.05 < float(build(weights="random", layer=layer).features(frames(2)).mean()) < 5


def test_unknown_options_are_errors_that_list_the_known(layers_file: Path) -> None:
    with pytest.raises(ConfigError, match="VGG-16 has no layer 'relu2_2'") as caught:
        build(weights="random", layer="relu2_2")
    assert "block1_conv1, block1_conv2, block2_conv1" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="VGG-16 has no layer 'block3_conv4'"):
        build(weights="random", layer="block3_conv4")
    with pytest.raises(ConfigError, match="VGG-19 has no layer 'block6_conv1'"):
        build(net="vgg19", layer="block6_conv1")  # before anything is looked for
    with pytest.raises(ConfigError, match="both a file and random weights"):
        build(weights="random", file=str(layers_file))


def test_frames_that_do_not_fit_the_network_are_errors() -> None:
    loss = build(weights="random", layer="block3_conv1")
    with pytest.raises(ConfigError, match="at least 8 x 8 pixels, and these have 7 x 7"):
        loss(frames(1, size=7), frames(1, size=7))
    with pytest.raises(ConfigError, match="grey or RGB frames, and these have 2 channels"):
        loss(frames(1, channels=2), frames(1, channels=2))
    assert torch.isfinite(loss(frames(1, size=8), frames(2, size=8)[1:]))


def text(words: str = "The quick brown fox") -> Tensor:
    """White words on black [1, 1, 32, 128]."""
    picture = Image.new("L", (128, 32))
    ImageDraw.Draw(picture).text((4, 10), words, fill=255)
    return torch.from_numpy(np.array(picture, dtype=np.float32) / 255)[None, None]


@pytest.fixture
def normalised() -> str:
    if not (Path(os.environ.get("HARNESS_DATA", "")) / "weights" / NORMALISED).is_file():
        pytest.skip(f"there is no weights/{NORMALISED} below HARNESS_DATA")
    return f"weights/{NORMALISED}"


def natural() -> Tensor:
    """The first 64 test images of CIFAR-10 [64, 3, 32, 32]."""
    path = Path(os.environ.get("HARNESS_DATA", "")) / "cifar-10-batches-bin" / "test_batch.bin"
    if not path.is_file():
        pytest.skip("there is no CIFAR-10 below HARNESS_DATA")
    rows = np.fromfile(path, dtype=np.uint8, count=64 * 3073).reshape(64, 3073)
    return torch.from_numpy(rows[:, 1:].reshape(64, 3, 32, 32).astype(np.float32) / 255)


@pytest.mark.data
@pytest.mark.parametrize("layer", ["block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2", "block3_conv1"])
def test_real_normalised_vgg19_has_mean_activations_of_about_1(normalised: str, layer: str) -> None:
    means = build(net="vgg19", layer=layer, file=normalised).features(natural()).mean(dim=(0, 2, 3))
    assert 0.6 < float(means.mean()) < 1.6
    assert float(means.median()) > 0.2  # each channel was scaled, not the layer as a whole


@pytest.mark.data
def test_real_vgg19_puts_edges_and_preprocessing_where_the_file_has_them(normalised: str) -> None:
    state = torch.load(Path(os.environ["HARNESS_DATA"]) / normalised, weights_only=True)
    x = natural()[:2, :, :31]  # an odd height, to see sizes rounded up
    y = x[:, [2, 1, 0]] * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    for key in ("2", "5", "pool", "9", "12"):
        if key == "pool":
            y = F.max_pool2d(y, 2, ceil_mode=True)
        else:
            y = F.conv2d(F.pad(y, (1, 1, 1, 1), "reflect"), state[f"{key}.weight"], state[f"{key}.bias"]).relu()
    found = build(net="vgg19", file=normalised).features(x)
    assert found.shape == (2, 128, 16, 16)
    close(found, y, part=1e-4)


@pytest.mark.data
def test_real_vgg19_prefers_sharp_text_to_blurred_text_of_equal_mse(normalised: str) -> None:
    loss = build(net="vgg19", file=normalised)
    sharp = text()
    soft = F.conv2d(F.pad(sharp, (1, 1, 1, 1)), torch.full((1, 1, 3, 3), 1 / 9))
    dim = sharp * (1 - float(((soft - sharp).square().sum() / sharp.square().sum()).sqrt()))
    close(F.mse_loss(dim, sharp), F.mse_loss(soft, sharp))
    assert loss(sharp, sharp) == 0
    assert float(loss(dim, sharp)) < float(loss(soft, sharp))
    # Training on it sharpens: from the blurred text, a few steps along the gradient come nearer.
    pixels = soft.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=0.05)
    before = float(loss(pixels.detach(), sharp))
    for _ in range(8):
        optimizer.zero_grad()
        loss(pixels, sharp).backward()
        optimizer.step()
    assert float(loss(pixels.detach(), sharp)) < 0.5 * before


@pytest.mark.data
def test_the_normalised_vgg19_says_what_it_is_and_is_no_vgg16(normalised: str) -> None:
    loss = build(net="vgg19", file=normalised)
    assert loss.marks == ()
    assert "VGG-19, block2_conv2" in loss.notes[0]
    assert NORMALISED in loss.notes[0]
    with pytest.raises(ConfigError, match="it holds the activation-normalised VGG-19") as caught:
        build(file=normalised)
    assert caught.value.hint == "write `net: vgg19`"
    with pytest.raises(ConfigError, match=r"it has no '19.weight'"):
        build(net="vgg19", layer="block3_conv2", file=normalised)
