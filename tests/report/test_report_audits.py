"""A model that sees the future is marked wherever it is named, and is never ranked with the others."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path

import pandas as pd
import pytest
from report.video import LEAK, LEAKY, PASSED, RANDOM, video_evidence

from harness.cli.tables import summary as print_summary
from harness.report import Evidence, table
from harness.report.analysis import analyse
from harness.report.audited import audits
from harness.report.claimed import claims
from harness.report.comparison import main_table, notes, other_metrics
from harness.report.document import Bullets, Fold, Table
from harness.report.pairing import pairing
from harness.report.plots import differences, scatter
from harness.report.style import styled
from harness.report.summary import summary, warnings
from harness.stats import holm
from harness.trial import Audit

UNPROVEN = Audit("leaks", "unproven", "two equal calls differ by 0.1", "leaks not ruled out", {"noise": 0.1})


def audited(audit: Audit | None, evidence: Evidence | None = None) -> Evidence:
    """Every trial with this one audit."""
    base = evidence or video_evidence(seeds=2)
    found = () if audit is None else (audit,)
    return dataclasses.replace(base, records={k: dataclasses.replace(r, audits=found) for k, r in base.records.items()})


def test_a_row_that_sees_the_future_stands_below_the_others_and_above_the_floors():
    found = main_table(analyse(video_evidence(seeds=2)))

    assert [line.group for line in found.lines] == ["baseline", "row", "row", "unranked", "floor"]
    leaky = found.lines[3].entries
    assert (leaky[0].text, leaky[0].marks) == (LEAKY, ("LEAKS 1 frame",))
    verdict = [c.label for c in found.columns].index("verdict")
    assert (leaky[verdict - 1].text, leaky[verdict].text) == ("–", "not ranked")


def test_it_has_no_difference_no_verdict_and_no_place_in_the_family():
    analysis = analyse(video_evidence(seeds=3))
    leaky = next(a for a in analysis.arms if a.label == LEAKY)
    others = [a for a in analysis.challengers if a.ranked]

    assert (leaky.differences, leaky.verdict, leaky.adjusted_p) == ({}, None, None)
    adjusted = holm([a.differences["psnr"].p for a in others])
    assert [a.adjusted_p for a in others] == list(adjusted)
    items = next(b for b in summary(analysis) if isinstance(b, Bullets) and not b.warning)
    assert [i.label for i in items.items] == ["mse + gdl", f"{RANDOM} [random VGG-16]"]
    assert "2 comparisons with the baseline form one family" in str(summary(analysis))


def test_one_leaking_seed_takes_the_whole_row_out():
    evidence = audited(PASSED)
    one = evidence.study.cells[2].trials[1].id
    records = {**evidence.records, one: dataclasses.replace(evidence.records[one], audits=(LEAK,))}
    analysis = analyse(dataclasses.replace(evidence, records=records))

    assert [a.label for a in analysis.unranked] == ["mse + gdl"]


def test_the_warning_names_the_row_its_mark_and_what_was_found():
    found = warnings(analyse(video_evidence(seeds=2)))

    assert any(
        w.startswith(f"'{LEAKY}' is marked LEAKS 1 frame: it sees the future") and "changed by up to 0.31" in w
        for w in found
    )


def test_pictures_that_compare_leave_it_out_and_say_so():
    analysis = analyse(video_evidence(seeds=2))
    with styled():
        sections = differences(analysis), scatter(analysis)

    for section in sections:
        assert section is not None
        gallery = section.blocks[0]
        assert f"Not drawn, as they failed an audit: '{LEAKY} [LEAKS 1 frame]'." in gallery.caption
        assert LEAKY not in gallery.pictures[0].alt
        assert f"{RANDOM} [random VGG-16]" in gallery.pictures[0].alt


def test_a_baseline_that_sees_the_future_is_compared_with_nothing():
    analysis = analyse(video_evidence(baseline=LEAKY, seeds=2))

    assert analysis.baseline is None
    assert "is marked LEAKS 1 frame: it sees the future. No row is compared with it" in analysis.no_baseline
    assert all(not a.differences for a in analysis.arms)
    assert main_table(analysis).lines[-2].group == "unranked"
    assert "verdict" not in [c.label for c in main_table(analysis).columns]


def test_every_table_of_rows_shows_the_marks(moving: Path):
    lines = (moving / "report.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(("| mse, padding same", "| mse + gdl + perceptual"))]

    assert len(rows) > 14
    for row in rows:
        assert ("**LEAKS 1 frame**" if row.startswith("| mse, p") else "**random VGG-16**") in row
    html = (moving / "report.html").read_text()
    assert html.count('<span class="word bad">LEAKS 1 frame</span>') == sum(r.startswith("| mse, p") for r in rows)


def test_files_for_other_programs_carry_the_marks(moving: Path):
    with (moving / "table.csv").open(newline="") as file:
        rows = {r["row"]: r for r in csv.DictReader(file)}
    tex = (moving / "table.tex").read_text()

    assert {k: r["marks"] for k, r in rows.items() if r["marks"]} == {LEAKY: "LEAKS 1 frame", RANDOM: "random VGG-16"}
    assert (rows[LEAKY]["verdict"], rows[LEAKY]["psnr_difference"]) == ("not ranked", "")
    assert "mse, padding same (LEAKS 1 frame)" in tex
    assert tex.count("\\midrule") == 3


def test_the_terminal_shows_the_marks(capsys: pytest.CaptureFixture[str]):
    class Result:
        evidence = video_evidence(seeds=2)

        def table(self) -> pd.DataFrame:
            return table(self.evidence)

    print_summary(Result())  # type: ignore[arg-type]
    out = capsys.readouterr().out

    assert re.search(r"mse, padding same \[LEAKS 1 frame\] .* – +not ranked", out)


def test_the_table_of_audits_has_outcome_sentence_and_numbers():
    section = audits(analyse(video_evidence(seeds=2)))

    assert section is not None
    found = section.blocks[0]
    assert isinstance(found, Table)
    texts = [[e.text for e in line.entries] for line in found.lines]
    assert [(t[0], t[3]) for t in texts[-2:]] == [(RANDOM, "passed"), (LEAKY, "failed")]
    assert texts[-1][4] == LEAK.sentence
    assert texts[-1][5] == "reach 1; largest change 0.31; pairs 15"


def test_when_all_passed_one_sentence_stands_by_the_table_and_the_rest_is_folded():
    analysis = analyse(audited(PASSED))
    section = audits(analysis)

    assert "Leak audit: no output changed when later frames were changed, in all 8 trials." in notes(analysis)
    assert section is not None
    assert isinstance(section.blocks[-1], Fold)
    assert not analysis.unranked


def test_without_audits_nothing_is_said_of_them():
    analysis = analyse(audited(None))

    assert audits(analysis) is None
    assert not any("audit" in n.lower() for n in notes(analysis))


def test_a_row_that_could_not_be_judged_is_ranked_marked_and_warned_of():
    analysis = analyse(audited(UNPROVEN))

    assert all(a.verdict is not None for a in analysis.challengers)
    assert other_metrics(analysis).lines[1].entries[0].marks == ("leaks not ruled out",)
    assert sum("not acquitted by the audit 'leaks': two equal calls differ" in w for w in warnings(analysis)) == 4
    assert not any("no output changed" in n for n in notes(analysis))


def test_an_audit_that_failed_without_a_mark_is_marked_all_the_same():
    analysis = analyse(audited(Audit("gates", "failed", "the gate is closed")))

    assert analysis.arms[0].marks[0] == "FAILED gates"
    assert "it failed the audit 'gates'" in warnings(analysis)[0]


def test_a_claim_on_such_a_row_is_judged_and_ends_with_what_the_row_does():
    section = claims(analyse(video_evidence(seeds=3)))

    assert section is not None
    number, order = ([e.text for e in line.entries] for line in section.blocks[0].lines)
    assert number[3] == "reproduced"
    assert number[4].endswith(f"But '{LEAKY}' is marked LEAKS 1 frame: it sees the future.")
    assert order[3] == "not comparable"
    assert "is marked LEAKS 1 frame: it sees the future." in order[4]


def test_details_of_pairing_have_no_line_for_it():
    blocks = pairing(analyse(video_evidence(seeds=2)))

    assert blocks is not None
    tables = [b for b in blocks if isinstance(b, Table)]
    assert len(tables) == 2
    assert all(line.entries[0].text != LEAKY for t in tables for line in t.lines)
