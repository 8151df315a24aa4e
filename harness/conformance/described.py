"""What a dataset says of itself: quickly, without torch, and with a fingerprint that moves with the data alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from ..registry import Option
from .findings import Broken
from .general import environment
from .running import Subject

SLOWEST = 2.0
"""Seconds that a second `describe` may take; hashes of files are remembered by then."""
VALUES = 3
"""Of each option that are tried, beside the one that is chosen."""
COMPARED = 16
"""Items of a split that are compared between two values of an option."""

_ACTS = re.compile(r"download|fetch|force|overwrite|refresh|rebuild|write|cache")
"""Options that do something rather than say what the data are; a check must not set them off."""

_DESCRIBE = """\
import importlib, json, sys, time
from pathlib import Path
module, _, path = sys.argv[1].partition(":")
target = importlib.import_module(module)
for part in path.split("."):
    target = getattr(target, part)
def tupled(value):
    return tuple(map(tupled, value)) if isinstance(value, list) else value
options = {k: tupled(v) for k, v in json.loads(sys.argv[3]).items()}
first = target.describe(Path(sys.argv[2]), **options)
start = time.perf_counter()
again = target.describe(Path(sys.argv[2]), **options)
heavy = ("torch", "torchvision", "PIL", "cv2", "av", "decord", "imageio", "torchcodec", "sklearn")
print("FOUND" + json.dumps({
    "seconds": time.perf_counter() - start,
    "prints": [first.fingerprint, again.fingerprint],
    "heavy": [name for name in heavy if name in sys.modules],
}))
"""


def light(subject: Subject) -> str:
    found = subject.once("described", lambda: _described(subject))
    if found["heavy"]:
        raise Broken(f"`describe` imports {', '.join(found['heavy'])}")
    if found["seconds"] > SLOWEST:
        raise Broken(f"a second `describe` takes {found['seconds']:.1f} s, more than {SLOWEST:g} s")
    return f"a second `describe` takes {1000 * found['seconds']:.1f} ms, and imports no torch and no decoder"


def _described(subject: Subject) -> dict[str, Any]:
    """What `describe` does in a process of its own, with another seed of hashes than here."""
    arguments = [subject.component.target, str(subject.kept["root"]), json.dumps(subject.chosen(), default=str)]
    done = subprocess.run(
        [sys.executable, "-c", _DESCRIBE, *arguments],
        env={**environment(), "PYTHONHASHSEED": "271"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Broken(f"`describe` fails in a fresh process: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.rpartition("FOUND")[2])
    return found


def fingerprint(subject: Subject) -> str:
    here = subject.kept["info"].fingerprint
    again = subject.target.describe(subject.kept["root"], **subject.chosen()).fingerprint
    if not isinstance(here, str) or not here:
        raise Broken(f"the fingerprint is {here!r}")
    for other in (again, *subject.once("described", lambda: _described(subject))["prints"]):
        if other != here:
            raise Broken(f"the fingerprint is '{here[:16]}' and, described again, '{str(other)[:16]}'")
    return f"'{here[:16]}' in three descriptions, two of them in another process; {_options(subject, here)}"


def _options(subject: Subject, here: str) -> str:
    """Each option with a few other values: where the data differ, so must the fingerprint. Raises Broken."""
    told: dict[str, list[str]] = {"part of it": [], "without effect on the data": [], "not tried": []}
    for option in subject.component.options():
        if _ACTS.search(option.name):
            told["not tried"].append(option.name)
            continue
        prints = _prints(subject, option, here)
        what = "part of it" if len(prints) > 1 else "without effect on the data" if prints[here] else "not tried"
        told[what].append(option.name)
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in told.items() if names) or "it has no options"


def _prints(subject: Subject, option: Option, here: str) -> dict[str, list[Any]]:
    """The values of an option that were tried, by fingerprint. Raises Broken for two whose data differ."""
    chosen, root = subject.chosen(), subject.kept["root"]
    prints: dict[str, list[Any]] = {here: []}
    for value in _others(option, chosen.get(option.name, option.default)):
        if sum(map(len, prints.values())) == VALUES:
            break
        try:
            found = subject.target.describe(root, **{**chosen, option.name: value}).fingerprint
            change = ""
            if found in prints:
                before = {option.name: prints[found][0]} if prints[found] and found != here else {}
                change = _change(*(subject.target(root, **{**chosen, **o}) for o in (before, {option.name: value})))
        except Exception:
            continue  # no value for these data, or none whose files are here; nobody chose it
        if change:
            raise Broken(f"with {option.name} = {value!r}, {change}, and the fingerprint is the same")
        prints.setdefault(found, []).append(value)
    return prints


def _others(option: Option, now: Any) -> Iterator[Any]:
    """Values near the present one that fit the annotation; of text, which may name a file, there are none."""
    if typing.get_origin(option.annotation) is Literal:
        yield from (value for value in typing.get_args(option.annotation) if value != now)
        return
    kinds = typing.get_args(option.annotation) or (option.annotation,)
    if bool in kinds:
        yield not now
    if not isinstance(now, int | float | None) or isinstance(now, bool):
        return
    if int in kinds:
        whole = int(now or 0)
        yield from (n for n in dict.fromkeys((whole + 1, whole + 2, whole // 2, 2 * whole, 4, 8)) if n != now)
    if float in kinds:
        yield from ((now or 0.2) / 2, (now or 0.1) * 1.5)


def _change(first: Any, second: Any) -> str:
    """What differs between two datasets, by the first thing that does; "" for nothing."""
    for name in ("train", "val", "test"):
        mine, theirs = first.split(name), second.split(name)
        if len(mine) != len(theirs):
            return f"{name} has {len(theirs):,} items in place of {len(mine):,}"
        if list(mine.ids) != list(theirs.ids):
            return f"{name} has other items"
        for i in range(0, len(mine), max(1, len(mine) // COMPARED)):
            for a, b in ((mine.batch([i], 0), theirs.batch([i], 0)), (mine.extras(i), theirs.extras(i))):
                other = [key for key in {**a, **b} if key not in a or key not in b or not _equal(a[key], b[key])]
                if other:
                    return f"'{other[0]}' of item {i} of {name} is another"
    return ""


def _equal(a: Any, b: Any) -> bool:
    x, y = np.asarray(a), np.asarray(b)
    return x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
