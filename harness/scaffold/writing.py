"""Templates to files: all of a package or none of it, and nothing that stands there already is touched."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..registry import Registry
from .kinds import KINDS
from .naming import Names, names_for

if TYPE_CHECKING:
    from jinja2 import Environment

_COMMON = {
    "pyproject.toml": "common/pyproject.toml.j2",
    "README.md": "common/README.md.j2",
    "LICENSE": "common/LICENSE.j2",
    ".gitignore": "common/gitignore.j2",
}


@dataclass(frozen=True, slots=True)
class Package:
    """What was written: the folder, and its files relative to it."""

    names: Names
    folder: Path
    files: tuple[str, ...]

    @property
    def grid(self) -> Path:
        return self.folder / f"{self.names.name}.yaml"


def create(kind: str, name: str, folder: Path | None, registry: Registry) -> Package:
    """Write a package that adds the component `name` of this kind to `folder`; None: `harness-<name>` in this one.

    Raises ConfigError for a name that cannot be, for a folder with something in it, or if nothing can be written.
    """
    names = names_for(kind, name, registry)
    folder = Path(names.distribution) if folder is None else folder
    files = render(names)
    try:
        _require_free(folder)
        _place(folder, files)
    except OSError as error:
        raise ConfigError(
            f"cannot write '{folder}': {error.strerror or error}", hint="choose another folder with --out"
        ) from error
    return Package(names, folder, tuple(files))


def render(names: Names) -> dict[str, str]:
    """Every file of the package: its path in the package's folder, and its text."""
    wanted = {
        **_COMMON,
        f"{names.package}/__init__.py": "common/init.py.j2",
        f"{names.package}/{names.module}.py": f"{names.kind}/{names.module}.py.j2",
        f"{names.package}/py.typed": "common/py.typed.j2",
        f"tests/test_{names.name}.py": f"{names.kind}/test.py.j2",
        f"{names.name}.yaml": f"{names.kind}/grid.yaml.j2",
    }
    environment, example = _environment(), KINDS[names.kind]
    return {path: environment.get_template(t).render(n=names, example=example) for path, t in wanted.items()}


def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    here = resources.files(__package__) / "templates"

    def load(name: str) -> str:
        return here.joinpath(*name.split("/")).read_text(encoding="utf-8")

    # No escaping: this is code, and the only thing put in is a name of small letters, digits and underscores.
    return Environment(
        loader=FunctionLoader(load),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _require_free(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        return
    if os.path.lexists(folder):  # a link that leads nowhere counts, too
        what = "has files in it" if folder.is_dir() and not folder.is_symlink() else "is no folder"
        raise ConfigError(
            f"'{folder}' is there and {what}; nothing was written", hint="remove it, or choose another --out or name"
        )


def _place(folder: Path, files: dict[str, str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name or 'new'}."))
    try:
        part.chmod(0o777 & ~_umask())  # mkdtemp shuts everyone else out
        for path, text in files.items():
            file = part / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if folder.is_dir():  # empty, and perhaps the one that the user stands in: it is filled and not replaced
            for made in sorted(part.iterdir()):
                made.rename(folder / made.name)
            part.rmdir()
        else:
            part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)  # there is no way to read it alone
    os.umask(mask)
    return mask
