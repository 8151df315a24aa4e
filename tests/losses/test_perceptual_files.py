"""Weights of the perceptual loss: files whole, cut, hostile and wrong; torchvision's file there, absent and offline."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision
from losses.pictures import REGISTRY, first_layers
from safetensors.torch import save_file
from torch import Tensor

from harness.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("folders")


def build(**options: Any) -> Any:
    return REGISTRY.build("loss", "perceptual", **options)


def frames(count: int, channels: int = 3, size: int = 16) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(2))


def test_a_whole_file_a_part_and_safetensors_give_the_same(layers_file: Path, tmp_path: Path) -> None:
    whole = first_layers(upto="block3_conv3") | {"classifier.0.weight": torch.zeros(2, 2)}
    torch.save(whole, tmp_path / "whole.pth")
    torch.save(first_layers(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(first_layers(), tmp_path / "part.safetensors")
    x = frames(2)
    expected = build(file=str(layers_file)).features(x)
    for name in ("whole.pth", "old.pth", "part.safetensors"):
        assert torch.equal(build(file=str(tmp_path / name)).features(x), expected)


def test_a_file_is_found_in_the_data_folder_and_named_in_the_note(tmp_path: Path) -> None:
    place = tmp_path / "data" / "weights" / "mine.pth"
    place.parent.mkdir(parents=True)
    torch.save(first_layers(), place)
    loss = build(file="mine.pth")
    sha256 = hashlib.sha256(place.read_bytes()).hexdigest()[:16]
    assert loss.notes == (
        f"perceptual loss: VGG-16, block2_conv2 after its ReLU, weights from 'mine.pth' (sha256 {sha256})",
    )
    assert loss.marks == ()


def test_the_content_of_the_file_is_part_of_the_id() -> None:
    assert REGISTRY.get("loss", "perceptual").files == ("file",)


@pytest.mark.parametrize(("net", "name"), [("vgg16", "vgg16-397923af.pth"), ("vgg19", "vgg19-dcbb9e9d.pth")])
def test_offline_the_error_names_the_file_and_its_folder(net: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"'{name}', cannot be downloaded: URLError") as caught:
        build(net=net)
    hint = str(caught.value.hint)
    assert f"put '{name}' into '{tmp_path / 'torch' / 'hub' / 'checkpoints'}'" in hint
    assert "`file: FILE`" in hint
    assert "`weights: random`" in hint


@pytest.mark.parametrize("place", ["torch/hub/checkpoints", "data/weights"])
def test_another_file_under_torchvisions_name_is_refused(place: str, tmp_path: Path) -> None:
    path = tmp_path / place / "vgg16-397923af.pth"
    path.parent.mkdir(parents=True)
    torch.save(first_layers(), path)
    with pytest.raises(DataError, match="its sha256 does not start with 397923af"):
        build()


@pytest.mark.parametrize("place", ["torch/hub/checkpoints", "data/weights"])
def test_torchvisions_file_is_used_where_it_lies(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers_file: Path
) -> None:
    # The real file has 528 MB: this one is called after its own hash, as torchvision calls its files.
    name = f"vgg16-{hashlib.sha256(layers_file.read_bytes()).hexdigest()[:8]}.pth"
    path = tmp_path / place / name
    path.parent.mkdir(parents=True)
    path.write_bytes(layers_file.read_bytes())
    _publish(monkeypatch, name)
    loss = build()
    assert f"weights from '{name}'" in loss.notes[0]
    assert torch.equal(loss.features(frames(1)), build(file=str(layers_file)).features(frames(1)))


def test_a_missing_file_is_downloaded_into_torchvisions_folder_with_its_hash_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers_file: Path
) -> None:
    sha256 = hashlib.sha256(layers_file.read_bytes()).hexdigest()
    name = f"vgg16-{sha256[:8]}.pth"
    _publish(monkeypatch, name)
    asked = []

    def fetch(address: str, place: str, prefix: str, progress: bool) -> None:
        asked.append((address, prefix, progress))
        Path(place).write_bytes(layers_file.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    build()
    build()
    assert asked == [(f"https://example.org/models/{name}", sha256[:8], False)]
    assert (tmp_path / "torch" / "hub" / "checkpoints" / name).is_file()


def _publish(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    entry = SimpleNamespace(url=f"https://example.org/models/{name}")
    monkeypatch.setattr(torchvision.models, "VGG16_Weights", SimpleNamespace(IMAGENET1K_V1=entry))


def test_files_that_cannot_be_trusted_or_read_are_errors(tmp_path: Path) -> None:
    (tmp_path / "garbage.pth").write_bytes(b"not a checkpoint")
    (tmp_path / "garbage.safetensors").write_bytes(b"not a checkpoint either")
    torch.save(_Hostile(str(tmp_path / "owned")), tmp_path / "hostile.pth")
    torch.save({"features.0.weight": "text"}, tmp_path / "text.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({}, tmp_path / "empty.pth")
    torch.save(torch.zeros(2), tmp_path / "bare.pth")
    for name, words in [
        ("garbage.pth", "cannot be read"),
        ("garbage.safetensors", "cannot be read"),
        ("hostile.pth", "it holds more than tensors"),
        ("text.pth", "holds no state dict"),
        ("list.pth", "holds no state dict"),
        ("empty.pth", "holds no state dict"),
        ("bare.pth", "holds no state dict"),
        ("absent.pth", "there is no file"),
    ]:
        with pytest.raises(DataError, match=words):
            build(file=str(tmp_path / name))
    assert not (tmp_path / "owned").exists()


class _Hostile:
    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.place,)


def _with(key: str, value: Tensor | None) -> dict[str, Tensor]:
    state = first_layers()
    if value is None:
        del state[key]
    else:
        state[key] = value
    return state


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (_with("features.7.weight", None), "it has no 'features.7.weight'"),
        (_with("features.5.bias", None), "it has no 'features.5.bias'"),
        (_with("features.2.weight", torch.zeros(64, 3, 3, 3)), r"'features.2.weight' is \[64, 3, 3, 3\] in it, and"),
        (_with("features.2.bias", torch.full((64,), torch.nan)), "'features.2.bias' holds numbers that are not finite"),
        (_with("features.1.weight", torch.ones(64)), "it holds 'features.1.weight', where VGG-16 has no convolution"),
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "it has no 'features.0.weight'"),
        (first_layers("vgg19", "block3_conv4"), "it holds 'features.16.weight', where VGG-16 has no convolution"),
    ],
)
def test_a_file_that_does_not_fit_is_an_error(state: dict[str, Tensor], words: str, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "wrong.pth")
    with pytest.raises(ConfigError, match=f"'wrong.pth' does not serve VGG-16 up to block2_conv2: {words}"):
        build(file=str(tmp_path / "wrong.pth"))


def test_a_layer_behind_the_end_of_the_file_is_an_error(layers_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"up to block3_conv1: it has no 'features.10.weight'"):
        build(file=str(layers_file), layer="block3_conv1")
