"""What `harness data` asks of a dataset target: is it there, is it right, fetch it.

A target that can be downloaded has `files() -> tuple[RemoteFile, ...]` (empty: nothing to fetch, it is built in).
A target may also have `local_files(root) -> tuple[tuple[Path, str], ...]`: the files that it would read from this
data folder with their official hashes ("" = none is known); without it they follow from `files()`.
A target whose files nobody may hand out has `by_hand(root) -> str` in place of `files`: what to put where.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import DataError
from .hashes import verify
from .remote import Progress, RemoteFile, download
from .unpacking import unpack

FileState: TypeAlias = Literal["ok", "differs", "no official hash", "missing"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One file of a dataset. `differs`: its hash is not the official one; such a copy is used, and named in reports."""

    name: str
    path: Path
    state: FileState


@dataclass(frozen=True, slots=True)
class Status:
    """`ready`, `missing` (a fetch gets it), `built in`, or `by hand` (the user puts it there); and a phrase on it."""

    state: Literal["ready", "missing", "built in", "by hand"]
    detail: str


def fetch(target: Any, root: Path, progress: Progress | None = None) -> list[Path]:
    """Download and unpack what is missing; the files that the dataset reads. Raises DataError."""
    state = status(target, root)
    if state.state == "by hand" and hasattr(target, "by_hand"):
        raise DataError(f"'{_name(target)}' cannot be downloaded from here", hint=target.by_hand(root))
    if state.state == "by hand":
        raise DataError(f"'{_name(target)}' is your own data: there is nothing to fetch", hint=state.detail)
    if state.state == "missing":
        for file in _files(target):
            (archive,) = download([file], root, progress)
            if file.members:
                unpack(archive, archive.parent)
                _check_members(file, archive)
    return [path for path, _ in _local(target, root)]


def _check_members(file: RemoteFile, archive: Path) -> None:
    for member in file.members:
        path = archive.parent / member.path
        if not path.is_file() or (member.hash and not verify(path, member.hash)):
            raise DataError(f"'{archive}' was unpacked, but '{path}' is missing or has another hash")


def verify_all(target: Any, root: Path) -> list[Checked]:
    """Every file of the dataset with its state; hashes are computed once and remembered."""
    found = []
    for path, expected in _local(target, root):
        if not path.is_file():
            state: FileState = "missing"
        elif not expected:
            state = "no official hash"
        else:
            state = "ok" if verify(path, expected) else "differs"
        found.append(Checked(path.name, path, state))
    return found


def status(target: Any, root: Path) -> Status:
    """Is the dataset there? Looks at names only; reads nothing."""
    missing = [path for path, _ in _local(target, root) if not path.is_file()]
    if hasattr(target, "by_hand"):
        if missing:
            return Status("by hand", f"there is no '{missing[0]}'; a fetch says what to put where")
    elif not hasattr(target, "files"):
        return Status("by hand", "point its option 'path' at your own files")
    elif not _files(target):
        return Status("built in", "comes with an installed library")
    elif missing:
        return Status("missing", f"there is no '{missing[0]}'")
    folders = sorted({str(path.parent) for path, _ in _local(target, root)})
    return Status("ready", f"in {', '.join(folders)}")


def _name(target: Any) -> str:
    return str(getattr(target, "name", getattr(target, "__name__", target)))


def _files(target: Any) -> tuple[RemoteFile, ...]:
    return tuple(target.files()) if hasattr(target, "files") else ()


def _local(target: Any, root: Path) -> list[tuple[Path, str]]:
    if hasattr(target, "local_files"):
        return list(target.local_files(root))
    found: list[tuple[Path, str]] = []
    for file in _files(target):
        if file.members:
            found += [(file.place(root).parent / member.path, member.hash) for member in file.members]
        else:
            found.append((file.place(root), file.hash))
    return found
