"""Class by class: who is helped and hurt, by how much and how surely; and what only one row gets right."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from report.complete import CAT, DOG, SHIP, N, answers, stored_gallery
from report.evidence import make_evidence

from harness.contracts import Items
from harness.errors import StoreError
from harness.report import Evidence, build
from harness.report.analysis import analyse
from harness.report.build import compose
from harness.report.document import Fold, Gallery, Section, Table, Text
from harness.stats import class_differences
from harness.trial import Cell


def evidence_of(arms: tuple[str, ...] = ("none", "se", "eca"), seeds: int = 3, **more: object) -> Evidence:
    evidence = make_evidence(arms, seeds=seeds, epochs=1)
    stored = answers(evidence)
    return dataclasses.replace(evidence, items=stored.get, **more)  # type: ignore[arg-type]


def sections(evidence: Evidence) -> dict[str, Section]:
    return {s.title: s for s in compose(analyse(evidence)).sections}


def helped(section: Section) -> Table:
    return next(b for b in section.blocks if isinstance(b, Table))


def test_the_classes_that_change_are_judged_and_others_have_no_clear_difference():
    section = sections(evidence_of())["Class by class"]
    table = helped(section)
    se = {line.entries[1].text: line.entries for line in table.lines if line.entries[0].text == "se"}

    assert (se["ship"][4].text, se["ship"][4].tone) == ("helped", "better")
    assert (se["cat"][4].text, se["cat"][4].tone) == ("hurt", "worse")
    assert se["cat"][6].text.startswith("dog +")
    assert se["ship"][7].text.startswith("automobile −")
    assert not [line for line in table.lines if line.entries[0].text == "eca"], "it predicts what the baseline does"
    assert any(
        "No class differs in recall, mean over seeds: 'eca'" in b.text for b in section.blocks if isinstance(b, Text)
    )


def test_the_numbers_are_those_of_the_statistic_under_the_studys_own_generator():
    evidence = evidence_of()
    table = helped(sections(evidence)["Class by class"])
    cat = next(line.entries for line in table.lines if line.entries[1].text == "cat")
    none, se = (
        np.stack([evidence.items(t.id).values["predicted"] for t in cell.trials]) for cell in evidence.study.cells[:2]
    )
    target = evidence.items(evidence.study.cells[0].trials[0].id).values["target"]
    got = class_differences(target, se, none, 10, draws=4000, generator=7)

    shown = [float(v.replace("−", "-")) for v in (cat[2].text, *cat[2].sub.split(" to "))]
    assert shown[0] == pytest.approx(100 * got.recall[CAT], abs=0.006)
    assert shown[1:] == pytest.approx([100 * got.recall_low[CAT], 100 * got.recall_high[CAT]], abs=1.0)
    moved = [(p[target == CAT] == DOG).sum() - (b[target == CAT] == DOG).sum() for p, b in zip(se, none, strict=True)]
    seeds = [float(v.replace("−", "-")) for v in cat[3].text.split(" to ")]
    assert seeds == pytest.approx([100 * got.seeds_low[CAT], 100 * got.seeds_high[CAT]], abs=0.006)
    assert cat[6].text == f"dog {np.mean(moved):+.3g}"


def test_a_difference_whose_interval_contains_0_is_called_no_clear_difference():
    evidence = evidence_of(("none", "se"), seeds=2)
    stored = {t.id: evidence.items(t.id) for c in evidence.study.cells for t in c.trials}
    first, second = (stored[c.trials[0].id] for c in evidence.study.cells)
    other = evidence.study.cells[1].trials[1].id
    stored[other] = stored[evidence.study.cells[0].trials[1].id]
    predicted = first.values["predicted"].copy()
    right = np.flatnonzero((predicted == CAT) & (first.values["target"] == CAT))
    predicted[right[0]] = DOG  # one image of a hundred
    stored[evidence.study.cells[1].trials[0].id] = Items(second.ids, {**second.values, "predicted": predicted})
    table = helped(sections(dataclasses.replace(evidence, items=stored.get))["Class by class"])

    assert [line.entries[4].text for line in table.lines] == ["no clear difference"]
    assert table.lines[0].entries[2].text == "−0.50"


def test_one_seed_allows_no_verdict_on_a_class():
    table = helped(sections(evidence_of(("none", "se"), seeds=1))["Class by class"])
    assert {line.entries[4].text for line in table.lines} == {"one seed"}
    assert {line.entries[3].text for line in table.lines} == {"–"}


def test_the_reader_is_told_how_many_intervals_chance_alone_would_move():
    text = " ".join(b.text for b in sections(evidence_of())["Class by class"].blocks if isinstance(b, Text))

    assert "10 classes × 2 rows make 20 comparisons of recall" in text
    assert "up to about 1 would get a verdict by chance" in text


def test_every_class_is_in_a_fold_and_the_stored_table_is_not_told_twice():
    found = sections(evidence_of())
    folds = [b for b in found["Class by class"].blocks if isinstance(b, Fold)]

    assert [f.summary.split(": ")[1] for f in folds] == ["none", "se", "eca"]
    assert [len(f.blocks[0].lines) for f in folds] == [10, 10, 10]
    assert folds[1].blocks[0].lines[SHIP].entries[3].text == "100.00"
    assert "Per-class report" not in found
    assert "Confusion matrix" in found


def test_one_picture_a_row_says_in_words_what_it_shows():
    gallery = next(b for b in sections(evidence_of())["Class by class"].blocks if isinstance(b, Gallery))

    assert [p.name for p in gallery.pictures] == ["classes-cell-1.svg", "classes-cell-2.svg"]
    assert "cat −" in gallery.pictures[0].alt
    assert "ship +" in gallery.pictures[0].alt


def test_of_a_hundred_classes_the_most_changed_are_shown_and_the_rest_is_csv():
    evidence = make_evidence(("none", "se"), epochs=1)
    names = tuple(f'class "{i}", x' for i in range(120))
    records = {k: dataclasses.replace(r, classes=names) for k, r in evidence.records.items()}
    stored = answers(evidence, 120, 6000)
    evidence = dataclasses.replace(evidence, records=records, items=stored.get, figures=lambda _: ())
    fold = [b for b in sections(evidence)["Class by class"].blocks if isinstance(b, Fold)][1]

    assert len(fold.blocks[0].lines) == 20
    assert any('class "3"' in line.entries[0].text for line in fold.blocks[0].lines)
    lines = fold.blocks[1].blocks[0].text.splitlines()
    assert len(lines) == 121
    assert lines[1].startswith('"class ""0"", x",50,')


def test_a_study_without_stored_classes_has_no_such_section_and_keeps_its_stored_table():
    found = sections(make_evidence(("none", "se"), epochs=1))

    assert "Class by class" not in found
    assert "Per-class report" in found


def broken(trial_id: str) -> Items:
    raise StoreError("items.h5 is damaged")


@pytest.mark.parametrize(
    "values",
    [
        {"target": np.zeros(N, np.int32), "predicted": np.full(N, 10, np.int32)},
        {"target": np.zeros(N, np.int32), "predicted": np.zeros(N - 1, np.int32)},
        {"target": np.zeros(N), "predicted": np.zeros(N)},
        {"target": np.zeros(N, np.int32)},
        None,
    ],
)
def test_a_row_whose_items_cannot_be_used_is_left_out_and_named(values: dict[str, np.ndarray] | None):
    evidence = evidence_of()
    bad = {t.id for t in evidence.study.cells[2].trials}
    ids = tuple(map(str, range(N)))

    def items(trial_id: str) -> Items | None:
        if trial_id not in bad:
            return evidence.items(trial_id)
        return broken(trial_id) if values is None else Items(ids, values)

    blocks = sections(dataclasses.replace(evidence, items=items))["Class by class"].blocks
    assert any("'eca' is left out" in b.text for b in blocks if isinstance(b, Text))
    assert {line.entries[0].text for line in helped(Section("", "", blocks)).lines} == {"se"}


def test_rows_that_were_tested_on_other_images_are_not_compared():
    evidence = evidence_of()
    other = {t.id for t in evidence.study.cells[1].trials}

    def items(trial_id: str) -> Items:
        own = evidence.items(trial_id)
        return Items(tuple(f"x{i}" for i in own.ids), own.values) if trial_id in other else own

    blocks = sections(dataclasses.replace(evidence, items=items))["Class by class"].blocks
    assert any("'se' was tested on other images" in b.text for b in blocks if isinstance(b, Text))


def test_the_gallery_shows_counts_pictures_and_that_chance_makes_some():
    evidence = evidence_of()
    stored = stored_gallery(evidence)
    blocks = sections(dataclasses.replace(evidence, together={"gallery": stored}.get))[
        "What only one row gets right"
    ].blocks
    text = " ".join(b.text for b in blocks if isinstance(b, Text))

    assert [line.entries[1].text for line in blocks[0].lines] == ["0", "2", "4"]
    assert "With 3 seeds and 3 rows some such images appear by chance" in text
    assert "other trials" not in text
    picture = blocks[-1].pictures[0]
    assert picture.caption == "se"
    assert "cat → dog; ship →" in picture.alt


def test_a_gallery_of_other_trials_says_so_and_controls_are_named_as_left_out():
    evidence = evidence_of()
    cells = (
        *evidence.study.cells[:2],
        dataclasses.replace(evidence.study.cells[2], control="matched_conv", of="cell-1"),
    )
    evidence = dataclasses.replace(evidence, study=dataclasses.replace(evidence.study, cells=cells))
    stored = stored_gallery(evidence, signature={"version": 1, "rows": {}})
    blocks = sections(dataclasses.replace(evidence, together={"gallery": stored}.get))[
        "What only one row gets right"
    ].blocks
    text = " ".join(b.text for b in blocks if isinstance(b, Text))

    assert "made of other trials" in text
    assert "1 control row" in text
    assert isinstance(cells[2], Cell)


@pytest.mark.parametrize("images", [np.zeros((1, 3, 8, 8), np.uint8), np.zeros((1, 2, 8, 8)), np.zeros(4, np.uint8)])
def test_pictures_that_are_none_are_left_out(images: np.ndarray):
    evidence = evidence_of()
    stored = stored_gallery(evidence)
    figure = dataclasses.replace(stored.figures[0], data={**stored.figures[0].data, "images": images})
    stored = dataclasses.replace(stored, figures=(figure,))
    blocks = sections(dataclasses.replace(evidence, together={"gallery": stored}.get))[
        "What only one row gets right"
    ].blocks

    assert not [b for b in blocks if isinstance(b, Gallery)]


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path):
    evidence = evidence_of(("none", "se"))
    evidence = dataclasses.replace(evidence, together={"gallery": stored_gallery(evidence)}.get)
    build(evidence, tmp_path / "a")
    build(evidence, tmp_path / "b")

    first, second = ((tmp_path / n / "report.html").read_bytes() for n in "ab")
    assert first == second
    assert b"<b>truck</b>" not in first
