"""A pytest plugin for the author's own CI: one test a component and check.

pytest -p harness.conformance.plugin --harness-provider my-plugin
"""

from __future__ import annotations

from collections.abc import Iterator
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
        help="check every component of this plugin: an entry point's name, or a distribution's; may be repeated",
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    for name in config.getoption("--harness-provider"):
        try:
            subjects = list(subjects_of(name))
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error
        for subject in subjects:
            items.extend(_items(session, subject))


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
