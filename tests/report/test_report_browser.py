"""The page in a real browser: wide and narrow, nothing overflows, nothing is fetched, nothing complains."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import look, needed
from committed import reports
from report.complete import complete_evidence
from report.hostile import hostile_evidence

from harness.report import build

pytestmark = needed

MORE = """return {
  rows: page.querySelectorAll("tr").length,
  gifs: images.filter((i) => i.src.startsWith("data:image/gif") && i.offsetWidth > 60).length,
  still: page.querySelectorAll("picture source[media*=reduced-motion]").length,
};"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(hostile_evidence(), tmp_path_factory.mktemp("browser"))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("study", ["hostile", "realistic"])
def test_the_page_fits_fetches_nothing_and_logs_nothing(
    study: str, width: int, page: Path, problems: Path, tmp_path: Path
):
    found, log = look(page if study == "hostile" else problems / "report.html", width, tmp_path, MORE)

    assert found["rows"] > 30
    assert found["images"] > 5
    assert found["broken"] == 0
    assert found["gifs"] == found["still"] == (2 if study == "hostile" else 0)
    assert found["client"] == width or found["client"] == width - 15  # with or without a scroll bar
    assert found["width"] <= found["client"]
    assert [name for name in found["fetched"] if not name.startswith("data:")] == []
    assert "CONSOLE" not in log


NEW = """return {
  headings: [...page.querySelectorAll("h2")].map((h) => h.textContent.trim()),
  cut: [...page.querySelectorAll("h1, h2, h3, p, li, caption > span, figcaption")]
    .filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1)
    .map((e) => e.textContent.slice(0, 60)),
};"""
SECTIONS = (
    "Is it attention, or capacity?",
    "Class by class",
    "Is the attention used?",
    "Where it looks",
    "What only one row gets right",
    "Cost",
)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(complete_evidence(), tmp_path_factory.mktemp("complete"))


@pytest.mark.parametrize("width", [390, 1280])
def test_a_complete_study_of_attention_fits_too(width: int, complete: Path, tmp_path: Path):
    found, log = look(complete, width, tmp_path, NEW)

    assert [s for s in SECTIONS if s not in found["headings"]] == []
    assert found["images"] > 10
    assert found["broken"] == 0
    assert found["width"] <= found["client"] <= width
    assert found["cut"] == []
    assert [name for name in found["fetched"] if not name.startswith("data:")] == []
    assert "CONSOLE" not in log


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", [p / "report.html" for p in reports()], ids=lambda p: p.parent.name)
def test_every_committed_report_fits_and_needs_no_network(page: Path, width: int, tmp_path: Path):
    found, log = look(page, width, tmp_path)

    assert found["broken"] == 0
    assert found["width"] <= found["client"] <= width
    assert [name for name in found["fetched"] if not name.startswith("data:")] == []
    assert "CONSOLE" not in log
