"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.contracts import DatasetInfo
from harness.data import RemoteFile, cached_arrays, stratified_holdout
from harness.errors import ConfigError, DataError

from . import _images
from ._images import Array, ImageDataset, Normalise

IMAGES = 1797
TEST_FRACTION = 0.2
TEST_SEED = 0
_TEST = round(TEST_FRACTION * IMAGES)
# Of images and labels together, so that `describe` knows the content without reading it.
_CONTENT = "0b7e9c3202d7bcd255d6a19a238d3743bf5e320ba74812a6679958a017c55382"
_STATISTICS = ((0.3053,), (0.3758,))


class Digits(ImageDataset):
    """1,797 grey images of 8x8 pixels, 10 classes; nothing to download.

    inputs: uint8 [B, 1, 8, 8]; scikit-learn's grey levels 0..16 become round(level * 255 / 16).
    The test split is always the same stratified fifth (359 images, seed 0); nobody published one for this selection.
    Options: val, the fraction of the other 1,438 that is held out for validation, stratified by `split_seed`;
    normalise: which mean and deviation the images are shifted and scaled by (see `_images.specs`).
    Source: Alpaydin and Kaynak 1998, the test part of doi:10.24432/C50P49.
    Raises: ConfigError if val is not in [0, 1); DataError if scikit-learn ships other images.
    """

    name = "digits"

    def __init__(self, root: Path, *, val: float = 0.1, split_seed: int = 0, normalise: Normalise = "dataset") -> None:
        info = self.describe(root, val=val, split_seed=split_seed, normalise=normalise)
        arrays = cached_arrays(_images.key(self.name, _CONTENT, TEST_SEED), _read)
        held = info.sizes["val"]
        super().__init__(_images.standard_splits(arrays, self.name, _CONTENT, held, None, split_seed))

    @staticmethod
    def describe(root: Path, *, val: float = 0.1, split_seed: int = 0, normalise: Normalise = "dataset") -> DatasetInfo:
        if not 0 <= val < 1:
            raise ConfigError(f"digits: option 'val' is {val}", hint="give a fraction from 0 up to but not including 1")
        rest = IMAGES - _TEST
        sizes = _images.sizes("digits", rest, _TEST, round(val * rest), None)
        options = {"val": sizes["val"], "split_seed": split_seed}
        specs = _images.specs((1, 8, 8), normalise, _STATISTICS)
        return _images.information("digits/1", _CONTENT, options, specs, sizes, [str(i) for i in range(10)])

    @staticmethod
    def files() -> tuple[RemoteFile, ...]:
        return ()


def _read() -> Mapping[str, Array]:
    from sklearn.datasets import load_digits

    found = load_digits()
    # Levels are whole numbers, so adding half before cutting off rounds exactly.
    images = np.floor(np.asarray(found.images, dtype=np.float64) * 255 / 16 + 0.5).astype(np.uint8)[:, None]
    target = np.asarray(found.target, dtype=np.int64)
    if _content(images, target) != _CONTENT:
        raise DataError(
            "digits: this scikit-learn ships other images than the ones known here",
            hint="install a scikit-learn whose load_digits is the usual one (1,797 images)",
        )
    train, test = stratified_holdout(target, TEST_FRACTION, TEST_SEED)
    return {
        "train.inputs": images[train],
        "train.target": target[train],
        "test.inputs": images[test],
        "test.target": target[test],
    }


def _content(images: Array, target: Array) -> str:
    return hashlib.sha256(images.tobytes() + target.astype("<i8").tobytes()).hexdigest()
