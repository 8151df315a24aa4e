"""The page in a real browser: wide and narrow, nothing overflows, nothing is fetched, nothing complains."""

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
from report.hostile import hostile_evidence

from harness.report import build

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH to look at the page with")

PROBE = """<!doctype html><meta charset="utf-8"><iframe id="f" style="border:0;width:{width}px;height:800px"
 srcdoc="{page}"></iframe><pre id="found"></pre><script>
document.getElementById("f").onload = (event) => {{
  const frame = event.target, page = frame.contentDocument, root = page.documentElement;
  for (const fold of page.querySelectorAll("details")) fold.open = true;
  document.getElementById("found").textContent = JSON.stringify({{
    width: root.scrollWidth, client: root.clientWidth, rows: page.querySelectorAll("tr").length,
    broken: [...page.images].filter((i) => !i.naturalWidth).length, images: page.images.length,
    gifs: [...page.images].filter((i) => i.src.startsWith("data:image/gif") && i.offsetWidth > 60).length,
    still: page.querySelectorAll("picture source[media*=reduced-motion]").length,
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
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    return json.loads(html.unescape(found[1])), done.stderr


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(hostile_evidence(), tmp_path_factory.mktemp("browser"))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("study", ["hostile", "realistic"])
def test_the_page_fits_fetches_nothing_and_logs_nothing(
    study: str, width: int, page: Path, problems: Path, tmp_path: Path
):
    found, log = look(page if study == "hostile" else problems / "report.html", width, tmp_path)

    assert found["rows"] > 30
    assert found["images"] > 5
    assert found["broken"] == 0
    assert found["gifs"] == found["still"] == (2 if study == "hostile" else 0)
    assert found["client"] == width or found["client"] == width - 15  # with or without a scroll bar
    assert found["width"] <= found["client"]
    assert [name for name in found["fetched"] if not name.startswith("data:")] == []
    assert "CONSOLE" not in log
