"""Blocks for sequences [B, T, C] with a mask: what stands under padding must change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..contracts import IO, Spec
from .attention import ATTENTION, block_of, builder, finite_for, gradients, one_item, trains_in, width
from .findings import Broken, NotChecked
from .modules import Case, finite, moved, same
from .running import Check, Subject

REPLACED = {check.name: check for check in ATTENTION}


def _keeps(subject: Subject, channels: int, items: int, length: int, modes: Sequence[bool] = (True, False)) -> str:
    x = torch.randn(items, length, channels)
    masks: list[Tensor | None] = [None, torch.ones(items, length, dtype=torch.bool)]
    for mask in masks:
        for training in modes:
            y = block_of(subject, channels).train(training)(x, mask)
            if not isinstance(y, Tensor) or y.shape != x.shape or y.dtype != x.dtype:
                got = f"{y.dtype} {list(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
                raise Broken(f"{x.dtype} {list(x.shape)} becomes {got} {'without' if mask is None else 'with'} a mask")
    return f"[{items}, {length}, {channels}] with and without a mask"


def _shape(subject: Subject) -> str:
    return _keeps(subject, width(subject), 2, 13)


def _one(subject: Subject) -> str:
    return one_item(lambda training: _keeps(subject, width(subject), 1, 6, [training]))


def _tiny(subject: Subject) -> str:
    return _keeps(subject, width(subject), 2, 1)


def _few(subject: Subject) -> str:
    return _keeps(subject, 8, 2, 5)


def _finite(subject: Subject) -> str:
    c = width(subject)
    made = {"noise": torch.randn(2, 9, c), "zeros": torch.zeros(2, 9, c), "values of 100": 100 * torch.randn(2, 9, c)}
    return finite_for(subject, made)


def _gradient(subject: Subject) -> str:
    return gradients(subject, [torch.randn(2, 9, width(subject)) for _ in range(3)])


def _mask(subject: Subject) -> str:
    case: Case = subject.kept["case"]
    x, mask = case.inputs["x"], case.inputs["mask"]
    block = moved(case)
    rubbish = {
        "noise": torch.randn_like(x),
        "values of 1e6": torch.full_like(x, 1e6),
        "NaN": torch.full_like(x, torch.nan),
    }
    with torch.no_grad():
        before = block(x, mask)
        finite({"": before[mask]}, "a real frame")
        for name, value in rubbish.items():
            after = block(torch.where(mask[..., None], x, value), mask)
            same({"y": before[mask]}, {"y": after[mask]}, f"real frames with {name} under padding and without")
        for i, length in enumerate(mask.sum(1).tolist()):
            whole, real = x[i : i + 1].repeat(2, 1, 1), mask[i : i + 1].repeat(2, 1)
            padded, cut = block(whole, real)[:, :length], block(whole[:, :length], None)
            same({"y": padded}, {"y": cut}, f"{length} real frames with padding behind and without")
    return "noise, 1e6 and NaN under padding change no real frame, and padding is as good as nothing"


def _padding(subject: Subject) -> str:
    case: Case = subject.kept["case"]
    x, mask = case.inputs["x"], case.inputs["mask"].clone()
    with torch.no_grad():
        after = moved(case)(x, mask)
        if bool((after[~mask] != 0).any()):
            raise Broken("the result under padding is not 0")
        mask[1] = False
        finite({"": moved(case)(x, mask)}, "the output of a batch with an item that is all padding")
    return "0 under padding; an item that is all padding works"


def _causal(subject: Subject) -> str:
    case: Case = subject.kept["case"]
    block = moved(case)
    if not (getattr(block, "causal", False) or getattr(subject.target, "causal", False)):
        raise NotChecked("it does not say that it is causal (an attribute `causal = True`)")
    x = case.inputs["x"]
    with torch.no_grad():
        before = block(x, None)
        for t in range(1, x.shape[1]):
            changed = x.clone()
            changed[:, t:] = torch.randn_like(changed[:, t:])
            what = f"frames before {t} after a change from there on"
            same({"y": before[:, :t]}, {"y": block(changed, None)[:, :t]}, what)
    return f"{x.shape[1] - 1} changes of what comes later change nothing before"


def _attaches(subject: Subject) -> str:
    io = IO(
        {"features": Spec("TK", (None, 16), "float32"), "mask": Spec("T", (None,), "bool")},
        {"logits": Spec("T", (None,), "float32")},
    )
    batch = {"features": torch.randn(2, 9, 16), "mask": torch.arange(9)[None] < torch.tensor([[9], [5]])}
    options = {"dim": width(subject), "layers": 1, "heads": 4, "hidden": 32}
    return trains_in(subject, io, batch, "keyframe_transformer", options, "temporal")


def _with(name: str, run: Callable[[Subject], str], why: str = "", mend: str = "", gate: bool = False) -> Check:
    """The check of this name of blocks for images, with another way to look."""
    like = REPLACED[name]
    return Check(name, why or like.why, mend or like.mend, run, gate)


TEMPORAL = (
    _with("builds", builder(image=False), gate=True),
    REPLACED["domain"],
    _with("shape", _shape, mend="return [B, T, C] for x [B, T, C] and mask bool [B, T] or None"),
    _with("batch_of_one", _one),
    Check(
        "one_frame",
        "a video may have one frame",
        "look at windows that are longer than the sequence, and at squeeze() without an axis",
        _tiny,
    ),
    _with("few_channels", _few),
    _with("finite", _finite),
    _with("gradient", _gradient),
    REPLACED["idle_weights"],
    REPLACED["independent"],
    Check(
        "mask",
        "videos of a batch are padded to the longest, and what a video scores would depend on its neighbours",
        "empty padded frames with masked_fill before they are read (0 * NaN is NaN), and hide them as keys",
        _mask,
    ),
    Check(
        "padding",
        "models add up what comes out, and a softmax over nothing is no number",
        "end with masked_fill(~mask[..., None], 0), and let an item that is all padding look at itself",
        _padding,
    ),
    Check(
        "causal",
        "a block that says it looks back only is used where later frames are the answer",
        "mask the keys behind each query, and pad convolutions on the left alone; or say causal = False",
        _causal,
    ),
    _with("attaches", _attaches, "this is where a study puts it: between an encoder and the scores of frames"),
    *ATTENTION[[c.name for c in ATTENTION].index("seed") :],
)
