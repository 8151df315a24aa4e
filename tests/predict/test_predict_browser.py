"""The page in a real browser: wide and narrow, nothing overflows, nothing is fetched, no picture is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import look, needed
from predict.films import film, turned

from harness import api
from harness.predict import Wish
from harness.registry import Registry

pytestmark = needed

MORE = """
const box = (q) => { const r = page.querySelector(q).getBoundingClientRect(); return [r.left, r.right, r.height]; };
const texts = [...page.querySelectorAll(".up span, .across span, dd, figcaption, .cards p")];
const edges = texts.map((t) => t.getBoundingClientRect()).filter((r) => r.width);
return {
  plot: box(".plot svg"), strip: box(".strip"),
  outside: edges.filter((r) => r.left < 0 || r.right > root.clientWidth).length,
};"""


@pytest.fixture(scope="module")
def pages(runs: Path, tiny: str, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    videos = {
        "usual": film(folder / "usual.mp4", seconds=21, width=160, height=90),
        "upright": turned(film(folder / "upright.mp4", seconds=6, width=160, height=90), 90),
        "single": film(folder / ("a_very_long_name_without_a_space" * 5 + ".mp4"), seconds=0.1),
        "many": film(folder / "many.mkv", seconds=70),
    }
    done = api.predict(
        tiny, list(videos.values()), folder / "out", runs=runs, wish=Wish(share=0.9), device="cpu", registry=registry
    )
    assert not done.failures
    return dict(zip(videos, (v.page for v in done.videos), strict=True))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["usual", "upright", "single", "many"])
def test_the_page_fits_fetches_nothing_and_logs_nothing(name: str, width: int, pages: dict[str, Path], tmp_path: Path):
    found, log = look(pages[name], width, tmp_path, MORE)

    assert found["images"] > 6
    assert found["broken"] == 0
    assert found["client"] == width or found["client"] == width - 15  # with or without a scroll bar
    assert found["width"] <= found["client"]
    assert found["outside"] == 0
    assert found["plot"][:2] == pytest.approx(found["strip"][:2], abs=0.6)  # frames stand below their time
    assert found["plot"][2] > 150
    assert 15 < found["strip"][2] < 170
    assert [n for n in found["fetched"] if not n.startswith("data:")] == []
    assert "CONSOLE" not in log
