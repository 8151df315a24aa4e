"""Moving digits without a download: the generator of Moving MNIST over scikit-learn's small digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.contracts import DatasetInfo
from harness.data import RemoteFile, cached_arrays, stratified_holdout

from . import _clips, _images, _moving, digits
from ._clips import Array, ClipDataset, Part, between
from ._moving import Motion

_REST = digits.IMAGES - digits._TEST
_ONE = 1 << 12


class MovingDigits(ClipDataset):
    """Clips of scikit-learn's 1,797 digits that bounce about a black canvas; nothing to download.

    inputs: uint8 [B, T, C, size, size]. The 8x8 digits are scaled up to `digit_size` (bilinear) once; they move as in
    `moving_mnist`, from which all else is as well: training clips are new in every epoch, and are drawn on the device.
    Options: digits in a clip; speed, the part of the free canvas (size - digit_size) that a digit moves in a frame;
    size and digit_size in pixels; frames; channels (3: grey repeated); train_size, clips of an epoch; val_size;
    test_size; val_digits, how many digits are used by validation clips alone (stratified, always the same ones; test
    clips use the fifth of the digits that is the test split of `digits`); seed of all clips.
    Source: Srivastava et al. 2015, arXiv:1502.04681; digits of Alpaydin and Kaynak 1998, doi:10.24432/C50P49.
    Raises: ConfigError for an option out of range; DataError if scikit-learn ships other digits.
    """

    name = "moving_digits"

    def __init__(
        self,
        root: Path,
        *,
        digits: int = 2,
        speed: float = 0.1,
        size: int = 32,
        digit_size: int = 16,
        frames: int = 20,
        channels: Literal[1, 3] = 1,
        train_size: int = 512,
        val_size: int = 64,
        test_size: int = 64,
        val_digits: int = 144,
        seed: int = 0,
    ) -> None:
        info = self.describe(
            root, digits=digits, speed=speed, size=size, digit_size=digit_size, frames=frames, channels=channels,
            train_size=train_size, val_size=val_size, test_size=test_size, val_digits=val_digits, seed=seed,
        )  # fmt: skip
        motion = Motion(digits, speed, size, frames, channels)
        key = _images.key("moving_digits-1", _content(), val_digits, digit_size)
        arrays = cached_arrays(key, lambda: _read(val_digits, digit_size))
        own = {split: Part(arrays, {"digits": split}) for split in _clips.SPLITS}
        super().__init__(_moving.splits(self.name, own, info.sizes, motion, seed))

    @classmethod
    def describe(
        cls,
        root: Path,
        *,
        digits: int = 2,
        speed: float = 0.1,
        size: int = 32,
        digit_size: int = 16,
        frames: int = 20,
        channels: Literal[1, 3] = 1,
        train_size: int = 512,
        val_size: int = 64,
        test_size: int = 64,
        val_digits: int = 144,
        seed: int = 0,
    ) -> DatasetInfo:
        between(cls.name, "digit_size", digit_size, 8, 256)
        motion = Motion(digits, speed, size, frames, channels)
        motion.check(cls.name, digit_size)
        sizes = {"train": train_size, "val": val_size, "test": test_size}
        _moving.check_sizes(cls.name, sizes, val_digits, _REST, seed)
        options = {"digit_size": digit_size, "val_digits": val_digits, "seed": seed}
        return _moving.information(_content(), motion, sizes, options, ())

    @staticmethod
    def files() -> tuple[RemoteFile, ...]:
        return ()


def _content() -> str:
    return digits._CONTENT


def _read(val_digits: int, size: int) -> dict[str, Array]:
    arrays: Any = digits._read()
    train, val = stratified_holdout(arrays["train.target"], val_digits, 0)
    images = scaled(arrays["train.inputs"][:, 0], size)
    return {"train": images[train], "val": images[val], "test": scaled(arrays["test.inputs"][:, 0], size)}


def scaled(images: Array, size: int) -> Array:
    """uint8 [N, h, h] -> [N, size, size], bilinear between the pixels' centres, in whole numbers on every machine."""
    have = images.shape[-1]
    at = np.clip((np.arange(size) + 0.5) * have / size - 0.5, 0, have - 1)
    share = 1 - np.abs(at[:, None] - np.arange(have))
    weights = np.rint(np.clip(share, 0, 1) * _ONE).astype(np.int64)
    weights[np.arange(size), weights.argmax(1)] += _ONE - weights.sum(1)  # each row is one whole
    total: Array = weights @ images.astype(np.int64) @ weights.T
    whole = _ONE * _ONE
    return np.asarray((total + whole // 2) // whole, dtype=np.uint8)
