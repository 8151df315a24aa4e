"""Which rows a study asks for, what collapses, what is left out, and how rows are named."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

from grid_components import labels, plan, skips
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.trial import Choice


def test_a_product_has_every_combination_once() -> None:
    study = plan(axes={"attention": ["se", "eca"], "model.depth": [20, 56]})
    assert labels(study) == ["se, depth=20", "se, depth=56", "eca, depth=20", "eca, depth=56"]
    assert study.axes == ("attention", "model.depth")
    assert study.cells[1].settings == (("attention", "se"), ("model.depth", 56))
    assert study.skipped == ()


def test_an_option_that_a_component_lacks_collapses_to_one_row() -> None:
    study = plan(axes={"attention": ["none", "se"], "attention.reduction": [4, 8, 16]})
    assert labels(study) == ["none", "se, reduction=4", "se, reduction=8", "se, reduction=16"]
    assert study.cells[0].settings == (("attention", "none"),)
    assert skips(study) == [("none", "attention.reduction does not apply")]


def test_placements_of_nothing_collapse() -> None:
    study = plan(axes={"attention": ["none", "se"], "placement": ["residual", "block", ["layer1"]]})
    assert labels(study) == ["none", "se, placement=residual", "se, placement=block", "se, placement=[layer1]"]
    assert skips(study) == [("none", "placement does not apply")]
    assert study.cells[0].trials[0].config.placement == "residual"


def test_options_collapse_in_optimizers_losses_and_augmentations_too() -> None:
    study = plan(
        axes={
            "train.optimizer": ["sgd", "adam"],
            "train.optimizer.momentum": [0.5, 0.8],
            "loss": ["bce", {"bce": 1, "gdl": 1}],
            "loss.gdl": [1, 2],
            "augment": [["crop"], ["crop", "erasing"]],
            "augment.erasing.p": [0.1, 0.2],
        }
    )
    assert len(study.cells) == 3 * 3 * 3
    assert skips(study) == [
        ("bce", "loss.gdl does not apply"),
        ("crop", "augment.erasing.p does not apply"),
        ("adam", "train.optimizer.momentum does not apply"),
    ]


def test_a_dotted_axis_wins_over_the_option_that_a_value_brings() -> None:
    study = plan(axes={"attention": [{"name": "se", "reduction": 2, "gate": "tanh"}], "attention.reduction": [4]})
    assert study.cells[0].trials[0].config.attention == Choice.of("se", reduction=4, gate="tanh")


def test_two_values_that_mean_the_same_training_are_one_row() -> None:
    study = plan(axes={"attention": ["se", {"name": "se", "reduction": 16}, "eca"]})
    assert labels(study) == ["se", "eca"]
    assert skips(study) == [("se(reduction=16)", "the same training as 'se'")]


def test_an_axis_that_every_stage_overrides_leaves_one_row() -> None:
    train = {"stages": [{"epochs": 1, "lr": 0.3}]}
    study = plan(train=train, axes={"train.optimizer.lr": [0.1, 0.2]})
    assert len(study.cells) == 1
    assert skips(study) == [("lr=0.2", "the same training as 'none'")]


def test_one_at_a_time_changes_one_axis_against_the_base() -> None:
    study = plan(
        design="one_at_a_time",
        attention="se",
        axes={"attention": ["none", "eca"], "model.depth": [20, 56], "train.batch_size": [64], "model.width": [2]},
    )
    base, *others = study.cells
    assert base.baseline
    assert dict(base.settings) == {"attention": "se", "model.depth": 20, "train.batch_size": 128, "model.width": 1.0}
    assert labels(study)[1:] == ["none", "eca", "depth=56", "batch_size=64", "width=2"]
    for cell in others:
        assert sum(a != b for a, b in zip(base.settings, cell.settings, strict=True)) == 1
    assert not any(c.baseline for c in others)


def test_one_at_a_time_takes_its_base_from_baseline() -> None:
    study = plan(
        design="one_at_a_time",
        baseline={"attention": "se", "attention.reduction": 8},
        axes={"attention": ["none"], "attention.reduction": [4, 8]},
    )
    assert [c.trials[0].config.attention.label() for c in study.cells] == ["se(reduction=8)", "none", "se(reduction=4)"]
    assert study.baseline is study.cells[0]


def test_one_at_a_time_starts_at_the_first_value_where_the_file_says_nothing() -> None:
    grid: dict[str, Any] = {"study": "s", "model": "net", "design": "one_at_a_time"}
    study = plan(grid | {"axes": {"dataset": ["toy", {"name": "toy", "val": 0.2}], "train.epochs": [1, 5]}})
    assert labels(study) == ["toy, epochs=1", "toy(val=0.2)", "epochs=5"]


def test_leave_one_out_has_everything_and_all_but_one() -> None:
    study = plan(
        design="leave_one_out",
        axes={"augment": ["crop", "flip", {"name": "erasing", "p": 0.3}], "loss": {"bce": 1, "gdl": 0.5}},
    )
    assert labels(study) == ["all", "without crop", "without flip", "without erasing", "without bce", "without gdl"]
    assert [c.key for c in study.cells][1:3] == ["without-crop", "without-flip"]
    assert study.baseline is study.cells[0]
    configs = [c.trials[0].config for c in study.cells]
    assert [len(c.augment) for c in configs] == [3, 2, 2, 2, 3, 3]
    assert [[t.key for t in c.loss] for c in configs[4:]] == [["gdl"], ["bce"]]
    assert configs[2].augment == (Choice("crop"), Choice.of("erasing", p=0.3))


def test_leave_one_out_takes_any_list() -> None:
    study = plan(design="leave_one_out", attention="se", axes={"placement": ["a", "b"], "train.freeze": ["x", "y"]})
    assert labels(study) == ["all", "without a", "without b", "without x", "without y"]
    assert study.cells[1].trials[0].config.placement == ("b",)
    assert study.cells[4].trials[0].config.train.stages[0].freeze == ("x",)


def test_one_augmentation_can_be_left_out_and_none_stays() -> None:
    study = plan(design="leave_one_out", axes={"augment": ["crop"]})
    assert [c.trials[0].config.augment for c in study.cells] == [(Choice("crop"),), ()]


def test_excluded_rows_are_named_with_the_reason() -> None:
    study = plan(
        axes={"attention": ["none", "se", "eca"], "model.depth": [20, 56]},
        exclude=[{"attention": "se", "model.depth": 56.0}, {"attention": "eca"}],
    )
    assert labels(study) == ["none, depth=20", "none, depth=56", "se, depth=20"]
    assert [reason for _, reason in skips(study)] == ["excluded by the grid"] * 3
    assert [label for label, _ in skips(study)] == ["se, depth=56", "eca, depth=20", "eca, depth=56"]


def test_excluding_an_option_leaves_rows_alone_that_do_not_have_it() -> None:
    study = plan(
        axes={"attention": ["none", "se"], "attention.reduction": [4, 8]}, exclude=[{"attention.reduction": 4}]
    )
    assert labels(study) == ["none", "se, reduction=8"]
    assert ("none", "excluded by the grid") not in skips(study)


def test_an_exclusion_by_name_covers_all_options_and_by_default_value_the_default() -> None:
    values = ["none", "se", {"name": "se", "reduction": 4}]
    assert labels(plan(axes={"attention": values}, exclude=[{"attention": "se"}])) == ["none"]
    by_default = plan(axes={"attention": values}, exclude=[{"attention.reduction": 16}])
    assert labels(by_default) == ["none", "se(reduction=4)"]


def test_the_baseline_is_the_plain_row_else_the_first() -> None:
    assert plan(axes={"attention": ["se", "none"]}).cells[1].baseline
    assert plan(axes={"attention": ["se", "eca"]}).cells[0].baseline
    both = plan(axes={"model.depth": [20, 56], "attention": ["se", "none"]})
    assert [c.label for c in both.cells if c.baseline] == ["depth=20, se"]


def test_a_baseline_may_name_what_collapsed() -> None:
    axes = {"attention": ["se", "none"], "attention.reduction": [4, 8], "placement": ["block", "stage"]}
    settings = {"attention": "none", "attention.reduction": 8, "placement": "stage"}
    assert [c.label for c in plan(axes=axes, baseline=settings).cells if c.baseline] == ["none"]


def test_a_baseline_may_use_values_that_are_no_axis() -> None:
    study = plan(attention="se", axes={"model.depth": [20, 56]}, baseline={"attention": "se", "model.depth": 56})
    assert [c.baseline for c in study.cells] == [False, True]


def test_labels_say_only_what_varies() -> None:
    assert labels(plan(axes={"attention": ["none", "se"], "train.batch_size": [64]})) == ["none", "se"]
    assert labels(plan(attention={"name": "se", "reduction": 8})) == ["se(reduction=8)"]
    losses = plan(axes={"loss": ["bce", {"bce": 1, "gdl": 0.5}, {"bce": 0.5}]})
    assert labels(losses) == ["bce", "bce + 0.5 gdl", "0.5 bce"]
    same = plan(axes={"model": ["net", {"name": "deep", "arch": "a"}], "train.clip_norm": [None, 1]})
    assert labels(same)[0] == "net, clip_norm=null"


def test_short_names_that_clash_are_written_out() -> None:
    study = plan(model="net", attention="spatial", axes={"attention.kernel_size": [3, 5], "train.optimizer.lr": [1, 2]})
    assert labels(study)[0] == "kernel_size=3, lr=1"
    clash = plan(axes={"dataset.val": [0.1, 0.2], "augment": [["flip"], ["crop"]], "model.depth": [1]})
    assert labels(clash)[0] == "val=0.1, augment=[flip]"


def test_keys_are_distinct_and_safe_as_file_names_whatever_the_labels() -> None:
    study = plan(
        attention="se",
        axes={"attention.gate": ["a/b", "a b", "A B", "..", "../../x", "é", "x" * 300, "x" * 301, "-", "CON:1"]},
    )
    keys = [c.key for c in study.cells]
    assert len({k.casefold() for k in keys}) == len(keys) == 10
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", k) for k in keys)
    assert len(set(labels(study))) == 10


def test_rows_of_a_study_share_seeds_and_folds() -> None:
    study = plan(dataset={"name": "toy", "folds": 2}, folds="all", seeds=2, axes={"attention": ["none", "se"]})
    pairs = [[(t.config.seed, t.config.fold) for t in c.trials] for c in study.cells]
    assert pairs == [[(0, 0), (0, 1), (1, 0), (1, 1)]] * 2


attentions = st.lists(st.sampled_from(["none", "se", "eca", "spatial"]), min_size=1, max_size=4, unique=True)
numbers = st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True)


@settings(deadline=None, max_examples=150)
@given(attentions, numbers, numbers, st.data())
def test_rows_are_the_product_less_what_collapsed_and_what_was_excluded(
    names: list[str], reductions: list[int], depths: list[int], data: st.DataObject
) -> None:
    axes: dict[str, Any] = {"attention": names, "model.depth": depths}
    if "se" in names:
        axes["attention.reduction"] = reductions
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    # One point stays, so that a study is left; the rest may be excluded, each by all of its settings.
    out = data.draw(st.lists(st.sampled_from(points[1:]), max_size=5)) if len(points) > 1 else []
    study = plan(axes=axes, exclude=out)
    left = [p for p in points if p not in out]
    rows = {(p["attention"], p["model.depth"], p["attention"] == "se" and p["attention.reduction"]) for p in left}
    assert len(study.cells) == len(rows)
    assert len({t.id for t in study.trials()}) == len(rows)
    assert math.prod(len(v) for v in axes.values()) >= len(rows) + len([s for s in skips(study) if "excluded" in s[1]])
    assert len({c.key for c in study.cells}) == len({c.label for c in study.cells}) == len(rows)
    assert sum(c.baseline for c in study.cells) == 1


@settings(deadline=None, max_examples=60)
@given(attentions, numbers, st.integers(1, 6))
def test_one_at_a_time_has_one_row_for_every_other_value(names: list[str], depths: list[int], depth: int) -> None:
    study = plan(
        design="one_at_a_time",
        attention="se",
        model={"name": "net", "depth": depth},
        axes={"attention": names, "model.depth": depths},
    )
    assert len(study.cells) == 1 + len(set(names) - {"se"}) + len(set(depths) - {depth})
