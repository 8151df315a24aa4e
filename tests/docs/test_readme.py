"""The README's numbers are those of the committed report."""

from __future__ import annotations

import csv
from pathlib import Path

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "reports" / "cifar10-attention"


def test_the_table_of_the_readme_is_that_of_the_committed_report():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    with (REPORT / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    for row in rows:
        assert row["n"] == "3"
        line = next(line for line in text.splitlines() if line.startswith(f"| {row['row']} "))
        assert f"{100 * float(row['top1_mean']):.2f}" in line
        assert f"{int(float(row['parameters'])):,}" in line
        assert f"{float(row['latency_ms']):.1f}" in line
        if row["top1_difference"]:
            assert f"{100 * float(row['top1_difference']):+.2f}".replace("-", "−") in line
            assert row["verdict"] in line


def test_the_committed_report_is_complete_and_its_pictures_are_there():
    text = (REPORT / "report.md").read_text(encoding="utf-8")
    assert "All 15 trials finished" in text
    for name in ("report.html", "records.csv", "table.tex"):
        assert (REPORT / name).stat().st_size > 1000
    for line in text.splitlines():
        if "](figures/" in line:
            assert (REPORT / line.partition("](")[2].partition(")")[0]).exists(), line


def test_the_readmes_pictures_exist():
    for part in (ROOT / "README.md").read_text(encoding="utf-8").split("](")[1:]:
        target = part.partition(")")[0]
        if not target.startswith("http"):
            assert (ROOT / target.partition("#")[0]).exists(), target
