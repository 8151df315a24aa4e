"""Every error that the page on troubleshooting names is one that the program can say."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from docs.docs_pages import ROOT, text

HEADS = re.findall(r"^### (`.+`)$", text("troubleshooting.md"), re.M)
SAID = [re.sub(r"^`+ ?| ?`+$", "", head) for head in HEADS]
# Words of others.
ELSEWHERE = ("one of the variables needed for gradient computation has been modified by an inplace operation",)
LEAST = 8
"""Letters and spaces that a message has beside what is filled in; fewer would fit anything."""


@cache
def templates() -> tuple[re.Pattern[str], ...]:
    """Every text in the source, with anything in the place of what is filled in."""
    found = set()
    for folder in ("harness", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                fixed = [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]
                if len(re.findall(r"[a-z ]", "".join(fixed))) >= LEAST:
                    pattern = "".join(
                        re.escape(str(p.value)) if isinstance(p, ast.Constant) else "(?:.+)" for p in parts
                    )
                    found.add(pattern)
    return tuple(re.compile(pattern, re.S) for pattern in found)


def can_be_said(message: str) -> bool:
    # A heading may leave out what stands last: an error's kind and its words.
    said = (message, f"{message}: x", f"{message}: x: y")
    return message in ELSEWHERE or any(t.fullmatch(m) for t in templates() for m in said)


def test_the_page_names_two_dozen_errors():
    assert len(SAID) >= 24


@pytest.mark.parametrize("message", SAID)
def test_the_program_can_say_it(message: str):
    assert can_be_said(message)


def test_what_the_program_cannot_say_would_be_noticed():
    assert not can_be_said("there is no attention 'ecaa'")
    assert not can_be_said("the loss has become nan in epoch 1")
