"""Images of the test split that only one row gets right, as they were stored with the study."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure as Canvas

from ..contracts import Evaluation, Figure
from ..errors import HarnessError
from . import numbers
from .analysis import Analysis, Arm
from .document import Block, Column, Entry, Gallery, Picture, Section, Table, Text
from .escaping import one_line, shorten
from .rows import lined
from .style import picture

_ACROSS = 4


def only_one(analysis: Analysis) -> Section | None:
    """None where no gallery was made of the study."""
    try:
        found = analysis.evidence.together("gallery")
    except HarnessError:
        note = Text("Not shown: the stored gallery is damaged.", "muted")
        return Section("gallery", "What only one row gets right", (note,))
    if found is None:
        return None
    arms = [a for a in analysis.arms if a.cell.key in found.rows]
    if not arms:
        return None
    blocks: list[Block] = [_counts(arms, found), Text(_chance(arms), "muted")]
    if _stale(arms, found):
        blocks.append(
            Text("It was made of other trials than those of this report; `harness ablate` makes it anew.", "muted")
        )
    if controls := [a for a in analysis.arms if a.cell.control]:
        blocks.append(Text(f"Left out: {numbers.plural(len(controls), 'control row')}.", "muted"))
    by_key = {f.key: f for f in found.figures}
    drawn = [(a, by_key[a.cell.key]) for a in arms if a.cell.key in by_key]
    pictures = tuple(p for i, (a, f) in enumerate(drawn) if (p := _picture(a, f, i)) is not None)
    if pictures:
        caption = (
            "Above each image its true class, and after the arrow what the other rows took it for. Chosen by the order"
            " of the test split, not by taste."
        )
        blocks.append(Gallery(caption, pictures))
    return Section("gallery", "What only one row gets right", tuple(blocks))


def _counts(arms: list[Arm], found: Evaluation) -> Table:
    columns = (Column("row", numeric=False), Column("only this row"), Column("test images"), Column("seeds"))
    keys = ("only_right", "images", "seeds")
    lines = tuple(lined(a, *(Entry(numbers.counted(found.rows[a.cell.key].get(key))) for key in keys)) for a in arms)
    caption = (
        "Images that a row gets right in the majority of its seeds, and every other row wrong in the majority of its"
        " own."
    )
    return Table(caption, columns, lines)


def _chance(arms: list[Arm]) -> str:
    few = min(a.seeds for a in arms)
    told = (
        f"With {numbers.plural(few, 'seed')} and {numbers.plural(len(arms), 'row')} some such images appear by chance:"
        " trainings of one and the same row differ in them too."
    )
    return told + " They illustrate, and no verdict rests on them."


def _stale(arms: list[Arm], found: Evaluation) -> bool:
    """Was it made of other trials than those that are shown?"""
    rows = found.signature.get("rows", {})
    known = rows if isinstance(rows, dict) else {}
    return any(known.get(a.cell.key) != [r.id for r in a.ok] for a in arms)


def _picture(arm: Arm, figure: Figure, order: int) -> Picture | None:
    """None where what was stored is no line of images with their names."""
    if not {"images", "columns"} <= set(figure.data):
        return None
    images, names = np.asarray(figure.data["images"]), np.asarray(figure.data["columns"]).ravel()
    if images.dtype != np.uint8 or images.ndim not in (4, 5) or not len(images) or images.shape[1] != len(names):
        return None
    if not len(names) or (images.ndim == 5 and images.shape[4] != 3):
        return None
    down = -(-len(names) // _ACROSS)
    canvas = Canvas(figsize=(1.25 * min(_ACROSS, len(names)), 1.5 * down), layout="constrained")
    for i, (image, name) in enumerate(zip(images[0], names, strict=True)):
        axes = canvas.add_subplot(down, min(_ACROSS, len(names)), i + 1)
        axes.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=255, interpolation="none")
        axes.set_title(_titled(str(name)), fontsize=7)
        axes.set_axis_off()
    told = "; ".join(one_line(n) for n in names)
    alt = f"{one_line(figure.alt).rstrip('.')}: {told}"
    return picture(canvas, f"gallery-{order}-{arm.cell.key}", alt, arm.told)


def _titled(name: str) -> str:
    true, _, said = one_line(name).partition(" → ")
    lines = [shorten(true, 20), *(textwrap.wrap(f"→ {said}", 20)[:2] if said else [])]
    return "\n".join(lines)
