"""Stored frames of several rows of a study, checked and brought together; strips and animations draw them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..contracts import Figure
from .analysis import Arm
from .document import Text
from .escaping import one_line
from .rows import quoted

Array = np.ndarray
ITEMS = 3
SIDE = 256
"""Pixels; larger frames are thinned out."""


@dataclass(frozen=True, slots=True)
class Clips:
    """images, reference: uint8 [K, F, H, W] or [K, F, H, W, 3]; `step`: every so many pixels were kept."""

    images: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    reference: Array | None
    reference_name: str
    heat: bool
    milliseconds: int
    step: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The rows whose frames belong side by side; `notes` say who was left out, `seeds` whose frames these are."""

    arms: tuple[tuple[Arm, Clips], ...]
    seeds: str
    notes: tuple[Text, ...]

    @property
    def first(self) -> Clips:
        return self.arms[0][1]

    @property
    def caption(self) -> str:
        """What all pictures of frames have in common."""
        told = f" Every row's first finished trial: {self.seeds}."
        if len(self.first.rows) > ITEMS:
            told += f" Shown are {ITEMS} of {len(self.first.rows)} items."
        steps = sorted({c.step for _, c in self.arms if c.step > 1})
        if steps:
            told += (
                f" Large frames are thinned out: one pixel in {' or '.join(map(str, steps))} is drawn, across and down."
            )
        return told


def keep(stored: Sequence[tuple[Arm, int, Figure]]) -> Kept:
    """`stored`: row, seed and figure. Rows stay if their items, columns and reference are those of the first one."""
    read_ = [(arm, seed, read(figure)) for arm, seed, figure in stored]
    usable = [(arm, seed, clips) for arm, seed, clips in read_ if isinstance(clips, Clips)]
    notes = [f"'{arm.short()}': {clips}" for arm, _, clips in read_ if isinstance(clips, str)]
    found = [Text(f"Not shown: {'; '.join(notes)}.", "muted")] if notes else []
    alike = [(a, s, c) for a, s, c in usable if same(c, usable[0][2])]
    others = [a for a, _, c in usable if not same(c, usable[0][2])]
    if others:
        what = f"items, columns or {usable[0][2].reference_name}"
        found.append(Text(f"Left out, as their {what} are not those of the others: {quoted(others)}.", "muted"))
    seeds = list(dict.fromkeys(s for _, s, _ in alike))
    told = f"seed {seeds[0]}" if len(seeds) == 1 else ", ".join(f"seed {s} of '{a.label}'" for a, s, _ in alike)
    return Kept(tuple((a, c) for a, _, c in alike), told, tuple(found))


def same(a: Clips, b: Clips) -> bool:
    """Do they show the same items at the same times?"""
    if (a.rows, a.columns, a.images.shape[1]) != (b.rows, b.columns, b.images.shape[1]):
        return False
    if a.reference is None or b.reference is None:
        return a.reference is b.reference
    return bool(np.array_equal(a.reference, b.reference))


def read(figure: Figure) -> Clips | str:
    """What a trial stored, or why it cannot be drawn."""
    data = figure.data
    images, rows = _frames(data, "images"), _names(data, "rows")
    if images is None:
        return "what was stored holds no pictures (bytes of the shape items, frames, height, width)"
    columns = _names(data, "columns") if figure.kind == "strip" else ()
    if len(rows) != images.shape[0] or (figure.kind == "strip" and len(columns) != images.shape[1]):
        return "its names do not fit its pictures"
    reference = _frames(data, "reference")
    if reference is None and "reference" in data:
        return "its reference holds no pictures"
    if reference is not None and reference.shape[:4] != images.shape[:4]:
        return "its reference has another shape than its pictures"
    names = _names(data, "reference_name")
    pace = np.asarray(data.get("milliseconds", 150)).ravel()
    known = pace.size == 1 and pace.dtype.kind in "iu"
    step = -(-max(images.shape[2:4]) // SIDE)
    thin = (slice(None, ITEMS), slice(None), slice(None, None, step), slice(None, None, step))
    return Clips(
        images[thin],
        rows,
        columns,
        None if reference is None else reference[thin],
        names[0] if len(names) == 1 and names[0] else "reference",
        "heat" in _names(data, "colour"),
        int(min(max(int(pace[0]), 20), 2000)) if known else 150,
        step,
    )


def _frames(data: Mapping[str, Array], key: str) -> Array | None:
    found = np.asarray(data.get(key))
    deep = found.ndim == 4 or (found.ndim == 5 and found.shape[4] == 3)
    return found if found.dtype == np.uint8 and deep and found.size else None


def _names(data: Mapping[str, Array], key: str) -> tuple[str, ...]:
    found = np.asarray(data.get(key, ())).ravel()
    return tuple(one_line(n.decode("utf-8", "replace") if isinstance(n, bytes) else n) for n in found)


def titled(name: str) -> str:
    """`item 3`; names that say more stand for themselves."""
    return f"item {name}" if name.isdecimal() or not name else name


def fitted(frames: Array, height: int, width: int) -> Array:
    """Frames [F, h, w, …] at another size, by the nearest pixel."""
    down = np.arange(height) * frames.shape[1] // height
    across = np.arange(width) * frames.shape[2] // width
    return np.asarray(frames[:, down][:, :, across])


def thinned(clips: Clips, limit: int) -> Clips:
    """At most so many frames, spread evenly, the first and the last among them."""
    count = clips.images.shape[1]
    if count <= limit:
        return clips
    places = [round(i * (count - 1) / (limit - 1)) for i in range(limit)]
    reference = None if clips.reference is None else clips.reference[:, places]
    columns = tuple(clips.columns[p] for p in places) if clips.columns else ()
    return dataclasses.replace(clips, images=clips.images[:, places], columns=columns, reference=reference)
