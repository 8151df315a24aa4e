"""Intervals over seeds, paired comparisons, and what may be said of them. Every number comes with its n."""

from __future__ import annotations

from .by_class import ClassDifferences, ClassScores, class_differences, class_scores
from .intervals import Interval, mean_interval
from .paired import Difference, holm, mde, paired_difference, welch_difference
from .resample import Resampled, hierarchical_bootstrap
from .verdicts import Verdict, verdict
from .wording import minus, quantity

__all__ = [
    "ClassDifferences",
    "ClassScores",
    "Difference",
    "Interval",
    "Resampled",
    "Verdict",
    "class_differences",
    "class_scores",
    "hierarchical_bootstrap",
    "holm",
    "mde",
    "mean_interval",
    "minus",
    "paired_difference",
    "quantity",
    "verdict",
    "welch_difference",
]
