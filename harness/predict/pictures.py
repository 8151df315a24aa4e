"""Image files that nobody has to trust: which are meant, and what a model is shown of each."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..data import VIDEO_SUFFIXES
from ..errors import DataError
from .listening import Failure

if TYPE_CHECKING:
    from PIL.Image import Image

Array: TypeAlias = "np.ndarray[Any, Any]"

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF")
_PIXELS = 100_000_000
_BYTES = 512 << 20
_NARROW = 64
"""The longer side is at most so many times the shorter one: more would be enlarged into a picture of no use."""
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True, slots=True)
class Seen:
    """One image: `pixels` uint8 [C, H, W] as the model gets them, `whole` the turned picture, RGB.

    `notes` are words for what had to be done to it.
    """

    pixels: Array
    whole: Image
    notes: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------------------------- which


def find_images(inputs: Sequence[Path], leave: Collection[Path] = ()) -> tuple[list[Path], list[Failure]]:
    """Every image once: files as they are named, and the images in a folder and all folders below it, sorted.

    `leave` are files in resolved folders, no links followed, that a folder's search leaves out. What cannot be used is
    among the failures, every folder below a folder by itself.
    """
    found: dict[Path, Path] = {}
    failures: list[Failure] = []
    for given in inputs:
        try:
            for path in _expanded(given, leave, failures):
                found.setdefault(path.resolve(), path)
        except DataError as error:
            failures.append(Failure(given, error))
        except OSError as error:
            failures.append(Failure(given, DataError(f"'{given}' cannot be read: {error.strerror or error}")))
        except ValueError as error:  # a null byte in a name
            failures.append(Failure(given, DataError(f"'{given}' cannot be a file: {error}")))
    return list(found.values()), failures


def _expanded(given: Path, leave: Collection[Path], failures: list[Failure]) -> list[Path]:
    if given.is_dir():
        before, names = len(failures), {path.name for path in leave}
        inside = sorted(_walk(given, failures))
        images = [
            p
            for p in inside
            if p.suffix.lower() in IMAGE_SUFFIXES and not (p.name in names and p.parent.resolve() / p.name in leave)
        ]
        if images or len(failures) > before:
            return images
        if any(p.suffix.lower() in VIDEO_SUFFIXES for p in inside):
            raise DataError(f"folder '{given}' has videos in it and no image", hint=_HINT)
        raise DataError(f"folder '{given}' has no image in it", hint=f"images end with {', '.join(IMAGE_SUFFIXES)}")
    if given.is_file():
        suffix = given.suffix.lower()
        if suffix in VIDEO_SUFFIXES and suffix not in IMAGE_SUFFIXES:
            raise DataError(f"'{given}' is a video, and this trial classifies images", hint=_HINT)
        return [given]
    if given.exists():
        raise DataError(f"'{given}' is neither a file nor a folder", hint="give image files, or folders of them")
    raise DataError(f"'{given}' is not there", hint="give image files, or folders of them")


_HINT = "give images, or name a trial of task keyframes"


def _walk(folder: Path, failures: list[Failure]) -> list[Path]:
    """Files below a folder; hidden ones and linked folders, which may lead in a circle, are left out.

    What the system refuses to open is a failure, and the search goes on. No recursion: folders lie deeper than Python
    calls.
    """
    found, waiting = [], [folder]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError as error:
            told = DataError(f"folder '{here}' cannot be read: {error.strerror or error}")
            failures.append(Failure(here, told))
            continue
        for entry in entries:
            path = here / entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif entry.is_file():
                    found.append(path)
            except OSError as error:
                failures.append(Failure(path, DataError(f"'{path}' cannot be read: {error.strerror or error}")))
    return found


# ------------------------------------------------------------------------------------------------------------ read


def read(path: Path, shape: tuple[int, int, int]) -> Seen:
    """The image for a model that reads [C, H, W] = `shape`, C 1 or 3. Raises DataError.

    The first frame, turned by its EXIF orientation, transparent parts over white, 16 bits to 8, grey by ITU-R 601
    luma where the model reads grey; resized (bilinear, antialiased) so that it just covers H x W, the middle cut out.
    For a square input these are the pixels that datasets of image files have of files without such orientation.
    """
    from PIL import Image

    try:
        if path.stat().st_size > _BYTES:
            raise DataError(f"'{path}' has more than {_BYTES >> 20} MiB", hint="save it smaller")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes, which are judged here
            with path.open("rb") as file, Image.open(file, formats=_FORMATS) as opened:
                width, height = opened.size
                if width * height > _PIXELS:
                    raise DataError(
                        f"'{path}' has {width:,} x {height:,} pixels, and at most {_PIXELS:,} are read",
                        "save it smaller",
                    )
                frames = getattr(opened, "n_frames", 1)
                opened.load()
                turned, notes = _turned(opened)
                plain = _plain(turned, path, notes)
        if frames > 1:
            notes.insert(0, f"the first of {frames} frames")
        grey = plain.convert("L") if shape[0] == 1 else plain.convert("RGB")
        cut = _covering(grey, shape[1], shape[2])
    except DataError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit comes before ours can be asked
        raise DataError(
            f"'{path}' has more than the {_PIXELS:,} pixels that are read", hint="save it smaller"
        ) from error
    except OSError as error:
        told = error.strerror or str(error).split("<_io", 1)[0].rstrip() or type(error).__name__
        raise DataError(f"'{path}' is damaged or no image: {told}", hint="write the file again") from error
    except ValueError as error:
        raise DataError(f"'{path}' cannot be used: {error}", hint="write the file again") from error
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise DataError(f"'{path}' is damaged or no image: {error}", hint="write the file again") from error
    if plain.height < shape[1] or plain.width < shape[2]:
        notes.append(f"enlarged from {plain.width} x {plain.height} pixels")
    pixels = np.asarray(cut, dtype=np.uint8)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return Seen(np.ascontiguousarray(pixels), plain.convert("RGB"), tuple(notes))


def _turned(image: Image) -> tuple[Image, list[str]]:
    from PIL import ImageOps

    try:
        orientation = image.getexif().get(0x0112, 1)
        if orientation in range(2, 9):
            return ImageOps.exif_transpose(image), ["turned by its EXIF orientation"]
    except Exception:  # EXIF is a format of its own, and damaged more often than the picture
        return image.copy(), ["its EXIF data is damaged, so it is not turned"]
    return image.copy(), []


def _plain(image: Image, path: Path, notes: list[str]) -> Image:
    """As L or RGB, without transparency."""
    from PIL import Image as Pillow

    if image.mode in _DEEP:
        notes.append("16 bits a pixel cut to 8")
        return Pillow.fromarray(_eight_bits(np.asarray(image), path))
    if image.mode == "F":
        raise DataError(
            f"'{path}' has floating-point pixels, whose range nobody knows", hint="save it with 8 or 16 bits a channel"
        )
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        if int(np.asarray(clear.getchannel("A")).min()) < 255:
            notes.append("transparent parts over white")
        return Pillow.alpha_composite(Pillow.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _eight_bits(values: Array, path: Path) -> Array:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 0xFFFF:
        raise DataError(
            f"'{path}' has values from {low} to {high}, more than 16 bits", hint="save it with 8 or 16 bits"
        )
    return np.asarray((values.astype(np.uint32) * 255 + 0x7FFF) // 0xFFFF, dtype=np.uint8)


def _covering(image: Image, height: int, width: int) -> Image:
    from PIL import Image as Pillow

    wide, high = image.size
    if max(wide, high) > _NARROW * min(wide, high):
        raise ValueError(f"{wide} x {high} pixels, so one side is more than {_NARROW} times the other")
    # As torchvision's Resize and CenterCrop round, which made the images of most data sets.
    if wide * height <= high * width:
        size = (width, max(height, int(width * high / wide)))
    else:
        size = (max(width, int(height * wide / high)), height)
    resized = image.resize(size, Pillow.Resampling.BILINEAR) if size != image.size else image
    left, top = round((size[0] - width) / 2.0), round((size[1] - height) / 2.0)
    return resized.crop((left, top, left + width, top + height))
