"""Which frames are keyframes, which files are videos, and how times are written."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.predict import Wish, find, folders
from harness.predict.clock import clock, length, marks, stamp
from harness.predict.curve import Curve, written
from harness.predict.grid import columns
from harness.predict.selection import ALIKE, APART, Keyframe, chosen, shown
from harness.tasks.ranking import budget


def test_the_default_is_fifteen_per_cent_rounded_up_as_in_the_metric():
    for frames in (1, 2, 6, 7, 20, 40, 60, 100, 7200):
        assert Wish().count(frames) == budget(frames, 0.15)
    assert Wish().count(20) == 3
    assert Wish().count(1) == 1


def test_top_wins_and_never_asks_for_more_than_there_is():
    assert Wish(top=5).count(100) == 5
    assert Wish(top=5).count(3) == 3
    assert Wish(share=1.0).count(7) == 7


@pytest.mark.parametrize("wish", [{"top": 0}, {"share": 0.0}, {"share": 1.5}, {"share": math.nan}])
def test_an_impossible_number_of_keyframes_is_refused(wish: dict[str, float]):
    with pytest.raises(ConfigError):
        Wish(**wish)  # type: ignore[arg-type]


def test_the_highest_scores_are_chosen_and_of_equal_ones_the_earlier():
    scores = np.array([0.1, 0.9, 0.5, 0.9, 0.5])
    assert chosen(scores, np.arange(5) / 2, 3).tolist() == [1, 3, 2]


@given(st.integers(1, 30), st.integers(1, 10), st.integers(0, 2**32 - 1))
def test_distinct_frames_are_those_of_the_plain_greedy_rule(frames: int, count: int, seed: int):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, frames) / 5
    times = np.cumsum(rng.uniform(0.3, 1.5, frames))
    looks = rng.integers(0, 3, (frames, 3)).astype(float)

    expected: list[int] = []
    for i in sorted(range(frames), key=lambda i: (-scores[i], i)):
        near = any(abs(times[i] - times[j]) < APART for j in expected)
        like = any(
            (a := np.linalg.norm(looks[i])) > 0
            and (b := np.linalg.norm(looks[j])) > 0
            and looks[i] @ looks[j] / (a * b) > ALIKE
            for j in expected
        )
        if len(expected) < count and not near and not like:
            expected.append(i)

    assert chosen(scores, times, count, looks).tolist() == expected


def test_pictures_that_cannot_show_all_show_the_highest():
    assert shown([3, 1, 4, 2], 2) == {1, 3}


@pytest.mark.parametrize(
    ("seconds", "told", "named"),
    [
        (0, "0:00.0", "00m00.0s"),
        (12.5, "0:12.5", "00m12.5s"),
        (59.96, "1:00.0", "01m00.0s"),
        (725.04, "12:05.0", "12m05.0s"),
        (3599.99, "1:00:00.0", "01h00m00.0s"),
        (3752.46, "1:02:32.5", "01h02m32.5s"),
    ],
)
def test_times_are_rounded_before_they_are_cut_into_minutes(seconds: float, told: str, named: str):
    assert clock(seconds) == told
    assert stamp(seconds) == named


def test_lengths_and_marks_suit_the_duration():
    assert [length(s) for s in (0.5, 59.96, 200, 3720)] == ["0.5 s", "1 min 00 s", "3 min 20 s", "1 h 02 min"]
    assert clock(90, 0) == "1:30"
    assert marks(0.5, 7) == [0, 0.5]
    assert marks(52.5, 7) == [0, 10, 20, 30, 40, 50]
    assert marks(3600, 7) == [600 * k for k in range(7)]
    for end in (0.1, 1, 33, 599, 7200, 1e6, 1e7):
        assert 1 <= len(marks(end, 7)) <= 7


def curve(scores: list[float]) -> Curve:
    times = np.arange(len(scores)) / 2
    return Curve(times, np.array(scores), len(scores) / 2, (Keyframe(1, 1, 0, 0.0, scores[0], "k.jpg"),))


@pytest.mark.parametrize("scores", [[0.0], [1.0], [0.5, 0.5], [0.0, 1.0], [0.501, 0.502, 0.503], [0.999, 1.0]])
def test_the_axis_holds_the_curve_within_zero_and_one(scores: list[float]):
    low, high = curve(scores).range()
    assert 0 <= low <= min(scores) <= max(scores) <= high <= 1
    assert high - low >= 0.0199
    ticks = curve(scores).ticks()
    assert len(ticks) >= 2
    assert [float(t) for t in written(ticks)] == pytest.approx(ticks, abs=1e-9)


def test_a_long_curve_is_thinned_without_losing_its_peaks():
    scores = np.full(50_000, 0.5)
    scores[[123, 40_001]] = 1.0, 0.0
    thin = Curve(np.arange(50_000) / 2, scores, 25_000.0, ()).thinned()
    assert len(thin[0]) <= 4002
    assert (thin[1].max(), thin[1].min()) == (1.0, 0.0)
    assert thin[0][thin[1].argmax()] == 61.5
    assert (np.diff(thin[0]) > 0).all()


@pytest.mark.parametrize("proportion", [0.3, 0.56, 1.33, 1.78, 2.39])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 60])
def test_sheets_are_neither_towers_nor_ribbons(count: int, proportion: float):
    across = columns(count, proportion)
    assert 1 <= across <= min(count, 10)
    if count > 10:
        wide, high = across * proportion, math.ceil(count / across)
        assert 0.4 < wide / high < 3


def test_folders_are_named_after_videos_and_never_shared():
    names = folders([Path(p) for p in ("a/clip.mp4", "b/clip.mkv", "c/Clip.webm", "d/clip_2.mp4", "e/other.mp4")])
    assert names == ["clip", "clip_3", "Clip_4", "clip_2", "other"]


@pytest.mark.parametrize("name", ["..mp4", "...mp4", " .mp4", ". .mkv", "....", "a:b?.mp4", 'x"<>|*.mp4'])
def test_no_name_of_a_video_leads_out_of_the_folder(name: str, tmp_path: Path):
    (made,) = folders([tmp_path / name])
    assert (tmp_path / made).parent == tmp_path
    assert made.strip(". ") == made
    assert not set(made) & set('<>:"/\\|?*')


def test_videos_of_a_folder_are_found_once_in_order(tmp_path: Path):
    for name in ("b.MP4", "a.mkv", "notes.txt", "._a.mkv", "odd.bin"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "deeper.mp4").mkdir()
    found, failures = find([tmp_path / "odd.bin", tmp_path, tmp_path / "a.mkv"])
    assert [p.name for p in found] == ["odd.bin", "a.mkv", "b.MP4"]
    assert failures == []


def test_inputs_that_are_no_videos_are_told_one_by_one(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    found, failures = find([tmp_path / "empty", tmp_path / "gone.mp4", Path("/dev/null")])
    assert found == []
    told = [f.error.message for f in failures]
    assert "has no video in it" in told[0]
    assert told[1].endswith("gone.mp4' is not there")
    assert "neither a file nor a folder" in told[2]
