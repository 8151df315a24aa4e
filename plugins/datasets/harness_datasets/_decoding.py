"""Decoding of image files that nobody has to trust, all into one array."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from harness.data import walk
from harness.errors import DataError

Array: TypeAlias = "np.ndarray[Any, Any]"
_BYTES = 64 << 20
_PIXELS = 100_000_000
_AT_ONCE = 64


def decode_all(source: Path, rows: Mapping[str, tuple[Array, int]], size: int) -> None:
    """Decode every image of `rows` (path -> array and row in it). Raises DataError that names a damaged one."""
    # Pillow lets go of the interpreter while it decodes, so threads are enough; only a handful is in flight.
    left = set(rows)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        blobs = iter(_blobs(source, rows.keys()))
        while some := list(islice(blobs, _AT_ONCE)):
            decoded = pool.map(lambda b: decode(b[1], size, f"'{b[0]}' in '{source}'"), some)
            for (path, _), image in zip(some, decoded, strict=True):
                array, row = rows[path]
                array[row] = image
                left.discard(path)
    if left:
        raise DataError(f"image_folder: '{min(left)}' is gone from '{source}'")


def _blobs(source: Path, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in paths:
            try:
                with (source / path).open("rb") as opened:
                    yield path, _bounded(opened.read(_BYTES + 1), path, source)
            except OSError as error:
                raise DataError(f"image_folder: cannot read '{source / path}': {error.strerror or error}") from error
        return
    wanted = set(paths)
    for entry, stream in walk(source):
        if entry.path in wanted:
            yield entry.path, _bounded(stream.read(_BYTES + 1), entry.path, source)


def _bounded(blob: bytes, path: str, source: Path) -> bytes:
    if len(blob) > _BYTES:
        raise DataError(f"image_folder: '{path}' in '{source}' has more than {_BYTES:,} bytes")
    return blob


def decode(blob: bytes, size: int, name: str) -> Array:
    """One jpg or png as uint8 [3, size, size]: RGB, shorter side resized (bilinear, antialiased), centre cropped.

    The same pixels as torchvision's Resize(size) and CenterCrop(size) of the Pillow image; like its ImageFolder it
    does not turn pictures by their EXIF orientation. Raises DataError.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; size is judged below
            with Image.open(io.BytesIO(blob), formats=("JPEG", "PNG")) as opened:
                width, height = opened.size
                if width * height > _PIXELS:
                    raise DataError(f"image_folder: {name} has {width}x{height} pixels; at most {_PIXELS:,} are read")
                if opened.mode.startswith(("I", "F")):
                    raise DataError(f"image_folder: {name} has more than 8 bits a channel, which is not supported")
                image = opened.convert("RGB")
        wide, high = _shorter_side(width, height, size)
        image = image.resize((wide, high), Image.Resampling.BILINEAR)
    except DataError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise DataError(f"image_folder: {name} is damaged or no image: {error}") from error
    left, top = round((wide - size) / 2.0), round((high - size) / 2.0)
    image = image.crop((left, top, left + size, top + size))
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


def _shorter_side(width: int, height: int, size: int) -> tuple[int, int]:
    short, long = min(width, height), max(width, height)
    longer = int(size * long / short)
    if longer > 64 * size:
        raise ValueError(f"{width}x{height} pixels is too narrow")
    return (size, longer) if width <= height else (longer, size)


def labels(items: Sequence[Any], classes: Sequence[str]) -> Array:
    number = {name: i for i, name in enumerate(classes)}
    return np.asarray([number[i.label] for i in items], dtype=np.int64)
