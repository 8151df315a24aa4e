"""What a check found: what was seen, why it matters, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["passed", "failed", "warning", "skipped"]


BEHIND = "comes first"
"""How the reason ends why a check was skipped behind one that did not pass."""


class Broken(Exception):
    """A check does not hold; the message says what was seen. `mend`: in place of what the check says to do."""

    def __init__(self, what: str, mend: str | None = None) -> None:
        super().__init__(what)
        self.mend = mend


class Doubtful(Exception):
    """A check does not hold, and studies run all the same; the message says what was seen."""


class NotChecked(Exception):
    """A check could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `why` and `mend` are those of the check, unless what was seen says better what to do."""

    check: str
    level: Level
    what: str
    why: str = ""
    mend: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<7} {self.check}: {self.what}"
        if self.level in ("passed", "skipped"):
            return line
        return f"{line}\n          why: {self.why}\n         mend: {self.mend}"


@dataclass(frozen=True, slots=True)
class Report:
    """All findings about one component, or about a plugin that could not be loaded (kind "plugin")."""

    kind: str
    name: str
    provider: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Nothing failed; there may be warnings, and it may be `unseen`."""
        return not self.failures

    @property
    def unseen(self) -> bool:
        """What the component does could not be looked at, such as that of a dataset whose files are not here."""
        return any(f.level == "skipped" and f.what.endswith(BEHIND) for f in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        return self._of("failed")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self._of("warning")

    def _of(self, level: Level) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.level == level)

    @property
    def counted(self) -> str:
        """`18 passed, 1 warning, 2 skipped`."""
        counts = {level: len(self._of(level)) for level in ("passed", "failed", "warning", "skipped")}
        return ", ".join(
            f"{n} {level}{'s' if level == 'warning' and n > 1 else ''}" for level, n in counts.items() if n
        )

    def __str__(self) -> str:
        head = f"{self.kind} {self.name} ({self.provider}): {self.counted}"
        return "\n".join([head, *(f"  {finding}" for finding in self.findings)])
