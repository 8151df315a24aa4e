"""Images of the test split that only one row of a study gets right."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .contracts import Evaluation, Figure, Split
from .errors import StoreError
from .pixels import enlarged, picture, thinned
from .registry import Registry
from .store import Store, measured_before
from .trial import Record, Study

Array = np.ndarray[Any, Any]
NAME = "gallery"
VERSION = 2
SHOWN = 8
"""Pictures a row, by the order of the test split and not by taste."""
SIDE, LARGEST = 64, 256
"""Pixels of the shorter and of the longer side: images are enlarged by a whole number, then thinned out."""

_DEFINITIONS = {
    "only_right": "images that this row gets right in the majority of its seeds, and every other row wrong in the"
    " majority of its own",
    "images": "images of the test split",
    "seeds": "finished trials of the row",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """Of one row: predicted [S, N] of the items `ids` [N] with their true classes target [N]."""

    label: str
    ids: tuple[str, ...]
    target: Array
    predicted: Array


def make_gallery(study: Study, store: Store, registry: Registry, data_root: Path) -> None:
    """Store the study's evaluation `gallery`, unless it was made of the same trials before.

    Rows that are controls of others are left out. Nothing is made for studies without a stored class an image, with
    folds, with several datasets, with inputs that are no images, or with fewer than two finished rows.
    What goes wrong here is a warning: the trained results must reach their report.
    """
    records = _records(study, store)
    if len(records) < 2 or not _comparable(records):
        return
    signature = {"version": VERSION, "rows": {key: [r.id for r in own] for key, own in records.items()}}
    try:
        if measured_before(lambda: store.study_evaluation(study.name, NAME), signature):
            return
        labels = {c.key: c.label for c in study.cells}
        found = {key: a for key, own in records.items() if (a := _answers(labels[key], own, store)) is not None}
        if len(found) < 2:
            return
        first = next(iter(records.values()))[0]
        evaluation = _evaluation(found, first, signature, registry, data_root)
    except Exception as error:
        what = f"images that only one row gets right could not be gathered: {type(error).__name__}: {error}"
        warnings.warn(what, RuntimeWarning, stacklevel=2)
        return
    store.write_study_evaluation(study.name, evaluation)


def _records(study: Study, store: Store) -> dict[str, list[Record]]:
    """Finished trials by row, controls left out."""
    found = {}
    for cell in study.cells:
        records = [store.record(t.id) for t in cell.trials] if not cell.control else []
        done = [r for r in records if r is not None and r.status == "ok"]
        if done:
            found[cell.key] = done
    return found


def _comparable(records: Mapping[str, list[Record]]) -> bool:
    """One dataset, no folds, images in and classes out."""
    everyone = [r for own in records.values() for r in own]
    first = everyone[0]
    same = all(r.trial.config.dataset == first.trial.config.dataset and r.classes == first.classes for r in everyone)
    spec = first.io.get("inputs", {}).get("inputs", {})
    image = spec.get("axes") == "CHW" and spec.get("shape", [0])[0] in (1, 3)
    return same and image and bool(first.classes) and all(r.trial.config.fold == 0 for r in everyone)


def _answers(label: str, records: list[Record], store: Store) -> Answers | None:
    """None where a trial stored no true and predicted class an item. Raises StoreError if its items differ."""
    seen = [store.items(r.id) for r in records]
    found = [i for i in seen if i is not None and {"target", "predicted"} <= set(i.values)]
    if len(found) < len(records):
        return None
    target = np.asarray(found[0].values["target"])
    for record, items in zip(records, found, strict=True):
        own, predicted = (np.asarray(items.values[k]) for k in ("target", "predicted"))
        sound = all(v.dtype.kind in "iu" and v.shape == (len(items.ids),) for v in (own, predicted))
        if not sound or items.ids != found[0].ids or not np.array_equal(own, target):
            raise StoreError(f"the items of trial '{record.id}' are not those of '{records[0].id}'")
        if min(own.min(), predicted.min()) < 0 or max(own.max(), predicted.max()) >= len(record.classes):
            raise StoreError(f"trial '{record.id}' stored a class that it has not")
    return Answers(label, found[0].ids, target, np.stack([np.asarray(i.values["predicted"]) for i in found]))


def _evaluation(
    found: Mapping[str, Answers],
    first: Record,
    signature: Mapping[str, Any],
    registry: Registry,
    data_root: Path,
) -> Evaluation:
    reference = next(iter(found.values()))
    for key, answers in found.items():
        if answers.ids != reference.ids or not np.array_equal(answers.target, reference.target):
            raise StoreError(f"row '{key}' was tested on other images than the first")
    only = only_right({key: a.predicted == a.target for key, a in found.items()})
    split = _split(first, registry, data_root)
    figures, rows = [], {}
    for key, places in only.items():
        answers = found[key]
        rows[key] = {
            "only_right": float(len(places)),
            "images": float(len(answers.ids)),
            "seeds": float(len(answers.predicted)),
        }
        if len(places):
            shown = places[:SHOWN].tolist()
            others = [a.predicted for other, a in found.items() if other != key]
            figures.append(_figure(key, answers, shown, others, first.classes, split))
    notes = (f"Images are chosen by the order of the test split, at most {SHOWN} a row.",)
    return Evaluation(NAME, signature, rows, _DEFINITIONS, tuple(figures), notes)


def only_right(hits: Mapping[str, Array]) -> dict[str, Array]:
    """Row -> places of items that it alone gets right. `hits` [S, N]: was an item right under a seed?

    Right and wrong: in more than half of a row's seeds; an item that halves them counts as neither.
    """
    share = {key: own.mean(axis=0) for key, own in hits.items()}
    right, wrong = {k: v > 0.5 for k, v in share.items()}, {k: v < 0.5 for k, v in share.items()}
    return {key: np.flatnonzero(right[key] & np.all([wrong[o] for o in hits if o != key], axis=0)) for key in hits}


def _split(record: Record, registry: Registry, data_root: Path) -> Split:
    """The test split. Raises StoreError if the data is not that of the trials."""
    from .assembly import open_data

    choice = record.trial.config.dataset
    info, dataset = open_data(choice, registry, data_root)
    if info.fingerprint != record.trial.provenance.dataset:
        raise StoreError(f"dataset '{choice.name}' is not that which the trials were tested on")
    return dataset.split("test")


def _figure(
    key: str, answers: Answers, places: list[int], others: list[Array], classes: tuple[str, ...], split: Split
) -> Figure:
    where = {item: i for i, item in enumerate(split.ids)}
    index = [where[answers.ids[p]] for p in places]
    batch = split.batch(index, 0)
    if not np.array_equal(np.asarray(batch["target"].cpu().numpy()), answers.target[places]):
        raise StoreError("the test split has other classes than those that the trials stored")
    columns = [f"{classes[answers.target[p]]} → {_said([o[:, p] for o in others], classes)}" for p in places]
    data = {
        "images": np.stack([_thumbnail(image) for image in batch["inputs"].cpu().numpy()])[None],
        "rows": np.array(["only right"]),
        "columns": np.array(columns),
        "items": np.array([split.ids[i] for i in index]),
    }
    alt = f"Images that only '{answers.label}' gets right: the true class, and what the other rows said"
    return Figure(key, "strip", answers.label, alt, data)


def _thumbnail(image: Array) -> Array:
    return thinned(enlarged(picture(image), SIDE), LARGEST)


def _said(predicted: list[Array], classes: tuple[str, ...]) -> str:
    """What the other rows said most often, each row by most of its seeds; at most two classes."""
    votes = Counter(int(np.bincount(p, minlength=len(classes)).argmax()) for p in predicted)
    named = [classes[k] for k, _ in votes.most_common(2)]
    return " / ".join(named) + (" / …" if len(votes) > 2 else "")
