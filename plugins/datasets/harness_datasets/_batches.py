"""The two published forms of CIFAR: Python batches (pickles, which are not trusted) and plain records."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from harness.errors import DataError

Array: TypeAlias = "np.ndarray[Any, Any]"
PIXELS = 3 * 32 * 32
_LIMIT = 1 << 29


class _DType:
    """Stands in for numpy.dtype: a hostile description of memory never reaches NumPy."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        pass


class _Array:
    """Stands in for numpy.ndarray: keeps the plain parts that were pickled."""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.data = state


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: Any, encoding: Any) -> bytes:
    """How Python 3 writes bytes into an old pickle."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("unexpected text encoding")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    """Builds containers, numbers, text and the stand-ins above; any other name in the file is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for '{module}.{name}', which image data never needs")
        return _ALLOWED[module, name]


def read_python(path: Path, label_key: bytes) -> tuple[Array, Array]:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N] of a Python batch; nothing in the file is ever run.

    Raises DataError if the file is too large, damaged, asks for foreign names, or holds something else.
    """
    if path.stat().st_size > _LIMIT:
        raise DataError(f"'{path}' has {path.stat().st_size:,} bytes, which no CIFAR batch has")
    try:
        with path.open("rb") as stream:
            found = _Unpickler(stream, encoding="bytes").load()
    except Exception as error:  # a damaged or hostile pickle can raise anything
        raise DataError(
            f"'{path}' is damaged or no CIFAR batch: {error}", hint="fetch the data again; nothing of the file was run"
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get(b"data"), _Array):
        raise DataError(f"'{path}' is no CIFAR batch: it has no array 'data'")
    images, labels = _plain(found[b"data"]), found.get(label_key)
    if images is None:
        raise DataError(f"'{path}': 'data' is not an array of bytes [N, {PIXELS}]")
    if not isinstance(labels, list) or len(labels) != len(images) or not all(type(n) is int for n in labels):
        raise DataError(f"'{path}': '{label_key.decode()}' is not one whole number an image")
    if labels and not (min(labels) >= 0 and max(labels) < 256):
        raise DataError(f"'{path}': a label lies outside 0..255")
    return images.reshape(-1, 3, 32, 32), np.asarray(labels, dtype=np.int64)


def _plain(array: _Array) -> Array | None:
    shape, dtype, data = (getattr(array, k, None) for k in ("shape", "dtype", "data"))
    name = getattr(dtype, "name", None)
    if not (isinstance(data, bytes) and name in ("u1", b"u1", "uint8", b"uint8")):
        return None
    if not (isinstance(shape, tuple) and len(shape) == 2 and shape[1] == PIXELS and shape[0] * PIXELS == len(data)):
        return None
    return np.frombuffer(data, dtype=np.uint8).reshape((shape[0], PIXELS), order="F" if array.fortran else "C")


def count_records(path: Path, label_bytes: int) -> int:
    """Records of a binary file by its size. Raises DataError if that is no whole number of them, or none."""
    record = label_bytes + PIXELS
    count, rest = divmod(path.stat().st_size, record)
    if rest or not count:
        raise DataError(f"'{path}' has {path.stat().st_size:,} bytes: no whole number of {record}-byte records")
    return count


def read_records(path: Path, label_bytes: int) -> tuple[Array, Array]:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N]: each record ends its labels with the one that is used."""
    count = count_records(path, label_bytes)
    data = np.fromfile(path, dtype=np.uint8)
    if data.size != count * (label_bytes + PIXELS):
        raise DataError(f"'{path}' changed while it was read")
    records = data.reshape(count, -1)
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), records[:, label_bytes - 1].astype(np.int64)
