"""Tasks: numbers that are defined, that a perfect prediction is best at, and that hang on no batch."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..contracts import IO, Figure, Items, Metric, Task
from ..foreign import CONTRACT
from .findings import Broken, Doubtful, NotChecked
from .running import Check, Subject
from .served import Predict, Served, Tensors, own_data, perfect, served_by
from .target_leaks import hidden

SLACK = 1e-6


def _task(subject: Subject) -> Task:
    task: Task = subject.component.load()(**subject.chosen())
    return task


def _builds(subject: Subject) -> str:
    task = _task(subject)
    missing = [name for name in CONTRACT["task"] if not hasattr(task, name)]
    if missing:
        raise Broken(f"it has no {', '.join(missing)}")
    return ", ".join(m.name for m in task.metrics)


def _metrics(subject: Subject) -> str:
    task = _task(subject)
    for metric in task.metrics:
        if not isinstance(metric, Metric):
            raise Broken(f"a metric is a {type(metric).__name__}, and no harness.contracts.Metric")
        if not metric.definition.strip() or metric.better not in ("higher", "lower"):
            raise Broken(f"'{metric.name}' has no definition, or a direction of '{metric.better}'")
    names = [m.name for m in task.metrics]
    if len(set(names)) != len(names):
        raise Broken(f"two metrics have one name: {', '.join(names)}")
    if task.select not in names:
        raise Broken(f"`select` is '{task.select}', which is no metric: {', '.join(names)}")
    if task.resample not in ("item", "item+seed"):
        raise Broken(f"`resample` is '{task.resample}', and neither 'item' nor 'item+seed'")
    return f"{len(names)}, chosen by {task.select}"


def _reads(subject: Subject) -> str:
    found, refused = served_by(lambda: _task(subject))
    if not found:
        found, _ = served_by(lambda: _task(subject), own_data(subject.component, subject.registry))
    if not found:
        raise Broken("it reads none of the kit's data, nor a dataset of its plugin: " + "; ".join(refused))
    for served in found:
        if not isinstance(served.io, IO):
            raise Broken(f"`io` gives a {type(served.io).__name__}, and no harness.contracts.IO")
        if not served.io.outputs:
            raise Broken("`io` asks for no output")
    subject.kept["served"] = found
    return ", ".join(s.form.name for s in found)


def _served(subject: Subject) -> list[Served]:
    found: list[Served] = subject.kept["served"]
    return found


def _present(subject: Subject) -> str:
    return ", ".join(dict.fromkeys(hidden(served) for served in _served(subject)))


def _noise(served: Served) -> Predict:
    def predict(batch: Tensors) -> Tensors:
        generator = torch.Generator().manual_seed(int(batch["index"][0]) + 1)
        return {k: torch.randn(v.shape, generator=generator) for k, v in served.zeros(batch).items()}

    return predict


def _items(subject: Subject) -> str:
    for served in _served(subject):
        items = served.measured(_noise(served))
        if not isinstance(items, Items):
            raise Broken(f"`measure` gives a {type(items).__name__}, and no harness.contracts.Items")
        for name, values in items.values.items():
            if len(values) != len(served.form.split):
                raise Broken(f"'{name}' has {len(values)} rows for {len(served.form.split)} items")
        numbers = served.task.summarise(items)
        for metric in served.task.metrics:
            own = items.values.get(metric.name)
            if own is None or metric.name not in numbers:
                continue
            mean = float(np.asarray(own, np.float64)[np.isfinite(own)].mean())
            if not math.isclose(mean, numbers[metric.name], rel_tol=1e-4, abs_tol=1e-6):
                raise Broken(f"'{metric.name}' is {numbers[metric.name]:.6g}, and its items' mean {mean:.6g}")
    return "one row an item, whose mean is the metric"


def _summary(subject: Subject) -> str:
    for served in _served(subject):
        names = {m.name for m in served.task.metrics}
        numbers = served.numbers(_noise(served))
        unknown = set(numbers) - names
        if unknown:
            raise Broken(f"`summarise` gives '{min(unknown)}', which is no metric")
        if served.task.select not in numbers:
            raise Broken(f"`summarise` leaves out '{served.task.select}', which chooses checkpoints")
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise Broken(f"'{name}' of a random prediction is {value}")
    return "every number is a metric, and finite"


def _best(subject: Subject) -> str:
    told_of = []
    for served in _served(subject):
        task = served.task
        try:
            right = served.numbers(functools.partial(perfect, served))
        except NotChecked as reason:
            raise Doubtful(f"on {served.form.name}, {reason}") from reason
        others: dict[str, Predict] = {
            "noise": _noise(served),
            "zeros": served.zeros,
            "the right one with noise": functools.partial(_mixed, served),
        }
        for name, predict in others.items():
            other = served.numbers(predict)
            for metric in task.metrics:
                if metric.name not in right or metric.name not in other:
                    continue
                gap = right[metric.name] - other[metric.name]
                gap = gap if metric.better == "higher" else -gap
                if gap < -SLACK or (metric.name == task.select and not gap > 0):
                    raise Broken(
                        f"on {served.form.name}, '{metric.name}' ({metric.better} is better) of a perfect prediction "
                        f"is {right[metric.name]:.5g}, and of {name} {other[metric.name]:.5g}"
                    )
        told_of.append(f"{served.form.name}: {task.select} {right[task.select]:.4g}")
    return ", ".join(told_of)


def _mixed(served: Served, batch: Tensors) -> dict[str, Tensor]:
    noise = _noise(served)(batch)
    return {k: v + 2 * v.std() * noise[k] for k, v in perfect(served, batch).items()}


def _batches(subject: Subject) -> str:
    for served in _served(subject):
        rows: dict[int, Tensors] = {}
        for index, batch in served.batches(1):
            rows[index[0]] = _noise(served)(batch)
        stacked = functools.partial(_stacked, served, rows)
        alone, together = served.numbers(stacked, 1), served.numbers(stacked, len(served.form.split))
        for name, value in alone.items():
            if not math.isclose(value, together.get(name, math.nan), rel_tol=1e-4, abs_tol=1e-6):
                raise Broken(
                    f"on {served.form.name}, '{name}' is {value:.6g} item by item, and in one batch "
                    f"{together.get(name, math.nan):.6g}"
                )
    return "the same numbers item by item and in one batch"


def _stacked(served: Served, rows: Mapping[int, Tensors], batch: Tensors) -> Tensors:
    zeros = served.zeros(batch)
    for i, item in enumerate(batch["index"].tolist()):
        for head, value in rows[item].items():
            zeros[head][i][tuple(slice(0, n) for n in value.shape[1:])] = value[0]
    return zeros


def _floors(subject: Subject) -> str:
    names: list[str] = []
    for served in _served(subject):
        task = served.task
        metric = next(m for m in task.metrics if m.name == task.select)
        right = served.numbers(functools.partial(perfect, served))[task.select]
        for name, items in task.floors(served.form.split).items():
            number = float(task.summarise(items)[task.select])
            names.append(name)
            gap = right - number if metric.better == "higher" else number - right
            if gap < -SLACK and name not in getattr(task, "ceilings", ()):
                raise Broken(f"'{name}' has a {metric.name} of {number:.5g}, and a perfect prediction {right:.5g}")
    return ", ".join(dict.fromkeys(names)) or "none"


def _identities(subject: Subject) -> str:
    for served in _served(subject):
        for predict in (_noise(served), functools.partial(perfect, served)):
            numbers = served.numbers(predict)
            said = list(served.task.identities(numbers))
            if said:
                raise Broken(f"of numbers that were measured, it says: {said[0]}")
            list(served.task.remarks(numbers))
    return "numbers that were measured contradict nothing"


def _figures(subject: Subject) -> str:
    keys: list[str] = []
    for served in _served(subject):
        figures = list(served.task.figures(served.measured(_noise(served))))
        for figure in figures:
            if not isinstance(figure, Figure):
                raise Broken(f"a figure is a {type(figure).__name__}, and no harness.contracts.Figure")
            if not figure.title.strip() or not figure.alt.strip():
                raise Broken(f"figure '{figure.key}' has no title or no text in its place (`alt`)")
        own = [f.key for f in figures]
        if len(set(own)) != len(own):
            raise Broken(f"two figures have one key: {', '.join(own)}")
        keys += own
    return ", ".join(dict.fromkeys(keys)) or "none"


TASK = (
    Check(
        "builds",
        "the engine, reports and predictions ask a task for each of these",
        "write what harness.contracts.Task lists; return () or {} where there is nothing to say",
        _builds,
        gate=True,
    ),
    Check(
        "metrics",
        "no number is shown without its unit, direction and definition",
        "make each a harness.contracts.Metric, and let `select` be one of their names",
        _metrics,
    ),
    Check(
        "reads",
        "`io` says what a model of this task reads and writes, before any item is read",
        "return harness.contracts.IO for data that the task reads and raise ConfigError for others; a plugin may bring "
        "a dataset for it, which is then used here",
        _reads,
        gate=True,
    ),
    Check(
        "present",
        "a model that is shown the target learns nothing else",
        "return what `io` names as inputs, and 'index'; nothing of it may be made out of the target",
        _present,
    ),
    Check(
        "items",
        "paired tests over items resample these rows",
        "give each array of Items one row an item; a metric's own rows have the metric as their mean",
        _items,
    ),
    Check(
        "numbers",
        "tables, checkpoints and records are made of these numbers",
        "give the declared metrics alone, 0 or a stated convention where one is undefined",
        _summary,
    ),
    Check(
        "perfect_is_best",
        "a metric with the wrong direction, or that a perfect answer does not lead, ranks rows the wrong way",
        "look at `better`, at ties, at the order of prediction and truth, and at what `pair` compares",
        _best,
    ),
    Check(
        "batches",
        "numbers would depend on the batch size, which is chosen for the memory",
        "measure each item by itself, blind to padding, and take means in `summarise`",
        _batches,
    ),
    Check(
        "floors",
        "rows are compared with predictors that need no training; what knows answers is a ceiling",
        "name those that know answers in `ceilings`",
        _floors,
    ),
    Check(
        "identities",
        "published numbers are audited with these sentences: they must hold for true ones",
        "leave room for rounding; move what is merely unusual to `remarks`",
        _identities,
    ),
    Check(
        "figures",
        "reports join figures of equal keys over rows",
        "give harness.contracts.Figure with a key, a title and a text in place of the picture (`alt`)",
        _figures,
    ),
)
