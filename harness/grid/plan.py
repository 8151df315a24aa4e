"""From a grid to a `Study`: read, check, resolve every row, say what was left out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..registry import Registry, suggest
from ..trial import Cell, Study
from . import tree
from .capacity import read_controls
from .claims import read_claims
from .components import Context, Parts
from .designs import points, read_axes
from .evaluating import read_evaluate
from .nodes import Mistakes, Node, plain
from .overrides import override
from .reading import from_python, read_file
from .rows import Rows

DESIGNS = ("product", "one_at_a_time", "leave_one_out")
MAX_SEEDS = 1000
MAX_SEED = 2**32 - 1  # NumPy's generators take no more


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    title: str
    design: str
    seeds: tuple[int, ...]


def load(grid: Path | Mapping[str, Any], registry: Registry, context: Context, overrides: Sequence[str] = ()) -> Study:
    """Plan a grid file or a mapping; `overrides` are the `KEY=VALUE` of `--set`.

    Raises GridError with every mistake, each with its place and, where there is one, a hint.
    """
    mistakes = Mistakes()
    root, source = _read(grid, mistakes)
    if root is None:
        mistakes.check()
        raise RuntimeError("a grid that cannot be read must leave a mistake")
    root = override(root, overrides, mistakes)
    if overrides:
        source = source.rstrip("\n") + "\n" + "".join(f"# --set {' '.join(o.split())}\n" for o in overrides)
    header = _header(root, mistakes)
    folder = None if isinstance(grid, Mapping) else Path(grid).absolute().parent
    parts = Parts(registry, context, mistakes, folder)
    axes = read_axes(root, header.design, mistakes)
    baseline = None
    if "baseline" in root.entries:
        baseline = tree.conditions(root.entries["baseline"], mistakes)
    rows = Rows(root, axes, header.design, parts, mistakes)
    asked = points(header.design, axes, baseline, root, mistakes)
    rows.fill(asked)
    rows.choose_baseline(baseline)
    rows.add_control()
    rows.add_controls(read_controls(root.entries.get("controls"), parts, mistakes))
    claims = read_claims(root.entries.get("claims"), mistakes)
    reach = _reach(root.entries.get("reach"), mistakes)
    cells = rows.cells(header.seeds)
    evaluate = read_evaluate(root.entries.get("evaluate"), _task(cells), mistakes)
    mistakes.check()
    return Study(
        header.name,
        header.title,
        header.design,
        cells,
        rows.skipped(),
        claims,
        tuple(a.key for a in axes),
        reach,
        source,
        evaluate,
        parts.naming.defaults(used for c in cells for t in c.trials for used in t.provenance.components()),
    )


def _task(cells: Sequence[Cell]) -> str:
    return cells[0].trials[0].config.task.name if cells else ""


def _read(grid: Path | Mapping[str, Any], mistakes: Mistakes) -> tuple[Node | None, str]:
    if isinstance(grid, Mapping):
        root = from_python(grid, mistakes)
        source = "" if root is None else yaml.safe_dump(plain(root), sort_keys=False, allow_unicode=True)
    else:
        root, source = read_file(Path(grid), mistakes)
    if root is not None and not isinstance(root.value, Mapping):
        what = "the file is empty" if root.value is None else f"{root.shown()}: a mapping is meant"
        mistakes.add(root, what, "a grid starts with `study: NAME`")
        root = None
    return root, source


def _header(root: Node, mistakes: Mistakes) -> _Header:
    known = (*tree.STUDY, *tree.CONFIG)
    for key, node in root.entries.items():
        if key not in known:
            head = key.partition(".")[0]
            dotted = f"write {head}: {{name: …, {key.partition('.')[2]}: …}}, or put it under axes"
            hint = dotted if head in tree.CONFIG and head != key else suggest(key, known)
            mistakes.add(node, f"unknown key '{key}'", hint)
    axes = root.entries["axes"].entries if "axes" in root.entries else {}
    for key in ("study", "dataset", "model"):
        if key not in root.entries and (key == "study" or key not in axes):
            mistakes.add(root, f"the key '{key}' is missing", f"write {key}: NAME")
    title = _text(root.entries.get("title"), mistakes)
    return _Header(_study(root.entries.get("study"), mistakes), title, _design(root, mistakes), _seeds(root, mistakes))


def _study(node: Node | None, mistakes: Mistakes) -> str:
    name = _text(node, mistakes)
    if node is None or not isinstance(node.value, str):
        return ""
    if not re.fullmatch(tree.NAME, name) or len(name) > 100:
        hint = "use letters, digits, '.', '_' and '-', at most 100, and start with a letter or digit: it names a folder"
        mistakes.add(node, f"'{name[:100]}' cannot name a study", hint)
    return name


def _text(node: Node | None, mistakes: Mistakes) -> str:
    if node is None or isinstance(node.value, str):
        return "" if node is None else str(node.value)
    hint = "put it in quotes" if node.text else None
    mistakes.add(node, f"{node.shown()}: text is meant", hint)
    return ""


def _design(root: Node, mistakes: Mistakes) -> str:
    node = root.entries.get("design")
    if node is None:
        return DESIGNS[0]
    if isinstance(node.value, str) and node.value in DESIGNS:
        return node.value
    mistakes.add(node, f"unknown design {node.shown()}", suggest(str(node.value), DESIGNS))
    return DESIGNS[0]


def _reach(node: Node | None, mistakes: Mistakes) -> tuple[tuple[str, float], ...]:
    """Metric -> score; whether the task has such metrics is asked when the task is known."""
    if node is None:
        return ()
    if not isinstance(node.value, Mapping):
        mistakes.add(node, f"{node.shown()}: a mapping of metrics to scores is meant", "for instance {psnr: 20}")
        return ()
    found = []
    for metric, child in node.value.items():
        if isinstance(child.value, (int, float)) and not isinstance(child.value, bool) and math.isfinite(child.value):
            found.append((metric, float(child.value)))
        else:
            mistakes.add(child, f"{child.shown()}: a score is a number", "in the unit of records: 0.92 for 92 %")
    return tuple(found)


def _seeds(root: Node, mistakes: Mistakes) -> tuple[int, ...]:
    node = root.entries.get("seeds")
    if node is None:
        return (0,)
    hint = f"write how many (1 to {MAX_SEEDS}), or a list of whole numbers from 0"
    if isinstance(node.value, int) and not isinstance(node.value, bool) and 1 <= node.value <= MAX_SEEDS:
        return tuple(range(node.value))
    if not node.items or len(node.items) > MAX_SEEDS:
        mistakes.add(node, f"{node.shown()} is no number of seeds", hint)
        return ()
    return tuple(tree.distinct_numbers(node, MAX_SEED, "seed", mistakes))
