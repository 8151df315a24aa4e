"""An arm against the baseline, seed by seed."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError
from .intervals import check_level, finite, mean_interval, spread, t_quantile

SIGN_FLIP_FROM = 8  # with 5 pairs the smallest two-sided p is 0.0625, with 8 it is 0.0078
_EXACT_UP_TO = 20
_DRAWS = 99_999


@dataclass(frozen=True, slots=True)
class Difference:
    """a - b over n pairs, whichever direction is the better one.

    sd: of the differences. low, high: t-interval of the mean difference; p: of the paired t-test. All three are None
    with n < 2, and with `sd == 0`, where every pair differs by the same amount and the spread is unknown (p is 1 if
    that amount is 0). d: mean / sd (Cohen's d_z). improvement: P(a > b) over the pairs, ties count one half.
    correlation: of a and b over the pairs (None with n < 3); it says what pairing was worth. welch: the interval
    without pairing, from the same values. sign_flip: two-sided p of the sign-flip test with n >= 8, exact up to 20
    pairs, 99,999 fixed draws beyond. pairs: (key, a - b); unmatched: keys that only one side has.
    """

    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    p: float | None
    d: float | None
    improvement: float | None
    correlation: float | None
    welch: tuple[float, float] | None
    sign_flip: float | None
    pairs: tuple[tuple[Any, float], ...]
    unmatched_a: tuple[Any, ...] = ()
    unmatched_b: tuple[Any, ...] = ()
    level: float = 0.95


def paired_difference(a: Mapping[Any, float], b: Mapping[Any, float], level: float = 0.95) -> Difference:
    """Compare two arms by key: the seed, or (seed, fold).

    Folds of one seed share training data and are no replicates; average them first unless that is meant.
    Raises ConfigError for a value that is not finite.
    """
    keys: list[Hashable] = [k for k in a if k in b]
    left, right = finite([a[k] for k in keys]), finite([b[k] for k in keys])
    differences = left - right
    n = len(keys)
    only_a, only_b = tuple(k for k in a if k not in b), tuple(k for k in b if k not in a)
    pairs = tuple((k, float(v)) for k, v in zip(keys, differences, strict=True))
    check_level(level)
    if n == 0:
        return _unpaired(only_a, only_b, level)
    scale = float(max(np.abs(left).max(), np.abs(right).max()))
    improvement = float(np.mean((left > right) + 0.5 * (left == right)))
    mean, sd = float(differences.mean()), spread(differences, scale) if n > 1 else None
    low, high, p, d = _t_test(mean, sd, n, level, scale)
    return Difference(
        n=n,
        mean=mean,
        sd=sd,
        low=low,
        high=high,
        p=p,
        d=d,
        improvement=improvement,
        correlation=_correlation(left, right),
        welch=welch_difference(left.tolist(), right.tolist(), level),
        sign_flip=_sign_flip(differences) if n >= SIGN_FLIP_FROM else None,
        pairs=pairs,
        unmatched_a=only_a,
        unmatched_b=only_b,
        level=level,
    )


def _unpaired(only_a: tuple[Any, ...], only_b: tuple[Any, ...], level: float) -> Difference:
    return Difference(
        n=0,
        mean=None,
        sd=None,
        low=None,
        high=None,
        p=None,
        d=None,
        improvement=None,
        correlation=None,
        welch=None,
        sign_flip=None,
        pairs=(),
        unmatched_a=only_a,
        unmatched_b=only_b,
        level=level,
    )


def _t_test(
    mean: float, sd: float | None, n: int, level: float, scale: float
) -> tuple[float | None, float | None, float | None, float | None]:
    if sd is None:
        return None, None, None, None
    if sd == 0.0:
        return None, None, 1.0 if abs(mean) <= 1e-12 * scale else None, None
    from scipy import special

    error = sd / math.sqrt(n)
    half = t_quantile(n - 1, level) * error
    p = 2 * float(special.stdtr(n - 1, -abs(mean) / error))
    return mean - half, mean + half, p, mean / sd


def _correlation(left: np.ndarray, right: np.ndarray) -> float | None:
    if len(left) < 3 or spread(left) == 0.0 or spread(right) == 0.0:
        return None
    return float(np.corrcoef(left, right)[0, 1])


def welch_difference(left: Sequence[float], right: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Welch's interval of mean(left) - mean(right); None with fewer than 2 values on a side, or without any spread.

    Raises ConfigError for a value that is not finite.
    """
    a, b = mean_interval(left), mean_interval(right)
    if a.mean is None or b.mean is None or a.sd is None or b.sd is None or (not a.sd and not b.sd):
        return None
    va, vb = a.sd**2 / a.n, b.sd**2 / b.n
    df = (va + vb) ** 2 / (va**2 / (a.n - 1) + vb**2 / (b.n - 1))
    half = t_quantile(df, level) * math.sqrt(va + vb)
    return a.mean - b.mean - half, a.mean - b.mean + half


def _sign_flip(differences: np.ndarray) -> float:
    """Two-sided p: how often does a random choice of signs give a sum as large as the one that was seen?"""
    seen = abs(float(differences.sum())) - 1e-12 * float(np.abs(differences).sum())
    if len(differences) > _EXACT_UP_TO:
        generator = np.random.default_rng(0)
        signs = generator.integers(0, 2, (_DRAWS, len(differences)), dtype=np.int8) * 2 - 1
        return float((np.count_nonzero(np.abs(signs @ differences) >= seen) + 1) / (_DRAWS + 1))
    sums = np.array([differences[0]])  # the test is symmetric, so one sign may stay as it is
    for value in differences[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= seen))


def holm(pvalues: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's step-down adjustment over one family. None (a comparison without a test) stays None and is not counted.

    Source: Holm 1979. Raises ConfigError for a number outside [0, 1].
    """
    given = [(p, i) for i, p in enumerate(pvalues) if p is not None]
    for p, i in given:
        if not 0 <= p <= 1:
            raise ConfigError(f"p value {i + 1} of {len(pvalues)} is {p}, not between 0 and 1")
    adjusted: list[float | None] = [None] * len(pvalues)
    largest = 0.0
    for rank, (p, i) in enumerate(sorted(given)):
        largest = max(largest, min(1.0, (len(given) - rank) * p))
        adjusted[i] = largest
    return tuple(adjusted)


def mde(sd: float, n: int, power: float = 0.8, alpha: float = 0.05, *, paired: bool = True) -> float | None:
    """The smallest true difference that a two-sided t-test finds with this power; None with n < 2.

    paired=True: `sd` is that of the differences, n pairs, n - 1 degrees of freedom. paired=False: `sd` is that of one
    arm, n runs an arm, 2n - 2 degrees of freedom. With independent errors the sd of differences is sqrt(2) times that
    of an arm, and pairing only costs degrees of freedom: for an arm's sd of 0.17 pp, n = 3, 5, 10 give 0.78, 0.40,
    0.24 pp paired and 0.52, 0.34, 0.23 pp unpaired.
    Raises ConfigError if sd is negative or power or alpha is not in (0, 1).
    """
    if not (math.isfinite(sd) and sd >= 0 and 0 < alpha < power < 1):
        raise ConfigError(
            f"no detectable difference for sd {sd}, power {power}, alpha {alpha}",
            hint="sd is at least 0, and alpha and power lie between 0 and 1, alpha below power",
        )
    if n < 2:
        return None
    df = n - 1 if paired else 2 * n - 2
    return _noncentrality(df, power, alpha) * sd * math.sqrt((1 if paired else 2) / n)


@functools.cache
def _noncentrality(df: int, power: float, alpha: float) -> float:
    """Solve the power of the noncentral t-test for its noncentrality, by bisection."""
    from scipy import special

    # scipy's own noncentral t is NaN far out, where n = 2 ends up; so the normal tail is averaged over the
    # distribution of the estimated standard deviation, at quantiles given by Gauss-Legendre nodes.
    nodes, weights = np.polynomial.legendre.leggauss(400)
    estimated = np.sqrt(2 * special.gammaincinv(df / 2, (nodes + 1) / 2) / df)
    bar = t_quantile(df, 1 - alpha) * estimated

    def reached(nc: float) -> float:
        return float(weights @ (special.ndtr(nc - bar) + special.ndtr(-nc - bar)) / 2)

    low, high = 0.0, 1.0
    while reached(high) < power:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < power else (low, middle)
    return (low + high) / 2
