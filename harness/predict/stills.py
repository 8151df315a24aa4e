"""Chosen frames at full size: a second pass through the file, one block at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..data import VideoInfo, read_frames

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array: TypeAlias = "np.ndarray[Any, Any]"

WIDEST, HIGHEST = 1920, 4096
"""Pixels; a JPEG has at most 65,500 a side."""
_BLOCK = 32 << 20


def full_size(info: VideoInfo) -> tuple[int, int]:
    """(height, width) of the pictures: that of the video, at most 1920 pixels wide and 4096 high, proportions kept."""
    scale = min(1.0, WIDEST / info.width, HIGHEST / info.height)
    return max(1, round(info.height * scale)), max(1, round(info.width * scale))


def stills(path: Path, picks: Sequence[int], info: VideoInfo) -> Iterator[Image]:
    """The frames `picks`, which increase, as pictures. Raises DataError if one cannot be decoded."""
    from PIL import Image

    for block in read_frames(path, picks, size=full_size(info), info=info, limit=_BLOCK):
        for frame in block:
            yield Image.fromarray(frame)


def fitted(picture: Image, width: int, height: int) -> Image:
    """Shrunk, never enlarged, so that it fits; proportions kept."""
    from PIL import Image

    scale = min(width / picture.width, height / picture.height, 1.0)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def jpeg(picture: Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
