"""Which images lie in a folder or an archive, and which split and class each belongs to."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.data import digest, remembered, walk
from harness.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png")
_PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_SPLIT_FOLDERS = "train, val (valid, validation), test"


@dataclass(frozen=True, slots=True)
class Item:
    """One image: `path` as it stands below the source, its part ("train", "val", "test" or "all") and class."""

    path: str
    part: str
    label: str


@dataclass(frozen=True, slots=True)
class Listing:
    """All images of a source, sorted by part, class and path. `content` hashes their names and bytes."""

    items: tuple[Item, ...]
    classes: tuple[str, ...]
    content: str
    left_out: int

    def part(self, name: str) -> tuple[Item, ...]:
        return tuple(i for i in self.items if i.part == name)


def listing(source: Path) -> Listing:
    """List a folder or an archive; bytes are hashed once and remembered, nothing is decoded. Raises DataError."""
    if source.is_dir():
        paths, content = _of_folder(source)
    else:
        content = digest(source)
        text = remembered(f"listing:{source.absolute()}", content, lambda: json.dumps(list(_names(source))))
        paths = json.loads(text)
    images = [p for p in paths if p.lower().endswith(SUFFIXES)]
    if not images:
        raise DataError(f"image_folder: there is no jpg or png in '{source}'")
    items = _arrange(source, images)
    return Listing(items, _classes(source, items), content, len(paths) - len(images))


def _names(archive: Path) -> Iterator[str]:
    for entry, _ in walk(archive):
        if not _hidden(entry.path):
            yield entry.path


def _hidden(path: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(path).parts)


def _of_folder(source: Path) -> tuple[list[str], str]:
    stamps = {}
    visited = set()
    for folder, below, names in os.walk(source, followlinks=True):
        seen = os.stat(folder)
        if (seen.st_dev, seen.st_ino) in visited:  # a link that leads back up
            below.clear()
            continue
        visited.add((seen.st_dev, seen.st_ino))
        for name in names:
            file = Path(folder, name)
            path = file.relative_to(source).as_posix()
            if not _hidden(path):
                try:
                    s = file.stat()
                except OSError as error:
                    raise DataError(f"image_folder: cannot read '{file}': {error.strerror or error}") from error
                stamps[path] = (s.st_size, s.st_mtime_ns, s.st_ctime_ns)
    paths = sorted(stamps)
    stamp = hashlib.sha256(json.dumps([[p, *stamps[p]] for p in paths]).encode(errors="surrogatepass")).hexdigest()
    return paths, remembered(f"tree:{source.absolute()}", stamp, lambda: _tree(source, paths))


def _tree(source: Path, paths: list[str]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with (source / path).open("rb") as stream:
            own = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(json.dumps([path, own]).encode(errors="surrogatepass"))
    return whole.hexdigest()


def _arrange(source: Path, images: list[str]) -> tuple[Item, ...]:
    split_up = [PurePosixPath(p).parts for p in images]
    skip = 0
    # Archives often wrap everything in one folder.
    while all(len(p) > skip + 2 for p in split_up) and len({p[skip] for p in split_up}) == 1:
        if split_up[0][skip] in _PARTS:
            break
        skip += 1
    tops = {p[skip] for p in split_up}
    in_splits = "train" in tops and tops <= _PARTS.keys()
    if "train" in tops and not in_splits:
        odd = sorted(tops - _PARTS.keys())[0]
        raise DataError(
            f"image_folder: '{odd}' lies beside 'train' in '{source}', but is no split",
            hint=f"splits are {_SPLIT_FOLDERS}; move it away, or leave out the split folders altogether",
        )
    depth = skip + (3 if in_splits else 2)
    items = []
    for path, parts in zip(images, split_up, strict=True):
        if len(parts) < depth:
            shape = "split/class/image" if in_splits else "class/image"
            raise DataError(f"image_folder: '{path}' in '{source}' has no class", hint=f"the layout is {shape}")
        items.append(Item(path, _PARTS[parts[skip]] if in_splits else "all", parts[depth - 2]))
    return tuple(sorted(items, key=lambda i: (i.part, i.label, i.path)))


def _classes(source: Path, items: tuple[Item, ...]) -> tuple[str, ...]:
    by_part: dict[str, set[str]] = {}
    for item in items:
        by_part.setdefault(item.part, set()).add(item.label)
    first = "train" if "train" in by_part else "all"
    for part, classes in by_part.items():
        if classes != by_part[first]:
            odd = sorted(classes ^ by_part[first])[0]
            where = (part, first) if odd in classes else (first, part)
            raise DataError(f"image_folder: class '{odd}' is in '{where[0]}' but not in '{where[1]}' of '{source}'")
    if len(by_part[first]) < 2:
        raise DataError(f"image_folder: '{source}' has only the class '{min(by_part[first])}'")
    return tuple(sorted(by_part[first]))
