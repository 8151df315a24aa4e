"""Names come from outside (grids, class folders, plugins, tracebacks); each format gets them harmless."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from markupsafe import Markup, escape

_MARKDOWN = {c: f"\\{c}" for c in "\\`*_{}[]#|~$!^"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    # Ours, but a name that contains them reads the same.
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "…": r"\dots{}",
}


def one_line(text: object) -> str:
    """Without line breaks, control characters and the invisible marks that turn the direction of reading."""
    kept = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else " " for c in str(text))
    return " ".join(kept.split())


def sentence(text: str) -> str:
    """What begins with a capital and ends with one full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def shorten(text: object, limit: int = 42) -> str:
    """One line that fits a picture's margin."""
    line = one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def markdown(text: object) -> str:
    """Inline text: no mark-up, no HTML, no link, no list item and no new table cell comes of it."""
    line = "".join(_MARKDOWN.get(c, c) for c in one_line(text))
    line = re.sub(r"^([-+=]+)(?=\s|$)", r"\\\1", line)
    line = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)
    # GitHub makes links of bare addresses; a code point that no reader sees stops it.
    return re.sub(r"(?i)\b(https?|ftp|javascript|data|mailto):|\bwww\.", lambda m: m[0][:-1] + _ENTITY[m[0][-1]], line)


_ENTITY = {":": "&#58;", ".": "&#46;"}


def prose(text: object) -> str:
    """`markdown`, but words of a grid or a command between backticks are code. A name in it can become code at most."""
    return re.sub(r"\\`(\w(?:[\w.: =/-]|\\_)*)\\`", lambda m: f"`{m[1].replace(chr(92), '')}`", markdown(text))


def html_prose(text: object) -> Markup:
    """The same for HTML: everything is escaped first, and what is made code holds nothing that was."""
    return Markup(re.sub(r"`(\w[\w.: =/-]*)`", r"<code>\1</code>", str(escape(one_line(text)))))


def fenced(text: str) -> str:
    """A Markdown code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}"


def latex(text: object) -> str:
    """Text that sets itself and calls nothing."""
    return "".join(_LATEX.get(c, c) for c in one_line(text))


def csv_text(text: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    line = one_line(text)
    return f"'{line}" if line[:1] in ("=", "+", "-", "@") else line


def slug(text: object) -> str:
    """Lower-case letters, digits, hyphens and underscores; a digest keeps names apart that would fall together."""
    name = str(text)
    plain = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:40].strip("-")
    if plain == name:
        return plain
    return f"{plain or 'x'}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:6]}"
