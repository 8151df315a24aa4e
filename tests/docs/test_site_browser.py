"""The site in a real browser, from disk, with no network: wide and narrow, nothing overflows, nothing complains."""

from __future__ import annotations

import functools
import html
import http.server
import threading
from pathlib import Path
from typing import Any

import browser
import pytest
from browser import needed
from docs.test_site import build
from docs.test_site import needed as needs_mkdocs

pytestmark = [needed, needs_mkdocs]

# A frame of a page on disk shows another page on disk of any width, and may look into it with the flag below.
PROBE = """<!doctype html><meta charset="utf-8"><iframe id="f" style="border:0;width:{width}px;height:800px"
 src="{address}"></iframe><pre id="found"></pre><script>
document.getElementById("f").onload = async (event) => {{
  const inside = event.target.contentWindow, page = event.target.contentDocument, root = page.documentElement;
  const later = (ms) => new Promise((done) => setTimeout(done, ms));
  const field = page.querySelector("input.md-search__input");
  if (field && "{query}") {{
    field.focus();
    field.value = "{query}";
    for (let i = 0; i < 40 && !page.querySelector(".md-search-result__item"); i++) {{
      field.dispatchEvent(new inside.KeyboardEvent("keyup", {{bubbles: true, key: "x"}}));
      await later(250);
    }}
  }}
  document.getElementById("found").textContent = JSON.stringify({{
    width: root.scrollWidth, client: root.clientWidth, heading: page.querySelector("h1")?.textContent,
    hits: [...page.querySelectorAll(".md-search-result__link")].map((a) => a.getAttribute("href")),
    styled: inside.getComputedStyle(page.querySelector(".md-header") || root).position,
    fetched: inside.performance.getEntriesByType("resource").map((e) => e.name),
  }});
}};
</script>"""


def look(page: Path, width: int, folder: Path, query: str = "", served: str = "") -> tuple[dict[str, Any], str]:
    """What the page measures at this width, and what the browser logged.

    `query` is typed into its search; `served` is the address at which the page's folder is served, "" for from disk.
    """
    # A frame can be looked into where both come from one place.
    probe = (page.parent if served else folder) / f"probe-{width}.html"
    address = served + page.name if served else page.as_uri()
    probe.write_text(PROBE.format(width=width, address=html.escape(address), query=query), encoding="utf-8")
    flags = ("--allow-file-access-from-files", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    return browser.found(served + probe.name if served else probe.as_uri(), folder / f"profile-{width}", *flags)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert build(folder).returncode == 0
    return folder


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["write-a-block", "grid", "components", "troubleshooting"])
def test_a_page_fits_fetches_nothing_and_logs_nothing(name: str, width: int, site: Path, tmp_path: Path):
    found, log = look(site / f"{name}.html", width, tmp_path)

    assert found["heading"]
    assert found["styled"] == "sticky"  # the theme's style sheet is there
    assert found["client"] == width or found["client"] == width - 15  # with or without a scroll bar
    assert found["width"] <= found["client"]
    assert found["fetched"] == []  # what lies on disk is not listed; see the last test for what would be
    assert "CONSOLE" not in log


def test_the_search_answers_from_disk(site: Path, tmp_path: Path):
    found, log = look(site / "index.html", 1280, tmp_path, query="leave_one_out")

    assert any("grid.html" in hit for hit in found["hits"]), found
    assert found["fetched"] == []
    assert "CONSOLE" not in log


def test_served_a_page_asks_its_own_server_alone(site: Path, tmp_path: Path):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own = f"http://127.0.0.1:{server.server_port}/"
        try:
            found, log = look(site / "grid.html", 1280, tmp_path, served=own)
        finally:
            server.shutdown()

    assert len(found["fetched"]) >= 3
    assert [address for address in found["fetched"] if not address.startswith(own)] == []
    assert "CONSOLE" not in log


def test_a_page_that_asks_a_network_would_be_noticed(tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text("<h1>x</h1><img src='https://a.example/x.png'><script>console.log('said')</script>", "utf-8")
    found, log = look(page, 390, tmp_path)

    assert found["fetched"] == ["https://a.example/x.png"]
    assert "CONSOLE" in log
