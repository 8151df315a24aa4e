"""Summaries of a video: whole shots that fit a budget of frames, and how they overlap with those of people.

Source: Gygli et al. 2015 (arXiv:1412.1265) for the knapsack; the value of a shot and F1 as in PGL-SUM (Apostolidis et
al. 2021), `evaluation/generate_summary.py` and `evaluation_metrics.py`. Differs: values are rounded to 1e-9, so that
ties are ties on every machine, and frames before the first sampled one have its score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_UNIT = 1e-9
_CELLS = 1 << 26
"""Bytes of the knapsack's table at once."""


@dataclass(frozen=True, slots=True)
class Shots:
    """The shots of one video: `weights` float64 [S, T] turn scores of sampled frames into means over shots.

    lengths: int64 [S] frames; bounds: int64 [S, 2], inclusive, in frames; capacity: frames of a summary.
    """

    weights: Array
    lengths: Array
    bounds: Array
    capacity: int

    @classmethod
    def of(cls, bounds: Array, picks: Array, frames: int, share: float) -> Shots:
        """`picks` [T]: the frame that each sample is; it stands for all frames up to the next one."""
        bounds = np.asarray(bounds, np.int64).reshape(-1, 2)
        edges = np.concatenate([[0], np.asarray(picks, np.int64)[1:], [frames]])
        first, last = bounds[:, :1], bounds[:, 1:] + 1
        shared = np.clip(np.minimum(edges[None, 1:], last) - np.maximum(edges[None, :-1], first), 0, None)
        weights = shared / np.maximum(1, shared.sum(axis=1, keepdims=True))
        return cls(weights, bounds[:, 1] - bounds[:, 0] + 1, bounds, math.floor(share * frames + 1e-9))

    def choose(self, scores: Array) -> Array:
        """bool [P, S]: the shots of the summary that each row of scores [P, T] makes."""
        values = np.rint(scores @ self.weights.T / _UNIT).astype(np.int64)
        return knapsack(values, self.lengths, self.capacity)

    def frames(self, chosen: Array, count: int) -> Array:
        """bool [P, count]: the frames of chosen shots, bool [P, S]."""
        found = np.zeros((len(chosen), count), bool)
        for row, shots in zip(found, chosen, strict=True):
            for first, last in self.bounds[shots]:
                row[first : last + 1] = True
        return found


@dataclass(frozen=True, slots=True)
class Users:
    """Summaries to be met: frames [U, N], 0 or 1. A summary's score is its mean F1 over users; with `best` the highest.

    F1 of two summaries that are both empty is 0.
    """

    frames: Array
    best: bool

    def scores(self, shots: Shots, chosen: Array) -> Array:
        """[P] of chosen shots, bool [P, S]."""
        members = self.frames != 0
        until = np.concatenate([np.zeros((len(members), 1), np.int64), members.cumsum(axis=1)], axis=1)
        first, behind = np.clip(shots.bounds + np.array([0, 1]), 0, members.shape[1]).T
        both = chosen.astype(np.int64) @ (until[:, behind] - until[:, first]).T
        return self._joined(_f1(both, chosen @ shots.lengths, until[:, -1]))

    def among(self) -> Array:
        """[U]: each user's summary against those of the others."""
        members = (self.frames != 0).astype(np.float32)
        both, sizes = members @ members.T, members.sum(axis=1)
        count = len(members)
        return self._joined(_f1(both, sizes, sizes)[~np.eye(count, dtype=bool)].reshape(count, count - 1))

    def _joined(self, f1: Array) -> Array:
        return np.asarray(f1.max(axis=1) if self.best else f1.mean(axis=1))


def _f1(both: Array, sizes: Array, others: Array) -> Array:
    """[P, U] of the frames in both, [P, U], and of each, [P] and [U]."""
    return np.asarray(2 * both / np.maximum(1, sizes[:, None] + others[None]), np.float64)


def knapsack(values: Array, weights: Array, capacity: int) -> Array:
    """bool [P, S]: for each row of values [P, S] the items of greatest total value whose weights [S] fit.

    Of equally good choices the one that does without later items. Exact where values are whole numbers.
    """
    rows = max(1, _CELLS // max(1, len(weights) * (capacity + 1)))
    parts = [_knapsack(values[i : i + rows], weights, capacity) for i in range(0, len(values), rows)]
    return np.concatenate(parts) if parts else np.zeros(values.shape, bool)


def _knapsack(values: Array, weights: Array, capacity: int) -> Array:
    count, items = values.shape
    best = np.zeros((count, capacity + 1), values.dtype)
    taken = np.zeros((items, count, capacity + 1), bool)
    for i, weight in enumerate(weights.tolist()):
        if weight > capacity:
            continue
        with_it = best[:, : capacity + 1 - weight] + values[:, i, None]
        taken[i, :, weight:] = with_it > best[:, weight:]
        best[:, weight:] = np.maximum(with_it, best[:, weight:])
    chosen = np.zeros((count, items), bool)
    left, every = np.full(count, capacity), np.arange(count)
    for i in range(items - 1, -1, -1):
        chosen[:, i] = taken[i, every, left]
        left = left - chosen[:, i] * weights[i]
    return chosen
