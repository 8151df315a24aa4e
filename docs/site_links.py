"""A hook of mkdocs: what GitHub's Markdown has and mkdocs has not, put right before a page is built.

Links to files outside of docs/ become plain text, as the site holds only docs/: in the repository they lead somewhere,
a built site has no such file and no address to send a reader to. In tables, `a\\|b` is how GitHub wants a bar inside of
code; mkdocs would print the backslash. A link that is labelled with a page's file name is labelled with its title.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_OUTSIDE = re.compile(r"(?<!!)\[([^\]\n]+)\]\(\.\./([^)\s]+)\)")
_PAGE = re.compile(r"\[([\w-]+\.md)\]\((\1(?:#[^)\s]*)?)\)")
_ROW = re.compile(r"^\|.*\|$", re.M)
_CODE = re.compile(r"`[^`\n]+`")
_FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page's text, mended outside of its blocks of code."""
    parts, done = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_mended(markdown[done : fence.start()]), fence.group()]
        done = fence.end()
    return "".join([*parts, _mended(markdown[done:])])


def _mended(text: str) -> str:
    text = _PAGE.sub(_titled, _OUTSIDE.sub(_plain, text))
    return _ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0]), text)


def _plain(link: re.Match[str]) -> str:
    label, path = link[1].strip("`"), link[2].partition("#")[0]
    return f"`{path}`" if label in (path, f"../{path}") else f"{link[1]} (`{path}`)"


def _titled(link: re.Match[str]) -> str:
    page = Path(__file__).with_name(link[1])
    title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") if page.exists() else link[1]
    return f"[{title}]({link[2]})"
