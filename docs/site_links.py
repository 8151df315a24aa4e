"""A hook of mkdocs: what a page links to outside of docs/ becomes plain text, as the site holds only docs/.

In the repository such links lead somewhere; a built site has no such file and no address to send a reader to.
"""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"(?<!!)\[([^\]\n]+)\]\(\.\./([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page's text with `[label](../path)` as "label (`path`)"; blocks of code stay as they are."""
    parts, done = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_OUTSIDE.sub(_plain, markdown[done : fence.start()]), fence.group()]
        done = fence.end()
    return "".join([*parts, _OUTSIDE.sub(_plain, markdown[done:])])


def _plain(link: re.Match[str]) -> str:
    label, path = link[1].strip("`"), link[2].partition("#")[0]
    return f"`{path}`" if label in (path, f"../{path}") else f"{link[1]} (`{path}`)"
