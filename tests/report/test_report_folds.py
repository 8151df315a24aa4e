"""Folds test different items: tables unite them, pictures of other items are not mixed, floors are means over folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from report.evidence import make_evidence

from harness.contracts import Figure, Items
from harness.report import Evidence
from harness.report.analysis import analyse
from harness.report.build import compose
from harness.report.comparison import floors
from harness.report.document import Fold, Section, Table
from harness.report.joined import stored_figures
from harness.report.pairing import over_items
from harness.report.parts import parts
from harness.report.summary import warnings
from harness.trial import Cell, Record, Trial


def in_folds(folds: int = 2, seeds: int = 2) -> Evidence:
    """Two rows; floors of fold f are 0.1 (f + 1); items a0, b0 in fold 0 and a1, b1 in fold 1."""
    evidence = make_evidence(("none", "se"), seeds=seeds)
    cells: list[Cell] = []
    records: dict[str, Record] = {}
    for cell in evidence.study.cells:
        trials: list[Trial] = []
        for trial in cell.trials:
            for fold in range(folds):
                own = dataclasses.replace(trial, config=dataclasses.replace(trial.config, fold=fold))
                floor = {"majority": {"top1": 0.1 * (fold + 1)}, "human": {"top1": 0.9 + 0.02 * fold}}
                before = evidence.records[trial.id]
                records[own.id] = dataclasses.replace(
                    before,
                    id=own.id,
                    trial=own,
                    floors=floor,
                    parts={"backbone": 200.0, "head": 72.0},
                    stages=({"trainable": 72.0}, {"trainable": 272.0}),
                )
                trials.append(own)
        cells.append(dataclasses.replace(cell, trials=tuple(trials)))

    def figures(trial_id: str) -> Sequence[Figure]:
        fold = records[trial_id].trial.config.fold
        names = np.array([f"a{fold}", f"b{fold}"])
        values = np.array([[1.0 + fold, np.nan], [2.0 + fold, 5.0]])
        square = np.full((2, 2), float(fold))
        kinds = np.array(["x"] if fold else ["x", "y"])  # fold 0 has one x and three y, fold 1 two x
        share = {"values": np.array([[1.0], [4.0]][: len(kinds)]) + fold, "rows": kinds, "columns": np.array(["m"])}
        return (
            Figure("kinds", "table", "By kind", "Kinds", {**share, "weights": np.array([2] if fold else [1, 3])}),
            Figure(
                "videos",
                "table",
                "Per-video report",
                "Videos",
                {"values": values, "rows": names, "columns": np.array(["x", "y"])},
            ),
            Figure(
                "map",
                "heatmap",
                f"Attention in a{fold}",
                "Weights",
                {"values": square, "rows": np.array(["0", "1"]), "columns": np.array(["0", "1"])},
            ),
        )

    study = dataclasses.replace(evidence.study, cells=tuple(cells))
    return dataclasses.replace(evidence, study=study, records=records, figures=figures, ceilings=("human",))


def section(evidence: Evidence, title: str) -> Section:
    return next(s for s in stored_figures(analyse(evidence)) if s.title == title)


def test_a_table_has_the_items_of_all_folds_with_means_over_seeds():
    (table, fold) = section(in_folds(), "Per-video report").blocks
    assert isinstance(table, Table)
    assert isinstance(fold, Fold)
    rows = {line.entries[0].text: [e.text for e in line.entries[1:]] for line in table.lines}
    assert rows == {"a0": ["1", "–"], "b0": ["2", "5"], "a1": ["2", "–"], "b1": ["3", "5"]}
    assert "mean over 2 trials" in table.caption


def test_rows_that_stand_for_several_items_are_means_over_items_and_not_over_folds():
    table = section(in_folds(), "By kind").blocks[0]
    assert isinstance(table, Table)
    assert [c.label for c in table.columns] == ["", "m", "items"]
    rows = {line.entries[0].text: [e.text for e in line.entries[1:]] for line in table.lines}
    assert rows == {"x": ["1.667", "3"], "y": ["4", "3"]}  # x: (1 * 1 + 2 * 2) / 3


def test_an_item_that_two_folds_test_is_redrawn_as_one():
    evidence = in_folds(seeds=3)
    ids = {0: ("a", "b"), 1: ("b", "c")}

    def items(trial_id: str) -> Items:
        record = evidence.records[trial_id]
        fold, better = record.trial.config.fold, record.trial.config.attention.name == "se"
        return Items(ids[fold], {"top1": np.array([0.5, 0.7]) + 0.1 * better + 0.02 * fold})

    found = over_items(analyse(dataclasses.replace(evidence, items=items)))
    (resampled,) = found.values()
    assert resampled.items == 3
    assert resampled.mean == pytest.approx(0.1)


def test_pictures_of_another_folds_items_are_not_mixed_in():
    found = section(in_folds(), "Attention in a0")
    text = repr(found)
    assert "Highest: 0 at" in text  # the mean with fold 1 would be 0.5
    assert "n = 2" in text


def test_floors_are_means_over_folds_and_not_ranges():
    analysis = analyse(in_folds())
    assert analysis.floors("top1")["majority"] == pytest.approx([0.15] * 4)
    assert dict(floors(analysis, analysis.primary))["majority"] == "15.00"


def test_a_floor_of_folds_that_are_not_all_done_is_not_shown_as_that_of_all():
    evidence = in_folds()
    last = evidence.study.cells[0].trials[-1].id
    kept = {k: r for k, r in evidence.records.items() if k != last}
    analysis = analyse(dataclasses.replace(evidence, records=kept))
    assert analysis.floors("top1")["majority"] == pytest.approx([0.15] * 3)


def test_rows_below_a_predictor_that_knows_answers_are_no_warning_and_it_is_called_so():
    evidence = in_folds()
    assert not any("human" in sentence for sentence in warnings(analyse(evidence)))
    unnamed = dataclasses.replace(evidence, ceilings=())
    assert any("human" in sentence for sentence in warnings(analyse(unnamed)))
    assert "no training; knows answers" in repr(compose(analyse(evidence)).sections[0])


def test_the_parts_of_a_model_and_what_each_stage_trains_are_told():
    found = parts(analyse(in_folds()))
    assert found is not None
    table = found.blocks[0]
    assert isinstance(table, Table)
    assert [c.label for c in table.columns] == [
        "row", "all", "backbone", "head", "trained in stage 1", "trained in stage 2",
    ]  # fmt: skip
    assert [e.text for e in table.lines[0].entries[2:]] == ["200", "72", "72", "272"]


def test_records_of_before_say_nothing_of_parts():
    assert parts(analyse(make_evidence())) is None
