from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from harness.contracts import Frames
from harness.data import read_frames
from harness.errors import ConfigError, DataError
from harness_datasets import scored_videos
from harness_datasets._scored import FeatureSplit, FrameSplit, ScoredDataset, ScoredVideo, specs
from harness_datasets.scored_videos import ScoredVideos

SMALL: dict[str, Any] = {"path": "videos", "size": 16}
LEVELS = {"a": 40, "b": 80, "c": 120, "d": 160, "e": 200}


def write(path: Path, level: int, seconds: float = 8, width: int = 48, height: int = 32, rate: int = 10) -> Path:
    """A video whose green says which video it is and whose blue counts the half seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 4_000_000
        for i in range(int(seconds * rate)):
            made = np.zeros((height, width, 3), dtype=np.uint8)
            made[..., 1], made[..., 2] = level, 12 * (2 * i // rate)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(made, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def five(tmp_path: Path) -> Path:
    """Five videos of 8 seconds; a and b have a step each, the others are constant."""
    for name, level in LEVELS.items():
        write(tmp_path / "videos" / f"{name}.mp4", level)
    rows = ["a.mp4,0,0.2", "a.mp4,2.5,0.6", "b.mp4,1,1", "b.mp4,3,0", *(f"{n}.mp4,0,0.5" for n in "cde")]
    table(tmp_path, "video,time,score", *rows)
    return tmp_path


def table(root: Path, *lines: str) -> Path:
    path = root / "videos" / "scores.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def target(data: Any, name: str) -> list[float]:
    for split in ("train", "val", "test"):
        part = data.split(split)
        if name in part.ids:
            return [round(v, 4) for v in part.batch([list(part.ids).index(name)], 0)["target"][0].tolist()]
    raise LookupError(name)


def whole(root: Path, **options: Any) -> ScoredVideos:
    return ScoredVideos(root, **SMALL | {"window": None} | options)


def test_a_score_holds_until_the_next_and_the_first_before_it(five: Path) -> None:
    data = whole(five)
    assert target(data, "a.mp4") == [0.2] * 5 + [0.6] * 11
    assert target(data, "b.mp4") == [1] * 6 + [0] * 10
    assert target(data, "c.mp4") == [0.5] * 16


def test_rows_may_come_in_any_order_with_spaces_and_blank_lines(five: Path) -> None:
    before = target(whole(five), "a.mp4")
    table(
        five,
        "score, video ,time",
        "",
        "0.6, ./a.mp4 , 2.5",
        *(f"0.5,{n}.mp4,0" for n in "bcde"),
        " , , ",
        "0.2,a.mp4,0",
    )
    assert target(whole(five), "a.mp4") == before


def test_scores_may_stand_at_frames(five: Path) -> None:
    table(five, "video,frame,score", "a.mp4,0,0.2", "a.mp4,25,0.6", *(f"{n}.mp4,0,0.5" for n in "bcde"))
    assert target(whole(five), "a.mp4") == [0.2] * 5 + [0.6] * 11


def test_several_annotators_are_kept_and_their_mean_is_learnt(five: Path) -> None:
    rows = ["a.mp4,0,1,zoe", "a.mp4,4,5,zoe", "a.mp4,0,3,adam", *(f"{n}.mp4,0,2,adam" for n in "bcde")]
    table(five, "video,time,score,annotator", *rows)
    data = whole(five, low=1, high=5)
    assert target(data, "a.mp4") == [0.25] * 8 + [0.75] * 8
    part = next(data.split(s) for s in ("train", "val", "test") if "a.mp4" in data.split(s).ids)
    extras = part.extras(list(part.ids).index("a.mp4"))
    assert extras["annotators"].tolist() == [[3] * 16, [1] * 8 + [5] * 8]
    assert extras["annotators"].dtype == np.float32
    assert extras["picks"].tolist() == list(range(0, 80, 5))
    assert extras["times"] == pytest.approx(np.arange(16) / 2)
    assert int(extras["n_frames"]) == 80
    shots = extras["change_points"]  # found by kernel segmentation, as nobody gave them
    assert (shots[0, 0], shots[-1, 1]) == (0, 79)
    assert (shots[1:, 0] == shots[:-1, 1] + 1).all()
    other = next(data.split(s) for s in ("train", "val", "test") if "b.mp4" in data.split(s).ids)
    assert other.extras(list(other.ids).index("b.mp4"))["annotators"].shape == (1, 16)


def test_the_scale_is_what_is_said_or_the_files_own(five: Path) -> None:
    rows = ["a.mp4,0,-2", "a.mp4,4,8", *(f"{n}.mp4,0,3" for n in "bcde")]
    table(five, "video,time,score", *rows)
    assert target(whole(five), "a.mp4") == [0] * 8 + [1] * 8
    assert any("-2 and 8" in note for note in ScoredVideos.describe(five, **SMALL).notes)
    assert target(whole(five, low=-12, high=8), "a.mp4") == [0.5] * 8 + [1] * 8
    assert not any("-2 and 8" in note for note in ScoredVideos.describe(five, low=-12, high=8, **SMALL).notes)
    with pytest.raises(DataError, match=r"scores\.csv:2: 'score' is -2"):
        whole(five, low=0, high=10)
    table(five, "video,time,score", *(f"{n}.mp4,0,3" for n in LEVELS))
    with pytest.raises(DataError, match="every score is 3"):
        whole(five)


def test_frames_are_those_of_the_files_squashed_to_the_size(five: Path) -> None:
    data = whole(five, size=(8, 24), val=0, test=0)
    train = data.split("train")
    assert isinstance(train, Frames)
    batch = train.batch(range(5), 0)
    assert batch["inputs"].shape == (5, 16, 3, 8, 24)
    for i, name in enumerate(train.ids):
        direct = np.concatenate(list(read_frames(five / "videos" / name, range(0, 80, 5), size=(8, 24))))
        assert (batch["inputs"][i].numpy().transpose(0, 2, 3, 1) == direct).all()
        assert abs(float(batch["inputs"][i, :, 1].double().mean()) - LEVELS[name[0]]) < 8
    assert len(data.split("val")) == len(data.split("test")) == 0
    assert data.split("val").batch([], 0)["inputs"].shape[0] == 0


def test_frames_come_as_a_stream_without_being_stored_and_are_the_same_once_they_are(five: Path, cache: Path) -> None:
    train = whole(five).split("train")
    streamed = [np.concatenate(list(train.frames(i))) for i in range(len(train))]
    assert not list(cache.rglob("frames.npy"))
    lean = train.lean([1, 0], 0)
    assert not list(cache.rglob("frames.npy"))
    batch = train.batch([1, 0], 0)
    assert len(list(cache.rglob("frames.npy"))) == 2
    assert "inputs" not in lean
    assert all((batch[key] == lean[key]).all() for key in lean)
    assert (batch["inputs"].numpy() == np.stack([streamed[1], streamed[0]])).all()
    again = pickle.loads(pickle.dumps(train))
    assert (np.concatenate(list(again.frames(0))) == streamed[0]).all()
    assert train.resident() is None


def test_keys_follow_from_content_rate_and_size_alone(five: Path, tmp_path: Path) -> None:
    def keys(root: Path, **options: Any) -> set[str]:
        return set(whole(root, val=0, test=0, **options).split("train").keys())

    first = keys(five)
    assert len(first) == 5
    assert keys(five, window=4) == first
    shutil.copytree(five / "videos", tmp_path / "moved" / "videos")
    assert keys(tmp_path / "moved") == first
    assert not keys(five, size=8) & first
    assert not keys(five, fps=1.0) & first


def test_training_windows_are_drawn_anew_and_purely(five: Path) -> None:
    info = ScoredVideos.describe(five, window=5, val=0.2, test=0.2, **SMALL)
    train = ScoredVideos(five, window=5, **SMALL).split("train")
    assert info.sizes == {"train": 3 * 4, "val": 1, "test": 1}
    assert [i.split("#")[1] for i in train.ids] == ["0", "1", "2", "3"] * 3
    assert train.lengths == [5] * 12
    first = train.batch([0, 7, 3], 11)
    assert (train.batch([3], 11)["inputs"][0] == first["inputs"][2]).all()
    starts = [train.lean([i], 1000 * d)["position"][0] for i in range(12) for d in range(40)]
    assert all((p - p[0]).tolist() == [0, 1, 2, 3, 4] for p in starts)
    counts = np.bincount([int(p[0]) for p in starts], minlength=12)
    assert len(counts) == 12  # 16 frames have 12 places for a window of 5
    assert counts.min() > 20
    video = train.ids[0].split("#")[0]
    everything = target(whole(five), video)
    at = int(first["position"][0, 0])
    assert [round(v, 4) for v in first["target"][0].tolist()] == everything[at : at + 5]
    blues = first["inputs"][0, :, 2].double().mean((1, 2)) / 12
    assert (blues - first["position"][0]).abs().max() < 0.8
    assert train.extras(0) == {}
    with pytest.raises(IndexError):
        train.batch([12], 0)


def test_batches_are_padded_with_what_counts_as_nothing(five: Path) -> None:
    write(five / "videos" / "a.mp4", 40, 3)
    rows = ["a.mp4,0,0.9", *(f"{n}.mp4,0,0.5" for n in "bcde")]
    table(five, "video,time,score", *rows)
    train = whole(five, val=0, test=0).split("train")
    assert train.lengths == [6, 16, 16, 16, 16]
    batch = train.batch([0, 1], 0)
    assert batch["mask"].tolist() == [[True] * 6 + [False] * 10, [True] * 16]
    for key in ("target", "position", "inputs"):
        assert not batch[key][0, 6:].any()
    assert {k: v.dtype for k, v in batch.items()} == {
        "inputs": torch.uint8, "mask": torch.bool, "target": torch.float32, "position": torch.int64,
        "index": torch.int64,
    }  # fmt: skip
    assert batch["index"].tolist() == [0, 1]


def test_a_window_longer_than_a_video_is_the_video(five: Path) -> None:
    train = ScoredVideos(five, window=60, **SMALL).split("train")
    assert train.lengths == [16, 16, 16]
    assert train.batch([0], 5)["position"][0].tolist() == list(range(16))


def test_features_are_cut_as_their_targets_are() -> None:
    made = np.arange(30, dtype=np.float32).reshape(10, 3)
    video = ScoredVideo("x", made[:, 0] / 30, dict, features=made)
    split = FeatureSplit([video], 4)
    assert len(split) == 3
    for draw in range(5):
        batch = split.batch([0, 2], draw)
        assert (batch["features"] == torch.from_numpy(made)[batch["position"]]).all()
        assert torch.equal(batch["target"] * 30, batch["features"][..., 0])
    opened = ScoredDataset("mine", [{"train": split, "val": split, "test": split}] * 2)
    assert opened.split("val", 1) is split
    with pytest.raises(ConfigError, match="mine has no fold 2"):
        opened.split("val", 2)
    with pytest.raises(ConfigError, match="no split 'dev'"):
        opened.split("dev")  # type: ignore[arg-type]
    assert list(specs(None, 3, 2.0)) == ["features", "mask", "target"]
    with pytest.raises(ConfigError, match="no frames"):
        FrameSplit([video]).batch([0], 0)


def test_videos_are_divided_by_seed_or_as_the_table_says(five: Path) -> None:
    info = ScoredVideos.describe(five, **SMALL)
    assert info.notes == ("scored_videos: 5 videos were divided by drawing with seed 0: train 3, val 1, test 1",)
    drawn = {tuple(whole(five, split_seed=s).split("test").ids) for s in range(6)}
    assert len(drawn) > 1
    parts = dict(zip(LEVELS, ["test", "val", "train", "train", "val"], strict=True))
    table(five, "video,time,score,split", *(f"{n}.mp4,0,0.{i},{p}" for i, (n, p) in enumerate(parts.items())))
    data, info = whole(five), ScoredVideos.describe(five, **SMALL)
    assert [list(data.split(s).ids) for s in ("train", "val", "test")] == [
        ["c.mp4", "d.mp4"],
        ["b.mp4", "e.mp4"],
        ["a.mp4"],
    ]
    assert info.notes == ()
    table(five, "video,time,score,split", "a.mp4,0,1,test", "b.mp4,0,0,val")
    with pytest.raises(DataError, match="no video for 'train'"):
        whole(five)
    table(five, "video,time,score", "a.mp4,0,1", "b.mp4,0,0")
    with pytest.raises(DataError, match="the table has 2 videos, too few to draw test and val from"):
        whole(five)
    assert len(whole(five, val=0).split("test")) == 1


def test_damaged_missing_and_unscored_videos_are_named_counted_or_refused(five: Path, capfd: Any) -> None:
    videos = five / "videos"
    for name in ("text.mp4", "cut.mkv", "empty.mp4"):
        write(videos / name, 10, 8 if name == "cut.mkv" else 1)
    (videos / "text.mp4").write_text("no video")
    (videos / "empty.mp4").write_bytes(b"")
    cut = (videos / "cut.mkv").read_bytes()
    (videos / "cut.mkv").write_bytes(cut[: len(cut) // 2])
    write(videos / "deep" / "unscored.mp4", 10, 2)
    names = [*(f"{n}.mp4" for n in LEVELS), "text.mp4", "cut.mkv", "empty.mp4", "aa.mp4"]
    table(five, "video,time,score", *(f"{n},0,0.5" for n in names))
    info = ScoredVideos.describe(five, **SMALL, val=0, test=0.2)
    assert sum(info.sizes.values()) == 5
    left, unscored, _ = info.notes
    assert left.startswith("scored_videos: 4 of 9 videos left out: ")
    for said in (
        r"text.mp4' is damaged or no video",
        "cut.mkv' is cut off",
        "empty.mp4' is",
        "scores.csv:10: there is no",
    ):
        assert said in left
    assert "did you mean 'a.mp4'" in left
    assert "no scores for 1 of the videos in the folder: deep/unscored.mp4" in unscored
    with pytest.raises(DataError, match="4 of 9 videos cannot be used") as caught:
        ScoredVideos.describe(five, strict=True, **SMALL)
    assert "'strict'" in caught.value.hint
    table(five, "video,time,score", *(f"{n}.mp4,0,0.5" for n in LEVELS))
    with pytest.raises(DataError, match=r"no scores for 4 of the videos"):
        ScoredVideos.describe(five, strict=True, **SMALL)
    table(five, "video,time,score", "text.mp4,0,1", "gone.mp4,0,0")
    with pytest.raises(DataError, match=r"2 of 2 videos cannot be used: .*text\.mp4"):
        ScoredVideos.describe(five, **SMALL)
    assert capfd.readouterr() == ("", "")


def test_a_video_that_cannot_be_used_changes_no_other_videos_split(five: Path) -> None:
    shutil.copy(five / "videos" / "a.mp4", five / "spare.mp4")
    for k in range(5):
        write(five / "videos" / f"f{k}.mp4", 100 + k, 1)
    table(
        five, "video,time,score", *(f"{n}.mp4,0,0.{i}" for i, n in enumerate([*LEVELS, *(f"f{k}" for k in range(5))]))
    )
    options: dict[str, Any] = {"val": 0.3, "test": 0.3, "split_seed": 3}

    def parts() -> dict[str, set[str]]:
        data = whole(five, **options)
        return {split: set(data.split(split).ids) for split in ("train", "val", "test")}  # type: ignore[arg-type]

    before = parts()
    assert [len(p) for p in before.values()] == [4, 3, 3]
    for name in sorted(before["val"]):
        (five / "videos" / name).rename(five / "away")
        if before["val"] != {name}:
            assert parts() == {**before, "val": before["val"] - {name}}
            note = ScoredVideos.describe(five, **SMALL, **options).notes[-1]
            assert "10 videos were divided by drawing with seed 3, of which 9 can be used: train 4, val 2" in note
        (five / "away").rename(five / "videos" / name)
    for name in before["val"]:
        (five / "videos" / name).unlink()
    with pytest.raises(DataError, match="leaves no video for 'val' that can be used") as caught:
        parts()
    assert "take them out of the table" in caught.value.hint


@pytest.mark.parametrize("name", ["n" * 300 + ".mp4", "d/" * 3000 + "x.mp4"])
def test_a_name_that_no_file_can_have_is_left_out_as_one_that_is_not_there(five: Path, name: str) -> None:
    table(five, "video,time,score", *(f"{n}.mp4,0,0.5" for n in LEVELS), f"{name},0,0.5")
    note = ScoredVideos.describe(five, **SMALL, val=0, test=0).notes[0]
    assert "1 of 6 videos left out" in note
    assert f"scores.csv:7: there is no video '{name[:80]}…'" in note
    with pytest.raises(DataError, match=r"scores\.csv:7: there is no video"):
        whole(five, strict=True)


def test_a_table_that_would_need_much_memory_is_refused(five: Path) -> None:
    path = five / "videos" / "scores.csv"
    head = b"video,time,score\n"
    path.write_bytes(head + b"a.mp4,0,1\n" * 3_200_000)
    with pytest.raises(DataError, match=r"has 32,000,017 bytes, and a table of scores at most 32,000,000"):
        whole(five)
    path.write_bytes(b"video,time,score,annotator\n" + b"".join(b"a.mp4,0,1,%d\n" % k for k in range(1001)))
    with pytest.raises(DataError, match=r"scores\.csv:1002: 'a\.mp4' has more than 1,000 annotators"):
        whole(five)
    path.write_bytes(head + b"".join(b"a,%d,1\n" % k for k in range(1_000_001)))
    with pytest.raises(DataError, match=r"scores\.csv:1000002: there are more than 1,000,000 scores"):
        whole(five)


def test_a_video_that_turns_out_damaged_when_it_is_decoded_is_left_out_from_then_on(five: Path, capfd: Any) -> None:
    path = five / "videos" / "a.mp4"
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 8, data.index(b"moov") - 4
    middle = (2 * start + end) // 3
    data[middle:end] = np.random.default_rng(0).bytes(end - middle)
    path.write_bytes(data)
    train = whole(five, val=0, test=0).split("train")
    assert len(train) == 5
    with pytest.raises(DataError, match=r"a\.mp4'") as caught:
        train.batch([0], 0)
    assert "run again" in caught.value.hint
    assert "b.mp4" in list(train.ids)
    again = whole(five, val=0, test=0).split("train")
    assert list(again.ids) == ["b.mp4", "c.mp4", "d.mp4", "e.mp4"]
    assert "1 of 5 videos left out" in ScoredVideos.describe(five, **SMALL).notes[0]
    assert capfd.readouterr().err == ""


WRONG = [
    (b"", 1, "the file is empty"),
    (b"\n\n", 1, "the file is empty"),
    (b"video,time,score\n", 1, "no score"),
    (b"time,score\n0,1\n", 1, "no column 'video'"),
    (b"video,time\na.mp4,0\n", 1, "no column 'score'"),
    (b"video,score\na.mp4,0\n", 1, "no column 'time' or 'frame'"),
    (b"video,time,frame,score\na.mp4,0,0,1\n", 1, "both columns"),
    (b"video,time,score,score\na.mp4,0,0,1\n", 1, "twice"),
    (b"video,time,score,annotators\na.mp4,0,0,1\n", 1, "unknown column 'annotators'"),
    (b"video;time;score\na.mp4;0;1\n", 1, "not divided by commas"),
    (b"video,time,score\na.mp4,0,1\n\na.mp4,1,much\n", 4, "'score' is 'much'"),
    (b"video,time,score\na.mp4,0,nan\n", 2, "'score' is 'nan'"),
    (b"video,time,score\na.mp4,0,inf\n", 2, "'score' is 'inf'"),
    (b"video,time,score\na.mp4,0,1e300\n", 2, "'score' is '1e300'"),
    (b"video,time,score\na.mp4,0,1_0\n", 2, "'score' is '1_0'"),
    (b"video,time,score\na.mp4,0,\n", 2, "'score' is ''"),
    (b"video,time,score\na.mp4,soon,1\n", 2, "'time' is 'soon'"),
    (b"video,time,score\na.mp4,-1,1\n", 2, "'time' is -1"),
    (b"video,frame,score\na.mp4,1.5,1\n", 2, "'frame' is 1.5"),
    (b"video,time,score\na.mp4,0\n", 2, "2 values, not 3"),
    (b"video,time,score\na.mp4,0,0,5\n", 2, "4 values, not 3"),
    (b"video,time,score\n,0,1\n", 2, "no name of a video"),
    (b"video,time,score\n\"a.mp4,0,1\n", 2, "no row of a CSV"),
    (b"video,time,score\na.mp4,0,1\na.mp4,1,0\na.mp4,0.0,1\n", 4, "has had a score for time 0 in line 2"),
    (b"video,time,score,annotator\na.mp4,0,1,x\na.mp4,0,1,y\na.mp4,0,1,y\n", 4, "in line 3"),
    (b"video,time,score,annotator\na.mp4,0,1,\n", 2, "no name of an annotator"),
    (b"video,time,score,split\na.mp4,0,1,dev\n", 2, "unknown split 'dev'"),
    (b"video,time,score,split\na.mp4,0,1,\n", 2, "unknown split ''"),
    (b"video,time,score,split\na.mp4,0,1,val\na.mp4,1,1,test\n", 3, "in split 'test' here and in 'val' in line 2"),
    (b"video,time,score\na.mp4,0,1\nb\xe4r.mp4,0,1\n", 3, "not UTF-8"),
    ("video,time,score\na.mp4,0,1\n".encode("utf-16"), 1, "not UTF-8"),
    (b"video,time,score\na.mp4,0,1\na.mp4,2000,0.5\n", 3, "'a.mp4' has 8.0 seconds, so there is nothing at 2000"),
    (b"video,frame,score\na.mp4,0,1\na.mp4,200,0.5\n", 3, "'a.mp4' has 80 frames"),
    (b"video,time,score\n" + b"x" * 200_000 + b",0,1\n", 2, "no row of a CSV"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "line", "said"), WRONG, ids=lambda v: v if isinstance(v, str) else "")
def test_every_mistake_in_the_table_is_told_with_its_line(five: Path, content: bytes, line: int, said: str) -> None:
    path = five / "videos" / "scores.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        whole(five, val=0, test=0)
    assert caught.value.message.startswith(f"{path}:{line}: ")
    assert said in caught.value.message
    assert caught.value.hint


def test_one_video_under_two_names_is_refused(five: Path) -> None:
    os.symlink(five / "videos" / "a.mp4", five / "videos" / "z.mp4")
    table(five, "video,time,score", *(f"{n}.mp4,0,0.5" for n in LEVELS), "z.mp4,0,0.5")
    with pytest.raises(DataError, match=r"scores\.csv:7: 'z\.mp4' is the same video as 'a\.mp4'"):
        whole(five)


def test_the_table_may_lie_elsewhere_and_name_videos_absolutely(five: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "elsewhere" / "f.mp4", 90, 2)
    path = tmp_path / "mine.csv"
    path.write_text("\ufeffvideo,time,score\n" + "".join(f"{n}.mp4,0,0.5\n" for n in LEVELS) + f"{other},0,1\n")
    data = ScoredVideos(tmp_path, path=str(five / "videos"), scores=str(path), size=16, window=None, val=0, test=0)
    assert str(other) in list(data.split("train").ids)
    assert len(data.split("train")) == 6


def test_portrait_slow_and_silent_videos_go_in_beside_others(five: Path) -> None:
    write(five / "videos" / "tall.mp4", 20, 4, 32, 64)
    write(five / "videos" / "slow.mp4", 30, 6, rate=1)
    table(five, "video,time,score", "tall.mp4,0,0", "slow.mp4,0,0", "slow.mp4,3,1")
    data = whole(five, val=0, test=0)
    train = data.split("train")
    assert (list(train.ids), train.lengths) == (["slow.mp4", "tall.mp4"], [6, 8])
    assert target(data, "slow.mp4") == [0, 0, 0, 1, 1, 1]
    assert train.batch([0, 1], 0)["inputs"].shape == (2, 8, 3, 16, 16)


def test_the_fingerprint_follows_videos_table_and_options(five: Path, tmp_path: Path) -> None:
    def mark(root: Path = five, **options: Any) -> str:
        return ScoredVideos.describe(root, **SMALL | options).fingerprint

    first = mark()
    shutil.copytree(five / "videos", tmp_path / "moved" / "videos")
    assert mark(tmp_path / "moved") == first
    changed = [
        {"size": 8},
        {"fps": 1.0},
        {"window": 3},
        {"window": None},
        {"val": 0.4},
        {"split_seed": 5},
        {"low": 0.0, "high": 2.0},
    ]
    assert len({first, *(mark(**c) for c in changed)}) == len(changed) + 1
    assert mark(strict=True) == first
    with (five / "videos" / "scores.csv").open("a") as stream:
        stream.write("e.mp4,3,0.1\n")
    second = mark()
    assert second != first
    write(five / "videos" / "e.mp4", 201)
    assert mark() not in (first, second)


def test_describing_decodes_no_frame_and_imports_no_torch(five: Path, cache: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness_datasets.scored_videos import ScoredVideos\n"
        f"info = ScoredVideos.describe(Path({str(five)!r}), path='videos', size=16)\n"
        "assert 'torch' not in sys.modules\nprint(info.fingerprint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    info = ScoredVideos.describe(five, **SMALL)
    assert done.stdout.strip() == info.fingerprint
    assert not (cache / "arrays").exists()
    assert info.specs["inputs"].shape == (None, 3, 16, 16)
    assert info.specs["inputs"].rate == 2.0


def test_videos_are_looked_at_once(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ScoredVideos.describe(five, **SMALL)

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("a video was opened again")

    monkeypatch.setattr(av, "open", fail)
    assert ScoredVideos.describe(five, **SMALL) == first


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"size": 0}, "size"), ({"size": (1, 2, 3)}, "size"), ({"fps": 0}, "fps"), ({"fps": 1000}, "fps"),
     ({"window": 0}, "window"), ({"val": 0.6, "test": 0.5}, "'val' and 'test'"), ({"split_seed": -1}, "split_seed"),
     ({"low": 1}, "only one"), ({"low": 2, "high": 1}, "'low' and 'high'"),
     ({"low": float("nan"), "high": 1}, "'low'")],
)  # fmt: skip
def test_options_out_of_range_are_refused(five: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ScoredVideos.describe(five, **SMALL | wrong)


def test_a_folder_or_table_that_is_not_there_is_named(five: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder '.*nowhere'"):
        whole(five, path="nowhere")
    with pytest.raises(DataError, match=r"cannot read '.*other\.csv'"):
        whole(five, scores="other.csv")


def test_real_videos_with_scores(real_data: Path, tmp_path: Path) -> None:
    names = ["sintel_trailer_480x204.mp4", "intel__bottle-detection.mp4", "decord__flipping_a_pancake.mkv"]
    path = tmp_path / "scores.csv"
    path.write_text("video,time,score\n" + "".join(f"{n},0,1\n{n},5,3\n" for n in names))
    options: dict[str, Any] = {"path": "videos", "scores": str(path), "size": (32, 48)}
    info = scored_videos.ScoredVideos.describe(real_data, **options)
    assert (
        info.sizes == {"train": 1 if "divided" in info.notes[-1] else 0, "val": 1, "test": 1}
        or info.sizes["train"] == 2
    )
    data = ScoredVideos(real_data, **options)
    for split in ("train", "val", "test"):
        batch = data.split(split).batch([0], 0)
        assert batch["inputs"].shape[2:] == (3, 32, 48)
        assert 0 < float(batch["inputs"].double().mean()) < 255
