"""Arrays of HDF5 files that are not to be trusted: only what lies in the file itself, and a piece at a time.

A link or external storage would read another file, which no hash of this one covers, and a file of a few kB may
claim arrays of any size. All functions raise ValueError that says what is wrong, or whatever h5py stumbles over.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"

ERRORS = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    MemoryError,
    OverflowError,
)
"""What h5py raises for a damaged file: whatever its C library stumbled over."""
_CHUNK = 1 << 27
"""Bytes of a chunk as float64; HDF5 unpacks a chunk as a whole, however little of it is asked for."""
_BLOCK = 1 << 22
"""Numbers of a piece, if chunks are not larger."""


def member(group: Any, key: str) -> Any:
    """What lies in the group under this name, None if nothing does."""
    import h5py

    name = key.encode()
    # The link is looked at before it is followed: following one opens the file that it names.
    if not group.id.links.exists(name):
        return None
    if group.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise ValueError("it is a link and not stored here; only what lies in the file itself is read")
    return own(group[key], group.file)


def own(node: Any, file: Any) -> Any:
    """The node itself, if all of it is stored in this file and in chunks that can be unpacked."""
    import h5py

    if node.file.filename != file.filename:
        raise ValueError("it lies in another file; only what lies in the file itself is read")
    if not isinstance(node, h5py.Dataset):
        return node
    if node.external or node.is_virtual:
        raise ValueError("its numbers are stored in other files; only what lies in the file itself is read")
    if node.chunks and math.prod(node.chunks) * max(8, node.dtype.itemsize) > _CHUNK:
        raise ValueError(f"it is stored in chunks of {node.chunks}, which are too large")
    return node


def blocks(node: Any) -> Iterator[tuple[tuple[slice, ...], Array]]:
    """(place, float64 values) of all pieces of an array of numbers; of whole chunks, so that each is unpacked once."""
    shape = node.shape
    steps = [min(pair) for pair in zip(node.chunks or (1,) * len(shape), shape, strict=True)]
    for axis in reversed(range(len(shape))):
        steps[axis] = min(shape[axis], steps[axis] * max(1, _BLOCK // math.prod(steps)))
    for corner in itertools.product(*(range(0, n, step) for n, step in zip(shape, steps, strict=True))):
        place = tuple(slice(at, at + step) for at, step in zip(corner, steps, strict=True))
        with np.errstate(all="ignore"):  # what float64 cannot hold becomes infinite, and is refused
            yield place, np.asarray(node[place], dtype=np.float64)
