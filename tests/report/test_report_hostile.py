"""Names come from outside. In no format do they become mark-up, commands, links, cells or formulas."""

from __future__ import annotations

import csv
import dataclasses
import html.parser
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report.evidence import make_evidence, make_figures
from report.hostile import NASTY, hostile_evidence

from harness.report import build
from harness.report.escaping import csv_text, fenced, html_prose, latex, markdown, one_line, prose, slug


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hostile")
    build(hostile_evidence(), out)
    return out


class Reader(html.parser.HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("src", "href", "srcset", "action", "data"):
                self.addresses.append(value or "")


def test_html_holds_no_script_no_handler_and_no_address_but_its_own(hostile: Path):
    reader = Reader()
    reader.feed((hostile / "report.html").read_text())

    assert not reader.tags & {"script", "iframe", "object", "embed", "svg", "form", "base"}
    assert not [a for a in reader.attributes if a.startswith("on")]
    assert all(re.match(r"#[\w-]+$|data:image/(svg\+xml|gif|png);base64,|data:,$", a) for a in reader.addresses)


def test_html_forbids_everything_but_inline_style_and_data_pictures(hostile: Path):
    text = (hostile / "report.html").read_text()

    assert text.index("Content-Security-Policy") < text.index("<title>")
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:;" in text


def test_markdown_holds_no_html_no_link_and_no_new_line_of_a_name(hostile: Path):
    text = (hostile / "report.md").read_text()
    prose = re.sub(r"(`{3,})text\n.*?\n\1\n", "", text, flags=re.DOTALL)

    assert set(re.findall(r"</?[a-z]+", prose)) <= {"<br", "<details", "</details", "<summary", "</summary"}
    assert set(re.findall(r"(?<!\\)\]\(([^)]*)\)", prose)) <= {
        f"figures/{p.name}" for p in (hostile / "figures").iterdir()
    }
    assert "# break" not in prose.splitlines()
    assert "http:" not in prose
    assert "javascript:" not in prose


def test_every_line_of_a_markdown_table_has_as_many_cells_as_its_head(hostile: Path):
    lines = (hostile / "report.md").read_text().splitlines()
    tables, current = [], []
    for line in [*lines, ""]:
        if line.startswith("|"):
            current.append(len(re.findall(r"(?<!\\)\|", line)))
        elif current:
            tables.append(current)
            current = []

    assert len(tables) > 5
    assert all(len(set(counts)) == 1 for counts in tables)


def test_latex_calls_no_command_of_a_name(hostile: Path):
    text = (hostile / "table.tex").read_text()
    own = {"usepackage", "resizebox", "begin", "end", "centering", "caption", "linewidth", "toprule", "midrule"}
    own |= {"bottomrule", "textbf", "pm", "times", "dots", "textbackslash", "textasciitilde", "textasciicircum"}
    own |= {"textless", "textgreater", "textbar", "textquotedbl", "textasciigrave"}

    assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= own
    assert "\\textbackslash{}input\\{/etc/passwd\\}" in latex(NASTY[3])
    assert text.count("&") - text.count("\\&") == sum(line.count(" & ") for line in text.splitlines())


@pytest.mark.parametrize("name", ["table.csv", "records.csv"])
def test_no_cell_of_a_csv_file_starts_like_a_formula(hostile: Path, name: str):
    with (hostile / name).open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]

    assert any(cell.startswith("'=cmd") for cell in cells)
    for cell in cells:
        if cell[:1] in ("=", "+", "-", "@"):
            float(cell)  # a negative number is one


def test_pictures_stay_in_their_folder_and_hold_no_mark_up_of_a_name(hostile: Path):
    names = {p.name for p in (hostile / "figures").iterdir()}

    assert names
    assert all(re.fullmatch(r"[a-z0-9_-]+\.(svg|gif)", name) for name in names)
    assert not (hostile.parent / "up.svg").exists()
    for path in (hostile / "figures").glob("*.svg"):
        assert not re.search(r"<(script|img)|onload=", path.read_text())


@given(st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_no_text_leaves_its_place_in_any_format(text: str):
    plain, tex = markdown(text), latex(text)

    assert "\n" not in plain + tex + csv_text(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*\[\]<>]", plain)
    assert not set(re.sub(r"\\[&%$#_{}]|\\[A-Za-z]+\{\}|\$(?:\\pm|\\times|-)\$", "", tex)) & set("\\&%$#_{}~^")
    assert csv_text(text)[:1] not in ("=", "+", "-", "@")
    assert re.fullmatch(r"[a-z0-9_-]*", slug(text))


def test_names_that_a_file_system_would_mix_up_stay_apart():
    names = ["a b", "a-b", "A-B", "a/b", "ä", "ö", "x" * 60, "x" * 61]

    assert len({slug(n) for n in names}) == len(names)
    assert slug("resnet-20_se") == "resnet-20_se"


def test_plain_numbers_and_names_stay_readable_in_markdown():
    assert markdown("+1.21 to +1.24 pp") == "+1.21 to +1.24 pp"
    assert markdown("84.09") == "84.09"
    assert markdown("1. first") == "1\\. first"
    assert markdown("- item") == "\\- item"


def test_a_code_block_cannot_be_closed_from_inside():
    block = fenced("a\n````\nb")

    assert block.startswith("`````text\n")
    assert block.endswith("\n`````")


def test_text_directions_and_control_characters_are_dropped():
    assert one_line("a\u202eb\x1b[31m\u2028c") == "a b [31m c"


def test_characters_without_a_glyph_do_not_stop_the_report(tmp_path: Path):
    evidence = make_evidence(("none", "se"), seeds=2, epochs=1)
    names = np.array(["猫", "कुत्ता", "🚀", "x" * 300])
    figures = make_figures(0.0, 0, names)
    evidence = dataclasses.replace(evidence, figures=lambda _: figures)

    assert "🚀" in build(evidence, tmp_path).read_text()


def test_words_of_a_grid_in_a_sentence_are_code_in_both_formats():
    assert prose("set `batch_size` or `train.epochs: 3`, not 2") == "set `batch_size` or `train.epochs: 3`, not 2"
    assert html_prose("the `batch_size` < 3") == "the <code>batch_size</code> &lt; 3"
    # What no grid holds is no code, and a backtick without a partner stays one.
    assert prose("`a|b` and `c") == "\\`a\\|b\\` and \\`c"
    assert html_prose("`<img>` `c") == "`&lt;img&gt;` `c"


@given(st.text(alphabet="`ab_|<*[\\ ", max_size=30))
@settings(max_examples=300, deadline=None)
def test_code_in_a_sentence_opens_nothing_that_it_does_not_close(text: str):
    plain, page = prose(text), html_prose(text)

    left = re.sub(r"(?<!\\)(?:\\\\)*`\w[\w ]*`", "", plain)
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*\[\]<>]", left)
    assert page.count("<") == 2 * page.count("<code>")
    assert page.count("<code>") == page.count("</code>")
