"""The only writer and reader of results. Every file appears whole, by atomic rename, or not at all.

runs/trials/<id>/   record.json (last: the word that the trial is done), items.h5, figures.h5, last.pt, best.pt,
                    events/, evaluations/<name>.json and .h5: measured after training
runs/studies/       <study>.json: the study as it was asked for; latency/<study>.json: measured for all its arms;
                    evaluations/<study>/<name>.json and .h5: of all its trials together
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import filelock

from . import arrays
from .contracts import Evaluation, Figure, Items
from .errors import StoreError
from .restore import from_plain
from .trial import Record, Study, Trial, to_plain

Epoch = Callable[[int, Mapping[str, float]], None]
Progress = Callable[[int, int, float], None]


class Store:
    """Results below one folder, which is made when the first thing is written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # -------------------------------------------------------------------------------------------------- trials

    def directory(self, trial_id: str) -> Path:
        return self.root / "trials" / _safe(trial_id)

    def record(self, trial_id: str) -> Record | None:
        """The record, or None if the trial is not done. Raises StoreError if the file is damaged."""
        path = self.directory(trial_id) / "record.json"
        return from_plain(Record, _read_json(path), str(path)) if path.exists() else None

    def records(self) -> Iterator[Record]:
        """Every readable record of the store, in the order of their ids; `record` names what is wrong with others."""
        for path in sorted(self.root.glob("trials/*/record.json")):
            with suppress(StoreError):  # one damaged file must not keep every other study from being planned
                yield from_plain(Record, _read_json(path), str(path))

    def providers(self) -> Mapping[str, str]:
        """`attention se` -> distribution and version, of all that trials were trained with; the latest counts."""
        found: dict[str, str] = {}
        for record in sorted(self.records(), key=lambda r: r.started):
            found.update(record.providers)
        return found

    def write_record(self, record: Record) -> None:
        _write_json(self.directory(record.id) / "record.json", to_plain(record))

    def find(self, prefix: str) -> Record:
        """The one record whose id starts so. Raises StoreError if there is none or more than one."""
        found = sorted(p.parent.name for p in self.root.glob(f"trials/{_safe(prefix)}*/record.json"))
        if len(found) != 1:
            what = f"{len(found)} trials start with" if found else "no finished trial starts with"
            raise StoreError(
                f"{what} '{prefix}' in {self.root}", ", ".join(found[:5]) or "ids: records.csv of a report"
            )
        record = self.record(found[0])
        if record is None:
            raise StoreError(f"trial '{found[0]}' vanished from {self.root}")
        return record

    def items(self, trial_id: str) -> Items | None:
        path = self.directory(trial_id) / "items.h5"
        return arrays.read_items(path) if path.exists() else None

    def figures(self, trial_id: str) -> Sequence[Figure]:
        path = self.directory(trial_id) / "figures.h5"
        return arrays.read_figures(path) if path.exists() else ()

    def write_evaluation(self, trial_id: str, evaluation: Evaluation) -> None:
        _write_evaluation(self.directory(trial_id) / "evaluations", evaluation)

    def evaluation(self, trial_id: str, name: str) -> Evaluation | None:
        """What was measured of a trial after training, under this name; None if nothing was."""
        return _read_evaluation(self.directory(trial_id) / "evaluations", name)

    def weights(self, record: Record) -> Mapping[str, Any]:
        """The state that was tested: {"model": state_dict, …}. Raises StoreError if it is not there or damaged."""
        name = "best.pt" if record.trial.config.train.choose == "best" else "last.pt"
        state = _load_state(self.directory(record.id) / name)
        if state is None:
            raise StoreError(f"trial '{record.id}' has no weights at {self.directory(record.id) / name}")
        return state

    def sink(self, trial: Trial, epoch: Epoch, progress: Progress) -> TrialSink:
        directory = make_folder(self.directory(trial.id))
        for part in directory.glob(".*.part"):
            part.unlink(missing_ok=True)  # what a killed process had begun to write
        return TrialSink(directory, epoch, progress)

    @contextmanager
    def lock(self, trial_id: str) -> Iterator[bool]:
        """Hold a trial for this process; yields False if another process is training it. Freed if we are killed."""
        directory = make_folder(self.directory(trial_id))
        lock = filelock.FileLock(directory / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    # -------------------------------------------------------------------------------------------------- studies

    def write_study(self, study: Study) -> None:
        _write_json(self.root / "studies" / f"{_safe(study.name)}.json", to_plain(study))

    def study(self, name: str) -> Study:
        """Raises StoreError if the store knows no such study."""
        path = self.root / "studies" / f"{_safe(name)}.json"
        if not path.exists():
            known = ", ".join(self.studies()) or "none yet"
            raise StoreError(f"no study '{name}' in {self.root}", hint=f"known: {known}")
        return from_plain(Study, _read_json(path), str(path))

    def studies(self) -> tuple[str, ...]:
        return tuple(sorted(p.stem for p in self.root.glob("studies/*.json")))

    def write_latency(self, study: str, plain: Mapping[str, Any]) -> None:
        _write_json(self._latency(study), plain)

    def _latency(self, study: str) -> Path:
        return self.root / "studies" / "latency" / f"{_safe(study)}.json"

    def latency(self, study: str) -> Mapping[str, Any]:
        path = self._latency(study)
        return cast("Mapping[str, Any]", _read_json(path)) if path.exists() else {}

    def write_study_evaluation(self, study: str, evaluation: Evaluation) -> None:
        _write_evaluation(self._together(study), evaluation)

    def study_evaluation(self, study: str, name: str) -> Evaluation | None:
        """What was measured of all trials of a study together; None if nothing was."""
        return _read_evaluation(self._together(study), name)

    def _together(self, study: str) -> Path:
        return self.root / "studies" / "evaluations" / _safe(study)


def measured_before(read: Callable[[], Evaluation | None], signature: Mapping[str, Any]) -> bool:
    """Was the same measured before? A damaged file was not: it is made again."""
    try:
        before = read()
    except StoreError:
        return False
    return before is not None and before.signature == signature


class TrialSink:
    """The store's side of one trial (see contracts.Sink)."""

    def __init__(self, directory: Path, epoch: Epoch, progress: Progress) -> None:
        self._directory = directory
        self.epoch = epoch
        self.progress = progress

    def resume(self) -> Mapping[str, Any] | None:
        return _load_state(self._directory / "last.pt")

    def best(self) -> Mapping[str, Any] | None:
        return _load_state(self._directory / "best.pt")

    def checkpoint(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        # The best one first: killed between the two, the epoch is trained again and writes the same bits again.
        if best is not None:
            _save_state(self._directory / "best.pt", best)
        _save_state(self._directory / "last.pt", state)

    def finish(self, items: Items, figures: Sequence[Figure]) -> None:
        with replacing(self._directory / "items.h5") as part:
            arrays.write_items(part, items)
        with replacing(self._directory / "figures.h5") as part:
            arrays.write_figures(part, figures)


def make_folder(folder: Path) -> Path:
    """Raises StoreError if the folder cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make the folder '{folder}': {error.strerror}", "choose another with an option"
        ) from error
    if not os.access(folder, os.W_OK):
        raise StoreError(f"cannot write to the folder '{folder}'", "choose another with an option")
    return folder


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes `target` in one step when the block ends well and vanishes when it does not."""
    make_folder(target.parent)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """The JSON file last: it is the word that the evaluation is whole."""
    name = _safe(evaluation.name)
    (folder / f"{name}.json").unlink(missing_ok=True)
    with replacing(folder / f"{name}.h5") as part:
        arrays.write_figures(part, evaluation.figures)
    _write_json(folder / f"{name}.json", to_plain(dataclasses.replace(evaluation, figures=())))


def _read_evaluation(folder: Path, name: str) -> Evaluation | None:
    path = folder / f"{_safe(name)}.json"
    if not path.exists():
        return None
    plain = _read_json(path)
    if not isinstance(plain, dict):
        raise StoreError(f"{path} is damaged", hint="`harness ablate` makes it again; nothing is trained for it")
    found = from_plain(Evaluation, {k: v for k, v in plain.items() if k != "figures"}, str(path))
    try:
        return dataclasses.replace(found, figures=arrays.read_figures(folder / f"{name}.h5"))
    except StoreError as error:
        raise StoreError(error.message, hint="`harness ablate` makes it again; nothing is trained for it") from error


def _safe(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise StoreError(f"'{name}' cannot be the name of a file", hint="letters, digits, dots, dashes and underscores")
    return name


def _write_json(path: Path, plain: Any) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{path} is damaged: {error}", hint="move the file away; `harness ablate` then makes it again"
        ) from error


def _save_state(path: Path, state: Mapping[str, Any]) -> None:
    import torch

    with replacing(path) as part:
        torch.save(dict(state), part)


def _load_state(path: Path) -> Mapping[str, Any] | None:
    import torch

    if not path.exists():
        return None
    try:
        return cast("Mapping[str, Any]", torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds for a file that is no checkpoint, or that asks for code
        hint = "move the file away; the trial then starts again from its beginning"
        raise StoreError(f"{path} is damaged or not a plain checkpoint: {error}", hint=hint) from error
