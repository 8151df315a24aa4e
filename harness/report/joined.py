"""Pictures and tables that trials stored, joined over rows by their key: mean over seeds, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..contracts import Figure
from .analysis import Analysis, Arm
from .animations import animations
from .document import Block, Section, Text
from .escaping import one_line, slug
from .matrices import Matrix, heatmaps, tables
from .numbers import plural
from .series import panels, series_names
from .strips import strips

ARMS = 12
_DRAWN = ("table", "heatmap", "lines", "bars", "strip", "animation")


@dataclass(frozen=True, slots=True)
class Stored:
    """The figures of one key: its first one, and all of every row (one a finished trial, with its seed)."""

    first: Figure
    arms: tuple[tuple[Arm, tuple[tuple[int, Figure], ...]], ...]

    def all(self) -> list[tuple[Arm, tuple[Figure, ...]]]:
        return [(arm, tuple(f for _, f in found)) for arm, found in self.arms]

    def one_each(self) -> list[tuple[Arm, int, Figure]]:
        """Of the first finished trial of every row, since frames have no mean worth looking at."""
        return [(arm, *found[0]) for arm, found in self.arms]


def stored_figures(analysis: Analysis) -> tuple[Section, ...]:
    """One section a key, in the order in which trials stored them."""
    arms, omitted = analysis.shown(ARMS)
    sections = []
    for stored in _collect(analysis, arms):
        blocks: list[Block] = []
        if omitted:
            few = f"the {len(arms)} rows that differ most from the baseline, and it"
            blocks.append(Text(f"Shown are {few}; {plural(omitted, 'row')} left out.", "muted"))
        blocks.extend(_blocks(analysis, stored))
        title = one_line(stored.first.title) or one_line(stored.first.key)
        sections.append(Section(f"figure-{slug(stored.first.key)}", title, tuple(blocks)))
    return tuple(sections)


def _collect(analysis: Analysis, arms: Sequence[Arm]) -> list[Stored]:
    found: dict[str, dict[str, list[tuple[int, Figure]]]] = {}
    for arm in arms:
        for record in arm.ok:
            for figure in analysis.evidence.figures(record.id):
                found.setdefault(figure.key, {}).setdefault(arm.cell.key, []).append((record.trial.config.seed, figure))
    collected = []
    for by_arm in found.values():
        joined = tuple((a, tuple(by_arm[a.cell.key])) for a in arms if a.cell.key in by_arm)
        collected.append(Stored(joined[0][1][0][1], joined))
    return collected


def _blocks(analysis: Analysis, stored: Stored) -> list[Block]:
    first = stored.first
    if first.kind not in _DRAWN:
        return [Text(f"Not shown: figures of kind '{one_line(first.kind)}' are not part of this report.", "muted")]
    if first.kind in ("strip", "animation"):
        return (strips if first.kind == "strip" else animations)(first, stored.one_each())
    if first.kind in ("lines", "bars"):
        return panels(first, [(a, _series(first, figures)) for a, figures in stored.all()])
    joined = [(a, _matrix(first, figures)) for a, figures in stored.all()]
    kept = [(a, m) for a, m in joined if m is not None]
    blocks: list[Block] = []
    if len(kept) < len(joined):
        lost = ", ".join(f"'{a.label}'" for a, m in joined if m is None)
        blocks.append(Text(f"Left out, as their rows or columns are not those of the others: {lost}.", "muted"))
    if not kept:
        return [Text("Not shown: what the trials stored is no table.", "muted")]
    draw = tables if first.kind == "table" else heatmaps
    return [*blocks, *draw(first, kept, analysis.baseline)]


def _matrix(first: Figure, figures: Sequence[Figure]) -> Matrix | None:
    """Mean over trials; None where something is missing or does not line up with the first row's."""
    names = _names(first.data)
    if names is None or any(_names(f.data) != names for f in figures):
        return None
    stack = np.stack([np.asarray(f.data["values"], dtype=np.float64) for f in figures])
    return Matrix(stack.mean(axis=0), names[0], names[1], len(figures))


def _names(data: Mapping[str, np.ndarray]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    if not {"values", "rows", "columns"} <= set(data):
        return None
    values = np.asarray(data["values"])
    rows, columns = (tuple(_text(v) for v in np.asarray(data[k]).ravel()) for k in ("rows", "columns"))
    fits = values.dtype.kind in "fiub" and values.shape == (len(rows), len(columns)) and values.size > 0
    return (rows, columns) if fits else None


def _text(name: object) -> str:
    return one_line(name.decode("utf-8", "replace") if isinstance(name, bytes) else name)


def _series(first: Figure, figures: Sequence[Figure]) -> dict[str, np.ndarray]:
    """Series -> [trials, N], those that line up with the first figure's x."""
    if "x" not in first.data:
        return {}
    x = np.asarray(first.data["x"])
    same = [f for f in figures if "x" in f.data and np.array_equal(np.asarray(f.data["x"]), x)]
    found = {}
    for name in series_names(first):
        rows = [np.asarray(f.data[name]) for f in same if name in f.data]
        rows = [r.astype(np.float64) for r in rows if r.shape == x.shape and r.dtype.kind in "fiub"]
        if rows:
            found[name] = np.stack(rows)
    return found
