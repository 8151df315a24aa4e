"""What holds for components of every kind: how they are declared, and what can be read off their signature."""

from __future__ import annotations

import functools
import inspect
import json
import os
import subprocess
import sys

from ..errors import ConfigError
from ..sources import digest_of, foreign_digest
from .findings import Broken, Doubtful, NotChecked
from .running import PLAIN, Check, Subject

_LOOK = """\
import importlib, json, sys
from harness.registry import Registry
module = importlib.import_module(sys.argv[1])
register = getattr(module, "harness_register", None)
if register is not None:
    register(registry=Registry())
json.dump([m for m in ("torch", "torchvision", "timm") if m in sys.modules], sys.stdout)
"""


def _entry(subject: Subject) -> str:
    if subject.plain:
        raise NotChecked(f"{PLAIN}: no command imports it to list it")
    if not subject.entries:
        raise NotChecked("the registry was filled by hand, so no entry module is known")
    for module in subject.entries:
        heavy = imported_by(module)
        if heavy:
            raise Broken(f"importing '{module}' and declaring its components imports {', '.join(heavy)}")
    return f"{', '.join(subject.entries)}: imports no torch"


@functools.cache
def imported_by(module: str) -> tuple[str, ...]:
    """What an entry module imports of torch and what needs it, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, module], env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Broken(f"importing '{module}' fails: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
    return tuple(json.loads(done.stdout.rpartition("[")[1] + done.stdout.rpartition("[")[2]))


def environment() -> dict[str, str]:
    """This process's, with everything that it can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def _loads(subject: Subject) -> str:
    try:
        target = subject.target
    except ConfigError as error:
        raise Broken(error.message, error.hint) from error
    return f"{subject.component.target}, a {'class' if inspect.isclass(target) else 'function'}"


def _code(subject: Subject) -> str:
    try:
        return f"hash {(foreign_digest if subject.plain else digest_of)(subject.component.module)}"
    except ConfigError as error:
        raise Broken(error.message) from error


def _summary(subject: Subject) -> str:
    if subject.plain:
        raise NotChecked(f"{PLAIN}: no list shows it")
    if not subject.component.summary.strip():
        raise Broken("there is no summary")
    return subject.component.summary


def _source(subject: Subject) -> str:
    if subject.plain:
        raise NotChecked(f"{PLAIN}: where it is from is for you to say")
    if not subject.component.source.strip():
        raise Doubtful("no source is given, so every list says 'original'")
    return subject.component.source


def _options(subject: Subject) -> str:
    component, target = subject.component, subject.target
    example = component.example
    faults = []
    for option in component.options():
        given = option.name in example or option.name in subject.options or option.name == "of" or subject.plain
        if option.type_name() == "any":
            faults.append(f"'{option.name}' has no type")
        if option.required and not given and component.kind != "dataset":
            faults.append(f"'{option.name}' has no default, and there is no `example` of it")
        if not option.required and not option.accepts(option.default):
            faults.append(f"'{option.name}' is {option.default!r} by default, which is no {option.type_name()}")
    open_ended = [p.name for p in inspect.signature(target).parameters.values() if p.kind is p.VAR_KEYWORD]
    if not hasattr(target, "takes"):
        faults += [f"'**{name}' takes options that nobody can know" for name in open_ended]
    if faults:
        raise (Doubtful if subject.plain else Broken)("; ".join(faults))  # a grid takes a plain class as it is
    return ", ".join(o.name for o in component.options()) or "it takes none"


def _departures(subject: Subject) -> str:
    from .running import plan

    declared = subject.component.departs
    known = {check.name: check for check in plan(subject)}
    for name, reason in declared.items():
        if name not in known:
            raise Broken(f"`departs` names '{name}', which is no check of this kind: {', '.join(known)}")
        if known[name].gate:
            raise Broken(f"`departs` names '{name}', without which nothing else can be checked")
        if not str(reason).strip():
            raise Broken(f"`departs` gives no reason for '{name}'")
    return ", ".join(declared) or "none"


GENERAL = (
    Check(
        "entry",
        "every command imports the entry module of every plugin, `harness list` too, and torch takes seconds",
        "import torch in the module of the target alone, and declare the target as 'package.module:Name'",
        _entry,
    ),
    Check(
        "loads",
        "the target is imported where a study names it, and the study ends there if that fails",
        "let 'package.module:Name' name a class or a function of that module",
        _loads,
        gate=True,
    ),
    Check(
        "code",
        "the code of a component is part of a trial's id: without it, a change would not be noticed",
        "put the target into a .py file of a package",
        _code,
    ),
    Check(
        "summary",
        "`harness list` shows one line for each component",
        "give registry.add a `summary`",
        _summary,
    ),
    Check(
        "source",
        "reports name where each component is from",
        "give registry.add a `source`: paper and equation, or 'original'",
        _source,
    ),
    Check(
        "options",
        "a grid is checked against the signature before anything trains; what has no type or default cannot be",
        "give each option an annotation and a default of that type; give registry.add a value for each required one, "
        "for instance example={'arch': 'resnet18'}",
        _options,
    ),
    Check(
        "departures",
        "`departs` is how a component says openly which checks it does not keep, and why",
        "give registry.add departs={'name of a check': 'reason'}",
        _departures,
    ),
)
