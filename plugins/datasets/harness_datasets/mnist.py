"""MNIST and Fashion-MNIST in their published form: four gzipped idx files."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.contracts import DatasetInfo
from harness.data import RemoteFile, cached_arrays, digest, fingerprint, require, verify
from harness.errors import DataError

from . import _images
from ._images import Array, ImageDataset, Normalise, Statistics

_LIMIT = 1 << 30
_FILES = (
    ("train.inputs", "train-images-idx3-ubyte.gz"),
    ("train.target", "train-labels-idx1-ubyte.gz"),
    ("test.inputs", "t10k-images-idx3-ubyte.gz"),
    ("test.target", "t10k-labels-idx1-ubyte.gz"),
)
_MIRROR = "https://storage.googleapis.com/"


class Mnist(ImageDataset):
    """70,000 grey images of 28x28 pixels, 10 classes; test is the published 10,000.

    inputs: uint8 [B, 1, 28, 28]. Reads `MNIST/raw/*.gz`, where torchvision puts them.
    Options: val, how many training images are held out for validation, stratified by `split_seed`; train_size, a
    stratified subset of those that remain, for small budgets (null: all); normalise.
    Source: LeCun et al. 1998. Raises: DataError if a file is missing or damaged, ConfigError if val or train_size
    asks for more than there is.
    """

    name = "mnist"
    folder = "MNIST/raw"
    classes: tuple[str, ...] = tuple(str(i) for i in range(10))
    statistics: Statistics = ((0.1307,), (0.3081,))
    mirrors: tuple[str, ...] = ("https://ossci-datasets.s3.amazonaws.com/mnist/", f"{_MIRROR}cvdf-datasets/mnist/")
    official: Mapping[str, tuple[int, str]] = {
        "train-images-idx3-ubyte.gz": (9912422, "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        "train-labels-idx1-ubyte.gz": (28881, "md5:d53e105ee54ea40749a09fcbcd1e9432"),
        "t10k-images-idx3-ubyte.gz": (1648877, "md5:9fb629c4189551a2d022fa330f9573f3"),
        "t10k-labels-idx1-ubyte.gz": (4542, "md5:ec29112dd5afa0611ce80d1b7f02629c"),
    }

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
        content = self._content(root)
        arrays = cached_arrays(_images.key(self.name, content), lambda: self._read(root))
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
        require(cls.name, cls._paths(root).values(), f"the four .gz files into '{root / cls.folder}' by hand")
        count, tests, height, width = cls._shape(root)
        sizes = _images.sizes(cls.name, count, tests, val, train_size)
        differ = [p.name for p in cls._paths(root).values() if not verify(p, cls.official[p.name][1])]
        notes = [f"{cls.name}: {len(differ)} of 4 files differ from the official hashes ({', '.join(differ)})"]
        return _images.information(
            "mnist/1",
            cls._content(root),
            {"val": val, "train_size": train_size, "split_seed": split_seed},
            _images.specs((1, height, width), normalise, cls.statistics),
            sizes,
            cls.classes,
            notes if differ else (),
        )

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        return tuple(
            RemoteFile(name, tuple(m + name for m in cls.mirrors), size, md5, cls.folder)
            for name, (size, md5) in cls.official.items()
        )

    @classmethod
    def _paths(cls, root: Path) -> dict[str, Path]:
        return {part: root / cls.folder / file for part, file in _FILES}

    @classmethod
    def _shape(cls, root: Path) -> tuple[int, int, int, int]:
        """(training images, test images, height, width) as the headers claim them."""
        shape = {part: header(path) for part, path in cls._paths(root).items()}
        for part in ("train", "test"):
            images, labels = shape[f"{part}.inputs"], shape[f"{part}.target"]
            if len(images) != 3 or labels != images[:1]:
                raise DataError(f"{cls.name}: {images} images and {labels} labels of '{part}' do not belong together")
        count, height, width = shape["train.inputs"]
        tests = shape["test.inputs"][0]
        if shape["test.inputs"][1:] != (height, width):
            raise DataError(f"{cls.name}: training and test images differ in size")
        return count, tests, height, width

    @classmethod
    def _content(cls, root: Path) -> str:
        return fingerprint({part: digest(path) for part, path in cls._paths(root).items()})

    @classmethod
    def _read(cls, root: Path) -> dict[str, Array]:
        arrays = {part: read_idx(path) for part, path in cls._paths(root).items()}
        for part in ("train", "test"):
            images, labels = arrays[f"{part}.inputs"], arrays[f"{part}.target"]
            if labels.max() >= len(cls.classes):
                raise DataError(f"{cls.name}: a label of '{part}' is {labels.max()}, but there are 10 classes")
            arrays[f"{part}.inputs"] = images[:, None]
            arrays[f"{part}.target"] = labels.astype(np.int64)
        return arrays


class FashionMnist(Mnist):
    """70,000 grey pictures of clothes, 28x28 pixels, 10 classes; files and options as of `mnist`.

    Source: Xiao et al. 2017, arXiv:1708.07747. Reads `FashionMNIST/raw/*.gz`.
    """

    name = "fashion_mnist"
    folder = "FashionMNIST/raw"
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    statistics = ((0.2860,), (0.3530,))
    mirrors = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        f"{_MIRROR}tensorflow/tf-keras-datasets/",
    )
    official: Mapping[str, tuple[int, str]] = {
        "train-images-idx3-ubyte.gz": (26421880, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        "train-labels-idx1-ubyte.gz": (29515, "md5:25c81989df183df01b3e8a0aad5dffbe"),
        "t10k-images-idx3-ubyte.gz": (4422102, "md5:bef4ecab320f06d8554ea6380940ec79"),
        "t10k-labels-idx1-ubyte.gz": (5148, "md5:bb300cfdad3c16e7a12a480ee83cd310"),
    }


def header(path: Path) -> tuple[int, ...]:
    """The shape that a gzipped idx file of bytes claims. Raises DataError if it is none, or claims above 1 GiB."""
    try:
        with gzip.open(path, "rb") as stream:
            magic = stream.read(4)
            ranks = magic[3] if len(magic) == 4 and magic[:3] == b"\0\0\x08" else 0
            numbers = stream.read(4 * ranks)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' is no gzip file that can be read: {error}") from error
    if ranks not in (1, 3) or len(numbers) != 4 * ranks:
        raise DataError(f"'{path}' is no idx file of bytes with one or three axes")
    shape = struct.unpack(f">{ranks}I", numbers)
    total = 1
    for n in shape:
        total *= n
    if not 0 < total <= _LIMIT:
        raise DataError(f"'{path}' claims to hold {total:,} bytes")
    return shape


def read_idx(path: Path) -> Array:
    """A gzipped idx file as uint8. Raises DataError if it holds less or more than its header says."""
    shape = header(path)
    total = int(np.prod(shape, dtype=np.int64))
    try:
        with gzip.open(path, "rb") as stream:
            stream.read(4 + 4 * len(shape))
            data = stream.read(total + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' is damaged: {error}") from error
    if len(data) != total:
        raise DataError(f"'{path}' holds {'more' if len(data) > total else 'less'} than the {total:,} bytes it claims")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
