"""What each term of a sum of losses did to the weights, over training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..stats import minus
from ..trial import format_value
from . import numbers
from .analysis import Analysis, Arm
from .curves import curve, epoch_axis, terms
from .document import Block, Column, Entry, Fold, Gallery, Line, Picture, Section, Table, Text
from .escaping import one_line, shorten
from .plots import legend
from .style import COLOURS, DASHES, MARKERS, canvas, picture

PANELS = 6
_OPEN = 4
_WHY = (
    "A term that is added to a loss turns the gradient, and it also makes it larger or smaller, which is a change of"
    " the learning rate in disguise. So each term's gradient over all trained weights was measured alone, at a few"
    " updates of every epoch. Share: the norm of its weighted gradient over the sum of all terms' norms. Cosine:"
    " between the gradients of two terms; below 0 they pull against each other."
)


def ledger(analysis: Analysis) -> Section | None:
    """A table a row of the study, and its shares over the epochs; None where no row sums several terms."""
    arms = [a for a in analysis.arms if len(keys(a)) > 1 and any(curve(a, f"ledger/{k}/weight") for k in keys(a))]
    if not arms:
        return None
    tables = tuple(_table(arm) for arm in arms)
    folded: tuple[Block, ...] = (Fold(f"The ledgers of all {len(tables)} rows with several terms", tables),)
    pictures = tuple(p for a in arms[:PANELS] if (p := _shares(a, terms(arms))) is not None)
    caption = "Share of the gradient norm of every term by epoch, mean over seeds; one picture a row of the study."
    if len(arms) > PANELS:
        caption += f" Drawn are {PANELS} of {len(arms)} rows."
    gallery = (Gallery(caption, pictures),) if pictures else ()
    shown: tuple[Block, ...] = tables if len(tables) <= _OPEN else folded
    return Section("ledger", "Ledger of the loss", (Text(_WHY, "muted"), *gallery, *shown))


def keys(arm: Arm) -> list[str]:
    """The terms of the row's loss, as its curves name them."""
    return [t.key or t.loss.name for t in arm.runs[0][0].config.loss] if arm.runs else []


def _table(arm: Arm) -> Table:
    own = keys(arm)
    columns = (
        Column("term", numeric=False),
        Column("coefficient", "of the grid"),
        Column("weight in the sum", "first → last epoch"),
        Column("raw value", "first → last epoch"),
        Column("weighted gradient", "norm, first → last epoch"),
        Column("share of the norm (%)", "first → last epoch"),
        *(Column(f"cosine: {one_line(k)}", "last epoch") for k in own),
    )
    lines = []
    for term, key in zip(arm.runs[0][0].config.loss, own, strict=True):
        entries = [
            Entry(one_line(key)),
            Entry(format_value(term.coefficient)),
            Entry(_course(arm, f"ledger/{key}/weight", _plain)),
            Entry(_course(arm, f"train/{key}", _plain)),
            Entry(_course(arm, f"ledger/{key}/norm", _plain)),
            Entry(_course(arm, f"ledger/{key}/share", lambda v: f"{100 * v:.1f}")),
        ]
        lines.append(Line((*entries, *(Entry(_cosine(arm, key, other)) for other in own))))
    seeds = numbers.plural(len({r.trial.config.seed for r in arm.ok}), "seed")
    return Table(f"{arm.told}: means over {seeds}{_whole(arm)}.", columns, tuple(lines))


def _whole(arm: Arm) -> str:
    """The gradient of the sum, which the terms' norms bound."""
    if curve(arm, "grad/norm") is None:
        return ""
    told = f"; gradient norm of the sum {_course(arm, 'grad/norm', _plain)}"
    clipped = curve(arm, "grad/clipped")
    return f"{told}, after clipping {_course(arm, 'grad/clipped', _plain)}" if clipped is not None else told


def _course(arm: Arm, key: str, shown: Callable[[float], str]) -> str:
    found = curve(arm, key)
    if found is None:
        return numbers.NONE
    first, last = shown(float(found.mean[0])), shown(float(found.mean[-1]))
    return first if first == last else f"{first} → {last}"


def _plain(number: float) -> str:
    return f"{number:.3g}"


def _cosine(arm: Arm, key: str, other: str) -> str:
    found = curve(arm, f"ledger/{key}~{other}/cosine") or curve(arm, f"ledger/{other}~{key}/cosine")
    return numbers.NONE if found is None else minus(f"{found.mean[-1] + 0.0:+.2f}")


def _shares(arm: Arm, names: Sequence[str]) -> Picture | None:
    """One colour a term, the same in every picture."""
    figure, axes = canvas(4.4, 3.2)
    drawn, ends = [], []
    for key in keys(arm):
        found, place = curve(arm, f"ledger/{key}/share"), names.index(key)
        if found is None:
            continue
        axes.plot(
            found.epochs,
            100 * found.mean,
            color=COLOURS[place % len(COLOURS)],
            linestyle=DASHES[place % len(DASHES)],
            marker=MARKERS[place % len(MARKERS)] if len(found.epochs) < 8 else "",
            markersize=4,
            label=shorten(key, 30),
        )
        drawn.append(found.epochs)
        ends.append(f"{one_line(key)} {100 * found.mean[-1]:.1f} %")
    if not drawn:
        return None
    axes.set_ylim(0, 100)
    axes.set_ylabel("share of the gradient norm (%)")
    epoch_axis(axes, [arm], drawn[0])
    legend(figure, axes)
    alt = f"Share of the gradient norm of every term of {arm.told} by epoch; at the end: {', '.join(ends)}"
    return picture(figure, f"ledger-{arm.cell.key}", alt, arm.short())
