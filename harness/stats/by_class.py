"""Recall and F1 of every class, and how they differ between two arms, with a bootstrap over the test items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from .intervals import check_level, mean_interval

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = np.ndarray[Any, Any]
_CHUNK = 4_000_000  # weights held at once: 16 MB as float32


@dataclass(frozen=True, slots=True)
class ClassScores:
    """[K] each; means over seeds. support: items of the class. A recall is NaN where the class has no item."""

    precision: Array
    recall: Array
    f1: Array
    support: Array


@dataclass(frozen=True, slots=True)
class ClassDifferences:
    """a - b, [K] each: the mean over seeds with a percentile interval over redrawn items.

    Ends are NaN where a class has no item (recall) or fewer than two items were tested. An interval holds seeds and
    training as they are: it says how far the difference hangs on which items were tested, nothing of new seeds. That is
    what `seeds_low` and `seeds_high` say: a t-interval of the recall over the pairs of seeds, NaN where one seed, or
    seeds that all agree, give none.
    """

    recall: Array
    recall_low: Array
    recall_high: Array
    seeds_low: Array
    seeds_high: Array
    f1: Array
    f1_low: Array
    f1_high: Array
    items: int
    seeds: int
    draws: int
    level: float

    def sign(self, k: int) -> int:
        """1 or -1 where both intervals of the recall of class k lie on that side of 0; else 0."""
        if self.recall_low[k] > 0 and self.seeds_low[k] > 0:
            return 1
        return -1 if self.recall_high[k] < 0 and self.seeds_high[k] < 0 else 0


def class_scores(target: Array, predicted: Array, classes: int) -> ClassScores:
    """target [N], predicted [S, N] (one line a seed), both int in [0, classes). F1 and precision are 0 at 0 / 0.

    Raises ConfigError for other shapes or values.
    """
    target, predicted = _checked(target, predicted, classes)
    ones = np.ones((len(target), 1), np.float32)
    support, hits, guesses = _counts(target, predicted, classes, ones)
    precision = (hits / np.maximum(guesses, 1)).mean(axis=0)[:, 0]
    recall, f1 = _recall(support, hits), _f1(support, hits, guesses)
    return ClassScores(precision, recall[:, 0], f1[:, 0], support[:, 0].astype(np.int64))


def class_differences(
    target: Array, a: Array, b: Array, classes: int, *, draws: int = 1000, level: float = 0.95, generator: int = 0
) -> ClassDifferences:
    """Paired: every redrawn set of items is the same for both arms and all seeds; seeds are averaged within it.

    target [N], a and b [S, N]: predicted classes of the same items under the same seeds. `generator` seeds NumPy's
    PCG64, so the same input gives the same intervals. Raises ConfigError for other shapes or values.
    """
    check_level(level)
    if draws < 1:
        raise ConfigError(f"a bootstrap of {draws} draws", hint="1000 is enough for a 95 % interval")
    target, a = _checked(target, a, classes)
    _, b = _checked(target, b, classes)
    if a.shape != b.shape:
        raise ConfigError(f"cannot pair predictions of shapes {a.shape} and {b.shape}", hint="both are [seeds, items]")
    seen_a, seen_b = class_scores(target, a, classes), class_scores(target, b, classes)
    recall, f1 = seen_a.recall - seen_b.recall, seen_a.f1 - seen_b.f1
    over_seeds = _over_seeds(target, a, b, classes, level)
    items = len(target)
    if items < 2:
        none = np.full(classes, np.nan)
        return ClassDifferences(recall, none, none, *over_seeds, f1, none, none, items, len(a), draws, level)
    random = np.random.default_rng(generator)
    size = max(1, _CHUNK // items)
    drawn = [_redrawn(target, a, b, classes, random, min(size, draws - i)) for i in range(0, draws, size)]
    ends = [(1 - level) / 2, (1 + level) / 2]
    (recall_low, recall_high), (f1_low, f1_high) = (
        _quantiles(np.concatenate([d[which] for d in drawn], axis=1), ends) for which in (0, 1)
    )
    return ClassDifferences(
        recall, recall_low, recall_high, *over_seeds, f1, f1_low, f1_high, items, len(a), draws, level
    )


def _over_seeds(target: Array, a: Array, b: Array, classes: int, level: float) -> tuple[Array, Array]:
    """Ends of the paired t-interval of every class's recall, [K] each."""
    ones = np.ones((len(target), 1), np.float32)
    (support, hits_a, _), (_, hits_b, _) = (_counts(target, p, classes, ones) for p in (a, b))
    low, high = np.full(classes, np.nan), np.full(classes, np.nan)
    for k in np.flatnonzero(support[:, 0]):
        found = mean_interval(((hits_a[:, k, 0] - hits_b[:, k, 0]) / support[k, 0]).tolist(), level)
        if found.low is not None and found.high is not None:
            low[k], high[k] = found.low, found.high
    return low, high


def _redrawn(
    target: Array, a: Array, b: Array, classes: int, random: np.random.Generator, draws: int
) -> tuple[Array, Array]:
    """Differences of recall and F1 [K, draws] of as many redrawn sets of items."""
    items = len(target)
    index = random.integers(0, items, (draws, items))
    index += items * np.arange(draws)[:, None]
    counts = np.bincount(index.ravel(), minlength=draws * items).reshape(draws, items)
    weights = np.ascontiguousarray(counts.T, dtype=np.float32)
    found = [_counts(target, predicted, classes, weights) for predicted in (a, b)]
    (recall_a, recall_b), (f1_a, f1_b) = (
        [_recall(support, hits) for support, hits, _ in found],
        [_f1(*counted) for counted in found],
    )
    return recall_a - recall_b, f1_a - f1_b


def _counts(target: Array, predicted: Array, classes: int, weights: Array) -> tuple[Array, Array, Array]:
    """Support [K, D], hits [S, K, D] and predictions [S, K, D], each item counted with its weights [N, D]."""
    support = _by_class(target, classes, np.ones(len(target), bool)) @ weights
    hits = np.stack([_by_class(target, classes, p == target) @ weights for p in predicted])
    guesses = np.stack([_by_class(p, classes, np.ones(len(target), bool)) @ weights for p in predicted])
    return support.astype(np.float64), hits.astype(np.float64), guesses.astype(np.float64)


def _by_class(of: Array, classes: int, kept: Array) -> csr_matrix:
    """[K, N] with a 1 where an item is kept and of that class: sparse, since dense it would be K times the work."""
    from scipy.sparse import csr_matrix  # a report of other tasks need not pay for its import

    at = np.flatnonzero(kept)
    return csr_matrix((np.ones(len(at), np.float32), (of[at], at)), shape=(classes, len(of)))


def _recall(support: Array, hits: Array) -> Array:
    """[K, D]; the mean over seeds. NaN where a set holds no item of the class."""
    mean = hits.mean(axis=0)
    return np.asarray(np.divide(mean, support, out=np.full_like(mean, np.nan), where=support > 0))


def _f1(support: Array, hits: Array, guesses: Array) -> Array:
    """[K, D]; F1 of every seed, then the mean."""
    return np.asarray((2 * hits / np.maximum(guesses + support, 1)).mean(axis=0))


def _quantiles(values: Array, ends: list[float]) -> tuple[Array, Array]:
    """Low and high [K] of [K, D]; sets without an item of the class are left out."""
    whole = ~np.isnan(values).any(axis=1)
    found = np.full((2, len(values)), np.nan)
    if whole.any():
        found[:, whole] = np.quantile(values[whole], ends, axis=1)
    for k in np.flatnonzero(~whole):
        known = values[k][~np.isnan(values[k])]
        if len(known):
            found[:, k] = np.quantile(known, ends)
    return found[0], found[1]


def _checked(target: Array, predicted: Array, classes: int) -> tuple[Array, Array]:
    target, predicted = np.asarray(target), np.atleast_2d(np.asarray(predicted))
    fits = target.ndim == 1 and predicted.ndim == 2 and predicted.shape[1:] == target.shape and predicted.size > 0
    if not fits:
        raise ConfigError(
            f"cannot count classes of shapes {target.shape} and {predicted.shape}", hint="[items] and [seeds, items]"
        )
    for name, values in (("true", target), ("predicted", predicted)):
        if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= classes:
            raise ConfigError(f"a {name} class is no whole number from 0 to {classes - 1}")
    return target.astype(np.int64), predicted.astype(np.int64)
