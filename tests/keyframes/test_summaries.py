"""Summaries against a search of all subsets, and against a second, plain implementation of the field's code."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from harness.tasks.summaries import Shots, Users, knapsack


def cuts(generator: np.random.Generator, frames: int, count: int) -> np.ndarray:
    """Shots [S, 2] that cover the video."""
    inner = np.sort(generator.choice(np.arange(1, frames), count - 1, replace=False))
    return np.stack([np.concatenate([[0], inner]), np.concatenate([inner - 1, [frames - 1]])], axis=1)


def plain_f1(a: np.ndarray, b: np.ndarray) -> float:
    both = int((a & b).sum())
    if both == 0:
        return 0.0
    p, r = both / a.sum(), both / b.sum()
    return float(2 * p * r / (p + r))


def plain_summary(scores: np.ndarray, picks: np.ndarray, frames: int, shots: np.ndarray) -> tuple[np.ndarray, float]:
    """Frames of the best of all subsets, and its value."""
    spread = np.zeros(frames)
    for t, start in enumerate(picks):
        spread[start : picks[t + 1] if t + 1 < len(picks) else frames] = scores[t]
    values = [spread[a : b + 1].mean() for a, b in shots]
    best, kept = -1.0, ()
    for subset in product([False, True], repeat=len(shots)):
        used = sum(b - a + 1 for (a, b), taken in zip(shots, subset, strict=True) if taken)
        value = sum(v for v, taken in zip(values, subset, strict=True) if taken)
        if used <= frames * 15 // 100 and value > best + 1e-12:
            best, kept = value, subset
    summary = np.zeros(frames, bool)
    for (a, b), taken in zip(shots, kept, strict=True):
        summary[a : b + 1] = taken
    return summary, best


@pytest.mark.parametrize("seed", range(20))
def test_the_knapsack_is_the_best_of_all_subsets(seed: int):
    generator = np.random.default_rng(seed)
    weights, capacity = generator.integers(1, 12, 9), int(generator.integers(0, 40))
    values = generator.normal(0.3, 0.5, (3, 9)) if seed % 2 else generator.integers(0, 4, (3, 9))
    subsets = np.array(list(product([0, 1], repeat=9)))
    fitting = subsets[subsets @ weights <= capacity]
    chosen = knapsack(values, weights, capacity)
    for row, taken in zip(values, chosen, strict=True):
        assert taken @ weights <= capacity
        assert taken @ row == pytest.approx((fitting @ row).max(), abs=1e-9)


def test_of_equally_good_choices_later_shots_are_left_out():
    assert knapsack(np.array([[1, 1, 1, 1]]), np.array([5, 5, 5, 5]), 11).tolist() == [[True, True, False, False]]
    assert not knapsack(np.array([[0, 0]]), np.array([1, 1]), 2).any()


def test_rows_are_chosen_for_alike_together_or_alone(monkeypatch: pytest.MonkeyPatch):
    values, weights = np.random.default_rng(1).random((7, 12)), np.arange(3, 15)
    together = knapsack(values, weights, 40)
    monkeypatch.setattr("harness.tasks.summaries._CELLS", 1)
    assert (knapsack(values, weights, 40) == together).all()


@pytest.mark.parametrize("seed", range(12))
def test_a_summary_is_that_of_a_plain_search(seed: int):
    generator = np.random.default_rng(seed)
    frames = int(generator.integers(60, 400))
    shots = cuts(generator, frames, 10)
    picks = np.arange(0, frames, 15)
    scores = generator.random((2, len(picks)))
    found = Shots.of(shots, picks, frames, 0.15)
    summaries = found.frames(found.choose(scores), frames)
    for row, summary in zip(scores, summaries, strict=True):
        assert (summary == plain_summary(row, picks, frames, shots)[0]).all()


@pytest.mark.parametrize("best", [False, True])
def test_the_f_score_is_precision_and_recall_counted_over_frames(best: bool):
    generator = np.random.default_rng(3)
    frames, picks = 300, np.arange(0, 300, 15)
    shots = cuts(generator, frames, 25)
    users = (generator.random((4, frames)) < 0.2).astype(np.uint8)
    users[2] = 0
    found = Shots.of(shots, picks, frames, 0.15)
    chosen = found.choose(generator.random((3, len(picks))))
    summaries = found.frames(chosen, frames)
    expected = np.array([[plain_f1(s, u != 0) for u in users] for s in summaries])
    joined = expected.max(axis=1) if best else expected.mean(axis=1)
    assert Users(users, best).scores(found, chosen) == pytest.approx(joined, abs=1e-9)
    others = [[plain_f1(users[i] != 0, users[j] != 0) for j in range(4) if j != i] for i in range(4)]
    joined = np.max(others, axis=1) if best else np.mean(others, axis=1)
    assert Users(users, best).among() == pytest.approx(joined, abs=1e-6)


def test_a_frame_has_the_score_of_the_last_sample_and_before_the_first_that_of_the_first():
    found = Shots.of(np.array([[0, 3], [4, 9]]), np.array([2, 6]), 10, 0.5)
    assert np.array([[1.0, 3.0]]) @ found.weights.T == pytest.approx(np.array([[1.0, (2 * 1 + 4 * 3) / 6]]))
    assert found.capacity == 5


def test_a_video_of_one_shot_has_an_empty_summary_and_no_f_score():
    found = Shots.of(np.array([[0, 99]]), np.arange(0, 100, 10), 100, 0.15)
    chosen = found.choose(np.ones((1, 10)))
    assert not chosen.any()
    assert Users(np.zeros((2, 100), np.uint8), best=False).scores(found, chosen).tolist() == [0.0]


def test_the_budget_is_whole_frames_without_rounding_errors():
    shots = np.array([[0, 1]])
    assert all(Shots.of(shots, np.array([0]), 20 * n, 0.15).capacity == 3 * n for n in range(1, 2000))
    assert Shots.of(shots, np.array([0]), 139, 0.15).capacity == 20
