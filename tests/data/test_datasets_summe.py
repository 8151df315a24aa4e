"""SumMe: people's choices as annotators, folds, files of features and videos."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data.summary_files import group, write_h5, write_video

from harness.data import fetch, kernel_segments, shots, status
from harness.errors import ConfigError, DataError
from harness_datasets import _folds
from harness_datasets.summe import FEATURES, Summe

PARTS: tuple[Any, ...] = ("train", "val", "test")
FRAMES = tuple(60 + 2 * k for k in range(25))


def stored(k: int) -> dict[str, Any]:
    return group(k, FRAMES[k], users=15 + k % 4, name=f"Home video {k}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("summe")
    write_h5(root / FEATURES, {f"video_{k + 1}": stored(k) for k in range(25)})
    for k, n in enumerate(FRAMES):
        write_video(root / "summe" / "videos" / f"Home video {k}.mp4", n)
    return root


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "root")
    return tmp_path / "root"


def place(name: str) -> int:
    return int(name.partition("#")[0].removeprefix("video_")) - 1


def test_annotators_are_what_people_chose_at_the_sampled_frames(whole: Path) -> None:
    data, info = Summe(whole), Summe.describe(whole)
    assert (info.folds, info.sizes, info.classes) == (5, {"train": 15, "val": 5, "test": 5}, ())
    assert info.specs["features"].shape == (None, 6)
    for part in PARTS:
        split = data.split(part, 2)
        for i, name in enumerate(split.ids):
            keys, batch, extras = stored(place(name)), split.batch([i], 0), split.extras(i)
            assert np.array_equal(batch["features"][0].numpy(), keys["features"])
            assert np.array_equal(batch["target"][0].numpy(), keys["gtscore"])
            assert np.array_equal(extras["annotators"], keys["user_summary"][:, keys["picks"]])
            assert np.array_equal(extras["user_summary"], keys["user_summary"])
            assert np.array_equal(extras["change_points"], keys["change_points"])
            assert bool(extras["best_user"])
            assert "category" not in extras


def test_videos_are_found_by_name_and_scored_by_the_share_that_chose_a_frame(whole: Path) -> None:
    split = Summe(whole, inputs="videos", size=16).split("test")
    assert Summe.describe(whole, inputs="videos", size=16).specs["inputs"].shape == (None, 3, 16, 16)
    for i, name in enumerate(split.ids):
        keys, batch, extras = stored(place(name)), split.batch([i], 0), split.extras(i)
        picks = np.arange(0, FRAMES[place(name)], 15)
        assert extras["picks"].tolist() == picks.tolist()
        assert batch["target"][0].numpy() == pytest.approx(keys["user_summary"][:, picks].mean(axis=0))
        assert np.array_equal(extras["annotators"], keys["user_summary"][:, picks])
        assert np.array_equal(extras["change_points"], keys["change_points"])
        assert extras["times"].tolist() == pytest.approx((picks / 30).tolist())


def test_folds_are_disjoint_or_the_published_ones(whole: Path) -> None:
    data = Summe(whole)
    tested = [name for fold in range(5) for name in data.split("test", fold).ids]
    assert sorted(map(place, tested)) == list(range(25))
    for fold in range(5):
        names = [set(data.split(part, fold).ids) for part in PARTS]
        assert [len(n) for n in names] == [15, 5, 5]
        assert len(set().union(*names)) == 25
    published = Summe(whole, splits="canonical")
    for fold, numbers in enumerate(_folds.CANONICAL["summe"]):
        assert [place(n) + 1 for n in published.split("test", fold).ids] == list(numbers)
        assert len(published.split("train", fold)) == 20
    assert any("test 18 of the 25" in note for note in Summe.describe(whole, splits="canonical").notes)


def test_windows_are_stretches_of_a_video(whole: Path) -> None:
    train = Summe(whole, window=2).split("train")
    assert Summe.describe(whole, window=2).sizes["train"] == len(train)
    first, again = train.batch(range(len(train)), 4), train.batch(range(len(train)), 4)
    assert all(bool((first[key] == again[key]).all()) for key in first)
    for i, name in enumerate(train.ids):
        at = first["position"][i].tolist()
        assert np.array_equal(first["features"][i].numpy(), stored(place(name))["features"][at])


def test_a_video_without_a_name_cannot_be_found(copied: Path) -> None:
    with h5py.File(copied / FEATURES, "r+") as file:
        del file["video_4/video_name"]
    with pytest.raises(DataError, match="does not name every video differently") as caught:
        Summe.describe(copied, inputs="videos")
    assert "inputs: features" in str(caught.value.hint)
    Summe(copied)


def test_a_name_that_leads_out_of_the_folder_is_not_followed(copied: Path) -> None:
    shutil.move(copied / "summe" / "videos" / "Home video 3.mp4", copied / "out.mp4")
    with h5py.File(copied / FEATURES, "r+") as file:
        del file["video_4/video_name"]
        file["video_4/video_name"] = "../../out"
    assert any("(1 of 25 videos): ../../out" in n for n in Summe.describe(copied, inputs="videos").notes)


@pytest.mark.parametrize(
    ("key", "value"),
    [("gtscore", [np.nan] * 4), ("user_summary", np.full((15, 60), 2)), ("picks", [0, 15, 15, 45]), ("n_frames", 59)],
)
def test_a_wrong_file_is_refused_with_file_group_and_key(copied: Path, key: str, value: Any) -> None:
    with h5py.File(copied / FEATURES, "r+") as file:
        del file[f"video_1/{key}"]
        file[f"video_1/{key}"] = value
    for inputs in ("features", "videos"):
        with pytest.raises(DataError, match=r"^summe: '.*google_pool5\.h5', 'video_1/"):
            Summe.describe(copied, inputs=inputs)  # type: ignore[arg-type]


def test_a_mended_file_is_told_or_refused(copied: Path) -> None:
    with h5py.File(copied / FEATURES, "r+") as file:
        del file["video_2/n_frame_per_seg"]
        file["video_2/change_points"][-1, 1] -= 1
    assert any("'video_2' ended 1 frames early" in note for note in Summe.describe(copied).notes)
    with pytest.raises(DataError, match="'video_2' ended"):
        Summe(copied, strict=True)


def test_shots_that_the_file_lacks_are_found_by_kernel_segmentation_and_told(copied: Path) -> None:
    with h5py.File(copied / FEATURES, "r+") as file:
        del file["video_2/n_frame_per_seg"], file["video_2/change_points"]
        picks, frames = file["video_2/picks"][...], int(file["video_2/n_frames"][()])
        expected = shots(kernel_segments(file["video_2/features"][...]), picks, frames)
    assert any("'video_2' has no 'change_points'" in note for note in Summe.describe(copied).notes)
    data = Summe(copied)
    found = [s.extras(s.ids.index("video_2")) for f in range(5) if "video_2" in (s := data.split("test", f)).ids]
    assert len(found) == 1
    assert np.array_equal(found[0]["change_points"], expected)
    with pytest.raises(DataError, match="'video_2' has no 'change_points'"):
        Summe(copied, strict=True)


def test_missing_files_are_named_with_what_to_put_where(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(DataError, match="summe: there is no 'eccv16_dataset_summe_google_pool5") as caught:
        Summe.describe(tmp_path)
    assert "harness data fetch summe" in str(caught.value.hint)
    assert status(Summe, tmp_path).state == "by hand"
    with pytest.raises(DataError, match="'summe' cannot be downloaded") as caught:
        fetch(Summe, tmp_path)
    assert str(tmp_path / FEATURES) in str(caught.value.hint)
    assert status(Summe, whole).state == "ready"
    with pytest.raises(ConfigError, match="option 'inputs' is 'clock'"):
        Summe(whole, inputs="clock")  # type: ignore[arg-type]
