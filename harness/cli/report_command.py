"""`harness report`: write a study's report again from what is stored."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    "report", short_help="Write a report again from the store.", epilog="Example: harness report digits-attention"
)
@click.argument("study")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="The store.")
@click.option(
    "--reports", type=click.Path(path_type=Path), default=Path("reports"), show_default=True, help="Where reports go."
)
@click.pass_context
def command(context: click.Context, study: str, runs: Path, reports: Path) -> int:
    """Write the report of STUDY again from the store; nothing is trained or measured.

    A study that is only half done gets a report that says so.
    """
    from .. import api, discovery
    from ..store import Store
    from .tables import summary

    registry = discovery.load(context.obj["third_party"]).registry
    result = api.build_report(study, Store(runs), reports, registry)
    summary(result)
    click.echo(f"report: {result.report}")
    return 0
