"""`harness check`: does a component, or everything in a plugin, keep what the program promises about it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import EXIT_FAILED
from .completing import components, kinds_and_providers
from .manual import Manual
from .options import json_option

if TYPE_CHECKING:
    from ..conformance import Finding, Report
    from ..conformance.bench import Cost
    from ..conformance.running import Subject

KEYS = {
    "ok": "true if no check failed",
    "reports[].kind": "the kind of the component; plugin where one cannot be loaded",
    "reports[].name": "what a grid calls it",
    "reports[].provider": "distribution and version",
    "reports[].findings[].check": "the name of the check",
    "reports[].findings[].level": "passed, failed, warning or skipped",
    "reports[].findings[].what": "what was seen",
    "reports[].findings[].why": "why it matters",
    "reports[].findings[].mend": "how to mend it",
    "bench[].block": "with --bench: the block",
    "bench[].shape": "of an item, a list",
    "bench[].parameters": "its weights",
    "bench[].macs": "multiply-accumulates of an item",
    "bench[].median_ms": "milliseconds of a forward pass at batch 1",
    "bench[].low_ms": "the lower quartile",
    "bench[].high_ms": "the upper quartile",
    "bench[].rounds": "passes that were timed",
    "latency": "what these milliseconds are; empty without --bench",
}

COLOURS = {"passed": "green", "failed": "red", "warning": "yellow", "skipped": None}


@click.command(
    "check",
    cls=Manual,
    short_help="Check a component, or all of a plugin.",
    examples=(
        "harness check attention se",
        "harness check attention se --set reduction=8 --bench",
        "harness check attention my_module:MyBlock",
        "harness check harness_losses --json",
    ),
    keys=KEYS,
)
@click.argument("kind", metavar="KIND|PROVIDER", shell_complete=kinds_and_providers)
@click.argument("name", required=False, shell_complete=components)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="OPTION=VALUE",
    help="An option to build the component with, as in a grid; may be repeated.",
)
@click.option("--bench", is_flag=True, help="Parameters, MACs and latency of a block, beside none, se and CBAM.")
@json_option
@click.pass_context
def command(
    context: click.Context, kind: str, name: str | None, settings: Sequence[str], bench: bool, as_json: bool
) -> int:
    """Check component NAME of KIND, or all components of PROVIDER: an entry point, a distribution or a built-in module.

    NAME may be module:Class, as `target` in a grid; the module is looked for where Python looks, and in the current
    folder.

    Each finding says what was seen, why it matters and how to mend it. Nothing is trained; data that are not
    here are skipped. Exits with 1 if a check failed; a warning stops no study.
    """
    from .terminal import aside

    if name is None:
        _only_with_a_name(kind, settings, bench)
    elif bench and kind != "attention":
        raise click.UsageError("--bench compares blocks of attention")
    with aside(as_json):
        checked = _checked(context, kind, name, settings, as_json)
        ok = all(report.ok for report in checked.reports)
        costs = _costs(checked.subject) if bench and ok else None
    _tell(checked, costs, ok, bench, as_json)
    return 0 if ok else EXIT_FAILED


@dataclass(frozen=True, slots=True)
class _Checked:
    """All reports, and the one component, if it is one."""

    reports: tuple[Report, ...]
    subject: Subject | None


def _checked(context: click.Context, kind: str, name: str | None, settings: Sequence[str], silent: bool) -> _Checked:
    from .. import foreign
    from ..conformance import examined, subject_of

    third_party: bool = context.obj["third_party"]
    if name is None:
        return _Checked(_told(examined(kind, third_party=third_party), False, silent), None)
    from ..conformance.running import examine

    if foreign.is_target(name):
        foreign.reach_target(name, Path.cwd())
    subject = subject_of(kind, name, third_party=third_party, **_options(settings))
    return _Checked(_told(iter([examine(subject)]), True, silent), subject)


def _costs(subject: Subject | None) -> tuple[str, tuple[Cost, ...]] | None:
    if subject is None:
        return None
    from ..conformance.bench import bench

    return bench(subject)


def _tell(checked: _Checked, costs: tuple[str, tuple[Cost, ...]] | None, ok: bool, bench: bool, as_json: bool) -> None:
    """What comes after the reports: costs, the count, or all of it as JSON."""
    from ..plain import to_plain
    from .terminal import document

    if bench and costs is None:
        click.echo("not timed: mend what failed first", err=True)
    if as_json:
        definition, found = costs or ("", ())
        document({"ok": ok, "reports": to_plain(checked.reports), "bench": to_plain(found), "latency": definition})
        return
    if costs is not None:
        _print_costs(*costs)
    if checked.subject is None:
        count, failed = len(checked.reports), sum(not report.ok for report in checked.reports)
        unseen = sum(report.ok and report.unseen for report in checked.reports)
        all_told = "none failed" if unseen else "all keep to it"
        left = f"; {unseen} of them could not be looked at here" if unseen else ""
        click.echo(f"{count} checked, {f'{failed} failed' if failed else all_told}{left}")


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
