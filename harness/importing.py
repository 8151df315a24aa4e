"""What "package.module:Attribute" names, imported; and where and why that failed, in a person's own code."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from . import sources
from .errors import ConfigError


def named(target: str, lost: str, broken: str) -> Any:
    """Import what a target names. `lost`, `broken`: hints where its module is not there, or raises.

    Raises ConfigError with the cause, and the file and line of the module's own that failed.
    """
    module, _, attribute = target.partition(":")
    found: Any = _imported(module, lost, broken)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except Exception as error:  # a module may answer for its names itself, and raise anything
            own = [
                n
                for n, v in getattr(found, "__dict__", {}).items()
                if isinstance(v, type) and getattr(v, "__module__", "") == module
            ]
            raise ConfigError(f"module '{module}' has no '{attribute}'", _near(attribute, own)) from error
    return found


def _near(name: str, known: list[str]) -> str | None:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"its classes are {', '.join(known)}" if known else None


def _imported(module: str, lost: str, broken: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        parents = [module.rsplit(".", n)[0] for n in range(module.count(".") + 1)]
        if error.name in parents:
            raise ConfigError(f"module '{error.name}' is not found", lost) from error
        raise ConfigError(f"module '{module}' cannot be imported: {told(error, module)}", to_install(error)) from error
    except (Exception, SystemExit) as error:  # a foreign module may raise anything while it is imported
        raise ConfigError(f"module '{module}' cannot be imported: {told(error, module)}", broken) from error


def to_install(error: BaseException) -> str | None:
    """A hint where a library is not there."""
    return f"install '{error.name}'" if isinstance(error, ModuleNotFoundError) and error.name else None


def told(error: BaseException, *modules: str) -> str:
    """`ValueError: no licence (my_module.py:3)`: an error of a module, and the last line of its own that ran.

    With several modules, of any of them.
    """
    place = _place(error, {module.partition(".")[0] for module in modules})
    words = error.msg if isinstance(error, SyntaxError) and place else error  # its text has the place, too
    return f"{type(error).__name__}: {words}" + (f" ({place})" if place else "")


def _place(error: BaseException, tops: set[str]) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(Path(error.filename), tops)}:{error.lineno}"
    step, place = error.__traceback__, ""
    while step is not None:
        file, owner = Path(step.tb_frame.f_code.co_filename), _owner(step.tb_frame.f_globals)
        if file.suffix == ".py" and owner != "harness" and (owner in tops or not sources.installed(file.parent)):
            place = f"{_shown(file, tops)}:{step.tb_lineno}"
        step = step.tb_next
    return place


def _owner(variables: dict[str, Any]) -> str:
    return str(variables.get("__name__", "")).partition(".")[0]


def _shown(file: Path, tops: set[str]) -> str:
    """A file of a package from the package on, any other by its name."""
    parts = file.parts
    last = max((i for i, part in enumerate(parts) if part in tops), default=len(parts) - 1)
    return "/".join(parts[last:])
