"""The plan of the house: who may import whom, who prints, who imports torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS = {
    "errors": 0,
    "contracts": 1,
    "hookspecs": 1,
    "plain": 1,
    "restore": 1,
    "trial": 1,
    "registry": 1,
    "sources": 1,
    "importing": 1,
    "foreign": 1,
    "discovery": 2,
    "scaffold": 2,
    "grid": 2,
    "arrays": 2,
    "pixels": 2,
    "store": 2,
    "environment": 2,
    "data": 2,
    "stats": 2,
    "claims": 2,
    "tasks": 3,
    "augment": 3,
    "recipe": 3,
    "trackers": 3,
    "measure": 3,
    "blocks": 3,
    "audits": 3,
    "ledger": 3,
    "progress": 3,
    "loading": 3,
    "assembly": 3,
    "evaluation": 3,
    "front": 3,
    "engine": 4,
    "estimate": 4,
    "planning": 4,
    "executors": 5,
    "report": 5,
    "predict": 5,
    "latency": 5,
    "comparing": 5,
    "probes": 5,
    "gallery": 5,
    "exporting": 5,
    "conformance": 5,
    "api": 6,
    "cli": 7,
}
ALLOWED = {
    "errors": set(),
    "contracts": {"errors"},
    "hookspecs": {"contracts", "registry", "trial"},
    "plain": set(),
    "trial": {"plain"},
    "restore": {"errors", "trial"},
    "registry": {"errors", "foreign", "importing"},
    "sources": {"errors"},
    "importing": {"errors", "sources"},
    "foreign": {"contracts", "errors", "importing", "sources"},
    "discovery": {"hookspecs", "importing", "registry", "errors"},
    "scaffold": {"registry", "errors"},
    "grid": {"trial", "registry", "sources", "foreign", "errors", "contracts", "data"},
    "arrays": {"contracts", "errors"},
    "pixels": set(),
    "store": {"restore", "trial", "contracts", "errors", "arrays"},
    "environment": {"errors"},
    "data": {"errors", "contracts"},
    "stats": {"trial", "errors", "contracts"},
    "claims": {"trial", "errors", "contracts", "stats"},
    "tasks": {"contracts", "errors", "hookspecs", "registry"},
    "augment": {"contracts", "data", "errors", "hookspecs", "registry", "environment"},
    "recipe": {"errors", "hookspecs", "registry"},
    "trackers": {"discovery", "errors", "hookspecs", "plain", "registry", "trial"},
    "report": {"trial", "contracts", "errors", "stats", "claims"},
}
"""Where a room's list is shorter than "everything below its floor"."""

NO_TORCH = {
    "plain",
    "restore",
    "errors",
    "contracts",
    "hookspecs",
    "trial",
    "registry",
    "sources",
    "importing",
    "foreign",
    "discovery",
    "scaffold",
    "grid",
    "arrays",
    "store",
}
NO_TORCH |= {"environment", "data", "stats", "claims", "planning", "executors", "report", "predict", "api", "cli"}
NO_TORCH |= {"trackers", "comparing", "gallery", "latency", "pixels"}


def modules() -> list[Path]:
    return sorted((ROOT / "harness").rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT / "harness").parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[tuple[str, int]]:
    """(room, line) of every import of the core, wherever it stands in the file."""
    inside = path.relative_to(ROOT).with_suffix("").parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[tuple[str, ...]] = []
        if isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            names = [module] if len(module) > 1 else [(*module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        found |= {(n[1], node.lineno) for n in names if n[0] == "harness" and len(n) > 1}
    return found


def test_every_room_stands_in_the_plan():
    assert {room(p) for p in modules()} - {"__init__", "__main__"} == set(FLOORS)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_imports_upwards_or_past_its_list(path: Path):
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    for other, line in imported_rooms(path):
        if other == here:
            continue
        place = f"{path.relative_to(ROOT)}:{line} imports {other}"
        if here in ALLOWED:
            assert other in ALLOWED[here], place
        else:
            assert FLOORS[other] <= FLOORS[here], place


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_torch_is_imported_at_the_top_only_where_the_plan_allows(path: Path):
    if room(path) not in NO_TORCH | {"__init__", "__main__"} and path.name != "__init__.py":
        return
    for node in ast.parse(path.read_text()).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        assert not any(n.split(".")[0] in ("torch", "timm", "torchvision") for n in names), f"{path}:{node.lineno}"


def test_only_the_command_line_prints():
    for path in [*modules(), *(ROOT / "plugins").rglob("*.py")]:
        if "harness/cli" in str(path):
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        printing = [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
        assert not printing, f"{path}: {printing}"


def test_plugins_import_only_the_public_rooms_of_the_core():
    public = {"contracts", "errors", "data", "hookimpl"}
    for path in (ROOT / "plugins").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "harness":
                parts = node.module.split(".")
                names = {parts[1]} if len(parts) > 1 else {a.name for a in node.names}
                allowed = public | ({"Registry", "registry"} if _for_type_checkers(path, node) else set())
                assert names <= allowed, f"{path}:{node.lineno}: {names - allowed}"


def _for_type_checkers(path: Path, node: ast.ImportFrom) -> bool:
    tree = ast.parse(path.read_text())
    guards = [n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    return any(child.lineno == node.lineno for guard in guards for child in guard.body)


def test_files_and_functions_stay_small():
    for path in [*modules(), *(ROOT / "plugins").rglob("*.py")]:
        text = path.read_text()
        assert len(text.splitlines()) <= 350, f"{path} has {len(text.splitlines())} lines"


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], ["torch", "numpy", "harness_attention", "harness_models", "rich"]),
        (["list"], ["torch", "timm", "torchvision", "sklearn", "matplotlib", "pandas"]),
        (["data", "--help"], ["torch", "numpy"]),
    ],
)
def test_light_commands_import_nothing_heavy(arguments: list[str], forbidden: list[str]):
    code = (
        "import sys\nfrom harness.cli import main\n"
        f"sys.argv[1:] = {['--no-plugins', *arguments]!r}\n"
        "try: main()\nexcept SystemExit as end: assert end.code == 0, end.code\n"
        f"found = [m for m in {forbidden!r} if m in sys.modules]\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_no_torch():
    code = "import sys, harness; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
