"""Errors that a user can mend: each says where, what, and gives a hint. Anything else is a bug."""

from __future__ import annotations

from collections.abc import Sequence


class HarnessError(Exception):
    """Something the user can mend; the command line prints it without a traceback and exits with 2."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n hint: {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries; the default would replay only `args` and drop the hint.
        return (type(self), (self.message, self.hint))


class ConfigError(HarnessError):
    """An option, a component or a combination of them cannot be used."""


class NoControl(ConfigError):
    """A control cannot be made of the block that it is to stand beside."""


class UnknownName(ConfigError):
    """A name that nothing was registered under."""


class ClashError(ConfigError):
    """Two providers registered the same kind and name."""


class DataError(HarnessError):
    """A dataset is missing, damaged or not what it should be."""


class StoreError(HarnessError):
    """A file of the store cannot be read or written."""


class Diverged(HarnessError):
    """Training produced a loss that is not finite."""


class ComponentFailed(Exception):
    """A component raised what is no HarnessError: a bug of its own. The message says where, and holds its words."""


def said(error: BaseException) -> str:
    """What a failed trial gives as its reason: the words of an error, behind its kind where that says anything."""
    if isinstance(error, (HarnessError, ComponentFailed)):
        return str(error)
    return f"{type(error).__name__}: {error}"


class GridError(ConfigError):
    """Every mistake of a grid file at once."""

    def __init__(self, mistakes: Sequence[HarnessError]) -> None:
        super().__init__("\n".join(str(m) for m in mistakes))
        self.mistakes = tuple(mistakes)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.mistakes,))
