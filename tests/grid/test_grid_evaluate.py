"""The key `evaluate`: defaults, order, mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from grid_components import plan

from harness.errors import GridError
from harness.grid.evaluating import KNOWN, read_evaluate
from harness.grid.nodes import Mistakes, Node
from harness.restore import from_plain
from harness.trial import Study, to_plain


def node(*names: str) -> Node:
    return Node(tuple(Node(n, f"evaluate[{i}]", 5) for i, n in enumerate(names)), "evaluate", 5)


def test_classification_is_measured_in_full_and_other_tasks_not_at_all() -> None:
    assert plan().evaluate == KNOWN == ("gates", "knockout", "maps", "gallery")
    assert read_evaluate(None, "video_prediction", Mistakes()) == ()
    assert read_evaluate(None, "", Mistakes()) == ()


def test_what_is_asked_for_is_kept_in_the_order_in_which_it_is_made() -> None:
    assert plan(evaluate=["knockout", "gates"]).evaluate == ("gates", "knockout")
    assert plan(evaluate=[]).evaluate == ()
    assert plan(overrides=["evaluate=[maps]"]).evaluate == ("maps",)


def test_it_is_no_part_of_an_id_and_survives_the_store() -> None:
    study = plan(evaluate=["gates"])
    assert [t.id for t in study.trials()] == [t.id for t in plan().trials()]
    assert from_plain(Study, to_plain(study), "study").evaluate == ("gates",)


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("gates", "evaluate: 'gates': a list is meant", "[gates, knockout]"),
        (None, "evaluate: empty (null): a list is meant", "[] for nothing"),
        ({"gates": True}, "evaluate: a mapping: a list is meant", "known: gates, knockout, maps, gallery"),
        (["gate"], "evaluate[0]: unknown evaluation 'gate'", "'gates'"),
        ([["gates"]], "evaluate[0]: unknown evaluation a list", "gates"),
        ([3], "evaluate[0]: unknown evaluation '3'", "gates"),
        (["maps", "maps"], "evaluate[1]: 'maps' stands twice in the list", "leave one out"),
    ],
)
def test_mistakes(value: Any, message: str, hint: str) -> None:
    with pytest.raises(GridError) as caught:
        plan(evaluate=value)
    (found,) = caught.value.mistakes
    assert message in found.message
    assert hint in (found.hint or "")


def test_other_tasks_have_no_pictures_of_where_a_class_is_seen() -> None:
    mistakes = Mistakes()
    assert read_evaluate(node("gates", "knockout"), "keyframes", mistakes) == ("gates", "knockout")
    mistakes.check()
    read_evaluate(node("maps", "gallery"), "keyframes", mistakes)
    with pytest.raises(GridError, match="'maps' is for task 'classification', and this is 'keyframes'") as caught:
        mistakes.check()
    assert len(caught.value.mistakes) == 2
