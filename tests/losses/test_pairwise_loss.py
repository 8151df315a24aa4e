"""The pairwise ranking loss: its definition pair by pair, gradients, ties, masks, errors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import harness_losses
from harness.errors import ConfigError
from harness.registry import Registry

REGISTRY = Registry("tests")
harness_losses.harness_register(REGISTRY)
VARIANTS: list[dict[str, Any]] = [{}, {"kind": "hinge"}, {"kind": "hinge", "margin": 0.3}]
every_variant = pytest.mark.parametrize("options", VARIANTS, ids=str)


def build(**options: Any) -> Any:
    return REGISTRY.get("loss", "pairwise_ranking").load()(**options)


def slow(x: Tensor, t: Tensor, mask: Tensor, kind: str = "logistic", margin: float = 1.0) -> float:
    """The definition, pair by pair."""
    means = []
    for row, wanted, real in zip(x.tolist(), t.tolist(), mask.tolist(), strict=True):
        costs = []
        for i in range(len(row)):
            for j in range(len(row)):
                if real[i] and real[j] and wanted[i] > wanted[j]:
                    gap = row[i] - row[j]
                    costs.append(math.log1p(math.exp(-gap)) if kind == "logistic" else max(0.0, margin - gap))
        if costs:
            means.append(sum(costs) / len(costs))
    return sum(means) / len(means)


@every_variant
def test_the_loss_is_its_written_definition(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    x, t = torch.randn(4, 9, dtype=torch.float64), torch.randint(0, 4, (4, 9)).double()
    t[3] = 2.0
    mask = torch.arange(9) < torch.tensor([[9], [6], [1], [9]])
    assert float(build(**options)(x, t, mask)) == pytest.approx(slow(x, t, mask, **options), abs=1e-12)


def test_the_logistic_kind_is_ranknet_cross_entropy_of_known_order() -> None:
    torch.manual_seed(0)
    x, t = torch.randn(1, 6, dtype=torch.float64), torch.arange(6.0).double()[None]
    i, j = torch.triu_indices(6, 6, 1)
    ranknet = F.binary_cross_entropy_with_logits(x[0, j] - x[0, i], torch.ones(15, dtype=torch.float64))
    torch.testing.assert_close(build()(x, t), ranknet)


def test_a_constant_prediction_costs_log_2_or_the_margin() -> None:
    x, t = torch.full((2, 5), 0.4), torch.rand(2, 5)
    assert float(build()(x, t)) == pytest.approx(math.log(2))
    assert float(build(kind="hinge", margin=0.7)(x, t)) == pytest.approx(0.7)


def test_hinge_asks_for_no_more_than_its_margin() -> None:
    x = torch.tensor([[0.0, 0.6, 1.2]], requires_grad=True)
    value = build(kind="hinge", margin=0.5)(x, torch.tensor([[0.1, 0.2, 0.9]]))
    value.backward()
    assert value.item() == 0.0
    assert (x.grad == 0).all()


@every_variant
def test_the_gradient_is_that_of_the_value(options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    t = torch.randint(0, 3, (3, 6)).double()
    mask = torch.arange(6) < torch.tensor([[6], [4], [0]])
    assert torch.autograd.gradcheck(lambda v: build(**options)(v, t, mask), (x,))


@every_variant
@pytest.mark.parametrize("filler", [0.0, 1e30, float("inf"), float("nan")])
def test_padding_never_matters_and_gets_no_gradient(options: dict[str, Any], filler: float) -> None:
    torch.manual_seed(2)
    x, t = torch.randn(2, 8), torch.rand(2, 8)
    mask = torch.arange(8) < torch.tensor([[8], [5]])
    padded = x.masked_fill(~mask, filler).requires_grad_()
    value = build(**options)(padded, t.masked_fill(~mask, filler), mask)
    value.backward()
    alone = (build(**options)(x[:1], t[:1]) + build(**options)(x[1:, :5], t[1:, :5])) / 2
    torch.testing.assert_close(value, alone)
    assert (padded.grad[~mask] == 0).all()
    assert torch.isfinite(padded.grad).all()
    assert (padded.grad[mask] != 0).any()


@every_variant
def test_without_any_pair_the_loss_and_its_gradient_are_0(options: dict[str, Any]) -> None:
    x = torch.randn(2, 4).requires_grad_()
    mask = torch.tensor([[True] * 4, [True] + [False] * 3])
    value = build(**options)(x, torch.full((2, 4), 0.5), mask)
    value.backward()
    assert value.item() == 0.0
    assert (x.grad == 0).all()


def test_bf16_logits_under_autocast_are_compared_in_float32() -> None:
    torch.manual_seed(3)
    x, t = torch.randn(2, 50).bfloat16(), torch.rand(2, 50)
    with torch.autocast("cpu", torch.bfloat16):
        value = build()(x, t)
    assert value.dtype == torch.float32
    assert torch.equal(value, build()(x.float(), t))


@every_variant
def test_a_prediction_that_is_no_number_is_not_hidden(options: dict[str, Any]) -> None:
    x = torch.randn(2, 6)
    x[0, 3] = math.nan
    assert build(**options)(x, torch.rand(2, 6)).isnan()


def test_a_registry_passes_its_kind_on_as_the_option_that_it_is() -> None:
    assert REGISTRY.build("loss", "pairwise_ranking", kind="hinge").kind == "hinge"


def test_it_expects_logits() -> None:
    assert build().expects == "logits"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "exponential"}, "kind is 'exponential'"),
        ({"kind": "hinge", "margin": 0.0}, "margin is 0"),
        ({"kind": "hinge", "margin": -1.0}, "margin is -1"),
        ({"kind": "hinge", "margin": math.inf}, "margin is inf"),
        ({"kind": "hinge", "margin": math.nan}, "margin is nan"),
        ({"margin": 0.5}, "kind 'logistic' has none"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        REGISTRY.get("loss", "pairwise_ranking").load()(**options)
