"""Augmentations, optimisers and schedules: pure in what they are told, and safe to resume."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..data import uniforms
from ..environment import seed_all
from .findings import Broken, Doubtful
from .running import SEED, Check, Subject

STEPS, STEPS_PER_EPOCH = 40, 10
IMAGES = ((4, 3, 16, 12), (3, 1, 12, 16))
IDLE = 64
"""Batches of which one at least is changed; what is done to 1 % of the images misses them all in 1 of 13 cases."""


def _built(subject: Subject, *args: Any) -> Any:
    return subject.component.load()(*args, **subject.chosen())


# ------------------------------------------------------------------------------------------------------- augmentation


def _augment_builds(subject: Subject) -> str:
    made = _built(subject)
    if not callable(made):
        raise Broken(f"built, it is a {type(made).__name__}, and cannot be called with images")
    return type(made).__name__


def _apply(subject: Subject, x: Tensor, index: Tensor, key: int) -> Tensor:
    y: Tensor = _built(subject)(x.clone(), lambda n: uniforms(index, n, key))
    return y


def _images(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return torch.rand(shape), torch.arange(10, 10 + shape[0])


def _keeps(subject: Subject) -> str:
    for shape in IMAGES:
        x, index = _images(shape)
        for key in range(8):
            y = _apply(subject, x, index, key)
            if y.shape != x.shape or y.dtype != x.dtype:
                raise Broken(f"{x.dtype} {list(shape)} becomes {y.dtype} {list(y.shape)}")
    return ", ".join(str(list(s)) for s in IMAGES)


def _range(subject: Subject) -> str:
    for shape in IMAGES:
        x, index = _images(shape)
        for key in range(8):
            y = _apply(subject, x, index, key)
            if not bool(((y >= 0) & (y <= 1)).all()):
                raise Broken(f"values in [0, 1] become [{float(y.min()):.3g}, {float(y.max()):.3g}]")
    return "values stay in [0, 1]"


def _draws(subject: Subject) -> str:
    x, index = _images(IMAGES[0])
    seen = []
    for seed in (1, 2):
        seed_all(seed)
        before = torch.get_rng_state()
        seen.append(_apply(subject, x, index, 5))
        if not torch.equal(before, torch.get_rng_state()):
            raise Broken("it draws from torch's global stream")
    if not torch.equal(*seen):
        raise Broken("the same images and draws give something else under another seed")
    return "the same draws give the same images"


def _per_sample(subject: Subject) -> str:
    x, index = _images(IMAGES[0])
    for key in range(8):
        together = _apply(subject, x, index, key)
        for i in range(len(x)):
            alone = _apply(subject, x[i : i + 1], index[i : i + 1], key)
            if not torch.allclose(together[i : i + 1], alone, rtol=0, atol=1e-5):
                raise Broken(f"image {i} becomes something else in a batch than alone")
    return "each image by itself"


def _changes(subject: Subject) -> str:
    x, index = _images(IMAGES[0])
    count = sum(not torch.equal(_apply(subject, x, index, key), x) for key in range(IDLE))
    if not count:
        raise Doubtful(f"{IDLE * len(x)} images stay as they are")
    return f"{count} of {IDLE} batches of {len(x)} images are changed"


AUGMENT = (
    Check(
        "builds",
        "an augmentation is built as target(**options) and called with images",
        "return something that is called with (images, uniform)",
        _augment_builds,
        gate=True,
    ),
    Check("shape", "images of one batch lie in one array", "return the shape and type that came in", _keeps),
    Check("range", "normalisation comes behind, and expects [0, 1]", "clamp(0, 1) what may leave the range", _range),
    Check(
        "draws",
        "rows of one seed must see the same pictures, and a resumed trial those that it would have seen",
        "draw through uniform(n) alone: [B, n] numbers in [0, 1)",
        _draws,
    ),
    Check(
        "per_sample",
        "what an image becomes may not depend on the batch that it is in",
        "compute with the image's own row of the draws; take no mean over the batch",
        _per_sample,
    ),
    Check(
        "changes",
        "a row with an augmentation that does nothing is the row without it, seen twice",
        "look at how the draws are compared with a probability, and whether the changed images are returned",
        _changes,
    ),
)


# ---------------------------------------------------------------------------------------------------------- optimiser


class _Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        self.frozen = nn.Linear(3, 3).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.frozen(self.layers(x))
        return y


def _model() -> _Line:
    seed_all(SEED)
    return _Line()


def _optimizer_builds(subject: Subject) -> str:
    made = _built(subject, _model())
    if not isinstance(made, torch.optim.Optimizer):
        raise Broken(f"built, it is a {type(made).__name__}, and no torch.optim.Optimizer")
    return type(made).__name__


def _covers(subject: Subject) -> str:
    model = _model()
    held = [id(p) for group in _built(subject, model).param_groups for p in group["params"]]
    wanted = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    left = [name for key, name in wanted.items() if key not in held]
    if left:
        raise Broken(f"it does not train {', '.join(left)}")
    frozen = [n for n, p in model.named_parameters() if not p.requires_grad and id(p) in held]
    if frozen:
        raise Broken(f"it holds {', '.join(frozen)}, which is frozen")
    if len(held) != len(set(held)):
        raise Broken("it holds a parameter twice")
    return f"{len(held)} parameters, each once"


def _train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> float:
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(32, 6, generator=generator)
    target = x[:, :3].sin()
    loss = torch.zeros(())
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - target).square().mean()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def _learns(subject: Subject) -> str:
    model = _model()
    optimizer = _built(subject, model)
    first, last = _train(model, optimizer, 1), _train(model, optimizer, 60)
    if not last < first:
        raise Broken(f"60 updates bring a squared error from {first:.4g} to {last:.4g}")
    return f"60 updates bring a squared error from {first:.3g} to {last:.3g}"


def _resumes(subject: Subject) -> str:
    model = _model()
    optimizer = _built(subject, model)
    _train(model, optimizer, 3)
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    again = _model()
    resumed = _built(subject, again)
    again.load_state_dict(state["model"])
    resumed.load_state_dict(state["optimizer"])
    _train(model, optimizer, 3)
    _train(again, resumed, 3)
    for (name, a), (_, b) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        if not torch.equal(a, b):
            raise Broken(f"'{name}' is another after an interruption")
    return "stored and resumed, it goes on to the same bits"


OPTIMIZER = (
    Check(
        "builds",
        "an optimiser is built as target(model, **options)",
        "return a torch.optim.Optimizer",
        _optimizer_builds,
        gate=True,
    ),
    Check(
        "covers",
        "what no optimiser holds never trains, and what is frozen must stay",
        "take the parameters of the model that have requires_grad, each in one group",
        _covers,
    ),
    Check("learns", "this is what it is for", "look at the sign of the update, and at the default rate", _learns),
    Check(
        "resumes",
        "an interrupted trial goes on to the same bits",
        "keep all state in optimizer.state and param_groups, as tensors and plain numbers",
        _resumes,
    ),
)


# ----------------------------------------------------------------------------------------------------------- schedule


def _schedule(subject: Subject) -> tuple[Any, torch.optim.Optimizer]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    return _built(subject, optimizer, STEPS, STEPS_PER_EPOCH), optimizer


def _schedule_builds(subject: Subject) -> str:
    made, _ = _schedule(subject)
    if not callable(getattr(made, "step_update", None)):
        raise Broken(f"built, it is a {type(made).__name__} without `step_update(n)`")
    return type(made).__name__


def _rates(subject: Subject) -> list[float]:
    schedule, optimizer = _schedule(subject)
    found = []
    for n in range(STEPS):
        schedule.step_update(n)
        found.append(float(optimizer.param_groups[0]["lr"]))
    return found


def _sound(subject: Subject) -> str:
    rates = _rates(subject)
    if not all(math.isfinite(r) and r >= 0 for r in rates):
        raise Broken(f"a rate is {next(r for r in rates if not (math.isfinite(r) and r >= 0))}")
    if not max(rates) > 0:
        raise Broken("every rate is 0")
    return f"{min(rates):.3g} to {max(rates):.3g} for a rate of 0.1"


def _of_n_alone(subject: Subject) -> str:
    rates = _rates(subject)
    for n in (0, 1, STEPS // 2, STEPS - 1):
        schedule, optimizer = _schedule(subject)
        schedule.step_update(n)
        rate = float(optimizer.param_groups[0]["lr"])
        if not math.isclose(rate, rates[n], rel_tol=1e-9, abs_tol=1e-15):
            raise Broken(f"update {n} has the rate {rates[n]:.4g} after all before it, and {rate:.4g} by itself")
    return "the rate follows from the number of the update"


SCHEDULE = (
    Check(
        "builds",
        "a schedule is built as target(optimizer, total_steps, steps_per_epoch, **options)",
        "return something with step_update(n), n from 0",
        _schedule_builds,
        gate=True,
    ),
    Check("rates", "a rate below 0 climbs, and one that is no number ends the trial", "look at both ends", _sound),
    Check(
        "pure",
        "a resumed trial keeps no state of its schedule and starts it in the middle",
        "compute the rate from n and the optimiser's initial rate alone",
        _of_n_alone,
    ),
)

RECIPE: Mapping[str, tuple[Check, ...]] = {"augment": AUGMENT, "optimizer": OPTIMIZER, "schedule": SCHEDULE}
