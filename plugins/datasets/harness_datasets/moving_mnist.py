"""Moving MNIST: the generator of the field, and the standard test file where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.contracts import DatasetInfo
from harness.data import RemoteFile, cached_arrays, digest, stratified_holdout
from harness.errors import ConfigError, DataError

from . import _clips, _images, _moving
from ._clips import Array, ClipDataset, Part, StoredClips
from ._moving import Motion
from .mnist import Mnist

STANDARD = (20, 10000, 64, 64)
"""Frames, clips, height and width of the standard test file."""
FILE = "mnist_test_seq.npy"
PLACES = ("MovingMNIST", "moving_mnist", "")
_MD5 = "be083ec986bfe91a449d63653c411eb2"
_OF_THE_FILE = Motion(digits=2, speed=0.1, size=64, frames=20, channels=1)


class MovingMnist(ClipDataset):
    """Clips of MNIST's digits that bounce about a black canvas; training clips are new in every epoch.

    inputs: uint8 [B, T, C, size, size]. A digit of 28x28 starts anywhere, in any direction; each frame it moves by
    `speed` times the free canvas (size - 28), and turns round at a wall; where digits meet, the brighter pixel counts.
    Batches are drawn on the device, as a function of (seed, split, epoch, clip) alone. Reads MNIST's four files in
    `MNIST/raw` (`harness data fetch moving_mnist`).
    The published test set, `mnist_test_seq.npy` (10,000 clips, 819 MB), is not fetched: put it into `MovingMNIST/`,
    where torchvision puts it, or `moving_mnist/` of the data folder. It stands on www.cs.toronto.edu at
    /~nitish/unsupervised_video/mnist_test_seq.npy.
    Options: digits in a clip; speed; size in pixels; frames; channels (3: grey repeated); train_size, clips of an
    epoch; val_size; test_size (null: 10,000); val_digits, how many of the 60,000 training digits are used by
    validation clips alone (stratified, always the same ones; test clips use MNIST's test digits); test: `standard`
    demands the published file, `generated` never reads it, `auto` takes it when it is there and the other options
    are as in it (2 digits, speed 0.1, size 64, 20 frames), and a note in the report says which it was; seed of all
    clips.
    Source: Srivastava et al. 2015, arXiv:1502.04681, as in OpenSTL's MovingMNIST. Differs: the stream of random
    numbers; validation clips have digits and a split of their own.
    Raises: DataError if a file is missing, damaged or of another shape; ConfigError for an option out of range, or if
    `standard` does not go with the other options.
    """

    name = "moving_mnist"

    def __init__(
        self,
        root: Path,
        *,
        digits: int = 2,
        speed: float = 0.1,
        size: int = 64,
        frames: int = 20,
        channels: Literal[1, 3] = 1,
        train_size: int = 10000,
        val_size: int = 1000,
        test_size: int | None = None,
        val_digits: int = 5000,
        test: Literal["auto", "standard", "generated"] = "auto",
        seed: int = 0,
    ) -> None:
        motion = Motion(digits, speed, size, frames, channels)
        info = self.describe(
            root, digits=digits, speed=speed, size=size, frames=frames, channels=channels, train_size=train_size,
            val_size=val_size, test_size=test_size, val_digits=val_digits, test=test, seed=seed,
        )  # fmt: skip
        content = Mnist._content(root)
        key = _images.key("moving_mnist-1", content, val_digits)
        arrays = cached_arrays(key, lambda: _read(root, val_digits))
        own = {split: Part(arrays, {"digits": split}) for split in _clips.SPLITS}
        splits = _moving.splits(self.name, own, info.sizes, motion, seed)
        file, _ = _standard(root, motion, test)
        if file is not None:
            count = info.sizes["test"]
            ids = _images.ItemNames("mnist_test_seq", range(count))
            splits["test"] = StoredClips(ids, StandardFile(file, count), STANDARD[0], STANDARD[1], channels)
        super().__init__(splits)

    @classmethod
    def describe(
        cls,
        root: Path,
        *,
        digits: int = 2,
        speed: float = 0.1,
        size: int = 64,
        frames: int = 20,
        channels: Literal[1, 3] = 1,
        train_size: int = 10000,
        val_size: int = 1000,
        test_size: int | None = None,
        val_digits: int = 5000,
        test: Literal["auto", "standard", "generated"] = "auto",
        seed: int = 0,
    ) -> DatasetInfo:
        motion = Motion(digits, speed, size, frames, channels)
        found = Mnist.describe(root, val=0)
        _, _, high, wide = Mnist._shape(root)
        if high != wide:
            raise DataError(f"{cls.name}: the digits in '{root / Mnist.folder}' are {high}x{wide}, not square")
        motion.check(cls.name, high)
        file, why = _standard(root, motion, test)
        sizes = {"train": train_size, "val": val_size, "test": STANDARD[1] if test_size is None else test_size}
        _moving.check_sizes(cls.name, sizes, val_digits, found.sizes["train"], seed)
        if file is not None and sizes["test"] > STANDARD[1]:
            raise ConfigError(
                f"{cls.name}: option 'test_size' is {test_size}, but '{file}' has {STANDARD[1]:,} clips",
                hint="give fewer, or `test: generated`",
            )
        content = "" if file is None else digest(file, "md5")
        notes = [*found.notes, why]
        if file is not None and content != _MD5:
            notes.append(f"{cls.name}: '{file.name}' differs from the official hash")
        options: dict[str, int | float | str | None] = {"val_digits": val_digits, "seed": seed, "standard": content}
        return _moving.information(Mnist._content(root), motion, sizes, options, notes)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        return Mnist.files()


class StandardFile(Mapping[str, Array]):
    """The published clips as frames of `StoredClips`: the file goes through time first, so a clip's frames lie
    as far apart as there are clips. Mapped into memory; pickled as the file's path.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._count = path, count
        frames = open_standard(path).reshape(-1, 1, *STANDARD[2:])
        self._arrays = {"frames": frames, "starts": np.arange(count, dtype=np.int64)}

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __reduce__(self) -> tuple[type[StandardFile], tuple[Path, int]]:
        return StandardFile, (self._path, self._count)


def open_standard(path: Path) -> Array:
    """The standard test file, mapped: uint8 [20, 10000, 64, 64]. Raises DataError; a pickle in it is never run."""
    hint = "get the file again from www.cs.toronto.edu/~nitish/unsupervised_video, or use `test: generated`"
    try:
        # Reads one plain array and nothing else: no archive, and no Python objects.
        found: Array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a damaged header can raise anything
        raise DataError(f"moving_mnist: '{path}' is damaged or no plain array: {error}", hint=hint) from error
    if found.dtype != np.uint8 or found.shape != STANDARD or not found.flags.c_contiguous:
        order = "" if found.flags.c_contiguous else " in column order"
        raise DataError(
            f"moving_mnist: '{path}' holds {found.dtype} {list(found.shape)}{order}, not uint8 {list(STANDARD)}",
            hint=hint,
        )
    return found


def _standard(root: Path, motion: Motion, test: str) -> tuple[Path | None, str]:
    """The standard file if it is to be used, and the sentence that says what the test clips are."""
    places = [root / place / FILE for place in PLACES]
    there = next((p for p in places if p.is_file()), None)
    differ = [k for k in ("digits", "speed", "size", "frames") if getattr(motion, k) != getattr(_OF_THE_FILE, k)]
    made = f"moving_mnist: test clips are generated from MNIST's test digits, not the standard {FILE}"
    if test == "generated":
        return None, made
    if test == "auto" and (there is None or differ):
        why = f"which has another '{differ[0]}'" if differ else "which is not in the data folder"
        return None, f"{made}, {why}"
    if test not in ("auto", "standard"):
        raise ConfigError(f"moving_mnist: option 'test' is '{test}'", hint="give 'auto', 'standard' or 'generated'")
    if differ:
        fits = ", ".join(f"{k} {getattr(_OF_THE_FILE, k)}" for k in differ)
        raise ConfigError(
            f"moving_mnist: `test: standard` does not go with option '{differ[0]}' {getattr(motion, differ[0])}",
            hint=f"the standard clips have {fits}; or use `test: generated`",
        )
    if there is None:
        raise DataError(
            f"moving_mnist: there is no '{FILE}' in '{places[0].parent}'",
            hint=f"put the file there by hand (it stands at www.cs.toronto.edu/~nitish/unsupervised_video/{FILE}), "
            "or use `test: generated`",
        )
    open_standard(there)
    return there, f"moving_mnist: test clips are those of the standard {FILE}"


def _read(root: Path, val_digits: int) -> dict[str, Array]:
    arrays: dict[str, Any] = Mnist._read(root)
    train, val = stratified_holdout(arrays["train.target"], val_digits, 0)
    images = arrays["train.inputs"][:, 0]
    return {"train": images[train], "val": images[val], "test": arrays["test.inputs"][:, 0]}
