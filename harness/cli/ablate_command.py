"""`harness ablate`: train what is missing of a grid and write the comparison."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from . import EXIT_FAILED, EXIT_USER
from .completing import settings
from .completing import trackers as named_trackers
from .manual import Manual
from .options import device_option, reports_option, runs_option

if TYPE_CHECKING:
    from ..api import Machine
    from ..discovery import Plugins
    from ..estimate import Estimate
    from ..planning import Plan
    from ..store import Store
    from ..trial import Cell, Trial

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

    A second call trains nothing. A killed one goes on where it was. A trial that fails is kept as failed, and the
    others go on; it is run again with --retry-failed alone. Exit code 0: all trials are done. 1: some failed. 2:
    something of the grid cannot be used, and nothing was trained; with --dry-run also where a row would fail.
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
        return _dry_run(plan, machine, plugins)
    return _run(plan, machine, store, reports, plugins, fail_fast)


def _run(plan: Plan, machine: Machine, store: Store, reports: Path, plugins: Plugins, fail_fast: bool) -> int:
    from .. import api
    from .live import view
    from .tables import plural, summary, unfinished
    from .terminal import tell

    total, pending = len(plan.study.trials()), len(plan.pending)
    rows, trials = plural(len(plan.study.cells), "row"), plural(total, "trial")
    click.echo(f"study {plan.study.name}: {rows}, {trials}, {total - pending - len(plan.failed)} done already")
    _warn_of_another_shape(plan, store)
    _tell_of_failed(plan)
    for key, cause in plan.stale.items():
        click.echo(f"stale: {key}: {cause}; it is trained again")
    _tell_of_left_out(plan)
    for cell in plan.study.cells:
        if cell.key in plan.doomed:
            tell("warning", f"row '{cell.label}' will fail: {plan.doomed[cell.key]}")
    if pending:
        where = ", ".join(machine.devices)
        threads = plural(machine.threads, "thread")
        click.echo(f"training {pending} on {where}: {machine.workers} at a time, {threads} each")
    with view(plan) as listener:
        result = api.execute(plan, machine, store, reports, plugins, listener, fail_fast)
    summary(result)
    unfinished(result)
    click.echo(f"report: {result.report}")
    return EXIT_FAILED if result.failed else 0


def _tell_of_failed(plan: Plan) -> None:
    from .tables import plural

    before = len(plan.failed)
    if before:
        click.echo(
            f"{plural(before, 'trial')} failed before; --retry-failed runs {'it' if before == 1 else 'them'} again"
        )
    reasons = {record.id: record.reason for record in plan.failed}
    for cell in plan.study.cells:
        found = dict.fromkeys(reasons[t.id] for t in cell.trials if t.id in reasons)
        for reason in found:
            click.echo(f"failed: {cell.label}: {reason}")


def _tell_of_left_out(plan: Plan) -> None:
    for skipped in plan.study.skipped:
        click.echo(f"left out: {skipped.label}: {skipped.reason}")


def _warn_of_another_shape(plan: Plan, store: Store) -> None:
    """A study that was asked for in another form gets a new report under the old name."""
    name = plan.study.name
    if name in store.studies() and {t.id for t in store.study(name).trials()} - {t.id for t in plan.study.trials()}:
        click.echo(f"note: '{name}' was last asked for with other trials; its report will be replaced")
        click.echo(" hint: give another `study:` (or --set study=NAME) to keep both; no trial is lost")


def _dry_run(plan: Plan, machine: Machine, plugins: Plugins) -> int:
    from .tables import duration, plain_table, plural
    from .terminal import tell

    pending = {t.id for t in plan.pending}
    waiting = {c.key: [t for t in c.trials if t.id in pending] for c in plan.study.cells}
    costs = _costs(plan, waiting, machine, plugins)
    rows = [
        (c.label + (" (baseline)" if c.baseline else ""), _state(plan, c, len(waiting[c.key])), _each(costs[c.key]))
        for c in plan.study.cells
    ]
    plain_table(("row", "trials", "training of one, estimated"), rows)
    _tell_of_left_out(plan)
    _tell_of_failed(plan)
    if not pending:
        click.echo("nothing to train; without --dry-run the report is written again")
        return 0
    total = sum(c.seconds * len(waiting[key]) for key, c in costs.items() if c is not None and not isinstance(c, str))
    unmeasured = sum(len(waiting[key]) for key, cost in costs.items() if cost is None)
    failing = [c for c in plan.study.cells if costs[c.key] and isinstance(costs[c.key], str)]
    known = len(pending) - unmeasured - sum(len(waiting[c.key]) for c in failing)
    rest = f" for {known} of them" if known < len(pending) else ""
    click.echo(
        f"{plural(len(pending), 'trial')} to train, about {duration(total / machine.workers)}{rest} with "
        f"{machine.workers} at a time on {', '.join(machine.devices)}"
    )
    if unmeasured:
        click.echo(f"the rows that are not measured came after {MEASURE_FOR:.0f} s of measuring")
    click.echo("training alone, measured just now; starting up, testing and the report come on top")
    if not failing:
        return 0
    named = ", ".join(f"'{c.label}'" for c in failing)
    tell(
        "error",
        f"{plural(len(failing), 'row')} of {len(rows)} will fail: {named}",
        "without --dry-run the others are trained, and the exit code is 1",
    )
    return EXIT_USER


def _costs(
    plan: Plan, waiting: Mapping[str, Sequence[Trial]], machine: Machine, plugins: Plugins
) -> dict[str, Estimate | str | None]:
    """By cell: the cost of a trial; or why it will fail, empty where nothing is to run; None if there was no time."""
    from ..data import data_root
    from ..errors import said
    from ..estimate import estimate

    costs: dict[str, Estimate | str | None] = {}
    started = time.monotonic()
    for key, trials in waiting.items():
        if not trials or key in plan.doomed:
            costs[key] = plan.doomed.get(key, "")
        elif any(c for c in costs.values()) and time.monotonic() - started > MEASURE_FOR:
            costs[key] = None
        else:
            try:
                costs[key] = estimate(trials[0], plugins.registry, data_root(), machine.devices[0], machine.threads)
            except (Exception, SystemExit) as error:  # a component's bug; training would make it a failed trial
                costs[key] = said(error)
    return costs


def _state(plan: Plan, cell: Cell, waiting: int) -> str:
    """`2 done, 1 failed, 0 to run; stale: …`."""
    failed = sum(record.id in {t.id for t in cell.trials} for record in plan.failed)
    parts = [f"{len(cell.trials) - waiting - failed} done", *([f"{failed} failed"] if failed else [])]
    stale = f"; stale: {plan.stale[cell.key]}" if cell.key in plan.stale else ""
    return ", ".join([*parts, f"{waiting} to run"]) + stale


def _each(cost: Estimate | str | None) -> str:
    from .tables import duration

    if cost is None:
        return "not measured"
    if isinstance(cost, str):
        return f"will fail: {cost}" if cost else "–"
    return f"{duration(cost.seconds)} ({cost.updates} updates of {1000 * cost.update:.1f} ms)"
