"""Frames in a line: the reference above, then every row of the study, so that the eye compares by columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas

from ..contracts import Figure
from .analysis import Arm
from .clips import ITEMS, Array, Clips, fitted, keep, thinned, titled
from .document import Block, Gallery, Picture, Text
from .escaping import one_line, shorten
from .style import INK, WORSE, picture

FRAMES = 12
_HEAT = "magma"


def strips(figure: Figure, stored: Sequence[tuple[Arm, int, Figure]]) -> list[Block]:
    """`stored`: row, seed and figure. One picture an item."""
    kept = keep(stored)
    if not kept.arms:
        return [*kept.notes] or [Text("Not shown: no pictures were stored.", "muted")]
    arms = [(a, thinned(c, FRAMES)) for a, c in kept.arms]
    first = arms[0][1]
    caption = f"{one_line(figure.alt).rstrip('.')}."
    if first.reference is not None:
        caption += f" First line: {first.reference_name}; then one line a row of the study."
    if len(first.columns) < len(kept.first.columns):
        caption += f" Drawn are {FRAMES} of {len(kept.first.columns)} columns."
    if len({c.images.shape[2:4] for _, c in arms}) > 1:
        caption += " Rows store frames of different sizes; they are drawn equally large."
    pictures = tuple(_strip(figure, arms, item) for item in range(min(ITEMS, len(first.rows))))
    return [*kept.notes, Gallery(caption + kept.caption, pictures)]


def _strip(figure: Figure, arms: Sequence[tuple[Arm, Clips]], item: int) -> Picture:
    first = arms[0][1]
    lines = [(a, c.images[item], c.heat) for a, c in arms]
    above = [] if first.reference is None else [(first.reference[item], False)]
    sheet, tall, wide = _sheet([*above, *((frames, heat) for _, frames, heat in lines)])
    labels = [first.reference_name] * len(above) + ["\n".join([*_wrapped(a.label), *a.marks]) for a, _ in arms]
    heat = any(c.heat for _, c in arms)
    # A whole number of the screen's pixels for each stored one, or rows of a digit would differ in thickness.
    scale = max(1, round((112 if len(labels) < 8 and len(first.columns) < 7 else 64) / max(tall, wide))) / 96
    left, top = 0.2 + 0.064 * max(len(t) for label in labels for t in label.split("\n")), 0.3
    width, height = scale * sheet.shape[1], scale * sheet.shape[0]
    size = (left + width + (0.65 if heat else 0.05), top + height + 0.05)
    canvas_ = Canvas(figsize=size)
    axes = canvas_.add_axes((left / size[0], 0.05 / size[1], width / size[0], height / size[1]))
    # "none" keeps the stored pixels and lets the browser enlarge them without blurring what is to be judged.
    axes.imshow(sheet, interpolation="none", aspect="auto")
    across, down = sheet.shape[1] / len(first.columns), sheet.shape[0] / len(labels)
    axes.set_xticks([(c + 0.5) * across for c in range(len(first.columns))], [shorten(n, 14) for n in first.columns])
    axes.set_yticks([(r + 0.5) * down for r in range(len(labels))], labels)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for label, (arm, _) in zip(axes.get_yticklabels()[len(above) :], arms, strict=True):
        label.set_color(INK if arm.ranked else WORSE)
    if heat:
        _scale(canvas_, (left + width + 0.15) / size[0], 0.05 / size[1], 0.13 / size[0], min(height, 2.5) / size[1])
    name = first.rows[item]
    names = ", ".join([first.reference_name] * len(above) + [a.told for a, _ in arms])
    told = f"{one_line(figure.alt).rstrip('.')}. Item {name}; from top to bottom: {names};"
    alt = f"{told} from left to right: {', '.join(first.columns)}"
    return picture(canvas_, f"{figure.key}-{item}", alt, titled(name))


def _wrapped(label: str) -> list[str]:
    """Three lines at most."""
    lines = textwrap.wrap(label, 26) or [label]
    return lines if len(lines) < 4 else [*lines[:2], shorten(" ".join(lines[2:]), 26)]


def _sheet(lines: Sequence[tuple[Array, bool]]) -> tuple[Array, int, int]:
    """All frames on one transparent sheet [H, W, 4], and the size of a frame."""
    tall, wide = (max(frames.shape[i] for frames, _ in lines) for i in (1, 2))
    gap = max(1, round(0.04 * max(tall, wide)))
    sheet = np.zeros((len(lines) * (tall + gap) - gap, len(lines[0][0]) * (wide + gap) - gap, 4), np.uint8)
    for r, (frames, heat) in enumerate(lines):
        for c, frame in enumerate(fitted(_colours(frames, heat), tall, wide)):
            top, left = r * (tall + gap), c * (wide + gap)
            sheet[top : top + tall, left : left + wide] = frame
    return sheet, tall, wide


def _scale(canvas_: Canvas, left: float, bottom: float, width: float, height: float) -> None:
    bar = canvas_.colorbar(ScalarMappable(Normalize(0, 1), _HEAT), cax=canvas_.add_axes((left, bottom, width, height)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=7)


def _colours(frames: Array, heat: bool) -> Array:
    """uint8 [F, H, W] or [F, H, W, 3] as [F, H, W, 4]."""
    if frames.ndim == 3 and heat:
        return np.asarray(mpl.colormaps[_HEAT](frames, bytes=True))
    rgb = np.repeat(frames[..., None], 3, axis=3) if frames.ndim == 3 else frames
    return np.concatenate([rgb, np.full((*rgb.shape[:3], 1), 255, np.uint8)], axis=3)
