"""Pictures and tables that trials stored, joined over rows by their key: mean over seeds, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def stored_figures(analysis: Analysis, told: tuple[str, ...] = ()) -> tuple[Section, ...]:
    """One section a key, in the order in which trials stored them; `told`: keys that other sections tell."""
    arms, omitted = analysis.shown(ARMS)
    sections = []
    for stored in collect(arms, analysis.evidence.figures):
        if stored.first.key in told:
            continue
        blocks: list[Block] = []
        if omitted:
            few = f"the {len(arms)} rows that differ most from the baseline, and it"
            blocks.append(Text(f"Shown are {few}; {plural(omitted, 'row')} left out.", "muted"))
        blocks.extend(drawn(analysis, stored))
        title = one_line(stored.first.title) or one_line(stored.first.key)
        sections.append(Section(f"figure-{slug(stored.first.key)}", title, tuple(blocks)))
    return tuple(sections)


def collect(arms: Sequence[Arm], figures: Callable[[str], Sequence[Figure]]) -> list[Stored]:
    """`figures`: those of a trial, by its id. In the order in which the first row stores them."""
    found: dict[str, dict[str, list[tuple[int, Figure]]]] = {}
    for arm in arms:
        for record in arm.ok:
            for figure in figures(record.id):
                found.setdefault(figure.key, {}).setdefault(arm.cell.key, []).append((record.trial.config.seed, figure))
    collected = []
    for by_arm in found.values():
        joined = tuple((a, tuple(by_arm[a.cell.key])) for a in arms if a.cell.key in by_arm)
        collected.append(Stored(joined[0][1][0][1], joined))
    return collected


def drawn(analysis: Analysis, stored: Stored) -> list[Block]:
    """The pictures or tables of one key; what cannot be drawn is a sentence."""
    first = stored.first
    if first.kind not in _DRAWN:
        return [Text(f"Not shown: figures of kind '{one_line(first.kind)}' are not part of this report.", "muted")]
    if first.kind in ("strip", "animation"):
        return (strips if first.kind == "strip" else animations)(first, stored.one_each())
    if first.kind in ("lines", "bars"):
        return panels(first, [(a, _series(first, figures)) for a, figures in stored.all()])
    rows = _rows(first, [f for _, figures in stored.all() for f in figures])
    joined = [(a, _matrix(first, [f for _, f in own], rows, len({seed for seed, _ in own}))) for a, own in stored.arms]
    kept = [(a, m) for a, m in joined if m is not None]
    blocks: list[Block] = []
    if len(kept) < len(joined):
        lost = ", ".join(f"'{a.label}'" for a, m in joined if m is None)
        blocks.append(Text(f"Left out, as their rows or columns are not those of the others: {lost}.", "muted"))
    if not kept:
        return [Text("Not shown: what the trials stored is no table.", "muted")]
    draw = tables if first.kind == "table" else heatmaps
    return [*blocks, *draw(first, kept, analysis.baseline)]


def _rows(first: Figure, figures: Sequence[Figure]) -> tuple[str, ...]:
    """The rows of the first figure, and of a table those of all others too: every fold has other items."""
    head = names_of(first.data)
    if head is None:
        return ()
    found = [names[0] for f in figures if (names := names_of(f.data)) is not None]
    if first.kind != "table" or all(rows == head[0] for rows in found):
        return head[0]
    return tuple(dict.fromkeys(row for rows in found for row in rows))


def _matrix(first: Figure, figures: Sequence[Figure], rows: tuple[str, ...], seeds: int) -> Matrix | None:
    """Mean over the trials that have a row; None where something is missing or does not line up.

    A figure of another title shows something else (another fold's video), and is left out. Rows that stand for several
    items (`weights`) are means over those, and their number in one seed is a column of its own.
    """
    head = names_of(first.data)
    same = [f for f in figures if f.title == first.title]
    found = [names_of(f.data) for f in same]
    if head is None or not same or any(names is None or names[1] != head[1] for names in found):
        return None
    total, weight = np.zeros((len(rows), len(head[1]))), np.zeros(len(rows))
    count = np.zeros(len(rows), dtype=np.int64)
    place = {row: i for i, row in enumerate(rows)}
    for figure, names in zip(same, found, strict=True):
        own = () if names is None else names[0]
        if own != rows and (first.kind != "table" or len(set(own)) < len(own) or not set(own) <= set(rows)):
            return None
        at = list(range(len(rows))) if own == rows else [place[row] for row in own]
        weights = _weights(figure, len(own))
        total[at] += weights[:, None] * np.asarray(figure.data["values"], dtype=np.float64)
        weight[at] += weights
        count[at] += 1
    mean = np.divide(total, weight[:, None], out=np.full_like(total, np.nan), where=weight[:, None] > 0)
    least = int(count[count > 0].min(initial=len(same)))
    if "weights" not in first.data:
        return Matrix(mean, rows, head[1], least)
    return Matrix(np.column_stack([mean, weight / max(1, seeds)]), rows, (*head[1], "items"), len(same))


def _weights(figure: Figure, rows: int) -> np.ndarray:
    """Items behind each row; one each where the trial says nothing, or nothing that can be read."""
    weights = np.asarray(figure.data.get("weights", np.ones(rows)))
    fits = weights.shape == (rows,) and weights.dtype.kind in "fiu" and bool((weights > 0).all())
    return weights.astype(np.float64) if fits else np.ones(rows)


def names_of(data: Mapping[str, np.ndarray]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Rows and columns of a table or matrix; None if it is none."""
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
