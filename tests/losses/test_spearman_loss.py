"""The rank correlation loss: agreement with scipy, gradients, ties, masks, what is left out, errors, and sums."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import rankdata, spearmanr
from torch import Tensor

import harness_losses
from harness.errors import ConfigError
from harness.registry import Registry

REGISTRY = Registry("tests")
harness_losses.harness_register(REGISTRY)


def build(name: str, **options: Any) -> Any:
    return REGISTRY.build("loss", name, **options)


def rho(x: Tensor, t: Tensor) -> float:
    return float(spearmanr(x.detach().numpy(), t.numpy())[0])


def scores(length: int, seed: int) -> tuple[Tensor, Tensor]:
    """A prediction [1, T] somewhat like its target [1, T], which has 20 levels, as annotations do."""
    draws = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 20, (1, length), generator=draws) / 20
    return 1.5 * target + torch.randn(1, length, generator=draws), target


def slow(x: list[float], t: list[float], temperature: float) -> float:
    """The definition, term by term."""
    values = torch.tensor(x, dtype=torch.float64)
    scale = temperature * values.std(correction=0)
    soft = [0.5 + sum(float(torch.sigmoid((a - b) / scale)) for b in values) for a in values]
    ranks = torch.tensor(rankdata(t))
    return 1.0 - float(torch.corrcoef(torch.stack([torch.tensor(soft, dtype=torch.float64), ranks]))[0, 1])


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 10.0])
def test_the_loss_is_its_written_definition(temperature: float) -> None:
    x, t = [0.3, -1.2, 0.31, 4.0, 0.3, 2.0], [0.1, 0.0, 0.5, 0.5, 0.2, 0.9]
    value = build("spearman", temperature=temperature)(torch.tensor([x]).double(), torch.tensor([t]).double())
    # tensors made of float32 literals: the reference reads the same rounded numbers
    wanted = slow(torch.tensor(x).tolist(), torch.tensor(t).tolist(), temperature)
    assert float(value) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("length", [2, 3, 60, 300, 1294])
def test_a_small_temperature_gives_the_correlation_of_scipy(length: int) -> None:
    torch.manual_seed(length)
    x = torch.linspace(-3, 5, length)[torch.randperm(length)][None]
    t = (torch.arange(length) % 7 / 7)[None]
    assert float(build("spearman", temperature=1e-5)(x, t)) == pytest.approx(1 - rho(x[0], t[0]), abs=1e-6)


def test_ties_in_prediction_and_target_share_their_ranks_as_in_scipy() -> None:
    x = torch.tensor([[0.2, 0.2, 0.9, 0.4, 0.9, 0.9, 0.1]])
    t = torch.tensor([[0.5, 0.1, 0.5, 0.5, 0.8, 0.0, 0.0]])
    assert float(build("spearman", temperature=1e-3)(x, t)) == pytest.approx(1 - rho(x[0], t[0]), abs=1e-6)


@pytest.mark.parametrize(("length", "error"), [(60, 2e-2), (300, 5e-3), (1294, 1e-3)])
def test_the_default_temperature_is_close_to_scipy(length: int, error: float) -> None:
    for seed in range(5):
        x, t = scores(length, seed)
        assert float(build("spearman")(x, t)) == pytest.approx(1 - rho(x[0], t[0]), abs=error)


def test_the_same_order_costs_0_and_the_opposite_one_2() -> None:
    t = torch.linspace(0, 1, 9)[None]
    sharp = build("spearman", temperature=1e-3)
    assert float(sharp(t**2, t)) == pytest.approx(0.0, abs=1e-6)
    assert float(sharp(-t, t)) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_the_gradient_is_that_of_the_value_with_ties_and_padding(temperature: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7, dtype=torch.float64)
    x[1, :3] = 0.25
    x.requires_grad_()
    t = torch.randint(0, 4, (3, 7)).double()
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[0, 5:] = False
    mask[2, 1:] = False
    loss = build("spearman", temperature=temperature)
    assert torch.autograd.gradcheck(lambda v: loss(v, t, mask), (x,))


@pytest.mark.parametrize("scale", [1e-25, 1e-6, 1.0, 1e6, 1e25])
def test_scale_and_offset_change_nothing_and_are_not_rewarded(scale: float) -> None:
    x, t = scores(40, 0)
    plain = build("spearman")(x, t)
    moved = ((x + 3.0) * scale).requires_grad_()
    value = build("spearman")(moved, t)
    value.backward()
    torch.testing.assert_close(value, plain, rtol=0.0, atol=1e-5)
    gradient = moved.grad * scale
    assert gradient.norm() > 1e-3
    assert abs(float((gradient * x).sum())) < 1e-4 * float(gradient.norm() * x.norm())
    assert abs(float(gradient.sum())) < 1e-5


@pytest.mark.parametrize("filler", [0.0, 1e30, float("inf"), float("nan")])
def test_padding_never_matters_and_gets_no_gradient(filler: float) -> None:
    parts = [scores(length, length) for length in (9, 14, 5)]
    x, t = torch.full((3, 14), filler), torch.full((3, 14), filler)
    mask = torch.zeros(3, 14, dtype=torch.bool)
    for i, (a, b) in enumerate(parts):
        # real entries need not come first
        mask[i, -a.shape[1] :] = True
        x[i, mask[i]], t[i, mask[i]] = a[0], b[0]
    x.requires_grad_()
    value = build("spearman")(x, t, mask)
    value.backward()
    alone = torch.stack([build("spearman")(a, b) for a, b in parts]).mean()
    torch.testing.assert_close(value, alone, rtol=0.0, atol=1e-6)
    assert (x.grad[~mask] == 0).all()
    assert torch.isfinite(x.grad).all()
    assert (x.grad[mask] != 0).any()


def test_items_without_a_rank_correlation_are_left_out_of_the_mean() -> None:
    x, t = scores(12, 0)
    rows = torch.cat([x, x.flip(1), x, x]).requires_grad_()
    targets = torch.cat([t, torch.full_like(t, 0.3), t, t])
    mask = torch.ones(4, 12, dtype=torch.bool)
    mask[2, 1:] = False
    mask[3] = False
    value = build("spearman")(rows, targets, mask)
    value.backward()
    torch.testing.assert_close(value, build("spearman")(x, t), rtol=0.0, atol=1e-6)
    assert (rows.grad[1:] == 0).all()
    assert (rows.grad[0] != 0).any()


def test_a_batch_without_any_such_item_costs_nothing_and_has_no_gradient() -> None:
    x = torch.randn(2, 6).requires_grad_()
    mask = torch.tensor([[True] * 6, [True] + [False] * 5])
    value = build("spearman")(x, torch.full((2, 6), 0.7), mask)
    value.backward()
    assert value.item() == 0.0
    assert (x.grad == 0).all()


@pytest.mark.parametrize("level", [0.0, 0.3, -1e6])
def test_a_constant_prediction_costs_1_and_is_drawn_towards_the_order_of_the_target(level: float) -> None:
    x = torch.full((1, 70), level, requires_grad=True)
    t = torch.rand(1, 70)
    value = build("spearman")(x, t)
    value.backward()
    assert value.item() == pytest.approx(1.0, abs=1e-6)
    assert 0.1 < float(x.grad.norm()) < 10.0
    assert rho(-x.grad[0], t[0]) == pytest.approx(1.0)


def test_bf16_predictions_under_autocast_are_ranked_in_float32() -> None:
    x, t = scores(300, 1)
    x = x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = build("spearman")(x, t)
    assert value.dtype == torch.float32
    assert torch.equal(value, build("spearman")(x.float(), t))


def test_a_prediction_that_is_no_number_is_not_hidden() -> None:
    x, t = scores(20, 0)
    x[0, 7] = float("nan")
    assert build("spearman")(torch.cat([x, t]), torch.cat([t, t])).isnan()


def test_one_square_matrix_an_item_is_kept_for_the_backward_pass() -> None:
    kept: dict[int, int] = {}

    def keep(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return saved

    x, t = torch.randn(2, 200, requires_grad=True), torch.rand(2, 200)
    mask = torch.arange(200) < torch.tensor([[200], [150]])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        value = build("spearman")(x, t, mask)
    value.backward()
    square = 2 * 200 * 200 * 4
    assert square <= sum(kept.values()) < 1.2 * square


def test_descent_on_it_finds_the_order_of_the_target() -> None:
    torch.manual_seed(0)
    x, t = torch.zeros(2, 30, requires_grad=True), torch.rand(2, 30)
    optimiser = torch.optim.Adam([x], lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        build("spearman")(x, t).backward()
        optimiser.step()
    assert min(rho(a, b) for a, b in zip(x, t, strict=True)) > 0.98


@pytest.mark.parametrize("name", ["spearman", "mse", "bce"])
def test_losses_of_scores_can_be_summed_over_masked_sequences(name: str) -> None:
    options = {"inputs": "unit"} if name == "bce" else {}
    loss = build(name, **options)
    assert loss.expects == "unit"
    torch.manual_seed(0)
    x, t = torch.rand(2, 8), torch.rand(2, 8)
    mask = torch.arange(8) < torch.tensor([[8], [5]])
    padded = x.masked_fill(~mask, float("nan")).requires_grad_()
    value = loss(padded, t, mask)
    value.backward()
    torch.testing.assert_close(value, loss(x, t, mask))
    assert value.shape == ()
    assert (padded.grad[~mask] == 0).all()
    assert (padded.grad[mask] != 0).all()


def test_inputs_say_what_the_output_is_read_as() -> None:
    assert build("spearman").expects == "unit"
    assert build("spearman", inputs="logits").expects == "logits"


@pytest.mark.parametrize("temperature", [0.0, -0.1, 1e-7, 11.0, float("nan"), float("inf")])
def test_a_temperature_outside_its_range_is_refused(temperature: float) -> None:
    with pytest.raises(ConfigError, match="loss 'spearman': temperature is"):
        REGISTRY.get("loss", "spearman").load()(temperature=temperature)


def test_unknown_inputs_are_refused() -> None:
    with pytest.raises(ConfigError, match="inputs is 'scores'"):
        REGISTRY.get("loss", "spearman").load()(inputs="scores")


@pytest.mark.parametrize(
    ("output", "target", "mask", "message"),
    [
        ((2, 5), (2, 4), None, "does not fit output"),
        ((2, 5), (2, 5), (2, 4), "does not fit values"),
        ((5,), (5,), None, r"sequences \[B, T\]"),
        ((2, 5, 1), (2, 5, 1), None, r"sequences \[B, T\]"),
        ((2, 0), (2, 0), None, r"sequences \[B, T\]"),
    ],
)
@pytest.mark.parametrize("name", ["spearman", "pairwise_ranking"])
def test_shapes_that_do_not_fit_are_refused(name: str, output: Any, target: Any, mask: Any, message: str) -> None:
    real = None if mask is None else torch.ones(mask, dtype=torch.bool)
    with pytest.raises(ConfigError, match=message):
        build(name)(torch.zeros(output), torch.zeros(target), real)
