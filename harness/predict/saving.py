"""Files of a prediction's folder: each appears whole, and what goes wrong says where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StoreError
from ..store import replacing


def save(folder: Path, name: str, content: bytes) -> None:
    """Raises StoreError if the file cannot be written."""
    with writing(folder), replacing(folder / name) as part:
        part.write_bytes(content)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What is done to `folder` in this block raises StoreError where the system refuses it."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write to '{folder}': {error}", "is the disk full?") from error
