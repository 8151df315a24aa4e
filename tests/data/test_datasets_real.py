"""The real data sets, where HARNESS_DATA has them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from harness.data import status, verify_all
from harness_datasets.cifar import Cifar10
from harness_datasets.mnist import Mnist


@pytest.mark.data
def test_real_cifar10_is_described_in_no_time_the_second_time(real_data: Path) -> None:
    if status(Cifar10, real_data).state != "ready":
        pytest.skip("no CIFAR-10 below HARNESS_DATA")
    first = Cifar10.describe(real_data)
    start = time.perf_counter()
    again = Cifar10.describe(real_data)
    assert time.perf_counter() - start < 0.05
    assert again == first
    assert first.sizes == {"train": 45000, "val": 5000, "test": 10000}


@pytest.mark.data
def test_real_cifar10_has_the_published_statistics(real_data: Path) -> None:
    if status(Cifar10, real_data).state != "ready":
        pytest.skip("no CIFAR-10 below HARNESS_DATA")
    data = Cifar10(real_data)
    images = np.asarray(data._splits["test"]._arrays["train.inputs"])
    levels = [np.bincount(images[:, c].ravel(), minlength=256) / (50000 * 1024) for c in range(3)]
    values = np.arange(256) / 255
    mean = [float(share @ values) for share in levels]
    std = [float(np.sqrt(share @ values**2 - m**2)) for share, m in zip(levels, mean, strict=True)]
    assert mean == pytest.approx(Cifar10.statistics[0], abs=1e-4)
    assert std == pytest.approx(Cifar10.statistics[1], abs=1e-4)
    test = data.split("test")
    assert np.bincount(test.batch(range(10000), 0)["target"].numpy()).tolist() == [1000] * 10
    assert test.batch(range(10), 0)["target"].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]


@pytest.mark.data
def test_real_mnist_is_the_official_one(real_data: Path) -> None:
    if status(Mnist, real_data).state != "ready":
        pytest.skip("no MNIST below HARNESS_DATA")
    assert {c.state for c in verify_all(Mnist, real_data)} == {"ok"}
    info = Mnist.describe(real_data)
    assert info.notes == ()
    assert info.sizes == {"train": 55000, "val": 5000, "test": 10000}
    assert [f.size for f in Mnist.files()] == [f.place(real_data).stat().st_size for f in Mnist.files()]
    data = Mnist(real_data)
    assert data.split("test").batch(range(5), 0)["target"].tolist() == [7, 2, 1, 0, 4]
    images = np.asarray(data._splits["test"]._arrays["train.inputs"])
    assert images.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
