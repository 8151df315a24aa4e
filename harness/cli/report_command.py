"""`harness report`: write a study's report again from what is stored."""

from __future__ import annotations

from pathlib import Path

import click

from .completing import studies
from .manual import Manual
from .options import reports_option, runs_option


@click.command(
    "report",
    cls=Manual,
    short_help="Write a report again from the store.",
    examples=("harness report digits-attention", "harness report digits-attention --runs runs --reports reports"),
)
@click.argument("study", shell_complete=studies)
@runs_option
@reports_option
@click.pass_context
def command(context: click.Context, study: str, runs: Path, reports: Path) -> int:
    """Write the report of STUDY again from the store; nothing is trained or measured.

    A study that is only half done gets a report that says so.
    """
    from .. import api, discovery
    from ..store import Store
    from .tables import summary, unfinished

    registry = discovery.load(context.obj["third_party"]).registry
    result = api.build_report(study, Store(runs), reports, registry)
    summary(result)
    unfinished(result)
    click.echo(f"report: {result.report}")
    return 0
