"""Costs against published and independent numbers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from harness import measure
from harness.contracts import IO, Spec
from harness.discovery import load
from harness.loading import Loader

REGISTRY = load(third_party=False).registry
CIFAR = IO({"inputs": Spec("CHW", (3, 32, 32), "uint8")}, {"logits": Spec("K", (10,), "float32")})


@pytest.mark.parametrize(
    ("name", "options", "parameters", "gmacs"),
    [
        ("resnet20", {}, 269_722, 0.04055),
        ("timm", {"arch": "resnet18", "stem": "cifar"}, 11_173_962, 0.555),
        ("timm", {"arch": "resnet50", "stem": "cifar"}, 23_520_842, 1.298),
        ("timm", {"arch": "resnet50"}, 23_528_522, 0.0834),
    ],
)
def test_parameters_and_macs_of_the_resnets_are_the_published_ones(
    name: str, options: dict[str, str], parameters: int, gmacs: float
):
    model = REGISTRY.build("model", name, CIFAR, **options)
    assert measure.parameters(model)["parameters"] == parameters
    assert measure.macs(model, CIFAR, "cpu") / 1e9 == pytest.approx(gmacs, rel=0.01)
    assert model.training


def test_latency_is_measured_in_turn_and_orders_a_small_and_a_large_model():
    class Heads(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, width), nn.Linear(width, 3072))

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.layers(batch["inputs"])

    found = measure.latency({"small": (Heads(4), CIFAR), "large": (Heads(4096), CIFAR)}, "cpu", rounds=8)
    assert found["small"]["median_ms"] < found["large"]["median_ms"]
    assert found["small"]["low_ms"] <= found["small"]["median_ms"] <= found["small"]["high_ms"]
    assert found["small"]["rounds"] == 8


def test_rounds_are_fewer_within_a_budget_and_each_model_has_its_own_batch():
    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[int] = []

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            self.seen.append(len(batch["inputs"]))
            time.sleep(0.01)
            return batch["inputs"]

    models = {"a": (Slow(), CIFAR), "b": (Slow(), CIFAR)}
    found = measure.latency(models, "cpu", {"a": 3, "b": 4}, rounds=40, warmup=1, budget=0.0)
    assert {key: row["rounds"] for key, row in found.items()} == {"a": measure.LEAST_ROUNDS, "b": measure.LEAST_ROUNDS}
    assert [models["a"][0].seen, models["b"][0].seen] == [[3] * 6, [4] * 6]
    assert (found["a"]["batch"], found["b"]["batch"]) == (3, 4)
    assert found["a"]["median_ms"] >= 10
    assert found["a"]["memory"] is None, "a process's peak belongs to no single model"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_memory_of_inference_is_that_of_one_model_alone():
    class Linear(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layer = nn.Linear(3072, width)

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.layer(batch["inputs"].flatten(1))

    alone = measure.latency({"a": (Linear(4096), CIFAR)}, "cuda:0", 64, 5)["a"]["memory"]
    beside = measure.latency({"a": (Linear(4096), CIFAR), "b": (Linear(8), CIFAR)}, "cuda:0", 64, 5)
    least = 4 * (3072 * 4096 + 4096 + 64 * 3072 + 64 * 4096)
    assert least <= alone < 1.5 * least
    assert beside["a"]["memory"] == pytest.approx(alone, rel=0.05)
    assert beside["b"]["memory"] < alone / 5


def test_peak_memory_sees_what_is_allocated_and_freed():
    memory = measure.PeakMemory("cpu")
    memory.start()
    before = memory.read()
    if before is None:
        pytest.skip("this system does not tell the peak memory of a process")
    del (block := [np.ones(40_000_000)])[0]
    after = memory.read()
    assert block == []
    assert after is not None
    assert after - before > 2e8


class Rows:
    """A split of ten rows that is either held in memory or drawn batch by batch."""

    lengths = None

    def __init__(self, resident: bool) -> None:
        self.ids = [str(i) for i in range(10)]
        self._resident = resident
        self._data = np.arange(10, dtype=np.uint8)[:, None]

    def __len__(self) -> int:
        return 10

    def resident(self) -> dict[str, np.ndarray] | None:
        return {"inputs": self._data} if self._resident else None

    def batch(self, index: list[int], draw: int) -> dict[str, torch.Tensor]:
        return {"inputs": torch.from_numpy(self._data[index]), "index": torch.tensor(index)}


@pytest.mark.parametrize(("resident", "processes"), [(True, 0), (False, 0), (False, 2)])
def test_order_is_the_same_from_memory_and_from_worker_processes(resident: bool, processes: int):
    loader = Loader(Rows(resident), "cpu", batch_size=3, seed=5, processes=processes)
    order = [b["index"].tolist() for b in loader.training(1)]
    expected = Loader(Rows(True), "cpu", batch_size=3, seed=5)
    assert order == [b["index"].tolist() for b in expected.training(1)]
    assert order != [b["index"].tolist() for b in expected.training(2)]
    assert loader.steps == len(order) == 3, "a last batch of one is left out of training"
    assert torch.cat([b["inputs"][:, 0] for b in loader.evaluation()]).tolist() == list(range(10))


def test_data_on_the_cpu_is_used_where_it_lies(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros((10, 1), np.uint8))
    split = Rows(True)
    split._data = np.load(tmp_path / "a.npy", mmap_mode="r")
    loader = Loader(split, "cpu", 4, 0)
    assert loader._resident is not None
    assert loader._resident["inputs"].data_ptr() == split._data.ctypes.data
