"""The row that a model asks for beside itself."""

from __future__ import annotations

from pathlib import Path

from grid_components import labels, plan

from harness.trial import Choice

TEMPORAL = {"name": "temporal", "depth": 5, "width": 1.5}


def test_a_study_of_a_model_gets_its_control_with_the_options_that_both_have():
    study = plan(model=TEMPORAL, attention="se", axes={"attention": ["none", "se"], "model.depth": [5, 6]}, seeds=2)
    assert labels(study)[-1] == "alone (control)"
    control = study.cells[-1]
    assert not control.baseline
    assert control.settings == (("attention", "none"),)
    assert [t.config.model for t in control.trials] == [Choice.of("alone", width=1.5)] * 2
    assert {t.config.attention for t in control.trials} == {Choice("none")}
    base = study.baseline
    assert base is not None
    for ours, theirs in zip(control.trials, base.trials, strict=True):
        assert (ours.config.train, ours.config.seed, ours.config.loss) == (
            theirs.config.train,
            theirs.config.seed,
            theirs.config.loss,
        )
        named = dict(ours.provenance.sources)
        assert "model alone" in named
        assert "model temporal" not in named


def test_an_option_at_the_controls_own_default_is_left_out_of_its_id():
    study = plan(model={"name": "temporal", "width": 2.0}, axes={"attention": ["none", "se"]})
    assert study.cells[-1].trials[0].config.model == Choice("alone")


def test_a_grid_that_has_the_control_gets_no_second_one():
    study = plan(axes={"model": [TEMPORAL, {"name": "alone", "width": 3.0}]})
    assert len(study.cells) == 2
    assert not any("control" in label for label in labels(study))


def test_what_the_control_does_not_have_is_neither_frozen_nor_trained_in_its_row():
    stages = [
        {"epochs": 1, "freeze": ["backbone", "attention"]},
        {"epochs": 1, "train_only": ["attention", "head"]},
    ]
    model = {"name": "temporal"}
    train = {"stages": stages, "optimizer": "sgd"}
    recipe = plan(model=model, train=train, axes={"attention": ["none", "se"]}).cells[-1].trials[0].config.train
    assert [s.freeze for s in recipe.stages] == [("backbone",), ()]
    assert [s.train_only for s in recipe.stages] == [(), ("head",)]
    alone = {"stages": [{"epochs": 1, "train_only": ["attention"]}], "optimizer": "sgd"}
    assert labels(plan(model=model, train=alone, axes={"attention": ["none", "se"]})) == ["none", "se"]


def test_models_that_ask_for_nothing_get_nothing():
    assert labels(plan(axes={"attention": ["none", "se"]})) == ["none", "se"]


def test_the_file_of_weights_is_part_of_the_controls_id_too(tmp_path: Path):
    ids = []
    for content in (b"one", b"two"):
        (tmp_path / "weights.pth").write_bytes(content)
        model = {**TEMPORAL, "weights": str(tmp_path / "weights.pth")}
        control = plan(model=model, axes={"attention": ["none", "se"]}).cells[-1]
        assert "model alone weights" in dict(control.trials[0].provenance.sources)
        ids.append(control.trials[0].id)
    assert ids[0] != ids[1]
