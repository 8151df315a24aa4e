"""Matrices as pictures: one colour scale for quantities, a symmetric one for differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize, PowerNorm

from ..stats import minus
from .document import Picture
from .escaping import shorten
from .style import PAPER, canvas, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray
# White in the middle: no difference. Blue and orange stay apart for colour-blind readers.
_DIVERGING = LinearSegmentedColormap.from_list("difference", ["#a84300", "#e58a45", "#f7f6f4", "#5aa3d4", "#00508a"])
_SEQUENTIAL = LinearSegmentedColormap.from_list("quantity", ["#f4f7fa", "#9cc5e0", "#3a87bd", "#0b4a7d", "#062a4d"])
# Not quite those of the page, so that dark mode leaves them as they are: the cells below them do not change either.
_ON_DARK, _ON_LIGHT = "#fffffe", "#1a1f24"
_NAMED = 40
_WRITTEN = 150


def heatmap(
    values: Array,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    name: str,
    alt: str,
    caption: str,
    difference: bool = False,
    limit: float | None = None,
    axes_labels: tuple[str, str] = ("", ""),
    zero_based: bool = True,
    small: str = "hundredths",
) -> Picture:
    """`values` [R, C]; shown in hundredths where none is above 1. `small`: what the scale calls those, such as pp.

    `limit`: the end of the scale, shared by pictures that are compared; the values' own if None.
    """
    known = values[np.isfinite(values)]
    end = limit if limit is not None else float(np.abs(known).max(initial=0.0))
    end = end or 1.0
    hundredths = end <= 1
    if hundredths:
        values, known, end = 100 * values, 100 * known, 100 * end
    low = -end if difference else 0.0 if zero_based and known.min(initial=0.0) >= 0 else float(known.min(initial=0.0))
    width, height = _size(rows, columns)
    figure, axes = canvas(width, height)
    # Square root: beside a diagonal near 1 the confusions of a few per cent would all be white.
    norm = Normalize(low, end) if difference or low < 0 else PowerNorm(0.5, low, end)
    scheme = _DIVERGING if difference else _SEQUENTIAL
    shown = axes.imshow(values, cmap=scheme, norm=norm, aspect="auto", interpolation="none")
    _ticks(axes, rows, columns)
    axes.set_xlabel(axes_labels[0])
    axes.set_ylabel(axes_labels[1])
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(visible=False)
    if len(rows) * len(columns) <= 40 * _NAMED:
        axes.grid(which="minor", color=PAPER, linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    if values.size <= _WRITTEN:
        _write(axes, values, norm, difference)
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02, fraction=0.05)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=7)
    bar.ax.minorticks_off()
    if hundredths:
        bar.set_label(small, fontsize=7)
    return picture(figure, name, alt, caption)


def _size(rows: Sequence[str], columns: Sequence[str]) -> tuple[float, float]:
    """Inches: room for the names, and cells that stay visible where there are very many."""
    name = 0.065 * max((len(shorten(r, 24)) for r in rows), default=0)
    longest = 0.065 * max((len(shorten(c, 24)) for c in columns), default=0)
    per_column = 0.52 if len(columns) <= 5 else 0.4 if len(columns) <= 14 else 0.22 if len(columns) <= _NAMED else 0.06
    per_row = 0.3 if len(rows) <= 14 else 0.2 if len(rows) <= _NAMED else 0.06
    width = 1.1 + name + max(1.6, per_column * len(columns))
    height = 0.5 + longest + max(1.2, per_row * len(rows))
    return min(width, 9.0), min(height, 9.0)


def _ticks(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    for names, setter, rotation in (
        (columns, axes.set_xticks, 90 if sum(len(shorten(c, 24)) for c in columns) > 20 else 0),
        (rows, axes.set_yticks, 0),
    ):
        step = -(-len(names) // _NAMED)
        places = range(0, len(names), step)
        setter(places, [shorten(names[i], 24) for i in places], rotation=rotation)


def _write(axes: Axes, values: Array, norm: Normalize, difference: bool) -> None:
    for r, c in np.ndindex(values.shape):
        number = float(values[r, c])
        if not np.isfinite(number):
            continue
        place = float(norm(number))
        dark = abs(place - 0.5) > 0.31 if difference else place > 0.55
        axes.text(
            c,
            r,
            brief(number, difference),
            ha="center",
            va="center",
            fontsize=6.5,
            color=_ON_DARK if dark else _ON_LIGHT,
            in_layout=False,  # it lies in its cell, and to measure every cell takes as long as to draw it
        )


def brief(number: float, signed: bool = False) -> str:
    """As short as a cell: `93`, `0.4`, `+1.2`, `1.2k`; nothing where nothing differs."""
    if number == 0:
        return "" if signed else "0"
    if abs(number) >= 1000:
        text = f"{number / 1000:.3g}k"
    else:
        text = f"{number:.0f}" if abs(number) >= 99.5 else f"{number:.1f}"
    text = "0" if float(text.rstrip("k")) == 0 else text
    return f"{'+' if signed and number > 0 and text != '0' else ''}{minus(text)}"
