"""The package of plugins.md, laid out from the page's own blocks, installed, listed and trained."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docs.docs_pages import DOCS, blocks, text

PACKAGE = "harness-triplet"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file of the page; the metadata are what an installer would write."""
    folder = tmp_path_factory.mktemp("plugin")
    for block in blocks(DOCS / "plugins.md"):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")
    project = tomllib.loads((folder / PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / PACKAGE / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head, encoding="utf-8")
    points = "".join(f"{k} = {v}\n" for k, v in project["entry-points"]["harness"].items())
    (info / "entry_points.txt").write_text(f"[harness]\n{points}", encoding="utf-8")
    return folder


def run(home: Path, *arguments: str) -> str:
    paths = os.pathsep.join([str(home / PACKAGE), *(p for p in sys.path if p)])
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    environment |= {"HARNESS_CACHE": str(home / "cache"), "HARNESS_DATA": str(home / "data")}
    environment.pop("HARNESS_PLUGINS", None)
    with one_core():
        done = subprocess.run(
            [sys.executable, *arguments], cwd=home, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def one_core() -> Iterator[None]:
    """Children inherit it. The program takes a thread a core, and on a busy machine threads wait for each other."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def trained(home: Path) -> Path:
    run(home, "-m", "harness", "ablate", "--grid", "triplet.yaml", "--workers", "1", "--device", "cpu")
    return home


def test_the_block_is_listed_with_its_package(home: Path):
    listed = run(home, "-m", "harness", "list", "attention")
    assert re.search(r"triplet +three gates over .* harness-triplet 0\.1\.0", listed)
    assert "warning" not in listed


def test_the_block_trains_an_epoch_on_digits(trained: Path):
    records = [json.loads(p.read_text()) for p in trained.glob("runs/trials/*/record.json")]
    blocks_used = {r["trial"]["config"]["attention"]["name"]: r for r in records}
    assert {n: r["status"] for n, r in blocks_used.items()} == {"none": "ok", "triplet": "ok"}
    assert blocks_used["triplet"]["providers"]["attention triplet"] == "harness-triplet 0.1.0"
    # Nine sites, three gates each: a convolution 2 -> 1 of 3x3 and a batch norm.
    assert blocks_used["triplet"]["cost"]["attention_parameters"] == 9 * (6 * 3**2 + 6)


def test_the_tracker_wrote_a_line_an_epoch(trained: Path):
    for trial in trained.glob("runs/trials/*"):
        (line,) = (trial / "epochs.jsonl").read_text().splitlines()
        values = json.loads(line)
        assert values["epoch"] == 1
        assert {"train/loss", "train/cross_entropy", "val/top1", "lr", "seconds"} <= set(values)


def test_the_pages_name_every_file_of_the_store_and_of_a_report(trained: Path):
    layout = text("architecture.md")
    for trial in trained.glob("runs/trials/*"):
        for path in trial.iterdir():
            assert path.name == "epochs.jsonl" or f"    {path.name}" in layout, path.name
    for path in trained.glob("reports/digits-triplet/*"):
        assert f"`{path.name}" in text("reports.md"), path.name


def test_every_column_of_the_comparison_is_explained(trained: Path):
    report = (trained / "reports" / "digits-triplet" / "report.md").read_text(encoding="utf-8")
    heads = next(line for line in report.splitlines() if line.startswith("| row |"))
    columns = [cell.split("<br>")[0].strip().lower() for cell in heads.strip("|").split("|")]
    page = text("reports.md").lower()
    assert "latency" in columns
    for column in columns:
        name = "mean" if column.startswith("top1") else column.split(" (")[0]
        assert re.search(rf"\*\*[^*]*\b{name}\b[^*]*\*\*", page), column


def test_every_python_block_runs(home: Path):
    """Blocks that are files run as what they are; functions called test_… are called."""
    found = blocks(*sorted(DOCS.glob("*.md")), language="python")
    assert len(found) >= 5
    chosen = [b for b in found if not b.file or "/tests/" in b.file]
    paths = []
    for i, block in enumerate(chosen):
        path = home / f"block_{i}.py"
        path.write_text(block.body, encoding="utf-8")
        paths.append(str(path))
    driver = (
        "import runpy, sys\n"
        "for path in sys.argv[1:]:\n"
        "    names = runpy.run_path(path, run_name='__main__')\n"
        "    for name, value in names.items():\n"
        "        if name.startswith('test_'): value(); print('called', name)\n"
    )
    printed = run(home, "-c", driver, *paths)
    assert "called test_untrained_gates" in printed
    assert "top1_mean" in printed
