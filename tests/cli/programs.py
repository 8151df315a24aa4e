"""The program as a user starts it: in a process of its own, in a pseudo terminal, or as `harness` on PATH."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from harness.cli import group

CLEARED = ("NO_COLOR", "FORCE_COLOR", "HARNESS_PLUGINS", "HARNESS_TRACKERS", "_HARNESS_COMPLETE")


def environment(home: Path | None = None, **changes: str) -> dict[str, str]:
    """`home`: a folder whose modules and distributions are found first."""
    kept = {k: v for k, v in os.environ.items() if k not in CLEARED}
    paths = os.pathsep.join([*([str(home)] if home else []), *(p for p in sys.path if p)])
    return {**kept, "PYTHONPATH": paths, "COLUMNS": "80", "TERM": "xterm-256color", **changes}


def harness(
    folder: Path, *arguments: str, home: Path | None = None, **changes: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(home, **changes),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def in_terminal(folder: Path, command: list[str], seconds: float = 240, **changes: str) -> tuple[int, str]:
    """(exit code, all that the terminal got) of a command whose output and errors go to a pseudo terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**changes)
    )
    os.close(theirs)
    screen, deadline = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    part = os.read(ours, 65536)
                except OSError:
                    break
                if not part:
                    break
                screen += part
            elif child.poll() is not None:
                break
        return child.wait(timeout=30), screen.decode(errors="replace")
    finally:
        child.kill()
        child.wait()
        os.close(ours)


def on_path(folder: Path) -> Path:
    """A folder with a program `harness`, to be put in front of PATH."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    program = programs / "harness"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n')
    program.chmod(0o755)
    return programs


def commands() -> Iterator[tuple[str, click.Command]]:
    """(name, command) of the program, of all its commands, and of those below."""

    def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                assert found is not None
                yield from walk(f"{name} {child}", found)

    return walk("harness", group)


def plugin(folder: Path, modules: Mapping[str, str], name: str = "harness-other") -> Path:
    """A folder with an installed distribution; its first module is the entry point."""
    home = folder / "site"
    info = home / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for module, text in modules.items():
        (home / f"{module}.py").write_text(text)
    (info / "entry_points.txt").write_text(f"[harness]\nother = {next(iter(modules))}\n")
    return home
