"""Hashes of files, each computed once and remembered."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError, DataError
from .folders import cache_root

Algorithm = Literal["sha256", "md5"]
_LENGTHS = {"sha256": 64, "md5": 32}


def digest(path: Path, algorithm: Algorithm = "sha256") -> str:
    """Hex digest of a file's bytes; read again only when its size, times or inode change. Raises DataError."""
    try:
        seen = path.stat()
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}") from error
    # ctime catches an edit that put the old mtime back.
    stamp = f"{seen.st_size}:{seen.st_mtime_ns}:{seen.st_ctime_ns}:{seen.st_ino}"
    return remembered(f"{algorithm}:{path.absolute()}", stamp, lambda: _read(path, algorithm))


def _read(path: Path, algorithm: Algorithm) -> str:
    try:
        with path.open("rb") as stream:
            # Not a safeguard against attackers: md5 is what the authors of the data sets published.
            return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}") from error


def verify(path: Path, expected: str) -> bool:
    """Does the file have this hash, "sha256:…" or "md5:…"? Raises DataError if it cannot be read."""
    algorithm, value = parse(expected)
    return digest(path, algorithm) == value


def parse(expected: str) -> tuple[Algorithm, str]:
    """("md5" or "sha256", lower-case hex digits). Raises ConfigError for anything else."""
    algorithm, _, value = expected.partition(":")
    value = value.lower()
    if len(value) != _LENGTHS.get(algorithm, -1) or not set(value) <= set("0123456789abcdef"):
        raise ConfigError(f"'{expected}' is no hash", hint="write it as 'sha256:' or 'md5:' and the hex digits")
    return ("md5" if algorithm == "md5" else "sha256"), value


def remembered(name: str, stamp: str, compute: Callable[[], str]) -> str:
    """The text that `compute` gave for `name` when `stamp` was the same, else computed and remembered.

    Kept in the cache folder, one small file a name; where that cannot be written, computed every time.
    """
    place = cache_root() / "hashes" / f"{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:32]}.json"
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        if kept["name"] == name and kept["stamp"] == stamp and isinstance(kept["value"], str):
            return str(kept["value"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent or damaged: computed again
    value = compute()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, json.dumps({"name": name, "stamp": stamp, "value": value}))
    except OSError:
        pass  # a read-only cache costs time, not correctness
    return value


def write_atomically(place: Path, text: str) -> None:
    """Write a small file so that a reader sees the old one or the new one, whole."""
    handle, part = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(part, place)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def fingerprint(parts: Mapping[str, Any]) -> str:
    """A hash of plain values (content hashes, generator version, split options), the same on every machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
