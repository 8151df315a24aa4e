"""One HTML file: no network, no script; light and dark, wide and narrow, screen and paper."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .document import Document
from .escaping import html_prose

_TEMPLATES = Path(__file__).parent / "templates"


def render(document: Document) -> str:
    """Everything that comes from outside passes through the template's escaping."""
    return _environment().get_template("report.html.j2").render(document=document) + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = html_prose
    environment.globals["kind"] = lambda block: type(block).__name__
    environment.globals["data_uri"] = lambda picture: _data_uri(picture.media, picture.content)
    environment.globals["still_uri"] = lambda picture: _data_uri("image/png", picture.still)
    return environment


def _data_uri(media: str, content: bytes) -> str:
    return f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"
