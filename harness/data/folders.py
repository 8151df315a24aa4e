"""Where data lies, and where what was made from it is kept."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import DataError


def data_root() -> Path:
    """The data folder: HARNESS_DATA, else `data` in the platform's cache folder. It need not exist."""
    return _folder("HARNESS_DATA", "data")


def cache_root() -> Path:
    """Decoded arrays and remembered hashes: HARNESS_CACHE, else the platform's cache folder.

    Apart from the data folder, because that may be read-only or shared between machines.
    """
    return _folder("HARNESS_CACHE", "made")


def _folder(variable: str, name: str) -> Path:
    chosen = os.environ.get(variable, "")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("ablation-harness", appauthor=False)) / name


def find_file(name: str, what: str, root: Path | None = None) -> Path:
    """A file that a user named: as it stands, else in the data folder, else in its `weights/`. Raises DataError."""
    root = data_root() if root is None else root
    given = Path(name).expanduser()
    candidates = [given] if given.is_absolute() else [given, root / given, root / "weights" / given]
    for path in candidates:
        if path.is_file():
            return path
    looked = ", ".join(f"'{c}'" for c in candidates)
    raise DataError(f"{what}: there is no file '{name}'", hint=f"looked for {looked}; put it there or set HARNESS_DATA")


def require(dataset: str, wanted: Iterable[Path], by_hand: str = "") -> None:
    """Raise DataError that names the first file of `wanted` which is not there, and how to get it."""
    for path in wanted:
        if not path.is_file():
            fetch = f"run `harness data fetch {dataset}`"
            hint = f"{fetch}, or put {by_hand}" if by_hand else f"{fetch}, or put the file there by hand"
            raise DataError(f"{dataset}: there is no '{path.name}' in '{path.parent}'", hint=hint)


def make_folder(folder: Path, variable: str = "HARNESS_CACHE") -> Path:
    """Make a folder that the program writes to. Raises DataError that names the variable to move it with."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the folder '{folder}': {error.strerror or error}",
            hint=f"set {variable} to a folder that can be written to",
        ) from error
    return folder
