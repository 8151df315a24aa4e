"""TVSum's files when they are wrong: the tsv, the MATLAB file, the features; each mistake names file, line or key."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data.summary_files import FRAMES, group, rows, write_h5, write_mat, write_tsv

from harness.errors import DataError
from harness_datasets.tvsum import ANNOTATIONS, FEATURES, Tvsum

PARTS: tuple[Any, ...] = ("train", "val", "test")


def groups() -> dict[str, dict[str, Any]]:
    return {f"video_{k + 1}": group(k, n, users=20) for k, n in enumerate(FRAMES)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tvsum")
    write_tsv(root / ANNOTATIONS, rows())
    write_h5(root / FEATURES, groups())
    return root


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """One that may be changed."""
    shutil.copytree(whole, tmp_path / "root")
    return tmp_path / "root"


def changed(line: int, column: int, text: str) -> Callable[[list[list[str]]], object]:
    return lambda lines: lines[line].__setitem__(column, text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines.pop(), "19 lines of 'video-49', not 20"),
        (lambda lines: lines.append(lines[0]), "21 lines of 'video-00', not 20"),
        (lambda lines: lines.__delitem__(slice(20)), "annotations of 49 videos, not of 50"),
        (lambda lines: lines.__delitem__(slice(None)), "annotations of 0 videos, not of 50"),
        (lambda lines: lines[3].pop(), "line 4: it has 2 columns"),
        (changed(3, 1, "XX"), "line 4: the category of 'video-00' is 'XX'"),
        (changed(3, 1, "VU"), "line 4: 'video-00' has two categories, 'VT' and 'VU'"),
        (changed(3, 2, "1,2,3"), "line 4: 'video-00' has 3 scores here and 60 above"),
        (changed(3, 2, ",".join("123456" * 10)), "line 4: the scores of 'video-00' are no list"),
        (changed(3, 2, ",".join("012345" * 10)), "line 4: the scores"),
        (changed(3, 2, "1;2"), "line 4: the scores"),
        (changed(3, 2, "1,2,"), "line 4: the scores"),
        (changed(3, 2, "10"), "line 4: the scores"),
        (changed(3, 2, "1.5,2"), "line 4: the scores"),
        (changed(3, 2, "nan"), "line 4: the scores"),
    ],
)
def test_wrong_annotations_are_refused_with_file_and_line(
    tmp_path: Path, change: Callable[[list[list[str]]], object], said: str
) -> None:
    lines = rows()
    change(lines)
    write_tsv(tmp_path / ANNOTATIONS, lines)
    with pytest.raises(DataError, match=said) as caught:
        Tvsum.describe(tmp_path, inputs="clock")
    assert str(tmp_path / ANNOTATIONS) in caught.value.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.__delitem__("tvsum50"), "is damaged, or not the MATLAB"),
        (lambda file: file["tvsum50"].__delitem__("user_anno"), "is damaged, or not the MATLAB"),
        (lambda file: file["#refs#/nframes3"].write_direct(np.array([[5.0]])), r"row 4, 'video-03': 'user_anno' has"),
        (lambda file: file["#refs#/category3"].write_direct(np.array([[88], [88]], np.uint16)), "category is 'XX'"),
        (lambda file: file["#refs#/user_anno3"].write_direct(np.full((20, 63), np.nan)), "other values"),
        (lambda file: file["#refs#/user_anno3"].write_direct(np.full((20, 63), 1.5)), "other values"),
        (lambda file: file["#refs#/user_anno3"].write_direct(np.full((20, 63), 6.0)), "other values"),
        (lambda file: file["#refs#/video3"].write_direct(file["#refs#/video4"][()]), "49 videos, not of 50"),
    ],
)
def test_a_wrong_matlab_file_is_refused(tmp_path: Path, change: Callable[[Any], object], said: str) -> None:
    path = write_mat(tmp_path / "a.mat")
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(DataError, match=said) as caught:
        Tvsum.describe(tmp_path, inputs="clock", annotations="a.mat")
    assert str(path) in caught.value.message


@pytest.mark.parametrize("content", [b"", b"no matlab", b"MATLAB 5.0 MAT-file" + bytes(600)])
def test_a_file_that_is_no_hdf5_is_refused(whole: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mat' is damaged"):
        Tvsum.describe(whole, inputs="clock", annotations=str(path))
    with pytest.raises(DataError, match=r"a\.mat' is damaged, or no HDF5 file"):
        Tvsum.describe(whole, features=str(path))


def test_a_file_that_was_cut_off_is_refused(copied: Path) -> None:
    content = (copied / FEATURES).read_bytes()
    (copied / FEATURES).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"google_pool5\.h5'"):
        Tvsum.describe(copied)


def set_to(key: str, value: Any) -> Callable[[Any], object]:
    def change(video: Any) -> None:
        if key in video:
            del video[key]
        video[key] = value

    return change


def put(key: str, at: Any, value: Any) -> Callable[[Any], object]:
    return lambda video: video[key].__setitem__(at, value)


WRONG: list[tuple[str, Callable[[Any], object], str]] = [
    *((key, lambda v, key=key: v.__delitem__(key), "is missing") for key in  # type: ignore[misc]
      ("features", "gtscore", "user_summary", "n_frames", "picks")),
    ("features", set_to("features", np.zeros((3, 6))), "'video_3/picks' has the shape"),
    ("features", set_to("features", np.zeros(5)), r"has the shape \(5,\), not n×n"),
    ("features", set_to("features", np.zeros((5, 0))), "has the shape"),
    ("features", set_to("features", np.zeros((5, 7))), "has 7 numbers a frame, but those of 'video_1' 6"),
    ("features", set_to("features", np.full((5, 6), "x", dtype="S1")), "holds .*, not numbers"),
    ("features", put("features", (2, 3), np.nan), "not finite"),
    ("features", set_to("features", np.full((5, 6), 1e200)), "beyond 1e15"),
    ("features", lambda v: (v.__delitem__("features"), v.create_group("features")), "is no array"),
    ("features", lambda v: (v.__delitem__("features"),
                            v.create_dataset("features", (5, 1 << 28), "f4", chunks=(1, 1024))), "which is more than"),
    ("gtscore", set_to("gtscore", np.zeros(4)), "has the shape"),
    ("gtscore", put("gtscore", 1, np.inf), "not finite"),
    ("user_summary", set_to("user_summary", np.zeros((20, 61))), "has the shape"),
    ("user_summary", set_to("user_summary", np.zeros((0, 62))), "has the shape"),
    ("user_summary", put("user_summary", (1, 1), 0.5), "other values than 0 and 1"),
    ("user_summary", put("user_summary", (1, 1), np.nan), "not finite"),
    ("n_frames", set_to("n_frames", [62, 62]), "has the shape"),
    ("n_frames", set_to("n_frames", "62"), "holds .*, not numbers"),
    ("n_frames", set_to("n_frames", 61.5), "no whole numbers"),
    ("picks", set_to("picks", [0, 15, 15, 30, 45]), "does not increase"),
    ("picks", set_to("picks", [0, 15, 30, 45, 62]), "reaches from 0 to 62, but there are 62 frames"),
    ("picks", set_to("picks", [-1, 15, 30, 45, 60]), "reaches from -1"),
    ("picks", set_to("picks", [0.5, 15, 30, 45, 60]), "no whole numbers"),
    ("change_points", set_to("change_points", [0, 61]), "has the shape"),
    ("change_points", put("change_points", (0, 0), 1), "does not cover"),
    ("change_points", put("change_points", (1, 0), 21), "does not cover"),
    ("change_points", put("change_points", (1, 0), 19), "does not cover"),
    ("change_points", put("change_points", (2, 1), 44), "does not cover"),
    ("change_points", set_to("change_points", [[0, 40]]), "it ends at 40"),
    ("change_points", set_to("change_points", [[0, 80]]), "it ends at 80"),
    ("n_frame_per_seg", set_to("n_frame_per_seg", [20, 25, 16]), "other lengths"),
    ("n_steps", set_to("n_steps", 6), "is 6, but 'features' has 5 rows"),
    ("gtsummary", set_to("gtsummary", np.ones(62)), "has the shape"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "change", "said"), WRONG, ids=[f"{i}-{w[0]}" for i, w in enumerate(WRONG)])
def test_a_wrong_file_of_features_is_refused_with_file_group_and_key(
    tmp_path: Path, key: str, change: Callable[[Any], object], said: str
) -> None:
    write_tsv(tmp_path / ANNOTATIONS, rows())
    path = write_h5(tmp_path / FEATURES, groups())
    with h5py.File(path, "r+") as file:
        if key == "change_points":
            del file["video_3/n_frame_per_seg"]
        change(file["video_3"])
    for use in (Tvsum.describe, Tvsum):
        with pytest.raises(DataError, match=said) as caught:
            use(tmp_path)
        assert str(path) in caught.value.message
        assert "'video_3/" in caught.value.message


def test_a_missing_video_and_one_of_another_length_are_refused(copied: Path) -> None:
    with h5py.File(copied / FEATURES, "r+") as file:
        file.move("video_50", "video_51")
    with pytest.raises(DataError, match="'video_50' is missing"):
        Tvsum.describe(copied)
    made = groups()
    made["video_7"], made["video_8"] = made["video_8"], made["video_7"]
    write_h5(copied / FEATURES, made)
    with pytest.raises(DataError, match=r"'video_7/n_frames' is 67, but video 7 of .* 'video-06', has 66 frames"):
        Tvsum.describe(copied)


@pytest.mark.parametrize("miss", [-3, 4])
def test_a_last_shot_that_ends_a_little_off_is_mended_and_told_or_refused(copied: Path, miss: int) -> None:
    with h5py.File(copied / FEATURES, "r+") as file:
        file["video_3/change_points"][-1, 1] += miss
        file["video_3/n_frame_per_seg"][-1] += miss
    told = f"the last shot of 'video_3' ended {abs(miss)} frames {'late' if miss > 0 else 'early'}, which was mended"
    assert any(told in note for note in Tvsum.describe(copied).notes)
    data = Tvsum(copied)
    ends = {n: s.extras(i)["change_points"][-1, 1] for s in map(data.split, PARTS) for i, n in enumerate(s.ids)}
    assert ends["video-02"] == FRAMES[2] - 1
    with pytest.raises(DataError, match="the last shot of 'video_3'"):
        Tvsum(copied, strict=True)


def test_whole_numbers_may_be_stored_as_floats_and_optional_keys_be_absent(copied: Path) -> None:
    with h5py.File(copied / FEATURES, "r+") as file:
        for key in ("picks", "change_points", "n_frames"):
            value = np.asarray(file[f"video_3/{key}"][()], dtype=np.float64)
            set_to(key, value.reshape(1) if key == "n_frames" else value)(file["video_3"])
        for key in ("n_steps", "n_frame_per_seg", "gtsummary"):
            del file[f"video_3/{key}"]
    before, after = Tvsum.describe(copied), Tvsum(copied)
    assert before.sizes == {"train": 32, "val": 8, "test": 10}
    assert sum(len(after.split(part)) for part in PARTS) == 50
