"""What a model is made of: the weights of its named groups, and how many of them every stage trains."""

from __future__ import annotations

from collections.abc import Mapping

from . import numbers
from .analysis import Analysis, Arm
from .document import Column, Entry, Section, Table, Text
from .escaping import one_line
from .rows import lined


def parts(analysis: Analysis) -> Section | None:
    """One line a row; None where no trial said what its model is made of."""
    known = [(arm, found) for arm in analysis.arms if (found := _counts(arm))]
    if not known:
        return None
    names = list(dict.fromkeys(name for _, found in known for name in found))
    columns = (Column("row", numeric=False), *(Column(one_line(name)) for name in names))
    lines = tuple(
        lined(arm, *(Entry(numbers.counted(found[name]) if name in found else numbers.NONE) for name in names))
        for arm, found in known
    )
    text = (
        "Groups may lie inside each other: a stage is part of its backbone, and attention is part of what it sits in."
        " They are the names that `freeze` and `train_only` take."
    )
    return Section("parts", "Parts of the models", (Table("Weights by part.", columns, lines), Text(text, "muted")))


def _counts(arm: Arm) -> Mapping[str, float]:
    """All, by group, and what trains in each of several stages; empty before the first trial is done."""
    first = next(iter(arm.ok), None)
    if first is None or not first.parts:
        return {}
    trained = {f"trained in stage {i}": s["trainable"] for i, s in enumerate(first.stages, 1) if "trainable" in s}
    whole = {"all": first.cost["parameters"]} if "parameters" in first.cost else {}
    return {**whole, **first.parts, **trained}
