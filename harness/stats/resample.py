"""Bootstrap over the items of a test set, and over seeds as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ..errors import ConfigError
from .intervals import check_level

Resample: TypeAlias = Literal["item", "item+seed"]
_CHUNK = 2_000_000  # drawn indices held at once: 16 MB


@dataclass(frozen=True, slots=True)
class Resampled:
    """Mean of a - b over items and seeds, with a percentile bootstrap interval; None with fewer than two items.

    resample: what was really redrawn ("item" also where "item+seed" was asked for and there is one seed).
    With few seeds such an interval is too narrow for new seeds: percentile intervals of 3, 5 and 10 values that claim
    95 % hold 74, 83 and 90 % of the time. It says how sure the comparison is over *items*.
    """

    items: int
    seeds: int
    mean: float
    low: float | None
    high: float | None
    level: float
    draws: int
    resample: Resample

    @property
    def method(self) -> str:
        what = f"{self.items} items" + (f" and {self.seeds} seeds" if self.resample == "item+seed" else "")
        return f"percentile bootstrap over {what}, {self.draws} draws"


def hierarchical_bootstrap(
    items_a: np.ndarray | Sequence[Any],
    items_b: np.ndarray | Sequence[Any],
    resample: Resample = "item",
    *,
    draws: int = 2000,
    level: float = 0.95,
    generator: int = 0,
) -> Resampled:
    """Paired interval of the mean of a per-item metric.

    items_a, items_b: [seeds, items], or [items] for one seed; the same seeds and items in the same order.
    "item": items are redrawn, each with its mean over seeds (seeds stay as they are). "item+seed": both are redrawn
    independently, as they are crossed. `generator` seeds NumPy's PCG64, so the same input gives the same interval.
    Raises ConfigError if shapes differ, nothing is there or a number is not finite.
    """
    check_level(level)
    difference = _differences(items_a, items_b)
    if draws < 1:
        raise ConfigError(f"a bootstrap of {draws} draws", hint="2000 is enough for a 95 % interval")
    seeds, items = difference.shape
    redrawn: Resample = "item+seed" if resample == "item+seed" and seeds > 1 else "item"
    mean = float(difference.mean())
    if items < 2:
        return Resampled(items, seeds, mean, None, None, level, draws, redrawn)
    random = np.random.default_rng(generator)
    over_seeds = difference.mean(axis=0)
    size = max(1, _CHUNK // items)
    means = []
    for start in range(0, draws, size):
        count = min(size, draws - start)
        index = random.integers(0, items, (count, items))
        if redrawn == "item":
            means.append(over_seeds[index].mean(axis=1))
        else:
            weight = random.multinomial(seeds, [1 / seeds] * seeds, count) / seeds
            means.append(np.take_along_axis(weight @ difference, index, axis=1).mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Resampled(items, seeds, mean, float(low), float(high), level, draws, redrawn)


def _differences(items_a: np.ndarray | Sequence[Any], items_b: np.ndarray | Sequence[Any]) -> np.ndarray:
    a, b = np.atleast_2d(np.asarray(items_a, np.float64)), np.atleast_2d(np.asarray(items_b, np.float64))
    if a.shape != b.shape or a.ndim != 2 or a.size == 0:
        raise ConfigError(
            f"cannot pair items of shapes {a.shape} and {b.shape}", hint="both are [seeds, items], of equal shape"
        )
    for name, values in (("first", a), ("second", b)):
        if not np.isfinite(values).all():
            seed, item = np.argwhere(~np.isfinite(values))[0]
            raise ConfigError(
                f"the {name} arm's value of item {item} under seed {seed} (both from 0) is {values[seed, item]}",
                hint="leave items on which the metric is undefined out of both arms",
            )
    return a - b
