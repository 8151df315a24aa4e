"""The page in a real browser: wide and narrow, nothing overflows, nothing is fetched, no picture is broken."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from predict.films import film, turned

from harness import api
from harness.predict import Wish
from harness.registry import Registry

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH to look at the page with")

PROBE = """<!doctype html><meta charset="utf-8"><iframe id="f" style="border:0;width:{width}px;height:800px"
 srcdoc="{page}"></iframe><pre id="found"></pre><script>
document.getElementById("f").onload = (event) => {{
  const frame = event.target, page = frame.contentDocument, root = page.documentElement;
  for (const fold of page.querySelectorAll("details")) fold.open = true;
  const images = [...page.images];
  const box = (q) => {{ const r = page.querySelector(q).getBoundingClientRect(); return [r.left, r.right, r.height]; }};
  const texts = [...page.querySelectorAll(".up span, .across span, dd, figcaption, .cards p")];
  const edges = texts.map((t) => t.getBoundingClientRect()).filter((r) => r.width);
  document.getElementById("found").textContent = JSON.stringify({{
    width: root.scrollWidth, client: root.clientWidth, images: images.length,
    broken: images.filter((i) => !i.naturalWidth).length,
    plot: box(".plot svg"), strip: box(".strip"),
    outside: edges.filter((r) => r.left < 0 || r.right > root.clientWidth).length,
    fetched: frame.contentWindow.performance.getEntriesByType("resource").map((e) => e.name.slice(0, 60)),
  }});
}};
</script>"""


def look(page: Path, width: int, folder: Path) -> tuple[dict[str, Any], str]:
    """What the page measures at this width, and what the browser logged."""
    assert CHROMIUM is not None
    probe = folder / f"probe-{width}.html"
    probe.write_text(PROBE.format(width=width, page=html.escape(page.read_text(encoding="utf-8"))), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--disable-background-networking", "--no-first-run", f"--user-data-dir={folder / f'profile-{width}'}"]
    command += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000", "--window-size=1400,900"]
    done = subprocess.run(
        [*command, "--dump-dom", probe.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    return json.loads(html.unescape(found[1])), done.stderr


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
    found, log = look(pages[name], width, tmp_path)

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
