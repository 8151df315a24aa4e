"""The reports that belong to the repository, whatever studies were run beside them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def reports() -> list[Path]:
    """Folders below `reports/` that git tracks; all of them where there is no git, as in an unpacked archive."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "reports"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return sorted(p for p in (ROOT / "reports").iterdir() if p.is_dir())
    return sorted({ROOT / Path(*Path(line).parts[:2]) for line in done.stdout.splitlines() if line.count("/") > 1})
