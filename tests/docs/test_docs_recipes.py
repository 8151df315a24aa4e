"""Numbers of the recipes are those of the committed reports and benchmarks."""

from __future__ import annotations

import csv
import re
from statistics import mean

import pytest
from committed import reports
from docs.docs_pages import ROOT, text

ROWS = re.findall(r"^\| `([\w-]+)\.yaml` \| (\d+) \| ([\d.]+) \| (\d+) \| (\d+) \|$", text("recipes.md"), re.M)
REPORT = {"digits-attention-controls": "attention-controls-digits"}


def test_every_committed_report_has_a_line():
    assert {REPORT.get(grid, grid) for grid, *_ in ROWS} == {p.name for p in reports()}


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r[0])
def test_a_line_of_the_table_follows_from_the_records(row: tuple[str, ...]):
    grid, trials, minutes, seconds, memory = row
    study = REPORT.get(grid, grid)
    assert re.search(rf"^study: {study}$", (ROOT / "grids" / f"{grid}.yaml").read_text(encoding="utf-8"), re.M)
    with (ROOT / "reports" / study / "records.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    took = [float(r["value"]) for r in found if r["what"] == "cost" and r["name"] == "seconds"]
    peaks = [float(r["value"]) for r in found if r["what"] == "cost" and r["name"] == "peak_memory"]
    assert trials == str(len(took))
    assert minutes == f"{sum(took) / 60:.1f}"
    assert seconds == f"{mean(took):.0f}"
    assert memory == f"{max(peaks) / 1e6:.0f}"
    report = (ROOT / "reports" / study / "report.md").read_text(encoding="utf-8")
    assert "\n| device | cpu |\n" in report
    assert "\n| threads | 1 |\n" in report


def test_numbers_of_benchmarks_stand_in_their_page():
    measured = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for said in ("31.7 and 30.5", "4.7 and 4.6", "0.986", "6.7"):
        assert said in text("recipes.md")
        assert said.replace(" and", ",") in measured


def test_nothing_of_a_gpu_is_given_as_measured():
    section = text("recipes.md").split("## A GPU machine", 1)[1].split("\n## ", 1)[0]
    assert "no number was measured there" in section
    assert not re.search(r"\d (?:ms|s|seconds|minutes|hours|GB|GiB)\b", section)
