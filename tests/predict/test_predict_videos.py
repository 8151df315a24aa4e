"""From a trial and a video to files, with models whose scores anybody can tell."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from predict.films import cut, film, scene, turned
from predict.stored import FEATURES, MASK, SCORES, TINY, frames, store_trial

from harness import api
from harness.contracts import IO, Spec
from harness.data import probe, sample, sampled_frames
from harness.errors import ConfigError, StoreError
from harness.predict import Predicted, Predictions, Wish, folder, scoring, stills
from harness.registry import Registry
from harness.trial import Choice

FILES = {"importance_curve.jpg", "keyframes_grid.jpg", "scores.csv", "index.html"}


def rows(page: Path) -> list[dict[str, str]]:
    with (page.parent / "scores.csv").open() as file:
        return list(csv.DictReader(file))


def column(page: Path, name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows(page)])


@pytest.fixture
def go(runs: Path, tmp_path: Path, registry: Registry):
    def predict(trial: str, *inputs: Path, **options: Any) -> Predictions:
        asked = {k: options.pop(k) for k in ("top", "share", "distinct") if k in options}
        options = {"out": tmp_path / "out", "device": "cpu", **options}
        return api.predict(trial, inputs, runs=runs, wish=Wish(**asked), registry=registry, **options)

    return predict


def only(done: Predictions) -> Predicted:
    assert done.failures == (), done.failures
    (video,) = done.videos
    return video


def test_a_video_gets_a_curve_a_sheet_keyframes_scores_and_a_page(go, bright: str, tmp_path: Path):
    video = only(go(bright, film(tmp_path / "holiday.mp4")))

    folder = tmp_path / "out" / "holiday"
    assert video.page == folder / "index.html"
    assert {p.name for p in folder.iterdir()} == FILES | {k.file for k in video.keyframes}
    assert video.frames == len(rows(video.page)) == 16
    assert len(video.keyframes) == 3  # 15 % of 16, rounded up
    assert [float(r["seconds"]) for r in rows(video.page)] == [k / 2 for k in range(16)]
    assert [int(r["frame"]) for r in rows(video.page)] == [5 * k for k in range(16)]
    marked = [int(r["frame"]) for r in rows(video.page) if r["keyframe"] == "1"]
    assert marked == [k.frame for k in video.keyframes]
    for name in FILES - {"scores.csv", "index.html"}:
        with Image.open(folder / name) as picture:
            assert picture.format == "JPEG"
            picture.load()


def test_keyframes_are_the_brightest_frames_at_full_size_named_by_their_time(go, bright: str, tmp_path: Path):
    path = film(tmp_path / "v.mp4", seconds=8)
    video = only(go(bright, path, top=4))
    brightness = [scene(int(t / 2), 64, 96).mean() for t in column(video.page, "seconds")]
    best = np.argsort(-np.array(brightness), kind="stable")[:4]

    assert {k.frame for k in video.keyframes} == {5 * int(b) for b in best}
    assert sorted(k.rank for k in video.keyframes) == [1, 2, 3, 4]
    assert [k.file for k in video.keyframes] == [
        f"keyframe_{n:03d}_00m{5 * b / 10:04.1f}s.jpg" for n, b in enumerate(sorted(best), start=1)
    ]
    for keyframe in video.keyframes:
        with Image.open(video.page.parent / keyframe.file) as picture:
            assert picture.size == (96, 64)
            shown = np.asarray(picture).astype(float)
        assert np.abs(shown - scene(int(keyframe.seconds / 2), 64, 96)).mean() < 8


def test_scores_are_those_of_the_whole_model_on_the_whole_video(go, tiny: str, runs: Path, tmp_path: Path):
    path = film(tmp_path / "v.mp4", seconds=21)  # more frames than pass the backbone at a time
    video = only(go(tiny, path))
    model, _ = api.load_trial(tiny, runs=runs)
    whole = np.concatenate(list(sampled_frames(path, sample(path), (64, 64))))
    with torch.inference_mode():
        expected = model({"inputs": torch.from_numpy(whole)[None]})["logits"][0].sigmoid().numpy()

    assert len(expected) == 42
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(column(video.page, "score"), expected, atol=2e-6)


def test_a_model_without_a_front_sees_all_frames_and_is_spared_what_it_cannot_hold(
    go, bright: str, runs: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = film(tmp_path / "v.mp4")
    whole = store_trial(runs, frames(16, 16), Choice.of("bright", front=False), registry).id
    expected = column(only(go(bright, path)).page, "score")
    np.testing.assert_allclose(column(only(go(whole, path)).page, "score"), expected, atol=1e-6)

    monkeypatch.setattr(scoring, "_WHOLE", 15 * 3 * 16 * 16)
    (failure,) = go(whole, path).failures
    assert "is too long: 16 frames, which this model must see at once" in str(failure.error)


def test_frames_are_normalised_where_the_record_says_so(
    go, bright: str, runs: Path, registry: Registry, tmp_path: Path
):
    path = film(tmp_path / "v.mp4")
    scaled = Spec("TCHW", (None, 3, 16, 16), "uint8", mean=(0.5,) * 3, std=(0.25,) * 3, rate=2.0)
    trial = store_trial(runs, IO({"inputs": scaled, "mask": MASK}, SCORES), Choice.of("bright"), registry).id
    logits = [np.log(s / (1 - s)) for s in (column(only(go(t, path)).page, "score") for t in (bright, trial))]
    np.testing.assert_allclose(logits[1], (logits[0] - 0.5) / 0.25, atol=1e-4)


def test_the_rate_of_the_record_decides_and_two_a_second_is_the_default(
    go, runs: Path, registry: Registry, tmp_path: Path
):
    path = film(tmp_path / "v.mp4", seconds=4)
    for rate, count in ((5.0, 20), (0.0, 8)):
        trial = store_trial(runs, frames(16, 16, rate), Choice.of("bright"), registry).id
        assert only(go(trial, path)).frames == count


def test_distinct_keyframes_look_different_and_lie_apart(go, bright: str, tmp_path: Path):
    path = film(tmp_path / "v.mp4", seconds=12, scene_seconds=3)
    plain, distinct = (only(go(bright, path, top=8, distinct=d)) for d in (False, True))
    assert len(plain.keyframes) == 8
    assert [int(k.seconds / 3) for k in distinct.keyframes] == [0, 1, 2, 3]
    assert "8 were asked for" in distinct.page.read_text()
    best = max(column(plain.page, "score"))
    assert max(k.score for k in distinct.keyframes) == pytest.approx(best, abs=1e-6)


def test_a_second_run_replaces_its_own_files_and_touches_no_others(go, bright: str, tmp_path: Path):
    path = film(tmp_path / "v.mp4")
    first = only(go(bright, path, top=6))
    folder = first.page.parent
    (folder / "keyframe_mine.jpg").write_text("kept")
    (folder / "notes.txt").write_text("kept")
    (tmp_path / "out" / "other").mkdir()

    second = only(go(bright, path, top=2))

    assert {p.name for p in folder.iterdir()} == FILES | {k.file for k in second.keyframes} | {
        "keyframe_mine.jpg",
        "notes.txt",
    }
    assert (tmp_path / "out" / "other").is_dir()
    assert not list(folder.glob(".*"))


def test_the_same_video_gives_the_same_bytes(go, tiny: str, tmp_path: Path):
    path = film(tmp_path / "v.mp4")
    pages = [only(go(tiny, path, out=tmp_path / name)).page for name in "ab"]
    for left, right in zip(*(sorted(p.parent.iterdir()) for p in pages), strict=True):
        assert left.read_bytes() == right.read_bytes(), left.name


def test_two_videos_of_one_name_get_folders_of_their_own(go, bright: str, tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    done = go(bright, film(tmp_path / "a" / "v.mp4"), film(tmp_path / "b" / "v.mkv", seconds=3))
    assert [v.page.parent.name for v in done.videos] == ["v", "v_2"]
    assert [v.frames for v in done.videos] == [16, 6]


class Heard:
    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def started(self, path: Path, number: int, total: int) -> None:
        self.events.append(("started", path.name, number, total))

    def progress(self, path: Path, step: str, done: int, total: int) -> None:
        self.events.append((step, path.name, done, total))

    def finished(self, video: Predicted) -> None:
        self.events.append(("finished", video.path.name))

    def failed(self, failure: Any) -> None:
        self.events.append(("failed", failure.path.name))


def test_a_bad_file_is_told_and_the_others_are_done(go, bright: str, tmp_path: Path):
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "b.mp4").write_text("I am no video\n")
    film(folder / "a.mp4", seconds=31)
    film(folder / "c.mkv", seconds=2)
    heard = Heard()
    done = go(bright, tmp_path / "gone.mp4", folder, listener=heard)

    assert [v.path.name for v in done.videos] == ["a.mp4", "c.mkv"]
    assert [f.path.name for f in done.failures] == ["gone.mp4", "b.mp4"]
    assert "b.mp4' is damaged or no video" in done.failures[1].error.message
    kinds = [e[:2] for e in heard.events if e[0] not in ("frames", "pictures")]
    assert kinds == [
        ("failed", "gone.mp4"), ("started", "a.mp4"), ("finished", "a.mp4"), ("started", "b.mp4"), ("failed", "b.mp4"),
        ("started", "c.mkv"), ("finished", "c.mkv"),
    ]  # fmt: skip
    counted = [e[2:] for e in heard.events if e[:2] == ("frames", "a.mp4")]
    assert len(counted) > 3
    assert counted[0] == (0, 62)
    assert counted[-1] == (62, 62)
    assert not (tmp_path / "out" / "b").exists()


def test_decoders_say_nothing_of_their_own(go, bright: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    whole = film(tmp_path / "whole.mp4", seconds=20, fps=25)
    data = bytearray(whole.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(len(data) // 2, len(data), 60):
        data[at] = rng.integers(256)
    (tmp_path / "torn.mp4").write_bytes(data)
    cut(film(tmp_path / "cut.mkv", seconds=20), 0.7)
    (tmp_path / "text.avi").write_text("hello")
    go(bright, *(tmp_path / n for n in ("whole.mp4", "torn.mp4", "cut.mkv", "text.avi")))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
@pytest.mark.parametrize("share", [0.35, 0.6, 0.97])
def test_a_video_whose_end_is_missing_is_scored_as_far_as_it_goes(go, bright: str, name: str, share: float, tmp_path):
    path = cut(
        film(tmp_path / name, seconds=20, fps=25, width=160, height=120, g="25", crf="1", preset="ultrafast"), share
    )
    video = only(go(bright, path))
    assert 0.6 * share * 40 < video.frames < 40
    if name != "v.ts":  # a stream does not say how long it wants to be
        assert re.match(r"The file is cut off: about \d+\.\d s are missing", video.warnings[0])
        assert video.warnings[0] in video.page.read_text()


def test_an_end_that_is_there_in_part_costs_only_the_frames_that_it_holds(go, bright: str, tmp_path: Path):
    path = film(tmp_path / "v.mp4", seconds=20, fps=4, width=160, height=120, g="4", crf="1", preset="ultrafast")
    whole = path.stat().st_size
    lengths = []
    for share in np.linspace(0.5, 0.7, 7):
        video = only(go(bright, cut(film(path, 20, 4, 160, 120, g="4", crf="1", preset="ultrafast"), share)))
        lengths.append(video.frames / (40 * share))
    assert whole > 10_000
    assert min(lengths) > 0.7
    assert max(lengths) < 1.2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("small.avi", {"codec": "mpeg4"}),
        ("old.mpg", {"codec": "mpeg2video", "fps": 25}),
        ("odd.mkv", {"codec": "ffv1"}),
        ("moving.gif", {"codec": "gif"}),
        ("web.webm", {"codec": "libvpx-vp9", "deadline": "realtime", "cpu-used": "8"}),
        ("single.mp4", {"seconds": 0.1}),
        ("slow.mp4", {"fps": 1}),
        ("wide.mp4", {"width": 640, "height": 32}),
    ],
)
def test_odd_codecs_rates_and_shapes_are_read(go, bright: str, name: str, options: dict[str, Any], tmp_path: Path):
    video = only(go(bright, film(tmp_path / name, **options)))
    expected = {"single.mp4": 1, "slow.mp4": 8}.get(name, 16)
    assert abs(video.frames - expected) <= (1 if name == "old.mpg" else 0)
    assert len(video.keyframes) >= 1
    if name == "slow.mp4":
        assert "The video has 1 frame a second, and the model was trained on 2" in video.warnings[0]


def test_a_variable_frame_rate_is_sampled_by_time(go, bright: str, tmp_path: Path):
    stamps = [*range(0, 4000, 100), *range(4000, 8000, 40), *range(8000, 12000, 1000)]
    video = only(go(bright, film(tmp_path / "v.mkv", stamps=stamps)))
    seconds = column(video.page, "seconds")
    assert seconds.tolist() == pytest.approx([*(k / 2 for k in range(16)), 8, 9, 10, 11], abs=0.04)
    assert [stamps[int(f)] / 1000 for f in column(video.page, "frame")] == pytest.approx(seconds, abs=0.002)


def test_a_phone_held_upright_gives_upright_pictures(go, bright: str, tmp_path: Path):
    path = turned(film(tmp_path / "v.mp4", codec="libx264"), 64)
    assert probe(path).rotation
    video = only(go(bright, path))
    with Image.open(video.page.parent / video.keyframes[0].file) as picture:
        assert picture.size == (64, 96)


def test_4k_is_written_at_most_1920_pixels_wide(go, bright: str, tmp_path: Path):
    path = film(tmp_path / "v.mp4", seconds=1.5, fps=4, width=3840, height=2160, preset="ultrafast")
    video = only(go(bright, path))
    with Image.open(video.page.parent / video.keyframes[0].file) as picture:
        assert picture.size == (1920, 1080)
    assert "1920 pixels wide" in video.page.read_text()


def test_more_keyframes_than_a_sheet_holds_are_said_and_listed(go, bright: str, tmp_path: Path):
    video = only(go(bright, film(tmp_path / "v.mp4", seconds=40), share=1.0))
    page = video.page.read_text()
    assert len(video.keyframes) == 80
    assert "The 60 highest of 80 keyframes" in page
    assert page.count('alt="Keyframe ') == 60
    assert all(page.count(k.file) >= 1 for k in video.keyframes)


CLASSES = IO({"inputs": Spec("TCHW", (8, 3, 32, 32), "uint8")}, {"logits": Spec("K", (10,), "float32")})
CLIPS = IO({"inputs": Spec("TCHW", (10, 1, 64, 64), "uint8")}, {"frames": Spec("TCHW", (10, 1, 64, 64), "float32")})


@pytest.mark.parametrize(
    ("io", "model", "told"),
    [
        (CLASSES, Choice.of("bright"), "gives out 'logits' of axes K, and `predict` needs 'logits' of axes T"),
        (CLIPS, Choice.of("bright", factor=2.0), "gives out 'frames' of axes TCHW, and `predict` needs"),
        (FEATURES, TINY, "was trained on ready-made features, so its model cannot look at a video"),
        (IO({"sound": Spec("TK", (None, 4), "float32")}, SCORES), Choice.of("bright", factor=3.0), "reads 'sound' of"),
    ],
)
def test_trials_of_other_kinds_are_refused(
    go, runs: Path, registry: Registry, io: IO, model: Choice, told: str, tmp_path
):
    trial = store_trial(runs, io, model, registry, task="other").id
    with pytest.raises(ConfigError, match=re.escape(told)) as raised:
        go(trial, tmp_path / "v.mp4")
    assert raised.value.hint
    assert not (tmp_path / "out").exists()


def test_a_trial_that_failed_is_refused_with_its_reason(go, runs: Path, registry: Registry, tmp_path: Path):
    trial = store_trial(runs, frames(16, 24), Choice.of("bright"), registry, status="failed", reason="diverged").id
    with pytest.raises(StoreError, match=f"trial '{trial}' failed: diverged"):
        go(trial, film(tmp_path / "v.mp4"))


def test_models_that_break_their_promise_are_named(go, runs: Path, registry: Registry, tmp_path: Path):
    path = film(tmp_path / "v.mp4", seconds=2)
    trials = [store_trial(runs, frames(16, 16), Choice.of("odd", nothing=n), registry).id for n in (False, True)]
    for trial, told in zip(trials, ("answers [1, 3] to a video of 4 frames", "are no finite numbers"), strict=True):
        (failure,) = go(trial, path).failures
        assert told in failure.error.message


@pytest.mark.parametrize("place", ["taken", "taken/below"])
def test_an_output_folder_that_cannot_be_made_is_refused_before_anything_is_decoded(
    go, bright: str, place: str, tmp_path
):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="cannot make the folder"):
        go(bright, film(tmp_path / "v.mp4"), out=tmp_path / place)


def test_a_folder_of_a_video_that_is_a_file_is_a_clear_error_and_the_others_are_done(go, bright: str, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "v").write_text("a file")
    done = go(bright, film(tmp_path / "v.mp4"), film(tmp_path / "w.mp4"))
    (failure,) = done.failures
    assert isinstance(failure.error, StoreError)
    assert "out/v'" in failure.error.message
    assert [v.path.name for v in done.videos] == ["w.mp4"]


def test_whatever_goes_wrong_with_one_video_the_others_are_done(go, bright: str, tmp_path: Path, monkeypatch: Any):
    paths = [film(tmp_path / name, seconds=2) for name in ("a.mp4", "b.mp4", "c.mp4")]
    real = scoring.Scorer.__call__

    def fails(self: Any, frames: Any, *rest: Any) -> Any:
        if frames.path.name == "b.mp4":
            raise RuntimeError("a kernel that does not like b")
        return real(self, frames, *rest)

    monkeypatch.setattr(scoring.Scorer, "__call__", fails)
    done = go(bright, *paths)
    assert [v.path.name for v in done.videos] == ["a.mp4", "c.mp4"]
    (failure,) = done.failures
    assert failure.error.message.endswith("b.mp4' could not be done: RuntimeError: a kernel that does not like b")


@pytest.mark.parametrize(("width", "height", "pictures"), [(16, 66000, (1, 4096)), (16, 4200, (16, 4096))])
def test_a_picture_that_is_too_high_for_a_jpeg_is_shrunk(
    go, bright: str, tmp_path: Path, width: int, height: int, pictures: tuple[int, int]
):
    path = film(tmp_path / "v.mkv", seconds=0.5, fps=2, width=width, height=height, codec="ffv1")
    video = only(go(bright, path))
    with Image.open(video.page.parent / video.keyframes[0].file) as picture:
        assert picture.size == pictures
    assert f"{pictures[0]} pixels wide" in video.page.read_text()


def test_a_picture_that_cannot_be_encoded_is_not_called_a_full_disk(
    go, bright: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stills, "HIGHEST", 70_000)
    path = film(tmp_path / "v.mkv", seconds=0.5, fps=2, width=16, height=66000, codec="ffv1")
    (failure,) = go(bright, path).failures
    assert "v.mkv' could not be done: OSError: " in failure.error.message
    assert "disk" not in str(failure.error)


def test_a_run_that_fails_midway_leaves_no_page_of_an_earlier_one(
    go, bright: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = film(tmp_path / "v.mp4")
    page = only(go(bright, path)).page

    def fails(*_: Any) -> bytes:
        raise OSError("no font")

    with monkeypatch.context() as patch:
        patch.setattr(folder, "grid_jpeg", fails)
        assert len(go(bright, path, top=2).failures) == 1
    assert not page.exists()
    assert only(go(bright, path, top=2)).page.exists()


def test_one_video_needs_no_list(bright: str, runs: Path, registry: Registry, tmp_path: Path):
    path = film(tmp_path / "v.mp4", seconds=2)
    for given in (path, str(path)):
        done = api.predict(bright, given, tmp_path / "out", runs=runs, device="cpu", registry=registry)
        assert only(done).path == path


def test_names_from_outside_do_no_harm_to_the_page(go, bright: str, tmp_path: Path):
    name = "a<script>alert(1)</script>$x$ & ünïcode %s {{7*7}}"
    path = film(tmp_path / "v.mp4", seconds=2)
    hostile = tmp_path / f"{name.replace('/', ' ')}.mp4"
    path.rename(hostile)
    page = only(go(bright, hostile)).page.read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "{{7*7}}" in page


def test_equal_scores_give_a_page_and_the_earliest_frames(go, runs: Path, registry: Registry, tmp_path: Path):
    flat = store_trial(runs, frames(16, 16), Choice.of("bright", factor=0.0), registry).id
    video = only(go(flat, film(tmp_path / "v.mp4"), top=3))
    assert [k.frame for k in video.keyframes] == [0, 5, 10]


def texts(page: str, tag: str) -> Sequence[str]:
    return re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)


def test_the_page_says_how_it_was_made_without_network_or_script(go, tiny: str, tmp_path: Path):
    video = only(go(tiny, film(tmp_path / "v.mp4")))
    page = video.page.read_text()
    facts = dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))
    assert "keyframe_transformer(backbone=resnet10t" in facts["Model"]
    assert tiny in facts["Trial"]
    assert facts["Sampling"].startswith("2 frames a second, by the file&#39;s own time stamps: 16 frames")
    assert "15 % of the sampled frames" in facts["Keyframes"]
    assert "random backbone" in page
    assert not re.search(r"<script|https?://|@import|url\(", page)
    images = re.findall(r"<img [^>]*>", page)
    assert len(images) > len(video.keyframes) == 3
    assert all(re.search(r'alt="[^"]+"', i) and 'src="data:image/jpeg;base64,' in i for i in images)
    assert '<svg viewBox="0 0 1000 260" preserveAspectRatio="none" role="img" aria-label="Line chart' in page
