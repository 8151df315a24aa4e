"""The mean of a few runs, and how far it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ..errors import ConfigError

Method: TypeAlias = Literal["t", "identical", "single", "empty"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over n independent runs, with the sample standard deviation (n - 1) and an interval of the mean.

    `method` says what the interval is: "t" is Student's. There is none (low and high are None) where n is 0
    ("empty") or 1 ("single"), or where all values are equal ("identical"): their spread is unknown then, not zero.
    """

    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    level: float = 0.95
    method: Method = "t"


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Mean and t-interval over seeds. Raises ConfigError for a value that is not finite or a level outside (0, 1)."""
    numbers = finite(values)
    check_level(level)
    if numbers.size == 0:
        return Interval(0, None, None, None, None, level, "empty")
    mean = float(numbers.mean())
    if numbers.size == 1:
        return Interval(1, mean, None, None, None, level, "single")
    sd = spread(numbers)
    if sd == 0.0:
        return Interval(numbers.size, mean, 0.0, None, None, level, "identical")
    half = t_quantile(numbers.size - 1, level) * sd / math.sqrt(numbers.size)
    return Interval(numbers.size, mean, sd, mean - half, mean + half, level)


def finite(values: Sequence[float]) -> np.ndarray:
    """The values as float64. Refused rather than dropped: leaving a diverged run out would flatter its arm."""
    numbers = np.asarray(list(values), dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise ConfigError(
            f"value {bad[0] + 1} of {numbers.size} is {numbers[bad[0]]}, which is no finite number",
            hint="a trial that diverged is a failed trial; compare those that ended",
        )
    return numbers


def check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval is {level}, not between 0 and 1", hint="95 % is 0.95")


def spread(numbers: np.ndarray, scale: float = 0.0) -> float:
    """Sample standard deviation; 0.0 where the values differ by rounding of doubles alone.

    `scale` is the size of the numbers that these were computed from: 0.92 - 0.91 and 0.91 - 0.90 are equal.
    """
    sd = float(numbers.std(ddof=1))
    return 0.0 if sd <= 1e-12 * max(scale, float(np.abs(numbers).max())) else sd


def t_quantile(df: float, level: float) -> float:
    """The half-width of a two-sided interval, in standard errors."""
    from scipy import special  # scipy.stats would cost half a second at start-up

    return float(special.stdtrit(df, 0.5 + level / 2))
