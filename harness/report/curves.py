"""Learning curves: the loss and its terms, the primary metric, and gradients before and after clipping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from . import numbers
from .analysis import Analysis, Arm
from .document import Gallery, Picture, Section
from .escaping import one_line, shorten, slug
from .plots import CURVES, legend
from .style import MUTED, canvas, pens, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TERMS = 6
_CLIPPED = (0, (4, 2))


@dataclass(frozen=True, slots=True)
class Curve:
    """epochs [E], counted from 1; values [runs, E]: the epochs that all runs of the row have, and that are finite."""

    epochs: np.ndarray
    values: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.values.mean(axis=0))


def curve(arm: Arm, key: str) -> Curve | None:
    """None where no finished run of the row has the key, or no epoch is left."""
    runs = [{i: e[key] for i, e in enumerate(r.curve, 1) if key in e} for r in arm.ok]
    runs = [run for run in runs if run]
    shared = [e for e in (runs[0] if runs else ()) if all(np.isfinite(run.get(e, np.nan)) for run in runs)]
    if not shared:
        return None
    return Curve(np.array(shared), np.array([[run[e] for e in shared] for run in runs], dtype=np.float64))


def curves(analysis: Analysis) -> Section | None:
    """By epoch: training loss, each term of it where there are several, the primary metric, gradients."""
    arms, omitted = analysis.shown(CURVES)
    m = analysis.primary
    wanted = [("train/loss", "training loss, lower is better", 1.0)]
    wanted.append((f"val/{m.name}", f"validation {numbers.head(m)}, {numbers.direction(m)}", numbers.scale(m.unit)))
    named = terms(arms)
    wanted += [(f"train/{k}", f"training {shorten(k, 24)}, lower is better", 1.0) for k in named[:TERMS]]
    drawn = [_panel(arms, key, label, factor) for key, label, factor in wanted]
    drawn.append(_panel(arms, "grad/norm", "gradient norm", 1.0, "grad/clipped"))
    pictures = tuple(p for p in drawn if p is not None)
    if not pictures:
        return None
    caption = "Lines: mean over seeds. Bands: from the lowest to the highest seed."
    if drawn[-1] is not None:
        caption += " Gradient norms are means over an epoch's updates: solid before clipping, dashed after it, if any."
    if named:
        caption += " Terms of the loss are drawn as they are, before their weights."
    if len(named) > TERMS:
        caption += f" Only {TERMS} of {len(named)} terms are drawn."
    if omitted:
        caption += f" Drawn are the baseline and the {len(arms) - 1} rows that differ most; {omitted} are left out."
    return Section("curves", "Learning curves", (Gallery(caption, pictures),))


def terms(arms: Sequence[Arm]) -> list[str]:
    """Keys of all terms, in order, if any row sums several."""
    losses = [a.runs[0][0].config.loss for a in arms if a.runs]
    if all(len(loss) < 2 for loss in losses):
        return []
    return list(dict.fromkeys(t.key or t.loss.name for loss in losses for t in loss))


def _panel(arms: Sequence[Arm], key: str, label: str, factor: float, clipped: str = "") -> Picture | None:
    # The legend below takes a line a row of the study, and the axes must keep their height.
    figure, axes = canvas(5.0, 3.3 + 0.17 * len(arms))
    ends, drawn = [], []
    for arm, pen in zip(arms, pens([a.cell.baseline for a in arms]), strict=True):
        found = curve(arm, key)
        if found is None:
            continue
        drawn.append(found.epochs)
        values, mean = factor * found.values, factor * found.mean
        few = pen.marker if len(mean) < 8 else ""
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(found.epochs, low, high, color=pen.colour, alpha=0.16, linewidth=0)
        axes.plot(
            found.epochs,
            mean,
            color=pen.colour,
            linestyle="-" if clipped else pen.dash,
            marker=few,
            markersize=4,
            label=arm.short(),
        )
        end = f"{arm.told} {mean[-1]:.4g}"
        after = curve(arm, clipped) if clipped else None
        if after is not None:
            axes.plot(after.epochs, factor * after.mean, color=pen.colour, linestyle=_CLIPPED)
            end += f" ({factor * after.mean[-1]:.4g} after clipping)"
        ends.append(end)
    if not ends:
        return None
    epoch_axis(axes, arms, np.concatenate(drawn))
    axes.set_ylabel(label)
    legend(figure, axes)
    alt = f"{label} over {numbers.plural(max(len(e) for e in drawn), 'epoch')}; at the end: {'; '.join(ends)}"
    return picture(figure, f"curve-{slug(key.replace('/', '-'))}", one_line(alt), "")


def epoch_axis(axes: Axes, arms: Sequence[Arm], epochs: np.ndarray) -> None:
    """Whole epochs; and where a new stage begins, if all rows agree."""
    plans = {tuple(s.epochs for s in a.runs[0][0].config.train.stages) for a in arms if a.runs}
    if len(plans) == 1:
        for end in np.cumsum(plans.pop())[:-1]:
            axes.axvline(end + 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(set(epochs.tolist())) == 1:
        axes.set_xticks([int(epochs[0])])
