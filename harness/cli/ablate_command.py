"""`harness ablate`: train what is missing of a grid and write the comparison."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from . import EXIT_FAILED
from .completing import settings
from .completing import trackers as named_trackers
from .manual import Manual
from .options import device_option, reports_option, runs_option

if TYPE_CHECKING:
    from ..api import Machine
    from ..discovery import Plugins
    from ..planning import Plan
    from ..store import Store

MEASURE_FOR = 60.0
"""Seconds after which a dry run measures no further row: large models take minutes each on a CPU."""


def _workers(context: click.Context, parameter: click.Parameter, value: str) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if value.isdecimal() and int(value) > 0:
        return int(value)
    raise click.BadParameter(f"'{value}' is neither a positive number nor 'auto'")


@click.command(
    "ablate",
    short_help="Train what is missing of a grid; write the comparison.",
    cls=Manual,
    examples=(
        "harness ablate --grid ablations.yaml",
        "harness ablate --grid ablations.yaml --dry-run",
        "harness ablate --grid ablations.yaml --set seeds=5 --set train.epochs=20",
        "harness ablate --grid ablations.yaml --tracker mlflow",
    ),
)
@click.option("--grid", type=click.Path(path_type=Path), required=True, help="The study, as YAML.")
@runs_option
@reports_option
@device_option
@click.option("--executor", type=click.Choice(["local"]), default="local", help="Who runs trials.")
@click.option("--workers", callback=_workers, metavar="N|auto", default="auto", help="Worker processes.")
@click.option("--dry-run", is_flag=True, help="Say what would run, what is done or stale, and what it would cost.")
@click.option("--retry-failed", is_flag=True, help="Run failed trials again.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first trial that fails.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=settings,
    help="Change a key of the grid; repeatable.",
)
@click.option(
    "--tracker",
    "trackers",
    multiple=True,
    metavar="NAME",
    shell_complete=named_trackers,
    help="Tell this tracker too, such as mlflow or wandb; repeatable. Those named by HARNESS_TRACKERS (tensorboard, if "
    "it is not set) are told anyway. See `harness list tracker`.",
)
@click.pass_context
def command(
    context: click.Context,
    grid: Path,
    runs: Path,
    reports: Path,
    device: str,
    executor: str,
    workers: int | Literal["auto"],
    dry_run: bool,
    retry_failed: bool,
    fail_fast: bool,
    overrides: tuple[str, ...],
    trackers: tuple[str, ...],
) -> int:
    """Train every combination of a grid that the store does not hold yet, and write the comparison.

    A second call trains nothing. A killed one goes on where it was.
    """
    from .. import api, discovery
    from ..store import Store
    from ..trackers.switching import switch_on
    from .terminal import warn_of_failures

    plugins = discovery.load(context.obj["third_party"])
    warn_of_failures(plugins)
    switch_on(plugins, trackers)
    store = Store(runs)
    plan, machine = api.prepare(grid, store, plugins, device, workers, retry_failed, overrides)
    if dry_run:
        _dry_run(plan, machine, plugins)
        return 0
    return _run(plan, machine, store, reports, plugins, fail_fast)


def _run(plan: Plan, machine: Machine, store: Store, reports: Path, plugins: Plugins, fail_fast: bool) -> int:
    from .. import api
    from .live import view
    from .tables import plural, summary

    total, pending, before = len(plan.study.trials()), len(plan.pending), len(plan.failed)
    rows, trials = plural(len(plan.study.cells), "row"), plural(total, "trial")
    click.echo(f"study {plan.study.name}: {rows}, {trials}, {total - pending - before} done already")
    if before:
        click.echo(f"{plural(before, 'trial')} failed before; --retry-failed runs them again")
    for key, cause in plan.stale.items():
        click.echo(f"stale: {key}: {cause}; it is trained again")
    if pending:
        where = ", ".join(machine.devices)
        threads = plural(machine.threads, "thread")
        click.echo(f"training {pending} on {where}: {machine.workers} at a time, {threads} each")
    _warn_of_another_shape(plan, store)
    with view(plan) as listener:
        result = api.execute(plan, machine, store, reports, plugins, listener, fail_fast)
    summary(result)
    failed = len(result.failed)
    if failed:
        click.echo(f"{failed} of {total} trials failed; see the report, or run again with --retry-failed", err=True)
    click.echo(f"report: {result.report}")
    return EXIT_FAILED if failed else 0


def _warn_of_another_shape(plan: Plan, store: Store) -> None:
    """A study that was asked for in another form gets a new report under the old name."""
    name = plan.study.name
    if name in store.studies() and {t.id for t in store.study(name).trials()} - {t.id for t in plan.study.trials()}:
        click.echo(f"note: '{name}' was last asked for with other trials; its report will be replaced")
        click.echo(" hint: give another `study:` (or --set study=NAME) to keep both; no trial is lost")


def _dry_run(plan: Plan, machine: Machine, plugins: Plugins) -> None:
    from ..data import data_root
    from ..estimate import Estimate, estimate
    from .tables import duration, plain_table, plural

    pending = {t.id for t in plan.pending}
    rows: list[tuple[str, str, str]] = []
    total, unmeasured, started = 0.0, 0, time.monotonic()
    for cell in plan.study.cells:
        waiting = [t for t in cell.trials if t.id in pending]
        cost: Estimate | None = None
        trouble = "–"
        if waiting and rows and time.monotonic() - started > MEASURE_FOR:
            unmeasured += len(waiting)
            trouble = "not measured"
        elif waiting:
            try:
                cost = estimate(waiting[0], plugins.registry, data_root(), machine.devices[0], machine.threads)
                total += cost.seconds * len(waiting)
            except Exception as error:  # a component's bug; training would make it a failed trial
                trouble = f"will fail: {type(error).__name__}: {error}"
        state = f"{len(cell.trials) - len(waiting)} done, {len(waiting)} to run"
        if cell.key in plan.stale:
            state += f"; stale: {plan.stale[cell.key]}"
        each = f"{duration(cost.seconds)} ({cost.updates} updates of {1000 * cost.update:.1f} ms)" if cost else trouble
        rows.append((cell.label + (" (baseline)" if cell.baseline else ""), state, each))
    plain_table(("row", "trials", "training of one, estimated"), rows)
    for skipped in plan.study.skipped:
        click.echo(f"left out: {skipped.label}: {skipped.reason}")
    if not pending:
        click.echo("nothing to train; without --dry-run the report is written again")
        return
    estimated = duration(total / machine.workers)
    rest = f" for {len(pending) - unmeasured} of them" if unmeasured else ""
    click.echo(
        f"{plural(len(pending), 'trial')} to train, about {estimated}{rest} with {machine.workers} at a time "
        f"on {', '.join(machine.devices)}"
    )
    if unmeasured:
        click.echo(f"the rows that are not measured came after {MEASURE_FOR:.0f} s of measuring")
    click.echo("training alone, measured just now; starting up, testing and the report come on top")
