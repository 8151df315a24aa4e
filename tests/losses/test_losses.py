"""The losses of classification: numbers worked out by hand, gradients, masks, batches, errors."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import timm.loss
import torch
from torch import Tensor
from torch.nn import functional as F

import harness_losses
from harness.errors import ConfigError
from harness.registry import Registry

REGISTRY = Registry("tests")
harness_losses.harness_register(REGISTRY)
VARIANTS = [
    ("cross_entropy", {}),
    ("cross_entropy", {"label_smoothing": 0.1}),
    ("bce", {}),
    ("bce", {"label_smoothing": 0.1}),
    ("bce", {"inputs": "unit"}),
    ("bce", {"inputs": "unit", "label_smoothing": 0.1}),
]
every_variant = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
TARGET = torch.tensor([0, 2, 1, 2, 0, 3])


def build(name: str, **options: Any) -> Any:
    return REGISTRY.build("loss", name, **options)


def outputs(loss: Any, rows: int = 6, classes: int = 4) -> Tensor:
    """Random logits, or values strictly between 0 and 1 where the loss expects those."""
    torch.manual_seed(0)
    z = torch.randn(rows, classes, dtype=torch.float64)
    return z if loss.expects == "logits" else z.sigmoid()


def close(a: Tensor, b: Tensor | float, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype), rtol=0.0, atol=atol)


def test_cross_entropy_of_two_rows_worked_out_by_hand() -> None:
    output = torch.log(torch.tensor([[1.0, 2.0, 1.0], [5.0, 1.0, 2.0]], dtype=torch.float64))
    value = build("cross_entropy")(output, torch.tensor([1, 2]))
    close(value, (math.log(4 / 2) + math.log(8 / 2)) / 2)  # probabilities 2/4 and 2/8


def test_label_smoothing_of_cross_entropy_worked_out_by_hand() -> None:
    output = torch.log(torch.tensor([[1.0, 2.0, 1.0]], dtype=torch.float64))
    value = build("cross_entropy", label_smoothing=0.3)(output, torch.tensor([1]))
    close(value, -(0.8 * math.log(1 / 2) + 0.1 * math.log(1 / 4) + 0.1 * math.log(1 / 4)))


def test_equal_logits_cost_log_k_nats() -> None:
    close(build("cross_entropy")(torch.zeros(5, 10, dtype=torch.float64), torch.arange(5)), math.log(10))
    close(build("bce")(torch.zeros(5, 10, dtype=torch.float64), torch.arange(5)), math.log(2))


@pytest.mark.parametrize("inputs", ["logits", "unit"])
def test_bce_of_class_indices_asks_one_against_the_rest(inputs: str) -> None:
    p = torch.tensor([[0.5, 0.25, 0.2], [0.1, 0.6, 0.75]], dtype=torch.float64)
    value = build("bce", inputs=inputs)(p.logit() if inputs == "logits" else p, torch.tensor([0, 2]))
    elements = [0.5, 0.75, 0.8, 0.9, 0.4, 0.75]  # the probability that each yes-or-no question is answered rightly
    close(value, -sum(math.log(v) for v in elements) / 6)


@pytest.mark.parametrize("inputs", ["logits", "unit"])
def test_bce_of_soft_targets_worked_out_by_hand(inputs: str) -> None:
    p = torch.tensor([[0.2, 0.7]], dtype=torch.float64)
    value = build("bce", inputs=inputs)(p.logit() if inputs == "logits" else p, torch.tensor([[0.4, 1.0]]).double())
    close(value, -(0.4 * math.log(0.2) + 0.6 * math.log(0.8) + math.log(0.7)) / 2, atol=1e-8)


def test_label_smoothing_of_bce_worked_out_by_hand() -> None:
    p = torch.tensor([[0.2, 0.7]], dtype=torch.float64)
    loss = build("bce", inputs="unit", label_smoothing=0.2)
    indices = -(0.1 * math.log(0.2) + 0.9 * math.log(0.8) + 0.9 * math.log(0.7) + 0.1 * math.log(0.3)) / 2
    close(loss(p, torch.tensor([1])), indices)  # e / K and 1 - e + e / K with K = 2
    dense = -(0.1 * math.log(0.2) + 0.9 * math.log(0.8) + 0.5 * math.log(0.7) + 0.5 * math.log(0.3)) / 2
    close(loss(p, torch.tensor([[0.0, 0.5]], dtype=torch.float64)), dense)  # t (1 - e) + e / 2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_bce_equals_timms(smoothing: float) -> None:
    loss = build("bce", label_smoothing=smoothing)
    close(loss(outputs(loss), TARGET), timm.loss.BinaryCrossEntropy(smoothing)(outputs(loss), TARGET))


def test_bce_of_unit_values_equals_torchs_away_from_0_and_1() -> None:
    loss = build("bce", inputs="unit")
    p, t = outputs(loss), torch.rand(6, 4, dtype=torch.float64)
    close(loss(p, t), F.binary_cross_entropy(p, t))


def test_bce_of_unit_values_equals_bce_of_their_logits() -> None:
    unit, logits = build("bce", inputs="unit"), build("bce")
    close(unit(outputs(logits).sigmoid(), TARGET), logits(outputs(logits), TARGET))


def test_wrong_certainty_in_unit_values_costs_16_nats_and_no_infinity() -> None:
    p = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
    value = build("bce", inputs="unit")(p, torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64))
    close(value, -math.log(1e-7) / 2, atol=1e-6)
    value.backward()
    assert torch.equal(p.grad, torch.zeros(4, dtype=torch.float64))
    in_float32 = build("bce", inputs="unit")(p.detach().float(), torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert 15 < float(in_float32) * 2 < 16.2


def test_huge_logits_stay_finite() -> None:
    z = torch.tensor([[1e4, -1e4]])
    assert float(build("bce")(z, torch.tensor([1]))) == 1e4
    assert float(build("cross_entropy")(z, torch.tensor([1]))) == 2e4


@every_variant
def test_gradients_equal_finite_differences(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    output = outputs(loss).requires_grad_()
    mask = torch.tensor([True, False, True, True, False, True])
    assert torch.autograd.gradcheck(lambda z: loss(z, TARGET), (output,))
    assert torch.autograd.gradcheck(lambda z: loss(z, TARGET, mask), (output,))


def test_gradients_of_dense_bce_equal_finite_differences() -> None:
    for inputs in ("logits", "unit"):
        loss = build("bce", inputs=inputs)
        output, target = outputs(loss).requires_grad_(), torch.rand(6, 4, dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda z, loss=loss, target=target: loss(z, target), (output,))


@every_variant
def test_masked_items_count_as_if_they_were_not_there(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    mask = torch.tensor([True, False, True, True, False, False])
    masked, alone = outputs(loss).requires_grad_(), outputs(loss)[mask].clone().requires_grad_()
    value, expected = loss(masked, TARGET, mask), loss(alone, TARGET[mask])
    close(value, expected.detach())
    value.backward()
    expected.backward()
    close(masked.grad[mask], alone.grad)
    assert torch.equal(masked.grad[~mask], torch.zeros(3, 4, dtype=torch.float64))


@every_variant
def test_padding_may_hold_anything(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    mask = torch.tensor([True, True, False, True, False, True])
    clean = loss(outputs(loss), TARGET, mask)
    dirty = outputs(loss)
    dirty[2], dirty[4] = math.nan, math.inf
    dirty.requires_grad_()
    target = TARGET.masked_fill(~mask, -100)
    value = loss(dirty, target, mask)
    assert torch.equal(value, clean)
    value.backward()
    assert torch.isfinite(dirty.grad).all()
    assert torch.equal(dirty.grad[~mask], torch.zeros(2, 4, dtype=torch.float64))


@every_variant
def test_a_mask_of_ones_changes_nothing_and_an_empty_one_gives_0(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    close(loss(outputs(loss), TARGET, torch.ones(6, dtype=torch.bool)), loss(outputs(loss), TARGET))
    output = outputs(loss).requires_grad_()
    nothing = loss(output, TARGET, torch.zeros(6, dtype=torch.bool))
    nothing.backward()
    assert nothing == 0
    assert torch.equal(output.grad, torch.zeros_like(output))


@pytest.mark.parametrize("inputs", ["logits", "unit"])
def test_a_mask_over_frames_spreads_over_the_axes_behind_it(inputs: str) -> None:
    torch.manual_seed(0)
    loss = build("bce", inputs=inputs)
    p, target = torch.rand(2, 3, 4, 5).double(), torch.rand(2, 3, 4, 5).double()
    output = p.logit() if inputs == "logits" else p
    mask = torch.tensor([[True, True, False], [True, False, False]])
    close(loss(output, target, mask), loss(output[mask], target[mask]))
    target[~mask] = math.nan
    close(loss(output, target, mask), loss(output[mask], target[mask]))


@pytest.mark.parametrize("inputs", ["logits", "unit"])
def test_a_mask_of_single_elements_works_for_class_indices_too(inputs: str) -> None:
    loss = build("bce", inputs=inputs)
    mask = torch.rand(6, 4, generator=torch.Generator().manual_seed(1)) > 0.4
    hot = F.one_hot(TARGET, 4).double()
    output = outputs(loss)
    close(loss(output, TARGET, mask), loss(output[mask], hot[mask]))


@every_variant
def test_the_loss_of_a_batch_is_the_mean_over_its_parts(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    output = outputs(loss)
    whole = loss(output, TARGET)
    close(torch.stack([loss(output[i : i + 2], TARGET[i : i + 2]) for i in (0, 2, 4)]).mean(), whole)
    close(loss(output.repeat(3, 1), TARGET.repeat(3)), whole)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    close(loss(output[order], TARGET[order]), whole)


@every_variant
def test_a_better_prediction_costs_less(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    hot = F.one_hot(TARGET, 4).double()
    rising = [(hot * 2 - 1) * strength for strength in (-2.0, -1.0, 0.0, 1.0, 2.0)]
    costs = [float(loss(z if loss.expects == "logits" else z.sigmoid(), TARGET)) for z in rising]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == len(costs)


@every_variant
def test_the_loss_is_one_float32_number_under_autocast(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    output = outputs(loss).float().requires_grad_()
    expected = float(loss(output.detach(), TARGET))
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(output, TARGET, torch.ones(6, dtype=torch.bool))
    assert value.shape == ()
    assert value.dtype == torch.float32
    close(value.detach(), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
@every_variant
def test_class_indices_of_any_integer_type_serve(name: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    loss = build(name, **options)
    assert torch.equal(loss(outputs(loss), TARGET.to(dtype)), loss(outputs(loss), TARGET))


def test_integer_targets_of_every_element_are_no_class_indices() -> None:
    loss = build("bce")
    hot = F.one_hot(TARGET, 4)
    assert torch.equal(loss(outputs(loss), hot), loss(outputs(loss), hot.double()))


def test_expects_follows_the_option() -> None:
    assert build("cross_entropy").expects == "logits"
    assert build("bce").expects == "logits"
    assert build("bce", inputs="unit").expects == "unit"


@pytest.mark.parametrize("name", ["cross_entropy", "bce"])
@pytest.mark.parametrize("value", [-0.1, 1.0, 2.0, math.nan])
def test_label_smoothing_outside_0_to_1_is_an_error(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"loss '{name}': label_smoothing is"):
        build(name, label_smoothing=value)


def test_unknown_inputs_are_an_error() -> None:
    with pytest.raises(ConfigError, match="inputs is 'probabilities'"):
        REGISTRY.get("loss", "bce").load()(inputs="probabilities")


@pytest.mark.parametrize(
    ("name", "output", "target", "words"),
    [
        ("cross_entropy", (6, 4), torch.zeros(6, 4), "float32"),
        ("cross_entropy", (6, 4), torch.zeros(6), "float32"),
        ("cross_entropy", (6, 4), torch.zeros(5, dtype=torch.int64), r"\[6, 4\] and torch.int64 \[5\]"),
        ("cross_entropy", (6,), torch.zeros(6, dtype=torch.int64), "one class index an item"),
        ("bce", (6, 4), torch.zeros(6), r"float32 \[6\] does not fit output \[6, 4\]"),
        ("bce", (6, 4), torch.zeros(5, dtype=torch.int64), r"int64 \[5\] does not fit output \[6, 4\]"),
    ],
)
def test_targets_that_do_not_fit_are_errors(name: str, output: tuple[int, ...], target: Tensor, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(name)(torch.zeros(output), target)


@pytest.mark.parametrize("name", ["cross_entropy", "bce"])
def test_a_mask_that_does_not_fit_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=r"mask \[5\] does not fit"):
        build(name)(torch.zeros(6, 4), TARGET, torch.ones(5, dtype=torch.bool))


def test_options_and_defaults_are_the_documented_ones() -> None:
    options = {n: {o.name: o.default for o in REGISTRY.get("loss", n).options()} for n in REGISTRY.names("loss")}
    assert options == {
        "bce": {"inputs": "logits", "label_smoothing": 0.0},
        "cross_entropy": {"label_smoothing": 0.0},
        "gdl": {"alpha": 1.0, "reduction": "mean"},
        "mae": {},
        "mse": {},
        "pairwise_ranking": {"kind": "logistic", "margin": 1.0},
        "perceptual": {"net": "vgg16", "layer": "block2_conv2", "weights": "imagenet", "file": None, "frames": None},
        "spearman": {"temperature": 0.1, "inputs": "unit"},
        "ssim": {"window": "gaussian", "window_size": 11, "sigma": 1.5},
    }
    assert all(c.summary and c.source for c in REGISTRY.components("loss"))


def test_registering_imports_no_torch() -> None:
    code = (
        "import sys, harness_losses as p; from harness.registry import Registry; r = Registry('x');"
        "p.harness_register(r); assert 'perceptual' in r.names('loss'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
