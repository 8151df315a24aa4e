"""Small films, written when a test needs them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def scene(number: int, height: int, width: int) -> np.ndarray:
    """A flat colour of the scene, and a bright block at a place of its own."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = [(40 + 90 * number) % 200, (160 + 55 * number) % 200, (90 + 130 * number) % 200]
    left = number * 7 % max(1, width - width // 4)
    picture[height // 4 : height // 2, left : left + width // 4] = 250
    return picture


def film(
    path: Path,
    seconds: float = 8,
    fps: int = 10,
    width: int = 96,
    height: int = 64,
    codec: str = "libx264",
    scene_seconds: float = 2,
    stamps: Iterable[int] | None = None,
    **options: str,
) -> Path:
    """Scenes one after the other. `stamps`: milliseconds of every frame, for a variable frame rate."""
    unit = Fraction(1, 1000) if stamps is not None else Fraction(1, fps)
    times = list(stamps) if stamps is not None else list(range(int(seconds * fps)))
    made: dict[int, np.ndarray] = {}
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.codec_context.time_base = unit
        for time in times:
            number = int(time * unit / scene_seconds)
            if number not in made:
                made = {number: scene(number, height, width)}
            frame = av.VideoFrame.from_ndarray(made[number], format="rgb24")
            frame.pts, frame.time_base = time, unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float) -> Path:
    """Only the first part of its bytes is left."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    return path


def turned(path: Path, height: int) -> Path:
    """The same file with the display matrix of a phone that was held upright."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, height << 16, 0, 1 << 30)
    path.write_bytes(data)
    return path
