"""The section on controls: its differences are those of `stats`, and its sentences say no more than these bear."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from report.complete import with_controls
from report.evidence import make_evidence

from harness.report import Evidence, build
from harness.report.analysis import analyse, detectable
from harness.report.controlled import controlled
from harness.report.document import Bullets, Section, Table
from harness.report.summary import summary
from harness.stats import paired_difference


def evidence(gains: dict[str, float], seeds: int = 6) -> Evidence:
    """`none`, `se` (a gain of 1.2 points), and controls of `se`; no stored figures."""
    return with_controls(make_evidence(("none", "se"), seeds), "cell-1", gains)


def section(found: Evidence) -> Section:
    made = controlled(analyse(found))
    assert made is not None
    return made


def said(found: Evidence) -> list[str]:
    (bullets,) = (b for b in section(found).blocks if isinstance(b, Bullets))
    return [f"{i.label}: {i.text}" for i in bullets.items]


def test_no_row_with_a_control_no_section():
    assert controlled(analyse(make_evidence())) is None


def test_the_table_holds_the_paired_differences():
    found = evidence({"matched_conv": 0.002, "identity_gate": 0.0, "shuffled_gate": 0.011})
    (table,) = (b for b in section(found).blocks if isinstance(b, Table))
    (line,) = table.lines
    cells = {c.key: c for c in found.study.cells}
    values = {k: {t.config.seed: found.records[t.id].metrics["top1"] for t in c.trials} for k, c in cells.items()}
    wanted = paired_difference(values["cell-1"], values["cell-1-matched_conv"])
    labels = [c.label for c in table.columns]
    assert labels == ["row", "gain (pp)", "matched conv (pp)", "identity gate (pp)", "shuffled gate (pp)",
                      "row − matched conv (pp)", "row − shuffled gate (pp)"]  # fmt: skip
    assert line.entries[0].text == "se"
    assert line.entries[5].text == f"{100 * (wanted.mean or 0):+.2f}"
    assert line.entries[5].sub == f"{100 * (wanted.low or 0):+.2f} to {100 * (wanted.high or 0):+.2f}"
    assert line.entries[3].text == "+0.00"


def test_a_gain_beyond_the_convolution_is_more_than_capacity():
    told = said(evidence({"matched_conv": 0.0, "shuffled_gate": 0.0}))
    assert "se: better than a plain convolution of the same size" in told[0]
    assert "its gain is more than capacity" in told[0]
    assert "better than itself with the gates of other items" in told[1]


def test_a_gain_that_the_convolution_has_too_is_indistinguishable():
    told = said(evidence({"matched_conv": 0.0125, "shuffled_gate": 0.0125}))
    assert "se: indistinguishable from a plain convolution of the same size" in told[0]
    assert "capacity may explain its gain" in told[0]
    assert "indistinguishable from itself with the gates of other items" in told[1]
    assert "worse than a plain convolution" in said(evidence({"matched_conv": 0.05}))[0]


def test_what_follows_depends_on_whether_there_is_a_gain_at_all():
    harmed = said(evidence({"matched_conv": -0.03}))
    assert "but the convolution is worse than nothing in its place" in harmed[0]
    made = evidence({"matched_conv": -0.008})
    se = next(c for c in made.study.cells if c.label == "se")
    records = dict(made.records)
    for i, trial in enumerate(se.trials):
        base = made.records[made.study.cells[0].trials[i].id].metrics["top1"]
        lost = {**records[trial.id].metrics, "top1": base - 0.008 + 0.0004 * (-1) ** i}
        records[trial.id] = dataclasses.replace(records[trial.id], metrics=lost)
    told = said(dataclasses.replace(made, records=records))
    assert "indistinguishable" in told[0]
    assert "there is no clear gain for capacity to explain" in told[0]


def test_a_noisy_control_tells_nothing():
    made = evidence({"matched_conv": 0.0})
    records = dict(made.records)
    for i, trial in enumerate(made.study.cells[-1].trials):
        noisy = {**records[trial.id].metrics, "top1": 0.84 + 0.05 * (-1) ** i}
        records[trial.id] = dataclasses.replace(records[trial.id], metrics=noisy)
    assert (
        "these seeds do not tell whether capacity explains its gain"
        in said(dataclasses.replace(made, records=records))[0]
    )


def test_convolutions_of_blocks_of_one_size_are_told_to_be_one_network():
    made = with_controls(make_evidence(("none", "se", "spatial"), 3), "cell-1", {"matched_conv": 0.002})
    made = with_controls(made, "cell-2", {"matched_conv": 0.002})
    first, second = (c for c in made.study.cells if c.control)
    records = dict(made.records)
    for a, b in zip(first.trials, second.trials, strict=True):
        records[b.id] = dataclasses.replace(made.records[a.id], id=b.id, trial=b)
    told = said(dataclasses.replace(made, records=records))
    assert "spatial: matched conv: the same networks as those of 'se: matched conv'" in told[-1]


def test_a_gpu_that_rounds_is_not_taken_for_a_fault_of_the_pairing():
    made = evidence({"identity_gate": 0.0})
    records = dict(made.records)
    for trial in made.study.cells[-1].trials:
        r = records[trial.id]
        off = {**r.metrics, "top1": r.metrics["top1"] + 1e-4}
        records[trial.id] = dataclasses.replace(r, metrics=off, environment={**r.environment, "device": "cuda"})
    told = said(dataclasses.replace(made, records=records))
    assert "equal to the baseline in 0 of 6 seeds; without `deterministic: true`" in told[0]


def test_what_could_be_detected_is_told_of_rows_and_not_of_a_noisy_control():
    alone, with_noise = evidence({}), evidence({"matched_conv": 0.0})
    records = dict(with_noise.records)
    for i, trial in enumerate(with_noise.study.cells[-1].trials):
        noisy = {**records[trial.id].metrics, "top1": 0.84 + 0.05 * (-1) ** i}
        records[trial.id] = dataclasses.replace(records[trial.id], metrics=noisy)
    noisy = analyse(dataclasses.replace(with_noise, records=records))
    assert detectable(noisy) == detectable(analyse(alone)) is not None


def test_one_seed_allows_no_verdict():
    assert "one seed allows no verdict" in said(evidence({"matched_conv": 0.0}, seeds=1))[0]


def test_the_identity_is_equal_to_the_baseline_seed_by_seed_or_the_pairing_is_at_fault():
    found = evidence({"identity_gate": 0.0})
    assert "equal to the baseline in 6 of 6 seeds, as it must be" in said(found)[0]
    records = dict(found.records)
    one = found.study.cells[2].trials[0].id
    records[one] = dataclasses.replace(records[one], metrics={**records[one].metrics, "top1": 0.5})
    (told,) = said(dataclasses.replace(found, records=records))
    assert "equal to the baseline in 5 of 6 seeds" in told
    assert "as it must be" not in told


def test_controls_that_have_not_run_leave_dashes():
    found = evidence({"matched_conv": 0.0, "identity_gate": 0.0})
    gone = {t.id for c in found.study.cells[2:] for t in c.trials}
    found = dataclasses.replace(found, records={k: r for k, r in found.records.items() if k not in gone})
    (table,) = (b for b in section(found).blocks if isinstance(b, Table))
    assert [e.text for e in table.lines[0].entries[2:]] == ["–", "–", "–"]
    assert all("is there to compare" in t for t in said(found))


def test_a_rows_verdict_does_not_depend_on_its_controls_being_run():
    gains = {"matched_conv": 0.002, "identity_gate": 0.0, "shuffled_gate": 0.011}
    alone, controlled_too = analyse(evidence({})), analyse(evidence(gains))
    row, same = (next(a for a in found.arms if a.label == "se") for found in (alone, controlled_too))
    controls = [a for a in controlled_too.arms if a.cell.control]

    assert row.adjusted_p is not None
    assert (same.adjusted_p, same.verdict) == (row.adjusted_p, row.verdict)
    assert all(a.verdict is not None for a in controls)
    tested = [a for a in controls if a.differences["top1"].p is not None]
    assert max(a.adjusted_p / a.differences["top1"].p for a in tested if a.differences["top1"].p) == pytest.approx(3)
    told = [b for b in summary(controlled_too) if isinstance(b, Bullets)]
    assert [i.label for i in told[-1].items] == [same.told], "the summary judges what the study asks about"


def test_the_section_is_part_of_the_report(tmp_path: Path):
    build(evidence({"matched_conv": 0.002}, seeds=3), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "## Is it attention, or capacity?" in text
