"""Figures that trials stored are joined over rows; what cannot be drawn is said, and nothing stops the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from report.evidence import CLASSES, make_evidence, make_figures

from harness.contracts import Figure
from harness.report import Evidence
from harness.report.analysis import analyse
from harness.report.curves import curves
from harness.report.document import Fold, Gallery, Section, Table, Text
from harness.report.heatmaps import brief
from harness.report.joined import stored_figures
from harness.report.plots import differences, scatter
from harness.report.style import styled


def sections(evidence: Evidence) -> dict[str, Section]:
    with styled():
        return {s.title: s for s in stored_figures(analyse(evidence))}


def with_figures(figures: Mapping[str, Sequence[Figure]], seeds: int = 1) -> Evidence:
    """Row label -> the figures of each of its trials."""
    evidence = make_evidence(tuple(figures), seeds=seeds, epochs=1)
    by_trial = {t.id: figures[c.label] for c in evidence.study.cells for t in c.trials}
    return dataclasses.replace(evidence, figures=lambda trial_id: by_trial[trial_id])


def heat(values: Any, names: Sequence[str] = ("a", "b"), **more: Any) -> Figure:
    array = np.asarray(values, dtype=np.float64)
    data = {"values": array, "rows": np.array(names), "columns": np.array(names)}
    return Figure("heat", "heatmap", "Heat", "what it shows", data, **more)


def texts(section: Section) -> str:
    return " ".join(b.text for b in section.blocks if isinstance(b, Text))


def test_the_table_of_the_baseline_is_the_mean_over_its_seeds():
    evidence = make_evidence(("none", "se"), epochs=1)
    table = sections(evidence)["Per-class report"].blocks[0]
    stored = [make_figures(0.0, seed)[0].data["values"] for seed in range(3)]

    assert isinstance(table, Table)
    assert "none, mean over 3 trials" in table.caption
    assert [e.text for e in table.lines[0].entries] == [
        "airplane",
        *(f"{v:.3f}" for v in np.mean(stored, axis=0)[0, :3]),
        "1,000",
    ]


def test_per_class_differences_are_heat_maps_of_classes_by_rows_and_numbers_below():
    evidence = make_evidence(("none", "se"), epochs=1)
    blocks = sections(evidence)["Per-class report"].blocks
    gallery = next(b for b in blocks if isinstance(b, Gallery))
    fold = next(b for b in blocks if isinstance(b, Fold))
    table = fold.blocks[2]
    none, se = (np.mean([make_figures(g, s)[0].data["values"] for s in range(3)], axis=0) for g in (0.0, 0.012))

    assert [p.caption for p in gallery.pictures] == ["precision: difference", "recall: difference", "f1: difference"]
    assert "Equal in all rows: support" in gallery.caption
    assert [c.label for c in table.columns] == ["", "se"]
    assert table.lines[3].entries[1].text == f"{(se - none)[3, 2]:+.3f}".replace("-", "−")


def test_a_heat_map_is_drawn_for_the_baseline_and_every_row_and_its_difference():
    figures = {"none": [heat([[0.9, 0.1], [0.2, 0.8]], compare=True)], "se": [heat([[1, 0], [0, 1]], compare=True)]}
    galleries = [b for b in sections(with_figures(figures))["Heat"].blocks if isinstance(b, Gallery)]

    assert [p.name for p in galleries[0].pictures] == ["heat-cell-0.svg", "heat-cell-1.svg"]
    assert [p.name for p in galleries[1].pictures] == ["heat-difference-cell-1.svg"]
    assert "Highest: 0.2 at b, b" in galleries[1].pictures[0].alt


def test_without_compare_no_difference_is_drawn():
    figures = {"none": [heat([[1, 0], [0, 1]])], "se": [heat([[0, 1], [1, 0]])]}

    assert len([b for b in sections(with_figures(figures))["Heat"].blocks if isinstance(b, Gallery)]) == 1


def test_rows_whose_names_differ_are_left_out_and_named():
    figures = {"none": [heat([[1, 0], [0, 1]])], "se": [heat([[0, 1], [1, 0]], ("a", "c"))]}

    assert "Left out, as their rows or columns are not those of the others: 'se'." in texts(
        sections(with_figures(figures))["Heat"]
    )


def test_a_kind_that_the_report_does_not_draw_is_said_not_to_be_shown():
    figure = Figure("f", "overlay", "Pictures", "alt", {"frames": np.zeros((2, 4, 4))})

    assert "Not shown: figures of kind 'overlay'" in texts(sections(with_figures({"none": [figure]}))["Pictures"])


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"values": np.zeros((2, 2))},
        {"values": np.zeros((2, 3)), "rows": np.array(["a"]), "columns": np.array(["b"])},
        {"values": np.array([["x"]]), "rows": np.array(["a"]), "columns": np.array(["b"])},
        {"values": np.zeros((0, 0)), "rows": np.array([]), "columns": np.array([])},
    ],
)
@pytest.mark.parametrize("kind", ["table", "heatmap", "lines", "bars", "strip", "animation"])
def test_a_damaged_figure_is_a_sentence_and_no_crash(kind: Any, data: Mapping[str, np.ndarray]):
    figure = Figure("f", kind, "Damaged", "alt", data)

    assert "Not shown" in texts(sections(with_figures({"none": [figure]}))["Damaged"])


def test_a_matrix_with_gaps_is_drawn():
    figures = {"none": [heat([[np.nan, 0.1], [0.2, np.nan]], compare=True)], "se": [heat(np.full((2, 2), np.nan))]}
    galleries = [b for b in sections(with_figures(figures))["Heat"].blocks if isinstance(b, Gallery)]

    assert galleries[0].pictures[1].alt.endswith("It holds no numbers.")


@pytest.mark.parametrize("kind", ["lines", "bars"])
@pytest.mark.parametrize("x", [np.arange(3), np.array(["one", "two", "three"])])
def test_lines_and_bars_get_a_panel_a_series_with_all_rows(kind: Any, x: np.ndarray):
    data = {"x": x, "recall": np.array([0.1, 0.5, 0.9]), "count": np.array([3, 2, 1])}
    figure = Figure("f", kind, "Series", "alt", data)
    gallery = sections(with_figures({"none": [figure], "se": [figure]}, seeds=2))["Series"].blocks[0]

    assert isinstance(gallery, Gallery)
    assert [p.caption for p in gallery.pictures] == ["recall", "count"]
    assert "none: mean 0.5; se: mean 0.5" in gallery.pictures[0].alt


def test_a_hundred_classes_are_drawn_and_their_table_is_folded():
    names = tuple(f"class {i}" for i in range(100))
    evidence = with_figures({"none": make_figures(0.0, 0, names), "se": make_figures(0.01, 0, names)})
    found = sections(evidence)

    assert isinstance(found["Per-class report"].blocks[0], Fold)
    assert all(len(p.content) < 400_000 for b in found["Confusion matrix"].blocks for p in b.pictures)


def test_of_many_rows_those_that_differ_most_are_shown_and_the_rest_counted():
    arms = ("none", *(f"arm_{i}" for i in range(20)))
    analysis = analyse(make_evidence(arms, seeds=2, epochs=1))
    shown, omitted = analysis.shown(8)
    distance = {a.label: abs(a.differences["top1"].mean) for a in analysis.challengers}
    most = sorted(distance, key=lambda label: -distance[label])[:7]

    assert omitted == 13
    assert {a.label for a in shown} == {"none", *most}
    with styled():
        section = curves(analysis)
    assert section is not None
    assert "13 are left out" in section.blocks[0].caption


def test_curves_say_what_their_bands_are_and_name_the_ends_in_words():
    with styled():
        section = curves(analyse(make_evidence(("none", "se"))))
    assert section is not None
    gallery = section.blocks[0]

    assert "Bands: from the lowest to the highest seed" in gallery.caption
    assert gallery.pictures[1].alt.startswith("validation top1 (%), higher is better over 12 epochs; at the end: none ")


def test_a_study_without_curves_parameters_or_pairs_has_no_such_pictures():
    evidence = make_evidence(("none",), epochs=1)
    bare = {k: dataclasses.replace(r, curve=(), cost={}) for k, r in evidence.records.items()}
    analysis = analyse(dataclasses.replace(evidence, records=bare))

    with styled():
        assert curves(analysis) is None
        assert scatter(analysis) is None
        assert differences(analysis) is None


def test_a_curve_with_a_gap_is_drawn_from_the_epochs_that_all_seeds_have():
    evidence = make_evidence(("none",), epochs=4)
    records = dict(evidence.records)
    trial = evidence.study.cells[0].trials[0]
    record = records[trial.id]
    records[trial.id] = dataclasses.replace(record, curve=(*record.curve[:2], {"train/loss": float("nan")}))
    with styled():
        section = curves(analyse(dataclasses.replace(evidence, records=records)))

    assert section is not None
    assert "over 2 epochs" in section.blocks[0].pictures[0].alt


@pytest.mark.parametrize(
    ("number", "signed", "text"),
    [
        (0.0, False, "0"),
        (0.0, True, ""),
        (93.14, False, "93.1"),
        (1.24, True, "+1.2"),
        (-0.04, True, "0"),
        (-2.5, True, "−2.5"),
        (1234.0, False, "1.23k"),
        (100.0, False, "100"),
    ],
)
def test_numbers_in_cells_are_short(number: float, signed: bool, text: str):
    assert brief(number, signed) == text


def test_all_classes_reach_the_report():
    table = sections(make_evidence(("none",), seeds=1, epochs=1))["Per-class report"].blocks[0]

    assert tuple(line.entries[0].text for line in table.lines) == CLASSES
