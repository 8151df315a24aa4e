"""A digest of the code that a component runs, blind to comments, docstrings and formatting."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path


def digest_of(module: str) -> str:
    """Hash the module and every module of the same package that it imports, directly or through others.

    "The same package" is the top-level one; inside the core it is the folder (`harness.tasks`), since the rest of the
    core is covered by its results version. Entry modules (`__init__`) count only where they are imported by name.
    """
    parts = module.split(".")
    scope = ".".join(parts[:2]) if parts[0] == "harness" else parts[0]
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        found = _parse(name)
        if found is None:
            continue
        text, imports = found
        seen[name] = text
        waiting += [i for i in imports if i == scope or i.startswith(scope + ".")]
    joined = "\n".join(f"{name}\n{seen[name]}" for name in sorted(seen))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


@cache
def _parse(name: str) -> tuple[str, tuple[str, ...]] | None:
    path = _file(name)
    if path is None:  # `from .gates import sigmoid` also asks for a module `gates.sigmoid`, which is none
        return None
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = tuple(sorted(_imports(tree, package)))
    return _normal(tree), imports


def _file(name: str) -> Path | None:
    """The source file of a module, found without importing anything but the finders of its top-level package."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module that was made by hand, in a notebook for instance, has no file to read
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    for part in rest:
        if path.name != "__init__.py":
            return None
        module, package = path.parent / f"{part}.py", path.parent / part / "__init__.py"
        path = package if package.is_file() else module
    return path if path.suffix == ".py" and path.is_file() else None


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
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def _normal(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)
