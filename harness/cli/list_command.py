"""`harness list`: what can be named in a grid, and which trackers there are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .completing import kinds
from .manual import Manual
from .options import json_option

if TYPE_CHECKING:
    from ..registry import Component

KEYS = {
    "components[].kind": "attention, model, dataset, loss, task, augment, optimizer, schedule or tracker",
    "components[].name": "what a grid calls it",
    "components[].summary": "one line; may be empty",
    "components[].source": "where it comes from, such as a paper; may be empty",
    "components[].target": "package.module:Attribute",
    "components[].provider": "distribution and version",
    "components[].files": "its options that name files, a list",
    "components[].departs": "check of `harness check` that it fails by design -> the reason",
    "components[].example": "option -> the value that checks use where there is no default",
    "failures[].name": "the entry point of a plugin that cannot be loaded",
    "failures[].distribution": "its distribution and version",
    "failures[].module": "the module that the entry point names",
    "failures[].error": "why",
    "failures[].hint": "what to do",
}


@click.command(
    "list",
    cls=Manual,
    short_help="List what a grid can name.",
    examples=("harness list", "harness list attention", "harness list dataset --json"),
    keys=KEYS,
)
@click.argument("kind", required=False, shell_complete=kinds)
@json_option
@click.pass_context
def command(context: click.Context, kind: str | None, as_json: bool) -> int:
    """List registered components, all or of one KIND; nothing of them is imported.

    KIND is attention, model, dataset, loss, task, augment, optimizer, schedule or tracker.
    """
    from .. import discovery
    from ..plain import to_plain
    from .terminal import aside, document, warn_of_failures

    with aside(as_json):
        plugins = discovery.load(context.obj["third_party"])
    warn_of_failures(plugins)
    if kind is not None:
        plugins.registry.names(kind)  # raises for an unknown kind
    components = plugins.registry.components(kind)
    if as_json:
        document({"components": to_plain(components), "failures": to_plain(plugins.failures)})
        return 0
    _print(components)
    return 0


def _print(components: Sequence[Component]) -> None:
    """In a terminal, a provider that all have is said once: its column would leave too little for the summaries."""
    from .tables import plain_table

    providers = {c.provider for c in components}
    if sys.stdout.isatty() and len(providers) == 1:
        plain_table(("kind", "name", "summary"), [(c.kind, c.name, c.summary) for c in components])
        click.echo(f"provider: {providers.pop()}")
    else:
        rows = [(c.kind, c.name, c.summary, c.provider) for c in components]
        plain_table(("kind", "name", "summary", "provider"), rows)
