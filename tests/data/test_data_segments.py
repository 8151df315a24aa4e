"""Kernel temporal segmentation against a search through all cuts; shots in frames; what frames look like."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest

from harness.data import frame_descriptors, kernel_segments, shots
from harness.errors import ConfigError, DataError


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def objective(x: np.ndarray, cuts: tuple[int, ...], penalty: float) -> float:
    total, m = len(x), len(cuts)
    parts = np.split(x, cuts)
    spread = sum(float(((part - part.mean(axis=0)) ** 2).sum()) for part in parts) / total
    return spread + (penalty * m / (2 * total) * (np.log(total / m) + 1) if m else 0.0)


def by_trying_all(x: np.ndarray, most: int, penalty: float) -> tuple[int, ...]:
    every = (c for m in range(most + 1) for c in itertools.combinations(range(1, len(x)), m))
    return min(every, key=lambda cuts: objective(x, cuts, penalty))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("total", [1, 2, 5, 9])
@pytest.mark.parametrize("penalty", [0.02, 0.5, 2.0])
def test_no_other_way_to_cut_is_better(total: int, seed: int, penalty: float) -> None:
    x = random(total, 3, seed=seed) / np.sqrt(3)
    for most in (None, 0, 1, 3):
        found = kernel_segments(x, most, penalty)
        best = by_trying_all(x, total - 1 if most is None else min(most, total - 1), penalty)
        assert tuple(found[1:, 0].tolist()) == best
        assert found[0, 0] == 0
        assert found[-1, 1] == total - 1
        assert (found[1:, 0] == found[:-1, 1] + 1).all()


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_planted_cuts_are_found_wherever_the_features_lie(shift: float) -> None:
    cuts = [40, 75, 180, 190, 260]
    centres = random(len(cuts) + 1, 64, seed=1)
    x = np.repeat(centres, np.diff([0, *cuts, 300]), axis=0) + 0.3 * random(300, 64, seed=2)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert kernel_segments(x + shift)[1:, 0].tolist() == cuts
    assert kernel_segments(x.astype(np.float32))[1:, 0].tolist() == cuts


def test_a_higher_penalty_and_a_lower_limit_cut_less() -> None:
    x = random(60, 8) / np.sqrt(8)
    counts = [len(kernel_segments(x, penalty=p)) for p in (0.1, 1.0, 3.0, 10.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 1
    assert len(kernel_segments(x, most=4, penalty=0.1)) == 5


def test_nothing_is_cut_where_nothing_changes() -> None:
    assert kernel_segments(np.full((50, 3), 0.1)).tolist() == [[0, 49]]
    assert kernel_segments(np.zeros((50, 3)), penalty=0).tolist() == [[0, 49]]
    assert kernel_segments(np.zeros((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_the_longest_video_of_tvsum_takes_seconds(penalty: float) -> None:
    x = random(1300, 64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    start = time.process_time()
    kernel_segments(x, penalty=penalty)  # noise, so that no early end helps
    assert time.process_time() - start < 10


@pytest.mark.parametrize("total", [4097, 20_000])
def test_a_long_sequence_is_cut_as_the_means_of_neighbouring_rows_are(total: int) -> None:
    centres = random(30, 16, seed=1)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    x = (np.repeat(centres, -(-total // 30), axis=0)[:total] + 0.02 * random(total, 16, seed=2)).astype(np.float32)
    stretch = -(-total // 4096)
    pooled = np.array([x[i : i + stretch].astype(np.float64).mean(axis=0) for i in range(0, total, stretch)])
    assert len(pooled) <= 4096
    start = time.process_time()
    found = kernel_segments(x)
    assert time.process_time() - start < 20
    expected = kernel_segments(pooled) * stretch
    assert len(expected) >= 30
    assert found[:, 0].tolist() == expected[:, 0].tolist()
    assert found[:, 1].tolist() == [*(expected[1:, 0] - 1).tolist(), total - 1]
    assert found.dtype == np.int64


def test_a_long_sequence_that_is_not_finite_is_refused() -> None:
    x = np.zeros((5000, 2), dtype=np.float32)
    x[4321] = np.inf, np.nan
    with pytest.raises(DataError, match=r"\(5000, 2\)"):
        kernel_segments(x)


@pytest.mark.parametrize(
    ("x", "options", "kind"),
    [
        (np.full((4, 2), np.nan), {}, DataError),
        (np.zeros(4), {}, DataError),
        (np.zeros((4, 2)), {"penalty": -1.0}, ConfigError),
        (np.zeros((4, 2)), {"penalty": float("nan")}, ConfigError),
        (np.zeros((4, 2)), {"most": -1}, ConfigError),
    ],
)
def test_what_cannot_be_segmented_is_refused(x: np.ndarray, options: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        kernel_segments(x, **options)


def test_shots_begin_at_sampled_frames_and_cover_the_video() -> None:
    found = shots(np.array([[0, 1], [2, 2], [3, 4]]), np.array([3, 15, 30, 45, 60]), 70)
    assert found.tolist() == [[0, 29], [30, 44], [45, 69]]
    assert found.dtype == np.int64
    assert shots(np.array([[0, 0]]), np.array([0]), 1).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("segments", "picks", "frames"),
    [
        ([[0, 1]], [0, 15], 15),
        ([[0, 1]], [15, 0], 30),
        ([[0, 1]], [0, 0], 30),
        ([[0, 1]], [-1, 5], 30),
        ([[0, 0]], [0, 15], 30),
        ([[1, 1]], [0, 15], 30),
        ([[0, 0], [2, 2]], [0, 15, 20], 30),
        ([[0, 2], [3, 2]], [0, 15, 20], 30),
        ([], [0, 15], 30),
        ([], [], 30),
    ],
)
def test_segments_that_do_not_fit_the_samples_are_refused(segments: Any, picks: Any, frames: int) -> None:
    with pytest.raises(DataError):
        shots(np.array(segments, dtype=np.int64), np.array(picks, dtype=np.int64), frames)


def slow_descriptor(frame: np.ndarray) -> list[float]:
    _, height, width = frame.shape
    rows, columns = np.split(np.arange(height), 4), np.split(np.arange(width), 4)
    means = [[[frame[c][np.ix_(r, k)].mean() / 255 for k in columns] for r in rows] for c in range(3)]
    counts = np.zeros((8, 8, 8))
    for y, x in itertools.product(range(height), range(width)):
        counts[tuple(int(v) // 32 for v in frame[:, y, x])] += 1
    return [*(np.ravel(means) / np.sqrt(96)), *(np.sqrt(counts.ravel() / (height * width) / 2))]


def test_descriptors_are_what_their_documentation_says() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 12), dtype=np.uint8)
    found = frame_descriptors([frames[:2], frames[:0], frames[2:]])
    assert (found.shape, found.dtype) == ((5, 560), np.dtype("float32"))
    assert np.allclose(found, [slow_descriptor(f) for f in frames], atol=1e-6)
    assert (np.linalg.norm(found, axis=1) <= 1 + 1e-6).all()
    assert np.linalg.norm(frame_descriptors([np.full((1, 3, 4, 4), 255, dtype=np.uint8)])) == pytest.approx(1)


def test_descriptors_of_any_size_and_of_no_frame() -> None:
    assert frame_descriptors([]).shape == (0, 560)
    for size in ((1, 1), (2, 5), (97, 31)):
        same = frame_descriptors([np.full((2, 3, *size), 51, dtype=np.uint8)])
        assert np.allclose(same[:, :48], 0.2 / np.sqrt(96))
        assert same[0, 48:].nonzero()[0].tolist() == [1 * 64 + 1 * 8 + 1]


def test_large_blocks_give_the_same_as_single_frames() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (40, 3, 224, 224), dtype=np.uint8)
    assert np.array_equal(frame_descriptors([frames]), frame_descriptors(f[None] for f in frames))
