"""index.html of one video: one file without network or script, light and dark, wide and narrow.

The curve is an SVG that is stretched to the width of the page; only its lines are in it, so that no text and no dot is
stretched with it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..report.escaping import one_line
from .clock import clock, marks
from .curve import Curve, written
from .selection import Keyframe

Fact: TypeAlias = tuple[str, str]

HIGH = 260
"""Units of the SVG's height, as many as pixels on a wide screen; its width is 1000 units."""


@dataclass(frozen=True, slots=True)
class Card:
    """A keyframe with its picture (JPEG)."""

    keyframe: Keyframe
    picture: bytes

    @property
    def time(self) -> str:
        return clock(self.keyframe.seconds)


@dataclass(frozen=True, slots=True)
class Still:
    """A frame of the strip below the curve."""

    seconds: float
    picture: bytes

    @property
    def time(self) -> str:
        return clock(self.seconds)


@dataclass(frozen=True, slots=True)
class Page:
    """All that is shown. `cards` are those of the keyframes that have a picture; `facts` say how all this was made."""

    title: str
    lead: str
    warnings: Sequence[str]
    curve: Curve
    strip: Sequence[Still]
    cards: Sequence[Card]
    portrait: bool
    note: str
    facts: Sequence[Fact]


@dataclass(frozen=True, slots=True)
class Tick:
    """`at`: per cent from the left or from the bottom."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Paths in a box of 1000 x HIGH units, and the ticks beside it."""

    line: str
    rules: str
    dots: str
    levels: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    label: str


def render(page: Page) -> str:
    """Everything that comes from outside passes through the template's escaping."""
    text = templates().get_template("page.html.j2").render(page=page, drawing=drawing(page.curve), high=HIGH)
    return text + "\n"


def drawing(curve: Curve) -> Drawing:
    """The curve as SVG paths. A line of no length with round ends is a dot that stays round when it is stretched."""
    low, high = curve.range()

    def x(seconds: float) -> str:
        return f"{1000 * seconds / curve.end:.2f}"

    def y(score: float) -> str:
        return f"{HIGH * (high - score) / (high - low):.1f}"

    times, scores = curve.thinned()
    points = [f"{x(t)},{y(s)}" for t, s in zip(times, scores, strict=True)]
    ticks = curve.ticks()
    times_told = marks(curve.end, 7)
    whole = all(t == int(t) for t in times_told)
    best = min(curve.keyframes, key=lambda k: k.rank)
    return Drawing(
        line="M" + "L".join(points) if len(points) > 1 else f"M0,{y(scores[0])}H1000",
        rules="".join(f"M{x(k.seconds)},{y(k.score)}V{HIGH}" for k in curve.keyframes),
        dots="".join(f"M{x(k.seconds)},{y(k.score)}h0" for k in curve.keyframes),
        levels="".join(f"M0,{y(t)}H1000" for t in ticks),
        across=tuple(Tick(100 * t / curve.end, clock(t, 0 if whole else 1)) for t in times_told),
        up=tuple(Tick(100 * (t - low) / (high - low), text) for t, text in zip(ticks, written(ticks), strict=True)),
        label=(
            f"Line chart of the score over {clock(curve.end)} of video, from {scores.min():.3f} to {scores.max():.3f}; "
            f"{len(curve.keyframes)} keyframes are marked, the highest at {clock(best.seconds)}"
        ),
    )


@cache
def templates() -> Environment:
    """The templates of all pages."""
    # Pages look like reports, so they share their style sheet.
    folders = [Path(__file__).parent / "templates", Path(__file__).parents[1] / "report" / "templates"]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["one_line"] = one_line
    environment.globals["clock"] = clock
    environment.globals["jpeg"] = lambda content: f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"
    return environment
