"""`harness new`: begin a package with a component of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ..scaffold.kinds import KINDS
from .manual import Manual


@click.command(
    "new",
    cls=Manual,
    short_help="Begin a plugin package of your own.",
    examples=("harness new attention my_block", "harness new loss my_loss --out my-loss"),
)
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The package's folder; made if it is not there. Default: harness-NAME in this one.",
)
@click.pass_context
def command(context: click.Context, kind: str, name: str, out: Path | None) -> int:
    """Write a complete package that adds the component NAME of KIND: a working example to replace.

    NAME is small letters, digits and underscores, and not the name of a component of that kind that there is already.
    The package has an entry point, a module, tests, a README, a place for a licence, and a grid of four lines that
    trains in a minute or two without a download. Nothing that exists is overwritten.
    """
    from .. import discovery
    from ..scaffold import create
    from .terminal import warn_of_failures

    plugins = discovery.load(context.obj["third_party"])
    warn_of_failures(plugins)
    package = create(kind, name, out, plugins.registry)
    click.echo(f"{package.folder}: {len(package.files)} files")
    for path in package.files:
        click.echo(f"  {path}")
    click.echo("\nNext, as it is or after your changes:")
    for step in (
        f"cd {shlex.quote(str(package.folder))}",
        "pip install -e .",
        f"harness check {kind} {name}",
        f"harness ablate --grid {package.grid.name}",
    ):
        click.echo(f"  {step}")
    return 0
