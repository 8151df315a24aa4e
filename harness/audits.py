"""Does a model look at what it is meant to predict? Checked on the model itself, before and after training.

`IO.sees` says how far output t may look: n = 0 means that it may depend on the inputs up to t. One input frame after
the other is replaced, in a clip of noise and in clips of the data, and every output before it must stay what it was, to
the bit. The proof is by change and not by gradient, since a maximum, a threshold or a dead unit hides a dependence from
gradients; only clips that are too long to have every frame replaced are covered by gradients in between.

Perturbations are finite: NaN would convict a causal attention, whose masked weights are 0 and 0 * NaN is NaN.
An audit never costs a trial: what cannot be audited is `unproven`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .contracts import IO, Spec
from .trial import Audit

FRAMES = 32
"""At most so many frames of a clip are replaced one by one."""

ROUNDING = 1e-5
"""A change below this share of the largest output may be rounding (of an FFT over time, say) and convicts nobody."""

_HOW = "replaced by noise, by values above the clip's, by black and by a frame of another clip"


@dataclass(slots=True)
class Seen:
    """What was found.

    reach: frames beyond the allowed ones that an output depends on. change: the largest change of an output that should
    have stayed; rounding: the largest that is too small to convict; scale: the largest output. pairs: comparisons of an
    output with itself after a later frame was changed. noise: how much two equal calls differ. doubts: why nothing can
    be said.
    """

    reach: int = 0
    change: float = 0.0
    rounding: float = 0.0
    scale: float = 0.0
    pairs: int = 0
    noise: float = 0.0
    doubts: list[str] = field(default_factory=list)


def leaks(
    model: nn.Module,
    io: IO,
    device: str,
    *,
    clips: Sequence[Mapping[str, Tensor]] = (),
    rows: int = FRAMES,
    training: bool = False,
    fresh: bool = False,
) -> Audit | None:
    """Audit one model; None if `IO.sees` restricts nothing. The model and the random streams stay as they are.

    `clips`: what the model is shown of real items, each with a batch axis of one; they reach paths that noise does not.
    `rows`: clips in one call. `fresh`: weights that were just made. Trained tensors of one repeated number (a scale of
    zero, say) are then filled with random numbers in the copy that is audited, since they would hide what lies behind.
    `training`: also look at the mode in which the model trains, which is told and not judged.
    """
    if not io.sees:
        return None
    generator = torch.Generator().manual_seed(20151)
    seen, beside = Seen(), 0.0
    normed = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        try:
            audited = _copy(model, generator if fresh else None).to(device).train(False)
            for name, allowed in io.sees.items():
                prober = _Prober(audited, io, name, allowed, device, max(1, rows))
                for clip, other in _pairs(io, clips, generator):
                    prober.replace(clip, other, generator, seen)
                prober.between(_noise(io, generator), generator, seen)
                if training and not seen.reach:
                    beside = max(beside, prober.in_training(_noise(io, generator), generator))
        except Exception as error:  # foreign code; the trial itself will say what is wrong with it
            seen.doubts.append(f"the model could not be audited ({type(error).__name__}: {error})")
    weights = "with its first weights" if fresh else "with the tested weights"
    return _verdict(seen, beside, normed, f"{weights}, {_method(io)}")


def worse(first: Audit | None, second: Audit | None) -> Audit | None:
    """The one of two audits of a model that says more against it; the first one if they agree."""
    order = ("failed", "unproven", "passed")
    found = [a for a in (first, second) if a is not None]
    return min(found, key=lambda a: order.index(a.outcome), default=None)


class _Prober:
    """Changes one input of a model frame by frame, and watches the outputs before it."""

    def __init__(self, model: nn.Module, io: IO, name: str, allowed: int, device: str, rows: int) -> None:
        self._model, self._io, self._name, self._allowed = model, io, name, allowed
        self._device, self._rows = device, rows
        self._axis = io.inputs[name].axes.index("T")  # of one item
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(device) if device.startswith("cuda") else None

    def replace(
        self, clip: Mapping[str, Tensor], other: Mapping[str, Tensor], generator: torch.Generator, seen: Seen
    ) -> None:
        """Every frame in turn (or 32 of them), by noise, brighter values, black, and a frame of the other clip."""
        places = _places(self._length(clip))
        for start in range(0, len(places), self._rows):
            part = places[start : start + self._rows]
            # The same clip in every row: a row is compared with itself, as kernels may treat rows differently.
            base = {key: value.repeat(len(part), *[1] * (value.ndim - 1)) for key, value in clip.items()}
            before = self._run(base, seen)
            after = []
            for kind in ("noise", "bright", "black", "other"):
                changed = self._changed(base[self._name], other[self._name], part, kind, generator)
                after.append(self._run({**base, self._name: changed}, seen))
            # Last of all: a model that counts its calls has drifted furthest by then.
            again = self._run(base, seen)
            seen.noise = max([seen.noise, *(_largest(a, b) for a, b in zip(before, again, strict=True))])
            for found in after:
                self._compare(before, found, part, seen)

    def between(self, clip: Mapping[str, Tensor], generator: torch.Generator, seen: Seen) -> None:
        """By gradient, for the frames of a long clip that were not replaced."""
        length = self._length(clip)
        places = _places(length)
        if len(places) >= length - 1:
            return
        x = clip[self._name].to(self._device).requires_grad_(True)
        with torch.enable_grad():
            found = self._judged(self._call({**clip, self._name: x}), length)
            for place in places:
                for output in (o[:, : max(0, place - self._allowed)] for o in found if o.requires_grad):
                    if not output.shape[1]:
                        continue
                    weight = torch.randn(output.shape, generator=generator).to(output)
                    (gradient,) = torch.autograd.grad((output * weight).sum(), x, retain_graph=True)
                    felt = gradient.movedim(1 + self._axis, 0).flatten(1).abs().amax(dim=1).cpu()[place:]
                    if bool((felt > 1e-6 * gradient.abs().max().cpu()).any()) and bool((felt > 0).any()):
                        seen.reach = max(seen.reach, 1 + int((felt > 0).nonzero()[-1]))
                        seen.change = max(seen.change, float(felt.max()))

    def in_training(self, clip: Mapping[str, Tensor], generator: torch.Generator) -> float:
        """How much earlier outputs move in training mode when the last frame does; every call draws the same noise."""
        self._model.train(True)
        base = {key: value.repeat(2, *[1] * (value.ndim - 1)) for key, value in clip.items()}
        places = [self._length(clip) - 1] * 2
        seen = Seen()
        if places[0] > 0:
            before = self._run(base, seen)
            changed = self._changed(base[self._name], base[self._name], places, "noise", generator)
            self._compare(before, self._run({**base, self._name: changed}, seen), places, seen)
        self._model.train(False)
        return max(seen.change, seen.rounding)

    def _length(self, clip: Mapping[str, Tensor]) -> int:
        return int(clip[self._name].shape[1 + self._axis])

    def _call(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
        # Copies, since a model may write into what it is given.
        found: Mapping[str, Tensor] = self._model({k: v.to(self._device).clone() for k, v in batch.items()})
        return found

    def _run(self, batch: Mapping[str, Tensor], seen: Seen) -> list[Tensor]:
        with torch.no_grad():
            found = self._judged(self._call(batch), self._length(batch))
        if any(bool(o.isnan().any()) for o in found) and not seen.doubts:
            seen.doubts.append("outputs hold NaN, which equals nothing")
        return found

    def _judged(self, found: Mapping[str, Tensor], length: int) -> list[Tensor]:
        """What the task reads, where it runs along the inputs' time."""
        named = [v for k, v in found.items() if k in self._io.outputs]
        judged = named or [v for v in found.values() if isinstance(v, Tensor)]
        return [v.float() for v in judged if v.ndim > 1 and v.shape[1] == length]

    def _changed(self, x: Tensor, other: Tensor, places: list[int], kind: str, generator: torch.Generator) -> Tensor:
        """Row i with frame places[i] replaced."""
        changed = x.clone()
        for row, place in enumerate(places):
            frame = changed[row].select(self._axis, place)
            noise = torch.rand(frame.shape, generator=generator).to(frame)
            by = {
                "noise": noise,
                "bright": 2 + noise,
                "black": torch.zeros_like(frame),
                "other": other[0].select(self._axis, place).to(frame),
            }
            frame.copy_(by[kind])
        return changed

    def _compare(self, before: list[Tensor], after: list[Tensor], places: list[int], seen: Seen) -> None:
        for old, new in zip(before, after, strict=True):
            finite = old[old.isfinite()].abs()
            scale = float(finite.max()) if finite.numel() else 1.0
            seen.scale = max(seen.scale, scale)
            same = (new == old) | (new.isnan() & old.isnan())
            moved = torch.where(same, torch.zeros_like(new), (new - old).abs().nan_to_num(nan=torch.inf))
            moved = moved.reshape(*new.shape[:2], -1).amax(dim=2).cpu()  # [rows, T]
            for row, place in enumerate(places):
                guarded = moved[row, : max(0, place - self._allowed)]
                seen.pairs += len(guarded)
                guilty = (guarded > max(4 * seen.noise, ROUNDING * scale)).nonzero()
                if len(guilty):
                    seen.reach = max(seen.reach, place - self._allowed - int(guilty[0]))
                    seen.change = max(seen.change, float(guarded.max()))
                elif len(guarded):
                    seen.rounding = max(seen.rounding, float(guarded.max()))


def _copy(model: nn.Module, generator: torch.Generator | None) -> nn.Module:
    copied = copy.deepcopy(model)
    if generator is not None:
        with torch.no_grad():
            for parameter in copied.parameters():
                first = parameter.flatten()[:1]
                if parameter.requires_grad and parameter.numel() and bool((parameter == first).all()):
                    parameter.copy_((torch.rand(parameter.shape, generator=generator) + 0.5).to(parameter))
    return copied


def _pairs(
    io: IO, clips: Sequence[Mapping[str, Tensor]], generator: torch.Generator
) -> list[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]:
    """(clip, another to take frames from): noise, and the real ones in turn."""
    found: list[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]] = [(_noise(io, generator), _noise(io, generator))]
    real = [{key: clip[key].cpu() for key in io.inputs} for clip in clips]
    return found + [(clip, real[i - 1] if len(real) > 1 else found[0][0]) for i, clip in enumerate(real)]


def _noise(io: IO, generator: torch.Generator, varying: int = 16) -> dict[str, Tensor]:
    """One item of random numbers in [0, 1]; integers are zeros, masks all real."""

    def item(spec: Spec) -> Tensor:
        shape = [1, *(varying if n is None else n for n in spec.shape)]
        if spec.dtype in ("uint8", "float32"):
            return torch.rand(shape, generator=generator)
        return torch.zeros(shape, dtype=getattr(torch, spec.dtype)) + (spec.dtype == "bool")

    return {key: item(spec) for key, spec in io.inputs.items()}


def _places(length: int) -> list[int]:
    """Frames to replace: all but the first, or so many that are spread evenly, the last one among them."""
    if length - 1 <= FRAMES:
        return list(range(1, length))
    return sorted({round(1 + i * (length - 2) / (FRAMES - 1)) for i in range(FRAMES)})


def _largest(a: Tensor, b: Tensor) -> float:
    """The largest difference; equal infinities differ by nothing."""
    apart = torch.where(a == b, torch.zeros_like(a), (a - b).abs().nan_to_num(nan=0.0))
    return float(apart.max()) if a.numel() else 0.0


def _method(io: IO) -> str:
    lengths = [spec.shape[spec.axes.index("T")] or 16 for key, spec in io.inputs.items() if key in (io.sees or {})]
    later = max(lengths) - 1
    if later > FRAMES:
        return f"{FRAMES} of {later} later frames were {_HOW}, the others checked by gradient"
    return f"each of the {later} later frames was {_HOW}" if later else "there is no later frame"


def _verdict(seen: Seen, training_change: float, normed: bool, method: str) -> Audit:
    change = max(seen.change, seen.rounding)
    numbers = {"reach": float(seen.reach), "largest_change": change, "pairs": float(seen.pairs)}
    if seen.reach:
        frames = f"{seen.reach} frame{'' if seen.reach == 1 else 's'}"
        text = (
            f"outputs depend on inputs up to {frames} later than they may: {method}, and outputs before it changed by"
            f" up to {seen.change:.2g}; the model sees what it is asked to predict"
        )
        return Audit("leaks", "failed", text, f"LEAKS {frames}", numbers)
    doubts = list(seen.doubts)
    if not seen.pairs and "no later frame" not in method:
        doubts.append("no output that the task reads runs along the inputs' time")
    if seen.noise > ROUNDING * seen.scale:
        doubts.append(f"two equal calls of the model differ by {seen.noise:.2g}")
    if seen.rounding > 4 * seen.noise:
        doubts.append(f"earlier outputs changed by {seen.rounding:.2g}, which may be rounding")
    if doubts:
        return Audit("leaks", "unproven", f"{'; '.join(doubts)} ({method})", "leaks not ruled out", numbers)
    same = f"by more than the {seen.noise:.1g} between equal calls" if seen.noise else "by a bit"
    text = (
        f"no output depends on a later input: {method}, and in {seen.pairs:,} comparisons none before it changed {same}"
    )
    if training_change:
        cause = ", as batch statistics mix frames of all times" if normed else ""
        text += f"; in training mode they move by up to {training_change:.2g}{cause}, but that mode is not tested"
        numbers["training_change"] = training_change
    return Audit("leaks", "passed", text, "", numbers)
