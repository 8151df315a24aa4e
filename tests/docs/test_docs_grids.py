"""Every grid that a page shows is one, and every mistake that a page shows has the message that it shows."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.docs_pages import DOCS, PACKAGES, Block, blocks, lay_out

from harness.data import data_root
from harness.discovery import load as discover
from harness.errors import GridError
from harness.grid import Context, load
from harness.registry import Registry
from harness.trial import Study

BASE = {
    "study": "study: example",
    "dataset": "dataset: digits",
    "model": "model: resnet20",
    "train": "train: {epochs: 1}",
}
YAML = blocks(language="yaml")
WHOLE = [b for b in YAML if re.search(r"^study:", b.body, re.M)]
WRONG = [b for b in YAML if b.body.startswith("# a mistake")]
MODULES = [b for b in blocks(DOCS / "grid.md", language="python") if b.file]
FRAGMENTS = [b for b in YAML if b not in WHOLE and b not in WRONG]


def place(block: Block) -> str:
    return block.place


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """What ships, and what the packages of the pages declare."""
    home = tmp_path_factory.mktemp("packages")
    lay_out(home)
    found = discover(third_party=False).registry
    before = list(sys.path)
    sys.path += [str(home / f"harness-{name}") for _, name in PACKAGES.values()]
    for kind, name in PACKAGES.values():
        importlib.import_module(f"harness_{name}").harness_register(found)
        assert name in found.names(kind)
    yield found
    sys.path[:] = before


def completed(body: str) -> str:
    """The block, then what it lacks to be a grid; so the lines of the block are those of the file."""
    keys = set(re.findall(r"^(\w+):", body, re.M))
    return body + "".join(f"{line}\n" for key, line in BASE.items() if key not in keys)


def planned(text: str, folder: Path, registry: Registry) -> Study:
    for module in MODULES:  # classes that a grid names by `target` lie beside it
        (folder / module.file).write_text(module.body, encoding="utf-8")
    path = folder / "grid.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, registry, Context(data_root(), "fp32", 1))


def after(block: Block) -> str:
    """The block of plain text that follows."""
    own = blocks(block.page)
    here = own.index(block)
    assert own[here + 1].language == "text", f"{block.place} has no text after it"
    return own[here + 1].body


def test_there_are_grids_fragments_and_mistakes():
    assert len(WHOLE) >= 5
    assert len(FRAGMENTS) >= 15
    assert len(WRONG) >= 4


@pytest.mark.parametrize("block", WHOLE, ids=place)
def test_a_whole_grid_loads(block: Block, tmp_path: Path, registry: Registry):
    try:
        study = planned(block.body, tmp_path, registry)
    except GridError as error:
        missing = [m for m in error.mistakes if "harness data fetch" in (m.hint or "")]
        if len(missing) != len(error.mistakes):
            raise
        pytest.skip(f"no data: {missing[0].message}")
    assert study.cells
    if block.page.name == "grid.md" and "axes:" in block.body and block.line > 10:  # the page opens with a plain one
        labels = [c.label + (" (baseline)" if c.baseline else "") for c in study.cells]
        lines = [f"rows: {'; '.join(labels)}", *(f"left out: {s.label}: {s.reason}" for s in study.skipped)]
        assert after(block).splitlines() == lines


@pytest.mark.parametrize("block", FRAGMENTS, ids=place)
def test_a_fragment_loads_on_a_plain_grid(block: Block, tmp_path: Path, registry: Registry):
    try:
        assert planned(completed(block.body), tmp_path, registry).cells
    except GridError as error:
        if any("my-videos" not in m.message for m in error.mistakes):  # a folder of the reader's own
            raise


@pytest.mark.parametrize("block", WRONG, ids=place)
def test_a_mistake_has_the_message_that_the_page_shows(block: Block, tmp_path: Path, registry: Registry):
    with pytest.raises(GridError) as caught:
        planned(completed(block.body), tmp_path, registry)
    found = "".join(f"error: {m.message}\n hint: {m.hint}\n" for m in caught.value.mistakes)
    assert found.replace(f"{tmp_path}/", "") == after(block)
