"""All images on one sheet, each with its class and probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..report.escaping import one_line
from ..report.style import INK, MUTED
from .grid import GAP, MARGIN, columns, cut, font, headed
from .listening import Classified
from .stills import fitted, jpeg

if TYPE_CHECKING:
    from PIL.Image import Image

_CELL, _WIDEST = 200, 1600
_LABEL, _NAME = 17, 13


def sheet_jpeg(pictures: Sequence[Image], images: Sequence[Classified], title: str, note: str) -> bytes:
    """One JPEG of as many `pictures` as `images`; `note` says how many are not shown."""
    across = min(columns(len(pictures), 1.0), (_WIDEST + GAP) // (_CELL + GAP))
    down = math.ceil(len(pictures) / across)
    label = _LABEL + _NAME + 18
    inner = max(across * (_CELL + GAP) - GAP, 640)
    sheet, draw, start = headed(inner, down * (_CELL + label + GAP) - GAP, title, note)
    for k, (picture, one) in enumerate(zip(pictures, images, strict=True)):
        left = MARGIN + k % across * (_CELL + GAP)
        top = start + k // across * (_CELL + label + GAP)
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
