"""Every check of losses, augmentations, optimisers and schedules can fail, by a component with that fault alone."""

from __future__ import annotations

import pytest
from conformance.looking import levels, of

from harness.conformance import subject_of
from harness.conformance.losses import LOSS
from harness.conformance.recipe import RECIPE
from harness.conformance.running import plan, run

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
AGAIN = [
    ("gradcheck", "NarrowHalfGradient"),
    ("mean_over_items", "MarginSummed"),
    ("better", "MarginOfTheWrong"),
    ("better", "OtherScale"),
]
RIGHT = ("Narrow", "NarrowBack", "Smoothed", "SmoothedALittle", "Margin", "LargestRival", "Insensitive")
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


@pytest.mark.parametrize(("wanted", "name"), [*LOSSES.items(), *AGAIN])
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


@pytest.mark.parametrize("name", RIGHT)
def test_losses_with_margins_smoothing_or_few_digits_pass(name: str) -> None:
    found = levels("loss", f"conformance.broken_losses:{name}", "")
    assert set(found.values()) <= {"passed", "skipped"}, found.told
    if name.startswith("Narrow"):
        assert "of finite differences in float32, which it turns its input into" in found.told["gradcheck"]


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["cross_entropy", "bce"])
def test_what_ships_may_be_smoothed_as_much_as_one_likes(name: str, smoothing: float) -> None:
    subject = subject_of("loss", name, third_party=False, label_smoothing=smoothing)
    for check in plan(subject):
        assert run(check, subject).level in ("passed", "skipped"), run(check, subject)


def test_an_augmentation_that_changes_nothing_is_a_warning() -> None:
    found = levels("augment", "conformance.broken_recipe:Idle", "changes")
    assert of(found, "warning") == {"changes"}
    assert not of(found, "failed")


def test_a_loss_without_a_mask_is_told() -> None:
    assert "takes no `mask`" in levels("loss", "conformance.broken_losses:Maskless", "mask").told["mask"]


def test_every_check_is_shown_to_fail() -> None:
    assert {c.name for c in LOSS} == set(LOSSES)
    shown = {*((kind, wanted) for kind, wanted, _ in OTHERS), ("augment", "changes")}
    assert {(kind, c.name) for kind, checks in RECIPE.items() for c in checks} == shown
