"""Classes that are no plugins, named by `target: "my_module:MyBlock"`: found, imported, and found again.

A module is looked for where Python looks, and beside the grid file. The grid's folder then goes to the end of Python's
path: worker processes inherit it, and nothing that lies in it can stand in for a library.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from . import importing, sources
from .contracts import Task
from .errors import ConfigError

_entered: list[Path] = []
"""Folders of grids and of stored trials that were put on Python's path."""


def is_target(name: str) -> bool:
    """Is this the name of a class, and not of a registered component? Those have no colon."""
    return ":" in name


def checked(text: str) -> str:
    """Raises ConfigError if a text is not of the form "package.module:Attribute"."""
    module, colon, attribute = text.partition(":")
    if not colon:
        before, _, last = text.rpartition(".")
        hint = f"did you mean '{before}:{last}'?" if _dotted(text) and before else "for instance my_module:MyBlock"
        raise ConfigError(f"target '{text}' has no colon between module and class", hint)
    bare = module.removesuffix(".py")
    if bare != module or not _dotted(module) or not _dotted(attribute):
        hint = "name the module as `import` does, with its folder on PYTHONPATH or beside the grid file"
        if bare != module and _dotted(bare):
            hint = f"did you mean '{bare}:{attribute}'?"
        raise ConfigError(f"target '{text}' is not of the form 'package.module:Class'", hint)
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise ConfigError(
            f"target '{text}': module '{module}' is Python's own", "rename your file, if you have one of that name"
        )
    return text


def _dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def reach_target(target: str, folder: Path | None) -> str:
    """`reach` the module of a target, and its name. Raises ConfigError, also for a text that is no target."""
    module = checked(target).partition(":")[0]
    reach(module, folder)
    return module


def reach(module: str, folder: Path | None) -> None:
    """Make a module importable that lies in `folder`, and read it anew if it was changed since it was imported.

    Raises ConfigError if Python would find another module of that name.
    """
    top = module.partition(".")[0]
    beside = folder is not None and ((folder / f"{top}.py").is_file() or (folder / top).is_dir())
    home = sources.home_of(top)
    if beside and folder is not None and (home is None or not _same(home, folder)):
        if home is not None and home in _entered:  # of another grid, in this process
            _leave(home)
            home = sources.home_of(top)
        if home is not None and ((folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file()):
            raise ConfigError(
                f"module '{top}' lies in {folder}, and another one in {home}", f"rename the one in {folder}"
            )
        if home is None and os.pathsep in str(folder):  # worker processes inherit a list that this would cut in two
            what = f"the folder {folder} cannot be put on Python's path: its name has a '{os.pathsep}'"
            raise ConfigError(what, "rename the folder")
        if home is None:
            _enter(folder)
    _renew(module)


def _same(a: Path, b: Path) -> bool:
    return a == b or a.resolve() == b.resolve()


def _enter(folder: Path) -> None:
    if folder not in _entered:
        _entered.append(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    importlib.invalidate_caches()


def _leave(folder: Path) -> None:
    """Forget a folder and all that was imported from it, so that another one may have modules of equal names."""
    _entered.remove(folder)
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    tops = {name for name in list(sys.modules) if "." not in name and name not in ("__main__", "harness")}
    gone = {name for name in tops if sources.home_of(name) == folder}
    _drop([name for name in sys.modules if name.partition(".")[0] in gone])


def _renew(module: str) -> None:
    home = sources.home_of(module)
    if home is None or sources.installed(home):
        return
    try:
        # Those of plugins stay as they are: the registry and other modules hold their classes.
        names = [name for name in sources.foreign_closure(module) if not name.startswith("harness_")]
        fresh = not any(sources.changed(name) for name in names)
    except ConfigError:  # broken as it stands: whoever imports it says so, with the reason
        names, fresh = [module], False
    if not fresh:
        _drop(names)


def _drop(names: Iterable[str]) -> None:
    names = list(names)
    for name in names:
        sys.modules.pop(name, None)
    sources.forget(names)
    importlib.invalidate_caches()


def load(kind: str, target: str) -> Callable[..., Any]:
    """Import what a target names. Raises ConfigError that says what went wrong, and where."""
    top = checked(target).partition(":")[0].partition(".")[0]
    lost = (
        f"put the folder that holds '{top}' on PYTHONPATH, or the module beside the grid file; `harness check` and"
        " `harness show` look in the current folder too"
    )
    found = importing.named(target, lost, "mend that line")
    if not callable(found):
        raise ConfigError(f"{kind} '{target}' is of type {type(found).__name__}, and cannot be called", "name a class")
    if kind == "task":
        _require_task(target, found)
    return cast("Callable[..., Any]", found)


_WRITE = "what a {kind} must have stands in docs/plugins.md; write a class around yours that has it"
CONTRACT = {
    "task": (
        "metrics",
        "select",
        "io",
        "present",
        "pair",
        "measure",
        "summarise",
        "floors",
        "figures",
        "resample",
        "identities",
        "remarks",
    ),
    "loss": ("expects", "__call__"),
    "dataset": ("split",),
    "model": ("forward", "groups", "prefix"),
}


def complete(kind: str, name: str, made: object) -> None:
    """Raises ConfigError if a component lacks a part of its contract: a class that was written for something else."""
    missing = [part for part in CONTRACT[kind] if not hasattr(made, part)]
    if missing:
        raise ConfigError(
            f"{kind} '{name}' has no {', '.join(f'`{m}`' for m in missing)}",
            hint=_WRITE.format(kind=kind),
        )


def _require_task(target: str, found: object) -> None:
    """Raises ConfigError before anything is called that is no class of tasks.

    A report builds the task that its store names, with the options that stand there. A store may come from anybody, and
    an installed function such as a reader of pickles would run what a file of it says.
    """
    methods = [part for part in CONTRACT["task"] if callable(getattr(Task, part, None))]
    if not isinstance(found, type) or any(not callable(getattr(found, part, None)) for part in methods):
        complete("task", target, found)
        raise ConfigError(f"task '{target}' is no class of tasks", _WRITE.format(kind="task"))


def homes(names: Iterable[str]) -> dict[str, str]:
    """Module -> the folder that it was found in, of every target that is no part of an installed library."""
    found = {}
    for name in names:
        module = name.partition(":")[0]
        home = sources.home_of(module) if is_target(name) else None
        if home is not None and not sources.installed(home):
            found[module] = str(home.resolve())
    return found


def recall(
    names: Iterable[str], digests: Mapping[str, str], folders: Mapping[str, str], store: Path
) -> tuple[str, ...]:
    """Make the modules of a stored trial's classes importable again; sentences about those that have changed.

    names: components of the trial. digests: module -> digest of its source when the trial was trained. folders: module
    -> where it lay then. A store may come from anybody, so a folder is used only as it was written by `homes`, and what
    lies in the store is never imported. Nothing is imported here.
    Raises ConfigError for a module that cannot be found, and for one of the store.
    """
    told = []
    for module in dict.fromkeys(checked(name).partition(":")[0] for name in names if is_target(name)):
        digest = digests.get(module, "")
        folder = _trusted(folders.get(module, ""), store)
        if folder is not None and _digest(module) != digest and sources.home_of(module) in (None, *_entered):
            with suppress(ConfigError):  # another module of that name: the sentence below says so
                reach(module, folder)
        now = _digest(module)
        if not now:
            lay = f"; it lay in {folders[module]}" if folders.get(module) else ""
            raise ConfigError(
                f"module '{module}', which this trial was trained with, is not found{lay}",
                hint=f"put the folder that holds '{module.partition('.')[0]}' on PYTHONPATH",
            )
        # Also where Python would find it, as `runs.x` from the folder that holds the store.
        if any(sources.lies_in(name, store) for name in sources.foreign_closure(module)):
            raise ConfigError(
                f"module '{module}' lies in the store {store}, whose code is never run",
                hint="if you trust it, move it out and put its new folder on PYTHONPATH",
            )
        if now != digest:
            told.append(f"module '{module}' is no longer what the trial was trained with")
    return tuple(told)


def _trusted(text: str, store: Path) -> Path | None:
    folder = Path(text)
    inside = folder.is_relative_to(store.resolve())
    return folder if folder.is_absolute() and folder.is_dir() and folder.resolve() == folder and not inside else None


def _digest(module: str) -> str:
    """The digest of a module as it is found now; empty where it is not."""
    try:
        return sources.foreign_digest(module)
    except ConfigError:
        return ""
