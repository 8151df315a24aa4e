"""index.html of a prediction on images: one file without network or script, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .listening import Classified
from .page import Fact, templates


@dataclass(frozen=True, slots=True)
class View:
    """One panel (JPEG) of where the model looked."""

    picture: bytes
    caption: str


@dataclass(frozen=True, slots=True)
class Card:
    """An image with its picture (JPEG), and where the model looked, if that was asked for."""

    image: Classified
    picture: bytes
    views: Sequence[View] = ()
    channels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ImagesPage:
    """All that is shown. `counts`: how many images each class got; `listed` are the rows of the table of all."""

    title: str
    lead: str
    warnings: Sequence[str]
    note: str
    cards: Sequence[Card]
    counts: Sequence[tuple[str, int]]
    listed: Sequence[Classified]
    unlisted: int
    facts: Sequence[Fact]
    explained: bool


def render_images(page: ImagesPage) -> str:
    """Everything that comes from outside passes through the template's escaping."""
    return templates().get_template("images.html.j2").render(page=page) + "\n"
