"""What went wrong, how everything was trained, with which code and data, and every raw value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import HarnessError
from ..trial import Choice, Record, Stage, Trial, Value, format_value, to_plain
from . import numbers
from .analysis import Analysis, Arm
from .document import Block, Bullets, Column, Entry, Fold, Item, Line, Pre, Section, Table, Text
from .escaping import one_line
from .evidence import Evidence
from .rows import lined
from .summary import environment


def gaps(analysis: Analysis) -> Section | None:
    """Skipped cells, failed trials, trials that were not run."""
    blocks: list[Block] = []
    skipped = analysis.evidence.study.skipped
    if skipped:
        blocks.append(Text(f"{numbers.plural(len(skipped), 'cell')} of the grid left out when it was planned:"))
        blocks.append(Bullets(tuple(Item(one_line(s.reason), one_line(s.label)) for s in skipped)))
    missing: list[Item] = []
    for arm in analysis.arms:
        for trial, record in arm.runs:
            if record is None:
                missing.append(Item(f"{_run(trial)}, trial {trial.id}", arm.label))
            elif record.status != "ok":
                blocks.extend(_failure(arm, trial, record))
    if missing:
        blocks.append(Text(f"{numbers.plural(len(missing), 'trial')} not run yet:"))
        blocks.append(Bullets(tuple(missing)))
    return Section("gaps", "Skipped, failed and missing", tuple(blocks)) if blocks else None


def _run(trial: Trial) -> str:
    fold = f", fold {trial.config.fold}" if trial.config.fold else ""
    return f"seed {trial.config.seed}{fold}"


def _failure(arm: Arm, trial: Trial, record: Record) -> list[Block]:
    reason = one_line(record.reason) or "no reason was recorded"
    text = f"{_run(trial)}, trial {trial.id}: {reason}"
    blocks: list[Block] = [Bullets((Item(text, arm.label, record.status, "bad"),))]
    if record.traceback:
        blocks.append(Fold(f"Traceback of {arm.label}, {_run(trial)}", (Pre(record.traceback),)))
    return blocks


def recipe(analysis: Analysis) -> Section:
    """Settings that all rows share, and those in which they differ."""
    rows = {arm.cell.key: _settings(analysis.evidence, arm) for arm in analysis.arms}
    keys = list(dict.fromkeys(k for settings in rows.values() for k in settings))
    shared: list[str] = []
    differing: list[str] = []
    for key in keys:
        values = {settings.get(key, numbers.NONE) for settings in rows.values()}
        (shared if len(values) == 1 else differing).append(key)
    first = next(iter(rows.values()), {})
    blocks: list[Block] = []
    if differing:
        columns = (Column("row", numeric=False), *(Column(one_line(k), numeric=False) for k in differing))
        lines = tuple(
            lined(arm, *(Entry(rows[arm.cell.key].get(k, numbers.NONE)) for k in differing)) for arm in analysis.arms
        )
        blocks.append(Table("Settings in which rows differ.", columns, lines))
    if shared:
        columns = (Column("setting", numeric=False), Column("value", numeric=False))
        lines = tuple(Line((Entry(one_line(k)), Entry(first[k]))) for k in shared)
        fold = Fold("Settings that all rows share", (Table("The resolved settings of every row.", columns, lines),))
        blocks.append(fold)
    if analysis.evidence.study.source:
        blocks.append(Fold("The grid as it was read", (Pre(analysis.evidence.study.source),)))
    return Section("recipe", "Recipe", tuple(blocks))


def _settings(evidence: Evidence, arm: Arm) -> dict[str, str]:
    """Dotted keys of the resolved configuration, defaults of options included."""
    if not arm.runs:
        return {}
    config = arm.runs[0][0].config
    found: dict[str, str] = {}
    for kind in ("task", "dataset", "model", "attention"):
        found |= _choice(evidence, kind, kind, getattr(config, kind))
    found["placement"] = format_value(config.placement)
    for term in config.loss:
        key = f"loss.{term.key or term.loss.name}"
        found[f"{key}.coefficient"] = format_value(term.coefficient)
        found |= _choice(evidence, "loss", key, term.loss)
    found["augment"] = ", ".join(a.name for a in config.augment) or "none"
    for augment in config.augment:
        options = _choice(evidence, "augment", f"augment.{augment.name}", augment)
        found |= {k: v for k, v in options.items() if k != f"augment.{augment.name}"}
    train = to_plain(config.train)
    found |= {f"train.{k}": format_value(v) for k, v in train.items() if k != "stages"}
    for i, stage in enumerate(config.train.stages):
        prefix = "train" if len(config.train.stages) == 1 else f"train.stage {i + 1}"
        found |= _stage(evidence, prefix, stage, arm, i)
    found["seeds"] = ", ".join(str(s) for s in dict.fromkeys(t.config.seed for t, _ in arm.runs))
    folds = list(dict.fromkeys(t.config.fold for t, _ in arm.runs))
    if folds != [0]:
        found["folds"] = ", ".join(map(str, folds))
    sites = next((r.sites for r in arm.ok), ())
    if sites:
        found["attention sites"] = f"{len(sites)}: {', '.join(sites)}"
    return {one_line(k): one_line(v) for k, v in found.items()}


def _stage(evidence: Evidence, prefix: str, stage: Stage, arm: Arm, i: int) -> dict[str, str]:
    found = {f"{prefix}.epochs": str(stage.epochs)}
    found |= _choice(evidence, "optimizer", f"{prefix}.optimizer", stage.optimizer)
    found |= _choice(evidence, "schedule", f"{prefix}.schedule", stage.schedule)
    found[f"{prefix}.freeze"] = ", ".join(stage.freeze) or "nothing"
    if stage.train_only:
        found[f"{prefix}.train_only"] = ", ".join(stage.train_only)
    found[f"{prefix}.freeze_bn"] = format_value(stage.freeze_bn)
    found[f"{prefix}.clip_norm"] = format_value(stage.clip_norm)
    counts = {r.stages[i]["trainable"] for r in arm.ok if i < len(r.stages) and "trainable" in r.stages[i]}
    if counts:
        found[f"{prefix}.trainable parameters"] = ", ".join(numbers.counted(c) for c in sorted(counts))
    return found


def _choice(evidence: Evidence, kind: str, key: str, choice: Choice) -> dict[str, str]:
    try:
        defaults: Mapping[str, Value] = evidence.defaults(kind, choice.name)
    except HarnessError:  # the plugin that trained it is not installed here
        defaults = {}
    options = {**defaults, **choice.as_dict()}
    return {key: choice.name} | {f"{key}.{k}": format_value(v) for k, v in sorted(options.items())}


def versions(analysis: Analysis) -> Section:
    """Versions, devices, threads; data, code and trials by their hashes."""
    blocks: list[Block] = []
    started = sorted(r.started for r in analysis.ok if r.started)
    if started:
        blocks.append(Text(f"Trials were started between {one_line(started[0])} and {one_line(started[-1])}."))
    two = (Column("what", numeric=False), Column("value", numeric=False))
    union = environment(analysis)
    if union:
        lines = tuple(Line((Entry(key), Entry(_values(values)))) for key, values in union.items())
        blocks.append(Table("Versions, device and threads of the finished trials.", two, lines))
    trials = [t for arm in analysis.arms for t, _ in arm.runs]
    hashes = [("dataset fingerprint", t.provenance.dataset) for t in trials]
    hashes += [("results version of the core", str(t.provenance.core)) for t in trials]
    hashes += [(f"source of {name}", digest) for t in trials for name, digest in sorted(t.provenance.sources)]
    hashes += [(f"provider of {k}", v) for r in analysis.ok for k, v in sorted(r.providers.items())]
    sizes = [("items", ", ".join(f"{k} {v:,}" for k, v in r.sizes.items())) for r in analysis.ok if r.sizes]
    lines = tuple(Line((Entry(one_line(k)), Entry(one_line(v)))) for k, v in dict.fromkeys(sizes + hashes))
    blocks.append(Fold("Data, code and providers", (Table("What a trial's id is made of, and more.", two, lines),)))
    three = (Column("row", numeric=False), Column("seed"), Column("fold"), Column("trial", numeric=False))
    ids = tuple(
        lined(a, Entry(str(t.config.seed)), Entry(str(t.config.fold)), Entry(t.id))
        for a in analysis.arms
        for t, _ in a.runs
    )
    blocks.append(Fold("Ids of all trials", (Table("Trials by row and seed.", three, ids),)))
    return Section("versions", "Versions and hashes", tuple(blocks))


def _values(values: Mapping[str, int]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return ", ".join(f"{value} ({numbers.plural(n, 'trial')})" for value, n in values.items())


def raw(analysis: Analysis) -> Section:
    """Every value of every seed, as records hold it."""
    metrics = analysis.evidence.metrics
    heads = [Column(numbers.head(m), numbers.direction(m)) for m in metrics]
    columns = (
        Column("row", numeric=False),
        Column("seed"),
        Column("fold"),
        Column("status", numeric=False),
        *heads,
        Column("epoch", "tested"),
        Column("training time"),
    )
    lines = []
    for arm in analysis.arms:
        for trial, record in arm.runs:
            entries = [Entry(str(trial.config.seed)), Entry(str(trial.config.fold))]
            lines.append(lined(arm, *entries, *_raw(record, [(m.name, m.unit) for m in metrics])))
    table = Table("Test split, one line a trial.", columns, tuple(lines))
    files = (
        "table.csv has one line a row, records.csv one line a value (with validation and costs); there, metrics in %"
        " are fractions."
    )
    return Section("raw", "Every value", (Text(files, "muted"), Fold("Values of every seed", (table,))))


def _raw(record: Record | None, metrics: list[tuple[str, str]]) -> list[Entry]:
    if record is None:
        return [Entry("not run"), *[Entry(numbers.NONE)] * (len(metrics) + 2)]
    values: Mapping[str, Any] = record.metrics
    return [
        Entry(record.status),
        *(Entry(numbers.value(values.get(name), unit)) for name, unit in metrics),
        Entry(str(record.chosen_epoch) if record.status == "ok" else numbers.NONE),
        Entry(numbers.duration(record.cost.get("seconds"))),
    ]
