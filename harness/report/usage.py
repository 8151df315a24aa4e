"""Is the attention used? What the gates do on test items, and what the network loses without them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from ..contracts import Metric
from ..stats import Difference, mean_interval, minus, quantity
from ..stats.wording import between
from . import numbers
from .analysis import Analysis, Arm
from .document import Block, Bullets, Column, Entry, Fold, Gallery, Item, Line, Picture, Section, Table, Text, Tone
from .escaping import one_line, sentence, shorten
from .heatmaps import heatmap
from .plots import legend
from .probed import ALL, MEASURES, TRAINED, Probed, probed
from .rows import foremost, lined
from .style import canvas, pens, picture

ARMS = 12
LINES = 8
CONSTANT = 0.02
"""Spread of a gate, as a share of its mean, below which it selects next to nothing."""
HEADS = {
    "mean": ("mean gate", "output / input"),
    "spread": ("spread", "sd over elements and images"),
    "entropy_channels": ("channel entropy", "1: selects no channel"),
    "entropy_places": ("place entropy", "1: selects no place"),
    "saturated": ("saturated", "share below 0.05 or above 0.95"),
}
_GATES = (
    "mean gate: output divided by input, element by element; spread: its standard deviation over elements and images;"
    " entropies: how evenly the gain is spread, over channels and over places, 1 where all are alike; saturated: share"
    " of elements below 0.05 or above 0.95."
)


def usage(analysis: Analysis) -> Section | None:
    """None where neither gates nor knock-outs were measured."""
    found = probed(analysis)
    if not found:
        return None
    metric = analysis.primary
    blocks: list[Block] = []
    if any(p.scores for p in found):
        blocks.append(Bullets(tuple(_verdict(p, metric) for p in found if p.scores)))
        blocks.append(Text(_how_judged(metric), "muted"))
    blocks.append(_table(found, metric))
    told = list(dict.fromkeys(n for p in found for n in p.told))[:12]
    blocks.append(Text(" ".join([_measured(found), *map(sentence, told)]), "muted"))
    notes = list(dict.fromkeys(n for p in found for n in p.notes))
    if notes:
        more = [f"and {len(notes) - 6} more of the kind"] if len(notes) > 6 else []
        blocks.append(Text(f"Left out: {'; '.join([*notes[:6], *more])}.", "muted"))
    kept = {a.cell.key for a in analysis.shown(ARMS)[0]}
    drawn = [p for p in found if p.arm.cell.key in kept]
    if len(drawn) < len(found):
        few = f"Drawn are the {len(drawn)} of {len(found)} rows that differ most from the baseline."
        blocks.append(Text(few, "muted"))
    blocks.extend(_figures(drawn, metric))
    if any(p.sites for p in drawn):
        tables = tuple(_by_site(p, metric) for p in drawn if p.sites)
        blocks.append(Fold("Gates and losses by site", tables))
    definitions = {one_line(k): one_line(v) for p in found for k, v in p.definitions.items()}
    if definitions:
        items = tuple(Item(text, name) for name, text in definitions.items())
        blocks.append(Fold("How these numbers are defined", (Bullets(items),)))
    return Section("usage", "Is the attention used?", tuple(blocks))


def _margin(metric: Metric, trained: float) -> float:
    """A loss below it is none for practice: half a percentage point, or 1 % of the trained value."""
    return 0.005 if metric.unit == "%" else 0.01 * abs(trained)


def _how_judged(metric: Metric) -> str:
    margin = "0.50 pp" if metric.unit == "%" else "1 % of the trained value"
    return (
        f"Every block was replaced by the identity in the trained network, without training it again, and {metric.name}"
        f" was measured on the same items. A row does not need its blocks if the whole 95 % t-interval over seeds lies"
        f" within {margin} of 0; one interval a row, without correction for their number. A loss says that the network"
        " relies on the blocks, not that it is better for them: a gate that is 0.5 everywhere selects nothing, and"
        " taking it out still doubles what follows. Spread and entropies tell such a gate."
    )


def _verdict(p: Probed, metric: Metric) -> Item:
    """The sentence of a row: what its interval supports, and no more."""
    d = p.loss(ALL, metric)
    text, word, tone = _judged(d, metric, p)
    if tone == "good" and _constant(p):
        text += f" Its gates hardly vary (spread {_plain(p.gate('spread')[1])}): it relies on a scale, not on a choice."
        tone = "muted"
    return Item(text, p.arm.told, word, tone)


def _constant(p: Probed) -> bool:
    """Is the gate of every site one number for practice?"""
    spreads, means = p.gate("spread")[0], p.gate("mean")[0]
    return bool(spreads) and all(spreads[site] < CONSTANT * abs(means.get(site, 0.0)) for site in spreads)


def _judged(d: Difference, metric: Metric, p: Probed) -> tuple[str, str, Tone]:
    if d.mean is None:
        return "the knock-out of all blocks gave no usable number.", "not known", "muted"
    if d.low is None or d.high is None:
        return _without_interval(d, metric, d.mean, p)
    ends = between(d.low, d.high, metric.unit, signed=True, difference=True)
    text, word, tone = _supported(d.mean, d.low, d.high, metric, p)
    return f"{text} (95 % interval of the loss {ends}, n = {d.n}).", word, tone


def _without_interval(d: Difference, metric: Metric, mean: float, p: Probed) -> tuple[str, str, Tone]:
    loss = quantity(mean, metric.unit, difference=True)
    if d.n == 1:
        text = f"loses {loss} of {metric.name} with all blocks knocked out; one seed allows no interval."
        return text, "one seed", "muted"
    trained = list(p.scores[TRAINED].values())
    if mean == 0 and not _coarse(metric, p, _margin(metric, sum(trained) / len(trained))):
        text = f"knocking all blocks out leaves {metric.name} the same in every one of {d.n} seeds"
        return f"{text}: the network does not need them.", "not needed", "bad"
    return f"all {d.n} seeds lose exactly {loss} of {metric.name}; their spread is not known.", "no interval", "muted"


def _supported(mean: float, low: float, high: float, metric: Metric, p: Probed) -> tuple[str, str, Tone]:
    name, change = metric.name, quantity(abs(mean), metric.unit, difference=True)
    worse, better = ("lower", "higher") if metric.better == "higher" else ("higher", "lower")
    trained = list(p.scores[TRAINED].values())
    bound, margin = max(abs(low), abs(high)), _margin(metric, sum(trained) / len(trained))
    if bound <= margin and _coarse(metric, p, margin):
        text = f"knocking all blocks out changes {name} on too few items ({min(p.items):,}) to tell {change} from 0"
        return text, "unclear", "muted"
    if bound <= margin:
        less = f"by less than {_above(bound, metric)}"
        return f"knocking all blocks out changes {name} {less}: the network does not need them", "not needed", "bad"
    if low > 0:
        return f"without its blocks {name} is {worse} by {change}: the network relies on them", "relied on", "good"
    if high < 0:
        return f"without its blocks {name} is {better} by {change}: as trained they do harm here", "harmful", "worse"
    text = f"without its blocks {name} is {worse if mean > 0 else better} by {change}"
    return f"{text}, and these seeds do not tell a loss from none", "unclear", "muted"


def _coarse(metric: Metric, p: Probed, margin: float) -> bool:
    """Is one item of those that were looked at more than the margin? Equal scores then say little."""
    return metric.unit == "%" and bool(p.items) and 1 / min(p.items) > margin


def _above(bound: float, metric: Metric) -> str:
    """Rounded up, since 'less than' must hold for the number that is printed."""
    if metric.unit == "%":
        return quantity((np.floor(bound * 1e4) + 1) / 1e4, "%", difference=True)
    size = 10.0 ** (np.floor(np.log10(bound)) - 2) if bound > 0 else 1e-12
    return quantity(float((np.floor(bound / size) + 1) * size), metric.unit)


def _table(found: Sequence[Probed], metric: Metric) -> Table:
    unit = numbers.unit_of_difference(metric.unit)
    columns = (
        Column("row", numeric=False),
        *(Column(*HEADS[m]) for m in MEASURES),
        Column(f"{numbers.head(metric)}, trained", "on these items"),
        Column("all knocked out", numbers.head(metric)),
        Column(f"lost{f' ({unit})' if unit else ''}", "95 % t-interval; n"),
    )
    caption = (
        f"Means over sites and seeds; below, the range over sites. {_GATES} Lost: the row as trained against all its"
        f" blocks knocked out, seed by seed; positive: {metric.name} is worse without them."
    )
    return Table(caption, columns, tuple(_line(p, metric) for p in found))


def _line(p: Probed, metric: Metric) -> Line:
    gates = []
    for measure in MEASURES:
        by_site, mean = p.gate(measure)
        ends = f"{_plain(min(by_site.values()), 2)} to {_plain(max(by_site.values()), 2)}" if by_site else ""
        gates.append(Entry(_plain(mean), ends))
    scores = []
    for row in (TRAINED, ALL):
        i = mean_interval(list(p.scores.get(row, {}).values()))
        scores.append(
            Entry(numbers.value(i.mean, metric.unit), f"sd {numbers.spread(i.sd, metric.unit)}" if i.sd else "")
        )
    return lined(p.arm, *gates, *scores, _lost(p.loss(ALL, metric), metric))


def _plain(value: float | None, digits: int = 3) -> str:
    return numbers.NONE if value is None else minus(f"{round(value, digits) + 0.0:.{digits}f}")


def _lost(d: Difference, metric: Metric) -> Entry:
    if d.mean is None:
        return Entry(numbers.NONE)
    ends = numbers.span(d.low, d.high, metric.unit, signed=True)
    interval = f"{ends}; n = {d.n}" if d.low is not None else f"n = {d.n}"
    return Entry(numbers.value(d.mean, metric.unit, signed=True), interval)


def _measured(found: Sequence[Probed]) -> str:
    """How many items, and whether that is all of the test split."""
    items = sorted({n for p in found for n in p.items})
    tested = sorted({n for p in found for n in p.tested})
    if not items:
        return "The evaluations do not say on how many items of the test split they were measured."
    told = f"Knock-outs were measured on {' or '.join(f'{n:,}' for n in items)} items of the test split, in fp32"
    if len(tested) == 1 and items[0] < tested[0]:
        told += f"; the split has {tested[0]:,}: the number is capped, and the items are taken at an even stride"
    elif len(tested) == 1 and items == tested:
        told += ", which is all of it"
    return f"{told}. The trained score on them may differ from that in the comparison."


def _by_site(p: Probed, metric: Metric) -> Table:
    unit = numbers.unit_of_difference(metric.unit)
    lost = Column(f"lost without{f' ({unit})' if unit else ''}", "95 % t-interval; n")
    columns = (Column("site", numeric=False), *(Column(HEADS[m][0]) for m in MEASURES), lost)
    lines = []
    for site in p.sites:
        gates = (Entry(_plain(p.gate(m)[0].get(site))) for m in MEASURES)
        lines.append(Line((Entry(one_line(site)), *gates, _lost(p.loss(site, metric), metric))))
    caption = f"{p.arm.told}: means over seeds; lost: {metric.name} when this one block alone is the identity."
    return Table(caption, columns, tuple(lines))


def _figures(found: Sequence[Probed], metric: Metric) -> list[Block]:
    """The loss by site and the mean gate by site, all rows in one picture each."""
    losses = [(p, {s: d.mean for s in p.sites if (d := p.loss(s, metric)).mean is not None}) for p in found]
    gates = [(p, p.gate("mean")[0]) for p in found]
    unit = numbers.unit_of_difference(metric.unit)
    small = unit if metric.unit == "%" else "hundredths"  # those of a fraction are points
    what = f"loss of {metric.name}{f' in {unit}' if unit else ''}"
    scaled = [(p, {s: numbers.scale(metric.unit) * v for s, v in own.items()}) for p, own in losses]
    drawn = [
        _figure("usage-loss", f"{what} when one block is knocked out", scaled, losses, small),
        _figure("usage-gate", "mean gate by site", gates, gates),
    ]
    pictures = tuple(p for p in drawn if p is not None)
    if not pictures:
        return []
    caption = (
        "Means over seeds. Sites in the order of the network, the first at the left. Loss: positive where"
        f" {metric.name} is worse without that one block; losses of single blocks do not add up to that of all."
    )
    return [Gallery(caption, pictures)]


def _figure(
    name: str,
    what: str,
    scaled: Sequence[tuple[Probed, dict[str, float]]],
    raw: Sequence[tuple[Probed, dict[str, float]]],
    small: str = "",
) -> Picture | None:
    """A heat map where all rows have the same sites, else one line a row; `scaled`: in the unit that lines print.

    `small`: what a hundredth is called on the scale of differences; empty for what are none.
    """
    usable = [(p, own) for p, own in raw if own]
    if not usable:
        return None
    told = "; ".join(
        f"{p.arm.told} from {min(own.values()):.3g} to {max(own.values()):.3g}" for p, own in scaled if own
    )
    alt = f"{what[0].upper()}{what[1:]}: {told}"
    sites = usable[0][0].sites
    if any(p.sites != sites for p, _ in usable):
        return _lines(name, what, alt, [(p, own) for p, own in scaled if own])
    values = np.array([[own.get(s, np.nan) for s in sites] for _, own in usable])
    rows, columns = [p.arm.short() for p, _ in usable], [one_line(s) for s in sites]
    return heatmap(
        values, rows, columns, name=name, alt=alt, caption=what, difference=bool(small), small=small or "hundredths"
    )


def _lines(name: str, what: str, alt: str, found: Sequence[tuple[Probed, dict[str, float]]]) -> Picture:
    drawn = foremost(found, LINES, _arm)
    figure, axes = canvas(5.2, 3.1 + 0.17 * len(drawn))
    for (p, own), pen in zip(drawn, pens([p.arm.cell.baseline for p, _ in drawn]), strict=True):
        places = [i for i, s in enumerate(p.sites, 1) if s in own]
        heights = [own[s] for s in p.sites if s in own]
        marker = pen.marker if len(places) < 20 else ""
        label = p.arm.short()
        axes.plot(places, heights, color=pen.colour, linestyle=pen.dash, marker=marker, markersize=4, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("block, counted from the input (rows have different sites)")
    axes.set_ylabel(shorten(what, 60))
    legend(figure, axes)
    few = f" ({len(drawn)} of {len(found)} rows)" if len(drawn) < len(found) else ""
    return picture(figure, name, alt, f"{what}{few}")


def _arm(pair: tuple[Probed, dict[str, float]]) -> Arm:
    return pair[0].arm
