"""A report as plain blocks, so that Markdown and HTML say the same; the renderers alone know how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Tone: TypeAlias = Literal["", "better", "worse", "muted", "bad", "good"]
Group: TypeAlias = Literal["row", "baseline", "unranked", "floor"]
Media: TypeAlias = Literal["image/svg+xml", "image/gif"]


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of a table: a number or a name, and below it what qualifies it.

    `marks`: words that no reader may miss, such as that a model sees the future.
    """

    text: str
    sub: str = ""
    tone: Tone = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a list: the word that judges, whom it is about, and the sentence."""

    text: str
    label: str = ""
    word: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Bullets:
    """`warning`: the head of a list that the reader must not miss."""

    items: tuple[Item, ...]
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    label: str
    sub: str = ""
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """`unranked`: a row that failed an audit, so that its numbers are not those of the others' task."""

    entries: tuple[Entry, ...]
    group: Group = "row"


@dataclass(frozen=True, slots=True)
class Table:
    """The first entry of a line is its head."""

    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of the folder `figures`. `width`: in pixels at its natural size.

    `still`: a PNG of an animation, for readers who asked their machine for less motion.
    """

    name: str
    content: bytes
    alt: str
    caption: str
    width: int
    media: Media = "image/svg+xml"
    still: bytes = b""


@dataclass(frozen=True, slots=True)
class Gallery:
    caption: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Pre:
    text: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Closed until the reader opens it."""

    summary: str
    blocks: tuple[Block, ...]


Block: TypeAlias = Text | Bullets | Table | Gallery | Pre | Fold


@dataclass(frozen=True, slots=True)
class Section:
    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """`lead` is the first line: model, data, budget."""

    title: str
    lead: str
    summary: tuple[Block, ...]
    sections: tuple[Section, ...]

    def pictures(self) -> tuple[Picture, ...]:
        """Every picture once, in order."""
        found: list[Picture] = []

        def walk(blocks: tuple[Block, ...]) -> None:
            for block in blocks:
                if isinstance(block, Gallery):
                    found.extend(block.pictures)
                elif isinstance(block, Fold):
                    walk(block.blocks)

        walk(self.summary)
        for section in self.sections:
            walk(section.blocks)
        return tuple(found)
