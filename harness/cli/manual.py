"""Commands whose help page ends like a manual's: examples, and the keys of what `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click


def _write(formatter: click.HelpFormatter, examples: Sequence[str], keys: Mapping[str, str]) -> None:
    if keys:
        with formatter.section("Keys of --json"):
            formatter.write_dl(list(keys.items()))
    if examples:
        with formatter.section("Examples"):
            formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in examples))


class Manual(click.Command):
    """`examples`: command lines that can be typed. `keys`: dotted keys of the JSON document, with their meaning."""

    def __init__(
        self, *arguments: Any, examples: Sequence[str] = (), keys: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.examples, self.keys = tuple(examples), dict(keys or {})

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write(formatter, self.examples, self.keys)


class ManualGroup(click.Group):
    """The same for a command that has commands."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write(formatter, self.examples, {})
