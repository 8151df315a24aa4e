"""Tables and matrices of several rows of a study: the baseline, every row, and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contracts import Figure
from ..stats import minus
from . import numbers
from .analysis import Arm
from .document import Block, Column, Entry, Fold, Gallery, Line, Picture, Table, Text
from .escaping import one_line
from .heatmaps import Array, heatmap

PANELS = 6
_OPEN = 20  # longer tables are folded away


@dataclass(frozen=True, slots=True)
class Matrix:
    """Mean over `n` trials; values [R, C]."""

    values: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    n: int


Joined = Sequence[tuple[Arm, Matrix]]


def tables(figure: Figure, joined: Joined, baseline: Arm | None) -> list[Block]:
    """The reference row's table, differences by column as heat maps (lines × rows of the study), all else folded."""
    reference, base = _reference(joined, baseline)
    first = _table(f"{one_line(figure.alt)}: {reference.told}, {_mean(base)}.", base)
    blocks: list[Block] = [first] if len(base.rows) <= _OPEN else [Fold(f"Table of {reference.told}", (first,))]
    others = [(a, m) for a, m in joined if a is not reference]
    comparable = [(a, m) for a, m in others if a.ranked]
    if figure.compare and reference is baseline and comparable:
        blocks.extend(_by_column(figure, base, comparable))
    if others:
        rest = tuple(_table(f"{a.told}, {_mean(m)}.", m) for a, m in others)
        blocks.append(Fold("The same table of every other row", rest))
    return blocks


def _by_column(figure: Figure, base: Matrix, others: Joined) -> list[Block]:
    pictures, folded, equal = [], [], []
    names = [a.told for a, _ in others]
    for c, column in enumerate(base.columns):
        change = np.stack([m.values[:, c] - base.values[:, c] for _, m in others], axis=1)
        if not np.nan_to_num(change).any():
            equal.append(column)
            continue
        seen = _extremes(change, base.rows, names)
        alt = f"Difference of {column} to the baseline, by line (down) and row of the study (across). {seen}"
        name = f"{figure.key}-difference-{column}"
        pictures.append(
            heatmap(change, base.rows, names, name=name, alt=alt, caption=f"{column}: difference", difference=True)
        )
        folded.append(_table(f"{column}: row − baseline.", Matrix(change, base.rows, tuple(names), 0), signed=True))
    if not pictures:
        return [Text("All rows store the same numbers as the baseline.", "muted")]
    caption = "Differences of means over trials, row − baseline. Blue: above the baseline, orange: below."
    if equal:
        caption += f" Equal in all rows: {', '.join(equal)}."
    return [Gallery(caption, tuple(pictures)), Fold("These differences as numbers", tuple(folded))]


def heatmaps(figure: Figure, joined: Joined, baseline: Arm | None) -> list[Block]:
    """One matrix a row on one scale; then what each changes against the baseline."""
    reference, base = _reference(joined, baseline)
    shown = [(a, m) for a, m in joined if a is not reference]
    shown = _most_different(shown, base)[: PANELS - 1]
    drawn = [(reference, base), *shown]
    top = max(float(np.nanmax(np.abs(m.values), initial=0.0)) for _, m in drawn)
    pictures = tuple(_panel(figure, a, m, top) for a, m in drawn)
    caption = f"{one_line(figure.alt)}. Mean over trials; all on one scale, colour by square root."
    if len(drawn) < len(joined):
        caption += f" Shown are '{reference.told}' and the {len(shown)} of {len(joined) - 1} rows that differ most."
    blocks: list[Block] = [Gallery(caption, pictures)]
    changes = [(a, Matrix(m.values - base.values, m.rows, m.columns, m.n)) for a, m in shown if a.ranked]
    if figure.compare and reference is baseline and changes:
        limit = max(float(np.nanmax(np.abs(m.values), initial=0.0)) for _, m in changes)
        differing = tuple(_panel(figure, a, m, limit, difference=True) for a, m in changes)
        text = "Difference to the baseline (row − baseline), on one scale. Blue: above the baseline, orange: below."
        blocks.append(Gallery(text, differing))
    if base.values.size <= 400:
        blocks.append(Fold(f"{reference.told} as numbers", (_table(f"{reference.told}, {_mean(base)}.", base),)))
    return blocks


def _panel(figure: Figure, arm: Arm, matrix: Matrix, limit: float, difference: bool = False) -> Picture:
    what = f"{arm.told}, difference to the baseline" if difference else arm.told
    what = f"{what} (n = {matrix.n})"
    name = f"{figure.key}-{'difference-' if difference else ''}{arm.cell.key}"
    alt = f"{one_line(figure.alt)}. {what}. {_extremes(matrix.values, matrix.rows, matrix.columns)}"
    return heatmap(
        matrix.values,
        matrix.rows,
        matrix.columns,
        name=name,
        alt=alt,
        caption=what,
        difference=difference,
        limit=limit,
    )


def _most_different(joined: Joined, base: Matrix) -> list[tuple[Arm, Matrix]]:
    if len(joined) < PANELS:
        return list(joined)
    ranked = sorted(joined, key=lambda pair: -float(np.nansum(np.abs(pair[1].values - base.values))))
    kept = {a.cell.key for a, _ in ranked[: PANELS - 1]}
    return [(a, m) for a, m in joined if a.cell.key in kept]


def _reference(joined: Joined, baseline: Arm | None) -> tuple[Arm, Matrix]:
    return next(((a, m) for a, m in joined if a is baseline), joined[0])


def _mean(matrix: Matrix) -> str:
    return f"mean over {numbers.plural(matrix.n, 'trial')}" if matrix.n != 1 else "one trial"


def _extremes(values: Array, rows: Sequence[str], columns: Sequence[str]) -> str:
    """What a reader who cannot see the picture should know of it."""
    if not np.isfinite(values).any():
        return "It holds no numbers."
    places = (divmod(int(f(values)), values.shape[1]) for f in (np.nanargmax, np.nanargmin))
    high, low = (f"{values[r, c]:.3g} at {rows[r]}, {columns[c]}" for r, c in places)
    return f"Highest: {high}. Lowest: {low}."


def _table(caption: str, matrix: Matrix, signed: bool = False) -> Table:
    columns = (Column("", numeric=False), *(Column(c) for c in matrix.columns))
    lines = tuple(
        Line((Entry(name), *(Entry(_number(float(v), signed)) for v in row)))
        for name, row in zip(matrix.rows, matrix.values, strict=True)
    )
    return Table(caption, columns, lines)


def _number(number: float, signed: bool) -> str:
    if not np.isfinite(number):
        return numbers.NONE
    if not signed and number.is_integer():
        return f"{number:,.0f}"
    return minus(f"{number:+.3f}" if signed else f"{number:.3f}" if abs(number) < 1000 else f"{number:,.1f}")
