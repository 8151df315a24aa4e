"""The ledger of the loss: norms, shares and cosines against autograd by hand, and balancing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.ledger import Ledger, balanced, gradients_gram


@pytest.fixture
def model() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def terms(model: nn.Linear) -> list[torch.Tensor]:
    x = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.8, -1.0]])
    y = model(x)
    return [y.square().mean(), 100 * y.abs().mean(), (y - 1).square().sum()]


def flat(model: nn.Linear, value: torch.Tensor) -> torch.Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()))])


def test_the_gram_matrix_is_that_of_the_gradients_taken_one_by_one(model: nn.Linear):
    gradients = torch.stack([flat(model, terms(model)[i]) for i in range(3)]).double()
    found = gradients_gram(terms(model), list(model.parameters()))
    assert torch.allclose(found, gradients @ gradients.T, rtol=1e-6)


def test_shares_add_up_to_one_and_cosines_are_those_of_the_gradients(model: nn.Linear):
    ledger = Ledger(["a", "b", "c"], [1.0, 0.1, 2.0], balance=False, steps=1)
    ledger.begin_epoch()
    ledger.observe(0, terms(model), model)
    values = ledger.values()
    assert sum(values[f"ledger/{k}/share"] for k in "abc") == pytest.approx(1)
    a, b = (flat(model, terms(model)[i]) for i in (0, 1))
    assert values["ledger/a~b/cosine"] == pytest.approx(float(a @ b / (a.norm() * b.norm())), abs=1e-6)
    assert values["ledger/b/norm"] == pytest.approx(0.1 * float(b.norm()), rel=1e-6)
    assert values["ledger/c/weight"] == 2.0


def test_the_total_is_the_weighted_sum_and_its_graph_outlives_the_measurement(model: nn.Linear):
    ledger = Ledger(["a", "b", "c"], [1.0, 0.1, 2.0], balance=False, steps=1)
    found = terms(model)
    ledger.observe(0, found, model)
    total = ledger.total(found)
    assert total.item() == pytest.approx((found[0] + 0.1 * found[1] + 2 * found[2]).item())
    torch.autograd.backward(total)
    assert model.weight.grad is not None


def test_balanced_terms_pull_in_proportion_to_their_coefficients(model: nn.Linear):
    ledger = Ledger(["a", "b", "c"], [1.0, 1.0, 2.0], balance=True, steps=1)
    ledger.observe(0, terms(model), model)
    values = ledger.values()
    assert [values[f"ledger/{k}/share"] for k in "abc"] == pytest.approx([0.25, 0.25, 0.5])


def test_balancing_keeps_the_sum_of_the_weighted_norms_and_spares_a_term_without_gradient():
    factors = balanced([1.0, 3.0, 2.0], [4.0, 0.5, 0.0])
    assert factors[0] * 4 + factors[1] * 0.5 == pytest.approx(1 * 4 + 3 * 0.5)
    assert factors[2] == 2.0
    assert balanced([1.0, 2.0], [0.0, 0.0]) == [1.0, 2.0]


def test_a_term_that_is_flat_at_one_update_does_not_rule_the_next_ones():
    assert max(balanced([1.0, 1.0], [1.0, 1e-9])) <= 100


def test_four_updates_of_an_epoch_are_measured_the_first_among_them(model: nn.Linear):
    ledger = Ledger(["a", "b", "c"], [1.0, 1.0, 1.0], balance=False, steps=10)
    seen = []
    for step in range(10):
        before = len(ledger._seen["a/norm"])
        ledger.observe(step, terms(model), model)
        seen += [step] if len(ledger._seen["a/norm"]) > before else []
    assert seen == [0, 2, 5, 8]


def test_one_term_alone_is_not_measured(model: nn.Linear):
    ledger = Ledger(["a"], [0.5], balance=True, steps=10)
    ledger.observe(0, terms(model)[:1], model)
    assert not ledger.active
    assert ledger.values() == {}
    assert ledger.factors == [0.5]


def test_a_term_that_reaches_no_weight_has_no_share_and_no_cosine(model: nn.Linear):
    ledger = Ledger(["a", "b"], [1.0, 1.0], balance=False, steps=1)
    ledger.observe(0, [terms(model)[0], torch.tensor(3.0)], model)
    values = ledger.values()
    assert values["ledger/b/share"] == 0.0
    assert "ledger/a~b/cosine" not in values
