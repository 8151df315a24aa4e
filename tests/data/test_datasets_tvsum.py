"""TVSum: annotations and features of files that are whole or wrong, folds, what evaluation sees, what is missing."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data.summary_files import CODES, FRAMES, group, rows, scores, spoil, write_h5, write_mat, write_tsv, write_video

from harness.contracts import Frames
from harness.data import fetch, status, verify_all
from harness.errors import ConfigError, DataError
from harness_datasets import _folds
from harness_datasets.tvsum import ANNOTATIONS, FEATURES, Tvsum, clock

PARTS: tuple[Any, ...] = ("train", "val", "test")


def groups() -> dict[str, dict[str, Any]]:
    return {f"video_{k + 1}": group(k, n, users=20) for k, n in enumerate(FRAMES)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotations, features and videos."""
    root = tmp_path_factory.mktemp("tvsum")
    write_tsv(root / ANNOTATIONS, rows())
    write_h5(root / FEATURES, groups())
    for k, n in enumerate(FRAMES):
        write_video(root / "tvsum" / "videos" / f"video-{k:02d}{('.mp4', '.mkv')[k % 2]}", n)
    return root


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """One that may be changed."""
    shutil.copytree(whole, tmp_path / "root")
    return tmp_path / "root"


def place(name: str) -> int:
    return int(name.partition("#")[0].removeprefix("video-"))


def mean_score(k: int, picks: np.ndarray) -> np.ndarray:
    return np.asarray((scores(k, FRAMES[k])[:, picks].mean(axis=0) - 1) / 4)


def test_features_are_those_of_the_file_and_annotators_those_of_the_tsv(whole: Path) -> None:
    data = Tvsum(whole)
    info = Tvsum.describe(whole)
    assert info.classes == CODES
    assert info.folds == 5
    assert info.specs["features"].shape == (None, 6)
    for part in PARTS:
        split = data.split(part, 3)
        for i, name in enumerate(split.ids):
            k, batch, extras = place(name), split.batch([i], 0), split.extras(i)
            stored = group(k, FRAMES[k], users=20)
            assert np.array_equal(batch["features"][0].numpy(), stored["features"])
            assert np.array_equal(batch["target"][0].numpy(), stored["gtscore"])
            assert np.array_equal(extras["annotators"], scores(k, FRAMES[k])[:, ::15])
            assert np.array_equal(extras["user_summary"], stored["user_summary"])
            assert np.array_equal(extras["change_points"], stored["change_points"])
            assert np.array_equal(extras["picks"], stored["picks"])
            assert (int(extras["n_frames"]), CODES[int(extras["category"])]) == (FRAMES[k], CODES[k // 5])
            assert not extras["best_user"]
    found = {key: (a.dtype.str, a.ndim) for key, a in data.split("test").extras(0).items()}
    assert found == {
        "annotators": ("<f4", 2),
        "picks": ("<i8", 1),
        "n_frames": ("<i8", 0),
        "category": ("<i8", 0),
        "best_user": ("|b1", 0),
        "change_points": ("<i8", 2),
        "user_summary": ("|u1", 2),
    }


def test_the_matlab_file_says_the_same_as_the_tsv(whole: Path, tmp_path: Path) -> None:
    mat = str(write_mat(tmp_path / "ydata-tvsum50.mat"))
    one, two = (Tvsum.describe(whole, inputs="clock", annotations=a) for a in (ANNOTATIONS, mat))
    assert one == two
    first, second = (Tvsum(whole, inputs="clock", annotations=a).split("test", 1) for a in (ANNOTATIONS, mat))
    assert first.ids == second.ids
    assert all(np.array_equal(first.extras(i)["annotators"], second.extras(i)["annotators"]) for i in range(10))


def test_the_clock_sees_nothing_but_place(whole: Path) -> None:
    split = Tvsum(whole, inputs="clock").split("test")
    assert Tvsum.describe(whole, inputs="clock").specs["features"].shape == (None, 8)
    for i, name in enumerate(split.ids):
        k, batch, extras = place(name), split.batch([i], 0), split.extras(i)
        assert np.array_equal(batch["features"][0].numpy(), clock(-(-FRAMES[k] // 15)))
        assert batch["target"][0].numpy() == pytest.approx(mean_score(k, extras["picks"]))
        starts = list(range(0, FRAMES[k], 60))
        ends = [*(s - 1 for s in starts[1:]), FRAMES[k] - 1]
        assert extras["change_points"].tolist() == [list(pair) for pair in zip(starts, ends, strict=True)]
        assert "user_summary" not in extras


def test_the_clock_is_symmetric_but_for_time_itself() -> None:
    found = clock(101)
    assert found.dtype == np.float32
    assert found[50].tolist() == pytest.approx([0.5, 0, 0, -1, 0, 1, np.log(101) / 7, np.log(51) / 7], abs=1e-6)
    assert np.allclose(found[:, [1, 3, 5, 6, 7]], found[::-1, [1, 3, 5, 6, 7]], atol=1e-6)
    assert np.allclose(found[:, [2, 4]], -found[::-1, [2, 4]], atol=1e-6)
    assert np.isfinite(clock(1)).all()


def test_minmax_spreads_every_video_from_zero_to_one(whole: Path) -> None:
    for inputs in ("features", "clock"):
        split = Tvsum(whole, inputs=inputs, target="minmax").split("test")  # type: ignore[arg-type]
        scaled = Tvsum(whole, inputs=inputs).split("test")  # type: ignore[arg-type]
        for i in range(len(split)):
            y, x = split.batch([i], 0)["target"].numpy(), scaled.batch([i], 0)["target"].numpy()
            assert (y.min(), y.max()) == (0, 1)
            assert np.corrcoef(x[0], y[0])[0, 1] == pytest.approx(1, abs=1e-5)


def test_gtscores_beyond_one_are_spread_from_zero_to_one(copied: Path) -> None:
    with h5py.File(copied / FEATURES, "r+") as file:
        file["video_1/gtscore"][...] = [1, 2, 3, 5]
        file["video_2/gtscore"][...] = 7
    split = Tvsum(copied)
    found = {n: s.batch([i], 0)["target"][0] for s in map(split.split, PARTS) for i, n in enumerate(s.ids)}
    assert found["video-00"].tolist() == [0, 0.25, 0.5, 1]
    assert found["video-01"].tolist() == [0] * 5


def test_disjoint_folds_test_every_video_once(whole: Path) -> None:
    for seed in (0, 1):
        data = Tvsum(whole, inputs="clock", split_seed=seed)
        tested = [name for fold in range(5) for name in data.split("test", fold).ids]
        assert sorted(tested) == [f"video-{k:02d}" for k in range(50)]
        for fold in range(5):
            names = [set(data.split(part, fold).ids) for part in PARTS]
            assert [len(n) for n in names] == [32, 8, 10]
            assert len(set().union(*names)) == 50
    one, two = (Tvsum(whole, inputs="clock", split_seed=s).split("test").ids for s in (0, 1))
    assert one != two
    assert one == Tvsum(whole, split_seed=0).split("test").ids


def test_canonical_splits_have_no_part_for_validation(whole: Path) -> None:
    data = Tvsum(whole, inputs="clock", splits="canonical")
    info = Tvsum.describe(whole, inputs="clock", splits="canonical")
    assert info.sizes == {"train": 40, "val": 0, "test": 10}
    assert any("test 34 of the 50 videos" in note for note in info.notes)
    for fold, tested in enumerate(_folds.CANONICAL["tvsum"]):
        assert [place(name) + 1 for name in data.split("test", fold).ids] == list(tested)
        assert len(data.split("val", fold)) == 0
        assert not set(data.split("train", fold).ids) & set(data.split("test", fold).ids)
    with pytest.raises(ConfigError, match="tvsum has no fold 5"):
        data.split("test", 5)


def test_windows_of_videos_are_drawn_anew_and_the_same_draw_gives_the_same(whole: Path) -> None:
    data = Tvsum(whole, window=3)
    train = data.split("train", 1)
    assert train.lengths == [3] * len(train)
    assert Tvsum.describe(whole, window=3).sizes == {"train": len(data.split("train")), "val": 8, "test": 10}
    assert len(train) == sum(-(-len(range(0, FRAMES[place(n)], 15)) // 3) for n in set(train.ids) if n.endswith("#0"))
    starts = set()
    for draw in range(8):
        first, again = train.batch(range(len(train)), draw), train.batch(range(len(train)), draw)
        assert all(bool((first[key] == again[key]).all()) for key in first)
        for i, name in enumerate(train.ids):
            k = place(name)
            at = first["position"][i].tolist()
            assert at == list(range(at[0], at[0] + 3))
            assert np.array_equal(first["features"][i].numpy(), group(k, FRAMES[k])["features"][at])
            starts.add(at[0])
    assert starts == set(range(6))
    assert data.split("test", 1).lengths == [len(range(0, FRAMES[place(n)], 15)) for n in data.split("test", 1).ids]


def test_videos_of_different_length_are_padded_and_masked(whole: Path) -> None:
    split = Tvsum(whole).split("train")
    lengths = [len(range(0, FRAMES[place(n)], 15)) for n in split.ids]
    assert len(set(lengths)) > 1
    batch = split.batch(range(len(split)), 0)
    assert batch["mask"].sum(dim=1).tolist() == lengths
    for key in ("features", "target", "position"):
        assert not batch[key][~batch["mask"]].any()


def test_videos_are_sampled_scored_and_cut_into_shots(whole: Path) -> None:
    data = Tvsum(whole, inputs="videos", size=16, window=3)
    info = Tvsum.describe(whole, inputs="videos", size=16, window=3)
    assert info.specs["inputs"].shape == (None, 3, 16, 16)
    assert (info.specs["inputs"].scaled, info.specs["inputs"].rate) == (False, 2.0)
    assert info.sizes["train"] == len(data.split("train"))
    test = data.split("test")
    assert isinstance(test, Frames)
    for i in range(2):
        k, batch, extras = place(test.ids[i]), test.batch([i], 0), test.extras(i)
        picks = np.arange(0, FRAMES[k], 15)
        assert extras["picks"].tolist() == picks.tolist()
        assert extras["times"].tolist() == pytest.approx((picks / 30).tolist())
        assert batch["target"][0].numpy() == pytest.approx(mean_score(k, picks))
        assert np.array_equal(extras["annotators"], scores(k, FRAMES[k])[:, picks])
        assert extras["change_points"].tolist() == [[0, 29], [30, FRAMES[k] - 1]]
        colours = batch["inputs"][0].float().mean(dim=(2, 3))
        assert colours.argmax(dim=1).tolist() == [0, 0, *[2] * (len(picks) - 2)]
    pickle.loads(pickle.dumps(test)).extras(0)


def test_shots_do_not_depend_on_the_size_that_a_model_reads(whole: Path, cache: Path) -> None:
    Tvsum(whole, inputs="videos", size=16).split("test").extras(0)
    made = set((cache / "arrays").iterdir())
    Tvsum(whole, inputs="videos", size=64).split("test").extras(0)
    assert set((cache / "arrays").iterdir()) == made


def test_a_missing_or_damaged_video_is_left_out_and_named_or_refused(copied: Path) -> None:
    folder = copied / "tvsum" / "videos"
    before = Tvsum.describe(copied, inputs="videos")
    (folder / "video-04.mp4").unlink()
    cut = (folder / "video-07.mkv").read_bytes()
    (folder / "video-07.mkv").write_bytes(cut[: len(cut) * 2 // 3])
    (folder / "video-08.mp4").write_text("no video", encoding="utf-8")
    write_video(folder / "video-10.mp4", 150)
    write_video(folder / "video-12.mp4", FRAMES[12] + 20)
    write_video(folder / "video-14.mp4", FRAMES[14] - 5)
    info, data = Tvsum.describe(copied, inputs="videos"), Tvsum(copied, inputs="videos")
    assert info.fingerprint != before.fingerprint
    told = "\n".join(info.notes)
    for text in (
        "left out, as not there (1 of 50 videos): video-04",
        "video-07.mkv",
        "video-08.mp4",
        "video-10.mp4",
        "at most 20; such files: 2",
    ):
        assert text in told
    names = {n for fold in range(5) for n in data.split("test", fold).ids}
    assert names == {f"video-{k:02d}" for k in range(50)} - {"video-04", "video-07", "video-08", "video-10"}
    for part in PARTS:
        split = data.split(part)
        for i, name in enumerate(split.ids):
            if place(name) in (12, 14):
                extras = split.extras(i)
                assert extras["picks"][-1] < extras["n_frames"] == FRAMES[place(name)]
                assert extras["change_points"][-1, 1] == FRAMES[place(name)] - 1
    with pytest.raises(DataError, match="there is no 'video-04'"):
        Tvsum(copied, inputs="videos", strict=True)


def test_a_video_that_turns_out_damaged_is_left_out_from_then_on(copied: Path) -> None:
    names = Tvsum(copied, inputs="videos", size=16).split("test").ids
    i = next(i for i, name in enumerate(names) if place(name) % 2 == 0)
    path = spoil(copied / "tvsum" / "videos" / f"{names[i]}.mp4")
    split = Tvsum(copied, inputs="videos", size=16).split("test")
    assert split.ids == names
    for use in (lambda: split.batch([i], 0), lambda: split.extras(i)):
        with pytest.raises(DataError, match=path.name) as caught:
            use()
        assert "run again" in str(caught.value.hint)
    assert any(path.name in note for note in Tvsum.describe(copied, inputs="videos", size=16).notes)
    assert set(Tvsum(copied, inputs="videos", size=16).split("test").ids) == set(names) - {names[i]}


def test_too_few_videos_for_a_fold_are_an_error(copied: Path) -> None:
    for path in (copied / "tvsum" / "videos").iterdir():
        if place(path.stem) > 3:
            path.unlink()
    with pytest.raises(DataError, match=r"fold \d has no video left for '(val|test)'; 46 of 50"):
        Tvsum.describe(copied, inputs="videos")
    shutil.rmtree(copied / "tvsum" / "videos")
    with pytest.raises(DataError, match="there is no video in") as caught:
        Tvsum.describe(copied, inputs="videos")
    assert "<id>.mp4" in str(caught.value.hint)


def test_missing_files_are_named_with_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tvsum: there is no 'ydata-tvsum50-anno\.tsv' in '.*tvsum'") as caught:
        Tvsum.describe(tmp_path)
    assert "harness data fetch tvsum" in str(caught.value.hint)
    assert str(tmp_path / ANNOTATIONS) in str(caught.value.hint)
    write_tsv(tmp_path / ANNOTATIONS, rows())
    with pytest.raises(DataError, match=r"no 'eccv16_dataset_tvsum_google_pool5\.h5'") as caught:
        Tvsum(tmp_path)
    assert "pytorch-vsumm-reinforce" in str(caught.value.hint)
    Tvsum(tmp_path, inputs="clock")


def test_a_fetch_says_what_to_put_where_until_it_is_there(whole: Path, tmp_path: Path) -> None:
    assert status(Tvsum, tmp_path).state == "by hand"
    with pytest.raises(DataError, match="'tvsum' cannot be downloaded") as caught:
        fetch(Tvsum, tmp_path)
    for name in (ANNOTATIONS, FEATURES):
        assert str(tmp_path / name) in str(caught.value.hint)
    assert {c.state for c in verify_all(Tvsum, tmp_path)} == {"missing"}
    assert status(Tvsum, whole).state == "ready"
    assert fetch(Tvsum, whole) == [whole / ANNOTATIONS, whole / FEATURES]
    assert {c.state for c in verify_all(Tvsum, whole)} == {"no official hash"}


def test_the_fingerprint_follows_files_and_options_that_matter(whole: Path, copied: Path) -> None:
    first = Tvsum.describe(whole).fingerprint
    assert Tvsum.describe(copied).fingerprint == first
    assert Tvsum.describe(whole, strict=True, size=64, fps=1.0).fingerprint == first
    options: list[dict[str, Any]] = [
        {"inputs": "clock"}, {"splits": "canonical"}, {"split_seed": 1}, {"target": "minmax"}, {"window": 5},
        {"inputs": "videos"}, {"inputs": "videos", "size": 64}, {"inputs": "videos", "fps": 1.0},
    ]  # fmt: skip
    assert len({first, *(Tvsum.describe(whole, **o).fingerprint for o in options)}) == 9
    with h5py.File(copied / FEATURES, "r+") as file:
        file["video_9/features"][0, 0] = 3
    assert Tvsum.describe(copied).fingerprint != first
    lines = rows()
    lines[7][2] = "5" + lines[7][2][1:] if lines[7][2][0] != "5" else "4" + lines[7][2][1:]
    write_tsv(copied / ANNOTATIONS, lines)
    assert Tvsum.describe(copied, inputs="clock") != Tvsum.describe(whole, inputs="clock")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"inputs": "frames"}, "option 'inputs' is 'frames'"),
        ({"splits": "random"}, "option 'splits' is 'random'"),
        ({"split_seed": -1}, "option 'split_seed' is -1"),
        ({"target": "raw"}, "option 'target' is 'raw'"),
        ({"window": 0}, "option 'window' is 0"),
        ({"inputs": "videos", "fps": 0.0}, "option 'fps' is 0"),
        ({"inputs": "videos", "fps": float("nan")}, "option 'fps' is nan"),
        ({"inputs": "videos", "size": 0}, "option 'size' is 0"),
    ],
)
def test_options_out_of_range_are_refused(whole: Path, options: dict[str, Any], said: str) -> None:
    for use in (Tvsum, Tvsum.describe):
        with pytest.raises(ConfigError, match=f"tvsum: {said}"):
            use(whole, **options)


@pytest.mark.data
def test_the_published_splits_are_those_of_the_files(real_data: Path) -> None:
    for name in ("tvsum", "summe"):
        path = real_data / "tvsum" / f"{name}_splits.json"
        if not path.is_file():
            pytest.skip("no split files below HARNESS_DATA")
        published = json.loads(path.read_text(encoding="utf-8"))
        folds = _folds.folds(name, "canonical", 0)
        assert len(folds) == len(published) == 5
        for fold, split in zip(folds, published, strict=True):
            for part, key in (("train", "train_keys"), ("test", "test_keys")):
                assert {f"video_{i + 1}" for i in fold[part]} == set(split[key])  # type: ignore[index]


@pytest.mark.data
def test_both_real_files_of_annotations_agree_and_are_what_is_known_of_them(real_data: Path) -> None:
    mat = real_data / "tvsum" / "ydata-tvsum50.mat"
    if not mat.is_file() or not (real_data / ANNOTATIONS).is_file():
        pytest.skip("no TVSum annotations below HARNESS_DATA")
    one = Tvsum.describe(real_data, inputs="clock")
    assert one == Tvsum.describe(real_data, inputs="clock", annotations=str(mat))
    data = Tvsum(real_data, inputs="clock")
    splits = [data.split("test", fold) for fold in range(5)]
    lengths = [n for split in splits for n in split.lengths or ()]
    assert (len(lengths), sum(lengths), min(lengths), max(lengths)) == (50, 23510, 167, 1294)
    counts = np.bincount([int(s.extras(i)["category"]) for s in splits for i in range(10)])
    assert counts.tolist() == [5] * 10


@pytest.mark.data
def test_the_middle_of_a_real_video_is_as_important_as_was_published(real_data: Path) -> None:
    if not (real_data / ANNOTATIONS).is_file():
        pytest.skip("no TVSum annotations below HARNESS_DATA")
    from scipy.stats import spearmanr

    data = Tvsum(real_data, inputs="clock")
    found = []
    for split in (data.split("test", fold) for fold in range(5)):
        for i in range(len(split)):
            middle = -split.batch([i], 0)["features"][0, :, 1].numpy()
            found.append(np.mean([spearmanr(middle, a).statistic for a in split.extras(i)["annotators"]]))
    assert np.mean(found) == pytest.approx(0.130, abs=5e-4)
