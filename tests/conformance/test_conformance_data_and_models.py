"""Every check of datasets, models and tasks can fail, by a component with that fault alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conformance.looking import levels, of

from harness.conformance import target_leaks
from harness.conformance.datasets import DATASET
from harness.conformance.models import MODEL
from harness.conformance.modules import COMPILERS, WEIGHTS
from harness.conformance.tasks import TASK

DATASETS = [
    ("opens", "Silent"),
    ("opens", "Refuses"),
    ("light", "Heavy"),
    ("fingerprint", "OtherInEachProcess"),
    ("fingerprint", "ForgetsSeed"),
    ("fingerprint", "ForgetsSecond"),
    ("sizes", "OneMore"),
    ("specs", "WrongType"),
    ("specs", "LabelsFromOne"),
    ("specs", "OneLabelTooMany"),
    ("resident", "HeldInAnotherOrder"),
    ("resident", "HeldWithoutLabels"),
    ("resident", "MadeDifferently"),
    ("disjoint", "Overlap"),
    ("copies", "Copies"),
    ("copies", "HalfCopies"),
    ("altered", "BrighterTest"),
    ("altered", "MirroredTest"),
    ("altered", "NoisyTest"),
    ("pure", "Random"),
    ("extras", "Nothing"),
]
MODELS = [
    ("builds", "Fails"),
    ("outputs", "Half"),
    ("none", "NeedsAttention"),
    ("sites", "Renames"),
    ("sites", "Idle"),
    ("sites", "Discards"),
    ("sites", "DiscardsInTraining"),
    ("sites", "AnyPlace"),
    ("attention", "OneBlock"),
    ("groups", "Ungrouped"),
    ("groups", "Outside"),
    ("prefix", "WrongPrefix"),
    ("independent", "BatchMean"),
    ("state_dict", "LooseTensor"),
]
TASKS = [
    ("builds", "Part"),
    ("metrics", "ByLuck"),
    ("metrics", "Undefined"),
    ("reads", "Picky"),
    ("present", "Shows"),
    ("present", "Hints"),
    ("present", "HintsHot"),
    ("present", "HintsInPixel"),
    ("items", "OtherMean"),
    ("numbers", "Stray"),
    ("perfect_is_best", "WrongWay"),
    ("batches", "PerBatch"),
    ("floors", "HighFloor"),
    ("identities", "Suspicious"),
    ("figures", "Doubled"),
]


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no check waits for a large dataset that happens to be here."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("wanted", "name"), DATASETS)
def test_a_dataset_fails_the_check_of_its_fault_alone(wanted: str, name: str) -> None:
    assert of(levels("dataset", f"conformance.broken_datasets:{name}", wanted), "failed") == {wanted}


@pytest.mark.parametrize(("wanted", "name"), MODELS)
def test_a_model_fails_the_check_of_its_fault_alone(wanted: str, name: str) -> None:
    assert of(levels("model", f"conformance.broken_models:{name}", wanted), "failed") == {wanted}


@pytest.mark.parametrize(("wanted", "name"), TASKS)
def test_a_task_fails_the_check_of_its_fault_alone(wanted: str, name: str) -> None:
    assert of(levels("task", f"conformance.broken_tasks:{name}", wanted), "failed") == {wanted}


@pytest.mark.parametrize(("kind", "module"), [("dataset", "datasets"), ("model", "models"), ("task", "tasks")])
def test_what_has_no_fault_passes(kind: str, module: str) -> None:
    found = levels(kind, f"conformance.broken_{module}:Good", "")
    assert of(found, "passed") == set(found) - {"entry"}


def test_what_starts_at_zero_behind_a_block_does_not_hide_it() -> None:
    assert not of(levels("model", "conformance.broken_models:ZeroBranch", "sites"), "failed")


def test_what_a_task_draws_is_no_target() -> None:
    assert not of(levels("task", "conformance.broken_tasks:Draws", "present"), "failed")


def test_a_copy_of_the_target_in_the_data_is_found_where_the_task_passes_it_on() -> None:
    from harness.conformance.target_leaks import _tells

    target = torch.tensor([2, 0, 1, 1, 3])
    assert _tells(7.0 - 2.0 * target, target, None)
    assert _tells(torch.eye(4)[target], target, None)
    assert not _tells(torch.arange(5.0), target, None)
    assert not _tells(torch.ones(5), target, None)
    scores, mask = torch.rand(2, 6), torch.arange(6) < torch.tensor([[6], [3]])
    assert _tells((3 * scores + 1).masked_fill(~mask, 9.0), scores, mask)
    assert not _tells(torch.rand(2, 6), scores, mask)


def test_a_task_that_no_output_can_satisfy_is_a_warning() -> None:
    found = levels("task", "conformance.broken_tasks:Garbled", "perfect_is_best")
    assert of(found, "warning") == {"perfect_is_best"}


def test_a_metric_that_chooses_checkpoints_must_be_shown() -> None:
    found = levels("task", "conformance.broken_tasks:OtherChoice", "metrics")
    assert "'misses', which is no metric" in found.told["metrics"]


def test_data_that_are_not_here_are_skipped_with_the_reason() -> None:
    found = levels("dataset", "conformance.broken_datasets:Missing", "opens")
    assert not of(found, "failed")
    assert found.told["opens"] == "made: there is no 'images.zip' (put it there)"


def test_what_is_held_as_it_is_in_batches_passes() -> None:
    found = levels("dataset", "conformance.broken_datasets:GoodHeld", "resident")
    assert not of(found, "failed")
    assert found.told["resident"] == "the same items as in batches: train, val, test"


def test_options_that_decide_the_data_are_in_the_fingerprint() -> None:
    found = levels("dataset", "conformance.broken_datasets:Seeded", "fingerprint")
    assert not of(found, "failed")
    assert found.told["fingerprint"].endswith("part of it: seed, part")
    found = levels("dataset", "conformance.broken_datasets:ForgetsSeed", "fingerprint")
    assert "with seed = 1, 'inputs' of item 0 of train is another, and the fingerprint is" in found.told["fingerprint"]


def test_a_file_that_cannot_be_read_behind_the_first_is_a_failure() -> None:
    found = levels("dataset", "conformance.broken_datasets:Damaged", "specs")
    assert found["opens"] == "passed"
    assert {"specs", "pure", "copies"} <= of(found, "failed")
    assert "DataError: made: the file is damaged" in found.told["specs"]


def test_every_check_is_shown_to_fail() -> None:
    assert {c.name for c in DATASET} == {name for name, _ in DATASETS}
    own = {c.name for c in MODEL} - {c.name for c in (*WEIGHTS, *COMPILERS)}  # these are shown by blocks
    assert own == {name for name, _ in MODELS} - {"state_dict"}
    assert {c.name for c in TASK} == {name for name, _ in TASKS}


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (torch.tensor([[True, True], [True, False], [True, True]]), False),  # a mask over time
        (torch.tensor([[1.0, 3.0], [4.0, 2.0], [0.0, 9.0]]), False),  # features that agree by chance
        (torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), True),
        (torch.tensor([[False, True], [True, False], [False, True]]), True),
    ],
)
def test_only_what_is_one_hot_of_the_target_tells_it(shown: torch.Tensor, told: bool) -> None:
    assert target_leaks._tells(shown, torch.tensor([1, 0, 1]), None) is told
