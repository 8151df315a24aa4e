"""Features of sequences of frames, computed once: one HDF5 file a sequence, shared by all processes and trials.

A file's place follows from content: what the frames follow from, and what makes features of them. It appears whole, by
atomic rename, so a kill leaves nothing that counts; of several processes one computes and the others wait.
Importing this module imports no torch.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import ConfigError, DataError
from .folders import cache_root, make_folder

Array: TypeAlias = "np.ndarray[Any, Any]"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_DATA, _HASH = "features", "sha256"


def stored_features(front: str, sequence: str, compute: Callable[[], Array], folder: Path | None = None) -> Array:
    """float32 [T, D] of one sequence, read-only and memory-mapped; computed where it is not there or is damaged.

    `front` and `sequence` are hashes that name one content for ever. Raises ConfigError if one of them is no name,
    DataError if nothing can be written.
    """
    import filelock

    for name in (front, sequence):
        if not _NAME.fullmatch(name):
            raise ConfigError(f"'{name}' is no name for features: letters, digits, dot, hyphen and underscore")
    base = (cache_root() / "features" if folder is None else folder) / front
    path = base / f"{sequence}.h5"
    found = _read(path)
    if found is not None:
        return found
    make_folder(base)
    try:
        with filelock.FileLock(base / f".{sequence}.lock"):
            found = _read(path)
            if found is None:
                for left in base.glob(f".{path.name}.*"):
                    left.unlink(missing_ok=True)  # of a process that was killed: the lock is ours
                _write(path, _checked(compute))
                found = _read(path)
    except _FailedError as failed:
        raise failed.error from failed.error.__cause__
    except OSError as error:
        raise DataError(
            f"cannot write features to '{base}': {error.strerror or error}",
            hint="set HARNESS_CACHE to a folder with room that can be written to",
        ) from error
    if found is None:
        raise DataError(f"the features in '{path}' cannot be read back", hint="is the disk full or failing?")
    return found


class _FailedError(Exception):
    """What `compute` raised, which says nothing about the cache."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _checked(compute: Callable[[], Array]) -> Array:
    try:
        return compute()
    except OSError as error:
        raise _FailedError(error) from error


def _read(path: Path) -> Array | None:
    """None if the file is absent, cut off or changed since it was written."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            dataset = file[_DATA]
            shape, kind, place = dataset.shape, dataset.dtype, dataset.id.get_offset()
            expected = dataset.attrs[_HASH]
        if kind != np.float32 or len(shape) != 2 or place is None:
            return None
        mapped: Array = np.memmap(path, dtype=np.float32, mode="r", offset=place, shape=shape)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.EACCES):
            raise DataError(f"cannot read features from '{path}': {os.strerror(error.errno)}") from error
        return None  # absent, or no HDF5
    except (KeyError, ValueError, AttributeError):
        return None
    return mapped if _content(mapped) == expected else None


def _write(path: Path, features: Array) -> None:
    import h5py

    if features.ndim != 2 or features.dtype != np.float32 or not features.size:
        raise ConfigError(f"features are {features.dtype} {list(features.shape)}, and float32 [T, D] is meant")
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        with h5py.File(part, "w") as file:
            # One block without compression: that is what can be mapped.
            dataset = file.create_dataset(_DATA, data=np.ascontiguousarray(features))
            dataset.attrs[_HASH] = _content(features)
        with Path(part).open("rb") as stream:
            os.fsync(stream.fileno())
        os.chmod(part, 0o644)  # mkstemp shuts everyone else out of what may be a shared cache
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _content(features: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(features).view(np.uint8).reshape(-1).data).hexdigest()
