"""The packages of the pages, laid out from the pages' own blocks, installed, listed, tested and trained."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docs.docs_pages import DOCS, PACKAGES, ROOT, blocks, commands, lay_out, text

# Seconds count: these studies run in one process, on one seed and epoch, and what is measured of trained rows is
# measured of one of them alone.
TRAINED = {"focal": 3, "stripes": 2, "plain": 2, "grades": 2, "csvlog": 1}
DRIVER = """
import sys, harness
for name in sys.argv[1:]:
    quick = ["seeds=1", "train.epochs=1", *([] if name == "plain" else ["evaluate=[]"])]
    trackers = ["csvlog"] if name == "csvlog" else []
    where = {"runs": f"runs-{name}", "workers": 1, "device": "cpu"}
    result = harness.ablate(f"{name}.yaml", overrides=quick, trackers=trackers, **where)
    assert not result.failed, result.failed[0].traceback
    print(name, "trained", len(result.records))
"""
SHOWER = """
import sys
from harness.cli import group
for kind, name in zip(sys.argv[1::2], sys.argv[2::2]):
    group.main(["show", kind, name], standalone_mode=False)
"""
CHECKER = """
import sys
from harness.conformance import check
for kind, name in zip(sys.argv[1::2], sys.argv[2::2]):
    report = check(kind, name)
    assert report.ok and not report.warnings, str(report)
    print("checked", kind, name)
"""
CALLER = """
import runpy, sys
for path in sys.argv[1:]:
    for name, value in runpy.run_path(path, run_name="__main__").items():
        if name.startswith("test_"):
            value()
            print("called", name)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    lay_out(folder)
    return folder


def run(home: Path, *arguments: str) -> str:
    packages = [str(home / f"harness-{name}") for _, name in PACKAGES.values()]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*packages, *(p for p in sys.path if p)]),
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
        "HARNESS_CACHE": str(home / "cache"),
        "HARNESS_DATA": str(home / "data"),
    }
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


def records(store: Path) -> list[Any]:
    return [json.loads(p.read_text(encoding="utf-8")) for p in sorted(store.glob("trials/*/record.json"))]


def test_every_package_is_listed_and_its_pages_commands_answer(home: Path):
    listed = run(home, "-m", "harness", "list")
    assert "warning" not in listed
    for kind, name in PACKAGES.values():
        assert re.search(rf"{kind} +{name} .* harness-{name} 0\.1\.0", listed), name
    shown = [a for place, a in commands() if place.split(":")[0] in PACKAGES and a[0] == "show"]
    assert len(shown) == 6
    printed = run(home, "-c", SHOWER, *(word for arguments in shown for word in arguments[1:]))
    for _, _, name in shown:
        assert f"harness-{name} 0.1.0" in printed


def test_every_package_keeps_what_its_kind_promises(home: Path):
    kinds = [(kind, name) for kind, name in PACKAGES.values() if kind != "tracker"]
    printed = run(home, "-c", CHECKER, *(word for pair in kinds for word in pair))
    assert re.findall(r"^checked (\w+) (\w+)$", printed, re.M) == kinds


def test_the_block_and_the_store_and_the_report_are_what_the_pages_say(home: Path):
    run(home, "-m", "harness", "ablate", "--grid", "triplet.yaml", "--workers", "1", "--device", "cpu")
    found = {r["trial"]["config"]["attention"]["name"]: r for r in records(home / "runs")}
    assert {n: r["status"] for n, r in found.items()} == {"none": "ok", "triplet": "ok"}
    assert found["triplet"]["providers"]["attention triplet"] == "harness-triplet 0.1.0"
    # Nine sites, three gates each: a convolution 2 -> 1 of 3x3 with a bias.
    assert found["triplet"]["cost"]["attention_parameters"] == 9 * (6 * 3**2 + 3)
    for trial in home.glob("runs/trials/*"):
        for path in trial.iterdir():
            assert f"    {path.name}" in text("architecture.md"), path.name
    for path in home.glob("reports/digits-triplet/*"):
        assert f"`{path.name}" in text("reports.md"), path.name
    report = (home / "reports" / "digits-triplet" / "report.md").read_text(encoding="utf-8")
    heads = next(line for line in report.splitlines() if line.startswith("| row |"))
    columns = [cell.split("<br>")[0].strip().lower() for cell in heads.strip("|").split("|")]
    assert "latency" in columns
    for column in columns:
        name = "mean" if column.startswith("top1") else column.split(" (")[0]
        assert re.search(rf"\*\*[^*]*\b{name}\b[^*]*\*\*", text("reports.md").lower()), column


@pytest.mark.slow
def test_the_studies_of_the_other_pages_run(home: Path):
    printed = run(home, "-c", DRIVER, *TRAINED)
    assert "Warning" not in printed
    for name, count in TRAINED.items():
        assert f"{name} trained {count}" in printed
        used = {provider for r in records(home / f"runs-{name}") for provider in r["providers"].values()}
        assert name == "csvlog" or f"harness-{name} 0.1.0" in used, name
    (se,) = [r for r in records(home / "runs-plain") if r["trial"]["config"]["attention"]["name"] == "se"]
    assert se["sites"] == ["blocks.0", "blocks.1", "blocks.2"]
    measured = {p.stem for p in home.glob("runs-plain/trials/*/evaluations/*.json")}
    assert {"gates", "knockout", "maps"} <= measured
    (graded, _) = records(home / "runs-grades")
    assert set(graded["metrics"]) == {"off", "exact"}
    assert graded["floors"]["median"]["exact"] < 0.2
    lines = [line.split(",") for line in (home / "epochs.csv").read_text(encoding="utf-8").splitlines()]
    assert {line[0] for line in lines} == {r["id"] for r in records(home / "runs-csvlog")}
    assert {"train/loss", "train/cross_entropy", "val/top1", "lr", "seconds"} <= {line[3] for line in lines}


def test_every_python_block_runs(home: Path):
    """Blocks that are files of a package run as what they are; functions called test_… are called."""
    found = blocks(*sorted(DOCS.glob("*.md")), ROOT / "README.md", language="python")
    assert len(found) >= 17
    paths = []
    for i, block in enumerate(b for b in found if not b.file or "/tests/" in b.file):
        path = home / f"block_{i}.py"
        path.write_text(block.body, encoding="utf-8")
        paths.append(str(path))
    printed = run(home, "-c", CALLER, *paths)
    called = {name for b in found if "/tests/" in b.file for name in re.findall(r"^def (test_\w+)", b.body, re.M)}
    assert len(called) >= 12
    assert called == set(re.findall(r"^called (\w+)", printed, re.M))
    assert "top1_mean" in printed


def test_every_package_says_what_an_installer_needs(home: Path):
    for page, (_, name) in PACKAGES.items():
        files = {b.file for b in blocks(DOCS / page) if b.file}
        assert {f"harness-{name}/pyproject.toml", f"harness-{name}/harness_{name}/__init__.py", f"{name}.yaml"} <= files
        module = (home / f"harness-{name}" / f"harness_{name}" / "__init__.py").read_text(encoding="utf-8")
        assert "import torch" not in module


@pytest.mark.slow
def test_the_first_study_runs_as_its_page_says(home: Path):
    printed = run(home, "-m", "harness", "ablate", "--grid", "first.yaml", "--runs", "runs-first")
    assert len(records(home / "runs-first")) == 9
    shown = next(b.body for b in blocks(DOCS / "first-study.md", language="text") if "verdict" in b.body)
    for line in (shown.splitlines()[0], shown.splitlines()[-2], shown.splitlines()[-1]):
        assert line.split() in [found.split() for found in printed.splitlines()], line
    assert "9 done already" in run(home, "-m", "harness", "ablate", "--grid", "first.yaml", "--runs", "runs-first")
