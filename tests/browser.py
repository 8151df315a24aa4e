"""A page of ours in a real browser: what it measures at a width, what it fetched, what the browser logged."""

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

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH to look at the page with")

PROBE = """<!doctype html><meta charset="utf-8"><iframe id="f" style="border:0;width:{width}px;height:800px"
 srcdoc="{page}"></iframe><pre id="found"></pre><script>
document.getElementById("f").onload = (event) => {{
  const frame = event.target, page = frame.contentDocument, root = page.documentElement;
  for (const fold of page.querySelectorAll("details")) fold.open = true;
  const images = [...page.images];
  const more = (() => {{ {more} }})();
  document.getElementById("found").textContent = JSON.stringify({{
    width: root.scrollWidth, client: root.clientWidth, images: images.length,
    broken: images.filter((i) => !i.naturalWidth).length,
    fetched: frame.contentWindow.performance.getEntriesByType("resource").map((e) => e.name.slice(0, 60)),
    ...more,
  }});
}};
</script>"""


def look(page: Path, width: int, folder: Path, more: str = "return {};") -> tuple[dict[str, Any], str]:
    """What the page measures at this width, and what the browser logged.

    `more` is JavaScript that returns further findings about `page`, `root` and `images`.
    """
    probe = folder / f"probe-{width}.html"
    content = html.escape(page.read_text(encoding="utf-8"))
    probe.write_text(PROBE.format(width=width, page=content, more=more), encoding="utf-8")
    return found(probe.as_uri(), folder / f"profile-{width}")


def found(address: str, profile: Path, *flags: str) -> tuple[dict[str, Any], str]:
    """What a page writes into its element `found`, as JSON, and what the browser logged."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--disable-background-networking", "--no-first-run", f"--user-data-dir={profile}", *flags]
    command += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000", "--window-size=1400,900"]
    done = subprocess.run(
        [*command, "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    written = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert written is not None, done.stderr[-2000:]
    return json.loads(html.unescape(written[1])), done.stderr
