"""Optimisers and schedules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.discovery import load
from harness.errors import ConfigError

REGISTRY = load(third_party=False).registry
MODEL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def rates(name: str, steps: int = 100, per_epoch: int = 10, **options: object) -> list[float]:
    optimizer = torch.optim.SGD(MODEL.parameters(), lr=1.0)
    schedule = REGISTRY.build("schedule", name, optimizer, steps, per_epoch, **options)
    found = []
    for step in range(steps):
        schedule.step_update(step)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_cosine_follows_its_formula_from_the_rate_to_zero():
    got = torch.tensor(rates("cosine"))
    assert torch.allclose(got, 0.5 * (1 + torch.cos(torch.pi * torch.arange(100) / 100)), atol=1e-6)


def test_warm_up_is_linear_from_zero_and_counts_into_the_total():
    got = rates("cosine", warmup_epochs=2.0)
    assert got[:20] == pytest.approx([i / 20 for i in range(20)], abs=1e-6)
    assert got[20] == pytest.approx(1.0)
    assert got[-1] < 0.01


def test_one_cycle_peaks_once_and_ends_near_zero():
    got = rates("onecycle", peak=0.3)
    assert got.index(max(got)) == 30
    assert got[0] == 0
    assert got[-1] < 0.02


def test_step_and_constant_and_linear():
    got = rates("step", milestones=(5, 8))
    assert [got[0], got[49], got[50], got[80]] == pytest.approx([1, 1, 0.1, 0.01])
    assert set(rates("constant")) == {1.0}
    assert rates("linear")[50] == pytest.approx(0.5, abs=0.02)


def test_a_schedule_is_a_function_of_the_update_alone():
    optimizer = torch.optim.SGD(MODEL.parameters(), lr=1.0)
    schedule = REGISTRY.build("schedule", "cosine", optimizer, 100, 10, warmup_epochs=1.0)
    schedule.step_update(57)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(rates("cosine", warmup_epochs=1.0)[57])


def test_a_warm_up_that_leaves_nothing_is_refused():
    with pytest.raises(ConfigError, match="a warm-up of 10 epochs leaves nothing of 10 epochs"):
        rates("cosine", warmup_epochs=10.0)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_vectors_are_left_out_of_weight_decay_unless_asked(name: str):
    groups = REGISTRY.build("optimizer", name, MODEL, lr=0.1, weight_decay=0.01).param_groups
    assert {g["weight_decay"]: sum(p.numel() for p in g["params"]) for g in groups} == {0.0: 12, 0.01: 108}
    everything = REGISTRY.build("optimizer", name, MODEL, lr=0.1, weight_decay=0.01, decay_vectors=True).param_groups
    assert [g["weight_decay"] for g in everything] == [0.01]


def test_frozen_parameters_are_left_out():
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    groups = REGISTRY.build("optimizer", "sgd", model).param_groups
    assert sum(p.numel() for g in groups for p in g["params"]) == 4


def test_any_optimiser_of_timm_can_be_named_and_a_typo_is_suggested():
    assert REGISTRY.build("optimizer", "timm", MODEL, opt="lion", lr=1e-4).param_groups
    with pytest.raises(ConfigError, match="unknown opt 'lionn'"):
        REGISTRY.build("optimizer", "timm", MODEL, opt="lionn")


@pytest.mark.parametrize("options", [{"lr": 0.0}, {"lr": -1.0}, {"weight_decay": -0.1}])
def test_rates_out_of_range_are_refused(options: dict[str, float]):
    with pytest.raises(ConfigError, match="must"):
        REGISTRY.build("optimizer", "sgd", MODEL, **options)
