"""Stored lines and bars: one panel a series, all rows in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from ..contracts import Figure
from .analysis import Arm
from .document import Block, Gallery, Picture, Text
from .escaping import one_line, shorten
from .numbers import plural
from .plots import legend
from .rows import foremost
from .style import RULE, canvas, pens, picture

ARMS = 8
PANELS = 12
X_LABEL = "x_label"
REFERENCE, REFERENCE_NAME = "reference/", "reference_name"

Joined = Sequence[tuple[Arm, Mapping[str, np.ndarray]]]


def panels(figure: Figure, joined: Joined) -> list[Block]:
    """`joined`: series -> [trials, N] of every row."""
    usable = [(a, s) for a, s in joined if s]
    if not usable:
        return [Text("Not shown: what the trials stored has no axis or no series in common.", "muted")]
    drawn = foremost(usable, ARMS, lambda pair: pair[0])
    names = list(dict.fromkeys(name for _, series in drawn for name in series))
    caption = f"{one_line(figure.alt)}. Mean over trials"
    caption += "; bands: from the lowest to the highest." if figure.kind == "lines" else "; bars: lowest to highest."
    for total, kept, what in ((len(usable), len(drawn), "row"), (len(names), min(len(names), PANELS), "series")):
        if kept < total:
            caption += f" Only {kept} of {plural(total, what) if what == 'row' else f'{total} series'} are drawn."
    if any(_reference(figure, name) is not None for name in names[:PANELS]):
        caption += f" Grey area: {_name(figure, REFERENCE_NAME) or 'reference'}."
    return [Gallery(caption, tuple(_panel(figure, name, drawn) for name in names[:PANELS]))]


def series_names(figure: Figure) -> list[str]:
    """The keys of what is drawn a row: all but the axis, the references and their name."""
    own = ("x", X_LABEL, REFERENCE_NAME)
    return [key for key in figure.data if key not in own and not key.startswith(REFERENCE)]


def x_label(figure: Figure) -> str:
    """What the trials call the axis; empty if nothing, or nothing that can be read."""
    return _name(figure, X_LABEL)


def _name(figure: Figure, key: str) -> str:
    stored = np.asarray(figure.data.get(key, "")).ravel()
    if stored.size != 1 or stored.dtype.kind not in "OUS":
        return ""
    name = stored[0]
    return one_line(name.decode("utf-8", "replace") if isinstance(name, bytes) else name)


def _reference(figure: Figure, name: str) -> np.ndarray | None:
    """Of a series of lines: what every row's is compared with by eye."""
    stored = np.asarray(figure.data.get(REFERENCE + name, ""))
    if figure.kind != "lines" or stored.dtype.kind not in "fiub" or stored.shape != np.shape(figure.data["x"]):
        return None
    return stored.astype(np.float64)


def _panel(figure: Figure, name: str, joined: Joined) -> Picture:
    x = np.asarray(figure.data["x"])
    canvas_, axes = canvas(5.0, 3.1 + 0.17 * len(joined))
    numeric = x.dtype.kind in "fiu"
    places = x.astype(np.float64) if numeric and figure.kind == "lines" else np.arange(len(x), dtype=np.float64)
    used = [(a, s[name]) for a, s in joined if name in s]
    width = 0.8 / len(used)
    behind = _reference(figure, name)
    if behind is not None:
        label = shorten(_name(figure, REFERENCE_NAME) or "reference")
        axes.fill_between(places, 0, behind, color=RULE, linewidth=0, zorder=0.5, label=label)
    for i, ((arm, values), pen) in enumerate(zip(used, pens([a.cell.baseline for a, _ in used]), strict=True)):
        mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
        label = arm.short()
        lone = pen.marker if len(places) == 1 else ""  # a line needs two points to be seen
        if figure.kind == "lines":
            axes.fill_between(places, low, high, color=pen.colour, alpha=0.16, linewidth=0)
            axes.plot(places, mean, color=pen.colour, linestyle=pen.dash, marker=lone, label=label)
        else:
            at = places + (i - (len(used) - 1) / 2) * width
            axes.bar(at, mean, width=0.92 * width, color=pen.colour, label=label, yerr=(mean - low, high - mean))
    if not (numeric and figure.kind == "lines"):
        step = -(-len(x) // 24)
        shown = [x[i].decode("utf-8", "replace") if isinstance(x[i], bytes) else x[i] for i in range(0, len(x), step)]
        labels = [shorten(s, 18) for s in shown]
        axes.set_xticks(places[::step], labels, rotation=90 if sum(map(len, labels)) > 40 else 0)
    if x.dtype.kind in "iu" and figure.kind == "lines":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(shorten(name))
    axes.set_xlabel(shorten(x_label(figure)))
    legend(canvas_, axes)
    ends = "; ".join(f"{a.told}: mean {np.nanmean(v):.3g}" for a, v in used)
    return picture(canvas_, f"{figure.key}-{name}", f"{one_line(figure.alt)}. {one_line(name)}. {ends}", one_line(name))
