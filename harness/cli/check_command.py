"""`harness check`: does a component, or everything in a plugin, keep what the program promises about it?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from . import EXIT_FAILED

if TYPE_CHECKING:
    from ..conformance import Finding, Report
    from ..conformance.bench import Cost

COLOURS = {"passed": "green", "failed": "red", "warning": "yellow", "skipped": None}


@click.command(
    "check",
    short_help="Check a component, or all of a plugin.",
    epilog="Example: harness check attention se --bench",
)
@click.argument("kind_or_provider", metavar="KIND|PROVIDER")
@click.argument("name", required=False)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="OPTION=VALUE",
    help="An option to build the component with, as in a grid; may be repeated.",
)
@click.option("--bench", is_flag=True, help="Parameters, MACs and latency of a block, beside none, se and CBAM.")
@click.option("--json", "as_json", is_flag=True, help="All findings as JSON.")
@click.pass_context
def command(
    context: click.Context, kind_or_provider: str, name: str | None, settings: Sequence[str], bench: bool, as_json: bool
) -> int:
    """Check component NAME of KIND, or all components of PROVIDER: an entry point, a distribution or a built-in module.

    Each finding says what was seen, why it matters and how to mend it. Nothing is trained; data that are not
    here are skipped. Exits with 1 if a check failed; a warning stops no study.
    """
    from ..conformance import examined, subject_of
    from ..plain import to_plain

    third_party: bool = context.obj["third_party"]
    if name is None:
        _only_with_a_name(kind_or_provider, settings, bench)
        reports = _told(examined(kind_or_provider, third_party=third_party), False, as_json)
    else:
        subject = subject_of(kind_or_provider, name, third_party=third_party, **_options(settings))
        if bench and kind_or_provider != "attention":
            raise click.UsageError("--bench compares blocks of attention")
        from ..conformance.running import examine

        reports = _told(iter([examine(subject)]), True, as_json)
    costs: tuple[str, tuple[Cost, ...]] = ("", ())
    ok = all(report.ok for report in reports)
    if bench and not ok:
        click.echo("not timed: mend what failed first", err=True)
    elif bench and name is not None:
        from ..conformance.bench import bench as measured

        costs = measured(subject)
        if not as_json:
            _print_costs(*costs)
    if as_json:
        found = {"ok": ok, "reports": to_plain(reports), "bench": to_plain(costs[1]), "latency": costs[0]}
        click.echo(json.dumps(found, indent=1))
    elif name is None:
        failed = sum(not report.ok for report in reports)
        click.echo(f"{len(reports)} checked, {failed} failed" if failed else f"{len(reports)} checked, all keep to it")
    return 0 if ok else EXIT_FAILED


def _only_with_a_name(word: str, settings: Sequence[str], bench: bool) -> None:
    from ..registry import KINDS

    if word in KINDS:
        raise click.UsageError(f"'{word}' is a kind; name a component of it\n hint: harness check {word} NAME")
    if settings or bench:
        flag = "--set" if settings else "--bench"
        raise click.UsageError(f"{flag} needs a component\n hint: harness check KIND NAME {flag} …")


def _options(settings: Sequence[str]) -> dict[str, Any]:
    """Values are read as in a grid. Raises GridError with every mistake."""
    from ..grid.nodes import Mistakes, Node, plain
    from ..grid.reading import read_text

    mistakes, found = Mistakes(), {}
    for text in settings:
        key, equals, written = text.partition("=")
        origin = f"--set {text if len(text) <= 80 else text[:77] + '…'}"
        if not equals or not key.strip().isidentifier():
            mistakes.add(Node(None, "", 0, origin), "this is no OPTION=VALUE", "for instance --set reduction=8")
            continue
        value = read_text(written, origin, mistakes, key.strip(), lines=False)
        if value is not None:
            found[key.strip()] = _tupled(plain(value))
    mistakes.check()
    return found


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


def _told(reports: Iterator[Report], all_findings: bool, silent: bool) -> tuple[Report, ...]:
    """Print each report when it is there: a plugin takes minutes."""
    found = []
    for report in reports:
        found.append(report)
        if not silent:
            _print(report, all_findings)
    return tuple(found)


def _print(report: Report, all_findings: bool) -> None:
    from ..conformance.findings import BEHIND
    from ..report.escaping import one_line

    head = click.style(f"{report.kind} {report.name}", bold=True)
    click.echo(f"{head} ({one_line(report.provider)}): {report.counted}")
    for finding in report.findings:
        told = finding.level != "passed" and not finding.what.endswith(BEHIND)
        if all_findings or told:
            _print_finding(finding)


def _print_finding(finding: Finding) -> None:
    from ..report.escaping import one_line

    level = click.style(f"{finding.level:<7}", fg=COLOURS[finding.level])
    click.echo(f"  {level} {finding.check}: {one_line(finding.what)}")
    if finding.level in ("failed", "warning"):
        click.echo(f"          why: {one_line(finding.why)}")
        click.echo(f"         mend: {one_line(finding.mend)}")


def _print_costs(definition: str, costs: Sequence[Cost]) -> None:
    from .tables import plain_table

    click.echo()
    rows = [
        (
            "x".join(map(str, cost.shape)),
            cost.block,
            f"{cost.parameters:,}",
            f"{cost.macs:,.0f}",
            f"{cost.median_ms:.3f}",
            f"{cost.low_ms:.3f} to {cost.high_ms:.3f}",
        )
        for cost in costs
    ]
    plain_table(("input", "block", "parameters", "MACs", "ms", "quartiles"), rows)
    rounds = min(cost.rounds for cost in costs)
    click.echo(f"ms: {definition}; batch 1, {rounds} rounds at least; lower is better in every column")
