"""How the tests look at findings: by check and level, without the slow checks that a test is not about."""

from __future__ import annotations

from typing import Any

from harness.conformance import subject_of
from harness.conformance.running import plan, run
from harness.registry import Registry

SLOW = {"compile", "onnx", "attaches"}
"""They take a second each, and the faults of these tests are seen without them."""


class Levels(dict[str, str]):
    """Check -> level; `told`: check -> what was seen."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, str] = {}


def registry(kind: str, target: str, **more: Any) -> Registry:
    """One component called `good`, and all that ships beside it, which models and tasks are checked with."""
    from harness.discovery import load

    known = Registry("tests 0")
    known.merge(load(third_party=False).registry)
    known.add(kind, "good", target, **{"summary": "made for a test", "source": "original", **more})
    return known


def levels(kind: str, target: str | Registry, wanted: str, **options: Any) -> Levels:
    """Run the checks of the component `good`; of the slow ones only `wanted`."""
    known = target if isinstance(target, Registry) else registry(kind, target)
    subject = subject_of(kind, "good", registry=known, **options)
    found = Levels()
    for check in plan(subject):
        if check.name not in SLOW or check.name == wanted:
            finding = run(check, subject)
            found[check.name], found.told[check.name] = finding.level, finding.what
            assert finding.what, check.name
            assert finding.why, check.name
            assert finding.mend, check.name
    return found


def of(found: Levels, level: str) -> set[str]:
    return {name for name, one in found.items() if one == level}
