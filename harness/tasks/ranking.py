"""How well rankings of frames agree, for several predictions and several truths at once.

Ties are everywhere in annotations (runs of equal scores), so each measure says what a tie counts; none depends on the
order in which frames come. All numbers must be finite.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.stats import rankdata

Array = np.ndarray[Any, Any]


def spearman(predicted: Array, truth: Array) -> Array:
    """[P, A] of predicted [P, T] against truth [A, T]: Pearson's correlation of average ranks.

    0 where either is constant, for which no correlation is defined.
    """
    return np.asarray(_directions(predicted) @ _directions(truth).T)


def kendall(predicted: Array, truth: Array) -> Array:
    """[P, A] of predicted [P, T] against truth [A, T]: tau-b, (concordant - discordant) / sqrt(pairs untied in each).

    0 where either is constant, for which no correlation is defined. O(T^2) each; all of them share the passes.
    """
    split, length = len(predicted), predicted.shape[1]
    ranks = rankdata(np.concatenate([predicted, truth]), method="dense", axis=1).astype(np.float32)
    agreeing = np.zeros((split, len(truth)))
    untied = np.zeros(len(ranks))
    for lag in range(1, length):
        # Whole numbers below 2^24 are exact in float32, and there are fewer than that of one lag.
        signs = np.clip(ranks[:, lag:] - ranks[:, :-lag], -1, 1)
        agreeing += signs[:split] @ signs[split:].T
        untied += np.einsum("ij,ij->i", signs, signs)
    scale = np.sqrt(untied[:split, None] * untied[None, split:])
    return np.divide(agreeing, scale, out=np.zeros_like(agreeing), where=scale != 0)


def precision(predicted: Array, truth: Array, share: float) -> Array:
    """[P, A]: share of the `share` of frames ranked highest in predicted [P, T] that is so in truth [A, T] too.

    Frames that tie for the last places share them equally: the expectation over all ways to break the ties.
    """
    places = budget(predicted.shape[1], share)
    return np.asarray(_places(predicted, places) @ _places(truth, places).T / places)


def budget(length: int, share: float) -> int:
    """How many of so many frames the share is, rounded up; at least one."""
    # 0.15 times some multiples of 20 is a little more than the whole number that it should be.
    return max(1, math.ceil(share * length - 1e-9))


def _directions(x: Array) -> Array:
    """Average ranks, centred and of length 1; zeros for a constant row."""
    ranks = rankdata(x, axis=1)
    ranks = ranks - (x.shape[1] + 1) / 2
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    return np.asarray(np.divide(ranks, length, out=np.zeros_like(ranks), where=length != 0))


def _places(x: Array, places: int) -> Array:
    """[N, T]: the part of a place among the highest `places` that each frame has; rows sum to `places`."""
    last = np.partition(x, -places, axis=1)[:, -places, None]
    above, level = x > last, x == last
    left = places - above.sum(axis=1, keepdims=True)
    return np.asarray(above + level * (left / level.sum(axis=1, keepdims=True)))
