"""The documentation as a site: built without a warning, and no page of it loads anything from a network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from docs.docs_pages import DOCS, ROOT

MISSING = [name for name in ("mkdocs", "material") if importlib.util.find_spec(name) is None]
needed = pytest.mark.skipif(bool(MISSING), reason="no mkdocs-material here: pip install -e '.[docs]'")
LOADS = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "video": "src"}
REFERS = ("canonical", "next", "prev", "edit", "alternate")
"""`rel` of links that a browser does not follow by itself."""


def build(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    # Not `--quiet`: with it mkdocs neither tells a warning nor counts it.
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        # The warning that mkdocs 2 will be another program; the extra `docs` asks for mkdocs 1.
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Page(HTMLParser):
    """`loaded`: what a browser fetches with the page; `links`: what a reader may go to; `ids`: anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.add(str(found["id"]))
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        for name in ("srcset", "poster"):
            self.loaded += [part.split()[0] for part in (found.get(name) or "").split(",") if part.strip()]
        if tag == "link" and str(found.get("rel")) in REFERS:
            return
        if tag in LOADS and found.get(LOADS[tag]):
            self.loaded.append(str(found[LOADS[tag]]))
        self.loaded += styled(found.get("style") or "")


def styled(css: str) -> list[str]:
    found = re.findall(r"url\(\s*['\"]?(.*?)['\"]?\s*\)", css) + re.findall(r"@import\s+['\"](.*?)['\"]", css)
    return [address for address in found if not address.startswith("data:")]


def outside(addresses: list[str]) -> list[str]:
    """Those that name a host: `//host/…` too."""
    return [address for address in addresses if urlsplit(address).scheme or urlsplit(address).netloc]


def test_what_names_a_host_would_be_noticed():
    page = Page(
        '<link rel="stylesheet" href="https://a.example/x.css"><script src="//b.example/x.js"></script>'
        '<img srcset="https://c.example/1.png 2x" src="ours.png"><p style="background: url(https://d.example/x)">'
        '<link rel="next" href="https://e.example"><a href="https://f.example">read</a>'
    )
    assert [urlsplit(a).netloc[0] for a in outside(page.loaded)] == ["a", "b", "c", "d"]
    assert outside(styled("@import 'https://g.example/x.css'; a { background: url(data:image/png;base64,x) }")) != []


@needed
def test_every_page_of_the_documentation_is_in_the_site(site: Path):
    assert {p.stem for p in DOCS.glob("*.md")} | {"404"} == {p.stem for p in site.glob("*.html")}
    assert not list(site.rglob("*.py"))


@needed
def test_no_page_and_no_style_loads_anything_from_elsewhere(site: Path):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = Page(page.read_text(encoding="utf-8")).loaded
        assert len(loaded) >= 4, page.name
        assert outside(loaded) == [], page.name
        for address in loaded:
            # The page for a missing one is found from every folder, so its addresses begin at the root.
            base = site if address.startswith("/") else page.parent
            assert (base / unquote(urlsplit(address).path).lstrip("/")).exists(), (page.name, address)
    sheets = sorted(site.rglob("*.css"))
    assert len(sheets) >= 3
    for sheet in sheets:
        assert outside(styled(sheet.read_text(encoding="utf-8"))) == [], sheet.name


@needed
def test_no_script_would_fetch_from_elsewhere_for_what_the_pages_hold(site: Path):
    """The theme's script can fetch a renderer of diagrams and a repository's stars; the pages ask for neither."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "mermaid" not in text, page.name
        assert 'data-md-component="source"' not in text, page.name
    scripts = [p for p in site.rglob("*.js") if p.name.startswith(("bundle", "iframe-worker"))]
    hosts = {h for p in scripts for h in re.findall(r"https?://([a-z.]+)/", p.read_text(encoding="utf-8"))}
    assert hosts <= {"unpkg.com", "api.github.com", "clipboardjs.com", "gitlab.com"}, "look at what is new, and why"


@needed
def test_links_inside_the_site_lead_somewhere(site: Path):
    pages = {p.name: Page(p.read_text(encoding="utf-8")) for p in site.glob("*.html") if p.name != "404.html"}
    followed = 0
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = parts.path.removeprefix("./") or name
            if target == ".":
                target = "index.html"
            assert target in pages, f"{name}: {link}"
            assert not parts.fragment or unquote(parts.fragment) in pages[target].ids, f"{name}: {link}"
            followed += 1
    assert followed > 500


@needed
def test_a_broken_link_is_a_warning_and_a_warning_is_an_error(tmp_path: Path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Page\n\n[nowhere](missing.md)\n", encoding="utf-8")
    wrong = tmp_path / "mkdocs.yml"
    wrong.write_text("site_name: wrong\ntheme: {name: material, font: false}\n", encoding="utf-8")
    done = build(tmp_path / "site", wrong)
    assert done.returncode != 0
    assert "missing.md" in done.stderr


def test_what_lies_outside_the_pages_is_named_and_not_linked():
    spec = importlib.util.spec_from_file_location("docs_site_links", DOCS / "site_links.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = "See [the report](../reports/a/report.md#x) and [`../grids/a.yaml`](../grids/a.yaml), [here](grid.md).\n"
    plain = "See the report (`reports/a/report.md`) and `grids/a.yaml`, [here](grid.md).\n"
    assert module.on_page_markdown(text) == plain
    assert module.on_page_markdown("[grid.md](grid.md#axes), [gone.md](gone.md)") == (
        "[The grid](grid.md#axes), [gone.md](gone.md)"
    )
    code = "```text\n[a](../b) \\| `c \\| d`\n```\n"
    assert module.on_page_markdown(code) == code
    assert module.on_page_markdown("| `a\\|b` | x \\| y |\n") == "| `a|b` | x \\| y |\n"
