"""Datasets: metadata without loading, arrays as declared, splits that share nothing, batches that repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..contracts import DatasetInfo, Generates, Spec, Split
from ..data import data_root
from ..errors import DataError
from .contents import Seen, altered, copies, look
from .described import fingerprint, light
from .findings import Broken
from .running import Check, Subject

SPLITS = ("train", "val", "test")
LOOKED_AT = 64
"""Items of a split whose values are looked at one by one."""


def _open(subject: Subject) -> str:
    target, options = subject.target, subject.chosen()
    if not callable(getattr(target, "describe", None)):
        raise Broken("the target has no `describe(root, **options)`")
    root = data_root()
    info = target.describe(root, **options)
    if not isinstance(info, DatasetInfo):
        raise Broken(f"`describe` gives a {type(info).__name__}, and no harness.contracts.DatasetInfo")
    data = target(root, **options)
    subject.kept |= {"info": info, "data": data, "root": root}
    _first(subject)
    return ", ".join(f"{info.sizes.get(name, 0):,} {name}" for name in SPLITS)


def _first(subject: Subject) -> None:
    """Read one item of each split, so that files which are not here are noticed now; other faults have their checks."""
    try:
        for split in _splits(subject).values():
            split.batch([0], 0)
    except DataError:
        raise
    except Exception:
        return


def _info(subject: Subject) -> DatasetInfo:
    info: DatasetInfo = subject.kept["info"]
    return info


def _splits(subject: Subject, fold: int = 0) -> dict[str, Split]:
    """The splits of a fold that have items."""
    data = subject.kept["data"]
    found = {name: data.split(name, fold) for name in SPLITS}
    return {name: split for name, split in found.items() if len(split)}


def _sizes(subject: Subject) -> str:
    info = _info(subject)
    for fold in {0, info.folds - 1}:
        for name in SPLITS:
            split = subject.kept["data"].split(name, fold)
            told = info.sizes.get(name, 0)
            if fold == 0 and len(split) != told:
                raise Broken(f"{name} has {len(split):,} items, and `describe` says {told:,}")
            if len(split.ids) != len(split):
                raise Broken(f"{name} has {len(split):,} items and {len(split.ids):,} ids")
            if split.lengths is not None and len(split.lengths) != len(split):
                raise Broken(f"{name} has {len(split):,} items and {len(split.lengths):,} lengths")
    return "as described"


def _specs(subject: Subject) -> str:
    info = _info(subject)
    if not info.specs:
        raise Broken("`describe` declares no arrays")
    for key, spec in info.specs.items():
        if len(spec.axes) != len(spec.shape):
            raise Broken(f"'{key}' has axes '{spec.axes}' and a shape of {len(spec.shape)} numbers")
    for name, split in _splits(subject).items():
        count = min(2, len(split))
        batch = split.batch(list(range(count)), 0)
        for key, spec in info.specs.items():
            if key not in batch:
                raise Broken(f"a batch of {name} has no '{key}', which is declared")
            _matches(f"'{key}' of {name}", batch[key], spec, count)
        index = batch.get("index")
        if index is None or index.dtype != torch.int64 or index.tolist() != list(range(count)):
            raise Broken(f"a batch of {name} has no 'index' int64 [B] with the numbers of its items")
        _values(name, split, info)
        for key, array in (split.resident() or {}).items():
            if key in info.specs and not hasattr(split, "generate"):
                _matches(f"'{key}' of {name}.resident()", torch.as_tensor(array[:1].copy()), info.specs[key], 1)
    return ", ".join(f"{key} {spec.dtype} {list(spec.shape)}" for key, spec in info.specs.items())


def _matches(what: str, value: Tensor, spec: Spec, count: int) -> None:
    dtype = str(value.dtype).removeprefix("torch.")
    sides = zip(spec.shape, value.shape[1:], strict=False)
    fits = value.ndim == 1 + len(spec.shape) and all(n in (None, m) for n, m in sides)
    if dtype != spec.dtype or not fits or len(value) != count:
        raise Broken(f"{what} is {dtype} {list(value.shape)}, and declared is {spec.dtype} {[count, *spec.shape]}")


def _values(name: str, split: Split, info: DatasetInfo) -> None:
    """Labels are those of a class, and numbers are numbers, in items from all over the split."""
    for i in _spread(split):
        for key, value in split.batch([i], 0).items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise Broken(f"'{key}' of item {i} of {name} is not finite")
            labels = key == "target" and bool(info.classes) and value.dtype == torch.int64
            if labels and not 0 <= int(value.min()) <= int(value.max()) < len(info.classes):
                raise Broken(f"the target of item {i} of {name} is {int(value.max())}, of {len(info.classes)} classes")


def _spread(split: Split) -> list[int]:
    """At most LOOKED_AT items, first and last among them; fewer of those that vary, as videos are slow to decode."""
    count = min(len(split), LOOKED_AT if split.lengths is None else 4)
    return sorted({i * (len(split) - 1) // max(count - 1, 1) for i in range(count)})


def _resident(subject: Subject) -> str:
    """What is held on the device is what batches give, row by row."""
    held = []
    for name, split in _splits(subject).items():
        arrays = split.resident()
        if arrays is None:
            continue
        rows = _spread(split)
        batch = split.batch(rows, 3)
        if isinstance(split, Generates):
            tensors = {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}
            made = dict(split.generate(tensors, torch.tensor(rows), 3))
        else:
            made = {key: torch.from_numpy(np.array(array[rows])) for key, array in arrays.items()}
        for key, value in batch.items():
            if key == "index":
                continue
            if key not in made:
                raise Broken(f"'{key}' is in a batch of {name}, and not in what `resident()` gives")
            if made[key].dtype != value.dtype or not torch.equal(made[key].nan_to_num(), value.nan_to_num()):
                raise Broken(f"'{key}' of {name} is another by `resident()` than in a batch of the same items")
        held.append(name)
    return f"the same items as in batches: {', '.join(held)}" if held else "none is held on the device"


def _disjoint(subject: Subject) -> str:
    for fold in range(_info(subject).folds):
        seen: dict[str, str] = {}
        splits = _splits(subject, fold)
        for name, split in splits.items():
            for item in split.ids:
                if item in seen:
                    where = f"of fold {fold}" if fold else ""
                    raise Broken(f"item '{item}' {where} is in {seen[item]} and in {name}".replace("  ", " "))
                seen[item] = name
    return "no id is in two splits"


def _seen(subject: Subject) -> dict[str, Seen]:
    found: dict[str, Seen] = subject.once("seen", lambda: look(_splits(subject), _info(subject)))
    return found


def _copies(subject: Subject) -> str:
    folds = [{n: s.ids for n, s in _splits(subject, fold).items()} for fold in range(_info(subject).folds)]
    return copies(_seen(subject), folds)


def _altered(subject: Subject) -> str:
    return altered(_seen(subject))


def _pure(subject: Subject) -> str:
    for name, split in _splits(subject).items():
        rows: Sequence[int] = [len(split) - 1, 0] if len(split) > 1 else [0]
        for draw in (0, 7):
            first, second = split.batch(rows, draw), split.batch(rows, draw)
            for key, value in first.items():
                if not torch.equal(value, second[key]):
                    raise Broken(f"'{key}' of {name} is another in a second batch of the same items and draw")
            alone = split.batch(rows[:1], draw)
            for key, value in alone.items():
                if split.lengths is None and not torch.equal(value[0], first[key][0]):
                    raise Broken(f"'{key}' of an item of {name} is another alone than in a batch")
    return "the same items and draw give the same batch"


def _extras(subject: Subject) -> str:
    keys: set[str] = set()
    for name, split in _splits(subject).items():
        found = split.extras(0)
        if not isinstance(found, Mapping):
            raise Broken(f"`extras(0)` of {name} is a {type(found).__name__}, and no mapping")
        keys |= set(found)
    return ", ".join(sorted(keys)) or "none"


DATASET = (
    Check(
        "opens",
        "a study describes a dataset first, to plan, and opens it later, to train",
        "give the target `describe(root, **options) -> DatasetInfo` and call it as target(root, **options); raise "
        "harness.errors.DataError for files that are not there",
        _open,
        gate=True,
    ),
    Check(
        "light",
        "planning, --dry-run and lists describe every dataset, and must not wait for torch or for files to be decoded",
        "import torch and decoders inside the methods of a split; keep what is slow with harness.data.remembered",
        light,
    ),
    Check(
        "fingerprint",
        "it is part of every trial's id: if it moves, everything is trained again; if it is stuck, nothing is",
        "hash content, version and all options that change the data with harness.data.fingerprint; use no set order, "
        "time or hash()",
        fingerprint,
    ),
    Check("sizes", "batches are cut and reports count by these numbers", "compute both from one list", _sizes),
    Check(
        "specs",
        "models and losses are built from the declaration, before any item is read",
        "give batches of the declared shape and type, and 'index' int64 [B]; None in a shape is what varies",
        _specs,
    ),
    Check(
        "resident",
        "training reads what `resident()` gives where it fits on the device, and batches elsewhere",
        "give the rows of `resident()` the order of `ids`, and every array that a batch has; or return None",
        _resident,
    ),
    Check(
        "disjoint",
        "a test item that was trained on makes the test score worthless",
        "split before anything else, and give an item the same id wherever it stands",
        _disjoint,
    ),
    Check(
        "copies",
        "an item that was trained on makes the test score worthless under another id, too",
        "take equal items out of all splits but one before you split, and oversample behind the split alone",
        _copies,
    ),
    Check(
        "altered",
        "a brighter, mirrored or noisy copy of a training item is no new item, and a model need not generalise to it",
        "split before anything else, and augment the training split alone; if both splits look alike for another "
        "reason, say it: departs={'altered': reason}",
        _altered,
    ),
    Check(
        "pure",
        "rows of one seed are compared on the same batches, and a resumed epoch draws what it drew",
        "draw from (item, draw) alone, for instance through harness.data.uniforms",
        _pure,
    ),
    Check(
        "extras",
        "what evaluation alone may see is asked for item by item",
        "return a mapping of arrays, {} where there is nothing",
        _extras,
    ),
)
