"""Small real trials of keyframes: a few made-up videos of 32 pixels, a tiny network with random weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.trial import Choice, Config, Provenance, Recipe, Stage, Term, Trial

DATA = Choice.of("toy_videos", train=4, val=2, test=3, scenes=3, size=32, window=8)
MODEL = Choice.of(
    "keyframe_transformer",
    backbone="test_resnet",
    pretrained=False,
    dim=16,
    layers=1,
    heads=2,
    hidden=32,
    score_hidden=8,
)
FROZEN = Stage(2, Choice.of("adamw", lr=1e-3), Choice("constant"), freeze=("backbone",))
TUNED = Stage(
    2,
    Choice.of("adamw", lr=1e-4),
    Choice("constant"),
    train_only=("backbone.layer4", "head"),
    freeze_bn=True,
    clip_norm=1.0,
)
CONFIG = Config(
    task=Choice("keyframes"),
    dataset=DATA,
    model=MODEL,
    attention=Choice("none"),
    placement="stage",
    loss=(Term(Choice("mse"), 1.0, "mse"),),
    augment=(),
    train=Recipe((FROZEN,), batch_size=4),
    seed=0,
)


def trial(**changes: Any) -> Trial:
    return Trial(replace(CONFIG, **changes), Provenance((), 1, "toy"))


def recipe(*stages: Stage, **changes: Any) -> Recipe:
    return replace(CONFIG.train, stages=stages, **changes)
