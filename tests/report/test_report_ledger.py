"""What each term of a loss did, epochs until a score, and differences over items."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from report.evidence import make_evidence
from report.video import EPOCHS, LEAKY, RANDOM, items_of, video_evidence

from harness.contracts import Items
from harness.errors import StoreError
from harness.report import Evidence
from harness.report.analysis import analyse
from harness.report.curves import curve, curves
from harness.report.document import Fold, Gallery, Table, Text
from harness.report.ledger import ledger
from harness.report.pairing import DRAWS, over_items, pairing
from harness.report.reach import reached
from harness.report.style import styled
from harness.stats import hierarchical_bootstrap


def tables(evidence: Evidence) -> list[Table]:
    with styled():
        section = ledger(analyse(evidence))
    return [] if section is None else [b for b in section.blocks if isinstance(b, Table)]


def test_the_ledger_has_a_table_a_row_with_several_terms_and_says_why():
    with styled():
        section = ledger(analyse(video_evidence(seeds=2)))

    assert section is not None
    assert isinstance(section.blocks[0], Text)
    assert "change of the learning rate in disguise" in section.blocks[0].text
    captions = [b.caption for b in section.blocks if isinstance(b, Table)]
    assert [c.split(":")[0] for c in captions] == ["mse + gdl", f"{RANDOM} [random VGG-16]"]
    assert "after clipping 1" in captions[0]


def test_a_line_of_the_ledger_is_the_mean_over_seeds_from_the_first_epoch_to_the_last():
    evidence = video_evidence(seeds=2)
    found = tables(evidence)[0]
    records = [r for r in evidence.records.values() if len(r.trial.config.loss) == 2]
    ends = [np.mean([r.curve[e]["train/gdl"] for r in records]) for e in (0, -1)]

    assert [c.label for c in found.columns][-2:] == ["cosine: mse", "cosine: gdl"]
    assert [e.text for e in found.lines[1].entries] == [
        "gdl",
        "0.5",
        "0.5",
        f"{ends[0]:.3g} → {ends[1]:.3g}",
        found.lines[1].entries[4].text,
        "50.0 → 80.0",
        "+0.55",
        "–",
    ]


def test_shares_are_drawn_over_the_epochs_one_picture_a_row():
    with styled():
        section = ledger(analyse(video_evidence(seeds=2)))

    assert section is not None
    shown = next(b for b in section.blocks if isinstance(b, Gallery))
    assert len(shown.pictures) == 2
    assert shown.pictures[0].alt.endswith("at the end: mse 20.0 %, gdl 80.0 %")


def test_a_study_of_single_terms_has_no_ledger_and_no_curves_of_terms():
    evidence = make_evidence(("none", "se"), epochs=2)
    with styled():
        assert ledger(analyse(evidence)) is None
        section = curves(analyse(evidence))

    assert section is not None
    assert [p.name for p in section.blocks[0].pictures] == ["curve-train-loss.svg", "curve-val-top1.svg"]


def test_many_ledgers_are_folded():
    evidence = video_evidence(seeds=1)
    cells = [evidence.study.cells[2]]
    cells += [dataclasses.replace(cells[0], key=f"k{i}", label=f"row {i}") for i in range(6)]
    study = dataclasses.replace(evidence.study, cells=tuple(cells), claims=())
    with styled():
        section = ledger(analyse(dataclasses.replace(evidence, study=study)))

    assert section is not None
    assert isinstance(section.blocks[-1], Fold)
    assert len(section.blocks[-1].blocks) == 7
    assert "Drawn are 6 of 7 rows." in section.blocks[1].caption


def test_records_without_a_ledger_have_no_such_section():
    evidence = video_evidence(seeds=1)
    bare = {
        k: dataclasses.replace(
            r, curve=tuple({n: v for n, v in e.items() if not n.startswith("ledger/")} for e in r.curve)
        )
        for k, r in evidence.records.items()
    }
    with styled():
        assert ledger(analyse(dataclasses.replace(evidence, records=bare))) is None


def test_learning_curves_have_a_panel_a_term_and_gradients_before_and_after_clipping():
    with styled():
        section = curves(analyse(video_evidence(seeds=2)))

    assert section is not None
    pictures = {p.name: p.alt for p in section.blocks[0].pictures}
    assert list(pictures) == [
        "curve-train-loss.svg",
        "curve-val-psnr.svg",
        "curve-train-mse.svg",
        "curve-train-gdl.svg",
        "curve-train-perceptual.svg",
        "curve-grad-norm.svg",
    ]
    assert f"{LEAKY} [LEAKS 1 frame]" in pictures["curve-train-mse.svg"]
    assert "mse + gdl" in pictures["curve-train-gdl.svg"]
    assert f"; {LEAKY}" not in pictures["curve-train-gdl.svg"]
    assert "(1 after clipping)" in pictures["curve-grad-norm.svg"]


def test_a_key_that_only_a_later_stage_writes_keeps_its_epochs():
    evidence = video_evidence(seeds=1)
    later = {k: dataclasses.replace(r, curve=({"train/loss": 1.0}, *r.curve[1:])) for k, r in evidence.records.items()}
    arm = analyse(dataclasses.replace(evidence, records=later)).arms[0]
    found = curve(arm, "grad/clipped")

    assert found is not None
    assert found.epochs.tolist() == list(range(2, EPOCHS + 1))


def test_epochs_until_a_score_are_given_seed_by_seed_with_their_median():
    section = reached(analyse(video_evidence(seeds=3)))

    assert section is not None
    psnr, mse = section.blocks
    rows = {line.entries[0].text: [e.text for e in line.entries[1:]] for line in psnr.lines}
    assert rows["mse"] == ["3 of 3", "3, 4, 4", "4"]
    assert rows["mse + gdl"] == ["3 of 3", "3, 3, 4", "3"]
    assert psnr.lines[-1].group == "unranked"
    assert "psnr of at least 20 dB" in psnr.caption
    assert "on the validation split (100 items)" in psnr.caption
    assert "mse of at most 0" in mse.caption
    assert [e.text for e in mse.lines[0].entries[1:]] == ["0 of 3", "not within 4 epochs", "–"]


def test_a_seed_that_did_not_reach_the_score_is_a_dash_and_takes_the_median():
    study = dataclasses.replace(video_evidence().study, reach=(("psnr", 20.5),))
    section = reached(analyse(dataclasses.replace(video_evidence(), study=study)))

    assert section is not None
    assert [e.text for e in section.blocks[0].lines[0].entries[1:]] == ["2 of 3", "4, 4, –", "–"]


def test_a_study_that_asks_for_no_score_has_no_such_section():
    assert reached(analyse(make_evidence(("none",), epochs=1))) is None


def test_differences_over_items_are_those_of_the_bootstrap_of_stats():
    evidence = video_evidence(seeds=3)
    analysis = analyse(evidence)
    a, b = (np.stack([items_of(r, s).values["psnr"] for s in range(3)]) for r in ("mse + gdl", "mse"))
    expected = hierarchical_bootstrap(a, b, "item+seed", draws=DRAWS)
    found = over_items(analysis)
    key = next(x.cell.key for x in analysis.arms if x.label == "mse + gdl")
    blocks = pairing(analysis)

    assert found[key] == expected
    assert len(found) == 2  # the row that sees the future has no difference
    assert blocks is not None
    heads = [c.label for c in blocks[0].columns]
    assert blocks[0].lines[0].entries[heads.index("over items and seeds")].text == f"{expected.mean:+.4g}"
    assert "percentile bootstrap over 12 items and 3 seeds, 2000 draws" in blocks[1].text


def test_seeds_stay_as_they_are_where_a_task_redraws_items_alone():
    analysis = analyse(dataclasses.replace(video_evidence(seeds=2), resample="item"))

    assert {r.resample for r in over_items(analysis).values()} == {"item"}
    assert "over items" in [c.label for c in pairing(analysis)[0].columns]


@pytest.mark.parametrize("damage", ["none", "shape", "nan", "ids", "file", "text"])
def test_items_that_cannot_be_paired_cost_the_column_and_nothing_else(damage: str):
    evidence = video_evidence(seeds=2)
    base = {t.id for t in evidence.study.baseline.trials}
    good = items_of("mse", 0)

    def items(trial_id: str) -> Items | None:
        if trial_id not in base:
            return good
        if damage == "file":
            raise StoreError("damaged")
        made = {
            "none": None,
            "shape": dataclasses.replace(good, values={"psnr": np.zeros((12, 2))}),
            "nan": dataclasses.replace(good, values={"psnr": np.full(12, np.nan)}),
            "ids": dataclasses.replace(good, ids=tuple("abcdefghijkl")),
            "text": dataclasses.replace(good, values={"psnr": np.array(["x"] * 12)}),
        }
        return made[damage]

    blocks = pairing(analyse(dataclasses.replace(evidence, items=items)))

    assert blocks is not None
    assert not any("over items" in c.label for c in blocks[0].columns)
