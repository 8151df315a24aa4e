"""Agreement of rankings against scipy, loops over pairs, and every way to break ties."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from harness.tasks.ranking import budget, kendall, precision, spearman


def rows(seed: int, count: int, length: int, levels: int = 0) -> np.ndarray:
    """Random scores; with `levels`, in as many steps, and so full of ties."""
    generator = np.random.default_rng(seed)
    return generator.integers(levels, size=(count, length)) if levels else generator.normal(size=(count, length))


@pytest.mark.parametrize(("left", "right"), [(0, 0), (0, 5), (5, 5), (2, 3)])
@pytest.mark.parametrize("length", [2, 3, 17, 300])
def test_correlations_are_scipys_with_and_without_ties(left: int, right: int, length: int):
    a, b = rows(1, 4, length, left), rows(2, 3, length, right)
    rho, tau = spearman(a, b), kendall(a, b)
    for i, j in np.ndindex(4, 3):
        if np.ptp(a[i]) == 0 or np.ptp(b[j]) == 0:
            assert (rho[i, j], tau[i, j]) == (0, 0)
            continue
        assert rho[i, j] == pytest.approx(stats.spearmanr(a[i], b[j]).statistic, abs=1e-9)
        assert tau[i, j] == pytest.approx(stats.kendalltau(a[i], b[j]).statistic, abs=1e-9)


def test_tau_b_is_a_count_over_all_pairs():
    a, b = rows(3, 1, 40, 4)[0], rows(4, 1, 40, 6)[0]
    agreeing, free_a, free_b = 0, 0, 0
    for i, j in combinations(range(40), 2):
        agreeing += int(np.sign(a[i] - a[j]) * np.sign(b[i] - b[j]))
        free_a += a[i] != a[j]
        free_b += b[i] != b[j]
    assert kendall(a[None], b[None])[0, 0] == pytest.approx(agreeing / np.sqrt(free_a * free_b), abs=1e-12)


@pytest.mark.parametrize("measure", [spearman, kendall])
def test_a_correlation_with_something_constant_is_zero_and_not_undefined(measure):
    flat, steps = np.full((1, 9), 0.3), rows(5, 1, 9)
    assert measure(flat, steps)[0, 0] == 0
    assert measure(steps, flat)[0, 0] == 0
    assert measure(flat, flat)[0, 0] == 0
    assert measure(np.ones((1, 1)), np.ones((1, 1)))[0, 0] == 0


@pytest.mark.parametrize("measure", [spearman, kendall, lambda a, b: precision(a, b, 0.15)])
def test_the_order_of_frames_never_matters(measure):
    a, b = rows(6, 2, 50, 5), rows(7, 3, 50, 4)
    order = np.random.default_rng(8).permutation(50)
    assert np.allclose(measure(a, b), measure(a[:, order], b[:, order]), atol=1e-12)


def test_correlations_see_ranks_alone():
    a, b = rows(9, 2, 60), rows(10, 2, 60, 5)
    for measure in (spearman, kendall):
        assert np.allclose(measure(a, b), measure(np.exp(3 * a), b**3), atol=1e-12)
        assert np.allclose(measure(a, b), -measure(-a, b), atol=1e-12)
        assert np.allclose(np.diagonal(measure(a, a)), 1)


def test_precision_is_the_mean_over_all_ways_to_break_ties():
    a, b, places = np.array([2, 1, 1, 1, 0, 0]), np.array([1, 1, 0, 2, 2, 2]), 2
    shares = []
    for first in permutations(range(6)):
        # A stable sort of shuffled frames breaks ties at random.
        top_a = {first[i] for i in np.argsort(-a[list(first)], kind="stable")[:places]}
        for second in permutations(range(6)):
            top_b = {second[i] for i in np.argsort(-b[list(second)], kind="stable")[:places]}
            shares.append(len(top_a & top_b) / places)
    assert precision(a[None], b[None], places / 6)[0, 0] == pytest.approx(np.mean(shares), abs=1e-12)


def test_precision_without_ties_is_the_overlap_of_two_sets():
    a, b = rows(11, 1, 101)[0], rows(12, 1, 101)[0]
    top_a, top_b = (set(np.argsort(-x)[:16]) for x in (a, b))  # 15 % of 101, rounded up
    assert precision(a[None], b[None], 0.15)[0, 0] == len(top_a & top_b) / 16
    assert precision(a[None], a[None], 0.15)[0, 0] == 1
    assert precision(a[None], -a[None], 0.15)[0, 0] == 0


@pytest.mark.parametrize("levels", [0, 3])
def test_a_constant_prediction_has_the_precision_of_chance(levels: int):
    truth = rows(13, 4, 120, levels)
    assert precision(np.zeros((1, 120)), truth, 0.15) == pytest.approx(18 / 120)


def test_the_budget_is_rounded_up_but_not_by_rounding_errors():
    assert [budget(n, 0.15) for n in (1, 6, 7, 20, 21, 140, 1294)] == [1, 1, 2, 3, 4, 21, 195]
    assert all(budget(20 * n, 0.15) == 3 * n for n in range(1, 500))
