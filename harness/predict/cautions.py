"""What one must know of a trial before one believes what its model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..report.escaping import one_line
from ..trial import Record

if TYPE_CHECKING:
    from torch import nn


def cautions(record: Record, model: nn.Module) -> tuple[str, ...]:
    """Sentences: the trial's marks, and what its attention blocks have to say of themselves.

    A record's other notes are about its data and how it was built; they change no prediction and stand among the facts.
    The blocks are asked, and not the record's notes searched, as nothing in those tells whose they are.
    """
    from ..assembly import told_by_blocks

    said = dict.fromkeys(one_line(n).rstrip(".") for n in told_by_blocks(model))
    marks = [f"The trial is marked: {mark}." for mark in record.marks]
    return (*marks, *(f"Its attention: {note}." for note in said))


def noted(record: Record) -> list[tuple[str, str]]:
    """The fact of a page that holds all notes of a record; none where it has none."""
    notes = dict.fromkeys(one_line(n).rstrip(".") for n in record.notes)
    return [("Noted in training", "; ".join(notes))] if notes else []
