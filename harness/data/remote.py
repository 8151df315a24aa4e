"""Downloads that resume, are checked by size and hash, and appear under their name only when whole."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias
from urllib.parse import urlsplit

from ..errors import ConfigError, DataError
from .folders import make_folder
from .hashes import parse, verify

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as progress(name, bytes so far, bytes in all)."""

_CHUNK = 1 << 18
_TRIES = 3
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Member:
    """A file that unpacking an archive gives: its path below the archive's folder, and its hash ("" = unknown)."""

    path: str
    hash: str = ""

    def __post_init__(self) -> None:
        _check_below(self.path)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the network. `size` in bytes is exact; `folder` lies below the data folder; archives have members.

    Raises: ConfigError if a path could leave the data folder, or hash, size or an address is not well formed.
    """

    name: str
    urls: tuple[str, ...]
    size: int
    hash: str
    folder: str = ""
    members: tuple[Member, ...] = ()

    def __post_init__(self) -> None:
        if PurePosixPath(self.name).name != self.name or "\\" in self.name or self.name in ("", ".", ".."):
            raise ConfigError(f"'{self.name}' is no file name")
        if self.folder:
            _check_below(self.folder)
        parse(self.hash)
        if self.size <= 0:
            raise ConfigError(f"'{self.name}': a size of {self.size} bytes is none")
        for url in self.urls:
            # urllib would read file:// as well.
            if urlsplit(url).scheme not in ("http", "https"):
                raise ConfigError(f"'{self.name}': '{url}' is no http or https address")

    def place(self, root: Path) -> Path:
        return root / self.folder / self.name


def _check_below(path: str) -> None:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path:
        raise ConfigError(f"'{path}' is no path below the data folder")


def download(files: Sequence[RemoteFile], root: Path, progress: Progress | None = None) -> list[Path]:
    """Make sure that every file lies below `root` with its size and hash; the paths in the same order.

    A file that is there is checked and kept. A broken download goes on where it stopped. Raises DataError naming
    the file, what every address answered, and where to put the file by hand.
    """
    import filelock

    found = []
    for file in files:
        place = file.place(root)
        if place.is_file():
            _check_present(file, place)
        else:
            make_folder(place.parent, "HARNESS_DATA")
            try:
                with filelock.FileLock(place.with_name(f".{file.name}.lock")):
                    if not place.is_file():
                        _fetch(file, place, progress or _silent)
            except OSError as error:
                raise DataError(f"cannot write to '{place.parent}': {error.strerror or error}") from error
        found.append(place)
    return found


def _silent(name: str, done: int, total: int) -> None:
    pass


def _check_present(file: RemoteFile, place: Path) -> None:
    if place.stat().st_size != file.size or not verify(place, file.hash):
        raise DataError(
            f"'{place}' is not the official file ({place.stat().st_size:,} bytes; expected {file.size:,}, {file.hash})",
            hint="move it away, and the file is downloaded again",
        )


def _fetch(file: RemoteFile, place: Path, progress: Progress) -> None:
    part = place.with_name(f"{file.name}.part")
    answers = []
    for url in file.urls:
        for _ in range(_TRIES):
            try:
                _go_on(file, url, part, progress)
            except _FAILURES as error:
                answers.append(f"{url}: {_reason(error)}")
                if isinstance(error, (_RefusedError, urllib.error.URLError)):
                    break  # asking the same address again would change nothing
                continue
            if not verify(part, file.hash):
                part.unlink()  # its start may have come from another mirror or another day
                answers.append(f"{url}: {file.size:,} bytes with the wrong hash")
                continue
            os.replace(part, place)
            return
    told = "; ".join(dict.fromkeys(answers)) or "no address is known"
    raise DataError(
        f"cannot download '{file.name}': {told}",
        hint=f"get it on another machine and put it at '{place}' ({file.size:,} bytes, {file.hash})",
    )


class _BadAnswerError(Exception):
    """An answer that cannot be used; the next attempt may do better."""


class _RefusedError(_BadAnswerError):
    """An answer that will stay the same."""


_FAILURES = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, _BadAnswerError)


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _go_on(file: RemoteFile, url: str, part: Path, progress: Progress) -> None:
    """Append to `part` until it has file.size bytes. Raises _BadAnswerError if it gets fewer or more."""
    have = part.stat().st_size if part.exists() else 0
    if have == file.size:
        return
    if have > file.size:
        part.unlink()
        have = 0
    headers = {"User-Agent": "ablation-harness", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416:
            raise
        part.unlink(missing_ok=True)
        raise _BadAnswerError("cannot go on where the download stopped") from error
    with answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status == 206 and not goes_on:
            raise _RefusedError("sent another part of the file than asked for")
        with part.open("ab" if goes_on else "wb") as stream:
            _copy(answer, stream, file, have if goes_on else 0, progress)


def _copy(answer: IO[bytes], stream: IO[bytes], file: RemoteFile, done: int, progress: Progress) -> None:
    if shutil.disk_usage(Path(stream.name).parent).free < file.size - done:
        raise DataError(f"there is no room for '{file.name}' ({file.size:,} bytes) in '{Path(stream.name).parent}'")
    progress(file.name, done, file.size)
    while chunk := answer.read(min(_CHUNK, file.size - done + 1)):
        done += len(chunk)
        if done > file.size:
            stream.truncate(0)
            raise _RefusedError(f"sent more than the {file.size:,} bytes of the file")
        stream.write(chunk)
        progress(file.name, done, file.size)
    stream.flush()
    os.fsync(stream.fileno())
    if done < file.size:
        raise _BadAnswerError(f"stopped after {done:,} of {file.size:,} bytes")
