"""What all losses on frames keep: gradients, masks, batches, shapes, precision, devices."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from losses.pictures import build, clips, close

from harness.errors import ConfigError

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("mse", {}),
    ("mae", {}),
    ("gdl", {}),
    ("gdl", {"alpha": 2.0}),
    ("gdl", {"alpha": 1.5, "reduction": "sum"}),
    ("ssim", {}),
    ("ssim", {"window": "uniform", "window_size": 7}),
    ("perceptual", {"weights": "random", "layer": "block1_conv2"}),
]
every_loss = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
of_frames = pytest.mark.parametrize(("name", "options"), VARIANTS[2:], ids=str)
in_float64 = pytest.mark.parametrize(("name", "options"), VARIANTS[:-1], ids=str)


@pytest.mark.parametrize("name", ["mse", "mae"])
def test_pixel_losses_take_any_shape_and_masks_of_single_elements(name: str) -> None:
    output, target = clips(4, 6)
    mask = output > 0.4
    close(build(name)(output, target, mask), build(name)(output[mask], target[mask]))


@every_loss
def test_equal_frames_cost_nothing_and_leave_no_gradient(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    target = torch.cat([clips(2, 3, 1, 12, 12)[1], torch.zeros(2, 1, 1, 12, 12)], dim=1).float()
    output = target.clone().requires_grad_()
    value = loss(output, target)
    value.backward()
    close(value.detach(), 0.0, atol=1e-6)
    close(output.grad, torch.zeros_like(target), atol=1e-5)


@in_float64
def test_gradients_equal_finite_differences_away_from_kinks(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    output, target = clips(2, 2, 1, 12, 11)
    mask = torch.tensor([[True, True], [False, True]])
    assert torch.autograd.gradcheck(lambda z: loss(z, target), (output.requires_grad_(),), fast_mode=True)
    assert torch.autograd.gradcheck(lambda z: loss(z, target, mask), (output,), fast_mode=True)


@every_loss
def test_masked_frames_count_as_if_they_were_not_there(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    output, target = clips(2, 3, 1, 12, 12, dtype=torch.float32)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    # As frames [N, C, H, W] of which only the real ones are there.
    alone = output[mask].clone().requires_grad_()
    expected = loss(alone, target[mask])
    expected.backward()
    for padding in (0.0, math.nan, math.inf):
        dirty = output.masked_fill(~mask[..., None, None, None], padding).requires_grad_()
        value = loss(dirty, target.masked_fill(~mask[..., None, None, None], -padding), mask)
        value.backward()
        close(value.detach(), expected.detach(), atol=1e-6)
        close(dirty.grad[mask], alone.grad, atol=1e-6)
        assert torch.equal(dirty.grad[~mask], torch.zeros(3, 1, 12, 12))


@every_loss
def test_a_mask_of_clips_spreads_over_their_frames(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    output, target = clips(3, 2, 1, 12, 12, dtype=torch.float32)
    close(loss(output, target, torch.tensor([True, False, True])), loss(output[::2], target[::2]), atol=1e-6)


@every_loss
def test_a_mask_of_ones_changes_nothing_and_an_empty_one_gives_0(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    output, target = clips(2, 3, 1, 12, 12, dtype=torch.float32)
    close(loss(output, target, torch.ones(2, 3, dtype=torch.bool)), loss(output, target), atol=1e-6)
    output.requires_grad_()
    nothing = loss(output, target, torch.zeros(2, 3, dtype=torch.bool))
    nothing.backward()
    assert nothing == 0
    assert torch.equal(output.grad, torch.zeros_like(output))


@every_loss
def test_a_batch_without_clips_costs_0_under_a_mask_and_has_no_mean_without_one(
    name: str, options: dict[str, Any]
) -> None:
    loss = build(name, **options)
    output, target = clips(0, 3, 1, 12, 12, dtype=torch.float32)
    output.requires_grad_()
    value = loss(output, target, torch.ones(0, 3, dtype=torch.bool))
    value.backward()
    assert value == 0
    assert output.grad.shape == output.shape
    assert loss(output, target).isnan()  # as torch's own losses


@every_loss
def test_clips_and_their_frames_cost_the_same_and_batches_the_mean_of_their_parts(
    name: str, options: dict[str, Any]
) -> None:
    loss = build(name, **options)
    output, target = clips(4, 3, 3, 12, 14, dtype=torch.float32)
    whole = loss(output, target)
    assert whole.shape == ()
    close(loss(output.flatten(0, 1), target.flatten(0, 1)), whole, atol=1e-6)
    close(torch.stack([loss(output[i : i + 2], target[i : i + 2]) for i in (0, 2)]).mean(), whole, atol=1e-5)
    close(torch.stack([loss(output[:, t], target[:, t]) for t in range(3)]).mean(), whole, atol=1e-5)
    order = torch.tensor([2, 0, 3, 1])
    close(loss(output[order], target[order]), whole, atol=1e-5)


@every_loss
def test_the_loss_is_one_float32_number_under_autocast(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    output, target = clips(2, 2, 1, 12, 12, dtype=torch.float32)
    expected = loss(output, target)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(output, target)
        half = loss(output.bfloat16(), target)
    assert torch.equal(value, expected)
    assert half.dtype == torch.float32
    close(half, expected, atol=0.02 * float(expected) + 0.01)


@every_loss
def test_memory_format_does_not_matter(name: str, options: dict[str, Any]) -> None:
    loss = build(name, **options)
    output, target = clips(3, 3, 12, 12, dtype=torch.float32)
    close(loss(output.to(memory_format=torch.channels_last), target), loss(output, target), atol=1e-6)


@every_loss
def test_a_target_of_another_shape_is_an_error(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"loss '{name}': target \[2, 1, 1, 12, 12\] does not fit output"):
        build(name, **options)(clips(2, 3, 1, 12, 12)[0], torch.zeros(2, 1, 1, 12, 12))


@of_frames
def test_what_is_no_frame_is_an_error(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"loss '{name}' compares frames .* not \[12, 12\]"):
        build(name, **options)(*clips(12, 12))


@of_frames
def test_a_mask_finer_than_frames_is_an_error(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"mask \[2, 3, 1\] is finer than frames \[2, 3\]"):
        build(name, **options)(*clips(2, 3, 1, 12, 12), torch.ones(2, 3, 1, dtype=torch.bool))


@every_loss
def test_a_mask_that_does_not_fit_is_an_error(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"mask \[2, 4\] does not fit"):
        build(name, **options)(*clips(2, 3, 1, 12, 12), torch.ones(2, 4, dtype=torch.bool))


@every_loss
def test_every_loss_on_frames_reads_values_in_0_to_1(name: str, options: dict[str, Any]) -> None:
    assert build(name, **options).expects == "unit"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@every_loss
def test_a_gpu_gives_the_value_and_gradient_of_the_cpu(name: str, options: dict[str, Any]) -> None:
    values, gradients = [], []
    for device in ("cpu", "cuda"):
        loss = build(name, **options)
        loss = loss.to(device) if isinstance(loss, torch.nn.Module) else loss
        output, target = (x.to(device) for x in clips(2, 3, 3, 32, 32, dtype=torch.float32))
        value = loss(output.requires_grad_(), target)
        value.backward()
        values.append(value.detach().cpu())
        gradients.append(output.grad.cpu())
    # Convolutions of 3 x 3 and 64 channels may round to TF32 on a GPU.
    part = 1e-2 if name == "perceptual" else 1e-4
    close(values[1], values[0], atol=part * float(values[0]))
    close(gradients[1], gradients[0], atol=part * float(gradients[0].abs().max()))
