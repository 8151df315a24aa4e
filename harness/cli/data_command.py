"""`harness data`: fetch, verify and list what datasets need."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from . import EXIT_USER
from .completing import datasets
from .manual import Manual, ManualGroup


@click.group(
    "data",
    cls=ManualGroup,
    short_help="Fetch, verify and list data.",
    examples=("harness data list", "harness data fetch cifar10", "harness data verify cifar10"),
)
def command() -> None:
    """Fetch, verify and list the files of datasets (below HARNESS_DATA, else the platform's cache folder)."""


def _targets(context: click.Context, names: Iterable[str]) -> tuple[list[tuple[str, Any]], Path]:
    from .. import discovery
    from ..data import data_root

    registry = discovery.load(context.obj["third_party"]).registry
    chosen = tuple(names) or registry.names("dataset")
    return [(name, registry.get("dataset", name).load()) for name in chosen], data_root()


@command.command("list", cls=Manual, examples=("harness data list",))
@click.pass_context
def list_(context: click.Context) -> int:
    """Say of every dataset whether its files are there."""
    from ..data import status
    from .tables import plain_table

    targets, root = _targets(context, ())
    found = [(name, status(target, root)) for name, target in targets]
    plain_table(("dataset", "state", "detail"), [(name, s.state, s.detail) for name, s in found])
    return 0


@command.command("verify", cls=Manual, examples=("harness data verify", "harness data verify cifar10 mnist"))
@click.argument("names", nargs=-1, shell_complete=datasets)
@click.pass_context
def verify(context: click.Context, names: tuple[str, ...]) -> int:
    """Compare files with their official hashes. Exits with 2 if a file differs or is missing."""
    from ..data import verify_all
    from .tables import plain_table

    targets, root = _targets(context, names)
    rows = [(name, c.name, c.state, str(c.path)) for name, target in targets for c in verify_all(target, root)]
    plain_table(("dataset", "file", "state", "path"), rows)
    return EXIT_USER if any(state in ("differs", "missing") for _, _, state, _ in rows) else 0


@command.command("fetch", cls=Manual, examples=("harness data fetch cifar10", "harness data fetch mnist fashion_mnist"))
@click.argument("names", nargs=-1, required=True, shell_complete=datasets)
@click.pass_context
def fetch(context: click.Context, names: tuple[str, ...]) -> int:
    """Download NAMES, check size and hash, unpack. A download that was cut off goes on where it was."""
    from .. import data

    targets, root = _targets(context, names)
    for name, target in targets:
        before = data.status(target, root).state
        paths = data.fetch(target, root)
        if not paths:
            click.echo(f"{name}: comes with an installed library; nothing to fetch")
        for path in paths:
            click.echo(f"{name}: {path}{' (was there already)' if before == 'ready' else ''}")
    return 0
