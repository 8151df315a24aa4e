"""Differences of recall and F1 by class: against slow loops, and against what must hold."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import precision_recall_fscore_support

from harness.errors import ConfigError
from harness.stats import class_differences, class_scores

K = 4


def noisy(target: np.ndarray, seeds: int, share: float, start: int, classes: int = K) -> np.ndarray:
    random = np.random.default_rng(start)
    wrong = random.random((seeds, len(target))) < share
    return np.where(wrong, random.integers(0, classes, (seeds, len(target))), target)


def slow(target: np.ndarray, a: np.ndarray, b: np.ndarray, draws: int, generator: int) -> tuple[np.ndarray, ...]:
    """The same resamples, item by item and with sklearn's scores."""
    index = np.random.default_rng(generator).integers(0, len(target), (draws, len(target)))
    recall, f1 = [], []
    for chosen in index:
        parts = []
        for predicted in (a, b):
            scores = [
                precision_recall_fscore_support(target[chosen], p[chosen], labels=range(K), zero_division=0)
                for p in predicted
            ]
            parts.append(np.mean([[s[1], s[2]] for s in scores], axis=0))
        recall.append(parts[0][0] - parts[1][0])
        f1.append(parts[0][1] - parts[1][1])
    ends = [0.025, 0.975]
    return *np.quantile(recall, ends, axis=0), *np.quantile(f1, ends, axis=0)


def test_intervals_are_those_of_a_slow_loop_over_the_same_resamples():
    target = np.random.default_rng(0).integers(0, K, 120)
    a, b = noisy(target, 3, 0.2, 1), noisy(target, 3, 0.4, 2)
    got = class_differences(target, a, b, K, draws=60, generator=9)

    expected = slow(target, a, b, 60, 9)
    for found, wanted in zip((got.recall_low, got.recall_high, got.f1_low, got.f1_high), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert (got.items, got.seeds, got.draws) == (120, 3, 60)


def test_scores_are_those_of_sklearn_averaged_over_seeds():
    target = np.random.default_rng(0).integers(0, K, 90)
    predicted = noisy(target, 2, 0.3, 1)
    got = class_scores(target, predicted, K)
    scores = [precision_recall_fscore_support(target, p, labels=range(K), zero_division=0) for p in predicted]

    for found, wanted in zip((got.precision, got.recall, got.f1, got.support), np.mean(scores, axis=0), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_ten_thousand_images_ten_classes_and_three_seeds_take_under_a_second():
    target = np.arange(10_000) % 10
    a, b = noisy(target, 3, 0.1, 1, 10), noisy(target, 3, 0.12, 2, 10)
    class_differences(target, a, b, 10, draws=10)  # imports
    start = time.process_time()
    class_differences(target, a, b, 10, draws=1000)

    assert time.process_time() - start < 1


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Over drawn test sets of one class, whose two arms differ by a known share."""
    random, held = np.random.default_rng(5), 0
    for trial in range(120):
        target = np.zeros(300, np.int64)
        a, b = (random.random((1, 300)) < share for share in (0.2, 0.3))
        got = class_differences(target, a.astype(int), b.astype(int), 2, draws=200, generator=trial)
        held += got.recall_low[0] <= 0.1 <= got.recall_high[0]

    assert 0.87 < held / 120 <= 1


def test_seeds_that_train_differently_are_not_taken_for_a_difference_of_arms():
    """Both arms err by a share that their seed draws: items say that they differ, and seeds that it may be chance."""
    random, over_items, both, rounds = np.random.default_rng(3), 0, 0, 60
    target = np.zeros(400, np.int64)
    for trial in range(rounds):
        a, b = (random.random((4, 400)) < random.uniform(0.1, 0.4, (4, 1)) for _ in range(2))
        got = class_differences(target, a.astype(int), b.astype(int), 2, draws=100, generator=trial)
        over_items += got.recall_low[0] > 0 or got.recall_high[0] < 0
        both += got.sign(0) != 0

    assert over_items / rounds > 0.3
    assert both / rounds < 0.15


def test_the_interval_over_seeds_is_that_of_the_paired_t_test():
    target = np.random.default_rng(0).integers(0, K, 120)
    a, b = noisy(target, 4, 0.2, 1), noisy(target, 4, 0.5, 2)
    got = class_differences(target, a, b, K, draws=10)
    of_class = target == 2
    recalls = [(p[:, of_class] == 2).mean(axis=1) for p in (a, b)]
    expected = stats.ttest_rel(*recalls).confidence_interval(0.95)

    assert (got.seeds_low[2], got.seeds_high[2]) == pytest.approx((expected.low, expected.high))
    assert got.sign(2) == 1
    assert np.isnan(class_differences(target, a[:1], b[:1], K, draws=10).seeds_low).all()


def test_equal_arms_have_no_difference_and_no_width():
    target = np.arange(60) % K
    a = noisy(target, 2, 0.3, 1)
    got = class_differences(target, a, a, K, draws=50)

    assert not np.any([got.recall, got.recall_low, got.recall_high, got.f1, got.f1_low, got.f1_high])


def test_a_class_without_an_item_has_no_recall_and_no_interval_of_it():
    target = np.array([0, 0, 1, 1])
    got = class_differences(target, target[None], np.array([[0, 1, 1, 2]]), 3, draws=50)

    assert np.isnan([got.recall[2], got.recall_low[2], got.recall_high[2]]).all()
    assert got.f1[2] == 0
    assert got.recall[0] == 0.5


def test_many_items_are_drawn_in_parts_and_the_same_call_gives_the_same_numbers():
    target = np.arange(90_000) % K
    a, b = noisy(target, 1, 0.1, 1), noisy(target, 1, 0.12, 2)
    first, second = (class_differences(target, a, b, K, draws=100, generator=3) for _ in range(2))

    np.testing.assert_array_equal(first.f1_low, second.f1_low)
    assert (first.recall_low < first.recall_high).all()


@pytest.mark.parametrize(
    ("target", "predicted"),
    [
        (np.array([0, 5]), np.array([[0, 1]])),
        (np.array([0, 1]), np.array([[0, -1]])),
        (np.array([0.0, 1.0]), np.array([[0, 1]])),
        (np.array([0, 1]), np.array([[0, 1, 1]])),
        (np.array([], dtype=int), np.empty((1, 0), dtype=int)),
    ],
)
def test_what_is_no_class_is_refused(target: np.ndarray, predicted: np.ndarray):
    with pytest.raises(ConfigError, match="class"):
        class_differences(target, predicted, predicted, K)


def test_rows_of_other_seeds_cannot_be_paired():
    target = np.array([0, 1])
    with pytest.raises(ConfigError, match=r"\(1, 2\) and \(2, 2\)"):
        class_differences(target, np.array([[0, 1]]), np.array([[0, 1], [0, 1]]), 2)
