"""Does a model look at what it is meant to predict? Checked on the model itself, before and after training.

`IO.sees` says how far output t may look: n = 0 means that it may depend on the inputs up to t. One input frame after
the other is replaced, and every output before it must stay what it was, to the bit. The proof is by change and not by
gradient, since a maximum, a rounding or a dead unit hides a dependence from gradients; sequences that are too long to
have every frame replaced are covered by gradients in between.

Perturbations are finite: NaN would convict a causal attention, whose masked weights are 0 and 0 * NaN is NaN.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .contracts import IO, Spec
from .trial import Audit

FRAMES = 32
"""At most so many frames are replaced one by one."""

_KINDS = ("noise", "bright", "black")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found. reach: frames beyond the allowed ones that an output depends on; change: the largest change of an
    output that should have stayed; pairs: (changed frame, earlier output) pairs that were compared; noise: how much two
    equal calls differ."""

    reach: int
    change: float
    pairs: int
    noise: float


def leaks(model: nn.Module, io: IO, device: str, *, training: bool = False, fresh: bool = False) -> Audit | None:
    """Audit one model; None if `IO.sees` restricts nothing. The model and the random streams stay as they are.

    `fresh`: weights that were just made. Tensors of one repeated number (a scale of zero, say) are then filled with
    random numbers in the copy that is audited, since they would hide what lies behind them.
    """
    if not io.sees:
        return None
    generator = torch.Generator().manual_seed(20151)
    audited = _copy(model, generator if fresh else None).to(device)
    audited.train(False)
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        seen = _examine(audited, io, device, generator)
        beside = _training_change(audited, io, device, generator) if training and seen.reach == 0 else 0.0
    return _verdict(seen, beside, _method(io))


def _copy(model: nn.Module, generator: torch.Generator | None) -> nn.Module:
    copied = copy.deepcopy(model)
    if generator is not None:
        with torch.no_grad():
            for parameter in copied.parameters():
                if parameter.numel() and bool((parameter == parameter.flatten()[0]).all()):
                    noise = torch.rand(parameter.shape, generator=generator) + 0.5
                    parameter.copy_(noise.to(parameter))
    return copied


def _examine(model: nn.Module, io: IO, device: str, generator: torch.Generator) -> Seen:
    reach, change, pairs, noise = 0, 0.0, 0, 0.0
    for name, allowed in (io.sees or {}).items():
        clip = _clip(io, generator)
        axis = 1 + io.inputs[name].axes.index("T")
        length = clip[name].shape[axis]
        places = _places(length)
        rows = {key: value.expand(len(places), *value.shape[1:]).to(device) for key, value in clip.items()}
        # The same clip in every row: a row is compared with itself, as kernels may treat rows of a batch differently.
        before = _outputs(model, rows, length)
        again = _outputs(model, rows, length)
        noise = max([noise, *(float((a - b).abs().max()) for a, b in zip(before, again, strict=True))])
        for kind in _KINDS:
            changed = _replaced(rows[name], axis, places, kind, generator)
            after = _outputs(model, {**rows, name: changed}, length)
            found = _compare(before, after, places, allowed, 4 * noise)
            reach, change, pairs = max(reach, found.reach), max(change, found.change), max(pairs, found.pairs)
        if len(places) < length - 1:
            found = _by_gradient(model, clip, name, axis, allowed, places, device)
            reach, change = max(reach, found.reach), max(change, found.change)
    return Seen(reach, change, pairs, noise)


def _places(length: int) -> list[int]:
    """Frames to replace: all but the first, or so many that are spread evenly, the last one among them."""
    if length - 1 <= FRAMES:
        return list(range(1, length))
    return sorted({round(1 + i * (length - 2) / (FRAMES - 1)) for i in range(FRAMES)})


def _clip(io: IO, generator: torch.Generator, varying: int = 16) -> dict[str, Tensor]:
    """One item of random numbers in [0, 1]; integers are zeros."""

    def item(spec: Spec) -> Tensor:
        shape = [1, *(varying if n is None else n for n in spec.shape)]
        if spec.dtype in ("uint8", "float32"):
            return torch.rand(shape, generator=generator)
        return torch.zeros(shape, dtype=getattr(torch, spec.dtype)) + (1 if spec.dtype == "bool" else 0)

    return {key: item(spec) for key, spec in io.inputs.items()}


def _replaced(x: Tensor, axis: int, places: list[int], kind: str, generator: torch.Generator) -> Tensor:
    """Row i with frame places[i] replaced: by other noise, by values above any of the clip, or by black."""
    changed = x.clone()
    for row, place in enumerate(places):
        frame = changed[row].select(axis - 1, place)
        noise = torch.rand(frame.shape, generator=generator).to(frame)
        frame.copy_({"noise": noise, "bright": 2 + noise, "black": torch.zeros_like(frame)}[kind])
    return changed


def _outputs(model: nn.Module, batch: Mapping[str, Tensor], length: int) -> list[Tensor]:
    """Every output that runs along the inputs' time."""
    with torch.no_grad():
        found = model(batch)
    return [v.float() for v in found.values() if isinstance(v, Tensor) and v.ndim > 1 and v.shape[1] == length]


def _compare(before: list[Tensor], after: list[Tensor], places: list[int], allowed: int, tolerance: float) -> Seen:
    reach, change, pairs = 0, 0.0, 0
    for old, new in zip(before, after, strict=True):
        moved = (new - old).abs().reshape(*new.shape[:2], -1).amax(dim=2).cpu()  # [rows, T]
        for row, place in enumerate(places):
            guarded = moved[row, : max(0, place - allowed)]
            pairs += len(guarded)
            guilty = (guarded > tolerance).nonzero()
            if len(guilty):
                reach = max(reach, place - allowed - int(guilty[0]))
                change = max(change, float(guarded.max()))
    return Seen(reach, change, pairs, 0.0)


def _by_gradient(
    model: nn.Module, clip: Mapping[str, Tensor], name: str, axis: int, allowed: int, places: list[int], device: str
) -> Seen:
    """Gradients of all outputs before a place with respect to all frames from it on, for the places in between."""
    reach, change = 0, 0.0
    batch = {key: value.to(device) for key, value in clip.items()}
    x = batch[name].clone().requires_grad_(True)
    length = x.shape[axis]
    with torch.enable_grad():
        found = [v for v in model({**batch, name: x}).values() if isinstance(v, Tensor) and v.ndim > 1]
        found = [v for v in found if v.shape[1] == length and v.requires_grad]
        for place in places:
            for output in found:
                guarded = output[:, : max(0, place - allowed)]
                if not guarded.shape[1]:
                    continue
                (gradient,) = torch.autograd.grad(guarded.sum(), x, retain_graph=True)
                felt = gradient.movedim(axis, 0).flatten(1).abs().amax(dim=1).cpu()[place:]
                if bool((felt > 0).any()):
                    reach = max(reach, 1 + int((felt > 0).nonzero()[-1]))
                    change = max(change, float(felt.max()))
    return Seen(reach, change, 0, 0.0)


def _training_change(model: nn.Module, io: IO, device: str, generator: torch.Generator) -> float:
    """How much earlier outputs move in training mode, where statistics of a batch may mix frames of all times."""
    model.train(True)
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()  # its noise is no leak
    largest = 0.0
    for name, allowed in (io.sees or {}).items():
        clip = {key: value.expand(2, *value.shape[1:]).to(device) for key, value in _clip(io, generator).items()}
        axis = 1 + io.inputs[name].axes.index("T")
        length = clip[name].shape[axis]
        places = [length - 1, length - 1]
        before = _outputs(model, clip, length)
        after = _outputs(model, {**clip, name: _replaced(clip[name], axis, places, "noise", generator)}, length)
        largest = max(largest, _compare(before, after, places, allowed, 0.0).change)
    return largest


def _method(io: IO) -> str:
    lengths = [spec.shape[spec.axes.index("T")] or 16 for key, spec in io.inputs.items() if key in (io.sees or {})]
    most = max(lengths)
    how = (
        f"each of the {most - 1} later frames" if most - 1 <= FRAMES else f"{FRAMES} of {most} frames (and by gradient)"
    )
    return f"{how} was replaced by noise, by values above the clip's and by black"


def _verdict(seen: Seen, training_change: float, method: str) -> Audit:
    numbers = {"reach": float(seen.reach), "largest_change": seen.change, "pairs": float(seen.pairs)}
    if seen.noise > 1e-4:
        text = f"two equal calls of the model differ by {seen.noise:.2g}, so no change can be proven or ruled out"
        return Audit("leaks", "unproven", text, "leaks not ruled out", numbers | {"noise": seen.noise})
    if seen.reach:
        frames = f"{seen.reach} frame{'' if seen.reach == 1 else 's'}"
        text = (
            f"outputs depend on inputs up to {frames} later than they may: {method}, and outputs before it changed by"
            f" up to {seen.change:.2g}; the model sees what it is asked to predict"
        )
        return Audit("leaks", "failed", text, f"LEAKS {frames}", numbers)
    text = (
        f"no output depends on a later input: {method}, and {seen.pairs:,} earlier outputs stayed the same to the bit"
    )
    if seen.noise:
        text = text.replace("the same to the bit", f"within {4 * seen.noise:.2g}, the noise of two equal calls")
    if training_change:
        text += (
            f"; in training mode they move by up to {training_change:.2g}, as batch statistics mix frames of all times,"
            " which the tested mode does not"
        )
        numbers = numbers | {"training_change": training_change}
    return Audit("leaks", "passed", text, "", numbers)
