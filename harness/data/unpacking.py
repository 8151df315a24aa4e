"""Unpacking of archives that nobody has to trust."""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..errors import DataError
from .folders import make_folder

_CHUNK = 1 << 20
_HEADER_LIMIT = 1 << 20
_ENTRIES = 5_000_000
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError, RuntimeError,
           NotImplementedError, ValueError, OverflowError)  # fmt: skip
"""What the standard library raises for archives that are damaged, encrypted or made to harm."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: its path with `/`, and its size in bytes as the archive claims it."""

    path: str
    size: int


def unpack(archive: Path, folder: Path, limit: int = 20 << 30) -> list[Path]:
    """Unpack a tar (plain, gz, bz2, xz) or zip below `folder`; the files' paths.

    Every file appears whole or not at all. Raises DataError for a damaged archive, an entry that would leave the
    folder, links and devices (no data set needs them), and more than `limit` bytes.
    """
    make_folder(folder, "HARNESS_DATA")
    base = folder.resolve()
    written, total = [], 0
    for entry, stream in walk(archive):
        place = (base / entry.path).resolve()
        if not place.is_relative_to(base):  # a link that already lies in the folder may lead away
            raise DataError(f"'{archive}': entry '{entry.path}' would be written outside '{folder}'")
        with writing(place) as target:
            while chunk := read_some(archive, entry, stream):
                total += len(chunk)
                if total > limit:
                    raise DataError(f"'{archive}' holds more than {limit:,} bytes", hint="it may be made to fill disks")
                target.write(chunk)
        written.append(place)
    return written


@contextmanager
def writing(place: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name when the block ends well."""
    make_folder(place.parent, "HARNESS_DATA")
    handle, part = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:64]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        Path(part).chmod(0o644)
        os.replace(part, place)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def read_some(archive: Path, entry: Entry, stream: IO[bytes]) -> bytes:
    try:
        return stream.read(_CHUNK)
    except DAMAGED as error:
        raise DataError(f"'{archive}': entry '{entry.path}' is damaged: {error}") from error


def walk(archive: Path) -> Iterator[tuple[Entry, IO[bytes]]]:
    """Every file of an archive with its open stream, in the archive's order. Raises DataError."""
    if not archive.is_file():
        raise DataError(f"there is no archive '{archive}'")
    inner = _walk_zip(archive) if zipfile.is_zipfile(archive) else _walk_tar(archive)
    seen: set[str] = set()
    for entry, stream in inner:
        if entry.path in seen:
            raise DataError(f"'{archive}' holds '{entry.path}' twice")
        seen.add(entry.path)
        if len(seen) > _ENTRIES:
            raise DataError(f"'{archive}' holds more than {_ENTRIES:,} files")
        yield entry, stream


class _BoundedInfo(tarfile.TarInfo):
    """Refuses extended headers of absurd size, which tarfile would read into memory whole."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        if not self.isreg() and self.size > _HEADER_LIMIT and not self.isdir():
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]  # documented in the source as the hook for subclasses


def _walk_tar(archive: Path) -> Iterator[tuple[Entry, IO[bytes]]]:
    try:
        with tarfile.open(archive, "r:*", tarinfo=_BoundedInfo) as tar:
            for info in tar:
                tar.members = []  # type: ignore[attr-defined]  # else the list grows with the archive
                if info.isdir():
                    continue
                path = _checked(archive, info.name)
                if not info.isreg() or info.issparse():
                    raise DataError(f"'{archive}': entry '{info.name}' is a link or no plain file")
                stream = tar.extractfile(info)
                if stream is not None:
                    yield Entry(path, info.size), stream
    except DAMAGED as error:
        raise DataError(f"'{archive}' is no archive that can be read, or is damaged: {error}") from error


def _walk_zip(archive: Path) -> Iterator[tuple[Entry, IO[bytes]]]:
    try:
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if info.is_dir():
                    continue
                path = _checked(archive, info.filename)
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG):
                    raise DataError(f"'{archive}': entry '{info.filename}' is a link or no plain file")
                with packed.open(info) as stream:
                    yield Entry(path, info.file_size), stream
    except DAMAGED as error:
        raise DataError(f"'{archive}' is no archive that can be read, or is damaged: {error}") from error


def _checked(archive: Path, name: str) -> str:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or "\0" in name or not pure.parts:
        raise DataError(f"'{archive}': entry '{name}' would be written outside the folder")
    return pure.as_posix()
