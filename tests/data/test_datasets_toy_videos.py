from __future__ import annotations

import hashlib
import itertools
import math
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from harness.data import digest, probe, read_frames
from harness.errors import ConfigError
from harness_datasets import _scenes, _video_files
from harness_datasets.toy_videos import ToyVideos

SMALL: dict[str, Any] = {"train": 2, "val": 1, "test": 1, "scenes": 3, "size": 48}
NOWHERE = Path("nowhere")


def made(cache: Path) -> dict[str, str]:
    """Names of all files that were written, with hashes of their bytes."""
    files = (cache / "toy_videos").glob("*/*")
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.name != ".lock"}


def test_files_are_whole_h264_of_the_planned_length(cache: Path, capfd: Any) -> None:
    data = ToyVideos(NOWHERE, **SMALL)
    paths = sorted((cache / "toy_videos").glob("*/*.mp4"))
    assert [p.name for p in paths] == ["test-0000.mp4", "train-0000.mp4", "train-0001.mp4", "val-0000.mp4"]
    for path in paths:
        split, number = path.stem.split("-")
        seconds = sum(s.count for s in _scenes.plan(0, split, int(number), 3)) / 2
        info = probe(path)
        assert (info.frames, info.fps, info.width, info.height, info.short) == (seconds * 10, 10.0, 48, 48, 0.0)
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == "h264"
            assert sum(1 for _ in container.decode(video=0)) == info.frames
        assert data.split(split).lengths[int(number)] == 2 * seconds
    assert capfd.readouterr() == ("", "")


def test_videos_last_twenty_to_forty_seconds() -> None:
    lengths = [sum(s.count for s in _scenes.plan(0, "train", i, 8)) / 2 for i in range(200)]
    assert min(lengths) >= 16
    assert max(lengths) <= 40
    assert np.mean(lengths) == pytest.approx(28, abs=1)


def test_items_are_the_sampled_frames_with_their_truth() -> None:
    split = ToyVideos(NOWHERE, **SMALL).split("test")
    batch, extras = split.batch([0], 0), split.extras(0)
    scenes = _scenes.plan(0, "test", 0, 3)
    count = sum(s.count for s in scenes)
    assert batch["inputs"].shape == (1, count, 3, 48, 48)
    assert batch["inputs"].dtype == torch.uint8
    assert batch["position"][0].tolist() == list(range(count))
    assert bool(batch["mask"].all())
    assert extras["picks"].tolist() == list(range(0, 5 * count, 5))
    assert extras["times"] == pytest.approx(np.arange(count) / 2)
    assert int(extras["n_frames"]) == 5 * count
    assert extras["annotators"].shape == (5, count)
    values = _scenes.importance([s.kind for s in scenes])
    expected = np.repeat(values, [s.count for s in scenes])
    assert batch["target"][0].tolist() == pytest.approx(expected.tolist())
    path = next(p for p in Path(os.environ["HARNESS_CACHE"]).rglob("test-0000.mp4"))
    frames = np.concatenate(list(read_frames(path, extras["picks"].tolist(), size=(48, 48))))
    assert (batch["inputs"][0].numpy().transpose(0, 2, 3, 1) == frames).all()


def test_change_points_are_the_cuts_that_the_pictures_show(cache: Path) -> None:
    shots = ToyVideos(NOWHERE, **SMALL).split("test").extras(0)["change_points"]
    path = next(cache.rglob("test-0000.mp4"))
    frames = np.concatenate(list(read_frames(path))).astype(int)
    assert shots[0, 0] == 0
    assert shots[-1, 1] == len(frames) - 1
    assert (shots[1:, 0] == shots[:-1, 1] + 1).all()
    steps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    cuts = shots[1:, 0] - 1
    assert steps[cuts].min() > 2 * np.delete(steps, cuts).max()


def test_importance_is_what_stands_out_from_its_neighbours() -> None:
    a, beyond = [0.1, 0.4, 0.7, 1.0], 0.735
    for kinds in itertools.product(range(4), repeat=3):
        before, here, behind = (a[k] for k in kinds)
        expected = [
            math.sqrt(before * (1.1 - max(beyond, here))),
            math.sqrt(here * (1.1 - max(before, behind))),
            math.sqrt(behind * (1.1 - max(here, beyond))),
        ]
        assert _scenes.importance(kinds) == pytest.approx(expected)
        assert all(0 < v <= 1 for v in expected)


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def mean_correlation(predict: Callable[[np.ndarray, np.ndarray], np.ndarray], videos: int = 80) -> float:
    """Of a predictor of (kinds [T], truth [T]): the mean over videos and annotators, with the default options."""
    found = []
    for i in range(videos):
        scenes = _scenes.plan(0, "test", i, 8)
        truth = _scenes.truth(scenes)
        kinds = np.repeat([s.kind for s in scenes], [s.count for s in scenes])
        people = _scenes.annotators(truth, 5, 0.15, 0, "test", i)
        found.append(np.mean([correlation(predict(kinds, truth), p) for p in people]))
    return float(np.mean(found))


def test_neither_position_nor_a_single_frame_suffices() -> None:
    truth = mean_correlation(lambda _, truth: truth)
    assert truth > 0.65
    for position in (lambda k, _: np.arange(len(k)), lambda k, _: -np.abs(np.arange(len(k)) - (len(k) - 1) / 2)):
        assert abs(mean_correlation(position)) < 0.08
    # A frame tells its kind at most, so whatever is predicted from it alone is some order of the kinds.
    best = max(
        mean_correlation(lambda kinds, _, order=order: np.array(order)[kinds])
        for order in itertools.permutations(range(4))
    )
    assert 0.3 < best < truth - 0.15


def test_ends_of_a_video_matter_as_much_as_its_middle() -> None:
    values = np.array([_scenes.importance([s.kind for s in _scenes.plan(1, "train", i, 8)]) for i in range(3000)])
    assert values.mean(0) == pytest.approx(np.full(8, values.mean()), abs=0.02)


def test_what_a_scene_looks_like_tells_nothing_of_its_importance() -> None:
    scenes = [s for i in range(400) for s in _scenes.plan(2, "train", i, 8)]
    kinds = np.array([s.kind for s in scenes])
    looks = np.array([s.looks for s in scenes])
    for kind in range(4):
        assert np.abs(looks[kinds == kind].mean(0) - 0.5).max() < 0.05
        assert np.mean([s.count for s in scenes if s.kind == kind]) == pytest.approx(7, abs=0.3)


def test_annotators_are_the_truth_and_noise_that_lasts_two_seconds() -> None:
    truth = _scenes.truth(_scenes.plan(0, "test", 0, 8))
    exact = _scenes.annotators(truth, 2, 0.0, 0, "test", 0)
    assert (exact == np.clip(np.rint(1 + 4 * truth), 1, 5)).all()
    flat = np.full(4000, 0.5, dtype=np.float32)
    noisy = _scenes.annotators(flat, 3, 0.15, 0, "test", 0)
    assert set(np.unique(noisy)) <= {1, 2, 3, 4, 5}
    assert (noisy.reshape(3, -1, 4) == noisy.reshape(3, -1, 4)[:, :, :1]).all()
    # Rounding to whole points adds a variance of 1 / 12.
    assert noisy.std(1) == pytest.approx(np.full(3, math.sqrt((4 * 0.15) ** 2 + 1 / 12)), rel=0.1)
    assert np.abs(np.corrcoef(noisy)[~np.eye(3, dtype=bool)]).max() < 0.12
    assert (_scenes.annotators(flat, 2, 0.15, 0, "test", 0) == noisy[:2]).all()
    assert (_scenes.annotators(flat, 2, 0.15, 0, "test", 1) != noisy[:2]).any()


def test_second_use_reads_the_same_files_and_frames(cache: Path) -> None:
    first = ToyVideos(NOWHERE, **SMALL).split("train")
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*.mp4")}
    frames = np.concatenate(list(first.frames(1)))
    second = pickle.loads(pickle.dumps(ToyVideos(NOWHERE, **SMALL))).split("train")
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("*.mp4")} == before
    assert (np.concatenate(list(second.frames(1))) == frames).all()
    assert (second.batch([1], 0)["inputs"][0].numpy() == frames).all()
    more = ToyVideos(NOWHERE, **SMALL | {"train": 3})
    assert len(more.split("train")) == 3
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_damaged_and_half_written_files_are_written_again(cache: Path) -> None:
    ToyVideos(NOWHERE, **SMALL)
    whole = made(cache)
    one, other = sorted(cache.rglob("train-*.mp4"))
    one.write_bytes(one.read_bytes()[:1000])
    other.unlink()
    (one.parent / ".val-0000.abc.part").write_bytes(b"killed here")
    ToyVideos(NOWHERE, **SMALL)
    assert made(cache) == whole


def test_a_fault_that_passed_costs_no_file_for_ever(cache: Path) -> None:
    ToyVideos(NOWHERE, **SMALL)
    path = next(cache.rglob("train-0000.mp4"))
    _video_files._damaged(digest(path), "the drive was away")
    before = path.stat().st_mtime_ns
    frames = ToyVideos(NOWHERE, **SMALL).split("train").batch([0], 0)["inputs"]
    assert frames.float().std() > 1
    after = path.stat().st_mtime_ns
    assert after > before
    ToyVideos(NOWHERE, **SMALL)
    assert path.stat().st_mtime_ns == after


def test_two_processes_at_once_write_each_file_once(cache: Path) -> None:
    code = (
        "from pathlib import Path\nfrom harness_datasets.toy_videos import ToyVideos\n"
        f"data = ToyVideos(Path('x'), **{SMALL!r})\nprint(int(data.split('train').batch([0, 1], 0)['inputs'].sum()))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert told[0][0] == told[1][0] != ""
    assert [err for _, err in told] == ["", ""]
    assert sorted(made(cache)) == ["test-0000.mp4", "train-0000.mp4", "train-0001.mp4", "val-0000.mp4"]


def test_a_process_that_is_killed_leaves_nothing_that_counts(cache: Path) -> None:
    options = SMALL | {"train": 40}
    code = f"from harness_datasets.toy_videos import Path, ToyVideos\nToyVideos(Path('x'), **{options!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        while not list(cache.rglob("*.mp4")) and process.poll() is None:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    for path in cache.rglob("*.mp4"):
        assert probe(path).short == 0
    data = ToyVideos(NOWHERE, **options)
    assert len(data.split("train")) == 40
    assert len(made(cache)) == 42


def test_windows_are_training_items_alone() -> None:
    info, data = ToyVideos.describe(NOWHERE, window=10, **SMALL), ToyVideos(NOWHERE, window=10, **SMALL)
    lengths = [sum(s.count for s in _scenes.plan(0, "train", i, 3)) for i in range(2)]
    assert info.sizes == {"train": sum(math.ceil(n / 10) for n in lengths), "val": 1, "test": 1}
    assert {s: len(data.split(s)) for s in ("train", "val", "test")} == info.sizes
    assert data.split("train").ids[0] == "train-0000#0"
    assert data.split("test").ids == ["test-0000"]
    assert data.split("train").batch([0, 1], 7)["inputs"].shape == (2, 10, 3, 48, 48)


def test_describing_writes_nothing_and_imports_neither_torch_nor_a_decoder(cache: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness_datasets.toy_videos import ToyVideos\n"
        "info = ToyVideos.describe(Path('x'))\nassert not {'torch', 'av', 'decord'} & set(sys.modules)\n"
        "print(info.fingerprint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    info = ToyVideos.describe(NOWHERE)
    assert done.stdout.strip() == info.fingerprint
    assert not cache.exists()
    assert info.sizes == {"train": 32, "val": 8, "test": 20}
    assert info.specs["inputs"].shape == (None, 3, 96, 96)
    assert (info.specs["inputs"].scaled, info.specs["inputs"].rate) == (False, 2.0)
    assert "fingerprint is of their generator" in info.notes[0]
    assert ToyVideos.files() == ()


def test_every_option_is_in_the_fingerprint() -> None:
    changes: list[dict[str, Any]] = [
        {}, {"train": 3}, {"val": 3}, {"test": 3}, {"scenes": 5}, {"size": 64}, {"window": 8}, {"annotators": 3},
        {"noise": 0.1}, {"seed": 1},
    ]  # fmt: skip
    assert len({ToyVideos.describe(NOWHERE, **c).fingerprint for c in changes}) == len(changes)


@pytest.mark.parametrize(
    "wrong",
    [{"train": 0}, {"val": -1}, {"scenes": 0}, {"size": 31}, {"size": 49}, {"window": 0}, {"annotators": 0},
     {"noise": -0.1}, {"noise": float("nan")}, {"seed": -1}],
)  # fmt: skip
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"option '{next(iter(wrong))}'"):
        ToyVideos.describe(NOWHERE, **wrong)
