"""The key `controls`, and blocks that wrap other blocks."""

from __future__ import annotations

from typing import Any

import pytest
from grid_components import labels, skips

from harness.data import data_root
from harness.discovery import load as discover
from harness.errors import GridError
from harness.grid import Context, load
from harness.trial import Choice, Study

REGISTRY = discover(third_party=False).registry
BASE: dict[str, Any] = {"study": "s", "dataset": "digits", "model": "resnet20", "train": {"epochs": 1}}
ALL = ["matched_conv", "identity_gate", "shuffled_gate"]


def plan(**changes: Any) -> Study:
    return load(BASE | changes, REGISTRY, Context(data_root(), "fp32", 1))


def mistakes(**changes: Any) -> list[tuple[str, str | None]]:
    with pytest.raises(GridError) as caught:
        plan(**changes)
    return [(m.message, m.hint) for m in caught.value.mistakes]


def test_every_row_with_attention_gets_one_row_a_control():
    study = plan(axes={"attention": ["none", {"name": "se", "reduction": 8}]}, controls=ALL, seeds=2)
    assert labels(study) == [
        "none",
        "se(reduction=8)",
        "se(reduction=8): matched conv",
        "se(reduction=8): identity gate",
        "se(reduction=8): shuffled gate",
    ]
    row = study.cells[1]
    assert [c.control for c in study.cells] == ["", "", *ALL]
    assert [c.of for c in study.cells] == ["", "", *[row.key] * 3]
    for cell in study.cells[2:]:
        choice = Choice.of(cell.control, of=Choice.of("se", reduction=8))
        assert [t.config.attention for t in cell.trials] == [choice] * 2
        assert cell.settings == (("attention", choice),)
        named = dict(cell.trials[0].provenance.sources)
        assert named["attention se"] == dict(row.trials[0].provenance.sources)["attention se"]
        assert f"attention {cell.control}" in named


def test_rows_of_a_study_have_the_same_ids_with_and_without_controls():
    axes = {"attention": ["none", "se"], "train.optimizer.lr": [0.1, 0.2]}
    plain, more = plan(axes=axes), plan(axes=axes, controls=["identity_gate"])
    assert [c for c in more.cells if not c.control] == list(plain.cells)
    assert len({t.id for t in more.trials()}) == 6
    assert [t.id for t in plan(axes=axes, controls=[]).trials()] == [t.id for t in plain.trials()]


def test_the_same_control_written_by_hand_is_the_same_training_and_no_second_row():
    block = {"name": "se", "reduction": 8}
    by_hand = {"name": "shuffled_gate", "of": block}
    asked = plan(axes={"attention": ["none", block]}, controls=["shuffled_gate"])
    written = plan(axes={"attention": ["none", by_hand]})
    assert written.cells[1].trials == asked.cells[2].trials
    both = plan(axes={"attention": ["none", by_hand, block]}, controls=["shuffled_gate"])
    assert len(both.cells) == 3
    (control,) = (c for c in both.cells if c.control)
    assert control.of == next(c.key for c in both.cells if c.label == "se(reduction=8)")


def test_an_option_at_its_default_is_left_out_of_the_wrapped_block_too():
    written = plan(attention={"name": "identity_gate", "of": {"name": "se", "reduction": 16}})
    assert written.cells[0].trials == plan(attention={"name": "identity_gate", "of": "se"}).cells[0].trials
    assert written.cells[0].trials[0].config.attention == Choice.of("identity_gate", of=Choice("se"))


def test_a_control_may_have_options():
    study = plan(axes={"attention": ["none", "spatial"]}, controls=[{"name": "matched_conv", "match": "macs"}])
    assert labels(study)[-1] == "spatial: matched conv (macs)"
    assert study.cells[-1].trials[0].config.attention == Choice.of("matched_conv", match="macs", of=Choice("spatial"))
    same = plan(attention="se", controls=[{"name": "matched_conv", "match": "parameters"}])
    assert same.trials() == plan(attention="se", controls=["matched_conv"]).trials()


def test_what_cannot_be_a_control_of_a_block_is_left_out_with_the_reason():
    study = plan(task="keyframes", dataset="toy_videos", model="keyframe_transformer", loss="mse",
                 axes={"attention": ["none", "global"]}, controls=ALL)  # fmt: skip
    assert labels(study) == ["none", "global", "global: identity gate", *labels(study)[3:]]
    found = dict(skips(study))
    assert "works on sequences" in found["global: matched conv"]
    assert "has no gate" in found["global: shuffled gate"]


def test_nothing_inert_is_trained_alone():
    stages = [{"epochs": 1, "train_only": ["attention"]}, {"epochs": 1}]
    study = plan(axes={"attention": ["none", "se"]}, controls=["identity_gate", "matched_conv"],
                 train={"stages": stages}, exclude=[{"attention": "none"}])  # fmt: skip
    assert labels(study) == ["se", "se: matched conv"]
    assert ("se: identity gate", "a stage trains attention alone, and a block that does nothing cannot be trained") in (
        skips(study)
    )


def test_mistakes_of_the_key_say_what_was_meant():
    ((what, hint),) = mistakes(attention="se", controls=["matchd_conv"])
    assert "controls[0]: unknown control 'matchd_conv'" in what
    assert hint == "did you mean 'matched_conv'?"
    ((what, hint),) = mistakes(attention="se", controls=["se"])
    assert "'se' is no control: it wraps no block" in what
    assert "matched_conv" in str(hint)
    ((what, hint),) = mistakes(attention="se", controls=[{"name": "matched_conv", "mach": "macs"}])
    assert "has no option 'mach'" in what
    assert hint == "did you mean 'match'?"
    ((what, _),) = mistakes(attention="se", controls=[{"name": "matched_conv", "match": "flops"}])
    assert "option 'match' is 'flops'" in what
    ((what, hint),) = mistakes(attention="se", controls=[{"name": "matched_conv", "of": "se"}])
    assert "has no 'of'" in what
    assert "stands twice" in mistakes(attention="se", controls=["matched_conv", "matched_conv"])[0][0]
    ((what, hint),) = mistakes(attention="se", controls="matched_conv")
    assert "a list of controls is meant" in what
    assert len(mistakes(attention="se", controls=[3, None, {"match": "macs"}])) == 3


def test_a_wrapped_block_is_checked_like_any_other():
    ((what, hint),) = mistakes(attention={"name": "shuffled_gate", "of": {"name": "se", "reductoin": 8}})
    assert "attention 'se' has no option 'reductoin'" in what
    assert hint == "did you mean 'reduction'?"
    ((what, hint),) = mistakes(attention={"name": "shuffled_gate", "of": "sse"})
    assert "unknown attention 'sse'" in what
    assert "wraps a block, and 'none' is none" in mistakes(attention={"name": "identity_gate", "of": "none"})[0][0]
    assert "needs the option 'of'" in mistakes(attention="identity_gate")[0][0]
    assert "name of a component" in mistakes(attention={"name": "identity_gate", "of": 3})[0][0]


def test_an_axis_reaches_into_the_wrapped_block():
    study = plan(attention={"name": "identity_gate", "of": "se"}, axes={"attention.of.reduction": [4, 8]})
    assert [t.config.attention for t in study.trials()] == [
        Choice.of("identity_gate", of=Choice.of("se", reduction=r)) for r in (4, 8)
    ]
