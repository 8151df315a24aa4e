"""Every check of losses, augmentations, optimisers and schedules can fail, by a component with that fault alone."""

from __future__ import annotations

import pytest
from conformance.looking import levels, of

from harness.conformance.losses import LOSS
from harness.conformance.recipe import RECIPE

LOSSES = {
    "builds": "Uncallable",
    "expects": "NoExpectation",
    "scalar": "Vector",
    "finite": "LogOfZero",
    "differentiable": "Rounded",
    "gradcheck": "HalfGradient",
    "better": "Upside",
    "mean_over_items": "Summed",
    "mask": "Blind",
    "bf16": "Expanded",
    "seed": "OwnStream",
    "weights_only": "ObjectInState",
}
OTHERS = [
    ("augment", "builds", "Uncallable"),
    ("augment", "shape", "Cropped"),
    ("augment", "range", "Brighter"),
    ("augment", "draws", "GlobalStream"),
    ("augment", "per_sample", "BatchMean"),
    ("optimizer", "builds", "no_optimizer"),
    ("optimizer", "covers", "without_biases"),
    ("optimizer", "learns", "uphill"),
    ("optimizer", "resumes", "forgetful"),
    ("schedule", "builds", "Steps"),
    ("schedule", "rates", "BelowZero"),
    ("schedule", "pure", "Counting"),
]


@pytest.mark.parametrize(("wanted", "name"), LOSSES.items())
def test_a_loss_fails_the_check_of_its_fault_alone(wanted: str, name: str) -> None:
    assert of(levels("loss", f"conformance.broken_losses:{name}", wanted), "failed") == {wanted}


@pytest.mark.parametrize(("kind", "wanted", "name"), OTHERS)
def test_a_part_of_the_recipe_fails_the_check_of_its_fault_alone(kind: str, wanted: str, name: str) -> None:
    assert of(levels(kind, f"conformance.broken_recipe:{name}", wanted), "failed") == {wanted}


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("loss", "broken_losses:Good"),
        ("augment", "broken_recipe:Mirror"),
        ("optimizer", "broken_recipe:sgd"),
        ("schedule", "broken_recipe:Falling"),
    ],
)
def test_what_has_no_fault_passes(kind: str, target: str) -> None:
    found = levels(kind, f"conformance.{target}", "")
    assert set(found.values()) <= {"passed", "skipped"}
    assert of(found, "skipped") <= {"entry", "seed", "weights_only"}


def test_a_loss_without_a_mask_is_told() -> None:
    assert "takes no `mask`" in levels("loss", "conformance.broken_losses:Maskless", "mask").told["mask"]


def test_every_check_is_shown_to_fail() -> None:
    assert {c.name for c in LOSS} == set(LOSSES)
    assert {(kind, c.name) for kind, checks in RECIPE.items() for c in checks} == {(k, w) for k, w, _ in OTHERS}
