"""A digest of the code that a component runs, blind to comments, docstrings and formatting."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from .errors import ConfigError


def digest_of(module: str) -> str:
    """Hash the module and every module of the same package that it imports, directly or through others.

    "The same package" is the top-level one; inside the core it is the folder (`harness.tasks`), since the rest of the
    core is covered by its results version. A package's own `__init__` counts where something in it is imported.
    Raises ConfigError if the module has no source file: a change of it could not be noticed.
    """
    if _file(module) is None:
        raise ConfigError(
            f"module '{module}' has no source file", hint="put the component into a .py file of a package"
        )
    parts = module.split(".")
    scope = ".".join(parts[:2]) if parts[0] == "harness" else parts[0]
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or _file(name) is None:
            continue
        seen[name], imports = _parse(name)
        waiting += [i for i in imports if i == scope or i.startswith(scope + ".")]
    joined = "\n".join(f"{name}\n{seen[name]}" for name in sorted(seen))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


@cache
def _parse(name: str) -> tuple[str, tuple[str, ...]]:
    path = _file(name)
    if path is None:
        return "", ()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return _normal(tree), tuple(sorted(_imports(tree, package)))


def _file(name: str) -> Path | None:
    """The source file of a module, found without importing anything but the finders of its top-level package."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module that was made by hand, in a notebook for instance, has no file to read
        return None
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
