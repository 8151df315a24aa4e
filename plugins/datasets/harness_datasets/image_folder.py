"""Anybody's own images, sorted into folders by class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from harness.contracts import DatasetInfo, SplitName
from harness.data import ArraySplit, StoredArrays, filled_arrays, stratified_holdout
from harness.errors import ConfigError, DataError

from . import _images
from ._decoding import decode_all, labels
from ._images import Array, ImageDataset
from ._listing import Listing, listing


class ImageFolder(ImageDataset):
    """Images of a folder, or of one zip or tar, laid out as `split/class/*.jpg|png` or `class/*.jpg|png`.

    inputs: uint8 [B, 3, size, size]: RGB, the shorter side resized to `size` (bilinear, antialiased), the centre cut
    out. All images are decoded once into an array in the cache folder (size * size * 3 bytes an image).
    Options: path, of the folder or archive, absolute or below the data folder; size in pixels; val and test, the
    fractions that are taken from the training images, stratified by `split_seed`, where the source has no such split
    folder (test of all of them, val of those that remain; a split folder that is there is used as it is, and 0 takes
    none); normalise.
    Classes are the folder names, sorted, and must be the same in all splits.
    Raises: DataError for a missing source, an image that is damaged or without a class; ConfigError for a range.
    """

    name = "image_folder"

    def __init__(
        self,
        root: Path,
        *,
        path: str,
        size: int = 224,
        val: float = 0.1,
        test: float = 0.2,
        split_seed: int = 0,
        normalise: Literal["imagenet", "half", "none"] = "imagenet",
    ) -> None:
        _check(size, val, test)
        found = listing(_source(root, path))
        content = _images.key("image_folder", found.content, size)
        arrays = _arrays(_source(root, path), found, size, content)
        rows = _rows(found, val, test, split_seed)
        splits: dict[SplitName, ArraySplit] = {}
        for split in _images.SPLITS:
            part, chosen = rows[split]
            items = found.part(part)
            ids = [i.path for i in (items if chosen is None else [items[r] for r in chosen])]
            cache = _images.key("image_folder", content, split, val, test, split_seed)
            splits[split] = ArraySplit(arrays, f"{part}.inputs", f"{part}.target", chosen, ids, cache)
        super().__init__(splits)

    @staticmethod
    def describe(
        root: Path,
        *,
        path: str,
        size: int = 224,
        val: float = 0.1,
        test: float = 0.2,
        split_seed: int = 0,
        normalise: Literal["imagenet", "half", "none"] = "imagenet",
    ) -> DatasetInfo:
        _check(size, val, test)
        found = listing(_source(root, path))
        rows = _rows(found, val, test, split_seed)
        sizes: dict[str, int] = {s: len(found.part(part)) if r is None else len(r) for s, (part, r) in rows.items()}
        held = {s: len(r) for s, (_, r) in rows.items() if s != "train" and r is not None and len(r)}
        notes = [_note(split, count, split_seed) for split, count in held.items()]
        if found.left_out:
            notes.append(f"image_folder: {found.left_out} files that are no jpg or png were left out")
        options = {"size": size, "val": float(val), "test": float(test), "split_seed": split_seed}
        specs = _images.specs((3, size, size), normalise, None)
        return _images.information("image_folder/1", found.content, options, specs, sizes, found.classes, notes)


def _note(split: str, count: int, seed: int) -> str:
    return f"image_folder: the {split} split is {count} images taken from the training images, stratified, seed {seed}"


def _check(size: int, val: float, test: float) -> None:
    if not 1 <= size <= 4096:
        raise ConfigError(f"image_folder: option 'size' is {size}", hint="give a number of pixels from 1 to 4096")
    for name, value in (("val", val), ("test", test)):
        if not 0 <= value < 1:
            raise ConfigError(
                f"image_folder: option '{name}' is {value}", hint="give a fraction from 0 up to but not including 1"
            )


def _source(root: Path, path: str) -> Path:
    source = (root / Path(path).expanduser()).absolute()
    if not source.exists():
        raise DataError(
            f"image_folder: there is no '{source}'",
            hint="its option 'path' is a folder, zip or tar, absolute or below the data folder (HARNESS_DATA)",
        )
    return source


def _rows(found: Listing, val: float, test: float, seed: int) -> dict[SplitName, tuple[str, Array | None]]:
    """Part and rows (None = all) of every split."""
    parts = {i.part for i in found.items}
    base = "train" if "train" in parts else "all"
    everything = labels(found.part(base), found.classes)
    stay = np.arange(len(everything), dtype=np.int64)
    taken: dict[SplitName, tuple[str, Array | None]] = {}
    for split, fraction in (("test", test), ("val", val)):
        name: SplitName = "test" if split == "test" else "val"
        if split in parts:
            taken[name] = (split, None)
            continue
        # Another stream for each of the two, so that they are independent of one another.
        keep, held = stratified_holdout(everything[stay], float(fraction), seed + ((1 << 40) if name == "test" else 0))
        taken[name] = (base, stay[held])
        stay = stay[keep]
    whole = len(stay) == len(everything)
    return {"train": (base, None if whole else stay), "val": taken["val"], "test": taken["test"]}


def _arrays(source: Path, found: Listing, size: int, key: str) -> StoredArrays:
    parts = sorted({i.part for i in found.items})
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    for part in parts:
        count = len(found.part(part))
        shapes[f"{part}.inputs"] = ((count, 3, size, size), "|u1")
        shapes[f"{part}.target"] = ((count,), "<i8")

    def fill(out: Mapping[str, Array]) -> None:
        rows = {}
        for part in parts:
            items = found.part(part)
            out[f"{part}.target"][:] = labels(items, found.classes)
            rows.update({item.path: (out[f"{part}.inputs"], row) for row, item in enumerate(items)})
        decode_all(source, rows, size)

    return filled_arrays(key, shapes, fill)
