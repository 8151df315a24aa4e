"""`harness compare`: two studies side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..comparing import Alone, Change, Comparison
    from ..contracts import Metric

_HOW = {
    "paired": "paired",
    "welch": "not paired (Welch)",
    "same trials": "same trials",
    "shared trials": "some trials the same",
    "none": "no interval",
}


@click.command(
    "compare", short_help="Compare two studies row by row.", epilog="Example: harness compare short-study long-study"
)
@click.argument("study_a")
@click.argument("study_b")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="The store.")
@click.option("--runs-b", type=click.Path(path_type=Path), help="The store of STUDY_B, if it is another.")
@click.option("--json", "as_json", is_flag=True, help="All metrics as JSON; metrics in % are fractions there.")
@click.pass_context
def command(context: click.Context, study_a: str, study_b: str, runs: Path, runs_b: Path | None, as_json: bool) -> int:
    """Compare STUDY_A with STUDY_B: rows in both with their difference (B - A), and rows that one has alone.

    Rows are the same where their whole configuration is, seeds and folds aside. Nothing is trained.
    """
    from .. import api, discovery
    from ..plain import to_plain

    registry = discovery.load(context.obj["third_party"]).registry
    found = api.compare(study_a, study_b, runs=runs, runs_b=runs_b, registry=registry)
    if as_json:
        click.echo(json.dumps(to_plain(found), indent=1))
    else:
        _print(found)
    return 0


def _print(found: Comparison) -> None:
    from .tables import plain_table, plural

    metric = next(m for m in found.metrics if m.name == found.primary)
    click.echo(f"A: {found.a}\nB: {found.b}\n")
    if found.both:
        rows = []
        for row in found.both:
            change = row.changes[metric.name]
            label = row.a if row.a == row.b else f"{row.a} | {row.b}"
            rows.append((label, f"{change.a.n}, {change.b.n}", *_cells(change, metric), "; ".join(row.notes)))
        plain_table(("row", "seeds A, B", f"{metric.name} A", f"{metric.name} B", "B - A", "how", "notes"), rows)
        click.echo(
            f"{metric.name}: {metric.definition}; {metric.better} is better; on test; brackets: 95 % interval of B - A"
        )
    else:
        click.echo("no row is in both studies")
    for name, alone in ((found.a, found.only_a), (found.b, found.only_b)):
        if alone:
            click.echo(f"\nonly in {name}: {plural(len(alone), 'row')}")
            plain_table(("row", "nearest row of the other", "what differs"), [_apart(row) for row in alone])


def _cells(change: Change, metric: Metric) -> tuple[str, str, str, str]:
    scale, unit, points = (100, " %", " pp") if metric.unit == "%" else (1, f" {metric.unit}", f" {metric.unit}")

    form = ".2f" if metric.unit == "%" else ".4g"

    def shown(value: float | None) -> str:
        return "–" if value is None else f"{scale * value:{form}}{unit}".rstrip()

    difference = "–"
    if change.difference is not None:
        difference = f"{scale * change.difference:+{form}}"
        if change.low is not None and change.high is not None:
            difference += f" [{scale * change.low:+{form}}, {scale * change.high:+{form}}]"
        difference = f"{difference}{points}".rstrip()
    how = _HOW[change.method]
    if change.method == "paired":
        how += f", {len(change.seeds)} seed{'s' if len(change.seeds) > 1 else ''}"
        how += ", no interval" if change.low is None else ""
    return shown(change.a.mean), shown(change.b.mean), difference, how


def _apart(row: Alone) -> tuple[str, str, str]:
    return row.row, row.nearest, "; ".join(f"{d.key}: {d.own}, there {d.other}" for d in row.differs)
