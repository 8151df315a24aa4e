"""`--set KEY=VALUE`: what it reaches, and what it says when it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from grid_components import labels, plan

from harness.errors import GridError
from harness.trial import Choice, Term


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epochs=7", lambda c: c.train.epochs == 7),
        ("train.optimizer.lr=1e-3", lambda c: c.train.stages[0].optimizer == Choice.of("sgd", lr=0.001, momentum=0.5)),
        (
            "train.schedule.warmup_epochs=1",
            lambda c: c.train.stages[0].schedule == Choice.of("cosine", warmup_epochs=1),
        ),
        ("attention.reduction=4", lambda c: c.attention == Choice.of("se", reduction=4)),
        ("attention={name: eca, kernel_size: 5}", lambda c: c.attention == Choice.of("eca", kernel_size=5)),
        ("loss.gdl=0.25", lambda c: [t.coefficient for t in c.loss] == [1.0, 0.25]),
        ("loss.gdl.alpha=2", lambda c: c.loss[1] == Term(Choice.of("gdl", alpha=2), 0.5, "gdl")),
        ("augment.erasing.p=0.1", lambda c: c.augment[1] == Choice.of("erasing", p=0.1)),
        ("placement=[layer1, layer2]", lambda c: c.placement == ("layer1", "layer2")),
        ("seeds=[5]", lambda c: c.seed == 5),
    ],
)
def test_set_changes_one_key(override: str, expected: Any) -> None:
    study = plan(
        overrides=[override],
        attention="se",
        loss={"bce": 1, "gdl": 0.5},
        augment=["crop", "erasing"],
        train={"epochs": 2, "optimizer": {"name": "sgd", "momentum": 0.5}},
    )
    assert expected(study.cells[0].trials[0].config)
    assert study.source.endswith(f"# --set {override}\n")


def test_set_reaches_axes_and_the_baseline() -> None:
    sets = ["axes.attention=[none,se]", "axes.attention.reduction=[4, 8]", "baseline.attention=none", "seeds=1"]
    study = plan(overrides=sets, seeds=9)
    assert labels(study) == ["none", "se, reduction=4", "se, reduction=8"]
    assert len(study.trials()) == 3


def test_a_later_set_wins() -> None:
    assert plan(overrides=["train.epochs=3", "train.epochs=4"]).cells[0].trials[0].config.train.epochs == 4


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("train.epochs=x", "--set train.epochs=x: train.epochs: 'x': the number of epochs", ""),
        ("train.epochs", "--set train.epochs: this is no KEY=VALUE", "--set train.epochs=1"),
        ("=1", "--set =1: this is no KEY=VALUE", "--set"),
        ("trian.epochs=1", "--set trian.epochs=1: trian.epochs: unknown key 'trian'", "did you mean 'train'?"),
        ("train.epoch=1", "--set train.epoch=1: train.epoch: unknown key 'epoch' of train", "did you mean 'epochs'?"),
        ("seeds.x=1", "--set seeds.x=1: seeds.x: 'seeds.x' leads nowhere", "seeds"),
        ("augment.crop.p=1", "--set augment.crop.p=1: augment.crop.p: 'augment.crop.p' leads nowhere", "augment"),
        ("attention.reduction=4", "--set attention.reduction=4: attention.reduction: attention 'none' has no", ""),
        ("attention=no", "--set attention=no: attention: 'no' is a boolean", "YAML"),
        (
            "axes.attention=[none,ecaa]",
            "--set axes.attention=[none,ecaa]: axes.attention[1]: unknown attention",
            "'eca'",
        ),
        ("seeds=[1", "--set seeds=[1: seeds: not valid YAML", "bracket"),
        ("seeds=&a [*a]", "--set seeds=&a [*a]: seeds: not valid YAML: nested more than 20 levels deep", ""),
    ],
)
def test_a_mistake_in_a_set_names_the_set(override: str, message: str, hint: str) -> None:
    with pytest.raises(GridError) as caught:
        plan(overrides=[override])
    (found,) = caught.value.mistakes
    assert found.message.startswith(message)
    assert hint in (found.hint or "")
