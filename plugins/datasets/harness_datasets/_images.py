"""What all image data sets here share: specs, held-out parts, names of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np

from harness.contracts import DatasetInfo, Spec, SplitName
from harness.data import ArraySplit, fingerprint, stratified_holdout
from harness.errors import ConfigError

from ._opened import SPLITS as SPLITS
from ._opened import OpenedDataset

Array: TypeAlias = "np.ndarray[Any, Any]"
Normalise: TypeAlias = Literal["dataset", "imagenet", "half", "none"]
Statistics: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
GREY_IMAGENET: Statistics = ((0.449,), (0.226,))  # the means over the three channels


class ItemNames(Sequence[str]):
    """`test/00017`: the file part that an image was published in, and its row there, whatever split uses it."""

    def __init__(self, part: str, rows: Array | range) -> None:
        self._part, self._rows = part, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[str]: ...
    def __getitem__(self, i: int | slice) -> str | Sequence[str]:
        if isinstance(i, slice):
            return [self._name(r) for r in self._rows[i]]
        return self._name(self._rows[i])

    def _name(self, row: Any) -> str:
        return f"{self._part}/{int(row):05d}"


class ImageDataset(OpenedDataset):
    """Opened images with labels."""


def specs(shape: tuple[int, int, int], normalise: Normalise, own: Statistics | None) -> dict[str, Spec]:
    """Specs of "inputs" (uint8 CHW) and "target". `none` is mean 0 and deviation 1: values stay in [0, 1]."""
    channels = shape[0]
    chosen = {
        "dataset": own,
        "imagenet": IMAGENET if channels == 3 else GREY_IMAGENET,
        "half": ((0.5,) * channels, (0.5,) * channels),
        "none": ((0.0,) * channels, (1.0,) * channels),
    }.get(normalise)
    if chosen is None:
        raise ConfigError(f"option 'normalise' is '{normalise}'", hint="one of dataset, imagenet, half, none")
    return {"inputs": Spec("CHW", shape, "uint8", *chosen), "target": Spec("", (), "int64")}


def sizes(name: str, train: int, test: int, val: int, train_size: int | None) -> dict[str, int]:
    """Numbers of items by split. Raises ConfigError if the options ask for more than there is."""
    if not 0 <= val < train:
        raise ConfigError(
            f"{name}: option 'val' is {val}, but there are {train:,} training images",
            hint=f"give a number from 0 to {train - 1}",
        )
    if train_size is not None and not 0 < train_size <= train - val:
        raise ConfigError(
            f"{name}: option 'train_size' is {train_size}, but {train - val:,} training images remain beside "
            f"{val:,} for validation",
            hint=f"give a number from 1 to {train - val}, or null for all",
        )
    return {"train": train - val if train_size is None else train_size, "val": val, "test": test}


def held_out(labels: Array, val: int | float, train_size: int | None, seed: int) -> tuple[Array, Array]:
    """(training rows, validation rows); the training rows are a stratified `train_size` of those that remain."""
    stay, held = stratified_holdout(labels, val, seed)
    if train_size is not None and train_size < len(stay):
        # Another stream than the one that chose the validation part, so that the two choices are independent.
        _, chosen = stratified_holdout(labels[stay], train_size, seed + (1 << 40))
        stay = stay[chosen]
    return stay, held


def key(*parts: str | int | float | None) -> str:
    """A name for the array cache that is short and differs whenever any part differs."""
    return f"{parts[0]}-{fingerprint({'parts': list(parts)})[:16]}"


def standard_splits(
    arrays: Mapping[str, Array], name: str, content: str, val: int | float, train_size: int | None, seed: int
) -> dict[SplitName, ArraySplit]:
    """Splits of arrays called train.inputs, train.target, test.inputs, test.target."""
    train, held = held_out(np.asarray(arrays["train.target"]), val, train_size, seed)
    everything = len(train) == len(arrays["train.target"])
    rows = {"train": None if everything else train, "val": held}
    splits: dict[SplitName, ArraySplit] = {}
    for part, chosen in (("train", rows["train"]), ("val", rows["val"])):
        ids = ItemNames("train", range(len(train)) if chosen is None else chosen)
        cache = key(name, content, part, val, train_size, seed)
        splits["train" if part == "train" else "val"] = ArraySplit(
            arrays, "train.inputs", "train.target", chosen, ids, cache
        )
    ids = ItemNames("test", range(len(arrays["test.target"])))
    splits["test"] = ArraySplit(arrays, "test.inputs", "test.target", None, ids, key(name, content, "test"))
    return splits


def information(
    version: str,
    content: str,
    options: Mapping[str, int | float | str | None],
    specs: Mapping[str, Spec],
    sizes: Mapping[str, int],
    classes: Sequence[str],
    notes: Sequence[str] = (),
) -> DatasetInfo:
    """`options` are those that change which images are in which split; `version` rises when this code changes them."""
    seed = options.get("split_seed")
    if isinstance(seed, int) and seed < 0:
        raise ConfigError(f"option 'split_seed' is {seed}", hint="give an integer of 0 or more")
    mark = fingerprint({"version": version, "content": content, "options": dict(options)})
    return DatasetInfo(mark, dict(specs), dict(sizes), tuple(classes), notes=tuple(notes))
