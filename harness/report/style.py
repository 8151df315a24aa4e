"""One look for all pictures: SVG that is byte for byte the same each time, and follows the reader's light or dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from .document import Picture
from .escaping import one_line, slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER, INK, MUTED, RULE = "#fdfdfc", "#20262d", "#5c6670", "#dfe3e7"
NIGHT = {PAPER: "#161a1f", INK: "#e8eaec", MUTED: "#a3adb6", RULE: "#343b43"}
BASELINE = "#6b7480"
# Okabe and Ito's colours, which stay apart for colour-blind readers; yellow is left out, as it fades on paper.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0609a", "#c98a00", "#3f9fd0", "#7a5230")
BETTER, WORSE = COLOURS[0], COLOURS[1]
_BRIGHT = {BASELINE: "#98a2ad", COLOURS[0]: "#4ba7e0", COLOURS[1]: "#f0803c", COLOURS[2]: "#2fc79a"}
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_RC = {
    "svg.hashsalt": "harness",
    "svg.fonttype": "path",  # the reader's machine may not have the font
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "regular",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "text.parse_math": False,  # a dollar sign in a class name is a dollar sign
    "text.usetex": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "figure.edgecolor": "none",
    "savefig.facecolor": PAPER,
    "lines.linewidth": 1.7,
}


@dataclass(frozen=True, slots=True)
class Pen:
    """How an arm is drawn in every picture: told apart by colour, dash and marker."""

    colour: str
    dash: str | tuple[int, tuple[float, ...]]
    marker: str


def pens(baselines: list[bool]) -> list[Pen]:
    """One pen an arm; grey for the baseline."""
    found, used = [], 0
    for is_baseline in baselines:
        if is_baseline:
            found.append(Pen(BASELINE, "-", "o"))
            continue
        colour = COLOURS[used % len(COLOURS)]
        found.append(Pen(colour, DASHES[(used // len(COLOURS) + used) % len(DASHES)], MARKERS[used % len(MARKERS)]))
        used += 1
    return found


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib's settings for the time of drawing; they are put back afterwards."""
    # A font without some character of a class name is no reason to worry the user.
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def canvas(width: float, height: float) -> tuple[Canvas, Axes]:
    """A figure with one pair of axes, in inches; no pyplot, so nothing is left behind."""
    figure = Canvas(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def picture(figure: Canvas, name: str, alt: str, caption: str) -> Picture:
    """The figure as an SVG file; `name` need not be safe."""
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue().decode("utf-8")
    svg = svg[svg.index("<svg") :]  # without the document type, which names an address
    end = svg.index(">") + 1
    head = svg[:end].replace("<svg", '<svg role="img"', 1)
    title = f"<title>{escape(one_line(alt))}</title>"
    width = round(float(figure.get_figwidth()) * 96)
    body = re.sub(r"\n\s*", "\n", svg[end:])
    return Picture(f"{slug(name)}.svg", f"{head}{title}{_night()}{body}".encode(), one_line(alt), caption, width)


def _night() -> str:
    rules = "".join(
        f'[style*="{what}: {day}"]{{{what}:{night} !important}}'
        for day, night in {**NIGHT, **_BRIGHT}.items()
        for what in ("fill", "stroke")
    )
    return f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
