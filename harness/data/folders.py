"""Where data lies, and where what was made from it is kept."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path, PurePath

from ..errors import DataError

PACKAGED = "package:"
"""`package:NAME/path/inside` names a file that an installed Python package ships."""


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
    """A file that a user named: as it stands, else in the data folder, else in its `weights/`.

    `package:NAME/path/inside` is a file that the installed package of that import name ships. Raises DataError.
    """
    if name.startswith(PACKAGED):
        return _packaged(name, what)
    root = data_root() if root is None else root
    given = Path(name).expanduser()
    candidates = [given] if given.is_absolute() else [given, root / given, root / "weights" / given]
    for path in candidates:
        if path.is_file():
            return path
    looked = ", ".join(f"'{c}'" for c in candidates)
    raise DataError(f"{what}: there is no file '{name}'", hint=f"looked for {looked}; put it there or set HARNESS_DATA")


def _packaged(name: str, what: str) -> Path:
    package, _, inside = name.removeprefix(PACKAGED).partition("/")
    path = PurePath(inside)
    # Judged as it is written: some installers put links in place of files, and those may point anywhere.
    if not package.isidentifier() or not path.parts or path.anchor or ".." in path.parts:
        raise DataError(
            f"{what}: '{name}' names no file inside a package",
            hint="write package:NAME/path/inside, with the name that `import` takes and no '..'",
        )
    install = f"pip install {package.replace('_', '-')}"
    try:
        spec = importlib.util.find_spec(package)  # of a top-level name: nothing of the package is run
    except (ImportError, ValueError):
        spec = None
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    if not folders:
        raise DataError(f"{what}: there is no installed package '{package}'", hint=install)
    for folder in folders:
        if (folder / path).is_file():
            return folder / path
    looked = ", ".join(f"'{folder}'" for folder in folders)
    raise DataError(
        f"{what}: package '{package}' ships no file '{inside}'",
        hint=f"looked in {looked}; another version may ship it: {install}",
    )


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
