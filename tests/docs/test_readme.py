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


VIDEO = ROOT / "reports" / "moving-mnist-losses"
WHOLE = "bce + 0.5 gdl + 0.02 perceptual"
SHORT = {
    "BCE + 0.5 GDL + 0.02 perceptual, causal": f"{WHOLE}, temporal_padding=causal, none, balance=none",
    "BCE": "bce",
    "BCE + 0.5 GDL": "bce + 0.5 gdl",
    "BCE + 0.02 perceptual": "bce + 0.02 perceptual",
    "all three, spatial attention on the last layer": "spatial",
    "all three at equal gradient norms": "balance=gradient_norm",
    "all three, Conv3D with `padding=same`": "temporal_padding=same",
}


def test_the_table_of_video_prediction_is_that_of_its_committed_report():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    with (VIDEO / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(SHORT.values())
    for said, name in SHORT.items():
        line, row = next(line for line in text.splitlines() if line.startswith(f"| {said} |")), rows[name]
        assert row["n"] == "3"
        for metric, digits in (("psnr", 2), ("ssim", 3), ("sharpness", 2)):
            mean, low, high = (f"{float(row[f'{metric}_{part}']):.{digits}f}" for part in ("mean", "low", "high"))
            assert f"{mean} [{low}, {high}]" in line, (said, metric)
        assert (row["verdict"] or "baseline") in line
        assert row["marks"] in line
    gap = float(rows["temporal_padding=same"]["psnr_mean"])
    gap -= float(rows[SHORT["BCE + 0.5 GDL + 0.02 perceptual, causal"]]["psnr_mean"])
    assert f"loses {gap:.1f} dB" in text


def test_the_free_run_of_the_readme_is_that_of_its_committed_report():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    folder = ROOT / "reports" / "moving-mnist-rollout-small"
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    mean, low, high = (f"{float(row[f'psnr_{part}']):.2f}" for part in ("mean", "low", "high"))
    assert f"{mean} dB [{low}, {high}]" in text
    assert "not comparable" in (folder / "report.md").read_text(encoding="utf-8")


def test_the_report_on_video_says_what_of_the_claim_can_be_true_and_what_leaks():
    text = (VIDEO / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "All 21 trials finished" in text
    for words in ("33.5 times apart", "18 of 19 frames at 47.8 dB and one at 18.3 dB", "LEAKS 1 frame", "contradicted"):
        assert words in text, words
    assert "not the standard mnist_test_seq.npy" in text


KEYFRAMES = ROOT / "reports" / "toy-keyframes"
KEYFRAME_ROWS = {
    "transformer, MSE": "none, mse",
    "+ local attention": "local",
    "+ global attention": "global",
    "+ local and global attention": "dual",
    "transformer, MSE + rank loss": "mse + spearman",
    "per-frame MLP": "frame_mlp (control)",
}


def test_the_table_of_keyframes_is_that_of_its_committed_report():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    with (KEYFRAMES / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(KEYFRAME_ROWS.values())
    for said, name in KEYFRAME_ROWS.items():
        line, row = next(line for line in text.splitlines() if line.startswith(f"| {said} |")), rows[name]
        assert row["n"] == "5"
        mean, low, high = (f"{float(row[f'spearman_{part}']):.3f}" for part in ("mean", "low", "high"))
        assert f"{mean} [{low}, {high}]" in line
        if row["spearman_difference"]:
            parts = ("spearman_difference", "spearman_difference_low", "spearman_difference_high")
            value, low, high = (f"{float(row[part]):+.3f}".replace("-", "−") for part in parts)
            assert f"{value} [{low}, {high}]" in line
            assert line.endswith(f"| {row['verdict']} |")
    report = (KEYFRAMES / "report.md").read_text(encoding="utf-8")
    assert "All 30 trials finished" in report
    for floor, value in (("random", "0.001"), ("position", "0.015"), ("target", "0.684"), ("human", "0.532")):
        stated = next(line for line in report.splitlines() if line.startswith(f"| *{floor}<br>")).split("|")[3]
        assert f"{float(stated.strip(' *')):.3f}" == value
        assert value in text


def test_what_the_readme_says_of_tvsum_is_in_its_committed_report():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    folder = ROOT / "reports" / "tvsum-without-looking"
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row in rows:
        mean, low, high = (f"{float(row[f'spearman_{part}']):.3f}" for part in ("mean", "low", "high"))
        assert f"{mean} [{low}, {high}]" in text
    report = (folder / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "All 45 trials finished" in report
    assert "*human<br>no training; knows answers* | – | *0.2042* |" in report
    assert "*human<br>no training; knows answers* | – | *0.1774* |" in report
    assert "*position<br>no training* | – | *0.1304* |" in report


def test_the_readme_has_no_line_that_waits_to_be_filled_in():
    for page in (ROOT / "README.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs").glob("*.md")):
        assert "GOES-HERE" not in page.read_text(encoding="utf-8").replace("GO-HERE", "GOES-HERE"), page
