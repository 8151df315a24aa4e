"""The same report as GitHub's Markdown, with its pictures beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .document import Block, Bullets, Document, Entry, Fold, Gallery, Item, Line, Picture, Pre, Table, Text
from .escaping import fenced, markdown, prose

_STRONG = ("better", "worse", "bad", "good")


def render(document: Document) -> str:
    parts = [f"# {markdown(document.title)}", markdown(document.lead), *_blocks(document.summary)]
    for section in document.sections:
        parts.append(f"## {markdown(section.title)}")
        parts.extend(_blocks(section.blocks))
    return "\n\n".join(p for p in parts if p) + "\n"


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Text():
                yield prose(block.text)
            case Bullets():
                quote = "> " if block.warning else ""
                head = [f"> **{markdown(block.warning)}**\n>"] if block.warning else []
                yield "\n".join([*head, *(f"{quote}- {_item(item)}" for item in block.items)])
            case Table():
                yield prose(block.caption)
                yield table(block)
            case Gallery():
                yield prose(block.caption)
                yield "\n".join(_picture(p) for p in block.pictures)
            case Pre():
                yield fenced(block.text)
            case Fold():
                inner = "\n\n".join(_blocks(block.blocks))
                yield f"<details><summary>{markdown(block.summary)}</summary>\n\n{inner}\n\n</details>"


def _item(item: Item) -> str:
    who = f"**{markdown(item.label)}**" if item.label else ""
    word = f"({markdown(item.word)})" if item.word else ""
    lead = " ".join(p for p in (who, word) if p)
    return f"{lead}: {prose(item.text)}" if lead else prose(item.text)


def _picture(picture: Picture) -> str:
    return f"![{markdown(picture.alt)}](figures/{picture.name})"


def table(block: Table) -> str:
    """A pipe table; predictors that need no training follow in italics."""
    heads = [f"{markdown(c.label)}{f'<br>{markdown(c.sub)}' if c.sub else ''}" or " " for c in block.columns]
    rules = ["---:" if c.numeric else ":---" for c in block.columns]
    return "\n".join([_row(heads), _row(rules), *(_line(line) for line in block.lines)])


def _line(line: Line) -> str:
    cells = [_entry(e) for e in line.entries]
    if line.group == "floor":
        cells = [f"*{c}*" if c != "–" else c for c in cells]
    return _row(cells)


def _entry(entry: Entry) -> str:
    text = markdown(entry.text) or " "
    if entry.tone in _STRONG:
        text = f"**{text}**"
    below = [markdown(entry.sub)] if entry.sub else []
    return "<br>".join([text, *below, *(f"**{markdown(mark)}**" for mark in entry.marks)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
