"""Datasets of made-up images, each with one fault; `Good` has none. No torch at the top, as `describe` needs none."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.contracts import DatasetInfo, Spec
from harness.errors import DataError

COUNTS = {"train": 12, "val": 5, "test": 6}
STARTS = {"train": 0, "val": 12, "test": 17}


class Part:
    lengths = None

    def __init__(self, count: int, start: int, prefix: str = "") -> None:
        self.ids = [f"{prefix}{start + i}" for i in range(count)]
        self.start = start

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, i: int) -> np.ndarray:
        return np.random.default_rng(self.start + i).integers(0, 256, (3, 8, 8), dtype=np.uint8)

    def batch(self, index: Sequence[int], draw: int) -> Mapping[str, Any]:
        import torch

        return {
            "inputs": torch.from_numpy(np.stack([self.image(i) for i in index])),
            "target": torch.tensor([i % 3 for i in index]),
            "index": torch.tensor(list(index)),
        }

    def resident(self) -> None:
        return None

    def extras(self, i: int) -> Mapping[str, Any]:
        return {}


class Good:
    part: type[Part] = Part

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def describe(cls, root: Path) -> DatasetInfo:
        specs = {"inputs": Spec("CHW", (3, 8, 8), "uint8"), "target": Spec("", (), "int64")}
        return DatasetInfo(cls.mark(), specs, COUNTS, ("a", "b", "c"))

    @classmethod
    def mark(cls) -> str:
        return "made-1"

    def split(self, name: str, fold: int = 0) -> Part:
        return self.part(COUNTS[name], STARTS[name])


class Silent:
    """Says nothing of itself."""

    def __init__(self, root: Path) -> None:
        self.root = root


class Refuses(Good):
    """Says that files are missing, and nobody can bring them."""

    @classmethod
    def describe(cls, root: Path) -> DatasetInfo:
        raise DataError("made: something is missing")


class Gone(Part):
    def batch(self, index: Sequence[int], draw: int) -> Mapping[str, Any]:
        if list(index) != [0]:
            raise DataError("made: the file is damaged")
        return super().batch(index, draw)


class Damaged(Good):
    """Its files are there, and all but the first item cannot be read."""

    part = Gone

    @classmethod
    def by_hand(cls, root: Path) -> str:
        return "put it there"


class Seeded(Good):
    """Options that decide the data: `seed`, and which `part` of them; both are in the fingerprint."""

    hashed: Sequence[str] = ("seed", "part")

    def __init__(self, root: Path, *, seed: int = 0, part: Literal["first", "second", "third"] = "first") -> None:
        super().__init__(root)
        self.start = 1000 * seed + 100 * ("first", "second", "third").index(part)

    @classmethod
    def describe(cls, root: Path, *, seed: int = 0, part: Literal["first", "second", "third"] = "first") -> DatasetInfo:
        info = Good.describe(root)
        options = {"seed": seed, "part": part, "first or not": part == "first"}
        return DatasetInfo(repr([options[key] for key in cls.hashed]), info.specs, info.sizes, info.classes)

    def split(self, name: str, fold: int = 0) -> Part:
        found = super().split(name)
        found.start += self.start
        return found


class ForgetsSeed(Seeded):
    hashed = ("part",)


class ForgetsSecond(Seeded):
    """Two parts are told from the first, and not from each other."""

    hashed = ("seed", "first or not")


class Missing(Good):
    @classmethod
    def by_hand(cls, root: Path) -> str:
        return "put it there"

    @classmethod
    def describe(cls, root: Path) -> DatasetInfo:
        raise DataError("made: there is no 'images.zip'", hint="put it there")


class Heavy(Good):
    @classmethod
    def mark(cls) -> str:
        import torch

        return f"made-{torch.tensor(1).item()}"


class OtherInEachProcess(Good):
    @classmethod
    def mark(cls) -> str:
        return f"made-{os.getpid()}"


class OneMore(Good):
    def split(self, name: str, fold: int = 0) -> Part:
        return self.part(COUNTS[name] + (name == "val"), STARTS[name] + 100 * (name == "val"))


class Floats(Part):
    def batch(self, index: Sequence[int], draw: int) -> Mapping[str, Any]:
        found = dict(super().batch(index, draw))
        return {**found, "inputs": found["inputs"].float()}


class WrongType(Good):
    part = Floats


class Labels(Part):
    def batch(self, index: Sequence[int], draw: int) -> Mapping[str, Any]:
        found = dict(super().batch(index, draw))
        return {**found, "target": found["target"] + 1}


class LabelsFromOne(Good):
    """Labels 1, 2, 3 of three classes; the first two items have 1 and 2."""

    part = Labels

    @classmethod
    def describe(cls, root: Path) -> DatasetInfo:
        info = Good.describe(root)
        return DatasetInfo(info.fingerprint, info.specs, info.sizes, ("a", "b"))


class LastLabel(Part):
    def batch(self, index: Sequence[int], draw: int) -> Mapping[str, Any]:
        import torch

        found = dict(super().batch(index, draw))
        last = torch.tensor([i == len(self) - 1 for i in index])
        return {**found, "target": torch.where(last, 3, found["target"])}


class OneLabelTooMany(Good):
    """The last item has a label that no class has."""

    part = LastLabel


class Held(Part):
    """Also gives all items at once."""

    turned = False

    def resident(self) -> Any:
        order = range(len(self))[:: -1 if self.turned else 1]
        images = np.stack([self.image(i) for i in order])
        return {"inputs": images, "target": np.array([i % 3 for i in range(len(self))])}


class Turned(Held):
    turned = True


class Unlabelled(Held):
    def resident(self) -> Any:
        return {"inputs": super().resident()["inputs"]}


class Made(Held):
    """Makes its batches out of what is held."""

    def generate(self, arrays: Mapping[str, Any], index: Any, draw: int) -> Mapping[str, Any]:
        return {"inputs": arrays["inputs"][index] + draw, "target": arrays["target"][index], "index": index}


class GoodHeld(Good):
    part = Held


class HeldInAnotherOrder(Good):
    """What lies on the device is in another order than the labels."""

    part = Turned


class HeldWithoutLabels(Good):
    part = Unlabelled


class MadeDifferently(Good):
    """On the device, its batches hang on the draw, and elsewhere they do not."""

    part = Made


class Overlap(Good):
    """Test and validation have an item in common."""

    def split(self, name: str, fold: int = 0) -> Part:
        return self.part(COUNTS[name], STARTS[name] - (name == "test"))


class Copies(Good):
    """Test items have names of their own, and are the first training images."""

    def split(self, name: str, fold: int = 0) -> Part:
        found = self.part(COUNTS[name], STARTS[name])
        found.start = 0 if name == "test" else found.start
        return found


class Renamed(Part):
    """Each second item is a training item under another id."""

    def image(self, i: int) -> np.ndarray:
        return np.random.default_rng(i if i % 2 else self.start + i).integers(0, 256, (3, 8, 8), dtype=np.uint8)


class HalfCopies(Good):
    """Half of the test items are training images under other ids."""

    def split(self, name: str, fold: int = 0) -> Part:
        return (Renamed if name == "test" else Part)(COUNTS[name], STARTS[name])


class Brighter(Part):
    def image(self, i: int) -> np.ndarray:
        return np.random.default_rng(i).integers(0, 256, (3, 8, 8), dtype=np.uint8) // 2 + 90


class Mirrored(Part):
    def image(self, i: int) -> np.ndarray:
        return np.random.default_rng(i).integers(0, 256, (3, 8, 8), dtype=np.uint8)[:, :, ::-1].copy()


class Noisy(Part):
    def image(self, i: int) -> np.ndarray:
        exact = np.random.default_rng(i).integers(0, 256, (3, 8, 8), dtype=np.uint8)
        noise = np.random.default_rng(1000 + i).normal(0, 8, exact.shape)
        return np.clip(exact + noise, 0, 255).astype(np.uint8)


class BrighterTest(Good):
    """Test items are training images made brighter."""

    changed: type[Part] = Brighter

    def split(self, name: str, fold: int = 0) -> Part:
        return (self.changed if name == "test" else Part)(COUNTS[name], STARTS[name])


class MirroredTest(BrighterTest):
    changed = Mirrored


class NoisyTest(BrighterTest):
    changed = Noisy


class Fresh(Part):
    def image(self, i: int) -> np.ndarray:
        return np.random.default_rng().integers(0, 256, (3, 8, 8), dtype=np.uint8)


class Random(Good):
    part = Fresh


class NoExtras(Part):
    def extras(self, i: int) -> Any:
        return None


class Nothing(Good):
    part = NoExtras
