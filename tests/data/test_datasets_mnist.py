from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data import verify_all
from harness.errors import ConfigError, DataError
from harness_datasets.mnist import FashionMnist, Mnist, header, read_idx

NAMES = tuple(Mnist.official)


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes(), 1)


def write(root: Path, folder: str = "MNIST", train: int = 100, test: int = 20) -> Path:
    place = root / folder / "raw"
    place.mkdir(parents=True)
    for part, rows in (("train", train), ("t10k", test)):
        images = np.random.default_rng(rows).integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        (place / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (place / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(rows, dtype=np.uint8) % 10))
    return place


def test_images_and_labels_come_back(tmp_path: Path) -> None:
    place = write(tmp_path)
    data = Mnist(tmp_path, val=20)
    test = data.split("test")
    batch = test.batch(range(20), 0)
    raw = gzip.decompress((place / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    assert batch["inputs"].numpy().tobytes() == raw
    assert batch["inputs"].shape == (20, 1, 28, 28)
    assert batch["target"].tolist() == [i % 10 for i in range(20)]
    assert np.bincount(data.split("val").batch(range(20), 0)["target"].numpy()).tolist() == [2] * 10
    assert set(data.split("train").ids).isdisjoint(data.split("val").ids)


def test_fashion_mnist_is_read_from_its_own_folder(tmp_path: Path) -> None:
    write(tmp_path, "FashionMNIST")
    info = FashionMnist.describe(tmp_path, val=20, train_size=30)
    assert info.sizes == {"train": 30, "val": 20, "test": 20}
    assert info.classes[9] == "Ankle boot"
    assert info.specs["inputs"].mean == (0.2860,)
    assert len(FashionMnist(tmp_path, val=20, train_size=30).split("train")) == 30
    with pytest.raises(DataError, match="mnist: there is no"):
        Mnist.describe(tmp_path)


def test_a_copy_that_is_not_the_official_one_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    info = Mnist.describe(tmp_path, val=20)
    assert info.notes == (f"mnist: 4 of 4 files differ from the official hashes ({', '.join(NAMES)})",)
    assert {c.state for c in verify_all(Mnist, tmp_path)} == {"differs"}


def test_missing_data_names_the_file_the_place_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no 'train-images-idx3-ubyte\.gz' in '.*MNIST/raw'") as caught:
        Mnist(tmp_path)
    assert "harness data fetch mnist" in str(caught.value.hint)


GOOD = gzip.decompress(idx(np.zeros((20, 28, 28), dtype=np.uint8)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no idx file|no gzip"),
        (b"not gzip", "no gzip"),
        (gzip.compress(b""), "no idx file"),
        (gzip.compress(b"\0\0\x0d\x03" + GOOD[4:]), "no idx file"),
        (gzip.compress(b"\0\0\x08\x02" + GOOD[4:]), "no idx file"),
        (gzip.compress(GOOD[:10]), "no idx file"),
        (gzip.compress(GOOD[:-1]), "holds less"),
        (gzip.compress(GOOD + b"x"), "holds more"),
        (idx(np.zeros((20, 28, 28), dtype=np.uint8))[:-12], "damaged|no gzip"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)), "claims to hold"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 0, 28, 28)), "claims to hold"),
    ],
    ids=["empty", "plain", "nothing", "floats", "ranks", "header", "cut", "long", "cut_gzip", "huge", "none"],
)
def test_a_hostile_or_damaged_idx_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_idx(path)


def test_a_bomb_behind_a_small_header_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBB1I", 0, 8, 1, 5) + bytes(200_000_000), 1))
    assert header(path) == (5,)
    with pytest.raises(DataError, match="holds more"):
        read_idx(path)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("train-labels-idx1-ubyte.gz", np.zeros(7, dtype=np.uint8), "do not belong together"),
        ("train-labels-idx1-ubyte.gz", np.full(100, 10, dtype=np.uint8), "a label of 'train' is 10"),
        ("train-images-idx3-ubyte.gz", np.zeros(100, dtype=np.uint8), "do not belong together"),
        ("t10k-images-idx3-ubyte.gz", np.zeros((20, 4, 4), dtype=np.uint8), "differ in size"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(tmp_path: Path, name: str, array: Any, said: str) -> None:
    (write(tmp_path) / name).write_bytes(idx(array))
    with pytest.raises(DataError, match=said):
        Mnist(tmp_path, val=0)


def test_too_large_a_validation_part_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ConfigError, match="option 'val' is 5000"):
        Mnist(tmp_path)
