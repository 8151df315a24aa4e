"""One video's annotations, and what predictions of it are worth by every metric of `keyframes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from .ranking import kendall, precision, spearman
from .summaries import Shots, Users

if TYPE_CHECKING:
    from ..contracts import Arrays

Array = np.ndarray[Any, Any]

FIT = 1e-4
"""How closely a target must follow from the mean over annotators to be taken as their scale."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a video of T sampled frames.

    target [T] in [0, 1]; annotators [A, T] as they were given (the target, where there are none), `scaled` [A, T] in
    [0, 1]; `several`: are there annotators to be compared with each other? shots and users: None where the video has
    no shots. category: -1 where it has none.
    """

    target: Array
    annotators: Array
    scaled: Array
    several: bool
    times: Array | None
    category: int
    shots: Shots | None
    users: Users | None

    @property
    def mean(self) -> Array:
        """[1, T]"""
        return np.asarray(self.annotators.mean(axis=0, keepdims=True))

    def scores(self, order: Array, unit: Array, share: float) -> dict[str, Array]:
        """[P] of every metric. `order` [P, T] is what frames are ranked by, `unit` the same as scores in [0, 1]."""
        truths = np.concatenate([self.annotators, self.mean])
        rho, tau = spearman(order, truths), kendall(order, truths)
        found = {
            "spearman": rho[:, :-1].mean(axis=1),
            "kendall": tau[:, :-1].mean(axis=1),
            "spearman_mean": rho[:, -1],
            "kendall_mean": tau[:, -1],
            "mse": np.square(unit - self.target).mean(axis=1),
            precision_name(share): precision(order, self.mean, share)[:, 0],
            "fscore": np.full(len(unit), np.nan),
            "undefined": constant(order),
        }
        if self.shots is not None and self.users is not None:
            found["fscore"] = self.users.scores(self.shots, self.shots.choose(unit))
        return found


def precision_name(share: float) -> str:
    """precision15 for a share of 0.15."""
    return f"precision{100 * share:g}"


def constant(x: Array) -> Array:
    """1.0 for each constant row of x [N, T], else 0.0."""
    return np.asarray((x == x[:, :1]).all(axis=1).astype(np.float64))


def read(target: Array, extras: Arrays, share: float) -> Truth:
    """`target` [T] and a video's extras. Raises DataError if an array has not an entry for each of the T frames."""
    target = np.asarray(target, np.float64)
    given = extras.get("annotators")
    several = given is not None and len(given) > 1
    annotators = target[None] if given is None or not len(given) else np.asarray(given, np.float64)
    times = np.asarray(extras["times"], np.float64) if "times" in extras else None
    for name, length in (("annotators", annotators.shape[1]), ("times", len(target) if times is None else len(times))):
        if length != len(target):
            raise DataError(
                f"'{name}' has {length} entries where {len(target)} frames were sampled",
                hint="the dataset must give one for each sampled frame",
            )
    scaled = scale(annotators, target)
    shots, users = _summaries(extras, scaled, share)
    category = int(extras["category"]) if "category" in extras else -1
    return Truth(target, annotators, scaled, several, times, category, shots, users)


def _summaries(extras: Arrays, scaled: Array, share: float) -> tuple[Shots | None, Users | None]:
    if not {"change_points", "picks", "n_frames"} <= set(extras) or not len(extras["change_points"]):
        return None, None
    count = int(extras["n_frames"])
    shots = Shots.of(extras["change_points"], extras["picks"], count, share)
    given = extras.get("user_summary")
    if given is None or not len(given):
        given = shots.frames(shots.choose(scaled), count)
    return shots, Users(np.asarray(given), bool(extras.get("best_user", False)))


def scale(annotators: Array, target: Array) -> Array:
    """Annotators' scores [A, T] in [0, 1], by the map that makes the mean over annotators the target [T].

    That is a line through its highest and lowest frame, if all others lie on it as well ((x - 1) / 4 on TVSum).
    Otherwise the lowest and highest of all scores of the video become 0 and 1. What leaves [0, 1] is cut off.
    """
    mean = annotators.mean(axis=0)
    high, low = int(mean.argmax()), int(mean.argmin())
    if mean[high] > mean[low]:
        slope = (target[high] - target[low]) / (mean[high] - mean[low])
        if np.abs(target[low] + slope * (mean - mean[low]) - target).max() <= FIT:
            return np.asarray(np.clip(target[low] + slope * (annotators - mean[low]), 0, 1))
    span = np.ptp(annotators)
    return np.asarray((annotators - annotators.min()) / (span if span > 0 else 1.0))
