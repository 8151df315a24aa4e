"""`harness compare`: two studies side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .completing import studies
from .manual import Manual
from .options import FOLDER, json_option, runs_option

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
KEYS = {
    "a": "STUDY_A",
    "b": "STUDY_B",
    "primary": "the metric that the table shows",
    "metrics[].name": "a metric that both studies have",
    "metrics[].unit": "where it is %, the numbers below are fractions",
    "metrics[].better": "higher or lower",
    "metrics[].definition": "what it is",
    "both[].a": "a row of STUDY_A that STUDY_B has too",
    "both[].b": "what the row is called there",
    "both[].changes.<metric>.a": "mean over seeds: n, mean, sd, low, high, level, method",
    "both[].changes.<metric>.b": "the same of STUDY_B",
    "both[].changes.<metric>.difference": "B - A; null if a side has no finished seed",
    "both[].changes.<metric>.low": "the lower end of the 95 % interval; null if there is none",
    "both[].changes.<metric>.high": "the upper end",
    "both[].changes.<metric>.method": "paired, welch, same trials, shared trials or none",
    "both[].changes.<metric>.seeds": "the seeds that were paired, a list",
    "both[].notes": "where code, data, seeds or folds differ, a list",
    "only_a[].row": "a row that STUDY_A has alone",
    "only_a[].nearest": "the row of STUDY_B that is nearest to it",
    "only_a[].differs[].key": "a key of the configuration in which they differ",
    "only_a[].differs[].own": "its value in this row, as text",
    "only_a[].differs[].other": "its value in the other, as text",
    "only_b[].row": "a row that STUDY_B has alone",
    "only_b[].nearest": "the row of STUDY_A that is nearest to it",
    "only_b[].differs[].key": "a key of the configuration in which they differ",
    "only_b[].differs[].own": "its value in this row, as text",
    "only_b[].differs[].other": "its value in the other, as text",
}


@click.command(
    "compare",
    cls=Manual,
    short_help="Compare two studies row by row.",
    examples=(
        "harness compare short-study long-study",
        "harness compare short-study long-study --json",
        "harness compare mine theirs --runs-b ../theirs/runs",
    ),
    keys=KEYS,
)
@click.argument("study_a", shell_complete=studies)
@click.argument("study_b", shell_complete=studies)
@runs_option
@click.option("--runs-b", type=FOLDER, help="The store of STUDY_B, if it is another.")
@json_option
@click.pass_context
def command(context: click.Context, study_a: str, study_b: str, runs: Path, runs_b: Path | None, as_json: bool) -> int:
    """Compare STUDY_A with STUDY_B: rows in both with their difference (B - A), and rows that one has alone.

    Rows are the same where their whole configuration is, seeds and folds aside. Nothing is trained.
    """
    from .. import api, discovery
    from ..plain import to_plain
    from .terminal import aside, document

    with aside(as_json):
        registry = discovery.load(context.obj["third_party"]).registry
        found = api.compare(study_a, study_b, runs=runs, runs_b=runs_b, registry=registry)
    if as_json:
        document(to_plain(found))
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
    from ..stats import minus

    scale, unit, points = (100, " %", " pp") if metric.unit == "%" else (1, f" {metric.unit}", f" {metric.unit}")
    form = ".2f" if metric.unit == "%" else ".4g"

    def shown(value: float | None) -> str:
        return "–" if value is None else f"{minus(f'{scale * value:{form}}')}{unit}".rstrip()

    def signed(value: float) -> str:
        return minus(f"{scale * value + 0.0:+{form}}")

    difference = "–"
    if change.difference is not None:
        difference = signed(change.difference)
        if change.low is not None and change.high is not None:
            difference += f" [{signed(change.low)}, {signed(change.high)}]"
        difference = f"{difference}{points}".rstrip()
    how = _HOW[change.method]
    if change.method == "paired":
        how += f", {len(change.seeds)} seed{'s' if len(change.seeds) > 1 else ''}"
        how += ", no interval" if change.low is None else ""
    return shown(change.a.mean), shown(change.b.mean), difference, how


def _apart(row: Alone) -> tuple[str, str, str]:
    return row.row, row.nearest, "; ".join(f"{d.key}: {d.own}, there {d.other}" for d in row.differs)
