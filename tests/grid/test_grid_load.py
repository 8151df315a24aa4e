"""What a grid means: defaults, spellings, stages, losses, provenance, ids, claims and overrides."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from grid_components import BASE, CONTEXT, described, labels, plan, registry
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import GridError
from harness.grid import Context, load
from harness.grid.tree import CONFIG, STUDY
from harness.restore import from_plain
from harness.sources import digest_of
from harness.trial import Choice, Config, Study, Term, to_plain


def config(**changes: Any) -> Config:
    return plan(**changes).cells[0].trials[0].config


def ids(study: Study) -> set[str]:
    return {t.id for t in study.trials()}


def test_a_minimal_grid_takes_every_default() -> None:
    study = plan()
    (cell,) = study.cells
    (trial,) = cell.trials
    assert (study.name, study.title, study.design, study.axes, study.skipped) == ("s", "", "product", (), ())
    assert (cell.key, cell.label, cell.settings, cell.baseline) == ("none", "none", (), True)
    found = trial.config
    assert (found.task, found.dataset, found.model) == (Choice("classification"), Choice("toy"), Choice("net"))
    assert (found.attention, found.placement, found.augment) == (Choice("none"), "residual", ())
    assert found.loss == (Term(Choice("cross_entropy"), 1.0, "cross_entropy"),)
    (stage,) = found.train.stages
    assert (stage.epochs, stage.optimizer, stage.schedule) == (2, Choice("sgd"), Choice("cosine"))
    assert (found.train.batch_size, found.train.choose, found.train.ema) == (128, "last", None)
    assert (found.seed, found.fold) == (0, 0)


def test_the_file_that_the_house_shows_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "ablations.yaml"
    text = """\
study: toy-attention
task: classification
dataset: {name: toy, folds: 2}
model: {name: deep, arch: resnet50, stem: cifar}
attention: none
placement: residual
loss: {bce: 1.0, gdl: 0.5}
augment: [crop, flip, {name: erasing, p: 0.25}]
train: {epochs: 100, batch_size: 128, optimizer: {name: sgd, lr: 0.1}, schedule: cosine, clip_norm: 1.0, choose: last}
seeds: 3
folds: all
baseline: {attention: none}
design: product
axes:
  attention: [none, se, eca, spatial]
  attention.reduction: [4, 8, 16, 32]
exclude: [{attention: se, attention.reduction: 4}]
claims:
  - {metric: top1, where: {attention: se}, reported: 94.1, unit: "%", tolerance: 0.3, source: "a paper"}
  - {metric: top1, difference: [{attention: se}, {attention: none}], reported: 2.0, unit: pp, source: "a paper"}
  - {metric: top1, order: [{attention: se}, {attention: eca}], source: "a paper"}
"""
    path.write_text(text, encoding="utf-8")
    study = load(path, registry(), CONTEXT)
    assert labels(study) == ["none", "se, reduction=8", "se, reduction=16", "se, reduction=32", "eca", "spatial"]
    assert all(len(cell.trials) == 6 for cell in study.cells)
    assert study.baseline is study.cells[0]
    assert study.source == text
    assert [c.line for c in study.claims] == [19, 20, 21]
    assert study.claims[0].where == (("attention", "se"),)
    assert study.claims[1].difference == ((("attention", "se"),), (("attention", "none"),))
    assert study.claims[2].order == ((("attention", "se"),), (("attention", "eca"),))
    assert study.claims[2].reported is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"attention": "se"}, {"attention": {"name": "se"}}),
        ({"attention": "se"}, {"attention": {"name": "se", "reduction": 16}}),
        ({"attention": "se"}, {"attention": {"name": "se", "reduction": 16, "gate": "sigmoid"}}),
        ({"attention": "spatial"}, {"attention": {"name": "spatial", "order": [1, 2]}}),
        ({"model": "net"}, {"model": {"name": "net", "width": 1}}),
        ({"loss": "bce"}, {"loss": {"bce": 1}}),
        ({"loss": "bce"}, {"loss": [{"name": "bce", "coefficient": 1.0}]}),
        ({"loss": {"bce": 1, "gdl": 0.5}}, {"loss": {"gdl": 0.5, "bce": 1}}),
        ({"loss": {"bce": 1, "gdl": 0.5}}, {"loss": ["bce", {"name": "gdl", "coefficient": 0.5, "alpha": 1}]}),
        ({"train": {"epochs": 2}}, {"train": {"epochs": 2, "optimizer": {"name": "sgd", "lr": 0.1}, "ema": None}}),
        ({"train": {"epochs": 2}}, {"train": {"stages": [{"epochs": 2}]}}),
        ({"train": {"epochs": 2}}, {"train": {"epochs": 2, "precision": "fp32", "batch_size": 128}}),
        ({}, {"placement": "block"}),  # nothing is placed
        ({"seeds": 1}, {"seeds": [0]}),
    ],
)
def test_two_spellings_of_one_training_have_one_id(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert ids(plan(**one)) == ids(plan(**other))


@pytest.mark.parametrize(
    "change",
    [
        {"attention": {"name": "se", "reduction": 8}},
        {"attention": "se", "placement": "block"},
        {"loss": {"cross_entropy": 0.5}},
        {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}},
        {"augment": ["flip", "crop"]},
        {"augment": ["crop", "flip"]},
        {"model": {"name": "net", "depth": 21}},
        {"dataset": {"name": "toy", "val": 0.2}},
        {"train": {"epochs": 3}},
        {"train": {"epochs": 2, "deterministic": True}},
        {"train": {"epochs": 2, "precision": "bf16"}},
        {"train": {"epochs": 2, "freeze_bn": True}},
        {"train": {"stages": [{"epochs": 1}, {"epochs": 1}]}},
        {"seeds": [1]},
    ],
)
def test_what_changes_the_training_changes_its_id(change: dict[str, Any]) -> None:
    assert not ids(plan()) & ids(plan(**change))


def test_stages_inherit_and_override() -> None:
    stages = config(
        train={
            "optimizer": {"name": "adam", "betas": [0.5, 0.9]},
            "schedule": {"name": "step", "milestones": [3]},
            "clip_norm": 1,
            "stages": [
                {"epochs": 10, "freeze": ["backbone"], "lr": 1e-4},
                {"epochs": 20, "freeze": [], "train_only": ["backbone.layer4", "head"], "freeze_bn": True, "lr": 1e-5},
                {"epochs": 5, "optimizer": "sgd", "schedule": "cosine", "clip_norm": None},
            ],
        }
    ).train.stages
    assert [s.epochs for s in stages] == [10, 20, 5]
    assert stages[0].optimizer == Choice.of("adam", betas=(0.5, 0.9), lr=1e-4)
    assert stages[1].optimizer == Choice.of("adam", betas=(0.5, 0.9), lr=1e-5)
    assert stages[2].optimizer == Choice("sgd")
    assert [s.schedule.name for s in stages] == ["step", "step", "cosine"]
    assert [s.clip_norm for s in stages] == [1.0, 1.0, None]
    assert [s.freeze for s in stages] == [("backbone",), (), ()]
    assert (stages[1].train_only, stages[1].freeze_bn) == (("backbone.layer4", "head"), True)


def test_a_loss_that_occurs_twice_has_two_keys() -> None:
    terms = config(loss=[{"name": "gdl", "alpha": 2}, {"name": "gdl", "coefficient": 3}]).loss
    assert terms == (Term(Choice.of("gdl", alpha=2), 1.0, "gdl"), Term(Choice("gdl"), 3.0, "gdl_2"))


def test_auto_precision_is_that_of_the_device() -> None:
    study = load(BASE, registry(), Context(Path("data"), "bf16", 1))
    assert study.cells[0].trials[0].config.train.precision == "bf16"


def test_provenance_names_every_component_but_no_attention_that_is_none() -> None:
    grid: dict[str, Any] = {
        "axes": {"attention": ["none", "se"]},
        "augment": ["flip", "flip"],
        "loss": {"bce": 1, "gdl": 2},
    }
    none, se = (cell.trials[0].provenance for cell in plan(**grid).cells)
    names = (
        "augment flip, dataset toy, loss bce, loss gdl, model net, optimizer sgd, schedule cosine, task classification"
    )
    assert [name for name, _ in none.sources] == names.split(", ")
    assert {name for name, _ in se.sources} - {name for name, _ in none.sources} == {"attention se"}
    assert {value for _, value in se.sources} == {digest_of("grid_components")}
    assert (se.core, se.dataset) == (1, "toy-[]")


def test_each_dataset_is_described_once() -> None:
    described.clear()
    plan(axes={"attention": ["none", "se"], "dataset": ["toy", {"name": "toy", "val": 0.2}]}, seeds=5)
    assert described == [{}, {"val": 0.2}]


def test_folds_are_those_of_the_dataset() -> None:
    three = {"name": "toy", "folds": 3}
    assert [t.config.fold for t in plan(dataset=three).trials()] == [0]
    assert [t.config.fold for t in plan(dataset=three, folds="all").trials()] == [0, 1, 2]
    assert [t.config.fold for t in plan(dataset=three, folds=[2, 0]).trials()] == [0, 2]


def test_seeds_are_counted_or_listed() -> None:
    assert [t.config.seed for t in plan(seeds=3).trials()] == [0, 1, 2]
    assert [t.config.seed for t in plan(seeds=[7, 3]).trials()] == [3, 7]


def test_numbers_like_1e_4_are_numbers_and_quoted_ones_are_text(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(
        "study: '1e-4'\ntitle: '1'\ndataset: toy\nmodel: net\n"
        "train: {epochs: 0x2, optimizer: {name: sgd, lr: 1e-4, momentum: +5.E-1}}\n"
    )
    study = load(path, registry(), CONTEXT)
    stage = study.cells[0].trials[0].config.train.stages[0]
    assert stage.optimizer == Choice.of("sgd", lr=0.0001, momentum=0.5)
    assert (study.name, study.title, stage.epochs) == ("1e-4", "1", 2)


def test_none_is_a_name_and_not_yaml_null(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text("study: s\ndataset: toy\nmodel: net\nattention: none\ntrain: {epochs: 1}\n")
    assert load(path, registry(), CONTEXT).cells[0].trials[0].config.attention == Choice("none")


def test_anchors_and_byte_order_marks_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    text = "study: s\ndataset: toy\nmodel: net\nattention: &a {name: se, reduction: 8}\ntrain: {epochs: 1}\n"
    path.write_bytes(b"\xef\xbb\xbf" + (text + "axes: {attention: [none, *a]}\n").encode())
    assert labels(load(path, registry(), CONTEXT)) == ["none", "se(reduction=8)"]


def test_a_mapping_and_its_file_plan_the_same_trials(tmp_path: Path) -> None:
    grid = {**BASE, "axes": {"attention": ("none", "se"), "attention.reduction": [4, 8]}, "seeds": 2}
    study = load(grid, registry(), CONTEXT)
    path = tmp_path / "g.yaml"
    path.write_text(study.source)
    again = load(path, registry(), CONTEXT)
    assert (again.cells, again.skipped) == (study.cells, study.skipped)


def test_a_study_survives_json() -> None:
    study = plan(
        axes={"attention": ["none", {"name": "se", "reduction": 8}], "loss": ["bce", {"bce": 1, "gdl": 0.5}]},
        claims=[
            {"metric": "top1", "where": {"attention": {"name": "se", "reduction": 8}}, "reported": 1, "source": "x"}
        ],
    )
    assert from_plain(Study, json.loads(json.dumps(to_plain(study)))) == study


def shuffled(value: Any, draw: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        draw.shuffle(keys)
        return {k: shuffled(value[k], draw) for k in keys}
    return [shuffled(v, draw) for v in value] if isinstance(value, list) else value


@settings(deadline=None, max_examples=50)
@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_changes_no_id(draw: random.Random) -> None:
    grid = {
        **BASE,
        "attention": {"name": "se", "reduction": 8, "gate": "tanh"},
        "train": {"epochs": 2, "optimizer": {"name": "adam", "lr": 0.1}, "clip_norm": 1, "ema": 0.5},
        "axes": {"model.depth": [20, 56], "attention": ["none", {"name": "spatial", "order": [2, 1]}], "loss": ["bce"]},
        "seeds": 2,
    }
    assert ids(plan(shuffled(grid, draw))) == ids(plan(grid))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["se", "toy", "sgd"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "epochs", "attention", "lr", "a.b"]) | st.text(max_size=3), inner, max_size=3
        )
    ),
    max_leaves=6,
)
keys = st.sampled_from([*CONFIG, *STUDY, "attention.reduction", "x"])


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(keys, values, max_size=5), st.sampled_from(["product", "one_at_a_time", "leave_one_out"]))
def test_no_grid_whatever_raises_anything_but_grid_errors(changes: dict[str, Any], design: str) -> None:
    try:
        study = plan({**BASE, "design": design, **changes})
    except GridError:
        return
    assert study.cells
    assert study.trials()


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="abc:-[]{}&*!|>'\"#%@, \n\t0", max_size=60))
def test_no_text_whatever_raises_anything_but_grid_errors(text: str) -> None:
    with pytest.raises(GridError):
        plan(overrides=[f"train.epochs={text}", "seeds=x"])


def test_two_thousand_rows_are_planned_in_two_seconds() -> None:
    grid = {
        "attention": ["se", "eca"],
        "model.depth": list(range(50)),
        "train.batch_size": list(range(1, 11)),
        "loss": ["bce", "gdl"],
    }
    start = time.process_time()
    study = plan(axes=grid, seeds=3)
    assert time.process_time() - start < 2
    assert len(study.cells) == 2000


def test_the_registry_that_ships_plans_a_grid(tmp_path: Path) -> None:
    from harness.discovery import load as discover

    grid = yaml.safe_load(
        "{study: s, dataset: digits, model: resnet20, train: {epochs: 1}, seeds: 2, augment: [crop],"
        " axes: {attention: [none, se, eca], attention.reduction: [4, 16]}}"
    )
    study = load(grid, discover(third_party=False).registry, Context(tmp_path, "fp32", 1))
    assert labels(study) == ["none", "se, reduction=4", "se, reduction=16", "eca"]
    assert len(study.trials()) == 8
