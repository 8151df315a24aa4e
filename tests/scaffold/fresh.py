"""A virtual environment that plugins are really installed into, without a network and within a second.

It sees all that the running environment has (torch, the program itself, wherever that comes from) through a .pth file;
what is installed into it stays in it.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

import harness
from harness.discovery import BUILTIN


@dataclass(frozen=True)
class Fresh:
    """`home` is where commands run; `runs`, `reports` and caches lie there."""

    python: Path
    home: Path

    def run(self, *arguments: str, code: int = 0, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Python with these arguments; the test fails unless it ends with this code."""
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=folder or self.home,
            env=self._variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{arguments} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def harness(self, *arguments: str, code: int = 0, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "harness", *arguments, code=code, folder=folder)

    def install(self, *what: Path, editable: bool = False) -> None:
        flags = ["--no-deps", "--no-index", "--no-build-isolation", *(["-e"] if editable else [])]
        self._pip("install", *flags, *map(str, what))

    def uninstall(self, *distributions: str) -> None:
        self._pip("uninstall", "-y", *distributions)

    def _pip(self, *arguments: str) -> None:
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, *arguments], cwd=self.home, env=self._variables(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _variables(self) -> dict[str, str]:
        dropped = ("PYTHONPATH", "HARNESS_PLUGINS", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV")
        kept = {k: v for k, v in os.environ.items() if k not in dropped}
        cache = {"HARNESS_CACHE": str(self.home / "cache"), "HARNESS_DATA": str(self.home / "data")}
        return {**kept, **cache, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}


def make(folder: Path) -> Fresh:
    """An empty environment in `folder`. Skips where there is no pip, as in environments that uv made."""
    pytest.importorskip("pip", reason="needs pip")
    where = folder / "env"
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(where)
    own = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(where), "platbase": str(where)}))
    # The program's sources come first: elsewhere, another copy of it may be installed.
    sources = dict.fromkeys(str(_root(name)) for name in ("harness", *BUILTIN))
    running = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    lines = [*sources, *(f"import site; site.addsitedir({p!r})" for p in running)]
    (own / "_running.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    home = folder / "home"
    home.mkdir()
    scripts = Path(sysconfig.get_path("scripts", "venv", vars={"base": str(where), "platbase": str(where)}))
    fresh = Fresh(scripts / ("python.exe" if os.name == "nt" else "python"), home)
    seen = fresh.run("-c", "import harness; print(harness.__file__)").stdout.strip()
    assert Path(seen) == Path(harness.__file__), "the environment runs another copy of the program"
    return fresh


def wheel(package: Path, out: Path) -> Path:
    """Build the wheel of a package with what is installed; nothing is downloaded."""
    before = set(out.glob("*.whl"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = set(out.glob("*.whl")) - before
    return built


def _root(module: str) -> Path:
    """The folder on sys.path that a built-in module lies in."""
    top = __import__(module.partition(".")[0])
    assert top.__file__ is not None
    return Path(top.__file__).parents[1]
