"""What this program writes to a terminal: whether there may be colours, warnings in one line, and JSON."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

    from ..discovery import Plugins

WIDE = 1000
"""Columns where there is no terminal: a row stays on its line, so that it can be searched."""
_PACKAGE = Path(__file__).resolve().parents[1]


def coloured(stream: Any) -> bool:
    """May a terminal's codes go to this stream? NO_COLOR (not empty) forbids all, FORCE_COLOR asks for them."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or _draws(stream)


def animated() -> bool:
    """May standard output have bars that are drawn again and again? Only a terminal, and not under NO_COLOR."""
    return _draws(sys.stdout) and not os.environ.get("NO_COLOR")


def _draws(stream: Any) -> bool:
    return bool(stream.isatty()) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def console() -> Console:
    """A rich console that keeps to `coloured`; rich by itself leaves bold and the like under NO_COLOR."""
    from rich.console import Console

    allowed = coloured(sys.stdout)
    return Console(force_terminal=allowed, no_color=not allowed, width=None if sys.stdout.isatty() else WIDE)


def document(plain: Any) -> None:
    """One JSON document, and nothing else, on standard output."""
    click.echo(json.dumps(plain, indent=1, allow_nan=False))


@contextmanager
def aside(wanted: bool = True) -> Iterator[None]:
    """What anything prints goes to standard error: a plugin that prints must not break a document for programs."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)  # libraries that are no Python write past sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def tell(kind: str, text: str, hint: str | None = None) -> None:
    """`error: …` or `warning: …` and a hint, on standard error."""
    colour = coloured(sys.stderr)
    head = click.style(f"{kind}:", fg="red" if kind == "error" else "yellow", bold=True)
    click.echo(f"{head} {harmless(text)}", err=True, color=colour)
    if hint:
        click.echo(f"{click.style(' hint:', fg='cyan')} {harmless(hint)}", err=True, color=colour)


def warn_of_failures(plugins: Plugins) -> None:
    for provider in plugins.failures:
        tell("warning", f"plugin '{provider.name}' of {provider.distribution}: {provider.error}", provider.hint)


def harmless(text: str) -> str:
    """Names of files may hold what a terminal takes for commands; line breaks stay."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text)


def show_warnings_in_one_line() -> None:
    """The program's own warnings are for users: no file, no line of code. Those of other libraries stay as they are."""
    usual = warnings.showwarning

    def shown(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        own = file is None and category in (UserWarning, RuntimeWarning) and Path(filename).is_relative_to(_PACKAGE)
        if own:
            tell("warning", str(message))
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = shown
