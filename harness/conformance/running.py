"""Runs checks one by one: whatever foreign code raises is a finding with its cause, and never a crash."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError, HarnessError
from ..foreign import is_target
from ..registry import Component, Registry
from .findings import BEHIND, Broken, Doubtful, Finding, NotChecked, Report

SEED = 20411
OWN = Path(__file__).parent
PLAIN = "a class that is no plugin"


@dataclass(slots=True)
class Subject:
    """The component under test. `entries`: modules that declare it; `kept`: what checks share, made once."""

    component: Component
    registry: Registry
    options: Mapping[str, Any]
    entries: tuple[str, ...] = ()
    found: dict[str, Finding] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Is it a class that is no plugin? A grid asks less of it."""
        return is_target(self.component.name)

    @property
    def target(self) -> Any:
        return self.component.load()

    def chosen(self) -> dict[str, Any]:
        """The options that it is built with: those given, and those of its `example`.

        Where options are given, `example` only fills in those that are required: it was made for the defaults.
        Raises NotChecked if a required one is still missing, ConfigError for a mistake in them.
        """
        example = dict(self.component.example)
        required = [o.name for o in self.component.options() if o.required]
        fill = {k: v for k, v in example.items() if not self.options or k in required}
        chosen = {**fill, **self.options}
        missing = [name for name in required if name not in chosen and name != "of"]
        if missing:
            raise NotChecked(f"it needs the option '{missing[0]}', for instance --set {missing[0]}=VALUE")
        of = {"of": None} if "of" in required else {}
        for name, error in self.component.mistakes({**of, **chosen}):
            if name != "of":  # a block that is built and handed over, whatever its annotation
                raise error
        return chosen

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]


@dataclass(frozen=True, slots=True)
class Check:
    """One promise. `run` returns what was seen, or raises Broken, Doubtful or NotChecked.

    `gate`: nothing behind it can be checked where it does not pass. `mild`: whatever goes wrong is a warning.
    """

    name: str
    why: str
    mend: str
    run: Callable[[Subject], str]
    gate: bool = False
    mild: bool = False


def plan(subject: Subject) -> tuple[Check, ...]:
    """The checks of a component in order; only the general ones where its target cannot be loaded."""
    from .general import GENERAL

    try:
        target = subject.target
    except ConfigError:
        return GENERAL
    return (*GENERAL, *_of_kind(subject.component.kind, target))


def _of_kind(kind: str, target: Any) -> tuple[Check, ...]:
    # Imported here: they import torch, and a plugin whose target cannot be loaded needs none.
    if kind == "attention":
        if getattr(target, "domain", "image") == "temporal":
            from .temporal import TEMPORAL

            return TEMPORAL
        from .attention import ATTENTION

        return ATTENTION
    if kind == "loss":
        from .losses import LOSS

        return LOSS
    if kind == "dataset":
        from .datasets import DATASET

        return DATASET
    if kind == "model":
        from .models import MODEL

        return MODEL
    if kind == "task":
        from .tasks import TASK

        return TASK
    from .recipe import RECIPE

    return RECIPE.get(kind, ())


def examine(subject: Subject, only: Sequence[str] = ()) -> Report:
    """Run every check, or those of these names."""
    component = subject.component
    findings = tuple(run(check, subject) for check in plan(subject) if not only or check.name in only)
    return Report(component.kind, component.name, component.provider, findings)


def run(check: Check, subject: Subject) -> Finding:
    """Run one check, those before it that it hangs on included; remembered, so that nothing runs twice."""
    if check.name not in subject.found:
        subject.found[check.name] = _departing(check, subject, _judged(check, subject))
    return subject.found[check.name]


def _judged(check: Check, subject: Subject) -> Finding:
    def finding(level: Any, what: str, mend: str | None = None) -> Finding:
        return Finding(check.name, level, what, check.why, mend or check.mend)

    for gate in _gates(check, subject):
        if run(gate, subject).level not in ("passed", "warning"):
            return finding("skipped", f"'{gate.name}' {BEHIND}")
    try:
        with undisturbed():
            return finding("passed", check.run(subject))
    except NotChecked as reason:
        return finding("skipped", str(reason))
    except DataError as missing:
        if check.gate and _may_lack_files(subject.component):
            return finding("skipped", f"{missing.message} ({missing.hint})" if missing.hint else missing.message)
        return finding("warning" if check.mild else "failed", f"{told(missing)}; {_LACKS[subject.component.kind]}")
    except Doubtful as doubt:
        return finding("warning", str(doubt))
    except Broken as broken:
        return finding("warning" if check.mild else "failed", str(broken), broken.mend)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # foreign code may raise anything, also what would end a test
        return finding("warning" if check.mild else "failed", told(error))


def _may_lack_files(component: Component) -> bool:
    """Files that are not on this machine are no fault of a component which says what they are and whence they come.

    Nothing else may refuse to be looked at: it would pass by raising DataError everywhere.
    """
    if component.kind != "dataset":
        return bool(component.files)
    target: Any = component.load()
    if any(hasattr(target, name) for name in ("by_hand", "local_files")) or any(
        o.required for o in component.options()
    ):
        return True
    try:
        return bool(target.files())
    except Exception:  # it has none, or cannot tell: then nobody can bring them
        return False


_LACKS = defaultdict(
    lambda: "only a dataset, and what declares `files` to registry.add, may be skipped for want of them",
    dataset="files that are not here are said where it is described, opened and first read, and `files()` or "
    "`by_hand(root)` says how to get them; it is skipped then",
)


def _gates(check: Check, subject: Subject) -> Sequence[Check]:
    checks = plan(subject)
    names = [c.name for c in checks]
    return [c for c in checks[: names.index(check.name)] if c.gate] if check.name in names else ()


def _departing(check: Check, subject: Subject, finding: Finding) -> Finding:
    """What a component openly does otherwise (`departs`: name of a check -> reason) is no fault of it."""
    if check.gate or finding.level == "skipped":
        return finding
    reason = subject.component.departs.get(check.name)
    if reason is None:
        return finding
    if finding.level == "passed":
        what = f"it departs from this by its own word ({reason}), and yet it holds: {finding.what}"
        return Finding(check.name, "warning", what, check.why, f"take '{check.name}' out of `departs`")
    return Finding(check.name, "skipped", f"by design: {reason}", check.why, check.mend)


def told(error: BaseException) -> str:
    """An error in one line, with the place in foreign code that it comes from."""
    if isinstance(error, HarnessError):
        return f"{type(error).__name__}: {error.message}" + (f" ({error.hint})" if error.hint else "")
    lines = str(error).strip().splitlines()
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent != OWN]
    outside = [f for f in frames if "site-packages" not in f.filename and not f.filename.startswith("<")]
    place = f" ({Path(outside[-1].filename).name}:{outside[-1].lineno})" if outside else ""
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'without a word'}{place}"


@contextmanager
def undisturbed() -> Iterator[None]:
    """The caller's random streams stay as they are; warnings and prints of foreign code are not its own."""
    from ..environment import seed_all, streams_kept

    with streams_kept(), warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        seed_all(SEED)
        yield
