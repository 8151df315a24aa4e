"""The classification task against independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from harness.contracts import DatasetInfo, Items, Spec
from harness.errors import ConfigError
from harness.tasks.classification import Classification

K = 7
INFO = DatasetInfo("x", {"inputs": Spec("CHW", (3, 8, 8), "uint8")}, {"test": 500}, tuple("abcdefg"))


@pytest.fixture
def task() -> Classification:
    task = Classification()
    task.io(INFO)
    return task


@pytest.fixture
def logits() -> torch.Tensor:
    return 2 * torch.randn(500, K, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def target(logits: torch.Tensor) -> torch.Tensor:
    noisy = logits + 2 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    return noisy.argmax(1)


def measure(task: Classification, logits: torch.Tensor, target: torch.Tensor) -> Items:
    return task.measure({"logits": logits}, {"target": target, "index": torch.arange(len(target))}, [])


def test_metrics_equal_torchmetrics_and_sklearn(task: Classification, logits: torch.Tensor, target: torch.Tensor):
    got = task.summarise(measure(task, logits, target))
    for k, name in ((1, "top1"), (5, "top5")):
        expected = multiclass_accuracy(logits, target, K, average="micro", top_k=k)
        assert got[name] == pytest.approx(float(expected), abs=1e-6)
    assert got["cross_entropy"] == pytest.approx(float(F.cross_entropy(logits, target)), abs=1e-6)
    calibration = multiclass_calibration_error(logits.softmax(1), target, K, n_bins=15, norm="l1")
    assert got["ece"] == pytest.approx(float(calibration), abs=1e-6)
    f1 = precision_recall_fscore_support(target, logits.argmax(1), average="macro", zero_division=0)[2]
    assert got["macro_f1"] == pytest.approx(f1, abs=1e-9)


def test_figures_hold_the_per_class_report_and_the_confusion_matrix(
    task: Classification, logits: torch.Tensor, target: torch.Tensor
):
    table, matrix = task.figures(measure(task, logits, target))
    expected = np.stack(precision_recall_fscore_support(target, logits.argmax(1), labels=range(K), zero_division=0))
    np.testing.assert_allclose(table.data["values"], expected.T, atol=1e-9)
    counts = confusion_matrix(target, logits.argmax(1), labels=range(K), normalize="true")
    np.testing.assert_allclose(matrix.data["values"], counts, atol=1e-9)
    assert table.data["rows"].tolist() == list("abcdefg")


def test_a_constant_output_earns_nothing_by_the_order_of_its_classes(task: Classification):
    items = measure(task, torch.zeros(10, K), torch.zeros(10, dtype=torch.int64))
    assert task.summarise(items)["top1"] == 0
    assert task.summarise(items)["top5"] == 0


def test_logits_that_are_no_numbers_count_as_wrong(task: Classification):
    got = task.summarise(measure(task, torch.full((10, K), float("nan")), torch.zeros(10, dtype=torch.int64)))
    assert got["top1"] == got["top5"] == 0


def test_a_perfect_prediction_scores_best(task: Classification, target: torch.Tensor):
    got = task.summarise(measure(task, 100.0 * F.one_hot(target, K), target))
    assert got["top1"] == got["top5"] == got["macro_f1"] == 1
    assert got["cross_entropy"] == pytest.approx(0, abs=1e-6)
    assert got["ece"] == pytest.approx(0, abs=1e-6)


def test_the_floor_is_the_majority_class(task: Classification):
    class Three:
        ids = ("a", "b", "c")

        def resident(self) -> dict[str, np.ndarray]:
            return {"target": np.array([2, 2, 0])}

    floor = task.summarise(task.floors(Three())["majority"])
    assert floor["top1"] == pytest.approx(2 / 3)
    assert floor["cross_entropy"] == pytest.approx(-(2 * math.log(2 / 3) + math.log(1 / 3)) / 3, abs=1e-6)


def test_numbers_that_cannot_be_true_are_named(task: Classification):
    assert task.identities({"top1": 0.9, "top5": 0.99}) == []
    assert task.identities({"top1": 0.9, "top5": 0.8}) == ["top-1 accuracy cannot exceed top-5 accuracy"]
    assert task.identities({"ece": 92.1}) == ["ece of 9210.00 % is outside 0 to 100 %"]


def test_a_dataset_without_classes_is_refused():
    with pytest.raises(ConfigError, match="needs a dataset with classes"):
        Classification().io(DatasetInfo("x", {}, {}))
