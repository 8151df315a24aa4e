"""A pytest plugin for the author's own CI: one test a component and check.

pytest -p harness.conformance.plugin --harness-provider my-plugin

Without a provider, those that the project itself declares: the entry points in group `harness` of its pyproject.toml.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ..errors import HarnessError
from . import subjects_of
from .findings import Finding, Report
from .running import Check, Subject, plan, run


class ConformanceWarning(UserWarning):
    """A check that does not hold, and studies run all the same."""


class _Failed(Exception):
    """Carries a finding to `repr_failure`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "conformance of a plugin of the ablation harness")
    group.addoption(
        "--harness-provider",
        action="append",
        default=[],
        metavar="NAME",
        help="check every component of this plugin: an entry point's name, or a distribution's; may be repeated; "
        "default: the entry points in the group harness of pyproject.toml",
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    named: Sequence[str] = config.getoption("--harness-provider")
    for name in named or _declared(config):
        try:
            subjects = list(subjects_of(name))
        except HarnessError as error:
            more = "" if named else "\n it stands in pyproject.toml and is not installed here: pip install -e ."
            raise pytest.UsageError(f"{error}{more}") from error
        for subject in subjects:
            items.extend(_items(session, subject))


def _declared(config: pytest.Config) -> Sequence[str]:
    """The project's own providers. Raises pytest.UsageError if there are none: nothing would be checked in silence."""
    place = config.rootpath / "pyproject.toml"
    try:
        found = tomllib.loads(place.read_text(encoding="utf-8"))["project"]["entry-points"]["harness"]
        names = [str(name) for name in found]
    except FileNotFoundError:
        names, why = [], f"there is no '{place}'"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        names, why = [], f"'{place}' cannot be read: {error}"
    except (KeyError, TypeError):
        names, why = [], f"'{place}' has no [project.entry-points.harness]"
    else:
        why = f"[project.entry-points.harness] of '{place}' is empty"
    if not names:
        raise pytest.UsageError(f"harness.conformance: no plugin to check: {why}\n hint: --harness-provider NAME")
    return names


def _items(session: pytest.Session, subject: Subject | Report) -> Iterator[pytest.Item]:
    if isinstance(subject, Report):
        group: Any = Conformance.from_parent(session, name=f"harness::{subject.kind}::{subject.name}")
        for finding in subject.findings:
            yield CheckItem.from_parent(group, name=finding.check, finding=finding)
        return
    component = subject.component
    group = Conformance.from_parent(session, name=f"harness::{component.kind}::{component.name}")
    for check in plan(subject):
        yield CheckItem.from_parent(group, name=check.name, check=check, subject=subject)


class Conformance(pytest.Collector):
    """Holds the checks of one component."""

    def collect(self) -> list[pytest.Item]:
        return []


class CheckItem(pytest.Item):
    """One check of one component."""

    def __init__(
        self, *, check: Check | None = None, subject: Subject | None = None, finding: Finding | None = None, **more: Any
    ) -> None:
        super().__init__(**more)
        self._check, self._subject, self._finding = check, subject, finding

    def runtest(self) -> None:
        finding = self._finding
        if finding is None and self._check is not None and self._subject is not None:
            finding = run(self._check, self._subject)
        if finding is None or finding.level == "passed":
            return
        if finding.level == "skipped":
            pytest.skip(finding.what)
        if finding.level == "warning":
            self.warn(ConformanceWarning(str(finding)))
            return
        raise _Failed(str(finding))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, _Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, f"{self.parent.name if self.parent else ''}::{self.name}"
