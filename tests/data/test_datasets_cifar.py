from __future__ import annotations

import io
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from harness.data import RemoteFile, fetch, status, verify_all
from harness.errors import ConfigError, DataError
from harness_datasets.cifar import Cifar10, Cifar100

NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def pixels(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, 3072), dtype=np.uint8)


def write_binary(root: Path, rows: int = 20) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        labels = (np.arange(rows, dtype=np.uint8) % 10)[:, None]
        (folder / f"{name}.bin").write_bytes(np.hstack([labels, pixels(rows, seed)]).tobytes())
    return folder


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes text as Python 2 did, which the official batches were written with."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_text(self, value: bytes | str) -> None:
        data = value if isinstance(value, bytes) else value.encode("latin1")
        self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[bytes] = save_text
    dispatch[str] = save_text


def python2(value: Any) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_python(root: Path, rows: int = 20, dump: Any = python2) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        batch = {b"batch_label": b"x", b"labels": [i % 10 for i in range(rows)], b"data": pixels(rows, seed)}
        (folder / name).write_bytes(dump(batch))
    return folder


def items(dataset: Any, split: str) -> tuple[np.ndarray, list[int]]:
    part = dataset.split(split)
    batch = part.batch(range(len(part)), 0)
    return batch["inputs"].numpy(), batch["target"].tolist()


@pytest.mark.parametrize("val", [0, 30])
def test_splits_are_disjoint_and_cover_the_training_images(tmp_path: Path, val: int) -> None:
    write_binary(tmp_path)
    data = Cifar10(tmp_path, val=val)
    assert [len(data.split(s)) for s in ("train", "val", "test")] == [100 - val, val, 20]
    names = {s: set(data.split(s).ids) for s in ("train", "val", "test")}
    assert names["train"] | names["val"] == {f"train/{i:05d}" for i in range(100)}
    assert not names["train"] & names["val"]
    assert list(data.split("test").ids[:2]) == ["test/00000", "test/00001"]
    assert np.bincount(items(data, "val")[1], minlength=10).tolist() == [val // 10] * 10


def test_an_item_is_the_image_that_its_name_says(tmp_path: Path) -> None:
    write_binary(tmp_path)
    images = np.concatenate([pixels(20, s) for s in range(5)]).reshape(-1, 3, 32, 32)
    data = Cifar10(tmp_path, val=30)
    for split in ("train", "val"):
        part = data.split(split)  # type: ignore[arg-type]
        rows = [int(i.partition("/")[2]) for i in part.ids]
        assert np.array_equal(items(data, split)[0], images[rows])
        assert items(data, split)[1] == [r % 20 % 10 for r in rows]
        resident = part.resident()
        assert resident is not None
        assert np.array_equal(resident["inputs"], images[rows])


@pytest.mark.parametrize("dump", [python2, lambda b: pickle.dumps(b, 2), lambda b: pickle.dumps(b, 4)])
def test_both_layouts_give_the_same_images(tmp_path: Path, dump: Any) -> None:
    write_binary(tmp_path / "bin")
    write_python(tmp_path / "py", dump=dump)
    one, two = Cifar10(tmp_path / "bin", val=30), Cifar10(tmp_path / "py", val=30)
    for split in ("train", "val", "test"):
        assert np.array_equal(items(one, split)[0], items(two, split)[0])
        assert items(one, split)[1] == items(two, split)[1]


def test_a_fortran_ordered_batch_is_read_as_well(tmp_path: Path) -> None:
    folder = write_python(tmp_path)
    batch = {b"labels": [i % 10 for i in range(20)], b"data": np.asfortranarray(pixels(20, 5))}
    (folder / "test_batch").write_bytes(python2(batch))
    assert np.array_equal(items(Cifar10(tmp_path, val=0), "test")[0].reshape(20, -1), pixels(20, 5))


def test_train_size_is_a_stratified_part_of_what_validation_leaves(tmp_path: Path) -> None:
    write_binary(tmp_path)
    whole, small = Cifar10(tmp_path, val=30), Cifar10(tmp_path, val=30, train_size=20)
    assert set(small.split("val").ids) == set(whole.split("val").ids)
    assert set(small.split("train").ids) < set(whole.split("train").ids)
    assert np.bincount(items(small, "train")[1]).tolist() == [2] * 10
    assert Cifar10.describe(tmp_path, val=30, train_size=20).sizes == {"train": 20, "val": 30, "test": 20}


def test_the_fingerprint_follows_data_and_split_and_nothing_else(tmp_path: Path) -> None:
    folder = write_binary(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first = Cifar10.describe(tmp_path / "a", val=30).fingerprint
    assert Cifar10.describe(tmp_path / "b", val=30).fingerprint == first
    assert Cifar10.describe(tmp_path / "a", val=30, normalise="half").fingerprint == first
    others = [{"val": 20}, {"val": 30, "split_seed": 1}, {"val": 30, "train_size": 10}]
    changed = {Cifar10.describe(tmp_path / "a", **o).fingerprint for o in others}  # type: ignore[arg-type]
    assert len(changed | {first}) == 4
    data = bytearray((folder / "data_batch_3.bin").read_bytes())
    data[500] ^= 1
    (folder / "data_batch_3.bin").write_bytes(bytes(data))
    assert Cifar10.describe(tmp_path / "a", val=30).fingerprint != first


def test_changed_data_is_not_read_from_the_old_cache(tmp_path: Path) -> None:
    folder = write_binary(tmp_path)
    before = items(Cifar10(tmp_path, val=0), "test")[0]
    data = bytearray((folder / "test_batch.bin").read_bytes())
    data[1] ^= 255
    (folder / "test_batch.bin").write_bytes(bytes(data))
    after = items(Cifar10(tmp_path, val=0), "test")[0]
    assert after[0, 0, 0, 0] == before[0, 0, 0, 0] ^ 255


def test_a_copy_that_is_not_the_official_one_is_used_and_named(tmp_path: Path) -> None:
    write_binary(tmp_path)
    (note,) = Cifar10.describe(tmp_path, val=30).notes
    assert note.startswith("cifar10: 6 of 6 files differ from the official hashes (data_batch_1.bin, ")
    assert "content sha256" in note


def test_normalise_chooses_mean_and_deviation(tmp_path: Path) -> None:
    write_binary(tmp_path)
    found = {
        n: Cifar10.describe(tmp_path, val=0, normalise=n).specs["inputs"]  # type: ignore[arg-type]
        for n in ("dataset", "imagenet", "half", "none")
    }
    assert found["dataset"].mean == (0.49140, 0.48216, 0.44653)
    assert found["imagenet"].std == (0.229, 0.224, 0.225)
    assert (found["half"].mean, found["half"].std) == ((0.5,) * 3, (0.5,) * 3)
    assert (found["none"].mean, found["none"].std) == ((0.0,) * 3, (1.0,) * 3)
    assert {(s.axes, s.shape, s.dtype) for s in found.values()} == {("CHW", (3, 32, 32), "uint8")}


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda p: pickle.dumps(Evil(p), 4), "asks for"),
        (lambda p: b"cos\nsystem\n(S'touch x'\ntR.", r"asks for '(os|posix|nt)\.system'"),
        (lambda p: pickle.dumps({b"labels": [0], b"data": np.zeros((1, 3072), dtype=object)}, 2), "not an array"),
        (lambda p: pickle.dumps({b"labels": [0], b"data": np.zeros((1, 3072), dtype=np.float32)}, 2), "not an array"),
        (lambda p: pickle.dumps({b"labels": [0], b"data": np.zeros((1, 30), dtype=np.uint8)}, 2), "not an array"),
        (lambda p: pickle.dumps({b"labels": [0, 1], b"data": np.zeros((1, 3072), dtype=np.uint8)}, 2), "one whole"),
        (lambda p: pickle.dumps({b"labels": ["a"], b"data": np.zeros((1, 3072), dtype=np.uint8)}, 2), "one whole"),
        (lambda p: pickle.dumps({b"labels": [-1], b"data": np.zeros((1, 3072), dtype=np.uint8)}, 2), "outside"),
        (lambda p: pickle.dumps({b"labels": [10], b"data": np.zeros((1, 3072), dtype=np.uint8)}, 2), "10 classes"),
        (lambda p: pickle.dumps({b"labels": [0], b"data": b"x"}, 2), "no array"),
        (lambda p: pickle.dumps([1, 2]), "no array"),
        (lambda p: b"", "damaged"),
        (lambda p: b"\x80\x02", "damaged"),
        (lambda p: b"\x80\x02cnumpy\nndarray\n)\x81(b.", "damaged"),
        (lambda p: b"not a pickle", "damaged"),
    ],
)
def test_a_hostile_or_damaged_pickle_is_refused_and_never_run(tmp_path: Path, content: Any, said: str) -> None:
    folder = write_python(tmp_path)
    (folder / "data_batch_2").write_bytes(content(tmp_path / "touched"))
    with pytest.raises(DataError, match=said) as caught:
        Cifar10(tmp_path, val=0)
    assert "data_batch_2" in caught.value.message
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [b"", b"x" * 3072, b"\x0a" + bytes(3072)], ids=["empty", "cut", "label"])
def test_a_damaged_binary_file_is_named(tmp_path: Path, content: bytes) -> None:
    folder = write_binary(tmp_path)
    (folder / "data_batch_2.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_2\.bin"):
        Cifar10(tmp_path, val=0)


def test_missing_data_names_the_file_the_place_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar10: there is no 'data_batch_1' in '.*cifar-10-batches-py'") as caught:
        Cifar10.describe(tmp_path)
    assert "harness data fetch cifar10" in str(caught.value.hint)
    assert str(tmp_path / "cifar-10-python.tar.gz") in str(caught.value.hint)
    write_binary(tmp_path)
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"no 'test_batch\.bin' in '.*cifar-10-batches-bin'"):
        Cifar10.describe(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"val": 100}, "option 'val' is 100"),
        ({"val": -1}, "option 'val' is -1"),
        ({"val": 50, "train_size": 51}, "option 'train_size' is 51"),
        ({"val": 50, "train_size": 0}, "option 'train_size' is 0"),
        ({}, "option 'val' is 5000, but there are 100 training images"),
        ({"val": 0, "split_seed": -1}, "option 'split_seed' is -1"),
        ({"val": 0, "normalise": "x"}, "option 'normalise' is 'x'"),
    ],
)
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    write_binary(tmp_path)
    for use in (Cifar10, Cifar10.describe):
        with pytest.raises(ConfigError, match=said):
            use(tmp_path, **options)


def test_an_unknown_split_or_fold_is_refused(tmp_path: Path) -> None:
    write_binary(tmp_path)
    data = Cifar10(tmp_path, val=0)
    with pytest.raises(ConfigError, match="no split 'dev'"):
        data.split("dev")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no folds"):
        data.split("train", fold=1)


@pytest.mark.parametrize("layout", ["python", "binary"])
def test_cifar100_reads_fine_labels_of_both_layouts(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / f"cifar-100-{layout}"
    folder.mkdir()
    for seed, (name, rows) in enumerate([("train", 200), ("test", 100)]):
        fine, coarse = [i % 100 for i in range(rows)], [7] * rows
        if layout == "python":
            batch = {b"fine_labels": fine, b"coarse_labels": coarse, b"data": pixels(rows, seed)}
            (folder / name).write_bytes(python2(batch))
        else:
            labels = np.asarray([coarse, fine], dtype=np.uint8).T
            (folder / f"{name}.bin").write_bytes(np.hstack([labels, pixels(rows, seed)]).tobytes())
    info = Cifar100.describe(tmp_path, val=100)
    assert info.sizes == {"train": 100, "val": 100, "test": 100}
    assert (len(info.classes), info.classes[0], info.classes[99]) == (100, "apple", "worm")
    assert ("no official hashes" if layout == "binary" else "2 of 2 files differ") in info.notes[0]
    images, target = items(Cifar100(tmp_path, val=100), "test")
    assert target == list(range(100))
    assert np.array_equal(images.reshape(100, -1), pixels(100, 1))


def test_status_and_verification_look_at_the_layout_that_is_there(tmp_path: Path) -> None:
    assert status(Cifar10, tmp_path).state == "missing"
    assert {c.state for c in verify_all(Cifar10, tmp_path)} == {"missing"}
    folder = write_binary(tmp_path)
    assert status(Cifar10, tmp_path).state == "ready"
    checked = verify_all(Cifar10, tmp_path)
    assert [c.path for c in checked] == [folder / f"{n}.bin" for n in NAMES]
    assert {c.state for c in checked} == {"differs"}


def test_fetch_unpacks_an_archive_put_by_hand_and_refuses_a_wrong_member(tmp_path: Path) -> None:
    import hashlib
    import tarfile

    write_python(tmp_path / "made")
    archive = tmp_path / "root" / "small.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
    data = archive.read_bytes()

    class Small(Cifar10):
        @classmethod
        def files(cls) -> tuple[RemoteFile, ...]:
            (file,) = super().files()
            members = tuple(type(m)(m.path, wrong) for m in file.members)
            return (RemoteFile(archive.name, (), len(data), f"md5:{hashlib.md5(data).hexdigest()}", members=members),)

    wrong = "md5:" + "0" * 32
    with pytest.raises(DataError, match="another hash"):
        fetch(Small, tmp_path / "root")
    shutil.rmtree(tmp_path / "root" / "cifar-10-batches-py")
    wrong = ""
    found = fetch(Small, tmp_path / "root")
    assert [p.name for p in found] == NAMES
    assert Small.describe(tmp_path / "root", val=0).sizes["train"] == 100
