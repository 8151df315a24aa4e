"""Blocks for maps [B, C, H, W]: shape, gradients, independence of items, and a place in a network of timm."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..contracts import IO, Spec
from ..environment import seed_all
from ..errors import ConfigError
from .blocks import Maker, make_block
from .findings import Broken, Doubtful, NotChecked
from .modules import COMPILERS, WEIGHTS, Case, Tensors, finite, moved, same, tensors_of
from .running import SEED, Check, Subject, plan, run, told

CHANNELS = (32, 64, 96, 128, 256, 512)
"""Widths that are tried until the block takes one."""
IDLE = 1e-6
"""A gradient below this share of the largest is rounding."""


def block_of(subject: Subject, channels: int, seed: int = SEED) -> nn.Module:
    """Raises NotChecked where the block refuses so many channels in its own words."""
    seed_all(seed)
    return _fitting(subject, channels)


def _fitting(subject: Subject, channels: int) -> nn.Module:
    """Like `block_of`, under the seed as it stands."""
    try:
        return _made(subject, channels)
    except ConfigError as error:
        raise NotChecked(f"it refuses {channels} channels: {error.message}") from error


def width(subject: Subject) -> int:
    found: int = subject.kept["channels"]
    return found


def builder(image: bool) -> Callable[[Subject], str]:
    """The gate of both domains: a width that the block takes, and how it is called."""

    def build(subject: Subject) -> str:
        refused: NotChecked | None = None
        subject.chosen()
        for channels in CHANNELS:
            try:
                block_of(subject, channels)
            except NotChecked as reason:
                refused = reason
                continue
            subject.kept["channels"] = channels
            generator = torch.Generator().manual_seed(SEED)
            size = (3, channels, 9, 7) if image else (3, 12, channels)
            inputs = {"x": torch.randn(size, generator=generator)}
            if not image:
                inputs["mask"] = torch.arange(12)[None] < torch.tensor([[12], [7], [3]])
            subject.kept["case"] = Case(functools.partial(_made, subject, channels), inputs, _call)
            return f"with {channels} channels"
        raise Broken(str(refused))

    return build


def _made(subject: Subject, channels: int) -> nn.Module:
    return make_block(subject.registry, subject.component.name, channels, subject.chosen())


def _call(block: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    return {"y": block(*(value.clone() for value in inputs.values()))}


def _domain(subject: Subject) -> str:
    domain = getattr(subject.target, "domain", None)
    if domain is None and subject.plain:
        return "not said, so it is taken for a block for maps [B, C, H, W]; sequences need domain = 'temporal'"
    if domain not in ("image", "temporal", "any"):
        raise Broken(f"`domain` is {domain!r}")
    return str(domain)


def keeps(
    subject: Subject, channels: int, shapes: Sequence[tuple[int, ...]], modes: Sequence[bool] = (True, False)
) -> str:
    """Shape and type stay, in training (True) and in evaluation."""
    for shape in shapes:
        for training in modes:
            block = block_of(subject, channels).train(training)
            x = torch.randn(shape)
            mode = "training" if training else "evaluation"
            y = block(x)
            if not isinstance(y, Tensor) or y.shape != x.shape:
                got = list(y.shape) if isinstance(y, Tensor) else type(y).__name__
                raise Broken(f"{list(shape)} becomes {got} in {mode} mode")
            if y.dtype != x.dtype:
                raise Broken(f"{x.dtype} becomes {y.dtype} in {mode} mode")
            finite({"": y}, f"the output for {list(shape)} in {mode} mode")
    return ", ".join(str(list(s)) for s in shapes)


def _shape(subject: Subject) -> str:
    c = width(subject)
    return keeps(subject, c, [(2, c, 8, 8), (2, c, 5, 11), (3, c, 12, 3)])


def _one(subject: Subject) -> str:
    c = width(subject)
    return one_item(lambda training: keeps(subject, c, [(1, c, 6, 6)], [training]))


def one_item(look: Callable[[bool], str]) -> str:
    """`look(training)` is required in evaluation; in training, norms over the batch have one value, and refuse it.

    The harness leaves out a last batch of one item (`loading.Loader.training`), so that few studies meet it.
    """
    seen = look(False)
    try:
        look(True)
    except Exception as error:
        raise Doubtful(
            f"evaluation takes one item, and training does not: {error if isinstance(error, Broken) else told(error)}"
        ) from error
    return seen


def _tiny(subject: Subject) -> str:
    c = width(subject)
    return keeps(subject, c, [(3, c, 1, 1)])


def _few(subject: Subject) -> str:
    return "; ".join(keeps(subject, n, [(2, n, 4, 4)]) for n in (3, 1))


def _finite(subject: Subject) -> str:
    c = width(subject)
    inputs = {
        "noise": torch.randn(4, c, 6, 5),
        "zeros": torch.zeros(4, c, 6, 5),
        "one number": torch.full((4, c, 6, 5), 3.0),
        "values of 1000": 1000 * torch.randn(4, c, 6, 5),
    }
    return finite_for(subject, inputs)


def finite_for(subject: Subject, inputs: Mapping[str, Tensor]) -> str:
    for name, x in inputs.items():
        for training in (True, False):
            block = block_of(subject, width(subject)).train(training)
            leaf = x.clone().requires_grad_()
            y = block(leaf.clone())  # blocks may work in place, and nothing may write into a leaf
            finite({"": y}, f"the output for {name}")
            if y.requires_grad:
                y.sum().backward()
            grads = {n: p.grad for n, p in block.named_parameters() if p.grad is not None}
            grads |= {} if leaf.grad is None else {"x": leaf.grad}
            finite(grads, f"the gradient for {name}")
    return ", ".join(inputs)


def _gradient(subject: Subject) -> str:
    c = width(subject)
    return gradients(subject, [torch.randn(4, c, 6, 5) for _ in range(4)])


def gradients(subject: Subject, inputs: Sequence[Tensor]) -> str:
    """Every parameter moves. Weights are noise here, as one that starts at zero hides those before it."""
    largest: dict[str, float] = {}
    none: set[str] = set()
    for i, x in enumerate(inputs):
        block = block_of(subject, x.shape[1] if x.ndim == 4 else x.shape[-1], SEED + i)
        with torch.no_grad():
            for parameter in block.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        leaf = x.clone().requires_grad_()
        block(leaf.clone()).square().mean().backward()
        if leaf.grad is None or not float(leaf.grad.abs().max()) > 0:
            raise Broken("no gradient reaches the input")
        for name, parameter in block.named_parameters():
            if parameter.grad is None:
                none.add(name)
            else:
                largest[name] = max(largest.get(name, 0.0), float(parameter.grad.abs().max()))
    subject.kept["gradients"] = largest
    if none:
        raise Broken(f"no gradient reaches {', '.join(sorted(none))}")
    return f"the input and {len(largest)} parameters"


def _idle(subject: Subject) -> str:
    if "gradients" not in subject.kept:  # where checks are spread over processes, that one may have run elsewhere
        run(next(check for check in plan(subject) if check.name == "gradient"), subject)
    if "gradients" not in subject.kept:
        raise NotChecked("no gradient could be measured")
    largest: dict[str, float] = subject.kept["gradients"]
    top = max(largest.values(), default=0.0)
    still = [name for name, value in largest.items() if value <= IDLE * top]
    if still:
        raise Doubtful(f"the gradient of {', '.join(still)} is zero but for rounding")
    return f"{len(largest)} parameters"


def _independent(subject: Subject) -> str:
    case: Case = subject.kept["case"]
    return independent(case, moved(case))


def independent(case: Case, module: nn.Module) -> str:
    """In evaluation mode, an item alone and among others gives the same."""
    count = len(next(iter(case.inputs.values())))
    with torch.no_grad():
        together = case.run(module, case.inputs)
        for i in range(count):
            alone = case.run(module, {k: v[i : i + 1] for k, v in case.inputs.items()})
            same({k: v[i : i + 1] for k, v in together.items()}, alone, f"item {i} alone and in a batch of {count}")
    return f"each of {count} items"


def _attaches(subject: Subject) -> str:
    io = IO({"inputs": Spec("CHW", (3, 64, 64), "float32")}, {"logits": Spec("K", (10,), "float32")})
    return trains_in(subject, io, {"inputs": torch.randn(4, 3, 64, 64)}, "timm", {"arch": "test_resnet"}, "image")


def trains_in(subject: Subject, io: IO, batch: Tensors, name: str, options: Mapping[str, Any], domain: str) -> str:
    """Attached to a small model that ships with the program: nothing else changes, and one update is made."""
    from ..discovery import load

    shipped = load(third_party=False).registry
    models = []
    for _ in range(2):
        seed_all(SEED)
        models.append(shipped.build("model", name, io, **options))
    plain, model = models
    maker = Maker(domain, functools.partial(_fitting, subject))
    sites = model.attach(maker, "residual")
    before, after = tensors_of(plain), tensors_of(model)
    for key, value in before.items():
        if key not in after or not torch.equal(value, after[key]):
            raise Broken(f"'{key}' of the network has changed")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for training in (True, True, False):
        model.train(training)
        output = model(batch)["logits"]
        finite({"logits": output}, "the network's output")
        if training:
            optimizer.zero_grad()
            output.square().mean().backward()
            optimizer.step()
    return f"{len(sites)} sites of a small {options.get('arch', name)}, two updates"


ATTENTION = (
    Check(
        "builds",
        "a block is called as target(channels, **options) for each place in a model",
        "take the number of channels first and everything else as options with defaults; raise "
        "harness.errors.ConfigError for what cannot be",
        builder(image=True),
        gate=True,
    ),
    Check(
        "domain",
        "models ask a block for its domain before they attach it",
        "write domain = 'image' for maps [B, C, H, W], 'temporal' for sequences [B, T, C]",
        _domain,
    ),
    Check(
        "shape",
        "a block is put between two layers that know nothing of it",
        "return the input's shape and type: `x * gate` and not the gate; look at how height and width are told apart",
        _shape,
        gate=True,
    ),
    Check(
        "batch_of_one",
        "predictions are often made for one image; training meets one alone with `batch_size: 1` or a single training "
        "item, as a last batch of one is left out",
        "look at squeeze() without an axis, and at norms over the batch: BatchNorm of pooled vectors has one value a "
        "channel then, and could take its running statistics",
        _one,
    ),
    Check(
        "one_by_one",
        "the last stage of a small network has maps of 1x1",
        "look at pooling with a fixed size, and at variances divided by H W - 1",
        _tiny,
    ),
    Check(
        "few_channels",
        "the first layers of small networks have few, and channels // reduction may be 0 for them",
        "use max(1, channels // reduction); or raise ConfigError that says how many channels are needed",
        _few,
    ),
    Check(
        "finite",
        "maps that are constant, zero or large occur in training, and one NaN ends it",
        "add an epsilon below every division and root; take no root of 0, whose gradient is infinite",
        _finite,
    ),
    Check(
        "gradient",
        "a weight without gradient never trains, and counts in every table of costs",
        "look for detach, .data, argmax, rounding and parameters that forward does not use",
        _gradient,
    ),
    Check(
        "idle_weights",
        "a weight that changes nothing, such as a bias before a norm, counts in every table of costs",
        "leave it out (bias=False); or say why it is there: departs={'idle_weights': reason}",
        _idle,
    ),
    Check(
        "independent",
        "test numbers would depend on the order and the size of batches",
        "take no mean over the batch in evaluation mode; norms keep running statistics for that",
        _independent,
    ),
    Check(
        "attaches",
        "this is where a study puts it: behind the last norm of a residual branch, before an addition in place",
        "end with a product or a sum and not with a bare sigmoid; build what it has in __init__",
        _attaches,
    ),
    *WEIGHTS,
    *COMPILERS,
)
