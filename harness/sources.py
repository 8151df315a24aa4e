"""A digest of the code that a component runs, blind to comments, docstrings and formatting."""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .errors import ConfigError


class _Parsed(NamedTuple):
    """What was read of a module. `hidden`: lines that import a module whose name is made while they run."""

    text: str
    imports: tuple[str, ...]
    hidden: tuple[int, ...]


_parsed: dict[str, _Parsed] = {}
_DYNAMIC = {
    *("import_module", "__import__", "spec_from_file_location", "SourceFileLoader", "load_source"),
    *("run_path", "run_module", "exec", "execfile"),
}
"""Calls that import or run a module; the first two may have its name written out."""
_RECORDED = {"torch", "torchvision", "timm", "numpy", "sklearn"}
"""Libraries whose version every record has. Built from their source they lie in a person's folder, and reading all of
torch takes half a minute."""


def digest_of(module: str) -> str:
    """Hash the module and every module of the same package that it imports, directly or through others.

    "The same package" is the top-level one; inside the core it is the folder (`harness.tasks`), since the rest of the
    core is covered by its results version. A package's own `__init__` counts where something in it is imported.
    Raises ConfigError if the module has no source file: a change of it could not be noticed.
    """
    parts = module.split(".")
    scope = ".".join(parts[:2]) if parts[0] == "harness" else parts[0]
    return _digest(_closure(module, lambda name: _within(name, scope)))


def foreign_digest(module: str) -> str:
    """The same for a module that belongs to no plugin. Raises ConfigError if it has no source file, or a broken one."""
    return _digest(foreign_closure(module))


def foreign_closure(module: str) -> Mapping[str, str]:
    """The module and what it imports of its own kind, as normalised text by name.

    A module of a person's own counts with all that it imports of theirs, in whatever folder of Python's path that lies,
    and of plugins. One of an installed library counts with what it imports of its own package (`timm.layers`), not of
    all the library.
    """
    home = home_of(module)
    if home is not None and not installed(home):
        return _closure(module, _counts)
    path = _file(module)
    whole = path is not None and path.name == "__init__.py"
    scope = module if whole else module.rpartition(".")[0] or module
    return _closure(module, lambda name: _within(name, scope))


def hidden_imports(module: str) -> tuple[str, ...]:
    """`line 3 of module 'my_module'` for each import of a closure whose name its text does not have."""
    return tuple(f"line {n} of module '{name}'" for name in foreign_closure(module) for n in _parsed[name].hidden)


def _counts(name: str) -> bool:
    """Is this a module of somebody's own, or of a plugin?

    A plugin counts wherever it lies, as it does where a grid names its components: an id must not depend on how it was
    installed. The core has its results version; of libraries the record has the version.
    """
    top = name.partition(".")[0]
    if top == "harness" or top in _RECORDED or top in sys.stdlib_module_names:
        return False
    path = _file(name)
    return path is not None and (top.startswith("harness_") or not installed(path.parent))


def _within(name: str, scope: str) -> bool:
    return name == scope or name.startswith(scope + ".")


def _closure(module: str, belongs: Callable[[str], bool]) -> dict[str, str]:
    if _file(module) is None:
        raise ConfigError(
            f"module '{module}' has no source file", hint="put the component into a .py file of a package"
        )
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or _file(name) is None:
            continue
        if name not in _parsed:
            _parsed[name] = _parse(name)
        seen[name] = _parsed[name].text
        waiting += [i for i in _parsed[name].imports if belongs(i)]
    return seen


def _digest(closure: Mapping[str, str]) -> str:
    joined = "\n".join(f"{name}\n{closure[name]}" for name in sorted(closure))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def forget(names: Iterable[str] | None = None) -> None:
    """Read these modules anew when they are asked for (None: all). A process else goes by what it read first."""
    for name in list(_parsed) if names is None else names:
        _parsed.pop(name, None)


def lies_in(module: str, folder: Path) -> bool:
    """Is the source file of a module in this folder, or somewhere below it?"""
    path = _file(module)
    return path is not None and path.resolve().is_relative_to(folder.resolve())


def changed(module: str) -> bool:
    """Is a module on disk no longer what was read of it?"""
    before = _parsed.get(module)
    return before is not None and _parse(module) != before


def _parse(name: str) -> _Parsed:
    path = _file(name)
    if path is None:
        return _Parsed("", (), ())
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())  # bytes, so that a file may declare its own encoding
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"the source of module '{name}' cannot be read: {error}", hint=f"mend {path}") from error
    named, hidden = _dynamic(tree, name, package)
    return _Parsed(_normal(tree), tuple(sorted(_imports(tree, package) | named)), hidden)


def home_of(module: str) -> Path | None:
    """The folder in which Python finds the top-level package of a module; None where there is none on disk."""
    spec = _spec(module.partition(".")[0])
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).absolute().parent
    return Path(spec.origin).absolute().parent if spec.has_location and spec.origin else None


@cache
def _libraries() -> tuple[Path, ...]:
    return tuple({Path(p) for k, p in sysconfig.get_paths().items() if k in ("purelib", "platlib", "stdlib")})


def installed(folder: Path) -> bool:
    """Is this a folder of installed libraries, and not somebody's own?"""
    named = {"site-packages", "dist-packages"} & set(folder.parts)  # a user's own, or another program's
    return bool(named) or any(folder.is_relative_to(library) for library in _libraries())


def _spec(top: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(top)
    except ValueError:  # a module that was made by hand, in a notebook for instance, has no file to read
        return None


def _file(name: str) -> Path | None:
    """The source file of a module, found without importing anything but the finders of its top-level package."""
    top, *rest = name.split(".")
    spec = _spec(top)
    if spec is None:
        return None
    if not rest:
        found = Path(spec.origin) if spec.origin else None
        return found if found is not None and found.suffix == ".py" and found.is_file() else None
    for folder in spec.submodule_search_locations or ():  # more than one, and no `__init__`, in a namespace package
        base = Path(folder).joinpath(*rest)
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file():
                return path
    return None


def _imports(tree: ast.Module, package: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                kept = above[: len(above) - (node.level - 1)]
                base = ".".join([*kept, base] if base else kept)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if _file(inner) is not None else base)
    return found


def _dynamic(tree: ast.Module, name: str, package: str) -> tuple[set[str], tuple[int, ...]]:
    """Modules that calls such as `importlib.import_module("gates")` name, and lines of those that name none."""
    found: set[str] = set()
    hidden = []
    aliases = {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        called = aliases.get(called, called)
        if called not in _DYNAMIC:
            continue
        named = _named(called, node, {"__name__": name, "__package__": package})
        if named is None:
            hidden.append(node.lineno)
        else:
            found.add(named)
    return found, tuple(hidden)


def _named(called: str, node: ast.Call, known: Mapping[str, str]) -> str | None:
    """The module that a call imports; None where its text does not say."""
    named = {k.arg: k.value for k in node.keywords}
    words = [*node.args, *(named.pop(key) for key in ("name", "package") if key in named), *named.values()]
    texts = [w.value if isinstance(w, ast.Constant) else known.get(getattr(w, "id", "")) for w in words]
    if len(texts) not in (1, 2) or not all(isinstance(t, str) for t in texts):
        return None
    module, *package = map(str, texts)
    if called == "import_module" and (package or not module.startswith(".")):
        with suppress(ImportError):  # more dots than packages
            return importlib.util.resolve_name(module, package[0] if package else None)
    return module if called == "__import__" and not package else None


def _normal(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return _text(tree)


def _text(node: object) -> str:
    """The tree as text. `ast.dump` writes empty fields in some versions of Python and leaves them out in others."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return f"{type(node).__name__}({', '.join(f'{name}={_text(value)}' for name, value in fields)})"
    return f"[{', '.join(map(_text, node))}]" if isinstance(node, list) else repr(node)
