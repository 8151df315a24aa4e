"""Weights of VGG networks from torch.hub's folder, from the network, or from a file that the user names."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor

from harness.data import digest, find_file
from harness.errors import DataError
from harness_losses.vgg import TITLES, Net


def imagenet_file(net: Net) -> Path:
    """torchvision's file: in torch.hub's folder, else in `weights/` of the data folder, else downloaded (530 MB).

    Raises: DataError if it cannot be had, or its hash is not the one in its name.
    """
    from torchvision.models import VGG16_Weights, VGG19_Weights

    address = {"vgg16": VGG16_Weights.IMAGENET1K_V1, "vgg19": VGG19_Weights.IMAGENET1K_V1}[net].url
    name = Path(urlsplit(address).path).name
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / name
    if not path.is_file():
        try:
            path = find_file(name, "weights")
        except DataError:
            _download(net, address, path)
    # A cut-off download, or the first layers alone under the name of the whole.
    wanted = path.stem.rpartition("-")[2]
    if not digest(path).startswith(wanted):
        raise DataError(
            f"loss 'perceptual': '{path}' is not torchvision's file: its sha256 does not start with {wanted}",
            hint="move it away, and it is downloaded again; a file of your own is named with `file`",
        )
    return path


def _download(net: Net, address: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), path.stem.rpartition("-")[2], progress=False)
    except Exception as error:  # the network, the disk and the hub each have errors of their own
        raise DataError(
            f"loss 'perceptual': torchvision's ImageNet weights of {TITLES[net]}, '{path.name}', cannot be downloaded: "
            f"{type(error).__name__}: {error}",
            hint=f"put '{path.name}' into '{path.parent}' by hand; or name a file of the first layers alone with "
            "`file: FILE`; or say `weights: random`, which compares random features",
        ) from error


def read_state(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a .safetensors file or one of torch (weights_only). Raises DataError."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(str(path))
        else:
            # Mapped where the format allows it: most of a whole file is the classifier, which nobody reads.
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # each of the two readers has errors of its own for a damaged file
        why = "it holds more than tensors" if isinstance(error, pickle.UnpicklingError) else str(error)
        raise DataError(
            f"loss 'perceptual': '{path.name}' cannot be read: {why}",
            hint="give a .safetensors file or a state dict saved with torch.save",
        ) from error
    tensors = isinstance(found, Mapping) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    )
    if not tensors or not found:
        raise DataError(
            f"loss 'perceptual': '{path.name}' holds no state dict", hint="save `model.state_dict()` with torch.save"
        )
    return found  # type: ignore[no-any-return]
