"""Losses: differentiable, smaller for a better prediction, a mean over items, blind to what a mask hides."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import HarnessError
from .findings import Broken, NotChecked
from .modules import WEIGHTS, Case
from .pairs import FORMS, Pair, pair
from .running import Check, Subject, told

CONFIDENCES = tuple(c / 10 for c in range(1, 11))
"""Of a right prediction that is compared with a constant one."""
DIRECTIONS, STEPS, NARROW = 8, (1e-2, 3e-3, 1e-3, 3e-4), 0.02
"""For gradients in float32: along how many ways, by which steps, and how far apart they may be."""


def _loss(subject: Subject) -> Any:
    return subject.component.load()(**subject.chosen())


def _builds(subject: Subject) -> str:
    loss = _loss(subject)
    if not callable(loss):
        raise Broken(f"built, it is a {type(loss).__name__}, and cannot be called")
    if isinstance(loss, nn.Module) and loss.state_dict():
        subject.kept["case"] = Case(lambda: _loss(subject), {}, lambda module, inputs: {})
    return type(loss).__name__


def _expects(subject: Subject) -> str:
    expects = getattr(_loss(subject), "expects", None)
    if expects not in ("logits", "unit"):
        raise Broken(f"`expects` is {expects!r}")
    return str(expects)


def _scalar(subject: Subject) -> str:
    loss, refused = _loss(subject), []
    for form in FORMS:
        given = pair(form, loss.expects)
        try:
            value = loss(given.usual, given.target)
        except Exception as error:  # most losses serve one form, and few refuse the others in words
            refused.append(f"{form}: {told(error)}")
            continue
        if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
            got = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise Broken(f"for {form} {list(given.usual.shape)} it gives {got}")
        subject.kept["form"] = form
        return f"for {form}: output {list(given.usual.shape)}, target {list(given.target.shape)}"
    raise Broken("it serves no form of output and target: " + "; ".join(refused))


def _given(subject: Subject, **sizes: int) -> tuple[Any, Pair]:
    loss = _loss(subject)
    return loss, pair(subject.kept["form"], loss.expects, **sizes)


def _finite(subject: Subject) -> str:
    loss, given = _given(subject)
    hard = {
        "a usual prediction": given.usual,
        "a right one": given.right,
        "a constant one": torch.zeros_like(given.usual),
    }
    if loss.expects == "logits":
        hard |= {"logits of 60": 60.0 * given.wrong.sign(), "logits of -60": -60.0 * given.right.sign()}
    else:
        hard |= {
            "0 and 1 the wrong way": (given.right < 0.5).to(given.right.dtype),
            "ones": torch.ones_like(given.usual),
        }
    for name, output in hard.items():
        leaf = output.clone().requires_grad_()
        value = loss(leaf, given.target)
        if not bool(torch.isfinite(value)):
            raise Broken(f"for {name} it is {float(value)}")
        value.backward()
        if leaf.grad is not None and not bool(torch.isfinite(leaf.grad).all()):
            raise Broken(f"for {name} its gradient is not finite")
    return ", ".join(hard)


def _differentiable(subject: Subject) -> str:
    loss, given = _given(subject)
    for name, output in {"a usual prediction": given.usual, "a wrong one": given.wrong}.items():
        leaf = output.clone().requires_grad_()
        value = loss(leaf, given.target)
        if not value.requires_grad:
            raise Broken("it hangs on the output by no gradient")
        value.backward()
        if leaf.grad is not None and bool((leaf.grad != 0).any()):
            return f"for {name}, {float((leaf.grad != 0).float().mean()):.0%} of the output gets a gradient"
    raise Broken("its gradient is zero, for a usual prediction and for a wrong one")


def _gradcheck(subject: Subject) -> str:
    loss, given = _given(subject, items=2, channels=1, side=12)
    target = given.target.double() if given.target.is_floating_point() else given.target
    leaf = given.usual.double().requires_grad_()
    exact = _doubled(loss, leaf, target)
    try:
        # Times their number, since the gradient of a mean over many values would be smaller than the tolerance.
        torch.autograd.gradcheck(lambda x: leaf.numel() * exact(x, target), (leaf,), fast_mode=True)
    except RuntimeError as error:
        if not all(_narrow(exact, x, target) for x in (given.near, given.usual, given.wrong)):
            raise Broken(told(error)) from error
        return _gradcheck_narrow(loss, given)
    return f"{leaf.numel()} values against finite differences, in float64"


def _doubled(loss: Any, output: Tensor, target: Tensor) -> Any:
    """With weights of float64, where it does not turn what comes in into float32 for them."""
    if not isinstance(loss, nn.Module):
        return loss
    doubled = copy.deepcopy(loss).double()
    try:
        doubled(output, target)
    except RuntimeError:
        return loss
    return doubled


def _narrow(loss: Any, output: Tensor, target: Tensor) -> bool:
    """Does it turn what comes in into float32? Then digits beyond those change nothing at all."""
    longer = output.double() * (1 + 1e-9 * torch.rand(output.shape, dtype=torch.float64))
    return bool(loss(longer, target) == loss(longer.float().double(), target))


def _gradcheck_narrow(loss: Any, given: Pair) -> str:
    """Differences of float32 values, along half of the gradient's signs at a time so that their sum is large."""
    leaf = given.usual.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, given.target), leaf)
    worst = 0.0
    for _ in range(DIRECTIONS):
        way = gradient.sign() * (torch.rand_like(gradient) < 0.5)
        said = float((gradient.double() * way).sum())
        if not said:
            continue
        with torch.no_grad():
            seen = [
                float(loss(given.usual + h * way, given.target).double() - loss(given.usual - h * way, given.target))
                / (2 * h)
                for h in STEPS
            ]
        worst = max(worst, min(abs(x - said) / said for x in seen))
    if not worst <= NARROW:
        raise Broken(f"computed in float32, its gradient is {worst:.1%} off its differences")
    return (
        f"within {worst:.1%} of finite differences in float32, which it turns its input into; small faults are not seen"
        " so. With torch.promote_types(x.dtype, torch.float32) in place of float32 it would be checked in float64"
    )


def _better(subject: Subject) -> str:
    loss, given = _given(subject, items=20)
    with torch.no_grad():
        right, near, wrong = (float(loss(x, given.target)) for x in (given.right, given.near, given.wrong))
        # A smoothed loss wants doubt, so the right prediction may have as much of it as serves best.
        doubting = min(float(loss(given.doubting(given.right, c), given.target)) for c in CONFIDENCES)
        nothing = float(loss(given.doubting(given.right, 0.0), given.target))
    numbers = f"{right:.4g} for a right prediction, {near:.4g} with a fifth of it wrong, {wrong:.4g} for a wrong one"
    if not right < near < wrong:
        raise Broken(numbers)
    if not doubting < nothing:
        raise Broken(f"{nothing:.4g} for a constant prediction, and not less for a right one, however sure")
    return numbers


def _mean(subject: Subject) -> str:
    loss, given = _given(subject)
    with torch.no_grad():
        whole = float(loss(given.usual, given.target))
        parts = [float(loss(given.usual[i : i + 1], given.target[i : i + 1])) for i in range(len(given.target))]
        twice = float(loss(torch.cat([given.usual] * 2), torch.cat([given.target] * 2)))
    mean = sum(parts) / len(parts)
    scale = max(abs(whole), 1e-3)
    if not abs(twice - whole) <= 1e-3 * scale:
        raise Broken(f"a batch costs {whole:.4g}, and twice the same items {twice:.4g}")
    if not abs(mean - whole) <= 1e-3 * scale:
        raise Broken(f"a batch costs {whole:.4g}, and its items alone {mean:.4g} on average")
    return f"a batch costs what its {len(parts)} items cost on average"


def _mask(subject: Subject) -> str:
    loss, given = _given(subject)
    call = loss.forward if isinstance(loss, nn.Module) else loss
    if "mask" not in inspect.signature(call).parameters:
        raise Broken("it takes no `mask`")
    hidden = ~given.mask.reshape(*given.mask.shape, *(1 for _ in range(given.usual.ndim - given.mask.ndim)))
    try:
        value = loss(given.usual, given.target, given.mask)
    except HarnessError as error:
        raise NotChecked(f"it refuses a mask {list(given.mask.shape)} in words: {error.message}") from error
    leaf = given.usual.masked_fill(hidden, torch.nan).requires_grad_()
    rubbish = loss(leaf, given.target, given.mask)
    rubbish.backward()
    scale = 1e-4 * max(abs(float(value)), 1e-3)
    if not abs(float(rubbish) - float(value)) <= scale:
        raise Broken(f"it costs {float(value):.4g}, and {float(rubbish):.4g} with NaN where the mask is False")
    if leaf.grad is None or not bool(torch.isfinite(leaf.grad).all()):
        raise Broken("with NaN where the mask is False, its gradient is not finite")
    keep = int(given.mask.sum(-1).flatten()[0])
    cut = (slice(None), slice(0, keep)) if given.mask.ndim == 2 else (slice(0, keep),)
    alone = float(loss(given.usual[cut], given.target[cut]))
    if not abs(float(value) - alone) <= scale:
        raise Broken(f"it costs {float(value):.4g} with a mask, and {alone:.4g} for the real part alone")
    return f"mask {list(given.mask.shape)}: NaN under it changes nothing, and the rest costs what it costs alone"


def _autocast(subject: Subject) -> str:
    loss, given = _given(subject)
    exact = float(loss(given.usual, given.target))
    with torch.autocast("cpu", torch.bfloat16):
        leaf = given.usual.clone().requires_grad_()
        value = loss(leaf, given.target)
    value.backward()
    if not abs(float(value) - exact) <= 0.05 * max(abs(exact), 0.02):
        raise Broken(f"it costs {exact:.4g} in fp32, and {float(value):.4g} under bf16 autocast")
    if leaf.grad is None or not bool(torch.isfinite(leaf.grad).all()):
        raise Broken("its gradient under bf16 autocast is not finite")
    return f"{float(value):.4g}, in fp32 {exact:.4g}"


def _check(name: str, run: Callable[[Subject], str], why: str, mend: str, gate: bool = False) -> Check:
    return Check(name, why, mend, run, gate)


LOSS = (
    _check(
        "builds",
        _builds,
        "a loss is built as target(**options)",
        "return something that is called with (output, target, mask=None)",
        gate=True,
    ),
    _check(
        "expects",
        _expects,
        "the task hands over raw logits or values in [0, 1], whichever the loss asks for",
        "write expects = 'logits' or expects = 'unit'",
        gate=True,
    ),
    _check(
        "scalar",
        _scalar,
        "terms of a sum are added and differentiated as one number",
        "return a mean of shape []; refuse with harness.errors.ConfigError what does not fit. Tried are classes [B, K] "
        "with [B], frames [B, C, H, W], clips [B, T, C, H, W], sequences [B, T] and values [B, N]",
        gate=True,
    ),
    _check(
        "finite",
        _finite,
        "a model may be sure and wrong, and one NaN ends the trial",
        "use log_softmax, logsigmoid or clamp before a logarithm, and an epsilon below roots and divisions",
    ),
    _check("differentiable", _differentiable, "nothing would train", "look for detach, argmax, sort and comparisons"),
    _check(
        "gradcheck",
        _gradcheck,
        "a gradient that is not that of the value trains towards something else",
        "look at a custom backward, and at detach within a product",
    ),
    _check(
        "better",
        _better,
        "training makes the loss small, whatever that means for the prediction",
        "look at the sign, at the order of (output, target), and at `expects`",
    ),
    _check(
        "mean_over_items",
        _mean,
        "a sum grows with the batch, and with it the step that a rate makes",
        "take the mean over the items of the batch; couple no item with another",
    ),
    _check(
        "mask",
        _mask,
        "padding would be trained on, and 0 * NaN is NaN",
        "take mask=None (True = real), empty what it hides with masked_fill before it is read, and divide by what is "
        "left; or raise ConfigError",
    ),
    _check(
        "bf16",
        _autocast,
        "losses may be computed under bfloat16 autocast",
        "compute in float32 at least, x.to(torch.promote_types(x.dtype, torch.float32)), and turn autocast off around "
        "products of matrices",
    ),
    *(c for c in WEIGHTS if c.name in ("seed", "weights_only")),
)
