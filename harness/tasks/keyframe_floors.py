"""Predictors of importance that need no training: three that know nothing, three that know answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contracts import Frames, Items, Split
from .keyframe_scores import Truth, constant, precision_name, read
from .ranking import kendall, precision, spearman

if TYPE_CHECKING:
    from ..contracts import Batch

Array = np.ndarray[Any, Any]

DRAWS = 20
"""Rankings that `random` is the mean of."""


def floors(split: Split, share: float) -> dict[str, Items]:
    """Three know nothing, `random`, `constant` (the split's mean target) and `position`; three know answers.

    `position` is 1 in the middle of the video and falls to 0 at its ends. The others need several annotators.
    `target`: the scores that are trained on, which a row without any error would give; left out where they rank all
    frames as `oracle` does. `human`: each annotator as the predictor of the others, mean over annotators. `oracle`:
    their mean as the prediction, about the best that one score a frame can be. Scores of annotators are brought to
    [0, 1] as in `keyframe_scores.scale`.
    """
    truths = list(_truths(split, share))
    if not truths:
        return {}
    level = float(np.concatenate([t.target for t in truths]).mean())
    several = all(t.several for t in truths)
    rows: dict[str, list[dict[str, float]]] = {}
    for i, truth in enumerate(truths):
        for name, row in _rows(truth, i, level, several, share).items():
            rows.setdefault(name, []).append(row)
    if "oracle" in rows and all(_near(a, b) for a, b in zip(rows["oracle"], rows["target"], strict=True)):
        del rows["target"]
    return {name: _items(split, truths, found) for name, found in rows.items()}


def _rows(truth: Truth, i: int, level: float, several: bool, share: float) -> dict[str, dict[str, float]]:
    """Of video i, all predictors in one pass: the annotators are ranked once."""
    length = len(truth.target)
    draws = np.random.default_rng((DRAWS, i)).random((DRAWS, length))
    # In whole numbers first, as frames equally far from the middle must tie.
    middle = np.minimum(np.arange(length), np.arange(length)[::-1]) / max(0.5, (length - 1) / 2)
    known = np.stack([np.full(length, level), middle, truth.target.astype(np.float64)])
    scores = truth.scores(
        np.concatenate([draws, known, truth.mean]),
        np.concatenate([draws, known, truth.scaled.mean(axis=0, keepdims=True)]),
        share,
    )
    rows = {
        "random": _mean({name: value[:DRAWS] for name, value in scores.items()}),
        "constant": {name: float(value[DRAWS]) for name, value in scores.items()},
        "position": {name: float(value[DRAWS + 1]) for name, value in scores.items()},
    }
    if several:
        rows["target"] = {name: float(value[DRAWS + 2]) for name, value in scores.items()}
        rows["human"] = human(truth, share)
        rows["oracle"] = {name: float(value[-1]) for name, value in scores.items()}
    return rows


def _near(a: dict[str, float], b: dict[str, float]) -> bool:
    """Do two predictors rank the frames of a video alike?"""
    return all(abs(a[name] - b[name]) < 1e-6 for name in ("spearman", "kendall"))


def human(truth: Truth, share: float) -> dict[str, float]:
    """Each annotator against the others: each of them, and their mean without it; mean over annotators."""
    own, count = truth.annotators, len(truth.annotators)
    rest = (own.sum(axis=0) - own) / (count - 1)
    rest_scaled = (truth.scaled.sum(axis=0) - truth.scaled) / (count - 1)
    apart = ~np.eye(count, dtype=bool)
    truths = np.concatenate([own, rest])
    rho, tau = spearman(own, truths), kendall(own, truths)
    found = {
        "spearman": rho[:, :count][apart],
        "kendall": tau[:, :count][apart],
        "spearman_mean": np.diagonal(rho[:, count:]),
        "kendall_mean": np.diagonal(tau[:, count:]),
        "mse": np.square(truth.scaled - rest_scaled),
        precision_name(share): np.diagonal(precision(own, rest, share)),
        "fscore": np.full(1, np.nan),
        "undefined": constant(own),
    }
    if truth.users is not None and len(truth.users.frames) > 1:
        found["fscore"] = truth.users.among()
    return _mean(found)


def _truths(split: Split, share: float) -> Iterator[Truth]:
    for i in range(len(split)):
        # `lean` decodes nothing.
        batch: Batch = split.lean([i], 0) if isinstance(split, Frames) else split.batch([i], 0)
        target = batch["target"][0].cpu().numpy()
        kept = batch["mask"][0].cpu().numpy() if "mask" in batch else np.ones(len(target), bool)
        yield read(target[kept], split.extras(i), share)


def _mean(parts: dict[str, Array]) -> dict[str, float]:
    return {name: float(value.mean()) for name, value in parts.items()}


def _items(split: Split, truths: list[Truth], rows: list[dict[str, float]]) -> Items:
    values: dict[str, Array] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    values["frames"] = np.array([len(t.target) for t in truths])
    values["category"] = np.array([t.category for t in truths])
    return Items(tuple(split.ids), values)
