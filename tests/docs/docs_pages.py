"""The pages of the documentation, cut into blocks of code."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (*sorted(DOCS.glob("*.md")), ROOT / "README.md")
PACKAGES: Mapping[str, tuple[str, str]] = {
    "write-a-block.md": ("attention", "triplet"),
    "write-a-loss.md": ("loss", "focal"),
    "write-a-dataset.md": ("dataset", "stripes"),
    "write-a-model.md": ("model", "plain"),
    "write-a-task.md": ("task", "grades"),
    "trackers.md": ("tracker", "csvlog"),
}
"""Pages that hold a complete package: the kind and name of what it adds. The package is `harness-NAME`."""
_BLOCK = re.compile(r"(?:^File `(?P<file>[^`\n]+)`:\n\n)?^```(?P<language>\w+)[^\n]*\n(?P<body>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """`file`: the path that the line above the block names, or ""."""

    page: Path
    line: int
    language: str
    body: str
    file: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(*pages: Path, language: str = "") -> list[Block]:
    found = []
    for page in pages or PAGES:
        content = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(content):
            line = content.count("\n", 0, match.start("body"))
            found.append(Block(page, line, match["language"], match["body"], match["file"] or ""))
    return [b for b in found if language in ("", b.language)]


def lay_out(folder: Path) -> None:
    """Write every file that a page names, and beside each package the metadata that an installer would write."""
    for block in blocks(*sorted(DOCS.glob("*.md"))):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")
    for _, name in PACKAGES.values():
        project = tomllib.loads((folder / f"harness-{name}" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        info = folder / f"harness-{name}" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir(exist_ok=True)
        head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(head, encoding="utf-8")
        points = "".join(f"{k} = {v}\n" for k, v in project["entry-points"]["harness"].items())
        (info / "entry_points.txt").write_text(f"[harness]\n{points}", encoding="utf-8")


def commands() -> list[tuple[str, list[str]]]:
    """(place, arguments) of every `harness …` that a page tells the reader to type."""
    found = []
    for block in blocks():
        if block.language in ("console", "bash", "sh", "shell"):
            lines = block.body.splitlines()
            typed = [s.removeprefix("$ ") for s in lines if s.startswith("$ ") or block.language != "console"]
            found += [(block.place, part) for s in typed for part in s.split("&&")]
    for page in PAGES:
        examples = re.findall(r"^Example: `(.+)`$", page.read_text(encoding="utf-8"), re.M)
        found += [(page.name, example) for example in examples]
    split = [(place, shlex.split(typed, comments=True)) for place, typed in found]
    return [(place, arguments) for place, words in split if (arguments := _harness(words)) is not None]


def _harness(words: list[str]) -> list[str] | None:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # HARNESS_PLUGINS=triplet harness doctor
        words = words[1:]
    if words[:1] == ["harness"]:
        return words[1:]
    return words[3:] if words[1:3] == ["-m", "harness"] else None


def generator() -> ModuleType:
    """docs/generate.py, which is a script and no part of a package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
