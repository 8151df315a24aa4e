"""Image files that nobody has to trust."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import DataError
from harness.predict import pictures
from harness.predict.pictures import find_images, read

SIZE = (3, 8, 8)


def ramp(width: int = 16, height: int = 12) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it is `side` pixels wide and high."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b""))
    chunks = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + chunks


def cut_png() -> bytes:
    buffer = io.BytesIO()
    ramp(64, 64).save(buffer, "PNG")
    return buffer.getvalue()[:-5000]


def floats() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(buffer, "TIFF")
    return buffer.getvalue()


def narrow() -> bytes:
    buffer = io.BytesIO()
    ramp(2, 400).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"I am no image\n", "is damaged or no image: cannot identify image file"),
        (b"", "is damaged or no image"),
        (cut_png(), "is damaged or no image"),
        (bomb(20_000), "has more than the 100,000,000 pixels that are read"),
        (bomb(12_000), "has 12,000 x 12,000 pixels, and at most 100,000,000 are read"),
        (bomb(9_000), "is damaged or no image"),
        (floats(), "has floating-point pixels"),
        (narrow(), "so one side is more than 64 times the other"),
        (b"\x89PNG\r\n\x1a\n" + os.urandom(300), "is damaged or no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is damaged or no image"),
    ],
    ids=["text", "empty", "cut", "bomb", "large", "hollow", "floats", "narrow", "noise", "program"],
)
def test_a_bad_file_is_named(content: bytes, told: str, tmp_path: Path):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read(path, SIZE)
    assert str(path) in error.value.message
    assert told in error.value.message


def test_a_file_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "large.png"
    ramp().save(path)
    monkeypatch.setattr(pictures, "_BYTES", 100)
    with pytest.raises(DataError, match="has more than 0 MiB"):
        read(path, SIZE)


def test_a_picture_that_lies_on_its_side_is_turned(tmp_path: Path):
    upright = ramp(12, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "side.png", exif=exif)
    upright.save(tmp_path / "up.png")
    turned, plain = read(tmp_path / "side.png", SIZE), read(tmp_path / "up.png", SIZE)
    assert turned.notes == ("turned by its EXIF orientation",)
    np.testing.assert_array_equal(turned.pixels, plain.pixels)
    assert turned.whole.size == (12, 16)


def test_transparent_parts_are_white(tmp_path: Path):
    image = np.zeros((8, 8, 4), np.uint8)
    image[:4, :, 3] = 255
    Image.fromarray(image).save(tmp_path / "half.png")
    seen = read(tmp_path / "half.png", SIZE)
    assert seen.notes == ("transparent parts over white",)
    assert (seen.pixels[:, :4] == 0).all()
    assert (seen.pixels[:, 4:] == 255).all()


def test_transparency_of_a_palette_is_white_too(tmp_path: Path):
    image = Image.fromarray(np.repeat([[0] * 8, [1] * 8], 4, axis=0).astype(np.uint8))
    image = image.convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.save(tmp_path / "palette.gif", transparency=1)
    seen = read(tmp_path / "palette.gif", SIZE)
    np.testing.assert_array_equal(seen.pixels[:, 0, 0], [10, 20, 30])
    np.testing.assert_array_equal(seen.pixels[:, 7, 0], [255, 255, 255])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_cut_to_eight(suffix: str, tmp_path: Path):
    levels = np.linspace(0, 0xFFFF, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(levels).save(tmp_path / f"deep.{suffix}")
    seen = read(tmp_path / f"deep.{suffix}", (1, 8, 8))
    assert seen.notes == ("16 bits a pixel cut to 8",)
    np.testing.assert_array_equal(seen.pixels[0], np.floor(levels / 257 + 0.5).astype(np.uint8))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGB", "LA", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_picture_becomes_what_the_model_reads(mode: str, channels: int, tmp_path: Path):
    ramp().convert(mode).save(tmp_path / "kind.tif")
    seen = read(tmp_path / "kind.tif", (channels, 8, 8))
    assert seen.pixels.shape == (channels, 8, 8)
    assert seen.pixels.dtype == np.uint8
    assert seen.pixels.std() > 5
    if mode == "L" and channels == 3:
        assert (seen.pixels[0] == seen.pixels[2]).all()


def test_of_a_moving_picture_the_first_frame_is_read(tmp_path: Path):
    black, white = (Image.new("L", (8, 8), v) for v in (0, 255))
    for suffix in ("gif", "webp", "tif"):
        path = tmp_path / f"moving.{suffix}"
        black.save(
            path, save_all=True, append_images=[white, black], **({"lossless": True} if suffix == "webp" else {})
        )
        seen = read(path, SIZE)
        assert seen.notes == ("the first of 3 frames",)
        assert (seen.pixels < 3).all()


@pytest.mark.parametrize(("width", "height"), [(31, 17), (17, 31), (100, 80), (9, 9), (5, 7)])
def test_a_square_is_cut_as_torchvision_cuts_it(width: int, height: int, tmp_path: Path):
    from harness_datasets._decoding import decode

    ramp(width, height).save(tmp_path / "x.png")
    theirs = decode((tmp_path / "x.png").read_bytes(), 8, "x")
    np.testing.assert_array_equal(read(tmp_path / "x.png", SIZE).pixels, theirs)


@pytest.mark.parametrize("shape", [(3, 4, 12), (3, 12, 4), (1, 7, 9)])
def test_an_oblong_input_is_covered(shape: tuple[int, int, int], tmp_path: Path):
    for size in ((16, 12), (5, 40), (40, 5)):
        ramp(*size).save(tmp_path / "x.png")
        assert read(tmp_path / "x.png", shape).pixels.shape == shape


def test_small_pictures_are_told(tmp_path: Path):
    ramp(5, 6).save(tmp_path / "small.png")
    assert read(tmp_path / "small.png", SIZE).notes == ("enlarged from 5 x 6 pixels",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.JPG", "b/deep/3.webp", "a/1.png", "a/notes.txt", "a/.hidden.png", "0.bmp"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_folders_are_searched_to_the_ground_and_sorted(folder: Path):
    (folder / "a" / "circle").symlink_to(folder)
    found, failures = find_images([folder])
    assert [str(p.relative_to(folder)) for p in found] == ["0.bmp", "a/1.png", "b/2.JPG", "b/deep/3.webp"]
    assert not failures


def test_a_named_file_is_taken_whatever_its_ending_and_once(folder: Path):
    found, failures = find_images([folder / "a" / "notes.txt", folder / "a", folder / "b" / ".." / "a" / "1.png"])
    assert [p.name for p in found] == ["notes.txt", "1.png"]
    assert not failures


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.png")
    return folder / "pipe.png"


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (_pipe, "is neither a file nor a folder"),
        (_empty, "has no image in it"),
        (lambda f: f / "gone.png", "is not there"),
        (lambda f: f / ("n" * 400), "cannot be read: File name too long"),
    ],
    ids=["pipe", "empty", "gone", "long"],
)
def test_what_cannot_be_an_image_is_a_failure(folder: Path, given: Callable[[Path], Path], told: str):
    found, failures = find_images([given(folder), folder / "0.bmp"])
    assert len(found) == 1
    assert told in failures[0].error.message
