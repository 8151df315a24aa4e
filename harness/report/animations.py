"""Clips in motion: the reference and the rows of the study side by side, as one GIF an item."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..contracts import Figure
from .analysis import Arm
from .clips import ITEMS, Array, Clips, fitted, keep, thinned, titled
from .document import Block, Gallery, Picture, Text
from .escaping import one_line, shorten, slug
from .numbers import plural
from .rows import foremost

ARMS = 7
FRAMES = 120
ACROSS = 4
_PANEL = 128  # small frames are enlarged about to this many pixels
_GAP, _LINE, _SIZE = 10, 15, 11
_PAPER, _INK, _MUTED = 253, 38, 150
_LAST = 5  # the last frame stays so many times longer


@dataclass(frozen=True, slots=True)
class _Panel:
    label: tuple[str, ...]
    marks: tuple[str, ...]
    frames: Array


def animations(figure: Figure, stored: Sequence[tuple[Arm, int, Figure]]) -> list[Block]:
    """`stored`: row, seed and figure. One picture an item."""
    kept = keep(stored)
    if not kept.arms:
        return [*kept.notes] or [Text("Not shown: no pictures were stored.", "muted")]
    arms = [(a, thinned(c, FRAMES)) for a, c in foremost(kept.arms, ARMS, lambda pair: pair[0])]
    first = arms[0][1]
    caption = f"{one_line(figure.alt).rstrip('.')}. {first.milliseconds} ms a frame; the last one stays longer."
    if len(kept.arms) > ARMS:
        caption += f" In motion are {ARMS} of {plural(len(kept.arms), 'row')}."
    if first.images.shape[1] < kept.first.images.shape[1]:
        caption += f" Shown are {FRAMES} of {kept.first.images.shape[1]} frames."
    caption += f"{kept.caption} Readers who asked their machine for less motion see the last frame."
    pictures = tuple(_animation(figure, arms, item) for item in range(min(ITEMS, len(first.rows))))
    return [*kept.notes, Gallery(caption, pictures)]


def _animation(figure: Figure, arms: Sequence[tuple[Arm, Clips]], item: int) -> Picture:
    first = arms[0][1]
    height, width = (max(c.images.shape[i] for _, c in arms) for i in (2, 3))
    scale = max(1, round(_PANEL / max(height, width)))
    height, width = scale * height, scale * width
    columns = max(8, width // 7)
    panels: list[tuple[str, tuple[str, ...], Array]] = []
    if first.reference is not None:
        panels.append((first.reference_name, (), first.reference[item]))
    panels += [(a.label, a.marks, c.images[item]) for a, c in arms]
    drawn = [
        _Panel(_wrapped(name, columns), _wrapped(", ".join(marks), columns), fitted(frames, height, width))
        for name, marks, frames in panels
    ]
    sheets = _sheets(drawn, height, width)
    buffer = io.BytesIO()
    pace = [first.milliseconds] * (len(sheets) - 1) + [_LAST * first.milliseconds]
    sheets[0].save(buffer, "GIF", save_all=True, append_images=sheets[1:], duration=pace, loop=0, optimize=False)
    still = io.BytesIO()
    sheets[-1].save(still, "PNG")
    names = [first.reference_name] * (first.reference is not None) + [a.told for a, _ in arms]
    alt = f"{one_line(figure.alt).rstrip('.')}. Item {first.rows[item]} in motion, side by side: {', '.join(names)}"
    name = f"{slug(figure.key)}-{item}.gif"
    shown, still_ = buffer.getvalue(), still.getvalue()
    return Picture(name, shown, alt, titled(first.rows[item]), sheets[0].width, "image/gif", still_)


def _sheets(panels: Sequence[_Panel], height: int, width: int) -> list[Image.Image]:
    """Every frame with its labels; grey ones stay exact, colours are cut down to the 256 that a GIF can hold."""
    down = -(-len(panels) // ACROSS)
    across = -(-len(panels) // down)
    head = _LINE * max(len(p.label) + len(p.marks) for p in panels) + 4
    size = (across * (width + _GAP) + _GAP, down * (head + height + _GAP) + 2 * _LINE)
    grey = all(p.frames.ndim == 3 for p in panels)
    back = Image.new("L", size, _PAPER)
    pen = ImageDraw.Draw(back)
    places = [
        (_GAP + i % across * (width + _GAP), 4 + i // across * (head + height + _GAP) + head)
        for i in range(len(panels))
    ]
    for (x, y), panel in zip(places, panels, strict=True):
        lines = [(text, False) for text in panel.label] + [(text, True) for text in panel.marks]
        for i, (text, bold) in enumerate(lines):
            pen.text((x, y - 3 - _LINE * (len(lines) - i)), text, fill=_INK, font=_font(bold))
    count = len(panels[0].frames)
    made = []
    for t in range(count):
        sheet = back.copy() if grey else back.convert("RGB")
        for (x, y), panel in zip(places, panels, strict=True):
            sheet.paste(Image.fromarray(np.ascontiguousarray(panel.frames[t])), (x, y))
        _time(sheet, t, count)
        # One palette a frame: a shared one would depend on the first, which may be black.
        made.append(sheet if grey else sheet.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE))
    return made


def _time(sheet: Image.Image, t: int, count: int) -> None:
    """Below: which frame this is, and how far the clip has got."""
    pen = ImageDraw.Draw(sheet)
    ink, muted = ((v, v, v) if sheet.mode == "RGB" else v for v in (_INK, _MUTED))
    bottom, right = sheet.height - _LINE - 3, sheet.width - _GAP
    pen.text((_GAP, bottom), f"frame {t}", fill=ink, font=_font(False))
    left = _GAP + 64
    pen.line((left, bottom + 7, right, bottom + 7), fill=muted)
    end = left + (right - left) * t // max(1, count - 1)
    pen.rectangle((left, bottom + 6, end, bottom + 8), fill=ink)


def _wrapped(text: str, columns: int) -> tuple[str, ...]:
    """Two lines at most."""
    lines = textwrap.wrap(one_line(text), columns)
    return tuple(lines) if len(lines) < 3 else (lines[0], shorten(" ".join(lines[1:]), columns))


@cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / name
    # The basic engine is the one that every build of Pillow has, so that the bytes do not depend on it.
    return ImageFont.truetype(path, _SIZE, layout_engine=ImageFont.Layout.BASIC)
