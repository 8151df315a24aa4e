"""The stored classes of every test image, brought together over folds and seeds, so that rows can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import HarnessError
from ..stats import ClassDifferences, ClassScores, class_differences, class_scores
from ..trial import Record, digest
from .analysis import Analysis, Arm
from .numbers import plural

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Answers:
    """items: (fold, item) of every tested image [N]; target [N]; predicted: seed -> [N]."""

    items: tuple[tuple[int, str], ...]
    target: np.ndarray
    predicted: dict[int, np.ndarray]

    def seeds(self, chosen: Sequence[int]) -> np.ndarray:
        """[S, N]."""
        return np.stack([self.predicted[s] for s in chosen])


@dataclass(frozen=True, slots=True)
class ByClass:
    """A row's scores over all its seeds; `change` to the baseline over the seeds that both have.

    moved [K, K]: how many more images of a true class (down) are predicted as a class (across) than by the baseline,
    a seed.
    """

    arm: Arm
    scores: ClassScores
    seeds: int
    change: ClassDifferences | None = None
    moved: np.ndarray | None = None


def by_class(analysis: Analysis, arms: Sequence[Arm]) -> tuple[tuple[str, ...], list[ByClass], list[str]]:
    """The classes, one entry a row that stored what it takes, and sentences about the others.

    No classes where no trial stored any answers, as in other tasks.
    """
    classes = next((r.classes for a in arms for r in a.ok if r.classes), ())
    answers = {a.cell.key: found for a in arms if (found := _answers(analysis, a, classes)) is not None}
    if not classes or not answers:
        return (), [], []
    reference = None if analysis.baseline is None else answers.get(analysis.baseline.cell.key)
    generator = int(digest(analysis.evidence.study.name)[:8], 16)
    rows: list[ByClass] = []
    notes: list[str] = []
    for arm in arms:
        own = answers.get(arm.cell.key)
        if own is None:
            notes.append(f"'{arm.label}' is left out: its trials stored no usable classes of their test images.")
            continue
        scores = class_scores(own.target, own.seeds(list(own.predicted)), len(classes))
        row = ByClass(arm, scores, len(own.predicted))
        if reference is not None and arm is not analysis.baseline and arm.ranked:
            shared = [s for s in own.predicted if s in reference.predicted]
            if not shared:
                notes.append(f"'{arm.label}' shares no finished seed with the baseline.")
            elif own.items != reference.items or not np.array_equal(own.target, reference.target):
                notes.append(f"'{arm.label}' was tested on other images than the baseline.")
            else:
                a, b = own.seeds(shared), reference.seeds(shared)
                change = class_differences(own.target, a, b, len(classes), draws=DRAWS, generator=generator)
                moved = _confusion(own.target, a, len(classes)) - _confusion(own.target, b, len(classes))
                row = ByClass(arm, scores, len(own.predicted), change, moved / len(shared))
                if len(shared) < len(own.predicted):
                    notes.append(f"'{arm.label}' is compared over {plural(len(shared), 'seed')} that both rows have.")
        rows.append(row)
    return classes, rows, notes


def _answers(analysis: Analysis, arm: Arm, classes: tuple[str, ...]) -> Answers | None:
    """Of the seeds whose folds are all done; None where items are missing, damaged, or differ between seeds."""
    runs: dict[int, list[Record | None]] = {}
    for trial, record in arm.runs:
        runs.setdefault(trial.config.seed, []).append(record)
    items: list[tuple[int, str]] = []
    target = np.empty(0, np.int64)
    predicted: dict[int, np.ndarray] = {}
    for seed, records in runs.items():
        done = [r for r in records if r is not None and r.status == "ok"]
        if len(done) < len(records):
            continue
        parts = [_stored(analysis, r, len(classes)) for r in done if r.classes == classes]
        if len(parts) < len(done) or any(p is None for p in parts):
            return None
        known = [p for p in parts if p is not None]
        own_items = [i for p in known for i in p[0]]
        own_target = np.concatenate([p[1] for p in known])
        if predicted and (own_items != items or not np.array_equal(own_target, target)):
            return None
        items, target = own_items, own_target
        predicted[seed] = np.concatenate([p[2] for p in known])
    return Answers(tuple(items), target, predicted) if predicted else None


def _stored(
    analysis: Analysis, record: Record, classes: int
) -> tuple[list[tuple[int, str]], np.ndarray, np.ndarray] | None:
    try:
        items = analysis.evidence.items(record.id)
    except HarnessError:  # a damaged file costs a row of this section, not the report
        return None
    if items is None or not items.ids or not {"target", "predicted"} <= set(items.values):
        return None
    found = [np.asarray(items.values[k]) for k in ("target", "predicted")]
    for values in found:
        if values.shape != (len(items.ids),) or values.dtype.kind not in "iu":
            return None
        if values.min() < 0 or values.max() >= classes:
            return None
    return [(record.trial.config.fold, str(i)) for i in items.ids], found[0].astype(np.int64), found[1].astype(np.int64)


def _confusion(target: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """[K, K] counts, all seeds together."""
    flat = (target * classes + predicted).ravel()
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)
