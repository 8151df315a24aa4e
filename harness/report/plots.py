"""Differences to the baseline, and the primary metric against parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import numbers
from .analysis import Analysis, Arm
from .document import Block, Gallery, Picture, Section, Text
from .rows import quoted
from .style import BASELINE, BETTER, INK, PAPER, RULE, WORSE, Pen, canvas, pens, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

CURVES = 8
FOREST = 40


def differences(analysis: Analysis) -> Section | None:
    """Every row's paired difference with its interval and the seeds behind it."""
    arms = [a for a in analysis.challengers if a.verdict is not None]
    if not arms:
        return None
    blocks: list[Block] = []
    if len(arms) > FOREST:
        shown, _ = analysis.shown(FOREST + 1)
        blocks.append(Text(f"Of {len(arms)} rows the {FOREST} that differ most from the baseline are drawn.", "muted"))
        arms = [a for a in shown if a in arms]
    caption = (
        "Dots: one seed each. Diamond and bar: mean and 95 % t-interval of the paired difference. The line at 0 is the"
        " baseline. Blue: better, orange: worse, grey: no verdict."
    ) + not_drawn(analysis)
    return Section("differences", "Difference to the baseline", (*blocks, Gallery(caption, (_forest(analysis, arms),))))


def not_drawn(analysis: Analysis) -> str:
    """Who is missing in a picture that compares, and why."""
    lost = [a for a in analysis.unranked if a.ok]
    return f" Not drawn, as they failed an audit: {quoted(lost)}." if lost else ""


def _forest(analysis: Analysis, arms: Sequence[Arm]) -> Picture:
    m = analysis.primary
    factor = numbers.scale(m.unit)
    longest = max(len(a.short()) for a in arms)
    figure, axes = canvas(4.3 + 0.07 * longest, 0.85 + 0.34 * len(arms))
    axes.axvline(0, color=INK, linewidth=1)
    for row, arm in enumerate(arms):
        d = arm.differences[m.name]
        word = arm.verdict.word if arm.verdict is not None else ""
        colour = {"better": BETTER, "worse": WORSE}.get(word, BASELINE)
        seeds = [factor * v for _, v in d.pairs]
        axes.plot(seeds, [row + 0.24] * len(seeds), "o", color=colour, alpha=0.55, markersize=4, markeredgewidth=0)
        if d.low is not None and d.high is not None:
            axes.plot([factor * d.low, factor * d.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        if d.mean is not None:
            axes.plot([factor * d.mean], [row], "D", color=colour, markersize=6, markeredgecolor=PAPER)
    axes.set_yticks(range(len(arms)), [a.short() for a in arms])
    axes.set_ylim(len(arms) - 0.3, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    unit = numbers.unit_of_difference(m.unit)
    axes.set_xlabel(f"{m.name}, row − baseline{f' ({unit})' if unit else ''}; {numbers.direction(m)}")
    told = "; ".join(
        f"{a.told} {numbers.value(d.mean, m.unit, signed=True)}"
        for a in arms
        if (d := a.differences[m.name]).mean is not None
    )
    alt = f"Paired differences of {m.name} to the baseline{f' in {unit}' if unit else ''}: {told}"
    return picture(figure, "differences", alt, "")


def legend(figure: Canvas, axes: Axes) -> None:
    # Below the axes: over them it would hide curves that nobody expects to be there.
    handles, labels = axes.get_legend_handles_labels()
    wide = max((len(label) for label in labels), default=0)
    columns = 1 if wide > 26 else 2 if wide > 14 else 3
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=2.6)


def scatter(analysis: Analysis) -> Section | None:
    """The primary metric against the number of parameters."""
    m = analysis.primary
    factor = numbers.scale(m.unit)
    known = [a for a in analysis.ranked if a.parameters and a.intervals[m.name].mean is not None]
    if not known:
        return None
    named = tuple(a for a in analysis.shown(CURVES)[0] if a.ranked)
    figure, axes = canvas(5.2, 3.3 + 0.17 * len(named))
    others = [a for a in known if a not in named]
    for arm in others:
        _point(axes, arm, m.name, factor, Pen(RULE, "-", "o"), "other rows" if arm is others[0] else "")
    for arm, pen in zip(named, pens([a.cell.baseline for a in named]), strict=True):
        if arm in known:
            _point(axes, arm, m.name, factor, pen, arm.short())
    reference = analysis.baseline.intervals[m.name].mean if analysis.baseline is not None else None
    if reference is not None:
        axes.axhline(factor * reference, color=BASELINE, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.margins(x=0.12)
    axes.set_xlabel("parameters (millions)")
    axes.set_ylabel(f"{numbers.head(m)}, {numbers.direction(m)}")
    axes.ticklabel_format(axis="x", useOffset=False)
    legend(figure, axes)
    told = "; ".join(
        f"{a.told} {numbers.counted(a.parameters)} parameters, {numbers.value(a.intervals[m.name].mean, m.unit)}"
        for a in known
    )
    alt = f"{numbers.head(m)} against parameters: {told}"
    caption = (
        f"{numbers.head(m)} on the test split against parameters. Marks: mean over seeds; bars: 95 % t-interval of the"
        " mean (none for one seed); dots: one seed each; dashed: the baseline's mean."
    ) + not_drawn(analysis)
    return Section(
        "parameters", f"{m.name} against parameters", (Gallery(caption, (picture(figure, "parameters", alt, ""),)),)
    )


def _point(axes: Axes, arm: Arm, metric: str, factor: float, pen: Pen, label: str) -> None:
    x = (arm.parameters or 0.0) / 1e6
    i = arm.intervals[metric]
    seeds = [factor * v for v in arm.values[metric].values()]
    axes.plot([x] * len(seeds), seeds, "o", color=pen.colour, alpha=0.4, markersize=3.5, markeredgewidth=0)
    if i.low is not None and i.high is not None:
        axes.plot([x, x], [factor * i.low, factor * i.high], color=pen.colour, linewidth=1.5)
    axes.plot(
        [x],
        [factor * (i.mean or 0.0)],
        pen.marker,
        color=pen.colour,
        markersize=8,
        markeredgecolor=PAPER,
        label=label or "_nolegend_",
        linestyle="none",
        zorder=3,
    )
