"""Which classes a row helps and which it hurts, and what it takes them for instead."""

from __future__ import annotations

import numpy as np

from ..stats import ClassDifferences, minus
from . import numbers
from .analysis import Analysis
from .document import Block, Column, Entry, Fold, Gallery, Line, Picture, Pre, Section, Table, Text, Tone
from .escaping import csv_text, one_line, shorten
from .predictions import DRAWS, ByClass, by_class
from .rows import lined, quoted
from .style import BASELINE, BETTER, INK, PAPER, WORSE, canvas, picture

ROWS = 12
PANELS = 6
ENDS = 3
MANY = 100
"""So many classes are not all shown in tables, but the most changed ones, and the rest as CSV."""
_CHANGED = 20
_DRAWN = 40


def classes(analysis: Analysis) -> Section | None:
    """None where no trial stored a true and a predicted class of its test images."""
    arms, omitted = analysis.shown(ROWS)
    names, rows, notes = by_class(analysis, arms)
    if not rows:
        return None
    names = tuple(one_line(n) for n in names)
    # A control is there to judge its row; its own classes stand in the folds.
    compared = [r for r in rows if r.change is not None and not r.arm.cell.control]
    blocks: list[Block] = []
    if omitted:
        few = f"the {len(arms)} rows that differ most from the baseline, and it"
        notes = [f"Shown are {few}; {numbers.plural(omitted, 'row')} left out.", *notes]
    if same := [r.arm for r in compared if not _extremes(r)]:
        notes = [*notes, f"No class differs in recall, mean over seeds: {quoted(same)}."]
    if compared:
        blocks += [_helped_and_hurt(compared, names), Text(_multiplicity(compared), "muted"), _drawn(compared, names)]
    blocks += [Text(note, "muted") for note in notes]
    blocks += _every_class(rows, names)
    return Section("classes", "Class by class", tuple(blocks))


def _helped_and_hurt(rows: list[ByClass], names: tuple[str, ...]) -> Table:
    columns = (
        Column("row", numeric=False),
        Column("class", "images", numeric=False),
        Column("recall (pp)", "row − baseline, 95 % over images"),
        Column("over seeds", "95 % interval"),
        Column("verdict", numeric=False),
        Column("F1 (pp)", "row − baseline, 95 % interval"),
        Column("gained most", "predicted instead, images a seed", numeric=False),
        Column("lost most", "predicted less, images a seed", numeric=False),
    )
    lines = []
    for row in rows:
        for k in _extremes(row):
            word, tone = _word(row, k)
            lines.append(
                lined(
                    row.arm,
                    Entry(names[k], f"{row.scores.support[k]:,}"),
                    _change(row, k, "recall", tone),
                    _seeds(row, k),
                    Entry(word, tone=tone),
                    _change(row, k, "f1"),
                    Entry(_moved(row, k, names, 1)),
                    Entry(_moved(row, k, names, -1)),
                )
            )
    caption = (
        f"The {ENDS} classes whose recall rises most and the {ENDS} whose recall falls most in each row, by the mean"
        f" over seeds. Over images: paired bootstrap over test images ({DRAWS:,} draws), the same images for both rows"
        " and all seeds, seeds as they are. Over seeds: paired t-interval. A class is helped or hurt where both leave 0"
        " out."
    )
    return Table(caption, columns, tuple(lines))


def _extremes(row: ByClass) -> list[int]:
    """Classes by recall: those that rise most, then those that fall most; a class that stays is neither."""
    if row.change is None:
        return []
    change = np.nan_to_num(row.change.recall)
    order = np.argsort(-change, kind="stable")
    rising, falling = [k for k in order if change[k] > 0], [k for k in order if change[k] < 0]
    return [int(k) for k in [*rising[:ENDS], *falling[-ENDS:]]]


def _word(row: ByClass, k: int) -> tuple[str, Tone]:
    if row.change is None:
        return "no clear difference", ""
    if row.change.seeds == 1:
        return "one seed", "muted"
    words: dict[int, tuple[str, Tone]] = {1: ("helped", "better"), -1: ("hurt", "worse")}
    return words.get(row.change.sign(k), ("no clear difference", ""))


def _change(row: ByClass, k: int, what: str, tone: Tone = "") -> Entry:
    mean, low, high = (
        None if np.isnan(v := float(getattr(row.change, name)[k])) else v
        for name in (what, f"{what}_low", f"{what}_high")
    )
    return Entry(numbers.value(mean, "%", signed=True), numbers.span(low, high, "%", signed=True), tone)


def _seeds(row: ByClass, k: int) -> Entry:
    if row.change is None or np.isnan(row.change.seeds_low[k]):
        return Entry(numbers.NONE)
    return Entry(numbers.span(float(row.change.seeds_low[k]), float(row.change.seeds_high[k]), "%", signed=True))


def _moved(row: ByClass, k: int, names: tuple[str, ...], sign: int) -> str:
    """`dog +12.3`: the wrong class that images of class k are taken for more (sign 1) or less (-1) than before."""
    if row.moved is None:
        return numbers.NONE
    wrong = sign * row.moved[k]
    wrong[k] = -np.inf
    j = int(wrong.argmax())
    return f"{names[j]} {minus(f'{sign * wrong[j]:+.3g}')}" if wrong[j] > 0 else numbers.NONE


def _multiplicity(rows: list[ByClass]) -> str:
    """How many verdicts were possible, and how many fell."""
    changes = [r.change for r in rows if r.change is not None]
    known = sum(int(np.isfinite(c.recall_low).sum()) for c in changes)
    clear = sum(abs(c.sign(k)) for c in changes for k in range(len(c.recall)))
    classes = len(changes[0].recall)
    return (
        f"{numbers.plural(classes, 'class').replace('classs', 'classes')} × {numbers.plural(len(rows), 'row')} make"
        f" {numbers.plural(known, 'comparison')} of recall, which are not corrected for their number: of as many, up to"
        f" about {0.05 * known:.3g} would get a verdict by chance where nothing differs; here {clear} have one. The"
        " classes above were chosen because they changed most, so their differences are larger than a repetition would"
        " find."
    )


def _drawn(rows: list[ByClass], names: tuple[str, ...]) -> Gallery:
    shown = rows[:PANELS]
    ends = [np.abs(getattr(r.change, f"recall_{end}")) for r in shown for end in ("low", "high")]
    limit = 105 * max((float(np.nanmax(e, initial=0.0)) for e in ends), default=0.0) or 1.0
    caption = (
        "Difference of recall to the baseline by class: mean over seeds, and 95 % interval over test images. Blue:"
        " helped, orange: hurt, grey: one of both intervals contains 0. All on one scale."
    )
    if len(names) > _DRAWN:
        caption += f" Drawn are the {_DRAWN} of {len(names)} classes that change most in each row."
    if len(shown) < len(rows):
        caption += f" Drawn are the first {len(shown)} of {len(rows)} rows."
    return Gallery(caption, tuple(_dots(r, r.change, names, limit) for r in shown if r.change is not None))


def _dots(row: ByClass, change: ClassDifferences, names: tuple[str, ...], limit: float) -> Picture:
    kept = _most_changed(row, _DRAWN)
    shown = [shorten(names[k], 20) for k in kept]
    figure, axes = canvas(3.4 + 0.07 * max(map(len, shown)), 0.8 + 0.22 * len(kept))
    axes.axvline(0, color=INK, linewidth=1)
    for y, k in enumerate(kept):
        colour = {"helped": BETTER, "hurt": WORSE}.get(_word(row, k)[0], BASELINE)
        low, mean, high = (100 * float(v[k]) for v in (change.recall_low, change.recall, change.recall_high))
        if np.isfinite(low):
            axes.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        if np.isfinite(mean):
            axes.plot([mean], [y], "o", color=colour, markersize=6, markeredgecolor=PAPER)
    axes.set_yticks(range(len(kept)), shown)
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.set_xlim(-limit, limit)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("recall, row − baseline (pp)")
    told = "; ".join(
        f"{names[k]} {numbers.value(float(change.recall[k]), '%', signed=True)} {_word(row, k)[0]}"
        for k in kept
        if np.isfinite(change.recall[k])
    )
    alt = f"Difference of recall to the baseline by class in pp, {row.arm.told}: {told}"
    return picture(figure, f"classes-{row.arm.cell.key}", alt, row.arm.told)


def _most_changed(row: ByClass, limit: int) -> list[int]:
    """So many classes that change most, in the order of the classes; all where there are no more."""
    size = row.scores.support if row.change is None else np.abs(np.nan_to_num(row.change.recall))
    return sorted(int(k) for k in np.argsort(-size, kind="stable")[:limit])


def _every_class(rows: list[ByClass], names: tuple[str, ...]) -> list[Block]:
    """A fold a row. Of very many classes the most changed ones, and all as CSV."""
    many = len(names) >= MANY
    blocks: list[Block] = []
    for row in rows:
        kept = _most_changed(row, _CHANGED) if many else list(range(len(names)))
        inner: list[Block] = [_table(row, names, kept)]
        if many:
            inner.append(Fold(f"All {len(names)} classes as CSV", (Pre(_csv(row, names)),)))
        blocks.append(Fold(f"Precision, recall and F1 of every class: {row.arm.told}", tuple(inner)))
    return blocks


def _table(row: ByClass, names: tuple[str, ...], kept: list[int]) -> Table:
    columns = [Column("class", numeric=False), Column("images")]
    columns += [Column(f"{name} (%)") for name in ("precision", "recall", "F1")]
    if row.change is not None:
        columns += [Column(f"{name} (pp)", "row − baseline, 95 % interval") for name in ("recall", "F1")]
    lines = []
    for k in kept:
        entries = [Entry(names[k]), Entry(f"{row.scores.support[k]:,}")]
        entries += [Entry(_percent(float(s[k]))) for s in (row.scores.precision, row.scores.recall, row.scores.f1)]
        if row.change is not None:
            entries += [_change(row, k, "recall", _word(row, k)[1]), _change(row, k, "f1")]
        lines.append(Line(tuple(entries)))
    what = "the classes that " + ("change most" if row.change is not None else "have most images")
    shown = f" Shown are {what}: {len(kept)} of {len(names)}." if len(kept) < len(names) else ""
    return Table(f"{row.arm.told}, mean over {numbers.plural(row.seeds, 'seed')}.{shown}", tuple(columns), tuple(lines))


def _percent(share: float) -> str:
    return numbers.NONE if np.isnan(share) else numbers.value(share, "%")


def _csv(row: ByClass, names: tuple[str, ...]) -> str:
    """Fractions, six digits."""
    columns = {"precision": row.scores.precision, "recall": row.scores.recall, "f1": row.scores.f1}
    if row.change is not None:
        for what in ("recall", "f1"):
            for end in ("", "_low", "_high"):
                columns[f"{what}{end or ''}_difference"] = getattr(row.change, f"{what}{end}")
    lines = [",".join(["class", "images", *columns])]
    for k, name in enumerate(names):
        quoted = '"' + csv_text(name).replace('"', '""') + '"'
        values = ("" if np.isnan(v[k]) else f"{float(v[k]):.6g}" for v in columns.values())
        lines.append(",".join([quoted, str(row.scores.support[k]), *values]))
    return "\n".join(lines)
