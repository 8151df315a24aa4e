"""Differences to the baseline, learning curves, and the primary metric against parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from . import numbers
from .analysis import Analysis, Arm
from .document import Block, Gallery, Picture, Section, Text
from .escaping import shorten, slug
from .style import BASELINE, BETTER, INK, MUTED, PAPER, RULE, WORSE, Pen, canvas, pens, picture

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
    )
    return Section("differences", "Difference to the baseline", (*blocks, Gallery(caption, (_forest(analysis, arms),))))


def _forest(analysis: Analysis, arms: Sequence[Arm]) -> Picture:
    m = analysis.primary
    factor = numbers.scale(m.unit)
    longest = max(len(shorten(a.label)) for a in arms)
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
    axes.set_yticks(range(len(arms)), [shorten(a.label) for a in arms])
    axes.set_ylim(len(arms) - 0.3, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    unit = numbers.unit_of_difference(m.unit)
    axes.set_xlabel(f"{m.name}, row − baseline{f' ({unit})' if unit else ''}; {numbers.direction(m)}")
    told = "; ".join(
        f"{a.label} {numbers.value(d.mean, m.unit, signed=True)}"
        for a in arms
        if (d := a.differences[m.name]).mean is not None
    )
    alt = f"Paired differences of {m.name} to the baseline{f' in {unit}' if unit else ''}: {told}"
    return picture(figure, "differences", alt, "")


def curves(analysis: Analysis) -> Section | None:
    """Training loss and the primary metric on the validation split, by epoch."""
    arms, omitted = analysis.shown(CURVES)
    m = analysis.primary
    wanted = [("train/loss", "training loss, lower is better", 1.0)]
    wanted.append((f"val/{m.name}", f"validation {numbers.head(m)}, {numbers.direction(m)}", numbers.scale(m.unit)))
    drawn = [p for key, label, factor in wanted if (p := _curve(arms, key, label, factor)) is not None]
    if not drawn:
        return None
    caption = "Lines: mean over seeds. Bands: from the lowest to the highest seed."
    if omitted:
        caption += f" Drawn are the baseline and the {len(arms) - 1} rows that differ most; {omitted} are left out."
    return Section("curves", "Learning curves", (Gallery(caption, tuple(drawn)),))


def _curve(arms: Sequence[Arm], key: str, label: str, factor: float) -> Picture | None:
    figure, axes = canvas(5.0, 3.7)
    ends = []
    longest = 0
    for arm, pen in zip(arms, pens([a.cell.baseline for a in arms]), strict=True):
        values = _by_seed(arm, key) * factor
        if not values.size:
            continue
        epochs = np.arange(1, values.shape[1] + 1)
        mean = values.mean(axis=0)
        longest = max(longest, len(epochs))
        few = pen.marker if len(epochs) < 8 else ""
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=pen.colour, alpha=0.16, linewidth=0)
        axes.plot(
            epochs, mean, color=pen.colour, linestyle=pen.dash, marker=few, markersize=4, label=shorten(arm.label, 30)
        )
        ends.append(f"{arm.label} {mean[-1]:.4g}")
    if not ends:
        return None
    _stages(axes, arms)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if longest == 1:
        axes.set_xticks([1])
    legend(figure, axes)
    alt = f"{label} over {numbers.plural(longest, 'epoch')}; at the end: {'; '.join(ends)}"
    return picture(figure, f"curve-{slug(key.replace('/', '-'))}", alt, "")


def _by_seed(arm: Arm, key: str) -> np.ndarray:
    """[runs, epochs]: as many epochs as every finished run of the row has."""
    runs = [[e[key] for e in r.curve if key in e] for r in arm.ok]
    runs = [run for run in runs if run]
    length = min((len(run) for run in runs), default=0)
    values = np.array([run[:length] for run in runs], dtype=np.float64).reshape(len(runs), length)
    return values if np.isfinite(values).all() else values[:, np.isfinite(values).all(axis=0)]


def _stages(axes: Axes, arms: Sequence[Arm]) -> None:
    """Where a new stage begins, if all arms agree."""
    plans = {tuple(s.epochs for s in a.runs[0][0].config.train.stages) for a in arms if a.runs}
    if len(plans) == 1:
        for end in np.cumsum(plans.pop())[:-1]:
            axes.axvline(end + 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))


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
    known = [a for a in analysis.arms if a.parameters and a.intervals[m.name].mean is not None]
    if not known:
        return None
    named, _ = analysis.shown(CURVES)
    figure, axes = canvas(5.2, 3.9)
    others = [a for a in known if a not in named]
    for arm in others:
        _point(axes, arm, m.name, factor, Pen(RULE, "-", "o"), "other rows" if arm is others[0] else "")
    for arm, pen in zip(named, pens([a.cell.baseline for a in named]), strict=True):
        if arm in known:
            _point(axes, arm, m.name, factor, pen, shorten(arm.label, 30))
    reference = analysis.baseline.intervals[m.name].mean if analysis.baseline is not None else None
    if reference is not None:
        axes.axhline(factor * reference, color=BASELINE, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.margins(x=0.12)
    axes.set_xlabel("parameters (millions)")
    axes.set_ylabel(f"{numbers.head(m)}, {numbers.direction(m)}")
    axes.ticklabel_format(axis="x", useOffset=False)
    legend(figure, axes)
    told = "; ".join(
        f"{a.label} {numbers.counted(a.parameters)} parameters, {numbers.value(a.intervals[m.name].mean, m.unit)}"
        for a in known
    )
    alt = f"{numbers.head(m)} against parameters: {told}"
    caption = (
        f"{numbers.head(m)} on the test split against parameters. Marks: mean over seeds; bars: 95 % t-interval of the"
        " mean (none for one seed); dots: one seed each; dashed: the baseline's mean."
    )
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
