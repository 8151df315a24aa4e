"""Intervals over seeds, paired comparisons, and what may be said of them. Every number comes with its n."""

from __future__ import annotations

from .intervals import Interval, mean_interval
from .paired import Difference, holm, mde, paired_difference
from .resample import Resampled, hierarchical_bootstrap
from .verdicts import Verdict, verdict
from .wording import quantity

__all__ = [
    "Difference",
    "Interval",
    "Resampled",
    "Verdict",
    "hierarchical_bootstrap",
    "holm",
    "mde",
    "mean_interval",
    "paired_difference",
    "quantity",
    "verdict",
]
