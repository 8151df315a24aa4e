"""Weights from local files."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch

from harness.errors import ConfigError, DataError
from harness_models.timm_models import timm_classifier


@pytest.fixture
def other(image_io):
    torch.manual_seed(7)
    return timm_classifier(image_io(classes=5), "resnet18").net


@pytest.mark.parametrize("form", ["plain.pt", "wrapped.pth", "parallel.th", "tensors.safetensors"])
def test_weights_of_every_form_are_read(form, other, image_io, tmp_path):
    state = other.state_dict()
    forms = {
        "plain.pt": state,
        "wrapped.pth": {"epoch": 3, "model": state},
        "parallel.th": {"state_dict": {f"module.{k}": v for k, v in state.items()}},
    }
    if form in forms:
        torch.save(forms[form], tmp_path / form)
    else:
        safetensors.torch.save_file(state, str(tmp_path / form))
    model = timm_classifier(image_io(classes=5), "resnet18", weights=str(tmp_path / form))
    assert all(torch.equal(state[k], v) for k, v in model.net.state_dict().items())
    assert any(form in note and "sha256" in note for note in model.notes)


def test_a_relative_name_is_looked_up_in_the_data_folder(other, image_io, tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    torch.save(other.state_dict(), tmp_path / "weights" / "mine.pt")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    for name in ("mine.pt", "weights/mine.pt"):
        model = timm_classifier(image_io(classes=5), "resnet18", weights=name)
        assert torch.equal(model.net.conv1.weight, other.conv1.weight)


def test_a_missing_file_is_an_error_that_names_the_places_looked_at(image_io, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"no file 'nowhere\.pt'") as caught:
        timm_classifier(image_io(), "resnet18", weights="nowhere.pt")
    assert str(tmp_path / "weights" / "nowhere.pt") in (caught.value.hint or "")


def test_a_classifier_for_other_classes_is_refused_unless_reset(other, image_io, tmp_path):
    torch.save(other.state_dict(), tmp_path / "five.pt")
    file = str(tmp_path / "five.pt")
    with pytest.raises(ConfigError, match="does not fit ResNet") as caught:
        timm_classifier(image_io(classes=10), "resnet18", weights=file)
    assert "reset_head" in (caught.value.hint or "")
    torch.manual_seed(1)
    model = timm_classifier(image_io(classes=10), "resnet18", weights=file, reset_head=True)
    torch.manual_seed(1)
    fresh = timm_classifier(image_io(classes=10), "resnet18")
    assert torch.equal(model.net.layer4[1].conv2.weight, other.layer4[1].conv2.weight)
    assert torch.equal(model.net.fc.weight, fresh.net.fc.weight)


def test_weights_of_another_architecture_are_refused(other, image_io, tmp_path):
    torch.save(other.state_dict(), tmp_path / "eighteen.pt")
    with pytest.raises(ConfigError, match=r"and \d+ more") as caught:
        timm_classifier(image_io(classes=5), "resnet26", weights=str(tmp_path / "eighteen.pt"))
    assert "architecture" in (caught.value.hint or "")


class _Stranger:
    pass


@pytest.mark.parametrize("content", ["damaged", "objects", "numbers"])
def test_a_file_that_is_no_state_dict_is_an_error(content, image_io, tmp_path):
    path = tmp_path / "bad.pt"
    if content == "damaged":
        path.write_bytes(b"not weights at all")
    else:
        torch.save({"a": _Stranger()} if content == "objects" else {"a": 1}, path)
    with pytest.raises(DataError, match=r"'bad\.pt'"):
        timm_classifier(image_io(), "resnet18", weights=str(path))
