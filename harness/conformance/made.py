"""Small data that models and tasks are checked on: images with labels or values, clips, videos with a score a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..contracts import DatasetInfo, Spec, Split
from .running import SEED

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]
CLASSES = 8
SIZE = 32
"""Pixels of an image or a frame; networks halve it five times."""
CLIP = 12
"""Frames of a clip, and 16 pixels a side."""
LENGTHS = (14, 9, 12, 11)
FEATURES = 16


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of data: what a dataset would say of it, and a split."""

    name: str
    info: DatasetInfo
    split: Split


class Made:
    """A split of rows that were made up; rows whose length varies are padded with zeros, and get a mask."""

    def __init__(self, rows: Sequence[Arrays], varies: bool, extras: Sequence[Arrays]) -> None:
        self._rows, self._varies, self._extras = rows, varies, extras
        self.ids: Sequence[str] = [f"item/{i}" for i in range(len(rows))]
        self.lengths: Sequence[int] | None = [len(row["target"]) for row in rows] if varies else None

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, index: Sequence[int], draw: int) -> Mapping[str, Tensor]:
        rows = [self._rows[i] for i in index]
        found = {}
        longest = max(len(row["target"]) for row in rows) if self._varies else 0
        for key in rows[0]:
            arrays = [torch.from_numpy(np.asarray(row[key])) for row in rows]
            found[key] = torch.stack([_padded(a, longest) if self._varies else a for a in arrays])
        if self._varies:
            lengths = torch.tensor([len(row["target"]) for row in rows])
            found["mask"] = torch.arange(longest)[None] < lengths[:, None]
            found["position"] = torch.arange(longest)[None].expand(len(rows), -1) * found["mask"]
        return {**found, "index": torch.tensor(list(index))}

    def resident(self) -> None:
        return None

    def extras(self, i: int) -> Mapping[str, Array]:
        return self._extras[i] if self._extras else {}


def _padded(x: Tensor, length: int) -> Tensor:
    out = x.new_zeros((length, *x.shape[1:]))
    out[: len(x)] = x
    return out


def forms() -> tuple[Form, ...]:
    """All of them, made anew; the same on every machine."""
    random = np.random.default_rng(SEED)
    return (_images(random), _values(random), _clips(random), _features(random), _frames(random))


def _pictures(random: np.random.Generator, *shape: int) -> Array:
    return random.integers(0, 256, shape, dtype=np.uint8)


def _form(name: str, specs: Mapping[str, Spec], split: Made, classes: Sequence[str] = ()) -> Form:
    sizes = dict.fromkeys(("train", "val", "test"), len(split))
    return Form(name, DatasetInfo(f"made/{name}", specs, sizes, tuple(classes)), split)


def _images(random: np.random.Generator) -> Form:
    count = 2 * CLASSES
    rows = [{"inputs": _pictures(random, 3, SIZE, SIZE), "target": np.array(i % CLASSES)} for i in range(count)]
    inputs = Spec("CHW", (3, SIZE, SIZE), "uint8", (0.5,) * 3, (0.25,) * 3)
    names = [f"class {i}" for i in range(CLASSES)]
    return _form("images", {"inputs": inputs, "target": Spec("", (), "int64")}, Made(rows, False, ()), names)


def _values(random: np.random.Generator) -> Form:
    rows = [
        {"inputs": _pictures(random, 3, SIZE, SIZE), "target": np.array(random.random(), np.float32)} for _ in range(12)
    ]
    specs = {
        "inputs": Spec("CHW", (3, SIZE, SIZE), "uint8", (0.5,) * 3, (0.25,) * 3),
        "target": Spec("", (), "float32"),
    }
    return _form("images with a value", specs, Made(rows, False, ()))


def _clips(random: np.random.Generator) -> Form:
    side = SIZE // 2
    rows = []
    for _ in range(4):  # a square that moves, as noise alone cannot be told from other noise by structure
        clip, start = np.zeros((CLIP, 1, side, side), np.uint8), int(random.integers(0, 4))
        for t in range(CLIP):
            clip[t, 0, (start + t) % side : (start + t) % side + 5, start : start + 6] = 200 - 8 * t
        rows.append({"inputs": np.maximum(clip, _pictures(random, CLIP, 1, side, side) // 8)})
    return _form("clips", {"inputs": Spec("TCHW", (CLIP, 1, side, side), "uint8")}, Made(rows, False, ()))


def _scored(random: np.random.Generator, length: int) -> tuple[Array, Mapping[str, Array]]:
    target: Array = (0.05 + 0.9 * random.permutation(length) / length).astype(np.float32)
    bounds = np.array([[i, min(i + 2, length - 1)] for i in range(0, length, 3)], np.int64)
    # All annotators agree, so that one prediction is right for each of them.
    extras: Arrays = {
        "annotators": np.stack([1 + 4 * target] * 3),
        "change_points": bounds,
        "picks": np.arange(length),
        "n_frames": np.array(length),
    }
    return target, extras


def _videos(random: np.random.Generator, name: str, key: str, spec: Spec, frame: tuple[int, ...]) -> Form:
    rows, extras = [], []
    for length in LENGTHS:
        target, more = _scored(random, length)
        made = _pictures(random, length, *frame) if spec.dtype == "uint8" else random.normal(size=(length, *frame))
        rows.append({key: made.astype(spec.dtype), "target": target})
        extras.append(more)
    specs = {key: spec, "target": Spec("T", (None,), "float32"), "mask": Spec("T", (None,), "bool")}
    return _form(name, specs, Made(rows, True, extras))


def _features(random: np.random.Generator) -> Form:
    spec = Spec("TK", (None, FEATURES), "float32", rate=2.0)
    return _videos(random, "features of videos", "features", spec, (FEATURES,))


def _frames(random: np.random.Generator) -> Form:
    spec = Spec("TCHW", (None, 3, SIZE, SIZE), "uint8", scaled=False, rate=2.0)
    return _videos(random, "videos", "inputs", spec, (3, SIZE, SIZE))
