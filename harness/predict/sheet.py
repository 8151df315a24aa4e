"""All images on one sheet, each with its class and probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..report.escaping import one_line
from ..report.style import INK, MUTED, PAPER
from .grid import columns, cut, font
from .listening import Classified
from .stills import fitted, jpeg

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL, _WIDEST, _MARGIN, _GAP = 200, 1600, 32, 16
_TITLE, _NOTE, _LABEL, _NAME = 26, 17, 17, 13


def sheet_jpeg(pictures: Sequence[Image], images: Sequence[Classified], title: str, note: str) -> bytes:
    """One JPEG of as many `pictures` as `images`; `note` says how many are not shown."""
    from PIL import Image, ImageDraw

    across = min(columns(len(pictures), 1.0), (_WIDEST + _GAP) // (_CELL + _GAP))
    down = math.ceil(len(pictures) / across)
    label = _LABEL + _NAME + 18
    inner = max(across * (_CELL + _GAP) - _GAP, 640)
    head = _TITLE + _NOTE + 34
    size = (inner + 2 * _MARGIN, 2 * _MARGIN + head + down * (_CELL + label + _GAP) - _GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), cut(title, font(_TITLE), inner), fill=INK, font=font(_TITLE))
    draw.text((_MARGIN, _MARGIN + _TITLE + 10), cut(note, font(_NOTE), inner), fill=MUTED, font=font(_NOTE))
    for k, (picture, one) in enumerate(zip(pictures, images, strict=True)):
        left = _MARGIN + k % across * (_CELL + _GAP)
        top = _MARGIN + head + k // across * (_CELL + label + _GAP)
        small = enlarged(picture, _CELL)
        sheet.paste(small, (left, top + _CELL - small.height))
        below, share = top + _CELL + 5, f"{100 * one.probability:.1f} %"
        room = _CELL - font(_LABEL).getlength(share) - 8
        draw.text((left, below), cut(one_line(one.label), font(_LABEL), room), fill=INK, font=font(_LABEL))
        draw.text((left + _CELL, below), share, fill=MUTED, font=font(_LABEL), anchor="ra")
        name = cut(one_line(one.path.name), font(_NAME), _CELL)
        draw.text((left, below + _LABEL + 5), name, fill=MUTED, font=font(_NAME))
    return jpeg(sheet, 88)


def enlarged(picture: Image, side: int) -> Image:
    """Fitted into a square of `side` pixels; small pictures are enlarged with their pixels as squares."""
    from PIL import Image

    times = side // max(picture.size)
    if times > 1:
        return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    return fitted(picture, side, side)
