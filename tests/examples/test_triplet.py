"""examples/harness-triplet: its wheel is built and installed, used in a study, and taken out again."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from scaffold import fresh

from harness.discovery import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "harness-triplet"


def test_the_program_has_no_such_block_itself():
    assert "triplet" not in load(third_party=False).registry.names("attention")


QUIET = ("-p", "no:cacheprovider")


def source(folder: Path) -> Path:
    """The package's tests away from the package: what they test is what was installed."""
    shutil.copytree(EXAMPLE / "tests", folder / "source" / "tests")
    return folder / "source"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh.wheel(EXAMPLE, tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_the_package_and_its_entry_point_alone(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        points = archive.read("harness_triplet-0.1.0.dist-info/entry_points.txt").decode()
    inside = {n for n in names if not n.startswith("harness_triplet-0.1.0.dist-info/")}
    assert inside == {"harness_triplet/__init__.py", "harness_triplet/block.py", "harness_triplet/py.typed"}
    assert "[harness]\ntriplet = harness_triplet" in points


@pytest.mark.slow
def test_it_is_installed_studied_and_taken_out_again(wheel: Path, tmp_path: Path):
    env = fresh.make(tmp_path)
    assert "triplet" not in env.harness("list", "attention").stdout
    env.install(wheel)

    listed = env.harness("list", "attention")
    assert re.search(r"triplet +three gates, over .* harness-triplet 0\.1\.0", listed.stdout)
    assert not listed.stderr
    tested = env.run("-m", "pytest", "-q", *QUIET, "-k", "not keeps_the_promises", folder=source(tmp_path))
    assert "6 passed" in tested.stdout
    grid = ("--grid", str(EXAMPLE / "triplet.yaml"))
    shorter = [f"--set={change}" for change in ("train={epochs: 1, batch_size: 256}", "evaluate=[]")]
    env.harness("ablate", *grid, *shorter, "--device", "cpu", "--workers", "1")
    records = [json.loads(p.read_text(encoding="utf-8")) for p in env.home.glob("runs/trials/*/record.json")]
    by_block = {r["trial"]["config"]["attention"]["name"]: r for r in records}
    assert {n: r["status"] for n, r in by_block.items()} == {"none": "ok", "triplet": "ok"}
    assert by_block["triplet"]["providers"]["attention triplet"] == "harness-triplet 0.1.0"
    assert by_block["triplet"]["cost"]["attention_parameters"] == 9 * (6 * 7**2 + 6), "nine sites of three gates"
    reports = env.home / "reports" / "triplet"
    written = {name: (reports / name).read_text(encoding="utf-8") for name in ("table.csv", "records.csv")}

    env.uninstall("harness-triplet")
    assert "triplet" not in env.harness("list", "attention").stdout
    assert "unknown attention 'triplet'" in env.harness("ablate", *grid, code=2).stderr
    shutil.rmtree(reports)
    env.harness("report", "triplet")
    for name, text in written.items():
        assert (reports / name).read_text(encoding="utf-8") == text, "stored results say the same without the package"


@pytest.mark.slow
def test_its_author_can_run_every_check_as_a_test(wheel: Path, tmp_path: Path):
    env = fresh.make(tmp_path)
    env.install(wheel)
    kit = ("-p", "harness.conformance.plugin", "--harness-provider", "harness-triplet")
    tested = env.run("-m", "pytest", "-v", *QUIET, *kit, folder=source(tmp_path))
    assert re.search(r"attention.*triplet.*onnx.* PASSED", tested.stdout)
    assert "test_it_keeps_the_promises_of_attention PASSED" in tested.stdout
