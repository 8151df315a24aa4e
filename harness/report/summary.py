"""The first screen: what was run, what may be believed of it, and one sentence a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..stats import quantity
from ..stats.wording import between
from ..trial import Config, Study, format_value
from .analysis import Analysis, Arm, detectable
from .audited import cautions
from .document import Block, Bullets, Item, Text, Tone
from .escaping import one_line, shorten
from .numbers import direction, plural

_NOT_COMPARABILITY = {"git_commit", "git_clean", "platform", "processor"}
_TONES: dict[str, Tone] = {"better": "better", "worse": "worse"}


def headline(analysis: Analysis) -> str:
    """Model, data and budget in words."""
    study = analysis.evidence.study
    configs = [t.config for c in study.cells for t in c.trials]
    if not configs:
        return "A study without rows."
    trained = {r.sizes["train"] for r in analysis.ok if "train" in r.sizes}
    items = f" ({next(iter(trained)):,} training items)" if len(trained) == 1 else ""
    stages = {len(c.train.stages) for c in configs}
    in_stages = f" in {next(iter(stages))} stages" if len(stages) == 1 and stages != {1} else ""
    epochs = _range({c.train.epochs for c in configs})
    parts = [
        *([task] if (task := _task(analysis, configs[0])) else []),
        f"{_names((c.model.label() for c in configs), 'models')} on "
        f"{_names((c.dataset.label() for c in configs), 'datasets')}{items}",
        f"{epochs} epoch{'' if epochs == '1' else 's'}{in_stages}",
        _design(study, configs),
        *([_names((str(r.environment["device"]) for r in analysis.ok if "device" in r.environment), "devices")]),
        _names((c.train.precision for c in configs), "precisions"),
    ]
    return ", ".join(p for p in parts if p)


def _task(analysis: Analysis, config: Config) -> str:
    """The task with what it was asked, defaults included; nothing for one that can be asked in one way only."""
    defaults = analysis.evidence.defaults("task", config.task.name)
    asked = {**defaults, **config.task.as_dict()}
    told = ", ".join(f"{k}={format_value(v)}" for k, v in sorted(asked.items()))
    return f"{config.task.name}({told})" if told else ""


def _names(found: Iterable[str], noun: str) -> str:
    """The one name, or how many and which."""
    names = list(dict.fromkeys(one_line(f) for f in found))
    if len(names) <= 1:
        return "".join(names)
    listed = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return f"{len(names)} {noun} ({listed})"


def _range(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def _design(study: Study, configs: Sequence[Config]) -> str:
    seeds = max((len({t.config.seed for t in c.trials}) for c in study.cells), default=0)
    folds = len({c.fold for c in configs})
    text = f"{plural(len(study.cells), 'row')} × {plural(seeds, 'seed')}"
    return f"{text} × {folds} folds" if folds > 1 else text


def summary(analysis: Analysis) -> tuple[Block, ...]:
    """How far the study got, what to beware of, and the verdicts."""
    blocks: list[Block] = [Text(progress(analysis))]
    careful = warnings(analysis)
    if careful:
        blocks.append(Bullets(tuple(Item(sentence) for sentence in careful), "Before you believe the table"))
    items = [
        Item(arm.verdict.sentence, arm.told, arm.verdict.word, _TONES.get(arm.verdict.word, ""))
        for arm in analysis.challengers
        if arm.verdict is not None and not arm.cell.control
    ]
    if items and analysis.baseline is not None:
        m = analysis.primary
        what = f"{m.name}{f' in {m.unit}' if m.unit else ''} ({m.definition}; {direction(m)})"
        blocks.append(
            Text(f"Against the baseline '{analysis.baseline.label}', by {what} on the test split, paired by seed:")
        )
        blocks.append(Bullets(tuple(items)))
        blocks.append(Text(_family(analysis, len(items)), "muted"))
    return tuple(blocks)


def progress(analysis: Analysis) -> str:
    """`14 of 15 trials are done; 1 failed.`"""
    trials = analysis.evidence.study.trials()
    statuses = [r.status if (r := analysis.records.get(t.id)) else "not run" for t in trials]
    counts = {word: statuses.count(word) for word in ("failed", "skipped", "not run")}
    rest = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    done = statuses.count("ok")
    if not rest:
        return f"All {plural(done, 'trial')} finished."
    return f"{done} of {plural(len(trials), 'trial')} finished; {rest}."


def _family(analysis: Analysis, size: int) -> str:
    text = (
        f"Differences are row minus baseline. {plural(size, 'comparison')} with the baseline"
        f" form{'s' * (size == 1)} one family: an interval that leaves 0 out counts only if"
        " its paired t-test still holds after Holm's correction."
    )
    if any(arm.cell.control for arm in analysis.challengers):
        text += " Controls are judged below, beside their rows."
    if size > 1:
        text += " To compare with another row, make it the `baseline` of the grid; nothing is trained for it."
    seen = detectable(analysis)
    if seen is not None:
        pairs, low, high = seen
        unit = analysis.primary.unit
        same = quantity(low, unit, difference=True) == quantity(high, unit, difference=True)
        size_text = quantity(low, unit, difference=True) if same else between(low, high, unit, difference=True)
        text += (
            f" Minimum detectable difference with {pairs} seeds and the spread seen here: {size_text}, depending on the"
            " row (80 % power, two-sided 5 %, one comparison). Smaller true differences would mostly be missed."
        )
    return text


def _below_floors(analysis: Analysis) -> list[str]:
    """Rows that are no better than something that was never trained: their differences say little."""
    m = analysis.primary
    sign = 1 if m.better == "higher" else -1
    floors = {name: max(sign * value for value in seen) for name, seen in analysis.floors(m.name).items()}
    floors = {name: value for name, value in floors.items() if name not in analysis.evidence.ceilings}
    if not floors:
        return []
    best = max(floors, key=lambda name: floors[name])
    known = [(a, a.intervals[m.name].mean) for a in analysis.ranked]
    below = [a.label for a, mean in known if mean is not None and sign * mean <= floors[best]]
    if not below:
        return []
    return [
        f"{_listed(below)} {'is' if len(below) == 1 else 'are'} no better in {m.name} than '{best}'"
        f" ({quantity(sign * floors[best], m.unit)}), which needs no training: their differences say little."
    ]


def warnings(analysis: Analysis) -> tuple[str, ...]:
    """All that a reader must know before believing the table."""
    found: list[str] = []
    if analysis.no_baseline:
        found.append(analysis.no_baseline)
    found.extend(cautions(analysis))
    found.extend(analysis.broken)
    found.extend(_below_floors(analysis))
    single = [a.label for a in analysis.arms if a.intervals[analysis.primary.name].n == 1]
    if single:
        found.append(
            f"{_listed(single)} rest{'s' * (len(single) == 1)} on one seed: no interval can be given (shown as –), and"
            " a difference may be chance alone."
        )
    found.extend(_unfinished(arm) for arm in analysis.arms if len(arm.ok) < len(arm.runs))
    keys = [c.key for c in analysis.evidence.study.cells]
    labels = {a.cell.key: a.label for a in analysis.arms}
    found.extend(
        f"'{labels[key]}' is stale: {one_line(analysis.evidence.stale[key])}."
        for key in keys
        if key in analysis.evidence.stale
    )
    found.extend(mixed(analysis))
    return tuple(found)


def _unfinished(arm: Arm) -> str:
    counts = {"failed": 0, "skipped": 0, "not run": 0}
    for _, record in arm.runs:
        if record is None:
            counts["not run"] += 1
        elif record.status != "ok":
            counts[record.status] += 1
    rest = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    told = f"'{arm.label}' has {len(arm.ok)} of {plural(len(arm.runs), 'trial')} ({rest})"
    return f"{told}: its mean is over those alone." if arm.ok else f"{told}: there is nothing to compare."


def _listed(names: Sequence[str]) -> str:
    quoted = [f"'{shorten(n)}'" for n in names[:5]]
    if len(names) > 5:
        return f"{', '.join(quoted)} and {len(names) - 5} more rows"
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def mixed(analysis: Analysis) -> tuple[str, ...]:
    """Library versions, devices and thread counts that differ between trials of the same table."""
    found = []
    for key, values in environment(analysis).items():
        if len(values) > 1 and key not in _NOT_COMPARABILITY:
            listed = ", ".join(f"{value} ({plural(n, 'trial')})" for value, n in values.items())
            found.append(f"The table mixes trials with different {key}: {listed}.")
    return tuple(found)


def environment(analysis: Analysis) -> dict[str, dict[str, int]]:
    """key -> value -> number of trials, over all finished records; keys and values sorted."""
    keys = sorted({key for record in analysis.ok for key in record.environment})
    union: dict[str, dict[str, int]] = {}
    for key in keys:
        values = [one_line(record.environment.get(key, "not recorded")) for record in analysis.ok]
        union[one_line(key)] = {value: values.count(value) for value in sorted(set(values))}
    return union
