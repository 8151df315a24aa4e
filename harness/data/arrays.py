"""Arrays that are made once, kept as .npy files and mapped into memory, so that all processes share their pages."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import ConfigError, DataError
from .folders import cache_root, make_folder
from .hashes import digest

Array: TypeAlias = "np.ndarray[Any, Any]"
Shapes: TypeAlias = Mapping[str, tuple[tuple[int, ...], str]]
"""(shape, dtype) by name."""

_INDEX = "index.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class StoredArrays(Mapping[str, Array]):
    """Read-only arrays by name, mapped from a folder. Pickled as the folder's path: a worker maps the same pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._arrays = _open(folder)

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __reduce__(self) -> tuple[type[StoredArrays], tuple[Path]]:
        return StoredArrays, (self.folder,)


def cached_arrays(key: str, build: Callable[[], Mapping[str, Array]], folder: Path | None = None) -> StoredArrays:
    """The arrays kept under `key`; built when they are not there or are damaged.

    `key` names one content for ever: put a version and every option that matters into it. Of several processes one
    builds and the others wait; a killed build leaves nothing that counts. Raises DataError if nothing can be written.
    """

    def write(part: Path) -> None:
        for name, array in build().items():
            _save(part, name, array)

    return _stored(key, write, folder)


def filled_arrays(
    key: str, shapes: Shapes, fill: Callable[[Mapping[str, Array]], None], folder: Path | None = None
) -> StoredArrays:
    """As `cached_arrays`, for arrays larger than memory: `fill` writes into arrays that lie in files from the start."""

    def write(part: Path) -> None:
        arrays = {}
        for name, (shape, dtype) in shapes.items():
            arrays[name] = np.lib.format.open_memmap(_file(part, name), mode="w+", dtype=np.dtype(dtype), shape=shape)
        fill(arrays)
        for array in arrays.values():
            array.flush()

    return _stored(key, write, folder)


def _stored(key: str, write: Callable[[Path], None], folder: Path | None) -> StoredArrays:
    import filelock

    if not _NAME.fullmatch(key):
        raise ConfigError(f"'{key}' is no name for a cache: letters, digits, dot, hyphen and underscore")
    base = folder if folder is not None else cache_root() / "arrays"
    place = base / key
    try:
        return StoredArrays(place)
    except DataError:
        pass  # absent or damaged: look again under the lock
    make_folder(base)
    try:
        with filelock.FileLock(base / f".{key}.lock"):
            try:
                return StoredArrays(place)
            except DataError:
                _build(base, key, write)
            return StoredArrays(place)
    except OSError as error:
        raise DataError(
            f"cannot write decoded arrays to '{base}': {error.strerror or error}",
            hint="set HARNESS_CACHE to a folder with room that can be written to",
        ) from error


def _build(base: Path, key: str, write: Callable[[Path], None]) -> None:
    # The lock is ours, so whatever another process left of this key belongs to one that was killed.
    for left in base.glob(f".{key}@*"):
        shutil.rmtree(left, ignore_errors=True)
    part = Path(tempfile.mkdtemp(dir=base, prefix=f".{key}@"))
    part.chmod(0o755)  # mkdtemp shuts everyone else out of what may be a shared cache
    try:
        write(part)
        index = {}
        for file in sorted(part.glob("*.npy")):
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
            index[file.stem] = {"bytes": file.stat().st_size, "sha256": _content(file)}
        (part / _INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
        if (base / key).exists():
            # Renamed, not emptied: a process that has the old pages mapped keeps them.
            os.replace(base / key, part.with_name(f"{part.name}.old"))
        os.replace(part, base / key)
        shutil.rmtree(part.with_name(f"{part.name}.old"), ignore_errors=True)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _content(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _save(part: Path, name: str, array: Array) -> None:
    if array.dtype.hasobject:
        raise ConfigError(f"array '{name}' holds Python objects, which are not kept")
    np.save(_file(part, name), np.ascontiguousarray(array), allow_pickle=False)


def _file(part: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"'{name}' is no name for an array: letters, digits, dot, hyphen and underscore")
    return part / f"{name}.npy"


def _open(folder: Path) -> dict[str, Array]:
    """Map every array of a folder; DataError if any is missing, cut off or changed since it was written."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        arrays: dict[str, Array] = {}
        for name, kept in index.items():
            file = _file(folder, name)
            if file.stat().st_size != kept["bytes"] or digest(file) != kept["sha256"]:
                raise DataError(f"the cached array '{file}' is damaged")
            arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise DataError(f"the cached arrays in '{folder}' are missing or damaged: {error}") from error
    return arrays
