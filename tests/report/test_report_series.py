"""Lines that stand before a reference: it is drawn once a panel, belongs to no row, and may be missing or damaged."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from report.evidence import make_evidence

from harness.contracts import Figure
from harness.report.analysis import analyse
from harness.report.document import Gallery, Picture
from harness.report.joined import stored_figures
from harness.report.style import styled

X = np.arange(4) / 2


def curves(**more: np.ndarray) -> Figure:
    data = {
        "x": X,
        "x_label": np.array(["seconds"]),
        "score of a": np.array([0.1, 0.4, 0.2, np.nan]),
        "score of b": np.array([0.3, 0.3, 0.9, 0.8]),
        **more,
    }
    return Figure("curves", "lines", "Curves", "What was predicted", data)


def gallery(figure: Figure, arms: tuple[str, ...] = ("none", "se")) -> Gallery:
    evidence = dataclasses.replace(make_evidence(arms, seeds=2, epochs=1), figures=lambda trial_id: [figure])
    with styled():
        block = stored_figures(analyse(evidence))[0].blocks[0]
    assert isinstance(block, Gallery)
    return block


TRUTH: dict[str, Any] = {
    "reference/score of a": np.array([0.0, 0.5, 1.0, np.nan]),
    "reference/score of b": np.array([1.0, 0.5, 0.0, 0.0]),
    "reference_name": np.array(["true score"]),
}


def areas(picture: Picture) -> int:
    """Shapes that are filled, in the axes."""
    return picture.content.count(b"PolyCollection_")


def test_a_reference_is_no_series_and_named_in_caption_and_picture():
    plain, found = gallery(curves()), gallery(curves(**TRUTH))
    assert [p.caption for p in found.pictures] == [p.caption for p in plain.pictures] == ["score of a", "score of b"]
    assert "Grey area: true score." in found.caption
    assert "Grey" not in plain.caption
    for with_it, without in zip(found.pictures, plain.pictures, strict=True):
        assert with_it.alt == without.alt
        assert areas(with_it) == areas(without) + 1


def test_a_reference_is_drawn_once_however_many_rows_there_are():
    for arms in (("none",), ("none", "se", "eca")):
        assert areas(gallery(curves(), arms).pictures[1]) == len(arms)  # the bands
        assert areas(gallery(curves(**TRUTH), arms).pictures[1]) == len(arms) + 1


@pytest.mark.parametrize(
    "damaged",
    [
        {"reference/score of a": np.zeros(3)},
        {"reference/score of a": np.array(["a", "b", "c", "d"])},
        {"reference/score of c": np.zeros(4)},
        {"reference/score of a": np.zeros(4), "reference_name": np.zeros(2)},
    ],
)
def test_a_damaged_reference_leaves_the_rows_as_they_are(damaged: dict[str, np.ndarray]):
    assert [p.caption for p in gallery(curves(**damaged)).pictures] == ["score of a", "score of b"]
