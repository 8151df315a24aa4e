"""Which videos are meant, and the folder that each gets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..data import VIDEO_SUFFIXES
from ..errors import DataError
from .listening import Failure
from .pictures import IMAGE_SUFFIXES


def find(inputs: Sequence[Path]) -> tuple[list[Path], list[Failure]]:
    """Every video once, in the order given: files as they are named, and the videos that lie directly in a folder.

    A file that is named is taken whatever its ending. What cannot be used is among the failures.
    """
    found: dict[Path, Path] = {}
    failures: list[Failure] = []
    for given in inputs:
        try:
            for path in _expanded(given, failures):
                found.setdefault(path.resolve(), path)
        except DataError as error:
            failures.append(Failure(given, error))
        except OSError as error:
            failures.append(Failure(given, DataError(f"'{given}' cannot be read: {error.strerror or error}")))
    return list(found.values()), failures


def _expanded(given: Path, failures: list[Failure]) -> list[Path]:
    if given.is_file():
        _refuse_image(given)
        return [given]
    if given.is_dir():
        # Hidden files with a video's ending are what some systems keep beside it.
        inside = [p for p in given.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith(".")]
        before = len(failures)
        videos = sorted(p for p in inside if _is_file(p, failures))
        if not videos and len(failures) == before:
            for path in given.iterdir():
                _refuse_image(path, f"folder '{given}' has images in it")
            raise DataError(
                f"folder '{given}' has no video in it",
                hint=f"videos end with {', '.join(VIDEO_SUFFIXES)}; folders in it are not searched, so name them",
            )
        return videos
    if given.exists():
        raise DataError(f"'{given}' is neither a file nor a folder", hint="give video files, or folders of them")
    raise DataError(f"'{given}' is not there", hint="give video files, or folders of them")


def _is_file(path: Path, failures: list[Failure]) -> bool:
    """What the system refuses to look at is a failure, and the other videos of its folder are done."""
    try:
        return path.is_file()
    except OSError as error:
        failures.append(Failure(path, DataError(f"'{path}' cannot be read: {error.strerror or error}")))
        return False


def _refuse_image(path: Path, what: str = "") -> None:
    """A decoder of videos takes a picture for a video of one frame."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES and suffix not in VIDEO_SUFFIXES and path.is_file():
        what = what or f"'{path}' is an image"
        raise DataError(
            f"{what}, and this trial scores videos", hint="give videos, or name a trial of task classification"
        )


def folders(paths: Sequence[Path]) -> list[str]:
    """A name for the folder of every video: its own without the ending; numbered where that is taken already.

    Names differ even on drives that ignore case, and none leads elsewhere.
    """
    # A later video's own name is not given away to an earlier one's number.
    plain = [_harmless(path.stem) for path in paths]
    own = {name.casefold() for name in plain}
    taken: set[str] = set()
    found = []
    for stem in plain:
        name, number = stem, 1
        while name.casefold() in taken or (number > 1 and name.casefold() in own):
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        found.append(name)
    return found


def _harmless(stem: str) -> str:
    """`..mp4` has the stem `.`, which would be the folder of all folders; some systems drop dots and spaces."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", stem).strip(". ") or "video"
