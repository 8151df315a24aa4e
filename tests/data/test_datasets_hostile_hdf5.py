"""HDF5 files that lead to other files, claim more than they have, or hold what NumPy does not know."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data.summary_files import FRAMES, group, rows, write_h5, write_mat, write_tsv

from harness.errors import DataError
from harness_datasets import _hdf5, _summary_h5
from harness_datasets.tvsum import ANNOTATIONS, FEATURES, Tvsum

COUNT = 2
OTHER = "other.h5"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Two videos, and beside them a file with the same two, into which links may lead."""
    groups = {f"video_{k + 1}": group(k, 60 + k) for k in range(COUNT)}
    write_h5(tmp_path / OTHER, groups)
    return write_h5(tmp_path / "a.h5", groups)


def instead(key: str, put: Callable[[Any, str, Any], object]) -> Callable[[Any], object]:
    """A change that deletes `key` and puts something else there, knowing what there was."""

    def change(file: Any) -> None:
        node = file[key]
        was = node[()] if isinstance(node, h5py.Dataset) else None
        del file[key]
        put(file, key, was)

    return change


def external_link(file: Any, key: str, _: Any) -> None:
    file[key] = h5py.ExternalLink(OTHER, f"/{key}")


def soft_link(file: Any, key: str, _: Any) -> None:
    file[key] = h5py.SoftLink(f"/{key.replace('video_2', 'video_1')}")


def dangling(file: Any, key: str, _: Any) -> None:
    file[key] = h5py.ExternalLink("nowhere.h5", "/x")


def outside(file: Any, key: str, was: Any) -> None:
    raw = Path(file.filename).parent / "raw.bin"
    raw.write_bytes(np.asarray(was).tobytes())
    file.create_dataset(key, was.shape, was.dtype, external=[(str(raw), 0, h5py.h5f.UNLIMITED)])


def virtual(file: Any, key: str, was: Any) -> None:
    layout = h5py.VirtualLayout(was.shape, was.dtype)
    layout[...] = h5py.VirtualSource(str(Path(file.filename).parent / OTHER), key, was.shape)
    file.create_virtual_dataset(key, layout)


def of_type(kind: Any) -> Callable[[Any, str, Any], None]:
    """An array of one number of a type that h5py may not know."""

    def put(file: Any, key: str, _: Any) -> None:
        space = (
            h5py.h5s.create_simple((1,)) if key.endswith(("n_frames", "video_name")) else h5py.h5s.create_simple((4,))
        )
        h5py.h5d.create(file.id, key.encode(), kind(), space)

    return put


def three_bytes() -> Any:
    kind = h5py.h5t.STD_I32LE.copy()
    kind.set_size(3)
    return kind


def claimed(*shape: int, kind: str = "f4", chunks: tuple[int, ...] | bool = True) -> Callable[[Any, str, Any], None]:
    """Of this shape, though nothing is stored."""
    return lambda file, key, _: file.create_dataset(key, shape, kind, chunks=chunks)


F, P, U, N, V = (f"video_2/{key}" for key in ("features", "picks", "user_summary", "n_frames", "video_name"))
WRONG: list[tuple[str, Callable[[Any, str, Any], object], str]] = [
    *((key, put, "it is a link") for key in (F, P, N, "video_2") for put in (external_link, soft_link, dangling)),
    *((key, put, "stored in other files") for key in (F, U) for put in (outside, virtual)),
    *((key, of_type(kind), "cannot be read") for key in (F, P, N, U) for kind in
      (three_bytes, lambda: h5py.h5t.UNIX_D32LE)),
    (F, claimed(100_001, 6), "more than any video"),
    (F, claimed(5, 10_001), "more than any video"),
    (F, claimed(100_000, 10_000), "exceeds 2 GB"),
    (U, claimed(101, 61), "more than any video"),
    (N, lambda file, key, _: file.__setitem__(key, 1_000_001), "is 1,000,001, which is more"),
    ("video_2/change_points", claimed(1_000_001, 2), "more than any video"),
    (P, lambda file, key, was: file.__setitem__(key, np.full(len(was), -(1 << 63))), "beyond 1e15"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "put", "said"), WRONG, ids=[f"{i}-{w[0]}" for i, w in enumerate(WRONG)])
def test_what_is_not_in_the_file_or_too_large_is_refused_with_file_group_and_key(
    made: Path, key: str, put: Callable[[Any, str, Any], object], said: str
) -> None:
    assert len(_summary_h5.read("mine", made, COUNT)) == COUNT
    with h5py.File(made, "r+") as file:
        instead(key, put)(file)
    with pytest.raises(DataError, match=said) as caught:
        _summary_h5.read("mine", made, COUNT)
    assert f"'{made}', '{key}'" in caught.value.message


def test_a_pipe_that_a_link_names_is_not_opened(made: Path) -> None:
    os.mkfifo(made.parent / "pipe")
    with h5py.File(made, "r+") as file:
        del file[F]
        file[F] = h5py.ExternalLink("pipe", "/x")
    with pytest.raises(DataError, match="it is a link"):  # opening it would wait for ever
        _summary_h5.read("mine", made, COUNT)


def test_the_budget_is_that_of_all_videos_together(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _summary_h5.read("mine", made, COUNT)
    kept = sum(a.nbytes for v in (first, second) for a in (v.features, v.gtscore, v.user_summary, v.picks))
    monkeypatch.setattr(_summary_h5, "_BUDGET", kept - second.gtscore.nbytes)
    assert len(_summary_h5.read("mine", made, 1)) == 1
    with pytest.raises(DataError, match=r"'video_2/.*' has the shape .*, with which the file exceeds"):
        _summary_h5.read("mine", made, COUNT)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.bytes_(b"x" * 1001), "more than 200 letters"),
        ("x" * 201, "more than 200 letters"),
        ("é" * 101, "more than 200 letters"),
    ],
)
def test_a_name_that_no_file_can_have_is_refused(made: Path, value: Any, said: str) -> None:
    with h5py.File(made, "r+") as file:
        file[V] = value
    with pytest.raises(DataError, match=f"'{V}' has {said}"):
        _summary_h5.read("mine", made, COUNT)


def test_a_name_of_an_unknown_type_is_refused(made: Path) -> None:
    with h5py.File(made, "r+") as file:
        of_type(lambda: h5py.h5t.UNIX_D32LE)(file, V, None)
    with pytest.raises(DataError, match=f"'{V}' cannot be read"):
        _summary_h5.read("mine", made, COUNT)


@pytest.mark.parametrize("chunks", [None, (1, 1), (7, 3), (50, 40), (64, 64)])
@pytest.mark.parametrize("shape", [(50, 40), (1, 40), (50, 1)])
def test_blocks_are_the_array_once_each(
    tmp_path: Path, shape: tuple[int, int], chunks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hdf5, "_BLOCK", 100)
    x = np.random.default_rng(0).normal(size=shape)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        node = file.create_dataset("x", data=x, chunks=chunks, maxshape=(None, None) if chunks else None)
        seen, count = np.full(shape, np.nan), np.zeros(shape, dtype=int)
        for place, values in _hdf5.blocks(node):
            assert values.size <= max(100, np.prod(chunks or 1))
            seen[place] = values
            count[place] += 1
    assert np.array_equal(seen, x)
    assert (count == 1).all()


def test_chunks_that_take_gigabytes_to_unpack_are_refused(made: Path) -> None:
    with h5py.File(made, "r+") as file:
        was = file[F][()]
        del file[F]
        file.create_dataset(F, data=was, chunks=(1 << 13, 1 << 12), maxshape=(None, None), compression="gzip")
    with pytest.raises(DataError, match=f"'{F}' cannot be read: it is stored in chunks of"):
        _summary_h5.read("mine", made, COUNT)


def test_a_large_array_is_checked_without_a_float64_copy_of_it(made: Path) -> None:
    """Users' summaries of 100 MB as uint8, which are 800 MB as float64, in a process that may not have as much."""
    with h5py.File(made, "r+") as file:
        del file[U], file[N], file["video_2/change_points"], file["video_2/n_frame_per_seg"]
        file[N] = 1_000_000
        file.create_dataset(U, (100, 1_000_000), "f4", chunks=(1, 100_000), compression="gzip")
    code = (
        "import resource\nfrom pathlib import Path\nimport h5py\nfrom harness_datasets import _summary_h5\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"assert _summary_h5.read('mine', Path({str(made)!r}), 2)[1].user_summary.nbytes == 10**8\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 400e6


def refer(key: str, value: Any) -> Callable[[Any], None]:
    """Of the fourth video another value."""

    def change(file: Any) -> None:
        made = file.create_dataset(f"#refs#/new{key}", data=value)
        file[f"tvsum50/{key}"][3, 0] = made.ref

    return change


def refer_to(key: str, put: Callable[[Any, str, Any], object]) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        put(file, "#refs#/odd", file[f"#refs#/{key}3"][()])
        file[f"tvsum50/{key}"][3, 0] = file["#refs#/odd"].ref

    return change


def no_references(file: Any, key: str, _: Any) -> None:
    file[key] = np.full((50, 1), b"/#refs#/video3")


MAT: list[tuple[Callable[[Any], object], str]] = [
    (instead("tvsum50", external_link), "'tvsum50': it is a link"),
    (instead("tvsum50", lambda f, k, _: f.__setitem__(k, h5py.SoftLink("/x"))), "'tvsum50': it is a link"),
    (instead("tvsum50/video", external_link), "'tvsum50/video': it is a link"),
    (instead("tvsum50/video", no_references), "'tvsum50/video' has no references"),
    (instead("tvsum50/video", lambda f, k, _: f.create_dataset(k, (1 << 40, 1), h5py.ref_dtype, chunks=True)),
     "columns of the shapes .*1099511627776"),
    (refer_to("user_anno", outside), "'tvsum50/user_anno' of row 4: its numbers are stored in other files"),
    (refer_to("user_anno", virtual), "'tvsum50/user_anno' of row 4: its numbers are stored in other files"),
    (refer_to("video", claimed(201, 1, kind="u2")), r"'tvsum50/video' of row 4: it has the shape \(201, 1\)"),
    (refer_to("category", claimed(1 << 33, 1, kind="u2")), "'tvsum50/category' of row 4: it has the shape"),
    (refer_to("user_anno", claimed(20, 1 << 33, kind="f8")), "'tvsum50/user_anno' of row 4: it has the shape"),
    (refer_to("user_anno", of_type(three_bytes)), "'tvsum50/user_anno' of row 4"),
    (refer_to("video", of_type(lambda: h5py.h5t.UNIX_D32LE)), "'tvsum50/video' of row 4"),
    (refer("nframes", np.array([[np.inf]])), "is damaged"),
    (refer("nframes", np.array([[np.nan]])), "is damaged"),
    (refer("nframes", np.array([[1e300]])), "'user_anno' has the shape"),
    (refer("video", np.array([[1 << 63]], dtype=np.uint64)), "'tvsum50/video' of row 4 has codes that are no letters"),
    (refer("video", np.array([[0xD800]], dtype=np.uint16)), "'tvsum50/video' of row 4 has codes that are no letters"),
    (refer("video", np.array([[0]], dtype=np.uint16)), "'tvsum50/video' of row 4 has codes that are no letters"),
    (refer("video", np.array([[1.5]])), "'tvsum50/video' of row 4"),
    (refer("user_anno", np.full((20, 63), b"5")), "'tvsum50/user_anno' of row 4"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), MAT, ids=range(len(MAT)))
def test_a_hostile_matlab_file_is_refused_with_its_key(
    tmp_path: Path, change: Callable[[Any], object], said: str
) -> None:
    path = write_mat(tmp_path / "a.mat")
    shutil.copy(path, tmp_path / OTHER)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(DataError, match=said) as caught:
        Tvsum.describe(tmp_path, inputs="clock", annotations="a.mat")
    assert str(path) in caught.value.message


def test_a_long_id_in_the_tsv_is_refused(tmp_path: Path) -> None:
    lines = rows()
    lines[3][0] = "v" * 201
    write_tsv(tmp_path / ANNOTATIONS, lines)
    with pytest.raises(DataError, match=r"line 4: 'v{40}' is no name of a video"):
        Tvsum.describe(tmp_path, inputs="videos")


def test_a_link_into_another_file_is_seen_though_the_same_file_was_read_before(tmp_path: Path) -> None:
    write_tsv(tmp_path / ANNOTATIONS, rows())
    path = write_h5(tmp_path / FEATURES, {f"video_{k + 1}": group(k, n, users=20) for k, n in enumerate(FRAMES)})
    shutil.copy(path, path.parent / OTHER)
    Tvsum.describe(tmp_path)
    with h5py.File(path, "r+") as file:
        instead("video_2/features", external_link)(file)
    for use in (Tvsum.describe, Tvsum):
        with pytest.raises(DataError, match="'video_2/features' cannot be read: it is a link"):
            use(tmp_path)
