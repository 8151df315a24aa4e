"""What a report writes, and that it is the same each time."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path

import pytest
from report.evidence import METRICS, make_evidence, with_problems

from harness.errors import ConfigError, StoreError
from harness.report import Evidence, build


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def small() -> Evidence:
    """Two rows, one epoch, no stored figures."""
    return dataclasses.replace(make_evidence(("none", "se"), epochs=1), figures=lambda _: ())


def test_every_promised_file_is_written_and_nothing_else(problems: Path):
    found = set(files(problems))

    assert {"report.md", "report.html", "table.csv", "table.tex", "records.csv"} <= found
    assert {"figures/differences.svg", "figures/curve-train-loss.svg", "figures/parameters.svg"} <= found
    assert all(name.startswith("figures/") and name.endswith(".svg") for name in found if "/" in name)


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path, problems: Path):
    build(with_problems(), tmp_path)

    assert files(tmp_path) == files(problems)


def test_building_again_removes_pictures_of_rows_that_are_gone(tmp_path: Path):
    build(make_evidence(("none", "se"), seeds=1, epochs=1), tmp_path)
    before = set(files(tmp_path))
    build(small(), tmp_path)

    assert "figures/confusion-cell-1.svg" in before - set(files(tmp_path))
    assert "figures/differences.svg" in files(tmp_path)


def test_a_study_of_thirty_rows_and_three_seeds_is_built_within_15_seconds(tmp_path: Path):
    evidence = make_evidence(("none", *(f"arm_{i}" for i in range(29))), epochs=30)
    start = time.process_time()
    build(evidence, tmp_path)

    assert time.process_time() - start < 15
    text = (tmp_path / "report.md").read_text()
    assert "22 are left out" in text
    assert "18 rows left out" in text


def test_the_first_line_says_model_data_and_budget(problems: Path):
    lines = (problems / "report.md").read_text().splitlines()

    assert lines[0] == "# Attention in ResNet-20 on CIFAR-10"
    assert lines[2] == "resnet20 on cifar10 (45,000 training items), 12 epochs, 5 rows × 3 seeds, cpu, fp32."


def test_a_study_whose_task_lacks_the_primary_metric_is_refused(tmp_path: Path):
    evidence = dataclasses.replace(small(), select="psnr")

    with pytest.raises(ConfigError, match="no metric 'psnr'"):
        build(evidence, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreError, match="cannot write the report"):
        build(small(), tmp_path / "file")


def test_nothing_half_written_stays_behind_when_a_file_cannot_be_replaced(tmp_path: Path):
    (tmp_path / "report.html").mkdir()

    with pytest.raises(StoreError):
        build(small(), tmp_path)
    assert not list(tmp_path.rglob(".*"))


def test_a_study_of_which_nothing_has_run_still_has_a_report(tmp_path: Path):
    evidence = dataclasses.replace(make_evidence(), records={})
    text = build(evidence, tmp_path).with_name("report.md").read_text()

    assert "0 of 15 trials finished; 15 not run." in text
    assert "has no result: it has not been run" in text
    assert "15 trials not run yet" in text


def test_a_study_without_cells_still_has_a_report(tmp_path: Path):
    assert build(make_evidence(()), tmp_path).exists()


def test_svg_pictures_need_nothing_from_outside(problems: Path):
    for path in (problems / "figures").iterdir():
        svg = path.read_text()
        assert svg.startswith('<svg role="img"')
        assert "<!DOCTYPE" not in svg
        assert "<script" not in svg
        # Links point into the file itself, or carry their data.
        assert all(link.startswith(("#", "data:image/png")) for link in re.findall(r'href="([^"]*)"', svg))


def test_pictures_follow_dark_mode_and_have_a_title(problems: Path):
    svg = (problems / "figures" / "differences.svg").read_text()

    assert "prefers-color-scheme: dark" in svg
    assert "<title>Paired differences of top1 to the baseline in pp: se +" in svg


def test_matplotlib_settings_are_left_as_they_were(tmp_path: Path):
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcParams["font.size"] = 17
        build(small(), tmp_path)
        assert mpl.rcParams["font.size"] == 17


def test_all_metrics_are_named_with_unit_direction_and_definition(problems: Path):
    text = (problems / "report.html").read_text()

    for metric in METRICS:
        assert f"{metric.name} ({metric.unit})" in text
        assert metric.definition in text
        assert f"{metric.better} is better" in text
