"""CIFAR-10 and CIFAR-100, from the Python batches or the binary records that their authors publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.contracts import DatasetInfo
from harness.data import Member, RemoteFile, digest, filled_arrays, fingerprint, remembered, require, verify
from harness.errors import DataError

from . import _batches, _cifar_names, _images
from ._images import Array, ImageDataset, Normalise, Statistics


@dataclass(frozen=True, slots=True)
class BatchFile:
    """One published file: `md5` of the official one ("" = not known), `rows` that the official one holds."""

    part: Literal["train", "test"]
    name: str
    md5: str
    rows: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A folder of batch files. `label_bytes` > 0: binary records; 0: Python batches with labels under `label_key`."""

    folder: str
    batches: tuple[BatchFile, ...]
    label_bytes: int = 0
    label_key: bytes = b""

    def paths(self, root: Path) -> dict[Path, BatchFile]:
        return {root / self.folder / b.name: b for b in self.batches}

    def complete(self, root: Path) -> bool:
        return all(path.is_file() for path in self.paths(root))

    def read(self, path: Path) -> tuple[Array, Array]:
        if self.label_bytes:
            return _batches.read_records(path, self.label_bytes)
        return _batches.read_python(path, self.label_key)

    def count(self, path: Path, batch: BatchFile) -> int:
        """Images in a file; of an unofficial Python batch it is known only by reading it, once."""
        if self.label_bytes:
            return _batches.count_records(path, self.label_bytes)
        if batch.md5 and verify(path, f"md5:{batch.md5}"):
            return batch.rows
        return int(remembered(f"rows:{path.absolute()}", digest(path), lambda: str(len(self.read(path)[1]))))


class Cifar10(ImageDataset):
    """60,000 colour images of 32x32 pixels, 10 classes; test is the published 10,000.

    inputs: uint8 [B, 3, 32, 32], RGB. Reads `cifar-10-batches-py` (what the fetch gives, and torchvision's layout) or
    else `cifar-10-batches-bin`. A copy whose hashes are not the official ones is used, and named in the notes.
    Options: val, how many training images are held out for validation, stratified by `split_seed`; train_size, a
    stratified subset of those that remain, for small budgets (null: all); normalise.
    Source: Krizhevsky 2009. Raises: DataError if a file is missing or damaged, ConfigError if val or train_size asks
    for more than there is.
    """

    name = "cifar10"
    classes: tuple[str, ...] = _cifar_names.CIFAR10
    # Of the published training images, per channel.
    statistics: Statistics = ((0.49140, 0.48216, 0.44653), (0.24703, 0.24349, 0.26159))
    archive: tuple[str, int, str] = ("cifar-10-python.tar.gz", 170498071, "md5:c58f30108f718f92721af3b95e74349a")
    layouts: tuple[Layout, ...] = (
        Layout(
            "cifar-10-batches-py",
            (
                BatchFile("train", "data_batch_1", "c99cafc152244af753f735de768cd75f", 10000),
                BatchFile("train", "data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec", 10000),
                BatchFile("train", "data_batch_3", "54ebc095f3ab1f0389bbae665268c751", 10000),
                BatchFile("train", "data_batch_4", "634d18415352ddfa80567beed471001a", 10000),
                BatchFile("train", "data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb", 10000),
                BatchFile("test", "test_batch", "40351d587109b95175f43aff81a1287e", 10000),
            ),
            label_key=b"labels",
        ),
        # The authors give no hashes of these; several projects that unpack their archive (md5 c32a1d4a…) check these.
        Layout(
            "cifar-10-batches-bin",
            (
                BatchFile("train", "data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25", 10000),
                BatchFile("train", "data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692", 10000),
                BatchFile("train", "data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421", 10000),
                BatchFile("train", "data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb", 10000),
                BatchFile("train", "data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d", 10000),
                BatchFile("test", "test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d", 10000),
            ),
            label_bytes=1,
        ),
    )

    def __init__(
        self,
        root: Path,
        *,
        val: int = 5000,
        train_size: int | None = None,
        split_seed: int = 0,
        normalise: Normalise = "dataset",
    ) -> None:
        self.describe(root, val=val, train_size=train_size, split_seed=split_seed, normalise=normalise)
        layout = self._layout(root)
        content = _content(layout, root)
        counts = _counts(layout, root)
        shapes: dict[str, tuple[tuple[int, ...], str]] = {}
        for part in ("train", "test"):
            shapes[f"{part}.inputs"] = ((counts[part], 3, 32, 32), "|u1")
            shapes[f"{part}.target"] = ((counts[part],), "<i8")
        arrays = filled_arrays(_images.key(self.name, content), shapes, lambda out: self._fill(layout, root, out))
        super().__init__(_images.standard_splits(arrays, self.name, content, val, train_size, split_seed))

    @classmethod
    def describe(
        cls,
        root: Path,
        *,
        val: int = 5000,
        train_size: int | None = None,
        split_seed: int = 0,
        normalise: Normalise = "dataset",
    ) -> DatasetInfo:
        layout = cls._layout(root)
        counts = _counts(layout, root)
        return _images.information(
            "cifar/1",
            _content(layout, root),
            {"val": val, "train_size": train_size, "split_seed": split_seed},
            _images.specs((3, 32, 32), normalise, cls.statistics),
            _images.sizes(cls.name, counts["train"], counts["test"], val, train_size),
            cls.classes,
            cls._notes(layout, root),
        )

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        name, size, md5 = cls.archive
        urls = (f"https://www.cs.toronto.edu/~kriz/{name}", f"https://cave.cs.toronto.edu/kriz/{name}")
        layout = cls.layouts[0]
        members = tuple(Member(f"{layout.folder}/{b.name}", f"md5:{b.md5}") for b in layout.batches)
        return (RemoteFile(name, urls, size, md5, members=members),)

    @classmethod
    def local_files(cls, root: Path) -> tuple[tuple[Path, str], ...]:
        paths = cls._found(root).paths(root)
        return tuple((path, f"md5:{b.md5}" if b.md5 else "") for path, b in paths.items())

    @classmethod
    def _found(cls, root: Path) -> Layout:
        """The first layout that is there whole; the first of all where none is."""
        return next((layout for layout in cls.layouts if layout.complete(root)), cls.layouts[0])

    @classmethod
    def _layout(cls, root: Path) -> Layout:
        layout = cls._found(root)
        if not layout.complete(root):
            # Of a half-present binary layout the missing file is the news, not the absence of the other layout.
            started = [n for n in cls.layouts if (root / n.folder).is_dir()]
            archive = f"'{cls.archive[0]}' at '{root / cls.archive[0]}' and run that again"
            require(cls.name, (started or [layout])[0].paths(root), archive)
        return layout

    @classmethod
    def _notes(cls, layout: Layout, root: Path) -> list[str]:
        paths = layout.paths(root)
        mark = f"content sha256 {_content(layout, root)[:16]}"
        if not all(b.md5 for b in paths.values()):
            return [f"{cls.name}: no official hashes are known of the files in '{layout.folder}'; {mark}"]
        differ = [b.name for path, b in paths.items() if not verify(path, f"md5:{b.md5}")]
        if not differ:
            return []
        counted = f"{len(differ)} of {len(paths)} files differ from the official hashes"
        return [f"{cls.name}: {counted} ({', '.join(differ)} in '{layout.folder}'); {mark}"]

    @classmethod
    def _fill(cls, layout: Layout, root: Path, out: Mapping[str, Array]) -> None:
        at = {"train": 0, "test": 0}
        for path, batch in layout.paths(root).items():
            images, labels = layout.read(path)
            if len(labels) and labels.max() >= len(cls.classes):
                raise DataError(f"'{path}': a label is {labels.max()}, but there are {len(cls.classes)} classes")
            rows = slice(at[batch.part], at[batch.part] + len(labels))
            out[f"{batch.part}.inputs"][rows] = images
            out[f"{batch.part}.target"][rows] = labels
            at[batch.part] = rows.stop


class Cifar100(Cifar10):
    """60,000 colour images of 32x32 pixels with 100 fine classes; files and options as of `cifar10`.

    Reads `cifar-100-python` or else `cifar-100-binary`, of whose single files no official hashes are known.
    """

    name = "cifar100"
    classes = _cifar_names.CIFAR100
    statistics = ((0.50707, 0.48655, 0.44092), (0.26733, 0.25644, 0.27615))
    archive = ("cifar-100-python.tar.gz", 169001437, "md5:eb9058c3a382ffc7106e4002c42a8d85")
    layouts = (
        Layout(
            "cifar-100-python",
            (
                BatchFile("train", "train", "16019d7e3df5f24257cddd939b257f8d", 50000),
                BatchFile("test", "test", "f0ef6b0ae62326f3e7ffdfab6717acfc", 10000),
            ),
            label_key=b"fine_labels",
        ),
        Layout(
            "cifar-100-binary",
            (BatchFile("train", "train.bin", "", 50000), BatchFile("test", "test.bin", "", 10000)),
            label_bytes=2,
        ),
    )


def _content(layout: Layout, root: Path) -> str:
    """Of the bytes of all files and their order, whatever folder they lie in."""
    return fingerprint({b.name: digest(path) for path, b in layout.paths(root).items()})


def _counts(layout: Layout, root: Path) -> dict[str, int]:
    counts = {"train": 0, "test": 0}
    for path, batch in layout.paths(root).items():
        counts[batch.part] += layout.count(path, batch)
    return counts
