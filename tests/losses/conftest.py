"""Weights of VGG in files, and empty folders where real ones could lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from losses.pictures import first_layers


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Empty folders of data, of hashes and of torch.hub, and no network."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    if request.node.get_closest_marker("data") is None:
        monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))

    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)


@pytest.fixture(scope="module")
def layers_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg16_first_layers.pth"
    torch.save(first_layers(), path)
    return path
