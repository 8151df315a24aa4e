"""The keyframes on one sheet, in order of time, each with its time and score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..report.style import COLOURS, INK, MUTED, PAPER
from .clock import clock
from .selection import Keyframe
from .stills import fitted, jpeg

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

MOST = 60
"""Pictures of a sheet and of a page."""
CELL = 480
"""Pixels of the longer side of the pictures that are kept for it."""

_WIDTH = 1600
MARGIN, GAP = 32, 15
_NARROWEST, _WIDEST = 140, 480
TITLE, NOTE, _LABEL = 26, 17, 16


def columns(count: int, proportion: float) -> int:
    """For a sheet about 1.5 times as wide as high; `proportion` is a picture's width by its height."""
    ideal = round(math.sqrt(1.5 * count / (proportion / (1 + 0.15 * proportion))))
    return max(1, min(count, ideal, (_WIDTH + GAP) // (_NARROWEST + GAP)))


def grid_jpeg(pictures: Sequence[Image], keyframes: Sequence[Keyframe], title: str, note: str) -> bytes:
    """One JPEG. `pictures` of equal size, and as many `keyframes`; `note` says how many are not shown."""
    across = columns(len(pictures), pictures[0].width / pictures[0].height)
    cell = max(_NARROWEST, min(_WIDEST, (_WIDTH + GAP) // across - GAP, pictures[0].width))
    shrunk = [fitted(p, cell, 3 * cell) for p in pictures]
    high = max(p.height for p in shrunk)
    label = _LABEL + 16
    down = math.ceil(len(shrunk) / across)
    inner = max(across * (cell + GAP) - GAP, 720)
    sheet, draw, start = headed(inner, down * (high + label + GAP) - GAP, title, note)
    for k, (picture, keyframe) in enumerate(zip(shrunk, keyframes, strict=True)):
        left = MARGIN + k % across * (cell + GAP)
        top = start + k // across * (high + label + GAP)
        sheet.paste(picture, (left, top + high - picture.height))
        below = top + high + 5
        draw.text((left, below), clock(keyframe.seconds), fill=INK, font=font(_LABEL))
        colour = COLOURS[1] if keyframe.rank == 1 else MUTED
        draw.text((left + cell, below), f"{keyframe.score:.3f}", fill=colour, font=font(_LABEL), anchor="ra")
    return jpeg(sheet, 88)


def headed(inner: int, below: int, title: str, note: str) -> tuple[Image, ImageDraw, int]:
    """An empty sheet, `inner` pixels wide and `below` high under its head, and the row at which the head ends."""
    from PIL import Image, ImageDraw

    head = MARGIN + TITLE + NOTE + 32
    sheet = Image.new("RGB", (inner + 2 * MARGIN, head + below + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), cut(title, font(TITLE), inner), fill=INK, font=font(TITLE))
    draw.text((MARGIN, MARGIN + TITLE + 10), cut(note, font(NOTE), inner), fill=MUTED, font=font(NOTE))
    return sheet, draw, head


def cut(text: str, face: Any, width: float) -> str:
    """What fits into the width, with an ellipsis where something is missing."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


@cache
def font(size: int) -> Any:
    """The one font that is there on every machine: matplotlib brings it."""
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
